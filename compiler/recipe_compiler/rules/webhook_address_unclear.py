"""A webhook has no address, or two.

What it does: finds entries of `tracking.webhooks` that give neither `url` nor `url_env`, or both.

Why it hurts: without an address nobody is told anything; of two, one would be passed over.

Example:
    tracking:
      webhooks:
        - type: discord

Use instead:
    tracking:
      webhooks:
        - type: discord
          url_env: DISCORD_WEBHOOK
"""

from collections.abc import Iterator

from recipe_compiler.rules.addresses import secret_in
from recipe_compiler.rules.rule import Facts, Finding, Rule


TABLE = "tracking.webhooks"


def check(facts: Facts) -> Iterator[Finding]:
    """Count the addresses of each webhook."""
    settings = facts.settings
    for hook in settings.tables(TABLE):
        if not settings.fine(f"{hook}.url", f"{hook}.url_env"):
            continue
        url, variable = settings[f"{hook}.url"], settings[f"{hook}.url_env"]
        if url is None and variable is None:
            yield Finding(
                at=hook,
                message="this webhook has no address",
                help="add `url_env`, the name of a variable that holds it, or `url`",
            )
        elif url is not None and variable is not None and secret_in(url) is None:
            yield Finding(
                at=f"{hook}.url",
                message=f"this webhook has two addresses: `url`, and that in `{variable}`",
                help="leave one of them out",
                also=((f"{hook}.url_env", "the other"),),
            )


RULE = Rule(code="R609", name="webhook-address-unclear", severity="error", reads=(), check=check, page=__doc__)
