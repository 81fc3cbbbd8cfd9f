"""Stage ``push``: uploads the export, with its model card."""

import time
from pathlib import Path

from recipe_runtime.errors import RunError
from recipe_runtime.exported import EXPORT_FOLDER
from recipe_runtime.push.card import CARD, model_card
from recipe_runtime.push.repository import Repository
from recipe_runtime.record import Recorder
from recipe_runtime.stage import report_stage
from recipe_runtime.stop import StopRequested
from recipe_schema.events import Pushed
from recipe_schema.files import write_atomically
from recipe_schema.plan import Plan


def run(plan: Plan, run_dir: Path, recorder: Recorder, repository: Repository) -> None:
    """Write the model card into the export, and upload both. What is there already is not sent again.

    Args:
        plan: The plan of the run, which got to its end.
        run_dir: The run directory.
        recorder: Takes events.
        repository: Where to. It was opened.

    Raises:
        RunError: It can't be uploaded. The export stays.
    """
    began = time.monotonic()
    export = run_dir / EXPORT_FOLDER
    with report_stage(recorder, "push", total=1, reused=0, unit="models", stop=StopRequested()) as report:
        try:
            write_atomically(export / CARD, model_card(plan, export, repository.name).encode())
        except OSError as error:
            raise RunError(
                f"{export / CARD} can't be written: {error}; make room and run the same command again"
            ) from error
        step = plan.body.schedule.max_steps
        address = repository.upload(export, below="", message=f"{plan.name}, step {step}")
        seconds = time.monotonic() - began
        recorder.emit(
            Pushed(repository=repository.name, path=EXPORT_FOLDER, step=step, address=address, seconds=seconds)
        )
        report.finish(1)
