"""A frame interval that nothing reads.

What it does: finds `video.frame_interval` where `video.bucket_strategy` is not `resolution_frames`, where it is not below
`video.num_frames`, and where `video.min_frames` leaves out all clips that are shorter than that.

Why it hurts: lengths are not rounded to it, although the recipe says so.

Example:
    data:
      datasets:
        - id: clips
          instance_data_dir: clips
          video:
            num_frames: 9
            frame_interval: 4

Use instead:
    data:
      datasets:
        - id: clips
          instance_data_dir: clips
          video:
            num_frames: 9
            min_frames: 5
            frame_interval: 4
            bucket_strategy: resolution_frames
"""

from collections.abc import Iterator

from recipe_compiler.rules.data_sets import videos_in_use
from recipe_compiler.rules.rule import Facts, Finding, Rule
from recipe_compiler.rules.wording import counted


INTERVAL, STRATEGY = "video.frame_interval", "video.bucket_strategy"
LENGTHS = ("video.num_frames", "video.min_frames")


def check(facts: Facts) -> Iterator[Finding]:
    """Find intervals without the strategy that reads them, and those to which no clip is rounded."""
    settings = facts.settings
    for table in videos_in_use(settings, INTERVAL, STRATEGY, *LENGTHS):
        interval, strategy = settings[f"{table}.{INTERVAL}"], settings[f"{table}.{STRATEGY}"]
        wanted, least = (settings[f"{table}.{key}"] for key in LENGTHS)
        if interval is None:
            continue
        if strategy != "resolution_frames":
            yield Finding(
                at=f"{table}.{INTERVAL}",
                message=f"`frame_interval` has no effect: `bucket_strategy` is `{strategy}`",
                help="set `bucket_strategy: resolution_frames`, or leave it out",
                also=((f"{table}.{STRATEGY}", ""),),
            )
        elif interval >= wanted:
            yield Finding(
                at=f"{table}.{INTERVAL}",
                message=(
                    f"`frame_interval` is {interval}, and only clips of fewer than {counted(wanted, 'frame')} are rounded to "
                    "it: there are none as long as that"
                ),
                help=f"make it smaller than `num_frames`, which is {wanted}, or leave it out",
            )
        elif least == wanted:
            yield Finding(
                at=f"{table}.{INTERVAL}",
                message=f"`frame_interval` rounds clips of fewer than {counted(wanted, 'frame')}, and `min_frames` is {least}",
                help="set `min_frames` to the shortest clip that you want, or leave the interval out",
                also=((f"{table}.video.min_frames", ""),) if settings.given(f"{table}.video.min_frames") else (),
            )


RULE = Rule(code="R325", name="frame-interval-idle", severity="warning", reads=(), check=check, page=__doc__)
