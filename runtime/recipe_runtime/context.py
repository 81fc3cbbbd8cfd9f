"""What every stage gets: the plan, read and decoded once, and the places and devices of this process."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from recipe_runtime.encode_queue import ALONE, Worker
from recipe_runtime.errors import PlanRefused
from recipe_runtime.ledgerfile import read_ledger
from recipe_runtime.record import Recorder
from recipe_runtime.store import Store
from recipe_schema.decode import decode_settings
from recipe_schema.events import Warned
from recipe_schema.ledger import ClipRow
from recipe_schema.plan import Plan
from recipe_schema.recipe import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Meeting:
    """Where several machines meet: an address of the first one."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"tcp://{self.host}:{self.port}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """One run in one process.

    Attributes:
        plan: The plan.
        settings: Its settings, decoded.
        rows: The clips that are trained, in order of ``clip_id``.
        eval_rows: The clips that are only measured, likewise.
        root: Absolute folder at which relative paths of the settings start.
        run_dir: Absolute folder that the run writes.
        device: Where models run.
        store: Latents and text embeddings.
        recorder: Takes events.
        worker: Which this is of the processes that encode for the plan.
        plan_dir: Absolute folder of the plan.
        rank: Number of this process among those that train together. The first is 0, and does everything else alone.
        meeting: Where machines meet; None if there is one.
    """

    plan: Plan
    settings: Settings
    rows: tuple[ClipRow, ...]
    eval_rows: tuple[ClipRow, ...]
    root: Path
    run_dir: Path
    device: torch.device
    store: Store
    recorder: Recorder
    plan_dir: Path
    rank: int = 0
    worker: Worker = ALONE
    meeting: Meeting | None = None

    @property
    def windows(self) -> tuple[ClipRow, ...]:
        """The windows of the clips that are trained, each of which is encoded: a row for each."""
        return tuple(window for row in self.rows for window in row.windows)

    @property
    def eval_windows(self) -> tuple[ClipRow, ...]:
        """The windows of the clips that are only measured, likewise."""
        return tuple(window for row in self.eval_rows for window in row.windows)

    @property
    def facts(self) -> Mapping[str, Any]:
        """Facts of the model family, as the plan holds them."""
        return self.plan.body.facts

    def resolve(self, path: str) -> Path:
        """Return the absolute path of a path in the settings."""
        return self.root / path

    def dataset_dir(self, dataset_id: str) -> Path:
        """Return the folder of a data set.

        Raises:
            PlanRefused: The ledger names a data set that the settings do not have.
        """
        for dataset in self.settings.data.datasets:
            if dataset.id == dataset_id:
                assert dataset.instance_data_dir is not None, "a plan has only data sets that were looked at"
                return self.resolve(dataset.instance_data_dir)
        raise PlanRefused(
            f"the ledger has clips of the data set `{dataset_id}`, which the plan's settings do not have; make the "
            "plan anew with `recipe plan RECIPE`"
        )

    def clip_path(self, row: ClipRow) -> Path:
        """Return the file of a clip."""
        return self.dataset_dir(row.dataset) / row.path


def build_context(  # noqa: PLR0913 - the fields of a context
    plan: Plan,
    plan_dir: Path,
    *,
    root: Path,
    run_dir: Path,
    device: torch.device,
    recorder: Recorder,
    rank: int = 0,
) -> Context:
    """Read the ledger and put together what stages need. No model is loaded.

    Args:
        plan: The plan.
        plan_dir: Its folder.
        root: Folder at which relative paths of the settings start.
        run_dir: Folder that the run writes.
        device: Where models run.
        recorder: Takes events.
        rank: See `Context`.

    Raises:
        PlanRefused: The ledger can't be read.
    """
    settings = decode_settings(plan.settings)
    ledger = sorted(read_ledger(plan_dir), key=lambda row: row.clip_id)
    root = root.absolute()
    return Context(
        plan=plan,
        settings=settings,
        rows=tuple(row for row in ledger if row.fate == "trained"),
        eval_rows=tuple(row for row in ledger if row.fate == "evaluated"),
        root=root,
        run_dir=run_dir.absolute(),
        device=device,
        store=Store(
            root / settings.data.store_dir,
            compress=settings.data.compress,
            tell=lambda message: recorder.emit_later(Warned(message=message)),
        ),
        recorder=recorder,
        plan_dir=plan_dir.absolute(),
        rank=rank,
    )
