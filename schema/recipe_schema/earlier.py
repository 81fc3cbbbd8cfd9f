"""A run that goes on with another plan, because it was told which settings may differ: what it remembers of the old one.

``earlier-plans/`` in a run directory holds the plans whose checkpoints it has taken over.
"""

from collections.abc import Sequence
from pathlib import Path

from recipe_schema.files import write_atomically
from recipe_schema.planfile import PLAN_FILE


EARLIER_FOLDER = "earlier-plans"
DATA = "data"
"""The name that stands for clips and captions too."""


def is_accepted(path: str, names: Sequence[str]) -> bool:
    """Tell whether a setting may differ: it, or a section that it is in, is among the names."""
    return any(path == name or path.startswith((f"{name}.", f"{name}[")) for name in names)


def keep_earlier(run_dir: Path, plan_id: str) -> None:
    """Remember the plan that a run directory holds, before another one takes its place.

    Args:
        run_dir: The run directory.
        plan_id: The id of the plan that it holds.

    Raises:
        OSError: It can't be written.
    """
    folder = run_dir / EARLIER_FOLDER
    folder.mkdir(exist_ok=True)
    write_atomically(folder / _file_name(plan_id), (run_dir / "plan" / PLAN_FILE).read_bytes())


def is_earlier(run_dir: Path, plan_id: str) -> bool:
    """Tell whether a run has taken over the checkpoints of a plan."""
    return (run_dir / EARLIER_FOLDER / _file_name(plan_id)).is_file()


def _file_name(plan_id: str) -> str:
    return f"{plan_id.removeprefix('sha256:')}.json"
