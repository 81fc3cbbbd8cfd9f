"""Clips are drawn from text alone by a model that learns image to video alone.

What it does: where every trained data set has `video.is_i2v` with `video.i2v_probability: 1`, looks for prompts without a
picture in `validation.images`.

Why it hurts: no sample is trained from text alone, so those clips show what the training does not teach, and may get
worse while it gets better at its task.

Example:
    data:
      datasets:
        - id: clips
          instance_data_dir: clips
          video:
            num_frames: 9
            is_i2v: true
            i2v_probability: 1

Use instead:
    data:
      datasets:
        - id: clips
          instance_data_dir: clips
          video:
            num_frames: 9
            is_i2v: true
            i2v_probability: 1
    validation:
      images:
        main: clips/c0.mp4
"""

from collections.abc import Iterator

from recipe_compiler.rules.first_frame import IMAGES, prompts
from recipe_compiler.rules.rule import Facts, Finding, Rule
from recipe_compiler.rules.wording import LIBRARY, PROMPT, SHOWN


def check(facts: Facts) -> Iterator[Finding]:
    """Compare what is trained with what is drawn."""
    settings = facts.settings
    tables = [table for table in settings.tables("data.datasets") if settings.in_use(table)]
    trained = [f"{table}.video" for table in tables if settings[f"{table}.dataset_type"] == "video"]
    alone = [name for name in prompts(settings) if name not in settings[IMAGES]]
    if alone and trained and all(settings[f"{t}.is_i2v"] and settings[f"{t}.i2v_probability"] == 1 for t in trained):
        named = ", ".join(f"`{name}`" for name in alone[:SHOWN])
        rest = f" and {len(alone) - SHOWN} more" if len(alone) > SHOWN else ""
        yield Finding(
            at=f"{trained[0]}.i2v_probability",
            message="every sample is trained with its first frame given, and clips are drawn from text alone: "
            f"{named}{rest}",
            help="give each prompt a picture in `validation.images`, or take a smaller `i2v_probability`: 0.9 keeps both",
            also=((IMAGES, "the pictures"),) if settings[IMAGES] else (),
        )


RULE = Rule(
    code="R623",
    name="prompt-without-picture",
    severity="warning",
    reads=("data.datasets", IMAGES, PROMPT, LIBRARY),
    check=check,
    page=__doc__,
)
