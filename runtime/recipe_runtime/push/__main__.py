"""``python -m recipe_runtime.push RUN_DIR``: uploads a finished run, as `hub.push` does at its end. It needs no torch."""

import argparse
import json
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from recipe_runtime.console import Console
from recipe_runtime.errors import PlanRefused, RunError
from recipe_runtime.exported import EXPORT_FOLDER, MARKER
from recipe_runtime.process import environment, run_lock
from recipe_runtime.push import push
from recipe_runtime.push.repository import named_repository
from recipe_runtime.record import Recorder
from recipe_schema.decode import DecodeError, decode_settings
from recipe_schema.exits import Exit
from recipe_schema.plan import Plan
from recipe_schema.planfile import PlanError, read_plan


def main(arguments: Sequence[str] | None = None) -> int:
    """Upload a run and return the exit code of the process."""
    options = _parser().parse_args(arguments)
    run_dir: Path = options.run_dir.absolute()
    try:
        plan = read_plan(run_dir / "plan")
        _check_finished(plan, run_dir)
        hub = decode_settings(plan.settings).hub
        private = hub.private and not options.public
        name = _name(options.to or hub.model_id, run_dir)
        repository = named_repository(name, hub.token_env, environment(), private=private)
        with ExitStack() as stack:
            stack.enter_context(run_lock(run_dir))
            listeners = [] if options.quiet else [stack.enter_context(Console())]
            repository.open()
            push.run(plan, run_dir, stack.enter_context(Recorder(run_dir, listeners)), repository)
    except (PlanError, DecodeError) as error:
        return _fail(str(error), Exit.REFUSED)
    except RunError as error:
        # The run itself stays finished: that an upload failed is no event of it.
        return _fail(str(error), error.exit_code)
    return Exit.OK


def _name(given: str | None, run_dir: Path) -> str:
    """Return the repository's name.

    Raises:
        RunError: There is none.
    """
    if given is None:
        raise RunError(f"the recipe of {run_dir} names no repository; give one with `--to OWNER/NAME`")
    return given


def _check_finished(plan: Plan, run_dir: Path) -> None:
    """Check that the export is what the plan leads to.

    Raises:
        PlanRefused: It is not there, or that of another step or plan.
    """
    path, last = run_dir / EXPORT_FOLDER / MARKER, plan.body.schedule.max_steps
    try:
        marker = json.loads(path.read_text(encoding="utf-8"))
        finished = marker["plan_id"] == plan.plan_id and marker["step"] == last
    except FileNotFoundError:
        finished = False
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise PlanRefused(f"{path} can't be read ({error!r}); the same `recipe run` again exports anew") from error
    if not finished:
        raise PlanRefused(
            f"{run_dir} has no export of step {last}, the last one: the run is not finished; go on with the same `recipe "
            "run`, and push it then"
        )


def _fail(message: str, exit_code: int) -> int:
    sys.stderr.write(f"recipe: {message}\n")
    return exit_code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m recipe_runtime.push", description="Upload a finished run.")
    parser.add_argument("run_dir", type=Path, metavar="RUN_DIR")
    parser.add_argument("--to", metavar="OWNER/NAME", help="the repository; default: hub.model_id of the plan")
    parser.add_argument("--public", action="store_true", help="make or take a public repository")
    parser.add_argument("--quiet", action="store_true", help="show errors only")
    return parser


if __name__ == "__main__":
    sys.exit(main())
