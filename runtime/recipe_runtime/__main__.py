"""``python -m recipe_runtime PLAN_DIR --run-dir DIR``: executes a plan. Running it again goes on where it stopped.

With ``--encode [--worker I/N]`` in place of ``--run-dir DIR`` it only fills the store, beside any number of others.
"""

import signal


if __name__ == "__main__" and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # libraries take seconds to load, and Ctrl-C is no traceback

import argparse
import sys
import tempfile
import traceback
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import torch

from recipe_runtime.console import Console
from recipe_runtime.context import Context, Meeting, build_context
from recipe_runtime.encode_queue import ALONE, read_worker
from recipe_runtime.errors import RunError
from recipe_runtime.execute import encode, execute, failures_told
from recipe_runtime.launch import (
    choose_device,
    describe_device,
    quiet_libraries,
    signals_request_stop,
)
from recipe_runtime.machines import check_place, join, place_among, read_meeting
from recipe_runtime.peers import Peer
from recipe_runtime.plancopy import discard_plan, keep_plan
from recipe_runtime.process import environment, run_lock
from recipe_runtime.push.repository import build_repository
from recipe_runtime.record import Recorder, Silence
from recipe_runtime.watch.watchers import Watchers
from recipe_schema.decode import DecodeError
from recipe_schema.exits import Exit
from recipe_schema.lasting import lasting_output
from recipe_schema.plan import Plan
from recipe_schema.planfile import PlanError, read_plan


def main(arguments: Sequence[str] | None = None) -> int:
    """Execute a plan and return the exit code of the process. See `recipe_schema.exits`."""
    options = _parser().parse_args(arguments)
    quiet_libraries()
    try:
        plan = read_plan(options.plan_dir)
        if options.encode:
            _encode(plan, options)
            return Exit.OK
        # For one machine, variables of the environment are meant for something else.
        variables = environment() if plan.settings["launch.machines"] > 1 else {}
        machine, meeting = place_among(options.machine, options.meeting, variables)
        check_place(plan, machine, meeting)
        if machine == 0:
            _run(plan, options, meeting)
        else:
            assert meeting is not None, "it was checked"
            _join(plan, options, machine, meeting)
    except (PlanError, DecodeError) as error:
        return _fail(str(error), Exit.REFUSED)
    except RunError as error:
        return _fail(str(error), error.exit_code)
    except Exception:  # noqa: BLE001 - the outermost frame: shown whole, and its exit code says that it is our fault
        traceback.print_exc()
        return _fail("this is a fault of the runtime itself; please report it with the lines above", Exit.BUG)
    return Exit.OK


def _fail(message: str, exit_code: int) -> int:
    sys.stderr.write(f"recipe: {message}\n")
    return exit_code


def _run(plan: Plan, options: argparse.Namespace, meeting: Meeting | None) -> None:
    run_dir: Path = options.run_dir.absolute()
    try:
        run_dir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(
            f"the run directory {run_dir} can't be made: {error}; name another one in `output_dir`"
        ) from error
    with ExitStack() as stack:
        stack.enter_context(run_lock(run_dir, options.lock))
        keep_plan(plan, options.plan_dir, run_dir)
        listeners = [] if options.quiet else [stack.enter_context(Console(verbose=options.verbose))]
        recorder = stack.enter_context(Recorder(run_dir, listeners))
        watchers = stack.enter_context(Watchers(recorder))
        stack.enter_context(failures_told(recorder))
        watchers.begin(plan, run_dir, environment())
        stop = stack.enter_context(signals_request_stop())
        ctx = replace(_context(plan, options, run_dir, recorder), meeting=meeting)
        execute(ctx, stop, describe_device(ctx.device), build_repository(ctx.settings.hub, environment()))


def _join(plan: Plan, options: argparse.Namespace, machine: int, meeting: Meeting) -> None:
    """Train along with the first machine. It alone writes the run directory."""
    ctx = _context(plan, options, options.run_dir.absolute(), Silence())
    if not options.quiet:
        sys.stderr.write(
            f"machine {machine} of {plan.settings['launch.machines']}: waiting for the first, at {meeting}\n"
        )
    try:
        join(
            ctx,
            machine,
            meeting,
            lambda rank, found, threads: Peer(ctx, rank, str(meeting), found, threads=threads),
        )
    finally:
        if options.discard_plan:
            discard_plan(options.plan_dir)


def _encode(plan: Plan, options: argparse.Namespace) -> None:
    """Fill the store. No run directory is written, so that several processes need not share one."""
    with ExitStack() as stack:
        events = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="recipe-encode-")))
        listeners = [] if options.quiet else [stack.enter_context(Console())]
        recorder = stack.enter_context(Recorder(events, listeners))
        stop = stack.enter_context(signals_request_stop())
        ctx = replace(_context(plan, options, events, recorder), worker=options.worker)
        if options.discard_plan:
            discard_plan(options.plan_dir)
        encode(ctx, stop)


def _context(plan: Plan, options: argparse.Namespace, run_dir: Path, recorder: Recorder) -> Context:
    device = choose_device(str(plan.settings["hardware.device"]))
    if plan.settings["hardware.torch_num_threads"] is not None:
        torch.set_num_threads(plan.settings["hardware.torch_num_threads"])
    root: Path = options.root if options.root is not None else Path(plan.execution.root)
    return build_context(plan, options.plan_dir, root=root, run_dir=run_dir, device=device, recorder=recorder)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m recipe_runtime", description="Execute a plan of `recipe plan`.")
    parser.add_argument("plan_dir", type=Path, metavar="PLAN_DIR", help="the plan: a directory with plan.json")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--run-dir", type=Path, metavar="DIR", help="execute the plan; where the run is written")
    what.add_argument("--encode", action="store_true", help="only fill the store with latents and text embeddings")
    parser.add_argument(
        "--worker", type=read_worker, default=ALONE, metavar="I/N", help="with --encode: which of N processes this is"
    )
    parser.add_argument("--machine", type=int, metavar="I", help="which of several machines this is, from 0")
    parser.add_argument("--meeting", type=read_meeting, metavar="HOST:PORT", help="address of the first machine")
    parser.add_argument("--lock", type=int, metavar="FD", help="the run directory's lock, which is held already")
    parser.add_argument("--discard-plan", action="store_true", help="remove the plan once it is of no use")
    parser.add_argument("--root", type=Path, metavar="DIR", help="where relative paths start; default: the plan's root")
    parser.add_argument("--quiet", action="store_true", help="show errors only; events.jsonl has everything")
    parser.add_argument("--verbose", action="store_true", help="show a line for each step")
    return parser


if __name__ == "__main__":
    with lasting_output():
        code = main()
    sys.exit(code)
