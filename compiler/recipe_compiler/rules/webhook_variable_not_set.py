"""A variable that a webhook needs is not set.

What it does: looks in the environment for the variables that `url_env` and `token_env` of each webhook name. It warns;
`recipe run` refuses.

Why it hurts: nobody is told anything, and nobody is told of that.

Example:
    tracking:
      webhooks:
        - type: discord
          url_env: DISCORD_WEBHOOK

Use instead:
    tracking:
      webhooks:
        - url: http://127.0.0.1:8080/hook
"""

from collections.abc import Iterator

from recipe_compiler.rules.addresses import is_token
from recipe_compiler.rules.rule import Facts, Finding, Rule


TABLE = "tracking.webhooks"


def check(facts: Facts) -> Iterator[Finding]:
    """Look for each variable."""
    settings = facts.settings
    for hook in settings.tables(TABLE):
        for at in (f"{hook}.url_env", f"{hook}.token_env"):
            name = settings[at] if settings.fine(at) else None
            if name is not None and not is_token(name) and facts.machine.variable(name) is None:
                yield Finding(
                    at=at,
                    message=f"the variable `{name}` is not set on this machine",
                    help=f"set it before the run starts: `export {name}=…`",
                    severity="error" if facts.starts_here else "warning",
                )


RULE = Rule(code="R804", name="webhook-variable-not-set", severity="warning", reads=(), check=check, page=__doc__)
