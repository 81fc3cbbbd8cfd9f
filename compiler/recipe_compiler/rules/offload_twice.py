"""Two ways of offloading weights are asked for.

What it does: finds `memory.group_offload.enabled` together with `memory.model_cpu_offload`.

Why it hurts: one moves the transformer as a whole while clips are drawn, the other moves its layers. Both would move the
same weights.

Example:
    memory:
      model_cpu_offload: true
      group_offload:
        enabled: true

Use instead:
    memory:
      group_offload:
        enabled: true
"""

from collections.abc import Iterator

from recipe_compiler.rules.rule import Facts, Finding, Rule


GROUPS, WHOLE = "memory.group_offload.enabled", "memory.model_cpu_offload"


def check(facts: Facts) -> Iterator[Finding]:
    """Look for both."""
    if facts.settings[GROUPS] and facts.settings[WHOLE]:
        yield Finding(
            at=WHOLE,
            message="`model_cpu_offload` and `group_offload` would both move the transformer's weights",
            help="keep one of them: group_offload for less memory in training, model_cpu_offload while clips are drawn",
            also=((GROUPS, "the other one"),),
        )


RULE = Rule(code="R501", name="offload-twice", severity="error", reads=(GROUPS, WHOLE), check=check, page=__doc__)
