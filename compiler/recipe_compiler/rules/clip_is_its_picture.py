"""Clips that start from a picture end with it.

What it does: counts the latent frames of `validation.num_video_frames` where a prompt has a picture in `validation.images`.

Why it hurts: the picture is the first latent frame, and is kept. The VAE packs the first frame by itself and the others in
groups of four: with fewer than five frames nothing is left to draw.

Example:
    data:
      datasets:
        - id: clips
          instance_data_dir: clips
          video:
            num_frames: 9
            is_i2v: true
    validation:
      num_video_frames: 1
      images:
        main: clips/c0.mp4

Use instead:
    data:
      datasets:
        - id: clips
          instance_data_dir: clips
          video:
            num_frames: 9
            is_i2v: true
    validation:
      num_video_frames: 9
      images:
        main: clips/c0.mp4
"""

from collections.abc import Iterator

from recipe_compiler.rules.first_frame import IMAGES, with_image
from recipe_compiler.rules.rule import Facts, Finding, Rule
from recipe_compiler.rules.wording import LIBRARY, PROMPT, counted


FRAMES = "validation.num_video_frames"


def check(facts: Facts) -> Iterator[Finding]:
    """Count the frames after the picture."""
    settings = facts.settings
    least = settings.family.raw["vae"]["temporal"] + 1
    legal = settings.family.legal_frames(settings[FRAMES]) == settings[FRAMES]  # if not, another rule says so
    if with_image(settings) and settings[FRAMES] < least and legal:
        yield Finding(
            at=FRAMES,
            message=f"a clip of {counted(settings[FRAMES], 'frame')} is the picture that it starts from: nothing is drawn",
            help=f"draw at least {least} frames, or leave `images` out",
            also=((IMAGES, "the pictures"),),
        )


RULE = Rule(
    code="R624",
    name="clip-is-its-picture",
    severity="error",
    reads=(FRAMES, IMAGES, PROMPT, LIBRARY),
    check=check,
    page=__doc__,
)
