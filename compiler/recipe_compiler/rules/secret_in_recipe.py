"""A secret stands in the recipe: the address of a webhook, or a token.

What it does: finds a `url` in `tracking.webhooks` that belongs to Discord or Slack, holds a user's name or password, or
a parameter such as `token`; and a token that stands where the name of a variable belongs, in `hub.token_env` or in
`token_env` and `url_env` of a webhook.

Why it hurts: recipes are shared, plans keep every setting, and run directories are copied about. Whoever reads the
secret can write in your name.

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

from recipe_compiler.rules.addresses import is_token, secret_in
from recipe_compiler.rules.rule import Facts, Finding, Rule


TABLE = "tracking.webhooks"
HUB_TOKEN = "hub.token_env"  # noqa: S105 - the name of a key


def check(facts: Facts) -> Iterator[Finding]:
    """Look at each address that is written out, and at each name of a variable."""
    yield from _tokens(facts)
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


def _tokens(facts: Facts) -> Iterator[Finding]:
    settings = facts.settings
    names = [f"{hook}.{key}" for hook in settings.tables(TABLE) for key in ("token_env", "url_env")]
    for at in (HUB_TOKEN, *names):
        name = settings[at] if settings.fine(at) else None
        if name is not None and is_token(name):
            yield Finding(
                at=at,
                message="this looks like a token itself, not like the name of a variable that holds one",
                help="put it into a variable of the environment and write that variable's name; if others have seen "
                "the recipe, make a new token",
            )


RULE = Rule(code="R610", name="secret-in-recipe", severity="error", reads=(), check=check, page=__doc__)
