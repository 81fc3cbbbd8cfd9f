"""One run with all that training can do at once, planned from a recipe: stopped, killed and left alone, it is the same bits."""

import hashlib
import json
import signal

import numpy as np
import pytest
import torch
import yaml
from transformers import Dinov2Config, Dinov2Model

from fakes_clips import make_clip
from fakes_masks import make_mask, write_png
from fakes_processes import run_to_its_end, start_and_signal, steps_done
from fakes_runtime import Project
from fakes_training import same_bits, saved_parts
from recipe_compiler.passes.freeze import write
from recipe_compiler.pipeline import Options, compile_recipe, make_plan


LAST = 16
ENCODER = {"feature_source": "encoder", "encoder_path": "teacher", "encoder_image_size": 28}
SELF_FLOW = {"feature_source": "self_flow", "teacher_block_index": 1, "self_flow_mask_ratio": 0.25}
CLIPS = {
    "id": "clips",
    "instance_data_dir": "clips",
    "conditioning_data": "labels",
    "multiline": "split",
    "caption_weights": [3, 1],
    "motion": {"source": "file", "path": "motion.csv"},
    "video": {
        "num_frames": 9,
        "window": "random",
        "max_windows": 2,
        "is_i2v": True,
        "i2v_probability": 0.6,
        "i2v_noise": 0.1,
    },
}
LABELS = {
    "id": "labels",
    "instance_data_dir": "labels",
    "dataset_type": "conditioning",
    "conditioning_type": "segmentation",
    "label_weights": {"#ff0000": 1.0, "#000000": 0.25},
}
PHOTOS = {"id": "photos", "instance_data_dir": "photos", "dataset_type": "image", "train_batch_size": 1}
RECIPE = {
    "recipe": 1,
    "model": {"pretrained_model_name_or_path": "tiny", "random_weights": "tiny", "text_encoder_dtype": "fp32"},
    "data": {"store_dir": "store", "buckets": ["96x64"], "image_interval": 3, "datasets": [CLIPS, LABELS, PHOTOS]},
    "train": {
        "max_steps": LAST,
        "batch_size": 2,
        "gradient_accumulation_steps": 2,
        "caption_dropout_probability": 0.3,
        "loss_type": "huber",
        "huber_schedule": "snr",
        "snr_gamma": 5.0,
        "noise_offset": 0.1,
        "input_perturbation": 0.1,
    },
    "optimizer": {"learning_rate": 1e-3},
    "lr_schedule": {"name": "cosine", "warmup_steps": 2},
    "ema": {"enabled": True, "decay": 0.9},
    "memory": {"gradient_checkpointing": True, "probe_largest_bucket": True},
    "evaluation": {"fraction": 0.2, "step_interval": 4, "timesteps": 3},
    "regularizers": {
        "masked_loss": {"enabled": True, "probability": 0.7},
        "rollout": {
            "max_step_offset": 4,
            "sampler": "unipc",
            "reflexflow": True,
            "ramp_steps": 8,
            "prob_start": 0.3,
            "prob_end": 1.0,
        },
    },
    "validation": {
        "prompt": "a bar moves",
        "prompt_library": {"text": "a bar stands"},
        "images": {"main": "photos/p0.png"},
        "num_video_frames": 9,
        "resolution": "96x64",
        "num_inference_steps": 3,
        "step_interval": 8,
        "preview": {"enabled": True, "steps": 1},
    },
    "checkpoints": {"step_interval": 4, "total_limit": 2, "rolling_steps": 3},
    "hardware": {"device": "cpu"},
}


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Draw clips of two captions each, their labels and motion scores, images, and a tiny teacher."""
    root = tmp_path_factory.mktemp("everything")
    scores = ["filename,motion_score"]
    for index in range(6):
        make_clip(root / "clips" / f"c{index}.mp4", frames=30 + index, caption=f"a bar, {index}\nbar number {index}")
        image = np.zeros((64, 96, 3), np.uint8)
        image[:, : 40 + 8 * index] = (255, 0, 0)
        write_png(root / "labels" / f"c{index}.png", image)
        scores.append(f"c{index}.mp4,{3 * index}")
    (root / "motion.csv").write_text("\n".join(scores), encoding="utf-8")
    for index in range(6):
        make_mask(root / "photos" / f"p{index}.png", white=8 + index).with_suffix(".txt").write_text(f"photo {index}")
    torch.manual_seed(1)
    config = Dinov2Config(hidden_size=24, num_hidden_layers=2, num_attention_heads=2, image_size=42)
    Dinov2Model(config).save_pretrained(root / "teacher")
    return root


def planned(root, name, crepa):
    """Plan a run of everything."""
    alignment = {"enabled": True, "block_index": 0, "warmup_steps": 2, "similarity_threshold": 0.99, **crepa}
    content = {**RECIPE, "name": name, "output_dir": f"runs/{name}"}
    content["regularizers"] = {**RECIPE["regularizers"], "crepa": alignment}
    (root / f"{name}.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    compiled = compile_recipe(root / f"{name}.yaml", Options(must_run=True))
    assert compiled.found == ()
    plan, folder = make_plan(compiled), root / f"{name}.plan"
    write(plan, compiled.survey.rows, folder)
    return Project(plan=plan, plan_dir=folder, root=root, run_dir=root / "runs" / name)


def told(project, kind, *names):
    """Return what the last events of a kind say, by step and what they are about."""
    lines = (project.run_dir / "events.jsonl").read_text().splitlines()
    events = [event for event in map(json.loads, lines) if event["event"] == kind]
    return {(e["step"], e.get("dataset"), e.get("weights")): [e[name] for name in names] for e in events}


def sums(project, *patterns):
    """Return the digests of files of a run directory."""
    files = sorted(path for pattern in patterns for path in project.run_dir.glob(pattern))
    return {path.relative_to(project.run_dir): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("crepa", [ENCODER, SELF_FLOW], ids=["encoder", "self-flow"])
def test_a_run_of_everything_that_is_stopped_and_killed_is_one_that_was_left_alone(root, crepa):
    source = crepa["feature_source"]
    straight, cut = (planned(root, f"{name}-{source}", crepa) for name in ("straight", "cut"))
    assert straight.plan.plan_id == cut.plan.plan_id

    run_to_its_end(straight)
    stopped = start_and_signal(cut, signal.SIGTERM, after=5)
    killed = start_and_signal(cut, signal.SIGKILL, after=11)
    run_to_its_end(cut)

    assert (stopped, killed) == (128 + signal.SIGTERM, -signal.SIGKILL)
    assert len(steps_done(cut)) >= LAST
    assert {*saved_parts(cut.run_dir, LAST)} == {"model", "optimizer", "ema", "crepa"}
    assert same_bits(saved_parts(cut.run_dir, LAST), saved_parts(straight.run_dir, LAST))
    results = "export/transformer/*.safetensors", "crepa_projector.safetensors", f"validation/step-{LAST:08d}/*.mp4"
    assert sums(cut, *results) == sums(straight, *results)
    assert len(sums(cut, *results)) == 4
    for kind, names in {
        "step": ("loss", "grad_norm", "sigmas", "bucket"),
        "alignment": ("loss", "similarity", "average_similarity", "weight"),
        "evaluation": ("loss", "losses"),
    }.items():
        assert told(cut, kind, *names) == told(straight, kind, *names), kind
    buckets = [bucket for _, _, _, bucket in told(cut, "step", "loss", "grad_norm", "sigmas", "bucket").values()]
    assert {*buckets} == {"96x64@1", "96x64@9"}
    assert {key[1:] for key in told(cut, "evaluation")} == {
        (name, weights) for name in ("clips", "photos") for weights in ("model", "ema")
    }
