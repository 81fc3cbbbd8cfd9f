"""What is left behind when the loss is not a number: all that is needed to look at that very step again."""

import json
from pathlib import Path

import torch
from torch import nn

from recipe_runtime.batches import StepBatch
from recipe_runtime.errors import NonFiniteLoss
from recipe_runtime.step import StepResult
from recipe_schema.files import write_atomically


_SHOWN = 3


def report_nonfinite(
    run_dir: Path, model: nn.Module, *, step: int, batch: StepBatch, result: StepResult
) -> NonFiniteLoss:
    """Write ``failure-STEP.json`` into the run directory and return the error to raise.

    Args:
        run_dir: The run directory.
        model: The transformer with the gradients of the step. Its weights are those before the step, unless gradients are released.
        step: The step that failed: the first is 1.
        batch: What it was fed.
        result: What came of it.
    """
    broken = [
        name
        for name, parameter in model.named_parameters()
        if parameter.grad is not None and not bool(torch.isfinite(parameter.grad).all())
    ]
    samples = [
        {
            "clip": sample.row.clip_id,
            "text": text,
            "epoch": sample.epoch,
            "repeat": sample.repeat,
            "sigma": sigma,
            "loss": repr(loss),
        }
        for sample, text, sigma, loss in zip(batch.samples, batch.texts, batch.sigmas, result.losses, strict=True)
    ]
    record = {
        "step": step,
        "bucket": batch.bucket,
        "grad_norm": repr(result.grad_norm),
        "samples": samples,
        "parameters_with_broken_gradients": broken,
    }
    path = run_dir / f"failure-{step:08d}.json"
    write_atomically(path, json.dumps(record, indent=1, ensure_ascii=False).encode() + b"\n")
    named = ", ".join(f"{s['clip']} (sigma {s['sigma']:.3f}, loss {s['loss']})" for s in samples[:_SHOWN])
    more = f" and {len(samples) - _SHOWN} more" if len(samples) > _SHOWN else ""
    layers = f"; the first broken gradient is that of {broken[0]}" if broken else ""
    return NonFiniteLoss(
        f"loss {result.loss} and gradient norm {result.grad_norm} at step {step} in bucket {batch.bucket}, clips "
        f"{named}{more}{layers}; nothing of this step was saved, {path} has the details: look at these clips, or lower "
        "optimizer.learning_rate, and run again"
    )
