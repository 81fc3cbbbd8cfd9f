"""What the trainer does on a GPU: the published shape of the model, with random weights, at 832x480 and 81 frames.

    python benchmarks/gpu.py [--only full|lora] [--every N] [--steps N] [--dir DIR] [--small]

Makes a model directory (about 9 GB) and a few clips, plans two recipes, full fine-tuning and LoRA, and takes each through
its stages in this process. Prints a table of time, peak memory beside the plan's prediction, and the share of the GPU's
arithmetic that is used, to be kept in benchmarks/results. ``--small`` takes the tiny model on small clips instead, on
whatever device there is: it shows that the benchmark works. Run it with the project installed.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import av
import numpy as np
import torch

from recipe_runtime.context import Context, build_context
from recipe_runtime.execute import STAGES
from recipe_runtime.launch import choose_device, describe_device, quiet_libraries
from recipe_runtime.models.random_weights import build_directory
from recipe_runtime.record import Recorder
from recipe_runtime.stop import StopRequested
from recipe_schema.events import Event, StageFinished, StepDone
from recipe_schema.family import load_family
from recipe_schema.planfile import read_plan


CLIPS = 4
WARM_UP = 3
"""Steps that are not counted: memory is laid out and kernels are chosen."""
DENSE_BF16_TFLOPS = {"H200": 989.0, "H100": 989.0, "A100": 312.0, "RTX 4090": 165.0}
"""Of the data sheets, without sparsity."""
PASSES = {"full": 3, "lora": 2}
"""Forward passes whose arithmetic a step is worth: frozen weights have no gradients of their own."""
GB = 1e9

RECIPE = """\
recipe: 1
name: {name}
output_dir: runs/{name}
model: {{pretrained_model_name_or_path: model, {model}}}
data:
  store_dir: store
  buckets: [{size}]
  datasets: [{{id: clips, instance_data_dir: clips, video: {{num_frames: {frames}}}}}]
train: {{max_steps: {steps}, mixed_precision: bf16}}
memory: {{gradient_checkpointing: true, gradient_checkpointing_interval: {every}}}
ema: {{enabled: {ema}}}
"""


@dataclass(kw_only=True)
class Figures:
    """What was measured of a recipe.

    Attributes:
        stages: Seconds of each stage.
        peaks: Most memory that was allocated on the GPU in each stage, in bytes; 0 without one.
        steps: The training steps.
        encoded: Clips that went through the VAE.
    """

    stages: dict[str, float] = field(default_factory=dict)
    peaks: dict[str, int] = field(default_factory=dict)
    steps: list[StepDone] = field(default_factory=list)
    encoded: int = 0

    def hear(self, event: Event) -> None:
        """Keep what an event says of steps, and of clips that were not encoded before."""
        if isinstance(event, StepDone):
            self.steps.append(event)
        elif isinstance(event, StageFinished) and event.stage == "encode-video":
            self.encoded = event.total - event.reused


def prepare(folder: Path, *, small: bool) -> None:
    """Make the clips, and for the large model its directory."""
    width, height, frames = (128, 128, 33) if small else (832, 480, 81)
    for number in range(CLIPS):
        write_clip(folder / "clips" / f"{number}.mp4", width, height, frames, seed=number)
    if not small and not (folder / "model").exists():
        family = load_family("sana-video-480p")
        tiny = family.raw["random_weights"]["tiny"]
        encoder = tiny["text_encoder"] | {"hidden_size": family.raw["transformer"]["caption_channels"]}
        configs = tiny | {"transformer": family.raw["transformer"], "vae": {}, "text_encoder": encoder}
        build_directory(folder / "model", configs, seed=0)


def write_clip(path: Path, width: int, height: int, frames: int, *, seed: int) -> None:
    """Write a clip of blocks that drift, and its caption."""
    path.parent.mkdir(parents=True, exist_ok=True)
    blocks = np.random.default_rng(seed).integers(0, 256, (height // 16, width // 16, 3), np.uint8)
    image = blocks.repeat(16, axis=0).repeat(16, axis=1)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=16)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for index in range(frames):
            picture = np.ascontiguousarray(np.roll(image, 2 * index, axis=1))
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    path.with_suffix(".txt").write_text(f"blocks of colour number {seed} drift to the right", encoding="utf-8")


def make_plan(folder: Path, name: str, options: argparse.Namespace) -> tuple[Path, Mapping[str, Any]]:
    """Write a recipe and plan it as a user would. Returns the plan's folder and its estimate."""
    small: bool = options.small
    model = f"type: {name}, random_weights: tiny" if small else f"type: {name}"
    text = RECIPE.format(
        name=name,
        model=model,
        size="128x128" if small else "832x480",
        frames=33 if small else 81,
        steps=options.steps,
        every=options.every,
        ema=str(name == "full").lower(),
    )
    (folder / f"{name}.yaml").write_text(text, encoding="utf-8")
    plan = folder / f"{name}.plan"
    command = [sys.executable, "-m", "recipe_compiler", "plan", str(folder / f"{name}.yaml"), "-o", str(plan)]
    done = subprocess.run([*command, "--format", "json"], check=False, stdout=subprocess.PIPE)
    if done.returncode:
        sys.exit(done.stdout.decode())
    return plan, json.loads(done.stdout)["estimate"]


def measure(folder: Path, plan_dir: Path, name: str) -> tuple[Figures, torch.device]:
    """Take a plan through its stages."""
    plan, run_dir, figures = read_plan(plan_dir), folder / "runs" / name, Figures()
    device = choose_device("auto")
    run_dir.mkdir(parents=True, exist_ok=True)
    recorder = Recorder(run_dir, [figures.hear])
    ctx = build_context(plan, plan_dir, root=folder, run_dir=run_dir, device=device, recorder=recorder)
    for stage in plan.body.stages:
        if stage.id in STAGES:
            figures.stages[stage.id], figures.peaks[stage.id] = timed(ctx, stage.id)
    recorder.close()
    return figures, device


def timed(ctx: Context, stage: Any) -> tuple[float, int]:
    """Run a stage. Returns its seconds and the most memory that it allocated on the GPU."""
    on_gpu = ctx.device.type == "cuda"
    if on_gpu:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(ctx.device)
    began = time.monotonic()
    STAGES[stage](ctx, StopRequested())
    return time.monotonic() - began, torch.cuda.max_memory_allocated(ctx.device) if on_gpu else 0


def rows(name: str, figures: Figures, estimate: Mapping[str, Any], device: str) -> Iterator[tuple[str, str]]:
    """Put the figures into words. The model's own use counts no recomputing: see https://arxiv.org/abs/2204.02311, B."""
    counted = figures.steps[WARM_UP:] or figures.steps
    seconds = statistics.median(step.seconds for step in counted)
    waiting = statistics.median(step.data_seconds for step in counted)
    yield "a step of one sample, median", f"{seconds:.3f} s"
    yield "of it waiting for data", f"{waiting:.4f} s"
    yield "arithmetic of a step, by the plan", f"{estimate['step_tflop']:.4g} TFLOP"
    best = next((rate for gpu, rate in DENSE_BF16_TFLOPS.items() if gpu in device), None)
    if best is not None:
        model = estimate["forward_tflop"] * PASSES[name]
        yield (
            "share of the GPU's bf16 arithmetic",
            f"{estimate['step_tflop'] / seconds / best:.1%} of {best:.0f} TFLOP/s",
        )
        yield "the model's own (MFU)", f"{model / seconds / best:.1%}"
    predicted, peak = estimate["memory_gb"], figures.peaks["train"] / GB
    yield "memory of training, predicted", f"{predicted:.3g} GB"
    if peak:
        yield "measured, at most", f"{peak:.3g} GB ({predicted / peak - 1:+.1%})"
    for stage, took in figures.stages.items():
        peak = figures.peaks[stage] / GB
        yield f"stage {stage}", f"{took:.1f} s" + (f", {peak:.3g} GB" if peak else "")
    if figures.encoded:
        yield "clips encoded", f"{figures.encoded / figures.stages['encode-video']:.2f} clips/s, loading included"


def main() -> None:
    """Measure each recipe and print a table of both."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=("full", "lora"), help="measure one of the two")
    parser.add_argument("--every", type=int, default=1, help="recompute one block of so many in the backward pass")
    parser.add_argument("--steps", type=int, default=13, help="training steps, the first 3 not counted")
    parser.add_argument("--dir", type=Path, help="where to make the model and the clips; kept, and used again")
    parser.add_argument("--small", action="store_true", help="take the tiny model and small clips, on any device")
    options = parser.parse_args()
    if not options.small and not torch.cuda.is_available():
        parser.error("there is no CUDA device; --small shows that the benchmark works without one")
    quiet_libraries()
    with tempfile.TemporaryDirectory() as temporary:
        folder: Path = (options.dir or Path(temporary)).absolute()
        prepare(folder, small=options.small)
        for name in (options.only,) if options.only else ("full", "lora"):
            plan, estimate = make_plan(folder, name, options)
            figures, device = measure(folder, plan, name)
            described = describe_device(device)
            print(f"\n{name}, {described}, torch {torch.__version__}\n\n| | |\n|---|---|")
            for what, figure in rows(name, figures, estimate, described):
                print(f"| {what} | {figure} |", flush=True)


if __name__ == "__main__":
    main()
