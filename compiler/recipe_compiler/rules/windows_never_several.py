"""Limits leave each clip one window where several are asked for.

What it does: finds `video.window` `uniform` where `video.max_frames` has no room for two windows of `num_frames`, `random`
where it has none for another place of the window, and either with `max_windows: 1`.

Why it hurts: it is trained as with `middle`, or with one window that chance chose, in each epoch the same.

Example:
    data:
      datasets:
        - id: clips
          instance_data_dir: clips
          video:
            num_frames: 9
            window: uniform
            max_windows: 1

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
from recipe_compiler.rules.windows import LIMITS, MOST, SEVERAL, WINDOW, least_for_two
from recipe_compiler.rules.wording import counted


def check(facts: Facts) -> Iterator[Finding]:
    """Compare the limits of each data set with what two windows need."""
    settings = facts.settings
    for table in in_use(settings, WINDOW, MOST, *LIMITS):
        window, most = settings[f"{table}.{WINDOW}"], settings[f"{table}.{MOST}"]
        if window not in SEVERAL:
            continue
        if most == 1:
            instead = "`window: middle`" if window == "uniform" else "`window: head` or `middle`"
            yield Finding(
                at=f"{table}.{MOST}",
                message=f"`max_windows` is 1, and `window: {window}` is there to have several",
                help=f"raise it, leave it out, or take {instead}",
                also=((f"{table}.{WINDOW}", ""),),
            )
        elif (needed := least_for_two(settings, table)) is not None:
            longest = settings[f"{table}.video.max_frames"]
            yield Finding(
                at=f"{table}.video.max_frames",
                message=(
                    f"`max_frames` is {longest}, and `window: {window}` has something to choose from "
                    f"{counted(needed, 'frame')} on"
                ),
                help="leave `max_frames` out, lower `num_frames`, or take `window: middle`",
                also=((f"{table}.{WINDOW}", ""), (f"{table}.video.num_frames", "")),
            )


RULE = Rule(code="R335", name="windows-never-several", severity="warning", reads=(), check=check, page=__doc__)
