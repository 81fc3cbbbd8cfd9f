"""A setting is accepted and never applied.

What it does: names every setting that has no effect on this model family, with the reason.

Why it hurts: people tune an option for days that nothing reads. The recipe stays valid, because it may have been
brought along from another tool; the setting is listed as ignored in the plan and by `recipe explain`.

Example:
    train:
      flow_schedule_shift: 7.0

Use instead:
    train:
      max_steps: 10
"""

from collections.abc import Iterator

from recipe_compiler.rules.rule import Facts, Finding, Rule


def check(facts: Facts) -> Iterator[Finding]:
    """Find settings that were given and are ignored."""
    for path, setting in facts.settings.settings.items():
        if setting.ignored is not None and setting.given:
            yield Finding(
                at=path,
                message=f"`{path}` is ignored: {setting.ignored}",
                help="leave it out",
            )


RULE = Rule(code="R201", name="setting-ignored", severity="warning", reads=(), check=check, page=__doc__)
