"""Tells what clips of the small world show: shape, colour, direction and background, by arithmetic alone.

    python benchmarks/judge.py DIR [--sheet PICTURE] [--least color=90 …] [--only bar]

DIR has clips whose names say what they should show, as in red-circle-left-dark-gray.mp4, or -ema.mp4. What differs from the most frequent gray is the shape. Its hue is the colour, the way of its centre the direction, and the
known shape that overlaps best with it, drawn at the same place and size, is the shape.
"""

import argparse
import colorsys
import functools
import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from recipe_compiler.fetch.shapes import BACKGROUNDS, COLORS, DIRECTIONS, NEW_SHAPE, SHAPES, Frames, Scene, coverage


CHROMA = 50
"""Difference between a pixel's largest and smallest channel from which on it is no gray. Codecs and VAEs stain a little."""
LEAST = 20
"""Pixels of a shape: with fewer there is none."""

Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What a clip shows; None where nothing can be made out."""

    shape: str | None
    color: str | None
    direction: str | None
    background: str


def judge(clip: Frames) -> Seen:
    """Say what a clip shows, (frames, height, width, 3) of 0 to 255."""
    masks = [foreground(frame) for frame in clip]
    background = background_of(clip)
    if any(mask.sum() < LEAST for mask in (masks[0], masks[-1])):
        return Seen(shape=None, color=None, direction=None, background=background)
    overlaps = [overlaps_of(mask) for mask in masks if mask.sum() >= LEAST]
    shape = max(overlaps[0], key=lambda name: sum(overlap[name] for overlap in overlaps))
    return Seen(shape=shape, color=color_of(clip, masks), direction=direction_of(masks), background=background)


def foreground(frame: Frames) -> Mask:
    """Return which pixels of a frame, (height, width, 3), are coloured, as most of those around them are."""
    colored = np.pad(frame.max(axis=-1).astype(int) - frame.min(axis=-1) > CHROMA, 1)
    around = np.lib.stride_tricks.sliding_window_view(colored, (3, 3)).sum(axis=(2, 3))
    return around > 4


def background_of(clip: Frames) -> str:
    """Return the background whose gray is nearest to the middle of all gray pixels."""
    masks = np.stack([foreground(frame) for frame in clip])
    gray = np.median(clip.mean(axis=-1)[~masks]) if not masks.all() else 0.0
    return min(BACKGROUNDS, key=lambda name: abs(BACKGROUNDS[name] - gray))


def color_of(clip: Frames, masks: list[Mask]) -> str:
    """Return the colour whose hue is nearest to that of the shape."""
    mean = np.concatenate([frame[mask] for frame, mask in zip(clip, masks, strict=True)]).mean(axis=0) / 255
    hue = colorsys.rgb_to_hsv(*mean)[0]

    def distance(name: str) -> float:
        other = colorsys.rgb_to_hsv(*(channel / 255 for channel in COLORS[name]))[0]
        return abs((hue - other + 0.5) % 1 - 0.5)

    return min(COLORS, key=distance)


def direction_of(masks: list[Mask]) -> str:
    """Return the direction in which the shape's centre goes from the first frame to the last one."""
    way = center(masks[-1]) - center(masks[0])
    return max(DIRECTIONS, key=lambda name: float(way @ np.array(DIRECTIONS[name])))


def center(mask: Mask) -> NDArray[np.float64]:
    """Return the mean place of a shape's pixels, right and down."""
    down, right = np.nonzero(mask)
    return np.array([right.mean(), down.mean()])


def overlaps_of(mask: Mask) -> Mapping[str, float]:
    """Return how well each known shape covers a shape: the share of what either covers that both do.

    The known shape is drawn with the same area and the same centre.
    """
    overlaps = {}
    for name in (*SHAPES, NEW_SHAPE):
        area, offset = _measures(name)
        radius = math.sqrt(mask.sum() / area)
        right, down = center(mask) + 0.5 - radius * offset
        other = coverage(name, right, down, radius, len(mask)) > 0.5
        overlaps[name] = float((mask & other).sum() / (mask | other).sum())
    return overlaps


@functools.cache
def _measures(name: str) -> tuple[float, NDArray[np.float64]]:
    """Return the area of a shape of radius 1, and its centre of mass."""
    drawn = coverage(name, 32.0, 32.0, 24.0, 64) > 0.5
    return drawn.sum() / 24.0**2, (center(drawn) + 0.5 - 32.0) / 24.0


CHANCES = {"shape": len(SHAPES) + 1, "color": len(COLORS), "direction": len(DIRECTIONS), "background": len(BACKGROUNDS)}
"""How many answers there are to what each attribute is."""


def scene_of(name: str) -> Scene:
    """Return the scene that a clip's name says.

    Raises:
        ValueError: It says none.
    """
    words = name.split("-", 3)
    if len(words) == 4:
        color, shape, direction, background = words
        scene = Scene(shape=shape, color=color, direction=direction, background=background.replace("-", " "))
        known = (*SHAPES, NEW_SHAPE), COLORS, DIRECTIONS, BACKGROUNDS
        if all(
            value in values for value, values in zip((shape, color, direction, scene.background), known, strict=True)
        ):
            return scene
    raise ValueError(f"{name} names no scene, as red-circle-left-dark-gray does")


def read(path: Path) -> Frames:
    """Read a clip, (frames, height, width, 3)."""
    with av.open(str(path)) as container:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])


def right_of(clips: Mapping[str, Frames]) -> Mapping[str, Mapping[str, bool]]:
    """Return for each clip, by its name, which attributes it shows as it should."""
    right = {}
    for name, clip in clips.items():
        wanted, seen = scene_of(name), judge(clip)
        right[name] = {attribute: getattr(seen, attribute) == getattr(wanted, attribute) for attribute in CHANCES}
    return right


def shares(right: Mapping[str, Mapping[str, bool]]) -> Mapping[str, float]:
    """Return how many clips in a hundred show each attribute as they should, and how many show all of them so."""
    single = {name: 100 * float(np.mean([clip[name] for clip in right.values()])) for name in CHANCES}
    return {**single, "all": 100 * float(np.mean([all(clip.values()) for clip in right.values()]))}


def sheet(clips: Mapping[str, Frames], path: Path, *, columns: int = 4, most: int = 24) -> None:
    """Draw first, middle and last frame of clips, side by side, with their names below.

    Of more than ``most`` clips it takes some, evenly. Clips that show something else than they should have a red mark.
    """
    from PIL import Image, ImageDraw  # noqa: PLC0415 - comes with the trainer, and judging needs it not

    clips = {name: clips[name] for name in list(clips)[:: math.ceil(len(clips) / most)]}
    right = right_of(clips)
    width, height = 3 * 68 + 12, 64 + 20
    rows = math.ceil(len(clips) / columns)
    picture = Image.new("RGB", (columns * width, rows * height), "white")
    pen = ImageDraw.Draw(picture)
    for number, (name, clip) in enumerate(clips.items()):
        left, top = number % columns * width, number // columns * height
        for place, index in enumerate((0, len(clip) // 2, -1)):
            picture.paste(Image.fromarray(clip[index]), (left + 68 * place, top))
        missed = [attribute for attribute, held in right[name].items() if not held]
        text = scene_of(name)
        pen.text((left, top + 66), f"{text.color} {text.shape} {text.direction}, {text.background}", fill="black")
        if missed:
            pen.rectangle((left + 204, top, left + 209, top + 63), fill="red")
    picture.save(path)


def main() -> int:
    """Judge a folder of clips."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, metavar="DIR")
    parser.add_argument("--sheet", type=Path, metavar="PICTURE", help="draw a contact sheet")
    parser.add_argument("--only", default="", metavar="WORD", help="judge only clips with this word in their name")
    parser.add_argument("--without", metavar="WORD", help="leave out clips with this word in their name")
    parser.add_argument(
        "--least", nargs="+", default=[], type=bound, metavar="ATTRIBUTE=PERCENT", help="fail if fewer are right"
    )
    options = parser.parse_args()
    try:
        clips = read_all(chosen(options.folder, options.only, options.without))
    except ValueError as error:
        parser.error(str(error))
    if not clips:
        parser.error(f"{options.folder} has no such clips")
    right = right_of(clips)
    found = shares(right)
    print(f"{len(clips)} clips   right   by chance")
    for name, share in found.items():
        chance = 100 / CHANCES[name] if name in CHANCES else 100 / math.prod(CHANCES.values())
        print(f"{name:<12}{share:5.1f} %   {chance:5.1f} %")
    if options.sheet:
        options.sheet.parent.mkdir(parents=True, exist_ok=True)
        sheet(clips, options.sheet)
    return said_enough(found, options.least)


def bound(text: str) -> tuple[str, float]:
    """Read ``ATTRIBUTE=PERCENT``."""
    name, _, percent = text.partition("=")
    if name not in (*CHANCES, "all") or not percent.replace(".", "", 1).isdecimal() or float(percent) > 100:
        raise argparse.ArgumentTypeError(
            f"{text!r} is not one of {', '.join(CHANCES)} and all, with 0 to 100, as in color=90"
        )
    return name, float(percent)


def read_all(paths: Sequence[Path]) -> Mapping[str, Frames]:
    """Read clips, by the names of their scenes.

    Raises:
        ValueError: One can't be read, or names no scene.
    """
    clips: dict[str, Frames] = {}
    for path in paths:
        name = path.stem.removesuffix("-ema")
        if name in clips:
            raise ValueError(f"{path} is there with and without -ema; keep one of them")
        try:
            scene_of(name)
            clips[name] = read(path)
        except (ValueError, av.FFmpegError) as error:
            raise ValueError(f"{path} can't be judged: {error}; --without WORD leaves it out") from error
        if clips[name].shape[1] != clips[name].shape[2]:
            raise ValueError(f"{path} can't be judged: its frames are not square")
    return clips


def chosen(folder: Path, only: str, without: str | None) -> list[Path]:
    """Return the clips to judge."""
    words = {path: path.stem.removesuffix("-ema").split("-") for path in sorted(folder.glob("*.mp4"))}
    return [path for path, has in words.items() if (not only or only in has) and without not in has]


def said_enough(found: Mapping[str, float], least: Sequence[tuple[str, float]]) -> int:
    """Return 0 if all shares are as high as they should be, 1 if not."""
    short = []
    for name, percent in least:
        if found[name] < percent:
            short.append(f"{name} is right in {found[name]:.1f} %, not in {percent:g} %")
    for line in short:
        print(line, file=sys.stderr)
    return int(bool(short))


if __name__ == "__main__":
    sys.exit(main())
