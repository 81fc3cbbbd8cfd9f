"""The address of a webhook is a secret, and stands in the recipe.

What it does: finds a `url` in `tracking.webhooks` that belongs to Discord or Slack, holds a user's name or password, or
a parameter such as `token`.

Why it hurts: recipes are shared, plans keep every setting, and run directories are copied about. Whoever reads the
address can write in your name.

Example:
    tracking:
      webhooks:
        - type: discord
          url: https://discord.com/api/webhooks/1/abc

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
    """Look at each address that is written out."""
    for hook in facts.settings.tables(TABLE):
        at = f"{hook}.url"
        url = facts.settings[at] if facts.settings.fine(at) else None
        secret = secret_in(url) if url is not None else None
        if secret is not None:
            yield Finding(
                at=at,
                message=f"this address is a secret: {secret}",
                help="put it into a variable of the environment and name that in `url_env`; if others have seen the "
                "recipe, make a new address",
            )


RULE = Rule(code="R610", name="secret-in-recipe", severity="error", reads=(), check=check, page=__doc__)
