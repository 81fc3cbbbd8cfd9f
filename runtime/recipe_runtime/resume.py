"""Where training begins: at the run's newest checkpoint, at one of its steps, or at a checkpoint of another run."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from recipe_runtime import checkpoint
from recipe_runtime.checkpoint import Checkpoint
from recipe_runtime.context import Context
from recipe_runtime.errors import CheckpointError


LATEST = "latest"
"""The value of ``checkpoints.resume`` that asks for the run's newest checkpoint, if there is one."""


def find(ctx: Context, warn: Callable[[str], None]) -> Checkpoint | None:
    """Return the checkpoint at which training begins; None to begin with the published weights.

    The run goes back to a step once: after that it goes on from the newest checkpoint of what it trained from there. The path
    of another run's checkpoint counts while the run has none of its own; after that the run goes on from its newest. So the
    same command resumes.

    Args:
        ctx: The run.
        warn: Told of each broken checkpoint that is passed over.

    Raises:
        CheckpointError: What was asked for is not there, is broken, or belongs to another plan.
    """
    asked = ctx.settings.checkpoints.resume
    if asked.isdecimal():
        return _of_step(ctx, int(asked), warn)
    own = checkpoint.latest(ctx.run_dir, plan_id=ctx.plan.plan_id, warn=warn)
    last = ctx.plan.body.schedule.max_steps
    if own is not None and own.step > last:
        raise CheckpointError(
            f"{own.folder} has {own.step} steps behind it and this plan ends after step {last}: there is nothing to train; set "
            f"`train.max_steps` to {own.step} or more, or go on from an earlier checkpoint with `checkpoints.resume: STEP`"
        )
    if asked == LATEST:
        return own
    path = ctx.resolve(asked)
    if own is None:
        return _of_another_run(path, last=last, warn=warn)
    if own.begun_from is None or own.begun_from["path"] != str(path):
        raise CheckpointError(
            f"`checkpoints.resume: {asked}` names the checkpoint of another run, and {ctx.run_dir} holds step {own.step} of "
            f"a run that did not begin there; name another `output_dir`, or set `checkpoints.resume: {LATEST}`"
        )
    return own


def check(ctx: Context) -> None:
    """Check that the checkpoint that is asked for by its step or path is there and whole.

    Raises:
        CheckpointError: It is not.
    """
    if ctx.settings.checkpoints.resume != LATEST:
        find(ctx, warn=lambda _: None)


def _of_step(ctx: Context, step: int, warn: Callable[[str], None]) -> Checkpoint:
    """Return the checkpoint of a step, or the newest of what was trained since the run went back there."""
    if step == 0:
        raise CheckpointError(
            "`checkpoints.resume: 0` asks for the beginning, of which there is no checkpoint; name another `output_dir` to "
            f"train anew, or set `checkpoints.resume: {LATEST}`"
        )
    since = checkpoint.after_going_back(ctx.run_dir, step, plan_id=ctx.plan.plan_id, warn=warn)
    if since is not None:
        return since
    there = checkpoint.steps_there(ctx.run_dir)
    if step not in there:
        raise CheckpointError(
            f"`checkpoints.resume: {step}` asks for a checkpoint that {ctx.run_dir} does not have; {_offer(there, step)}"
        )
    found = _whole(checkpoint.folder_of(ctx.run_dir, step), step, there, plan_id=ctx.plan.plan_id)
    return replace(found, gone_back={"step": step, "count": checkpoint.times_gone_back(ctx.run_dir) + 1})


def _of_another_run(path: Path, *, last: int, warn: Callable[[str], None]) -> Checkpoint:
    step = checkpoint.step_of(path)
    run_dir = path.parent.parent if step is not None else path.parent if path.name == "checkpoints" else path
    there = checkpoint.steps_there(run_dir)
    if not there:
        raise CheckpointError(
            f"`checkpoints.resume` names {path}, and there are no checkpoints; name a run directory, or a folder "
            f"{checkpoint.step_name(500)} in its `checkpoints`"
        )
    if step is not None and step not in there:
        raise CheckpointError(f"`checkpoints.resume` names {path}, which does not exist; {_offer(there, step)}")
    found = _newest_whole(run_dir, there, warn) if step is None else _whole(path, step, there)
    if found.step >= last:
        raise CheckpointError(
            f"{found.folder} has {found.step} steps behind it and this plan ends after step {last}; raise "
            f"`train.max_steps` above {found.step}, or take an earlier checkpoint"
        )
    return Checkpoint(
        step=found.step,
        folder=found.folder,
        parts=found.parts,
        begun_from={"path": str(path), "step": found.step},
    )


def _newest_whole(run_dir: Path, there: list[int], warn: Callable[[str], None]) -> Checkpoint:
    for step in reversed(there):
        folder = checkpoint.folder_of(run_dir, step)
        found = checkpoint.inspect(folder, step)
        if isinstance(found, Checkpoint):
            return found
        warn(f"{folder} is broken ({found}) and is passed over")
    raise CheckpointError(f"no checkpoint in {run_dir} is whole; name another run in `checkpoints.resume`")


def _whole(folder: Path, step: int, there: list[int], *, plan_id: str | None = None) -> Checkpoint:
    """Return a checkpoint, of a certain plan if one is given.

    Raises:
        CheckpointError: It is broken, or of another plan.
    """
    found = checkpoint.inspect(folder, step)
    if isinstance(found, str):
        others = [other for other in there if other != step]
        raise CheckpointError(f"{folder} is broken ({found}); {_offer(others, step)}")
    if plan_id is not None:
        checkpoint.check_plan(folder, plan_id)
    return found


def _offer(there: list[int], wanted: int) -> str:
    """Say which steps are there, the nearest first."""
    if not there:
        return f"there are no others: set `checkpoints.resume: {LATEST}`"
    nearest = min(there, key=lambda step: (abs(step - wanted), step))
    return f"did you mean {nearest}? There are the steps {', '.join(map(str, there))}"
