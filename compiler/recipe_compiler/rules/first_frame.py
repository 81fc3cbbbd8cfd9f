"""Which data sets train or measure image to video, and which prompts start from a picture."""

from collections.abc import Iterator

from recipe_compiler.rules.wording import LIBRARY, PROMPT
from recipe_compiler.settings import Resolved


IMAGES, MAIN = "validation.images", "main"
CLIPS = ("video", "eval")


def image_to_video(settings: Resolved) -> Iterator[str]:
    """Yield the data sets of clips in use whose first frames are given, at least in some samples."""
    for table in settings.tables("data.datasets"):
        if settings.in_use(table) and settings[f"{table}.dataset_type"] in CLIPS and settings[f"{table}.video.is_i2v"]:
            yield table


def prompts(settings: Resolved) -> list[str]:
    """Return the nicknames of all prompts."""
    return [*([MAIN] if (settings[PROMPT] or "").strip() else []), *settings[LIBRARY]]


def with_image(settings: Resolved) -> list[str]:
    """Return the nicknames of the prompts whose clips start from a picture."""
    return [name for name in prompts(settings) if name in settings[IMAGES]]
