"""A setting of `tracking` waits for something that the recipe does not have.

What it does: finds `tracking.webhook_interval` where no webhook would be told of progress, because there is none, or
because each one's `level` is above info; and `tracking.wandb_mode` where `tracking.report_to` does not name wandb.

Why it hurts: one waits for news that never come.

Example:
    tracking:
      webhook_interval: 600
      webhooks:
        - url: http://127.0.0.1:8080/hook
          level: error

Use instead:
    tracking:
      webhook_interval: 600
      webhooks:
        - url: http://127.0.0.1:8080/hook
"""

from collections.abc import Iterator

from recipe_compiler.rules.rule import Facts, Finding, Rule


INTERVAL, HOOKS = "tracking.webhook_interval", "tracking.webhooks"
MODE, TRACKERS = "tracking.wandb_mode", "tracking.report_to"
LEVELS_WITH_PROGRESS = ("info", "debug")


def check(facts: Facts) -> Iterator[Finding]:
    """Compare settings with what they are for."""
    settings = facts.settings
    levels = [f"{hook}.level" for hook in settings.tables(HOOKS)]
    if (
        settings[INTERVAL] is not None
        and all(settings.fine(path) for path in levels)
        and not any(settings[path] in LEVELS_WITH_PROGRESS for path in levels)
    ):
        cause = "every webhook's `level` is above info" if levels else "there are no `tracking.webhooks`"
        yield Finding(
            at=INTERVAL,
            message=f"`{INTERVAL}` has no effect: {cause}",
            help="set a webhook's `level: info`, or leave it out" if levels else "add a webhook, or leave it out",
            also=tuple((path, "not told of progress") for path in levels),
        )
    if settings.given(MODE) and "wandb" not in (settings[TRACKERS] or ()):
        yield Finding(
            at=MODE,
            message=f"`{MODE}` has no effect: `{TRACKERS}` does not name wandb",
            help=f"set `{TRACKERS}: wandb`, or leave it out",
        )


RULE = Rule(
    code="R620",
    name="tracking-without-effect",
    severity="warning",
    reads=(INTERVAL, HOOKS, MODE, TRACKERS),
    check=check,
    page=__doc__,
)
