"""All regularizers at once, with evaluation, average and scores: they don't get in each other's way."""

import numpy as np
import pytest
import torch
from transformers import Dinov2Config, Dinov2Model

from fakes_clip_model import make_clip_model
from fakes_runtime import CLIPS, Clip, make_context
from fakes_training import EventList, StopAfter, encoded_project, same_bits, saved_parts
from recipe_runtime import train
from recipe_runtime.errors import StoppedBySignal
from recipe_runtime.stop import StopRequested
from recipe_schema.events import Aligned, ClipScored, Evaluated
from recipe_schema.plan import Prompt


SOURCES = {
    "encoder": {"encoder_image_size": 28},
    "self_flow": {"teacher_block_index": 1, "self_flow_mask_ratio": 0.25},
}
ROLLOUT = {
    "max_step_offset": 3,
    "probability": 0.7,
    "sampler": "unipc",
    "reflexflow": True,
    "ramp_steps": 3,
    "prob_start": 0.3,
    "prob_end": 1.0,
}


def halves(clip):
    width, height = clip.size
    image = np.zeros((height, width, 3), np.uint8)
    image[:, : width // 2] = (255, 0, 0)
    return image


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """Return the folders of a tiny teacher and a tiny CLIP model."""
    folder = tmp_path_factory.mktemp("models")
    torch.manual_seed(1)
    config = Dinov2Config(hidden_size=24, num_hidden_layers=2, num_attention_heads=2, image_size=42)
    Dinov2Model(config).save_pretrained(folder / "teacher")
    return folder / "teacher", make_clip_model(folder / "clip")


def all_on(models, source):
    teacher, clip_model = models
    crepa = {
        "enabled": True,
        "block_index": 0,
        "feature_source": source,
        "encoder_path": str(teacher),
        **SOURCES[source],
    }
    rollout = {} if source == "self_flow" else ROLLOUT  # which needs one noise level a sample
    return {
        "clips": (*CLIPS, Clip(name="e.mp4", caption="a gray disc waits", fate="evaluated")),
        "masks": {clip.name: halves(clip) for clip in CLIPS},
        "prompts": (Prompt(nickname="main", text="a red disc."),),
        "max_steps": 6,
        "train.batch_size": 2,
        "train.mixed_precision": "bf16",
        "ema.enabled": True,
        "data.datasets.0.conditioning_type": "segmentation",
        "data.datasets.0.label_weights": {"#ff0000": 1.0, "0": 0.25},
        "regularizers.masked_loss.enabled": True,
        "regularizers.masked_loss.probability": 0.7,
        "evaluation.step_interval": 2,
        "evaluation.timesteps": 3,
        "evaluation.type": "clip",
        "evaluation.pretrained_model_name_or_path": str(clip_model),
        "validation.step_interval": 2,
        **{f"regularizers.crepa.{name}": value for name, value in crepa.items()},
        **{f"regularizers.rollout.{name}": value for name, value in rollout.items()},
    }


@pytest.mark.parametrize("source", SOURCES)
def test_a_run_with_everything_on_resumes_bit_for_bit(tmp_path, models, source):
    settings = all_on(models, source)
    _, straight, events = encoded_project(tmp_path / "straight", **settings)
    train.run(straight, StopRequested())
    project, _, _ = encoded_project(tmp_path / "cut", **settings)
    stop, later = StopAfter(3), EventList()
    with pytest.raises(StoppedBySignal):
        train.run(make_context(project, [stop]), stop)

    train.run(make_context(project, [later]), StopRequested())

    assert same_bits(saved_parts(project.run_dir, 6), saved_parts(straight.run_dir, 6))
    assert [e for e in later if isinstance(e, Aligned)] == [e for e in events.of(Aligned) if e.step > 3]
    for kind, known in ((Evaluated, "loss"), (ClipScored, "score")):
        expected = [(e.step, e.weights, getattr(e, known)) for e in events.of(kind) if e.step > 3]
        assert [(e.step, e.weights, getattr(e, known)) for e in later.of(kind)] == expected
        assert len(expected) > 0
