"""The first frame that is given drowns in noise.

What it does: finds `video.i2v_noise` above 0.5 in a data set with `video.is_i2v`.

Why it hurts: the first frame then has, in the mean, at least as much noise as picture, while clips are drawn from a clean
one: the model learns to go on from something that it will never be shown. The authors take 0.

Example:
    data:
      datasets:
        - id: clips
          instance_data_dir: clips
          video:
            num_frames: 9
            is_i2v: true
            i2v_noise: 0.9

Use instead:
    data:
      datasets:
        - id: clips
          instance_data_dir: clips
          video:
            num_frames: 9
            is_i2v: true
            i2v_noise: 0.1
"""

from collections.abc import Iterator

from recipe_compiler.rules.first_frame import image_to_video
from recipe_compiler.rules.rule import Facts, Finding, Rule


MOST = 0.5


def check(facts: Facts) -> Iterator[Finding]:
    """Look at the noise."""
    settings = facts.settings
    for table in image_to_video(settings):
        noise, measured = f"{table}.video.i2v_noise", settings[f"{table}.dataset_type"] == "eval"
        if settings[noise] > MOST and not measured:
            yield Finding(
                at=noise,
                message=f"`i2v_noise: {settings[noise]:g}` leaves little to see of the first frames that are given",
                help="0 is usual, which leaves them clean, and up to 0.1 makes small errors of a picture matter less",
            )


RULE = Rule(
    code="R426", name="first-frame-drowned", severity="warning", reads=("data.datasets",), check=check, page=__doc__
)
