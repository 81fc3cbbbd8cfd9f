"""Makes the folders of `builtin:shapes` and `builtin:bars`: scenes of the small world that may be trained, with captions."""

from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import av

from recipe_compiler.fetch.clip_file import write_clip
from recipe_compiler.fetch.folder import make_folder
from recipe_compiler.fetch.shapes import NEW_SHAPE, RATE, SHAPES, Frames, Scene, draw, scenes


def make_shapes(folder: Path, report: Callable[[str], None]) -> None:
    """Fill ``folder`` with a clip of each scene, and its captions beside it, one a line. Complete or not at all.

    Args:
        folder: A complete one is left alone, any other that holds something is refused.
        report: Told what happens, a line at a time.

    Raises:
        FetchError: The folder was made by something else.
    """
    _make(folder, "builtin:shapes", SHAPES, report)


def make_bars(folder: Path, report: Callable[[str], None]) -> None:
    """Do the same with the shape that is in no clip of `make_shapes`."""
    _make(folder, "builtin:bars", (NEW_SHAPE,), report)


def write_scene(folder: Path, scene: Scene) -> None:
    """Write a scene's clip, and its captions beside it, one a line."""
    write_clip(folder / f"{scene.name}.mp4", _frames(draw(scene, take=0)), Fraction(RATE))
    (folder / f"{scene.name}.txt").write_text("\n".join(scene.captions()) + "\n", encoding="utf-8")


def _make(folder: Path, source: str, shapes: Sequence[str], report: Callable[[str], None]) -> None:
    def build(temporary: Path) -> None:
        drawn = list(scenes(held_out=False, shapes=shapes))
        for scene in drawn:
            write_scene(temporary, scene)
        report(f"drew {len(drawn)} clips of moving shapes, each with its captions")

    make_folder(folder, source, build, report)


def _frames(clip: Frames) -> Iterator[av.VideoFrame]:
    return (av.VideoFrame.from_ndarray(picture, format="rgb24") for picture in clip)
