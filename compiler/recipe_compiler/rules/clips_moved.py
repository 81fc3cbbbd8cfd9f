"""Clips that can't be read are moved out of their folder.

What it does: says what `data.on_problem: delete` does. `recipe plan` and `recipe run` move what can't be read from
`clips` to `.clips.trash` beside it, name each file, and write a line into its `manifest.jsonl`. `recipe lint` moves nothing.

Why it hurts: it need not, if that is what you want; a comment then silences this finding. But nothing else here changes
a data folder, a disk that fails for a moment makes files unreadable too, and another recipe or person may use the
same clips. `quarantine` leaves them where they are, lists them and trains without them.

Example:
    data:
      on_problem: delete

Use instead:
    data:
      on_problem: quarantine
"""

from collections.abc import Iterator

from recipe_compiler.rules.rule import Facts, Finding, Rule


PROBLEM = "data.on_problem"


def check(facts: Facts) -> Iterator[Finding]:
    """Say what will happen to files."""
    if facts.settings[PROBLEM] == "delete":
        yield Finding(
            at=PROBLEM,
            message="clips that can't be read are moved out of their data folder, into a trash folder",
            help="`quarantine` lists them, leaves them where they are, and trains without them",
            fix="quarantine",
        )


RULE = Rule(code="R326", name="clips-moved", severity="warning", reads=(PROBLEM,), check=check, page=__doc__)
