"""``python -m recipe_runtime.replay BUNDLE``: take a failed step again, and tell where it goes wrong first.

Nothing is written and nothing is trained. Exit code 1 says that a value is not finite this time too.
"""

import argparse
import dataclasses
import json
import sys
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from recipe_runtime import train
from recipe_runtime.bundle import FAILURE_FILE, PLAN_FOLDER, Bundle, read_bundle
from recipe_runtime.context import Context, build_context
from recipe_runtime.errors import BundleError, RunError
from recipe_runtime.launch import choose_device, quiet_libraries
from recipe_runtime.record import Silence
from recipe_runtime.state import TrainState
from recipe_runtime.trace import Origin, first_nonfinite
from recipe_schema.decode import DecodeError
from recipe_schema.exits import Exit
from recipe_schema.planfile import PlanError, read_plan
from recipe_schema.record import replace


def main(arguments: Sequence[str] | None = None) -> int:
    """Take the step again and return the exit code of the process."""
    options = _parser().parse_args(arguments)
    quiet_libraries()
    try:
        bundle, origin = replay(
            options.bundle, root=options.root, device=options.device, mixed_precision=options.mixed_precision
        )
    except (PlanError, DecodeError) as error:
        sys.stderr.write(f"recipe: {error}\n")
        return Exit.REFUSED
    except RunError as error:
        sys.stderr.write(f"recipe: {error}\n")
        return error.exit_code
    except Exception:  # noqa: BLE001 - the outermost frame: shown whole, and its exit code says that it is our fault
        traceback.print_exc()
        return Exit.BUG
    if options.format == "json":
        told = json.dumps({"record": bundle.record, "now": None if origin is None else asdict(origin)}, indent=1)
    else:
        asked = {"--device": options.device, "--mixed-precision": options.mixed_precision}
        told = "\n".join(_lines(bundle.record, origin, asked))
    sys.stdout.write(f"{told}\n")
    return Exit.OK if origin is None else Exit.FINDINGS


def replay(
    folder: Path, *, root: Path | None = None, device: str | None = None, mixed_precision: str | None = None
) -> tuple[Bundle, Origin | None]:
    """Take a failed step again.

    Args:
        folder: The bundle.
        root: Where relative paths of the plan start; None is where they did.
        device: ``auto``, ``cpu`` or ``cuda``; None is the plan's.
        mixed_precision: ``bf16`` or ``no``; None is the plan's.

    Returns:
        The bundle, and the first value that is not finite.

    Raises:
        PlanError: The bundle's plan was edited.
        RunError: There is no bundle, or the model is not there.
    """
    if not (folder / FAILURE_FILE).is_file():
        raise BundleError(
            f"{folder} holds no {FAILURE_FILE}; name a folder `failure-STEP` of a run directory, which a run leaves behind when "
            "its loss is not a number"
        )
    plan = read_plan(folder / PLAN_FOLDER)
    ctx = build_context(
        plan,
        folder / PLAN_FOLDER,
        root=root or Path(plan.execution.root),
        run_dir=folder,
        device=choose_device(device or str(plan.settings["hardware.device"])),
        recorder=Silence(),
    )
    ctx = _alone(ctx)
    bundle = read_bundle(folder, ctx.settings.regularizers.rollout)
    with train.matrix_products(tf32=ctx.settings.hardware.tf32):
        return bundle, _take(ctx, bundle, mixed_precision or ctx.settings.train.mixed_precision)


def _take(ctx: Context, bundle: Bundle, mixed_precision: Any) -> Origin | None:
    state = train.build_state(ctx)
    optimized = state.optimized()
    if optimized.keys() != bundle.weights.keys():
        raise BundleError(
            f"the weights in {ctx.run_dir} are not those that its plan trains; the model in "
            "`model.pretrained_model_name_or_path` has changed since, or another version of this tool wrote them"
        )
    with torch.no_grad():
        for name, weight in optimized.items():
            weight.copy_(bundle.weights[name])
    state.step = bundle.record["step"] - 1
    if state.alignment is not None:
        _align(state, bundle)
        state.alignment.begin(state.step)
    return first_nonfinite(
        state.model,
        [part.to(ctx.device) for part in bundle.parts],
        samples=len(bundle.record["samples"]),
        settings=replace(ctx.settings.train, mixed_precision=mixed_precision),
        alignment=state.alignment,
    )


def _align(state: TrainState, bundle: Bundle) -> None:
    """Let alignment stand where it stood, with the teacher that it had.

    Raises:
        BundleError: An older version left the bundle, which did not keep that.
    """
    assert state.alignment is not None, "features are aligned"
    kept: dict[str, dict[str, Tensor]] = {"crepa": {}, "ema": {}}
    for name, tensor in bundle.alignment.items():
        part, _, rest = name.partition(".")
        kept[part][rest] = tensor
    if kept["crepa"]:
        state.alignment.load(kept["crepa"])
    if state.average is None:
        return
    if not kept["ema"]:
        raise BundleError(
            "the bundle does not hold the average of the weights, which teaches with `feature_source: self_flow`; an older "
            "version of this tool left it: run the plan again with this one"
        )
    state.average.load(kept["ema"])


def _alone(ctx: Context) -> Context:
    """Return the run as one process has it, which keeps no average but one that teaches."""
    settings = ctx.settings
    crepa = settings.regularizers.crepa
    teaches = crepa.enabled and crepa.feature_source == "self_flow"
    return dataclasses.replace(
        ctx,
        settings=replace(
            settings,
            launch=replace(settings.launch, processes=1, machines=1),
            ema=replace(settings.ema, enabled=teaches),
        ),
    )


def _lines(record: Mapping[str, Any], origin: Origin | None, asked: Mapping[str, str | None]) -> list[str]:
    precision = "fp32" if record["mixed_precision"] == "no" else record["mixed_precision"]
    lines = [f"step {record['step']} in bucket {record['bucket']}, {precision} on {record['device']}"]
    others = [f"{name} {value}" for name, value in asked.items() if value is not None]
    if others:
        lines.append(f"taken again with {' '.join(others)}")
    for sample in record["samples"]:
        where = f"sigma {sample['sigma']:.3f}, timestep {sample['timestep']:g}, loss {sample['loss']}"
        lines.append(f"  {sample['clip']} ({where}): {sample['text']}")
    if origin is None:
        lines.append("every value is finite this time, in the forward and in the backward pass")
        if record["first"] is not None:
            lines.append(
                f"then, it was {record['first']['where']} {record['first']['name']}: device, precision or versions differ"
            )
    else:
        part = "" if origin.micro_batch is None else f", in micro-batch {origin.micro_batch + 1}"
        lines.append(f"the first value that is no number{part}: {origin.sentence()}")
    return lines


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m recipe_runtime.replay")
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--root", type=Path)
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"))
    parser.add_argument("--mixed-precision", choices=("bf16", "no"))
    parser.add_argument("--format", choices=("text", "json"), default="text")
    return parser


if __name__ == "__main__":
    sys.exit(main())
