"""A webhook has the address of one service and the type of another.

What it does: compares `type` of each webhook with the host of its address, that of Discord or Slack. The address is
`url`, or what the variable of `url_env` holds on this machine.

Why it hurts: these services answer with an error to messages of another form, and nobody is told anything.

Example:
    tracking:
      webhooks:
        - url: https://discord.com/api/webhooks/1/abc

Use instead:
    tracking:
      webhooks:
        - type: discord
          url_env: DISCORD_WEBHOOK
"""

from collections.abc import Iterator

from recipe_compiler.rules.addresses import service
from recipe_compiler.rules.rule import Facts, Finding, Rule


TABLE = "tracking.webhooks"


def check(facts: Facts) -> Iterator[Finding]:
    """Compare types and hosts."""
    settings = facts.settings
    for hook in settings.tables(TABLE):
        kind, variable = f"{hook}.type", settings[f"{hook}.url_env"]
        key = "url" if settings.given(f"{hook}.url") else "url_env"
        if not settings.fine(kind, f"{hook}.url", f"{hook}.url_env"):
            continue
        address = settings[f"{hook}.url"] or (facts.machine.variable(variable) if variable is not None else None)
        wanted = service(address or "")
        if wanted is not None and wanted != settings[kind]:
            yield Finding(
                at=kind if settings.given(kind) else f"{hook}.{key}",
                message=f"this webhook is of type {settings[kind]}, and its address is one of {wanted.capitalize()}",
                help=f"set `type: {wanted}`",
                fix=wanted if settings.given(kind) else None,
                also=((f"{hook}.{key}", "the address"),) if settings.given(kind) else (),
            )


RULE = Rule(code="R611", name="webhook-type-differs", severity="warning", reads=(), check=check, page=__doc__)
