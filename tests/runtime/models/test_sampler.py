import json
import warnings

import numpy as np
import pytest
import torch
from diffusers.pipelines.sana_video.pipeline_sana_video import SanaVideoPipeline
from diffusers.schedulers.scheduling_dpmsolver_multistep import DPMSolverMultistepScheduler

from fakes_runtime import make_project
from recipe_runtime.errors import ModelError
from recipe_runtime.models.sampler import SCHEDULERS, build_sampler, load_scheduler
from recipe_runtime.models.transformer import build_transformer, weight_files
from recipe_runtime.models.vae import load_vae


CPU = torch.device("cpu")


@pytest.fixture
def home(tmp_path):
    return make_project(tmp_path).root / "models" / "tiny"


def sampler(home):
    folder = home / "transformer"
    transformer = build_transformer(folder, weight_files(folder))
    vae = load_vae(home / "vae", "fp32", CPU, tiling=False, slicing=False)
    return build_sampler(transformer.eval(), vae, load_scheduler(home / "scheduler"))


def call(pipeline, texts, width=64, height=64, **changes):
    embeds, mask, negative, negative_mask = texts
    arguments = {
        "prompt_embeds": embeds,
        "prompt_attention_mask": mask,
        "negative_prompt": None,
        "negative_prompt_embeds": negative,
        "negative_prompt_attention_mask": negative_mask,
        "num_inference_steps": 2,
        "frames": 9,
        "use_resolution_binning": False,
        "output_type": "np",
        "generator": torch.Generator().manual_seed(4),
    } | changes
    return pipeline(width=width, height=height, **arguments).frames[0]


def random_texts():
    draw = torch.Generator().manual_seed(3)
    mask = torch.tensor([[1, 1, 1, 0]])
    return torch.randn(1, 4, 32, generator=draw), mask, torch.randn(1, 4, 32, generator=draw), mask


def test_it_draws_what_the_stock_pipeline_draws(home):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        stock = SanaVideoPipeline.from_pretrained(home)
    stock.set_progress_bar_config(disable=True)
    prompts = stock.encode_prompt("a red disc", negative_prompt="", max_sequence_length=300, device=CPU)

    expected = stock(
        prompt="a red disc",
        negative_prompt="",
        width=64,
        height=64,
        frames=9,
        num_inference_steps=2,
        use_resolution_binning=False,
        complex_human_instruction=None,
        generator=torch.Generator().manual_seed(4),
        output_type="np",
    ).frames[0]

    assert np.allclose(call(sampler(home), prompts), expected, atol=1e-4)


def test_sizes_in_multiples_of_16_are_drawn(home):
    assert call(sampler(home), random_texts(), width=80, height=48).shape == (9, 48, 80, 3)


@pytest.mark.parametrize("size", [(72, 64), (64, 40)])
def test_other_sizes_are_refused(home, size):
    with pytest.raises(ValueError, match="multiples of 16"):
        call(sampler(home), random_texts(), width=size[0], height=size[1])


def test_everything_else_is_checked_as_in_the_stock_pipeline(home):
    with pytest.raises(ValueError, match="prompt_attention_mask"):
        call(sampler(home), random_texts(), prompt_attention_mask=None)


def test_the_published_scheduler_is_loaded_with_its_settings(home):
    scheduler = load_scheduler(home / "scheduler")

    assert isinstance(scheduler, DPMSolverMultistepScheduler)
    assert (scheduler.config.flow_shift, scheduler.config.prediction_type) == (8.0, "flow_prediction")


@pytest.mark.parametrize("name", SCHEDULERS)
def test_every_scheduler_of_the_family_loads(tmp_path, name):
    (tmp_path / "scheduler_config.json").write_text(json.dumps({"_class_name": name}))

    assert type(load_scheduler(tmp_path)).__name__ == name


def test_other_schedulers_are_refused(tmp_path):
    (tmp_path / "scheduler_config.json").write_text(json.dumps({"_class_name": "DDIMScheduler"}))

    with pytest.raises(ModelError, match="names DDIMScheduler"):
        load_scheduler(tmp_path)


def test_a_missing_scheduler_is_named(tmp_path):
    with pytest.raises(ModelError, match=r"scheduler_config\.json can't be read"):
        load_scheduler(tmp_path)
