"""Images are to have steps of their own, and there are no images or no videos.

What it does: with `data.image_interval`, looks for data sets of images and of videos in use. A data set with
`video.num_frames: 1` is one of images, too. An interval of 1 leaves no steps to videos.

Why it hurts: without images, training goes on with videos alone. Without videos, each step is one of images anyway.

Example:
    data:
      image_interval: 50
      datasets:
        - id: clips
          instance_data_dir: clips

Use instead:
    data:
      datasets:
        - id: clips
          instance_data_dir: clips
"""

from collections.abc import Iterator

from recipe_compiler.rules.data_set_roles import ROLE_KEYS, TRAINED, in_role
from recipe_compiler.rules.rule import Facts, Finding, Rule


INTERVAL = "data.image_interval"


def check(facts: Facts) -> Iterator[Finding]:
    """Look for what the interval needs."""
    settings = facts.settings
    interval, trained = settings[INTERVAL], in_role(settings, *TRAINED)
    if interval is None or not trained:
        return
    images = [
        table
        for table in trained
        if settings[f"{table}.dataset_type"] == "image" or settings[f"{table}.video.num_frames"] == 1
    ]
    if not images:
        yield Finding(
            at=INTERVAL,
            message=f"`image_interval` is {interval}, and no data set in use has images",
            help="add a data set with `dataset_type: image`, or leave the interval out",
        )
    elif len(images) == len(trained):
        yield Finding(
            at=INTERVAL,
            message=f"`image_interval` is {interval}, and no data set in use has videos: each step is one of images",
            help="leave it out",
            severity="warning",
        )
    elif interval == 1:
        yield Finding(
            at=INTERVAL,
            message="with an `image_interval` of 1, each step but the first is one of images",
            help="take 2 or more; the authors' own interval is 50",
        )


RULE = Rule(
    code="R343",
    name="image-interval-one-sided",
    severity="error",
    reads=(INTERVAL, *ROLE_KEYS, "data.datasets.*.video.num_frames"),
    check=check,
    page=__doc__,
)
