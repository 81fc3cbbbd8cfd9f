"""Stage ``push``: uploads the export, with its model card."""

import time

from recipe_runtime.context import Context
from recipe_runtime.errors import RunError
from recipe_runtime.push.card import CARD, model_card
from recipe_runtime.push.repository import Repository
from recipe_runtime.stage import report_stage
from recipe_runtime.stop import StopRequested
from recipe_schema.events import Pushed
from recipe_schema.files import write_atomically


_FOLDER = "export"


def run(ctx: Context, repository: Repository) -> None:
    """Write the model card into the export, and upload both. What is there already is not sent again.

    Raises:
        RunError: It can't be uploaded. The export stays.
    """
    began = time.monotonic()
    export = ctx.run_dir / _FOLDER
    with report_stage(ctx.recorder, "push", total=1, reused=0, unit="models", stop=StopRequested()) as report:
        try:
            write_atomically(export / CARD, model_card(ctx, export, repository.name).encode())
        except OSError as error:
            raise RunError(
                f"{export / CARD} can't be written: {error}; make room and run the same command again"
            ) from error
        step = ctx.plan.body.schedule.max_steps
        address = repository.upload(export, below="", message=f"{ctx.plan.name}, step {step}")
        seconds = time.monotonic() - began
        ctx.recorder.emit(Pushed(repository=repository.name, path=_FOLDER, step=step, address=address, seconds=seconds))
        report.finish(1)
