"""Which files of a run pages may show: its clips, and nothing else."""

from pathlib import Path


_FOLDER = "validation"


def clip_file(run_dir: Path, path: str) -> Path | None:
    """Return the file of a clip; None if there is none.

    Args:
        run_dir: The run directory.
        path: Below it. Whatever it says, and wherever links lead, a file outside of the run's clips is none.
    """
    folder = (run_dir / _FOLDER).resolve()
    try:
        file = (run_dir / path).resolve()
        shown = file.suffix == ".mp4" and not file.name.startswith(".") and file.is_relative_to(folder)
        return file if shown and file.is_file() else None
    except (OSError, ValueError):
        return None
