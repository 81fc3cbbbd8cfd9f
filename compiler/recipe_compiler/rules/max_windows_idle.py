"""A number of windows that nothing reads.

What it does: finds `video.max_windows` where `video.window` is `head` or `middle`.

Why it hurts: each clip has one window, although the recipe asks for several.

Example:
    data:
      datasets:
        - id: clips
          instance_data_dir: clips
          video:
            num_frames: 9
            max_windows: 3

Use instead:
    data:
      datasets:
        - id: clips
          instance_data_dir: clips
          video:
            num_frames: 9
            window: uniform
            max_windows: 3
"""

from collections.abc import Iterator

from recipe_compiler.rules.data_sets import in_use
from recipe_compiler.rules.rule import Facts, Finding, Rule
from recipe_compiler.rules.windows import MOST, SEVERAL, WINDOW


def check(facts: Facts) -> Iterator[Finding]:
    """Find numbers of windows where there is one."""
    settings = facts.settings
    for table in in_use(settings, WINDOW, MOST):
        window, most = settings[f"{table}.{WINDOW}"], settings[f"{table}.{MOST}"]
        if window not in SEVERAL and most is not None and most > 1:
            yield Finding(
                at=f"{table}.{MOST}",
                message=f"`max_windows` has no effect: with `window: {window}` each clip has one",
                help="set `window: uniform` or `window: random`, or leave it out",
                also=((f"{table}.{WINDOW}", ""),),
            )


RULE = Rule(code="R336", name="max-windows-idle", severity="warning", reads=(), check=check, page=__doc__)
