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


ENABLED = "ema.enabled"
OTHERS = ("ema.decay", "ema.update_interval", "ema.validation")


def check(facts: Facts) -> Iterator[Finding]:
    """Find settings that wait for an average."""
    if facts.settings[ENABLED]:
        return
    for path in OTHERS:
        if facts.settings.fine(path) and facts.settings.given(path) and facts.settings[path] != "none":
            yield Finding(
                at=path,
                message=f"`{path}` has no effect: `ema.enabled` is false",
                help="set `ema.enabled: true`, or leave it out",
            )


RULE = Rule(
    code="R203",
    name="ema-settings-without-ema",
    severity="warning",
    reads=(ENABLED,),
    check=check,
    page=__doc__,
)
