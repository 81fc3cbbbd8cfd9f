"""Previews are rarer than the sampling steps of a clip.

What it does: compares `validation.preview.steps` with `validation.num_inference_steps`, where previews are on. Where
that number is itself far from any that works, R410 speaks of it alone.

Why it hurts: a clip is finished before its first preview is due, so that none is ever sent.

Example:
    validation:
      prompt: a red ball rolls over a table
      num_inference_steps: 20
      preview:
        enabled: true
        steps: 25

Use instead:
    validation:
      prompt: a red ball rolls over a table
      num_inference_steps: 20
      preview:
        enabled: true
        steps: 5
"""

from collections.abc import Iterator

from recipe_compiler.rules.rule import Facts, Finding, Rule
from recipe_compiler.rules.value_implausible import implausible


ENABLED, EVERY, STEPS = "validation.preview.enabled", "validation.preview.steps", "validation.num_inference_steps"


def check(facts: Facts) -> Iterator[Finding]:
    """Compare the two numbers of steps."""
    every, steps = facts.settings[EVERY], facts.settings[STEPS]
    if facts.settings[ENABLED] and every > steps and not implausible(facts.settings, STEPS):
        yield Finding(
            at=EVERY,
            message=f"a preview every {every} sampling steps is none: a clip takes {steps}",
            help=f"take {steps} or less",
            also=((STEPS, "steps of a clip"),),
        )


RULE = Rule(
    code="R607",
    name="preview-never-sent",
    severity="warning",
    reads=(ENABLED, EVERY, STEPS),
    check=check,
    page=__doc__,
)
