"""A frame interval that nothing reads.

What it does: finds `video.frame_interval` where `video.bucket_strategy` is not `resolution_frames`.

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
            frame_interval: 4
            bucket_strategy: resolution_frames
"""

from collections.abc import Iterator

from recipe_compiler.rules.data_sets import videos_in_use
from recipe_compiler.rules.rule import Facts, Finding, Rule


INTERVAL, STRATEGY = "video.frame_interval", "video.bucket_strategy"


def check(facts: Facts) -> Iterator[Finding]:
    """Find intervals without the strategy that reads them."""
    settings = facts.settings
    for table in videos_in_use(settings, INTERVAL, STRATEGY):
        strategy = settings[f"{table}.{STRATEGY}"]
        if settings[f"{table}.{INTERVAL}"] is not None and strategy != "resolution_frames":
            yield Finding(
                at=f"{table}.{INTERVAL}",
                message=f"`frame_interval` has no effect: `bucket_strategy` is `{strategy}`",
                help="set `bucket_strategy: resolution_frames`, or leave it out",
                also=((f"{table}.{STRATEGY}", ""),),
            )


RULE = Rule(code="R325", name="frame-interval-idle", severity="warning", reads=(), check=check, page=__doc__)
