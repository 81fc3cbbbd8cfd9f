"""Which files of a run pages may show: its clips and their contact sheets, and nothing else."""

from collections.abc import Mapping
from pathlib import Path


_FOLDER = "validation"

MEDIA_TYPES: Mapping[str, str] = {".mp4": "video/mp4", ".jpg": "image/jpeg"}
"""What may be shown, by its ending."""


def clip_file(run_dir: Path, path: str) -> Path | None:
    """Return the file of a clip or a contact sheet; None if there is none.

    Args:
        run_dir: The run directory.
        path: Below it. Whatever it says, and wherever links lead, a file outside of the run's clips is none.
    """
    folder = (run_dir / _FOLDER).resolve()
    try:
        file = (run_dir / path).resolve()
        shown = file.suffix in MEDIA_TYPES and not file.name.startswith(".") and file.is_relative_to(folder)
        return file if shown and file.is_file() else None
    except (OSError, ValueError):
        return None
