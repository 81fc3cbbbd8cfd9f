"""Validation clips play at another speed than was trained.

What it does: compares `validation.framerate` with `data.framerate`.

Why it hurts: the model draws frames that are 1 / `data.framerate` apart. Written at another rate, good motion looks too
fast or too slow, and the next run is corrected for what was never wrong.

Example:
    validation:
      prompt: a red ball rolls over a table
      framerate: 24

Use instead:
    validation:
      prompt: a red ball rolls over a table
"""

from collections.abc import Iterator

from recipe_compiler.rules.rule import Facts, Finding, Rule


DRAWN, TRAINED = "validation.framerate", "data.framerate"


def check(facts: Facts) -> Iterator[Finding]:
    """Compare both rates."""
    drawn, trained = facts.settings[DRAWN], facts.settings[TRAINED]
    if facts.settings.given(DRAWN) and drawn != trained:
        yield Finding(
            at=DRAWN,
            message=f"clips of {trained:g} fps are written at {drawn:g} fps: they play at {drawn / trained:.2g} times "
            "their speed",
            help="leave it out, or set `data.framerate` to the same",
            also=((TRAINED, f"trained at {trained:g} fps"),),
        )


RULE = Rule(
    code="R614",
    name="validation-other-speed",
    severity="warning",
    reads=(DRAWN, TRAINED),
    check=check,
    page=__doc__,
)
