import json
import os
import shutil
import subprocess
import sys

import pytest

from fakes_clips import make_project
from recipe_compiler.passes.estimate import forward_flop, memory_parts, transformer_parameters
from recipe_compiler.passes.extends import builtin_folder
from recipe_compiler.passes.freeze import write
from recipe_compiler.pipeline import Options, compile_recipe, make_plan
from recipe_schema.canonical import canonical_json
from recipe_schema.decode import decode_settings
from recipe_schema.family import load_family
from recipe_schema.planfile import read_plan


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    return make_project(tmp_path_factory.mktemp("project"))


def plan_of(recipe, *overrides):
    compiled = compile_recipe(recipe, Options(overrides=overrides, must_run=True))
    assert compiled.ok, compiled.found
    return make_plan(compiled)


def test_a_plan_is_complete(project, tmp_path):
    compiled = compile_recipe(project, Options(must_run=True))
    plan = make_plan(compiled)
    write(plan, compiled.survey.rows, tmp_path)

    settings = decode_settings(read_plan(tmp_path).settings)

    assert settings.validation.framerate == 16.0
    assert settings.data.datasets[0].video.min_frames == 9


def test_the_same_project_in_another_place_and_process_has_the_same_body(project, tmp_path):
    copy = tmp_path / "elsewhere" / "deep"
    shutil.copytree(project.parent, copy)
    code = (
        "import sys; from pathlib import Path; from recipe_compiler.pipeline import *; "
        "from recipe_schema.canonical import canonical_json; from dataclasses import asdict; "
        "p = make_plan(compile_recipe(Path(sys.argv[1]), Options(must_run=True))); "
        "print(p.plan_id, canonical_json(asdict(p.body)))"
    )
    outputs = {
        subprocess.run(
            [sys.executable, "-c", code, str(recipe)],
            check=True,
            capture_output=True,
            cwd=cwd,
            env={"PYTHONPATH": ":".join(sys.path), "PYTHONHASHSEED": seed, "TZ": zone, "HOME": str(tmp_path)},
        ).stdout
        for recipe, cwd, seed, zone in (
            (project, "/", "1", "UTC"),
            (copy / "recipe.yaml", str(copy), "2", "Asia/Tokyo"),
        )
    }

    assert len(outputs) == 1


def test_comments_and_the_order_of_keys_do_not_change_the_id(project):
    text = project.read_text(encoding="utf-8")
    head, _, tail = text.partition("train:")
    other = project.parent / "other.yaml"
    other.write_text(f"# a comment\nrecipe: 1\ntrain:{tail}\n{head.removeprefix('recipe: 1')}", encoding="utf-8")

    assert plan_of(other).plan_id == plan_of(project).plan_id


@pytest.mark.parametrize(
    ("override", "same"),
    [
        ("train.seed=7", False),
        ("optimizer.learning_rate=1e-4", False),
        ("train.max_steps=11", False),
        ("data.framerate=8", False),
        ("name=other", True),
        ("output_dir=/tmp/elsewhere", True),
        ("data.store_dir=/tmp/store", True),
        ("validation.prompt=another", True),
        ("checkpoints.step_interval=3", True),
        ("memory.gradient_checkpointing=false", True),
        ("train.flow_schedule_shift=7.0", True),
        ("train.batch_size=1", True),
    ],
)
def test_the_id_changes_with_what_shapes_the_weights_and_with_nothing_else(project, override, same):
    assert (plan_of(project, override).plan_id == plan_of(project).plan_id) is same


def test_a_learning_rate_does_not_change_the_key_of_encoding(project):
    keys = [
        {stage.id: stage.key for stage in plan_of(project, override).body.stages}
        for override in ("optimizer.learning_rate=1e-4", "optimizer.learning_rate=2e-4")
    ]

    assert keys[0]["encode-video"] == keys[1]["encode-video"]
    assert keys[0]["encode-text"] == keys[1]["encode-text"]
    assert keys[0]["train"] != keys[1]["train"]
    assert keys[0]["export"] != keys[1]["export"]


def test_a_changed_caption_changes_texts_and_training_and_no_latents(project, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(project.parent, copy)
    (copy / "clips" / "c0.txt").write_text("something else", encoding="utf-8")
    before, after = (plan_of(p) for p in (project, copy / "recipe.yaml"))

    assert before.plan_id != after.plan_id
    assert before.body.stages[1].inputs != after.body.stages[1].inputs


def test_a_broken_file_beside_the_clips_does_not_change_the_id(project, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(project.parent, copy)
    (copy / "clips" / "junk.mp4").write_bytes(b"junk")

    plan = plan_of(copy / "recipe.yaml")

    assert plan.plan_id == plan_of(project).plan_id
    assert plan.meta["clips"] == {"trained": 4, "quarantined": 1}


def test_a_plan_holds_no_folder_of_this_machine_in_its_body(project):
    assert str(project.parent) not in canonical_json(json.loads(json.dumps(plan_of(project).body.settings)))


def test_ignored_settings_are_listed_and_not_part_of_the_plan(project):
    plan = plan_of(project, "train.flow_schedule_shift=7.0")

    assert plan.meta["ignored"]["train.flow_schedule_shift"]["value"] == 7.0
    assert plan.settings["train.flow_schedule_shift"] is None


def test_epochs_become_whole_steps(project):
    plan = plan_of(project, "train.max_steps=null", "train.num_epochs=3", "train.batch_size=3")

    assert plan.body.schedule.max_steps == 4  # 3 epochs of 4 samples, 3 samples a step


def test_the_estimate_knows_the_real_model():
    config = load_family("sana-video-480p").raw["transformer"]
    values = {
        "train.batch_size": 1,
        "launch.strategy": "ddp",
        "train.mixed_precision": "bf16",
        "memory.gradient_checkpointing": True,
        "memory.gradient_checkpointing_interval": 1,
        "model.type": "full",
        "train.layer_freeze_strategy": "none",
        "ema.enabled": False,
        "ema.device": "accelerator",
        "optimizer.name": "adamw",
        "optimizer.release_gradients": False,
    }

    assert transformer_parameters(config) == 2_056_862_144
    assert forward_flop(config, 32_760) / 1e12 == pytest.approx(121.08, rel=0.001)
    assert sum(memory_parts(values, config, 32_760).values()) == pytest.approx(43.4, rel=0.02)


@pytest.mark.parametrize(
    ("name", "weights", "gradients", "optimizer"),
    [
        ("adamw", 4, 4, 8),
        ("adamw_bf16", 2, 2, 4),
        ("optimi-lion", 2, 2, 4),
        ("optimi-adan", 2, 2, 10),
        ("adamw8bit", 4, 4, 2.03),
        ("ao-adamw8bit", 4, 4, 2.03),
        ("ao-adamw4bit", 4, 4, 1.06),
        ("ao-adamwfp8", 4, 4, 2.03),
        ("adafactor", 4, 4, 4.30),
        ("came", 4, 4, 4 + 2 * 4.30),
        ("prodigy", 4, 4, 16),
    ],
)
def test_the_estimate_knows_what_each_optimizer_keeps_for_a_weight(name, weights, gradients, optimizer):
    config = load_family("sana-video-480p").raw["transformer"]
    values = {
        "train.batch_size": 1,
        "launch.strategy": "ddp",
        "train.mixed_precision": "bf16",
        "memory.gradient_checkpointing": True,
        "memory.gradient_checkpointing_interval": 1,
        "model.type": "full",
        "train.layer_freeze_strategy": "none",
        "ema.enabled": True,
        "ema.device": "cpu",
        "optimizer.name": name,
        "optimizer.release_gradients": False,
    }
    parts = memory_parts(values, config, 32_760)
    released = memory_parts(values | {"optimizer.release_gradients": True}, config, 32_760)
    count = transformer_parameters(config) / 1e9

    assert (parts["weights"], parts["gradients"]) == (count * weights, count * gradients)
    assert parts["optimizer"] == pytest.approx(count * optimizer, rel=0.01)
    assert parts["ema"] == 0
    assert released["gradients"] == pytest.approx(30_105_600 * weights / 1e9)


def test_the_guide_recipe_plans_against_real_clips_without_weights(project, tmp_path):
    recipe = builtin_folder() / "sana_480p.yaml"
    plan = plan_of(
        recipe,
        f"data.datasets=[{{id: x, instance_data_dir: {project.parent / 'clips'}}}]",
        f"output_dir={tmp_path}",
    )

    assert plan.body.buckets[0].frames == 81
    assert plan.settings["data.framerate"] == 16.0
    assert plan.body.stages[0].id == "encode-text"
    assert not os.listdir(tmp_path)


def test_without_a_main_prompt_those_of_the_library_are_drawn(project):
    plan = plan_of(project, "validation.prompt=null", "validation.prompt_library={night: a bar at night}")

    assert [(p.nickname, p.text) for p in plan.execution.prompts] == [("night", "a bar at night motion score: 30.")]


@pytest.mark.parametrize(
    ("saves", "kept"),
    [
        ({"step_interval": 2, "total_limit": 1}, 2),
        ({"step_interval": 2, "total_limit": "null"}, 4),  # steps 2, 4, 6 and 8
        ({"step_interval": 100, "epoch_interval": 1, "total_limit": "null"}, 3),  # after 4 and 8 steps, and at the end
        ({"step_interval": 2, "total_limit": 1, "rolling_steps": 1, "rolling_total_limit": 3}, 5),
    ],
)
def test_the_estimate_counts_the_checkpoints_that_lie_on_the_disk(project, saves, kept):
    one = plan_of(project, "train.max_steps=8", "checkpoints.step_interval=100", "checkpoints.total_limit=null")

    plan = plan_of(project, "train.max_steps=8", *(f"checkpoints.{name}={value}" for name, value in saves.items()))

    sizes = [each.meta["estimate"]["checkpoints_gb"] for each in (plan, one)]
    assert sizes[0] / sizes[1] == pytest.approx(kept, rel=0.01)
