"""The limits on the length of clips leave nothing between them.

What it does: checks that `video.min_frames` is at most `video.num_frames`, and `video.max_frames` at least
`video.min_frames`.

Why it hurts: no clip could pass, or clips would be asked for that are never used whole.

Example:
    data:
      datasets:
        - id: clips
          instance_data_dir: clips
          video:
            num_frames: 9
            min_frames: 17

Use instead:
    data:
      datasets:
        - id: clips
          instance_data_dir: clips
          video:
            num_frames: 9
            min_frames: 5
"""

from collections.abc import Iterator

from recipe_compiler.rules.data_sets import videos_in_use
from recipe_compiler.rules.rule import Facts, Finding, Rule
from recipe_compiler.rules.wording import counted


def check(facts: Facts) -> Iterator[Finding]:
    """Compare the limits of each data set."""
    keys = ("video.num_frames", "video.min_frames", "video.max_frames")
    for table in videos_in_use(facts.settings, *keys):
        number, low, high = (f"{table}.{key}" for key in keys)
        wanted, least, most = (facts.settings[path] for path in (number, low, high))
        if least > wanted:
            message = f"`min_frames` is {least} and `num_frames` is {wanted}"
            yield Finding(
                at=low, message=message, help="leave min_frames out, or make it smaller", also=((number, ""),)
            )
        elif most is not None and most < least:
            message = f"`max_frames` is {most}, and clips need at least {counted(least, 'frame')}"
            yield Finding(
                at=high, message=message, help="leave max_frames out: longer clips are cut", also=((number, ""),)
            )


RULE = Rule(code="R310", name="frame-limits-empty", severity="error", reads=(), check=check, page=__doc__)
