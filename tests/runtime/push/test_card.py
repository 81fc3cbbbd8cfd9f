import json
import warnings
from dataclasses import replace

import pytest
import torch
import yaml

from fakes_runtime import make_project
from recipe_runtime.push.card import model_card
from recipe_schema.plan import Bucket


def card(tmp_path, *, adapter=False, weights="model", **overrides):
    project = make_project(tmp_path, **overrides)
    export = tmp_path / "export"
    export.mkdir()
    (export / "recipe.json").write_text(json.dumps({"version": 1, "plan_id": "x", "step": 4, "weights": weights}))
    if not adapter:
        (export / "model_index.json").write_text("{}")
    return project, model_card(project.plan, export, "me/tiny")


def test_a_card_says_what_was_trained_on_what_and_how_to_load_it(tmp_path):
    project, text = card(tmp_path, **{"train.batch_size": 2, "description": "Discs that move."})

    head = yaml.safe_load(text.split("---")[1])
    assert head == {
        "library_name": "diffusers",
        "pipeline_tag": "text-to-video",
        "tags": ["sana-video", "sana-recipes"],
    }
    assert f"Plan: `{project.plan.plan_id}`" in text
    assert "Discs that move." in text
    assert "This is the weights after\n4 optimizer steps of 2 samples." in text
    assert "| trained | 4 |" in text
    assert "| 64x64@9 | 2 | 2 |" in text
    assert "base model, whose licence holds" in text
    assert 'SanaVideoPipeline.from_pretrained("me/tiny"' in text
    assert "size = dict(width=64, height=64, frames=9, use_resolution_binning=False)" in text
    settings = yaml.safe_load(text.split("```yaml")[1].split("```")[0])
    assert settings == {"train.batch_size": 2}


def test_the_code_of_a_card_is_python(tmp_path):
    _, text = card(tmp_path)

    compile(text.split("```python")[1].split("```")[0], "card", "exec")


def test_the_code_of_a_card_draws_a_clip_of_a_size_that_was_trained(tmp_path):
    project, text = card(tmp_path)
    code = text.split("```python")[1].split("```")[0]
    here = {
        '"me/tiny"': repr(str(project.root / "models" / "tiny")),
        '"cuda"': '"cpu"',
        f"num_inference_steps={project.plan.settings['validation.num_inference_steps']},": "num_inference_steps=1,",
    }
    for there, mine in here.items():
        assert there in code
        code = code.replace(there, mine)
    shown = {}

    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*torch_dtype.*")
        exec(code.partition("export_to_video(")[0], shown)

    assert [(picture.width, picture.height) for picture in shown["clip"].frames[0]] == [(64, 64)] * 9
    assert shown["pipeline"].vae.dtype == torch.float32
    assert shown["pipeline"].transformer.dtype == torch.bfloat16


def test_sizes_that_diffusers_refuses_are_cut_in_the_code_of_a_card(tmp_path):
    project, _ = card(tmp_path)
    odd = Bucket(width=624, height=624, frames=81, clips=1, samples=1)
    even = Bucket(width=832, height=480, frames=81, clips=1, samples=1)

    def shown(*buckets):
        plan = replace(project.plan, body=replace(project.plan.body, buckets=buckets))
        return model_card(plan, tmp_path / "export", "me/tiny")

    assert "width=608, height=608, frames=81, " in shown(odd)
    assert "width=832, height=480, frames=81, " in shown(odd, even)
    assert "width=32, height=32, frames=81, " in shown(replace(odd, width=16, height=48))


def test_a_card_names_a_base_of_the_hub_and_no_folder_of_this_machine(tmp_path):
    hub = "Efficient-Large-Model/SANA-Video_2B_480p_diffusers"
    project, text = card(
        tmp_path,
        **{
            "model.pretrained_model_name_or_path": hub,
            "data.datasets.0.instance_data_dir": "clips",
            "output_dir": "runs/secret-project",
        },
    )

    assert yaml.safe_load(text.split("---")[1])["base_model"] == hub
    assert f"from {hub}." in text
    assert "instance_data_dir" not in text
    assert "secret-project" not in text
    assert str(project.root) not in text


@pytest.mark.parametrize("weights", ["model", "ema"])
def test_a_card_of_an_adapter_loads_it_onto_its_base(tmp_path, weights):
    _, text = card(tmp_path, adapter=True, weights=weights, **{"model.pretrained_model_name_or_path": "them/base"})

    assert 'from_pretrained("them/base"' in text
    assert 'pipeline.load_lora_weights("me/tiny")' in text
    assert ("the average of the weights" in text) == (weights == "ema")


def test_a_card_of_a_product_loads_it_into_the_transformer(tmp_path):
    _, text = card(tmp_path, adapter=True, weights="model", **{"model.lora.type": "lokr"})

    line = 'load_lora_adapter(\n    "me/tiny", weight_name="pytorch_lora_weights.safetensors", prefix="transformer"\n)'
    assert f"pipeline.transformer.{line}" in text
    assert "load_lora_weights" not in text


def test_a_card_of_a_model_that_starts_from_pictures_says_how(tmp_path):
    _, text = card(tmp_path, **{"data.datasets.0.video.is_i2v": True, "data.datasets.0.video.num_frames": 9})

    head = yaml.safe_load(text.split("---")[1])
    assert head["tags"] == ["sana-video", "sana-recipes", "image-to-video"]
    first, second = (part.split("```")[0] for part in text.split("```python")[1:])
    compile(first, "card", "exec")
    compile(second, "card", "exec")
    assert "SanaImageToVideoPipeline" not in first
    assert 'clip = pipeline(picture, "what is to be seen" + motion, **size, **drawing)' in second


def drawing_of(text):
    """Run the part of a card's code that says how clips are drawn."""
    code = text.split("```python")[1]
    shown = {}
    exec("motion =" + code.partition("motion =")[2].partition("clip =")[0], shown)
    return shown


def test_a_card_draws_as_the_run_did(tmp_path):
    overrides = {
        "validation.guidance": 1.5,
        "validation.num_inference_steps": 7,
        "validation.negative_prompt": 'a "blurred" clip',
        "data.motion_score": 12,
        "model.instruction": "official",
    }
    project, text = card(tmp_path, **overrides)

    shown = drawing_of(text)

    assert shown["motion"] == " motion score: 12."
    assert shown["drawing"].pop("complex_human_instruction") == project.plan.body.facts["instruction"].split("\n")
    assert shown["drawing"] == {"guidance_scale": 1.5, "num_inference_steps": 7, "negative_prompt": 'a "blurred" clip'}


@pytest.mark.parametrize(("instruction", "given"), [("none", {"complex_human_instruction": None}), ("diffusers", {})])
def test_a_card_of_a_model_without_the_authors_instruction_does_without_it(tmp_path, instruction, given):
    project, _ = card(tmp_path, **{"model.instruction": instruction, "data.motion_score": None})
    facts = {**project.plan.body.facts, "instruction": "" if instruction == "none" else "as diffusers has it"}
    plan = replace(project.plan, body=replace(project.plan.body, facts=facts))

    shown = drawing_of(model_card(plan, tmp_path / "export", "me/tiny"))

    assert shown["motion"] == ""
    assert {name: value for name, value in shown["drawing"].items() if "instruction" in name} == given


@pytest.mark.parametrize(("path", "place"), [("them/other", "them/other"), ("./other", "PATH OF ITS TRANSFORMER")])
def test_a_card_of_an_adapter_takes_the_transformer_that_it_was_trained_on(tmp_path, path, place):
    _, text = card(
        tmp_path,
        adapter=True,
        **{
            "model.pretrained_model_name_or_path": "them/base",
            "model.pretrained_transformer_model_name_or_path": path,
        },
    )

    assert f'SanaVideoTransformer3DModel.from_pretrained("{place}", subfolder="transformer"' in text
    assert 'SanaVideoPipeline.from_pretrained("them/base", transformer=transformer, dtype=precision)' in text
    compile(text.split("```python")[1].split("```")[0], "card", "exec")


@pytest.mark.parametrize(
    "overrides",
    [{"video.i2v_probability": 0}, {"disabled": True}, {"dataset_type": "eval"}],
    ids=["never given", "not in use", "measured alone"],
)
def test_a_card_of_a_model_that_learnt_text_alone_names_no_pictures(tmp_path, overrides):
    project, _ = card(tmp_path)
    set_apart = {f"data.datasets.1.{path}": value for path, value in {"video.is_i2v": True, **overrides}.items()}
    usual = {"data.datasets.1.video.i2v_probability": 0.9, "data.datasets.1.dataset_type": "video"}
    execution = replace(
        project.plan.execution,
        settings={**project.plan.execution.settings, **usual, "data.datasets.1.disabled": False, **set_apart},
    )

    text = model_card(replace(project.plan, execution=execution), tmp_path / "export", "me/tiny")

    assert "SanaImageToVideoPipeline" not in text
    assert "image-to-video" not in text


@pytest.mark.parametrize(("random", "base"), [("tiny", False), (None, True)])
def test_a_card_of_random_weights_derives_them_from_nothing(tmp_path, random, base):
    _, text = card(tmp_path, **{"model.random_weights": random, "train.batch_size": 1})

    assert ("from random weights." in text) != base
    assert ("licence holds for them too" in text) == base
    assert "4 optimizer steps of 1 sample." in text
