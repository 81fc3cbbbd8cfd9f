"""No clip is long enough for several windows.

What it does: for each data set with `video.window` `uniform` or `random`, looks for a clip that has more than one window.

Why it hurts: the recipe asks for more than the first frames of long clips, and there are no long clips. It is trained as
with `middle`.

Example:
    data:
      datasets:
        - id: clips
          instance_data_dir: clips
          video:
            num_frames: 81
            window: uniform

Use instead:
    data:
      datasets:
        - id: clips
          instance_data_dir: clips
          video:
            num_frames: 41
            window: uniform
"""

from collections.abc import Iterator

from recipe_compiler.rules.rule import Facts, Finding, Rule
from recipe_compiler.rules.windows import MOST, SEVERAL, WINDOW, least_for_two
from recipe_compiler.rules.wording import counted


def check(facts: Facts) -> Iterator[Finding]:
    """Look for a clip of several windows, of those that are trained or, where none is, measured."""
    assert facts.survey is not None
    settings = facts.settings
    for table in facts.survey.looked:
        window, name = settings[f"{table}.{WINDOW}"], settings[f"{table}.id"]
        if window not in SEVERAL or settings[f"{table}.{MOST}"] == 1 or least_for_two(settings, table) is not None:
            continue
        if window == "random" and settings[f"{table}.dataset_type"] == "eval":
            continue  # nothing is drawn there, and another rule says so
        fates = ("trained",) if window == "random" else ("trained", "evaluated")
        rows = [row for row in facts.survey.of(name) if row.fate in fates]
        if not rows or any(row.more_starts for row in rows):
            continue
        longest = max(rows, key=lambda row: (row.frames_at_rate, row.path))
        needed = 2 * longest.bucket_frames if window == "uniform" else longest.bucket_frames + 1
        yield Finding(
            at=f"{table}.{WINDOW}",
            message=(
                f"no clip of data set `{name}` has more than one window: the longest, {longest.path}, has "
                f"{counted(longest.frames_at_rate, 'frame')}, and `window: {window}` needs {needed}"
            ),
            help="lower `video.num_frames`, add longer clips, or take `window: middle`",
            also=((f"{table}.video.num_frames", ""),) if settings.given(f"{table}.video.num_frames") else (),
        )


RULE = Rule(
    code="R338",
    name="windows-nothing-to-choose",
    severity="warning",
    reads=("data.framerate",),
    check=check,
    page=__doc__,
)
