"""The share of clips that is set apart for measuring comes to none.

What it does: counts the clips that `evaluation.fraction` sets apart.

Why it hurts: the loss is to be measured, and there is nothing to measure it on. Clips are chosen by their content, so a
small share of few clips may well be none.

Example:
    data:
      datasets:
        - id: clips
          instance_data_dir: clips
          video:
            num_frames: 9
    evaluation:
      fraction: 0.001
      step_interval: 5

Use instead:
    data:
      datasets:
        - id: clips
          instance_data_dir: clips
          video:
            num_frames: 9
    evaluation:
      fraction: 0.9
      step_interval: 5
"""

from collections.abc import Iterator

from recipe_compiler.rules.rule import Facts, Finding, Rule


FRACTION = "evaluation.fraction"


def check(facts: Facts) -> Iterator[Finding]:
    """Count what is measured, if there are clips at all."""
    assert facts.survey is not None
    fraction, fates = facts.settings[FRACTION], [row.fate for row in facts.survey.rows]
    if fraction is not None and "trained" in fates and "evaluated" not in fates:
        yield Finding(
            at=FRACTION,
            message=f"`{FRACTION}: {fraction:g}` sets none of {fates.count('trained')} clips apart",
            help="take a larger share, or add a data set with `dataset_type: eval`",
        )


RULE = Rule(code="R423", name="nothing-set-apart", severity="error", reads=(FRACTION,), check=check, page=__doc__)
