"""Runs are to go to wandb, and this machine has no login for it.

What it does: where `tracking.report_to` names wandb and `tracking.wandb_mode` is online, looks for WANDB_API_KEY, for
WANDB_MODE, and for wandb's host in `.netrc`. It warns; `recipe run` refuses.

Why it hurts: other trainers find out after the clips are encoded.

Example:
    tracking:
      report_to: wandb

Use instead:
    tracking:
      report_to: wandb
      wandb_mode: offline
"""

from collections.abc import Iterator

from recipe_compiler.rules.rule import Facts, Finding, Rule


TRACKERS, MODE = "tracking.report_to", "tracking.wandb_mode"


def check(facts: Facts) -> Iterator[Finding]:
    """Look for a login."""
    settings = facts.settings
    wanted = "wandb" in (settings[TRACKERS] or ()) and settings[MODE] == "online"
    if wanted and not facts.machine.has_wandb_login():
        yield Finding(
            at=TRACKERS,
            message="this machine has no login for wandb",
            help="run `wandb login`, set WANDB_API_KEY, or set `tracking.wandb_mode: offline`",
            severity="error" if facts.starts_here else "warning",
        )


RULE = Rule(
    code="R801",
    name="wandb-without-login",
    severity="warning",
    reads=(TRACKERS, MODE),
    check=check,
    page=__doc__,
)
