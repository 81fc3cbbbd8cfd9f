"""A model that knew nothing draws what its prompts say, and gross errors in training or sampling show in what it draws."""

import dataclasses
import shutil
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers.schedulers.scheduling_dpmsolver_multistep import DPMSolverMultistepScheduler
from torch.nn import functional

from fakes_planned import encoded, plan_project
from fakes_runtime import Project, make_context
from recipe_compiler.fetch.shapes import Scene
from recipe_compiler.fetch.shapes_clips import write_scene
from recipe_runtime import artist, inputs, step, train
from recipe_runtime.models.sampler import SanaVideoSampler
from recipe_runtime.objective import interpolate
from recipe_runtime.stop import StopRequested


sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

from judge import read, right_of, shares


SCENES = [
    Scene(shape=shape, color=color, direction=direction, background=background)
    for shape, color, direction, background in (
        ("square", "red", "right", "black"),
        ("square", "red", "left", "black"),
        ("triangle", "blue", "right", "white"),
        ("triangle", "green", "down", "white"),
        ("ring", "blue", "left", "white"),
        ("ring", "yellow", "up", "black"),
    )
]
STEPS = 260
GOOD, BAD = 80.0, 60.0
"""Percentages of clips that are right: what a sound training reaches at least, and a broken one at most."""


def plan(root: Path) -> Project:
    """Plan the training of a small model on six scenes."""
    (root / "clips").mkdir()
    for scene in SCENES:
        write_scene(root / "clips", scene)
        (root / "clips" / f"{scene.name}.txt").write_text(scene.captions()[0], encoding="utf-8")
    return plan_project(
        root,
        {"id": "clips", "instance_data_dir": "clips", "repeats": 1, "video": {"num_frames": 9}},
        data__buckets="[64x64]",
        data__motion_score="null",
        model__instruction="none",
        model__random_weights="small",
        train__batch_size=8,
        train__max_steps=STEPS,
        optimizer__learning_rate=3e-3,
        lr_schedule__name="cosine",
        lr_schedule__end=1e-5,
        validation__prompt_library="{" + ", ".join(f"{scene.name}: {scene.captions()[0]}" for scene in SCENES) + "}",
        validation__resolution="64x64",
        validation__num_video_frames=9,
        validation__num_inference_steps=8,
        validation__guidance=3,
    )


def judged(project: Project) -> Mapping[str, float]:
    """Go on with a run, which draws clips that are missing, and say which percentage of them shows what it should."""
    drawn = project.run_dir / "validation" / f"step-{STEPS:08d}"
    shutil.rmtree(drawn, ignore_errors=True)
    train.run(make_context(project), StopRequested())
    return shares(right_of({path.stem: read(path) for path in drawn.glob("*.mp4")}))


def noticed(found: Mapping[str, float]) -> bool:
    """Say whether the judge sees that something is wrong."""
    return min(found.values()) <= BAD


@pytest.fixture(scope="module")
def taught(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Train, once for all tests that only draw."""
    project = plan(tmp_path_factory.mktemp("taught"))
    encoded(project)
    judged(project)
    return project


def called_with(change: Callable[[dict[str, Any]], dict[str, Any]]) -> Callable[..., Any]:
    """Return the sampler's call with other arguments."""
    plain = SanaVideoSampler.__call__
    return lambda self, **call: plain(self, **change(call))


def other_guidance(call: dict[str, Any]) -> dict[str, Any]:
    """Guide away from the prompt: what is drawn and what is kept away from change places."""
    both = {"prompt_embeds": "negative_prompt_embeds", "prompt_attention_mask": "negative_prompt_attention_mask"}
    pairs = {**both, **{there: here for here, there in both.items()}}
    return {**call, **{name: call[pair] for name, pair in pairs.items()}}


class OtherPrompts:
    """Gives each clip the text of the clip before it."""

    def __init__(self) -> None:
        self._last: dict[str, Any] = {}

    def __call__(self, call: dict[str, Any]) -> dict[str, Any]:
        mine = {name: call[name] for name in ("prompt_embeds", "prompt_attention_mask")}
        given, self._last = self._last or mine, mine
        return {**call, **{name: as_long_as(value, mine[name]) for name, value in given.items()}}


def as_long_as(value: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    """Cut or fill up the tokens of a text, (1, tokens, …), to as many as another has."""
    length = other.shape[1]
    missing = max(length - value.shape[1], 0)
    return functional.pad(value[:, :length], (*(0, 0) * (value.ndim - 2), 0, missing))


def test_what_is_drawn_is_what_its_prompt_says(taught):
    found = judged(taught)

    assert min(found.values()) >= GOOD


@pytest.mark.parametrize("change", [other_guidance, OtherPrompts()], ids=["guidance", "prompts"])
def test_texts_that_are_mixed_up_in_sampling_are_noticed(taught, monkeypatch, change):
    monkeypatch.setattr(SanaVideoSampler, "__call__", called_with(change))

    assert noticed(judged(taught))


def test_noise_levels_that_run_backwards_in_sampling_are_noticed(taught, monkeypatch):
    plain = DPMSolverMultistepScheduler.set_timesteps

    def backwards(self, *arguments, **named):
        plain(self, *arguments, **named)
        self.timesteps = self.timesteps.flip(0)
        self.sigmas = torch.cat([self.sigmas[:-1].flip(0), self.sigmas[-1:]])

    monkeypatch.setattr(DPMSolverMultistepScheduler, "set_timesteps", backwards)

    assert noticed(judged(taught))


def test_latents_that_keep_their_normal_scale_are_noticed(taught, monkeypatch):
    monkeypatch.setattr(artist, "decode", lambda vae, latents: vae.decode(latents).sample.clamp(-1, 1))

    assert noticed(judged(taught))


@pytest.mark.slow
def test_captions_of_other_clips_are_noticed(tmp_path, monkeypatch):
    plain = inputs.predict

    def mixed_up(model, noisy, part, **named):
        order = torch.randperm(len(part.text))
        return plain(model, noisy, dataclasses.replace(part, text=part.text[order], mask=part.mask[order]), **named)

    monkeypatch.setattr(step, "predict", mixed_up)
    project = plan(tmp_path)
    encoded(project)

    assert noticed(judged(project))


@pytest.mark.slow
def test_noise_levels_that_run_backwards_in_training_are_noticed(tmp_path, monkeypatch):
    monkeypatch.setattr(inputs, "interpolate", lambda data, noise, sigma: interpolate(data, noise, 1 - sigma))
    project = plan(tmp_path)
    encoded(project)

    assert noticed(judged(project))
