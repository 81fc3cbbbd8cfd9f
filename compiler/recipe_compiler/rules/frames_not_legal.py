"""A number of frames that the VAE can't take.

What it does: checks `video.num_frames` and `validation.num_video_frames` for the form 4k + 1.

Why it hurts: the Wan VAE packs the first frame alone and then groups of four. Of 80 frames it would drop the last
three without a word.

Example:
    data:
      datasets:
        - id: clips
          instance_data_dir: clips
          video:
            num_frames: 10

Use instead:
    data:
      datasets:
        - id: clips
          instance_data_dir: clips
          video:
            num_frames: 9
"""

from collections.abc import Iterator

from recipe_compiler.rules.data_sets import videos_in_use
from recipe_compiler.rules.rule import Facts, Finding, Rule


VALIDATION = "validation.num_video_frames"


def check(facts: Facts) -> Iterator[Finding]:
    """Check all numbers of frames."""
    settings, family = facts.settings, facts.settings.family
    paths = [f"{table}.video.num_frames" for table in videos_in_use(settings)]
    for path in (*paths, VALIDATION):
        frames = settings[path]
        below = family.legal_frames(frames)
        if settings.fine(path) and frames != below:
            above = below + family.raw["vae"]["temporal"]
            trained = above in [settings[f"{table}.video.num_frames"] for table in videos_in_use(settings)]
            yield Finding(
                at=path,
                message=f"`{path}` is {frames}, and the VAE takes 4k + 1 frames",
                help=f"use {above}, which is trained" if trained else f"use {below} or {above}",
                fix=str(above if trained else below),
            )


RULE = Rule(code="R308", name="frames-not-legal", severity="error", reads=(), check=check, page=__doc__)
