"""Weights & Biases, online or offline."""

import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import wandb

from recipe_runtime.errors import RunError
from recipe_runtime.watch.tracker import Chart, Journal
from recipe_schema.files import write_atomically


ID_FILE = "wandb-id"
"""In the run directory: the id of the run there, so that a resumed run is the same one."""

_START_SECONDS = 60
_FINISH_SECONDS = 120
"""How long an upload may take when the run begins and when it is over. What is missing lies on the disk."""


class WandbTracker:
    """Draws curves and shows clips there. The library sends from a process of its own.

    Args:
        journal: What to tell of the run.
        mode: Whether it uploads while the run goes on.

    Raises:
        RunError: Nobody is logged in.
    """

    def __init__(self, journal: Journal, mode: Literal["online", "offline"]) -> None:
        settings = wandb.Settings(
            init_timeout=_START_SECONDS, finish_timeout=_FINISH_SECONDS, silent=True, console="off"
        )
        if mode == "online" and not wandb.login(prompt=False):
            raise RunError(
                "`tracking.report_to: wandb` needs a login; run `wandb login`, or set WANDB_API_KEY, or set "
                "`tracking.wandb_mode: offline`"
            )
        self._run = wandb.init(
            project=journal.project,
            name=journal.name,
            id=run_id(journal.run_dir),
            resume="allow",
            mode=mode,
            dir=str(journal.run_dir),
            config=dict(journal.config),
            settings=settings,
        )
        # wandb's own count can't go back, and after a crash some steps come twice.
        self._run.define_metric("step")
        self._run.define_metric("*", step_metric="step")

    def resume(self, step: int) -> None:
        """Do nothing: points are drawn over their step, and the later of two is on top."""

    def curves(self, step: int, values: Mapping[str, float]) -> None:
        """Add a point to each curve."""
        self._run.log({"step": step, **values})

    def chart(self, step: int, name: str, chart: Chart) -> None:
        """Upload a chart, drawn there from a table."""
        rows = [list(pair) for pair in zip(chart.places, chart.values, strict=True)]
        table = wandb.Table(data=rows, columns=[chart.across, chart.along])
        self._run.log(
            {"step": step, name: wandb.plot.line(table, chart.across, chart.along, title=f"{name}, step {step}")}
        )

    def clip(self, step: int, name: str, path: Path) -> None:
        """Upload a clip."""
        self._run.log({"step": step, name: wandb.Video(str(path), format="mp4")})

    def finish(self, *, well: bool) -> None:
        """Upload what is left, for a bounded time."""
        self._run.finish(exit_code=0 if well else 1)

    def abandon(self) -> None:
        """End the library's process now: at the end of ours it would tell of the failure again, with a trace."""
        wandb.teardown(exit_code=1)


def run_id(run_dir: Path) -> str:
    """Return the id that the run has there, and make one if it has none."""
    path = run_dir / ID_FILE
    try:
        found = path.read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        found = ""
    if not found:
        found = secrets.token_hex(4)
        write_atomically(path, f"{found}\n".encode())
    return found
