"""A first frame belongs to no prompt, or to a model that takes none.

What it does: looks for each nickname of `validation.images` among the prompts (`main` is `validation.prompt`), and for
a data set with `video.is_i2v`.

Why it hurts: an image without a prompt is never used. And a model that was not trained to go on from a first frame
draws clips that have little to do with it.

Example:
    validation:
      prompt_library:
        fox: a red fox runs through snow
      images:
        fxo: fox.png

Use instead:
    data:
      datasets:
        - id: clips
          instance_data_dir: clips
          video:
            num_frames: 9
            is_i2v: true
    validation:
      prompt_library:
        fox: a red fox runs through snow
      images:
        fox: fox.png
"""

from collections.abc import Iterator

from recipe_compiler.rules.nickname_clash import LIBRARY, MAIN, PROMPT
from recipe_compiler.rules.rule import Facts, Finding, Rule
from recipe_compiler.suggest import near


IMAGES, DATA_SETS = "validation.images", "data.datasets"


def check(facts: Facts) -> Iterator[Finding]:
    """Look for prompts and for training."""
    settings = facts.settings
    prompts = [*settings[LIBRARY], *([MAIN] if settings[PROMPT] else [])]
    unknown = [name for name in settings[IMAGES] if name not in prompts] if prompts else []
    for name in unknown:
        meant = near(name, prompts)
        there = "there is " + ", ".join(f"`{prompt}`" for prompt in prompts)
        yield Finding(
            at=f"{IMAGES}.{name}",
            message=f"no prompt has the nickname `{name}`, so its first frame is never used",
            help=f"did you mean `{meant}`?" if meant is not None else there,
            also=((LIBRARY, "the prompts"),),
        )
    tables = [table for table in settings.tables(DATA_SETS) if settings.in_use(table)]
    if settings[IMAGES] and tables and not any(settings[f"{table}.video.is_i2v"] for table in tables):
        yield Finding(
            at=IMAGES,
            message="validation starts from images, and no data set trains image to video",
            help="set `video.is_i2v: true` for a data set, or leave `images` out",
            severity="warning",
        )


RULE = Rule(
    code="R617",
    name="first-frame-without-use",
    severity="error",
    reads=(IMAGES, PROMPT, LIBRARY, DATA_SETS),
    check=check,
    page=__doc__,
)
