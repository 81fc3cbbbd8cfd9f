import json
import shutil

import numpy as np
import pytest
import torch
from transformers import CLIPModel, CLIPTokenizer

from fakes_clip_model import make_clip_model
from fakes_training import encoded_project, same_bits, saved_parts
from recipe_runtime import preflight, train
from recipe_runtime.clip_score import Judge, evenly
from recipe_runtime.errors import ModelError
from recipe_runtime.models.clip_model import clip_scores, load_clip
from recipe_runtime.notes import note
from recipe_runtime.stop import StopRequested
from recipe_schema.events import ClipDrawn, ClipScored, Warned
from recipe_schema.plan import Prompt


PROMPTS = (Prompt(nickname="main", text="a red disc motion score: 30.", caption="a red disc"),)


@pytest.fixture(scope="module")
def clip_model(tmp_path_factory):
    return make_clip_model(tmp_path_factory.mktemp("clip") / "model")


@pytest.fixture
def scored(clip_model):
    return {
        "prompts": PROMPTS,
        "max_steps": 2,
        "evaluation.type": "clip",
        "evaluation.pretrained_model_name_or_path": str(clip_model),
        "evaluation.num_frames": 3,
    }


def noise(count, height=48, width=64):
    return np.random.default_rng(0).integers(0, 255, (count, height, width, 3), dtype=np.uint8)


def test_frames_are_evenly_spaced_from_the_first_to_the_last():
    assert evenly(81, 8) == [0, 11, 22, 34, 45, 57, 68, 80]
    assert evenly(9, 3) == [0, 4, 8]
    assert evenly(9, 1) == [0]
    assert evenly(2, 8) == [0, 1]


def test_a_score_is_100_times_the_cosine_of_both_embeddings_and_not_below_0(clip_model):
    frames = torch.from_numpy(noise(4, 32, 32))
    model, tokenizer = CLIPModel.from_pretrained(clip_model).eval(), CLIPTokenizer.from_pretrained(clip_model)
    mean, std = torch.tensor([0.48, 0.46, 0.41]).view(3, 1, 1), torch.tensor([0.27, 0.26, 0.28]).view(3, 1, 1)
    pixels = (frames.permute(0, 3, 1, 2).float() / 255 - mean) / std
    with torch.no_grad():
        found = model(pixel_values=pixels, **tokenizer("a disc", return_tensors="pt"))
    expected = 100 * torch.nn.functional.cosine_similarity(found.image_embeds, found.text_embeds)

    scores = clip_scores(load_clip(clip_model, torch.device("cpu")), "a disc", frames)

    assert scores == pytest.approx(expected.clamp(min=0).tolist(), abs=1e-3)


def test_the_middle_of_a_frame_is_seen_and_the_beginning_of_a_text(clip_model):
    clip = load_clip(clip_model, torch.device("cpu"))
    wide = torch.from_numpy(noise(1, 32, 64))
    changed = wide.clone()
    changed[:, :, :8] = 0

    assert clip_scores(clip, "a disc", wide) == clip_scores(clip, "a disc", changed)
    assert clip_scores(clip, "a disc", wide) == pytest.approx(clip_scores(clip, "a disc", wide[:, :, 16:48]), abs=1e-4)
    long = "abcdefghijklmnop"
    assert clip_scores(clip, long + "qrst", wide) == clip_scores(clip, long + "zzzz", wide)


def test_each_clip_is_scored_against_its_prompt_as_it_was_written(tmp_path, scored, clip_model):
    ema = {"ema.enabled": True, "ema.validation": "comparison", "validation.on_startup": True}
    _, ctx, events = encoded_project(tmp_path, **scored, **ema)
    told = []
    real = clip_scores
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("recipe_runtime.clip_score.clip_scores", lambda *given: told.append(given[1:]) or real(*given))
        train.run(ctx, StopRequested())

    drawn, scores = events.of(ClipDrawn), events.of(ClipScored)
    assert [(s.step, s.nickname, s.weights, s.path) for s in scores] == [
        (d.step, d.nickname, d.weights, d.path) for d in drawn
    ]
    assert len(scores) == 4
    assert {text for text, _ in told} == {"a red disc"}
    for score, (_, frames) in zip(scores, told, strict=True):
        each = real(load_clip(clip_model, ctx.device), "a red disc", frames)
        assert (score.frames, score.score, score.least) == (3, sum(each) / 3, min(each))
    assert note(scores[0]) == f"validate: CLIP score {scores[0].score:.2f} of {scores[0].path}"


def test_scoring_leaves_training_as_it_was_bit_for_bit(tmp_path, scored):
    looks = {"validation.step_interval": 1}
    _, with_scores, events = encoded_project(tmp_path / "with", **scored, **looks)
    _, without, _ = encoded_project(tmp_path / "without", **scored | {"evaluation.type": "none"}, **looks)
    for ctx in (with_scores, without):
        train.run(ctx, StopRequested())

    assert len(events.of(ClipScored)) == 2
    assert same_bits(saved_parts(with_scores.run_dir, 2), saved_parts(without.run_dir, 2))
    again = encoded_project(tmp_path / "again", **scored, **looks)
    train.run(again[1], StopRequested())
    assert [e.score for e in again[2].of(ClipScored)] == [e.score for e in events.of(ClipScored)]


def test_a_score_that_fails_is_a_warning_and_the_clip_is_there(tmp_path, scored, monkeypatch):
    _, ctx, events = encoded_project(tmp_path, **scored)
    monkeypatch.setattr(Judge, "score", lambda *_, **__: (_ for _ in ()).throw(RuntimeError("out of memory")))

    train.run(ctx, StopRequested())

    assert [e.message for e in events.of(Warned)] == [
        f"{events.of(ClipDrawn)[0].path} could not be scored by CLIP: out of memory"
    ]


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (shutil.rmtree, r"does not exist; correct `evaluation.pretrained_model_name_or_path`"),
        (lambda folder: (folder / "config.json").write_text('{"model_type": "dinov2"}'), r"of type dinov2 where"),
        (lambda folder: (folder / "preprocessor_config.json").unlink(), r"preprocessor_config.json does not exist"),
        (
            lambda folder: (folder / "preprocessor_config.json").write_text(json.dumps({"image_mean": [0]})),
            "has no image_std; fetch",
        ),
    ],
)
def test_a_model_that_is_missing_or_another_is_found_before_anything_runs(
    tmp_path, scored, clip_model, damage, message
):
    shutil.copytree(clip_model, tmp_path / "copy")
    _, ctx, _ = encoded_project(
        tmp_path, **scored | {"evaluation.pretrained_model_name_or_path": str(tmp_path / "copy")}
    )
    preflight.check(ctx)
    damage(tmp_path / "copy")

    with pytest.raises(ModelError, match=message):
        preflight.check(ctx)


def test_a_model_without_a_name_is_refused_and_without_prompts_nobody_asks(tmp_path, scored):
    nameless = scored | {"evaluation.pretrained_model_name_or_path": None}
    _, ctx, _ = encoded_project(tmp_path, **nameless)
    with pytest.raises(ModelError, match="needs a CLIP model"):
        preflight.check(ctx)

    _, ctx, _ = encoded_project(tmp_path / "silent", **nameless | {"prompts": ()})
    preflight.check(ctx)


def test_weights_that_are_damaged_are_named(tmp_path, clip_model):
    shutil.copytree(clip_model, tmp_path / "copy")
    (tmp_path / "copy" / "model.safetensors").write_bytes(b"no weights")

    with pytest.raises(ModelError, match="can't be loaded"):
        load_clip(tmp_path / "copy", torch.device("cpu"))
