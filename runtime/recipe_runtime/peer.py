"""``python -m recipe_runtime.peer``: one of the other processes of a run. `recipe_runtime.peers` starts it.

It builds the same model, trains its part of every step's samples, and measures and draws its part of the clips. Events and
checkpoints are the first process's.
"""

import argparse
import os
import signal
import sys
import threading
import traceback
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path

import torch

from recipe_runtime import checkpoint, train
from recipe_runtime.alarms import Watchdog
from recipe_runtime.batches import BatchMaker, StepBatch, prefetch
from recipe_runtime.checkpoint import Checkpoint
from recipe_runtime.context import Context, build_context
from recipe_runtime.encode_text import text_index
from recipe_runtime.encode_video import latent_index
from recipe_runtime.errors import CheckpointError, RunError
from recipe_runtime.evaluate import Evaluator
from recipe_runtime.launch import STOPS, choose_device, quiet_libraries
from recipe_runtime.memory import shortage_explained
from recipe_runtime.peers import READY
from recipe_runtime.probe import probe
from recipe_runtime.record import Silence
from recipe_runtime.schedule import learning_rate
from recipe_runtime.state import TrainState
from recipe_runtime.step import train_step
from recipe_runtime.stop import StopRequested
from recipe_runtime.team import ALONE, Team, joined
from recipe_runtime.validate import draw_clips
from recipe_runtime.whole import whole_state
from recipe_schema.exits import Exit
from recipe_schema.planfile import read_plan
from recipe_schema.sections.hardware import processes_of


def main(arguments: Sequence[str] | None = None) -> int:
    """Train along until the first process stops, and return the exit code."""
    options = _parser().parse_args(arguments)
    _end_with_the_first()
    quiet_libraries()
    try:
        _run(options)
    except RunError as error:
        sys.stderr.write(f"recipe: {error}\n")
        return error.exit_code
    except Exception as error:  # noqa: BLE001 - the outermost frame: the first process tells it
        traceback.print_exc()
        sys.stderr.write(f"recipe: {type(error).__name__}: {error}\n")
        return Exit.BUG
    return Exit.OK


def _run(options: argparse.Namespace) -> None:
    plan = read_plan(options.plan_dir)
    torch.set_num_threads(options.threads)
    device = choose_device(str(plan.settings["hardware.device"]))
    if device.type == "cuda":
        device = torch.device("cuda", options.rank % plan.settings["launch.processes"])
        torch.cuda.set_device(device)
    ctx = build_context(
        plan,
        options.plan_dir,
        root=options.root,
        run_dir=options.run_dir,
        device=device,
        recorder=Silence(),
        rank=options.rank,
    )
    with train.matrix_products(tf32=ctx.settings.hardware.tf32):
        found = _found(options.checkpoint)
        size = processes_of(ctx.settings.launch)
        state = _state(ctx, found) if ctx.settings.launch.strategy == "ddp" else None
        texts = text_index(ctx)
        evaluator = Evaluator(ctx, latents=latent_index(ctx), texts=texts)
        sys.stdout.write(f"{READY}\n")
        sys.stdout.flush()
        with joined(options.meeting, rank=options.rank, size=size, device=device) as team:
            if state is None:
                state = _state(ctx, found, team)
            else:
                state.team = team
                team.share_weights([parameter.detach() for parameter in state.optimized().values()])
            batches = train.batch_maker(ctx, state.alignment)
            if state.shards is not None and ctx.settings.memory.probe_largest_bucket:
                probe(ctx, state, batches)
            _follow(ctx, state, batches, evaluator, texts)


def _state(ctx: Context, found: Checkpoint | None, team: Team = ALONE) -> TrainState:
    state = train.build_state(ctx, team, checkpoint.split_of(found))
    if found is not None:
        found.load(state)
    return state


def _follow(
    ctx: Context,
    state: TrainState,
    batches: BatchMaker,
    evaluator: Evaluator,
    texts: Mapping[tuple[str, bool], str],
) -> None:
    """Do what the first process says, until it says to stop or a step fails."""
    steps = range(state.step, ctx.plan.body.schedule.max_steps)
    with closing(prefetch(batches.make, steps)) as made, Watchdog(ctx).watching() as watchdog:
        while True:
            order = state.team.take()
            if order == "stop":
                return
            if order == "gather":
                state.parts()
            elif order == "save":
                checkpoint.write_slices(ctx.run_dir, state)
            elif order == "measure":
                evaluator.measure(whole_state(ctx, state))
            elif order == "draw":
                draw_clips(ctx, whole_state(ctx, state), texts, StopRequested())
            else:
                with watchdog.step(state.step + 1):
                    finite = _step(ctx, state, next(made).to(ctx.device))
                if not finite:
                    # The first process leaves the step behind, and needs all slices for that.
                    if state.shards is not None and state.team.take() == "gather":
                        state.parts()
                    return


def _step(ctx: Context, state: TrainState, batch: StepBatch) -> bool:
    """Take a step, and return whether it was taken: its loss and gradients are numbers."""
    peak, last = ctx.settings.optimizer.learning_rate, ctx.plan.body.schedule.max_steps
    rate = learning_rate(state.step, ctx.settings.lr_schedule, peak=peak, max_steps=last)
    if state.alignment is not None:
        state.alignment.begin(state.step)
    with shortage_explained(ctx, f"step {state.step + 1}", bucket=batch.bucket):
        result = train_step(
            state.model,
            state.optimizer,
            batch,
            rate=rate,
            settings=ctx.settings.train,
            alignment=state.alignment,
            team=state.team,
            shards=state.shards,
        )
    if not result.finite:
        return False
    state.step += 1
    if state.average is not None:
        state.average.update(state.step)  # it is measured here too
    if state.alignment is not None:
        state.alignment.finish(state.team)
    return True


def _found(folder: Path | None) -> Checkpoint | None:
    if folder is None:
        return None
    step = checkpoint.step_of(folder)
    found = "its name says no step" if step is None else checkpoint.inspect(folder, step)
    if isinstance(found, str):
        raise CheckpointError(f"{folder} is broken ({found}); run the same command again")
    return found


def _end_with_the_first() -> None:
    """Leave signals to the first process, and end when it is gone."""
    for number in STOPS:
        signal.signal(number, signal.SIG_IGN)

    def wait() -> None:
        while os.read(sys.stdin.fileno(), 1):
            pass
        os._exit(Exit.FAILED)

    threading.Thread(target=wait, daemon=True).start()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m recipe_runtime.peer")
    parser.add_argument("plan_dir", type=Path)
    parser.add_argument("--run-dir", type=Path, required=True)
    parser.add_argument("--root", type=Path, required=True)
    parser.add_argument("--rank", type=int, required=True)
    parser.add_argument("--meeting", required=True)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--checkpoint", type=Path)
    return parser


if __name__ == "__main__":
    sys.exit(main())
