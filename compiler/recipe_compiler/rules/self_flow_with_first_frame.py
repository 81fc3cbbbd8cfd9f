"""First frames are to be given, and samples to have two noise levels.

What it does: finds `regularizers.crepa.feature_source: self_flow` together with a data set that is trained as image to
video, `video.is_i2v` with an `i2v_probability` above 0.

Why it hurts: a given first frame has a noise level of its own, and so have the tokens that self_flow chooses. What a
token of a given frame should have, neither scheme says. The trainer would have to leave one of them out.

Example:
    ema:
      enabled: true
    data:
      datasets:
        - id: clips
          instance_data_dir: clips
          video:
            is_i2v: true
    regularizers:
      crepa:
        enabled: true
        block_index: 1
        feature_source: self_flow
        teacher_block_index: 2

Use instead:
    data:
      datasets:
        - id: clips
          instance_data_dir: clips
          video:
            is_i2v: true
    regularizers:
      crepa:
        enabled: true
        block_index: 1
        feature_source: backbone
        teacher_block_index: 2
"""

from collections.abc import Iterator

from recipe_compiler.rules.rule import Facts, Finding, Rule


ENABLED, SOURCE = "regularizers.crepa.enabled", "regularizers.crepa.feature_source"


def check(facts: Facts) -> Iterator[Finding]:
    """Look for both."""
    settings = facts.settings
    if not settings[ENABLED] or settings[SOURCE] != "self_flow":
        return
    for table in settings.tables("data.datasets"):
        given, often = f"{table}.video.is_i2v", f"{table}.video.i2v_probability"
        if settings.in_use(table) and settings.fine(given, often) and settings[given] and settings[often]:
            yield Finding(
                at=SOURCE,
                message="`self_flow` gives tokens two noise levels, and a first frame that is given has one of its own",
                help="take `feature_source: backbone` or `encoder`, or leave `is_i2v` out",
                also=((given, "first frames are given here"),),
            )
            return


RULE = Rule(
    code="R427",
    name="self-flow-with-first-frame",
    severity="error",
    reads=(ENABLED, SOURCE),
    check=check,
    page=__doc__,
)
