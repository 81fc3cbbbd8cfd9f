"""Validation is set up, and there is nothing to draw.

What it does: finds keys of `validation` that are given without `prompt` or `prompt_library`.

Why it hurts: nothing would be drawn, without a word.

Example:
    validation:
      prompt: null
      step_interval: 10

Use instead:
    validation:
      prompt: a red ball rolls over a table
      step_interval: 10
"""

from collections.abc import Iterator

from recipe_compiler.rules.rule import Facts, Finding, Rule
from recipe_compiler.rules.wording import LIBRARY, PROMPT, draws_clips


INTERVAL = "validation.step_interval"


def check(facts: Facts) -> Iterator[Finding]:
    """Find validation without prompts."""
    settings = facts.settings
    if settings["validation.preview.enabled"] and settings.fine("validation.preview.enabled"):
        return  # another rule says so
    given = [path for path in settings.settings if path.startswith("validation.") and settings.given(path)]
    if not draws_clips(settings) and set(given) - {PROMPT, LIBRARY}:
        yield Finding(
            at=INTERVAL if INTERVAL in given else "validation",
            message="validation has no prompt, so nothing is drawn",
            help="add `validation.prompt`, or leave the section out",
        )


RULE = Rule(
    code="R602",
    name="validation-without-prompt",
    severity="warning",
    reads=(PROMPT, LIBRARY, INTERVAL),
    check=check,
    page=__doc__,
)
