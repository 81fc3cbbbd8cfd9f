"""Previews are switched on, and nobody sees them.

What it does: finds `validation.preview.enabled` without a prompt, which is an error, or without a webhook.

Why it hurts: previews are frames of clips while these are drawn. Without a prompt there are no clips. Without a webhook
frames go to the run's own page alone, and each costs a look at the latents.

Example:
    validation:
      prompt: a red ball rolls over a table
      preview:
        enabled: true

Use instead:
    validation:
      prompt: a red ball rolls over a table
      preview:
        enabled: true
    tracking:
      webhooks:
        - type: discord
          url_env: DISCORD_WEBHOOK
"""

from collections.abc import Iterator

from recipe_compiler.rules.rule import Facts, Finding, Rule
from recipe_compiler.rules.wording import LIBRARY, PROMPT, draws_clips


ENABLED, WEBHOOKS = "validation.preview.enabled", "tracking.webhooks"


def check(facts: Facts) -> Iterator[Finding]:
    """Look for something to draw, and for somebody to show it to."""
    settings = facts.settings
    if not settings[ENABLED]:
        return
    if not draws_clips(settings):
        yield Finding(
            at=ENABLED,
            message="previews are on, and validation has no prompt, so nothing is drawn",
            help="add `validation.prompt`, or leave `preview` out",
        )
    elif not settings.tables(WEBHOOKS) and settings.fine(WEBHOOKS):
        yield Finding(
            at=ENABLED,
            message="previews are on, and no webhook gets them: they are seen on the run's page alone",
            help="add one to `tracking.webhooks`, or leave `preview` out",
            severity="warning",
        )


RULE = Rule(
    code="R606",
    name="preview-not-seen",
    severity="error",
    reads=(ENABLED, PROMPT, LIBRARY),
    check=check,
    page=__doc__,
)
