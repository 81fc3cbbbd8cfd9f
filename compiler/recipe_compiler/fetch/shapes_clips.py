"""Makes the folder of `builtin:shapes`: every scene of the small world that may be trained, with its captions."""

from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

import av

from recipe_compiler.fetch.clip_file import write_clip
from recipe_compiler.fetch.folder import make_folder
from recipe_compiler.fetch.shapes import RATE, Frames, draw, scenes


SOURCE = "builtin:shapes"
"""How a recipe names these clips."""


def make_shapes(folder: Path, report: Callable[[str], None]) -> None:
    """Fill ``folder`` with a clip of each scene, and its captions beside it, one a line. Complete or not at all.

    Args:
        folder: A complete one is left alone, any other that holds something is refused.
        report: Told what happens, a line at a time.

    Raises:
        FetchError: The folder was made by something else.
    """

    def build(temporary: Path) -> None:
        drawn = list(scenes(held_out=False))
        for scene in drawn:
            write_clip(temporary / f"{scene.name}.mp4", _frames(draw(scene, take=0)), Fraction(RATE))
            (temporary / f"{scene.name}.txt").write_text("\n".join(scene.captions()) + "\n", encoding="utf-8")
        report(f"drew {len(drawn)} clips of moving shapes, each with its captions")

    make_folder(folder, SOURCE, build, report)


def _frames(clip: Frames) -> Iterator[av.VideoFrame]:
    return (av.VideoFrame.from_ndarray(picture, format="rgb24") for picture in clip)
