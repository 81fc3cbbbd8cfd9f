"""Previews are switched on, and nothing is drawn.

What it does: finds `validation.preview.enabled` without a prompt.

Why it hurts: previews show clips while these are drawn. Without a prompt there are no clips, and no previews.

Example:
    validation:
      prompt: null
      preview:
        enabled: true

Use instead:
    validation:
      prompt: a red ball rolls over a table
      preview:
        enabled: true
"""

from collections.abc import Iterator

from recipe_compiler.rules.rule import Facts, Finding, Rule
from recipe_compiler.rules.wording import LIBRARY, PROMPT, draws_clips


ENABLED = "validation.preview.enabled"


def check(facts: Facts) -> Iterator[Finding]:
    """Look for something to draw."""
    if facts.settings[ENABLED] and not draws_clips(facts.settings):
        yield Finding(
            at=ENABLED,
            message="previews are on, and validation has no prompt, so nothing is drawn",
            help="add `validation.prompt`, or leave `preview` out",
        )


RULE = Rule(
    code="R606",
    name="preview-not-seen",
    severity="error",
    reads=(ENABLED, PROMPT, LIBRARY),
    check=check,
    page=__doc__,
)
