"""The pictures from which validation clips start: what they are, and how they are cut."""

import os
from collections.abc import Mapping
from pathlib import Path

from recipe_compiler.data.facts import FoundImage
from recipe_compiler.data.geometry import fit, parse_size
from recipe_compiler.data.probe import MASK_SUFFIXES, Probe
from recipe_compiler.settings import Resolved
from recipe_schema.plan import FirstImage


IMAGES, SIZE = "validation.images", "validation.resolution"


def image_files(settings: Resolved, root: Path) -> Mapping[str, Path]:
    """Return the file of each first frame, by the nickname of its prompt. Those with wrong settings are left to findings."""
    if not settings.fine(IMAGES, SIZE):
        return {}
    return {name: Path(os.path.normpath(root / path)) for name, path in settings[IMAGES].items()}


def look_at_images(
    settings: Resolved, files: Mapping[str, Path], probes: Mapping[Path, Probe]
) -> Mapping[str, FoundImage]:
    """Say of each first frame what it is.

    Args:
        settings: The settings.
        files: What `image_files` gives.
        probes: What those of them say of themselves that are there.
    """
    return {name: _found(settings, name, file, probes) for name, file in files.items()}


def _found(settings: Resolved, name: str, file: Path, probes: Mapping[Path, Probe]) -> FoundImage:
    problem = _problem(file, probes)
    if problem:
        return FoundImage(problem=problem)
    facts = probes[file]
    place = fit(facts.width, facts.height, [parse_size(settings[SIZE])])
    image = FirstImage(
        path=settings[IMAGES][name],
        sha256=facts.sha256,
        size_bytes=file.stat().st_size,
        bucket_width=place.width,
        bucket_height=place.height,
        resize_width=place.resize_width,
        resize_height=place.resize_height,
        crop_left=place.crop_left,
        crop_top=place.crop_top,
    )
    return FoundImage(width=facts.width, height=facts.height, image=image)


def _problem(file: Path, probes: Mapping[Path, Probe]) -> str:
    if file not in probes:
        return "is a folder" if file.is_dir() else "does not exist"
    if file.suffix.lower() not in MASK_SUFFIXES:
        return f"ends in `{file.suffix}`, and is known neither as a picture nor as a video"
    return probes[file].problem
