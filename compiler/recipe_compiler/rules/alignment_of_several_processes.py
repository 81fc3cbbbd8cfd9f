"""Features are to be aligned by several processes.

What it does: finds `regularizers.crepa.enabled` together with `launch.processes` or `launch.machines` above 1.

Why it hurts: the alignment follows one average similarity, and ends where that reaches a threshold. Several processes
would each follow their own, and go different ways. The trainer does not share it yet, and refuses.

Example:
    regularizers:
      crepa:
        enabled: true
    launch:
      processes: 2

Use instead:
    regularizers:
      crepa:
        enabled: true
"""

from collections.abc import Iterator

from recipe_compiler.rules.rule import Facts, Finding, Rule


CREPA, PROCESSES, MACHINES = "regularizers.crepa.enabled", "launch.processes", "launch.machines"


def check(facts: Facts) -> Iterator[Finding]:
    """Look for both."""
    processes, machines = facts.settings[PROCESSES], facts.settings[MACHINES]
    if facts.settings[CREPA] and processes * machines > 1:
        yield Finding(
            at=PROCESSES if processes > 1 else MACHINES,
            message=f"{processes * machines} processes can't align features together yet",
            help="train with one process, or leave `regularizers.crepa` out",
            also=((CREPA, "features are aligned here"),),
        )


RULE = Rule(
    code="R511",
    name="alignment-of-several-processes",
    severity="error",
    reads=(CREPA, PROCESSES, MACHINES),
    check=check,
    page=__doc__,
)
