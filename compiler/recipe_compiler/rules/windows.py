"""What several rules ask of windows of clips."""

from recipe_compiler.settings import Resolved


WINDOW, MOST = "video.window", "video.max_windows"
LIMITS = ("video.num_frames", "video.min_frames", "video.max_frames")

SEVERAL = ("uniform", "random")
"""Values of ``window`` that give a clip several windows."""


def least_for_two(settings: Resolved, table: str) -> int | None:
    """Return the frames that a clip needs for two windows, where ``max_frames`` lets none have them; else None.

    Shorter clips, where they are taken, have windows of their own length: nothing is said of them.
    """
    wanted, least, most = (settings[f"{table}.{key}"] for key in LIMITS)
    needed: int = 2 * wanted if settings[f"{table}.{WINDOW}"] == "uniform" else wanted + 1
    return needed if most is not None and wanted <= least <= most < needed else None
