"""Weights are to be uploaded, and this machine has no token for the hub.

What it does: where `hub.push` or `hub.push_checkpoints` is set, looks for a token: in the variable that `hub.token_env`
names, in HF_TOKEN, and where `hf auth login` leaves it. It warns; `recipe run` refuses.

Why it hurts: the upload comes last, after days of training.

Example:
    hub:
      push: true
      model_id: me/my-sana

Use instead:
    hub:
      push: false
"""

from collections.abc import Iterator

from recipe_compiler.rules.addresses import is_token
from recipe_compiler.rules.rule import Facts, Finding, Rule


PUSHES = ("hub.push", "hub.push_checkpoints")
VARIABLE = "hub.token_env"


def check(facts: Facts) -> Iterator[Finding]:
    """Look for a token."""
    pushed = [path for path in PUSHES if facts.settings[path]]
    variable = facts.settings[VARIABLE]
    if pushed and not is_token(variable) and not facts.machine.has_hub_login(variable):
        yield Finding(
            at=pushed[0],
            message="this machine has no token for the Hugging Face hub",
            help=f"set {variable}, or run `hf auth login`",
            severity="error" if facts.starts_here else "warning",
            also=((VARIABLE, "not set"),),
        )


RULE = Rule(
    code="R802",
    name="hub-without-login",
    severity="warning",
    reads=(*PUSHES, VARIABLE),
    check=check,
    page=__doc__,
)
