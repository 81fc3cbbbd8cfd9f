"""Settings of the average of weights are given, and there is no average.

What it does: finds keys of `ema` that are given while `ema.enabled` is false.

Why it hurts: `validation: ema_only` looks as if clips came from the average. They come from the last weights.

Example:
    ema:
      validation: ema_only

Use instead:
    ema:
      enabled: true
      validation: ema_only
"""

from collections.abc import Iterator

from recipe_compiler.rules.rule import Facts, Finding, Rule
from recipe_compiler.rules.switched_off import Switch, without_effect


ENABLED = "ema.enabled"


def check(facts: Facts) -> Iterator[Finding]:
    """Find settings that wait for an average."""
    yield from without_effect(
        facts.settings, Switch(keys="ema", switches=(ENABLED,), off=(False,), cure="set `ema.enabled: true`")
    )


RULE = Rule(
    code="R203",
    name="ema-settings-without-ema",
    severity="warning",
    reads=(ENABLED,),
    check=check,
    page=__doc__,
)
