"""What is left behind when the loss is not a number: the step itself, so that it can be taken again and looked at."""

from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor

from recipe_runtime.batches import StepBatch
from recipe_runtime.bundle import Bundle, bundle_folder, write_bundle
from recipe_runtime.context import Context
from recipe_runtime.errors import NonFiniteLoss
from recipe_runtime.state import TrainState
from recipe_runtime.step import StepResult
from recipe_runtime.trace import Origin, first_nonfinite


_SHOWN = 3


def report_nonfinite(
    ctx: Context, state: TrainState, batch: StepBatch, result: StepResult, whole: Callable[[], StepBatch]
) -> NonFiniteLoss:
    """Leave the step behind in ``failure-STEP/`` of the run directory, and return the error to raise.

    Args:
        ctx: The run.
        state: Model and gradients of the step, which is not counted in its ``step``. Its weights are those before it,
            unless gradients are released.
        batch: What this process was fed.
        result: What came of it.
        whole: Makes the batch with the micro-batches of all processes.
    """
    step = state.step + 1
    broken = [
        name
        for name, weight in state.optimized().items()
        if weight.grad is not None and not bool(torch.isfinite(weight.grad).all())
    ]
    if state.team.size > 1:
        batch = whole().to(ctx.device)
    weights, alignment = _met(state)
    origin = None
    if state.shards is None:  # else a pass needs all processes; `recipe replay` takes it with one
        origin = first_nonfinite(
            state.model,
            batch.parts,
            samples=len(batch.samples),
            settings=ctx.settings.train,
            alignment=state.alignment,
        )
    record = {
        "step": step,
        "plan_id": ctx.plan.plan_id,
        "bucket": batch.bucket,
        "mixed_precision": ctx.settings.train.mixed_precision,
        "device": str(ctx.device),
        "torch": torch.__version__,
        "grad_norm": repr(result.grad_norm),
        "samples": _samples(batch, result),
        "first": None if origin is None else {**asdict(origin), "clips": _clips(batch, origin)},
        "parameters_with_broken_gradients": broken,
        "weights": "as the step left them" if state.release is not None else "as the step met them",
    }
    folder = bundle_folder(ctx.run_dir, step)
    bundle = Bundle(record=record, parts=batch.parts, weights=weights, alignment=alignment)
    try:
        write_bundle(folder, bundle, ctx.plan_dir)
        kept = f"`recipe replay {folder}` takes the step again"
    except OSError as error:
        kept = f"the step could not be left behind in {folder} ({error})"
    return NonFiniteLoss(_message(record, result, origin, kept))


def _met(state: TrainState) -> tuple[Mapping[str, Tensor], Mapping[str, Tensor]]:
    """Return the weights that the step met and what is trained beside them, and where alignment stands.

    The latter is that of a checkpoint, with the average of the weights where that teaches.
    """
    alignment = state.alignment
    parts = (
        {} if alignment is None and state.shards is None else state.parts()
    )  # which gathers, where weights are spread
    if state.shards is None:
        weights = {name: weight.detach().clone() for name, weight in state.optimized().items()}
    else:
        beside = () if alignment is None else alignment.parameters()
        weights = {**parts["model"], **{name: parts["crepa"][name] for name in beside}}
    if alignment is None:
        return weights, {}
    kept = ("crepa", "ema") if alignment.average_teaches else ("crepa",)
    return weights, {f"{part}.{name}": tensor for part in kept for name, tensor in parts[part].items()}


def _message(record: Mapping[str, Any], result: StepResult, origin: Origin | None, kept: str) -> str:
    samples = record["samples"]
    named = ", ".join(f"{s['clip']} (sigma {s['sigma']:.3f}, loss {s['loss']})" for s in samples[:_SHOWN])
    more = f" and {len(samples) - _SHOWN} more" if len(samples) > _SHOWN else ""
    broken = record["parameters_with_broken_gradients"]
    first = f"; the first broken gradient is that of {broken[0]}" if broken else ""
    if origin is not None:
        clips = record["first"]["clips"]
        first = f"; the first value that is no number is {origin.sentence()}" + (
            f" (clips {', '.join(clips)})" if clips else ""
        )
    return (
        f"loss {result.loss} and gradient norm {result.grad_norm} at step {record['step']} in bucket {record['bucket']}, "
        f"clips {named}{more}{first}; nothing of this step was saved; {kept}: look at these clips, or lower "
        "optimizer.learning_rate, and run again"
    )


def _samples(batch: StepBatch, result: StepResult) -> list[dict[str, Any]]:
    timesteps = torch.cat([part.timestep.cpu() for part in batch.parts]).tolist()
    return [
        {
            "clip": sample.row.clip_id,
            "text": text,
            "epoch": sample.epoch,
            "repeat": sample.repeat,
            "sigma": sigma,
            "timestep": timestep,
            "loss": repr(loss),
        }
        for sample, text, sigma, timestep, loss in zip(
            batch.samples, batch.texts, batch.sigmas, timesteps, result.losses, strict=True
        )
    ]


def _clips(batch: StepBatch, origin: Origin) -> list[str]:
    """Name the clips of the micro-batch in which a value was seen."""
    if origin.micro_batch is None:
        return []
    before = sum(len(part.sigma) for part in batch.parts[: origin.micro_batch])
    count = len(batch.parts[origin.micro_batch].sigma)
    return [sample.row.clip_id for sample in batch.samples[before : before + count]]
