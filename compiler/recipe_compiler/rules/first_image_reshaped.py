"""A picture from which clips start is enlarged, or loses much to the crop.

What it does: compares the size of each picture of `validation.images` with `validation.resolution`. A picture is resized to
cover that, and cropped at the center. More than a twentieth of enlarging, and a crop of more than three tenths, are told.

Why it hurts: the clip starts from a blurred picture, or from its middle alone, and looks like a failure of the model.

Example:
    data:
      datasets:
        - id: clips
          instance_data_dir: clips
          video:
            num_frames: 9
            is_i2v: true
    validation:
      resolution: 192x128
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
      resolution: 96x64
      images:
        main: clips/c0.mp4
"""

from collections.abc import Iterator

from recipe_compiler.rules.first_frame import IMAGES, with_image
from recipe_compiler.rules.rule import Facts, Finding, Rule
from recipe_compiler.rules.wording import LIBRARY, PROMPT


SIZE = "validation.resolution"
ENLARGED, CROPPED = 1.05, 0.3


def check(facts: Facts) -> Iterator[Finding]:
    """Compare each picture with the size of clips."""
    assert facts.survey is not None
    settings = facts.settings
    for name in with_image(settings):
        found = facts.survey.images.get(name)
        if found is None or found.image is None:
            continue
        image = found.image
        enlarged = max(image.resize_width / found.width, image.resize_height / found.height)
        lost = 1 - image.bucket_width * image.bucket_height / (image.resize_width * image.resize_height)
        told = [f"is enlarged {enlarged:.3g} times"] if enlarged > ENLARGED else []
        if lost > CROPPED:
            sides = "left and right" if image.crop_left else "top and bottom"
            told.append(f"loses {lost:.0%} at {sides}")
        if told:
            yield Finding(
                at=f"{IMAGES}.{name}",
                message=f"the first frame of prompt `{name}` has {found.width}x{found.height}, and {' and '.join(told)} to "
                f"be {settings[SIZE]}",
                help="take a larger picture of the clips' shape, or another `validation.resolution`",
                also=((SIZE, "the size of clips"),) if settings.given(SIZE) else (),
            )


RULE = Rule(
    code="R622",
    name="first-image-reshaped",
    severity="warning",
    reads=(IMAGES, PROMPT, LIBRARY, SIZE),
    check=check,
    page=__doc__,
)
