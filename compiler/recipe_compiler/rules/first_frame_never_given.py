"""Image to video is asked for, and no sample is trained so.

What it does: finds `video.i2v_probability: 0` in a data set with `video.is_i2v`.

Why it hurts: the data set is trained from text alone, as if `is_i2v` were not there, and the recipe reads otherwise.

Example:
    data:
      datasets:
        - id: clips
          instance_data_dir: clips
          video:
            num_frames: 9
            is_i2v: true
            i2v_probability: 0

Use instead:
    data:
      datasets:
        - id: clips
          instance_data_dir: clips
          video:
            num_frames: 9
            is_i2v: true
            i2v_probability: 0.5
"""

from collections.abc import Iterator

from recipe_compiler.rules.first_frame import image_to_video
from recipe_compiler.rules.rule import Facts, Finding, Rule


def check(facts: Facts) -> Iterator[Finding]:
    """Look at the share of samples."""
    settings = facts.settings
    for table in image_to_video(settings):
        share, measured = f"{table}.video.i2v_probability", settings[f"{table}.dataset_type"] == "eval"
        if settings[share] == 0 and not measured:
            yield Finding(
                at=share,
                message="`is_i2v` has no effect on training: with `i2v_probability: 0` no sample is given its first frame",
                help="take a share above 0, or leave `is_i2v` out",
                also=((f"{table}.video.is_i2v", "asked for here"),),
            )


RULE = Rule(
    code="R425", name="first-frame-never-given", severity="warning", reads=("data.datasets",), check=check, page=__doc__
)
