"""A picture from which clips are to start can't be read.

What it does: looks at each file of `validation.images` whose prompt exists: it has to be a picture (.png, .jpg, .jpeg,
.webp), or a video, of which the first frame is taken.

Why it hurts: the clip could not be drawn, hours from now.

Example:
    data:
      datasets:
        - id: clips
          instance_data_dir: clips
          video:
            num_frames: 9
            is_i2v: true
    validation:
      images:
        main: clips/c9.mp4

Use instead:
    data:
      datasets:
        - id: clips
          instance_data_dir: clips
          video:
            num_frames: 9
            is_i2v: true
    validation:
      images:
        main: clips/c0.mp4
"""

from collections.abc import Iterator

from recipe_compiler.rules.first_frame import IMAGES, with_image
from recipe_compiler.rules.rule import Facts, Finding, Rule
from recipe_compiler.rules.wording import LIBRARY, PROMPT


def check(facts: Facts) -> Iterator[Finding]:
    """Look at each picture that a prompt uses."""
    assert facts.survey is not None
    settings, images = facts.settings, facts.survey.images
    for name in with_image(settings):
        if name in images and images[name].problem:
            path = settings[IMAGES][name]
            yield Finding(
                at=f"{IMAGES}.{name}",
                message=f"the first frame of prompt `{name}`, `{path}`, {images[name].problem}",
                help="name a picture (.png, .jpg, .webp) or a video; a relative path starts at the recipe",
            )


RULE = Rule(
    code="R621",
    name="first-image-unreadable",
    severity="error",
    reads=(IMAGES, PROMPT, LIBRARY, "validation.resolution"),
    check=check,
    page=__doc__,
)
