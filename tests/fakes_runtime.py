"""A tiny project on disk for the runtime's tests: plan, ledger, clips and model, made without the compiler.

`make_project(tmp_path)` gives four clips of nine frames in two buckets and a tiny model. Any setting can be
overridden by its dotted name: ``make_project(tmp_path, **{"train.batch_size": 2})``. The special names
``max_steps``, ``clips``, ``prompts`` and ``random_weights`` override what is no setting, ``webhooks`` gives a list
of settings of webhooks, and ``masks`` the masks of clips by name, (height, width, 3) each, which lie beside them.
"""

import atexit
import functools
import hashlib
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import av
import numpy as np
import pyarrow as pa
import torch
from pyarrow import parquet

from fakes_masks import write_png
from recipe_runtime.context import Context, build_context
from recipe_runtime.models.random_weights import build_directory
from recipe_runtime.record import Recorder
from recipe_schema.canonical import digest
from recipe_schema.definition import leaves
from recipe_schema.family import load_family
from recipe_schema.ledger import ClipRow, Fate, join_starts, join_texts, ledger_digest, to_columns
from recipe_schema.marks import Derived, Family, Required
from recipe_schema.plan import Body, Bucket, Execution, Plan, PlanStage, Prompt, Schedule
from recipe_schema.planfile import LEDGER_FILE, plan_id, write_plan


TINY_CONFIGS: Mapping[str, Any] = {
    "transformer": {
        "num_attention_heads": 2,
        "attention_head_dim": 24,
        "num_layers": 2,
        "num_cross_attention_heads": 2,
        "cross_attention_head_dim": 24,
        "cross_attention_dim": 48,
        "caption_channels": 32,
        "mlp_ratio": 3.0,
        "sample_size": 30,
        "patch_size": [1, 2, 2],
        "qk_norm": "rms_norm_across_heads",
        "in_channels": 16,
        "out_channels": 16,
        "rope_max_seq_len": 64,
    },
    "vae": {
        "base_dim": 4,
        "z_dim": 16,
        "dim_mult": [1, 1, 1, 1],
        "num_res_blocks": 1,
        "temperal_downsample": [False, True, True],
    },
    "text_encoder": {
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "head_dim": 16,
        "query_pre_attn_scalar": 16,
    },
    "tokenizer": {"vocab_size": 512},
    "scheduler": {"flow_shift": 8.0},
}

FRAMERATE = 16.0

_WEBHOOK = {
    leaf.path.rpartition(".")[2]: leaf.key.default for leaf in leaves() if leaf.path.startswith("tracking.webhooks.")
}

# Tiny models gain nothing from more threads, and lose much where cores are shared.
torch.set_num_threads(1)


@dataclass(frozen=True, kw_only=True)
class Clip:
    """A clip to draw. ``others`` are further texts, ``more_starts`` of further windows, ``size`` is the source's and ``bucket`` the training sample's (width, height) in pixels."""

    name: str
    caption: str
    size: tuple[int, int] = (96, 72)
    bucket: tuple[int, int] = (64, 64)
    fps: int = 24
    frames: int = 20
    bucket_frames: int = 9
    repeats: int = 0
    others: tuple[str, ...] = ()
    more_starts: tuple[float, ...] = ()
    drawn: bool = False
    fate: Fate = "trained"


CLIPS = (
    Clip(name="a.mp4", caption="a red disc moves right"),
    Clip(name="b.mp4", caption="a green disc moves down", fps=16),
    Clip(name="sub/c.mp4", caption="a blue disc moves left", size=(128, 72), bucket=(96, 64)),
    Clip(name="sub/d.mp4", caption="A white disc, moving up!", size=(96, 64), bucket=(96, 64), fps=25),
)


@dataclass(frozen=True, kw_only=True)
class Project:
    """A project on disk."""

    plan: Plan
    plan_dir: Path
    root: Path
    run_dir: Path


def make_project(tmp_path: Path, **overrides: Any) -> Project:
    """Make a project below ``tmp_path``. See the module's text for ``overrides``."""
    extras: dict[str, Any] = {"max_steps": 4, "clips": CLIPS, "prompts": (Prompt(nickname="main", text="a red disc."),)}
    extras |= {"random_weights": None, "negative_prompt": "", "webhooks": (), "masks": {}}
    extras |= {name: overrides.pop(name) for name in list(overrides) if name in extras}
    root = tmp_path / "project"
    rows = tuple(_draw_row(root / "clips", clip) for clip in extras["clips"])
    rows = tuple(_masked(root / "clips", row, extras["masks"].get(row.path)) for row in rows)
    if extras["random_weights"] is None:
        shutil.copytree(_model_template(), root / "models" / "tiny")
    plan = _plan(root, rows, overrides, extras)
    plan_dir = root / "test.plan"
    write_plan(plan, plan_dir)
    parquet.write_table(pa.table(to_columns(rows)), plan_dir / LEDGER_FILE)
    return Project(plan=plan, plan_dir=plan_dir, root=root, run_dir=root / "runs" / "test")


def make_context(project: Project, listeners: Sequence[Any] = ()) -> Context:
    """Open a project's run on the CPU. The recorder stays open until the process ends."""
    project.run_dir.mkdir(parents=True, exist_ok=True)
    recorder = Recorder(project.run_dir, listeners)
    atexit.register(recorder.close)
    return build_context(
        project.plan,
        project.plan_dir,
        root=project.root,
        run_dir=project.run_dir,
        device=torch.device("cpu"),
        recorder=recorder,
    )


def write_video(path: Path, frames: np.ndarray, fps: int, *, crf: int = 12, gop: int = 12) -> None:
    """Encode frames (F, H, W, 3), uint8, as H.264."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=fps)
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = "yuv420p"
        stream.options = {"crf": str(crf), "preset": "ultrafast", "g": str(gop)}
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())


def draw_disc(size: tuple[int, int], frames: int, color: tuple[int, int, int]) -> np.ndarray:
    """Draw a disc that moves right over a gray ramp: (frames, height, width, 3), uint8."""
    width, height = size
    down, right = np.mgrid[0:height, 0:width]
    ramp = np.repeat((right * 120 // width)[..., None], 3, axis=2)
    drawn = []
    for index in range(frames):
        center = width // 4 + index * width // (2 * frames)
        inside = (right - center) ** 2 + (down - height // 2) ** 2 < (height // 4) ** 2
        drawn.append(np.where(inside[..., None], np.array(color), ramp))
    return np.stack(drawn).astype(np.uint8)


@functools.cache
def _model_template() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="tiny-model-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    build_directory(folder / "model", TINY_CONFIGS, 0)
    return folder / "model"


@functools.cache
def _clip_bytes(clip: Clip) -> bytes:
    color = tuple(hashlib.sha256(clip.name.encode()).digest()[:3])
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "clip.mp4"
        write_video(path, draw_disc(clip.size, clip.frames, color), clip.fps)  # type: ignore[arg-type]
        return path.read_bytes()


def _draw_row(folder: Path, clip: Clip) -> ClipRow:
    path = folder / clip.name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(_clip_bytes(clip))
    (width, height), (to_width, to_height) = clip.size, clip.bucket
    scale = max(to_width / width, to_height / height)
    resize_width, resize_height = max(to_width, round(width * scale)), max(to_height, round(height * scale))
    return ClipRow(
        dataset="discs",
        path=clip.name,
        fate=clip.fate,
        sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        size_bytes=path.stat().st_size,
        mtime_ns=path.stat().st_mtime_ns,
        codec="h264",
        width=width,
        height=height,
        fps=float(clip.fps),
        frames=clip.frames,
        seconds=clip.frames / clip.fps,
        frames_at_rate=int(clip.frames / clip.fps * FRAMERATE),
        bucket_width=to_width,
        bucket_height=to_height,
        bucket_frames=clip.bucket_frames,
        framerate=FRAMERATE,
        start_seconds=0.0,
        resize_width=resize_width,
        resize_height=resize_height,
        crop_left=(resize_width - to_width) // 2,
        crop_top=(resize_height - to_height) // 2,
        caption=clip.caption,
        text=f"{clip.caption} motion score: 30.",
        repeats=clip.repeats,
        more_texts=join_texts(clip.others),
        more_starts=join_starts(clip.more_starts),
        drawn=int(clip.drawn),
    )


def _masked(folder: Path, row: ClipRow, mask: np.ndarray | None) -> ClipRow:
    if mask is None:
        return row
    path = write_png((folder / row.path).with_suffix(".png"), mask)
    return replace(
        row,
        mask_dataset=row.dataset,
        mask_path=path.relative_to(folder).as_posix(),
        mask_sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        mask_size_bytes=path.stat().st_size,
        mask_mtime_ns=path.stat().st_mtime_ns,
    )


def _settings(overrides: Mapping[str, Any], max_steps: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the flat settings of the plan's body and of its execution."""
    family = load_family("sana-video-480p")
    chosen: dict[str, Any] = {
        "name": "test",
        "output_dir": "runs/test",
        "model.pretrained_model_name_or_path": "models/tiny",
        "model.pretrained_vae_model_name_or_path": "models/tiny",
        "model.pretrained_transformer_model_name_or_path": "models/tiny",
        "model.text_encoder_dtype": "fp32",
        "data.datasets.*.id": "discs",
        "data.datasets.*.instance_data_dir": "clips",
        "data.datasets.*.video.num_frames": 9,
        "data.datasets.*.video.min_frames": 9,
        "data.datasets.*.video.max_windows": None,
        "data.buckets": ["64x64", "96x64"],
        "train.max_steps": max_steps,
        "train.mixed_precision": "no",
        "optimizer.learning_rate": 1e-3,
        "memory.gradient_checkpointing": False,
        "validation.num_inference_steps": 2,
        "validation.resolution": "96x64",
        "model.lora.alpha": 16.0,
        "tracking.run_name": "tiny",
        "validation.num_video_frames": 9,
        "validation.framerate": FRAMERATE,
        "checkpoints.step_interval": 2,
        "hardware.device": "cpu",
    } | {name.replace("datasets.0.", "datasets.*."): value for name, value in overrides.items()}
    body: dict[str, Any] = {}
    execution: dict[str, Any] = {}
    for leaf in leaves():
        if leaf.path.startswith("tracking.webhooks."):  # a list that may be empty
            continue
        default = leaf.key.default
        value = family.default(default.name) if isinstance(default, Family) else default
        value = chosen.pop(leaf.path, value)
        assert not isinstance(value, Derived | Required), leaf.path
        where = body if leaf.key.impact == "result" else execution
        where[leaf.path.replace("*", "0")] = list(value) if isinstance(value, tuple) else value
    assert not chosen, f"no such settings: {sorted(chosen)}"
    return body, execution


def _plan(root: Path, rows: Sequence[ClipRow], overrides: Mapping[str, Any], extras: Mapping[str, Any]) -> Plan:
    settings, execution = _settings(overrides, extras["max_steps"])
    chosen = frozenset(overrides)
    for number, webhook in enumerate(extras["webhooks"]):
        execution |= {f"tracking.webhooks.{number}.{name}": value for name, value in {**_WEBHOOK, **webhook}.items()}
    model_family = load_family("sana-video-480p")
    family = model_family.raw
    samples: dict[str, list[ClipRow]] = {}
    rows = [row for row in rows if row.fate == "trained"]
    for row in sorted(rows, key=lambda row: row.clip_id):
        samples.setdefault(row.bucket, []).append(row)
    facts = {
        "vae": model_family.vae("tiny"),
        "patch_size": family["patch_size"],
        "instruction": "\n".join(family["text"]["instructions"][settings["model.instruction"]]),
        "max_sequence_length": family["text"]["max_sequence_length"],
        "null_caption": "",
        "noise_schedule": family["noise_schedules"][settings["train.noise_schedule"]],
        "random_weights": extras["random_weights"],
    }
    stages = ["encode-text", "encode-video", "train", "export"]
    if extras["random_weights"] is not None:
        stages.insert(0, "build-model")
    body = Body(
        settings=settings,
        facts=facts,
        buckets=tuple(_bucket(samples[name]) for name in sorted(samples)),
        schedule=Schedule(
            max_steps=extras["max_steps"],
            samples_per_step=settings["train.batch_size"]
            * settings["train.gradient_accumulation_steps"]
            * settings["launch.processes"]
            * settings["launch.machines"],
            samples_per_epoch=sum(row.samples for row in rows),
        ),
        ledger_digest=ledger_digest(rows),
        stages=tuple(
            PlanStage(id=stage, needs=tuple(stages[:index]), reads={}, inputs={}, key=digest(stage))  # type: ignore[arg-type]
            for index, stage in enumerate(stages)
        ),
    )
    return Plan(
        plan_id=plan_id(body),
        body=body,
        execution=Execution(
            settings=execution,
            root=str(root),
            prompts=tuple(extras["prompts"]),
            negative_prompt=extras["negative_prompt"],
        ),
        meta={
            "clips": {"trained": len(rows)},
            "origins": {
                path: {"kind": "recipe" if path in chosen else "default"} for path in {**settings, **execution}
            },
        },
    )


def _bucket(rows: Sequence[ClipRow]) -> Bucket:
    first = rows[0]
    return Bucket(
        width=first.bucket_width,
        height=first.bucket_height,
        frames=first.bucket_frames,
        clips=len(rows),
        samples=sum(row.samples for row in rows),
    )
