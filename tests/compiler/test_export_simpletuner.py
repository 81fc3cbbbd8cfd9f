"""Recipes become configurations of SimpleTuner, and come back the same where both can say it."""

import json

import pytest
import yaml
from hypothesis import given, settings, strategies as st

from recipe_compiler.cli.main import main
from recipe_compiler.exports.simpletuner import export_simpletuner
from recipe_compiler.imports.document import recipe_text
from recipe_compiler.imports.place import How
from recipe_compiler.imports.simpletuner import import_simpletuner
from recipe_compiler.pipeline import Options, compile_recipe, compile_source
from recipe_compiler.source import Source
from recipe_schema.definition import generic


# What SimpleTuner does in any case, so that all of it can be said there.
SAME = """\
recipe: 1
model: {instruction: diffusers, vae_dtype: bf16}
data:
  motion_score: null
  datasets:
    - id: clips
      instance_data_dir: clips
      multiline: split
      resolution: 480
      video: {num_frames: 81, fps: ignore}
train: {max_steps: 100, noise_schedule: simpletuner}
optimizer: {name: adamw_bf16}
"""


def resolved(text, path):
    compiled = compile_source(Source(str(path), text), path, Options(look_at_data=False))
    assert compiled.ok, [d.message for d in compiled.found if d.severity == "error"]
    return compiled.settings


def laid_over(text, changes):
    recipe = yaml.safe_load(text)
    for path, value in changes.items():
        *sections, key = path.split(".")
        node = recipe
        for section in sections:
            node = node[int(section)] if isinstance(node, list) else node.setdefault(section, {})
        node[key] = value
    return yaml.safe_dump(recipe)


def exported(root, changes=(), version="4.10"):
    text = laid_over(SAME, dict(changes))
    return export_simpletuner(resolved(text, root / "r.yaml"), root, root / "out", version)


def back(root, out):
    folder = root / "out"
    folder.mkdir(exist_ok=True)
    for name, content in out.files.items():
        (folder / name).write_text(json.dumps(content), encoding="utf-8")
    draft = import_simpletuner(folder / "config.json", How(target=root, faithful=True, environment={"HOOK": "x"}))
    return resolved(recipe_text(draft.settings, []), root / "r.yaml")


def unsaid(out):
    return {each.path for each in out.unsaid if not each.nearly}


_OPTIMIZERS = (
    "adamw_bf16",
    "ao-adamw8bit",
    "ao-adamw4bit",
    "ao-adamwfp8",
    "optimi-adamw",
    "optimi-lion",
    "schedule-free",
)
_SHARED = {
    "train.batch_size": st.integers(1, 8),
    "train.seed": st.integers(1, 10**6),
    "train.max_grad_norm": st.floats(0, 5),
    "train.grad_clip_method": st.sampled_from(["norm", "value"]),
    "train.caption_dropout_probability": st.floats(0, 1),
    "train.input_perturbation": st.floats(0, 1),
    "train.noise_offset": st.floats(0, 1),
    "optimizer.name": st.sampled_from(_OPTIMIZERS),
    "optimizer.learning_rate": st.floats(1e-7, 1e-2),
    "optimizer.weight_decay": st.floats(0, 0.1),
    "optimizer.eps": st.floats(1e-12, 1e-3),
    "optimizer.beta1": st.floats(0, 0.99),
    "lr_schedule.name": st.sampled_from(
        ["constant", "constant_with_warmup", "linear", "polynomial", "simpletuner-cosine"]
    ),
    "lr_schedule.period_steps": st.integers(1, 500),
    "data.vae_batch_size": st.integers(1, 4),
    "data.framerate": st.integers(8, 30),
    "data.datasets.0.repeats": st.integers(0, 9),
    "data.datasets.0.resolution": st.sampled_from([256, 480, 632]),
    "data.datasets.0.resolution_type": st.sampled_from(["pixel", "pixel_area"]),
    "data.datasets.0.aspect_bucket_alignment": st.sampled_from([16, 32, 64]),
    "data.datasets.0.video.num_frames": st.sampled_from([9, 49, 81]),
    "data.datasets.0.multiline": st.sampled_from(["whole", "split"]),
    "checkpoints.step_interval": st.integers(1, 1000),
    "checkpoints.total_limit": st.none() | st.integers(1, 9),
    "ema.enabled": st.booleans(),
    "ema.decay": st.floats(0.5, 0.9999),
    "ema.update_interval": st.integers(1, 4),
    "model.type": st.sampled_from(["full", "lora"]),
    "model.lora.rank": st.integers(1, 64),
    "model.lora.dropout": st.floats(0, 0.5),
}


def whole(changes):
    """Give a swing the period without which it is an error."""
    swings = changes.get("lr_schedule.name") == "simpletuner-cosine"
    return {"lr_schedule.period_steps": 100, **changes} if swings else changes


_CHANGED = given(changes=st.fixed_dictionaries({}, optional=_SHARED).map(whole))


@settings(max_examples=4, deadline=None)
@_CHANGED
def test_there_and_back_is_the_same_where_both_can_say_it(changes, tmp_path_factory):
    there_and_back(tmp_path_factory.mktemp("round"), changes)


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@_CHANGED
def test_there_and_back_in_many_ways(changes, tmp_path_factory):
    there_and_back(tmp_path_factory.mktemp("round"), changes)


@pytest.mark.parametrize(
    "changes",
    [
        {"lr_schedule.name": "constant"},
        {"lr_schedule.name": "polynomial", "lr_schedule.power": 2.0, "lr_schedule.end": 1e-7},
        {"lr_schedule.name": "simpletuner-sine", "lr_schedule.period_steps": 20, "launch.processes": 2},
        {"ema.enabled": True, "ema.update_interval": 3, "model.type": "lora", "train.noise_offset": 0.1},
    ],
    ids=lambda changes: "-".join(map(str, changes.values())),
)
def test_there_and_back_for_each_schedule(changes, tmp_path):
    there_and_back(tmp_path, changes)


def there_and_back(root, changes):
    one = resolved(laid_over(SAME, changes), root / "r.yaml")
    out = export_simpletuner(one, root, root / "out", "4.10")
    without_schedule = {"lr_schedule.name"} if one["optimizer.name"] == "schedule-free" else set()
    assert unsaid(out) <= without_schedule, out.unsaid
    two = back(root, out)

    unread = _unread(one)
    for path, each in one.settings.items():
        if each.leaf.key.impact == "result" and path not in unread | unsaid(out):
            expected = pytest.approx(one[path], rel=1e-9) if isinstance(one[path], float) else one[path]
            assert two[path] == expected, path
    for path in ("checkpoints.step_interval", "checkpoints.total_limit", "ema.enabled"):
        assert two[path] == one[path]


def _unread(one):
    """What a schedule, or something that is off, does not read."""
    name = one["lr_schedule.name"]
    reads = (
        {"lr_schedule.name", "lr_schedule.warmup_steps"}
        if not name.startswith("simpletuner-")
        else {"lr_schedule.name"}
    )
    reads |= {"lr_schedule.period_steps", "lr_schedule.end"} if name.startswith("simpletuner-") else set()
    reads |= {"lr_schedule.end", "lr_schedule.power"} if name == "polynomial" else set()
    reads = set() if one["optimizer.name"] == "schedule-free" else reads
    unread = {path for path in one.settings if path.startswith("lr_schedule.")} - reads
    off = [
        "regularizers.",
        *(["ema."] if not one["ema.enabled"] else []),
        *(["model.lora."] if one["model.type"] == "full" else []),
    ]
    unread |= {path for path in one.settings if path.startswith(tuple(off))}
    unread |= {"optimizer.eps"} if one["optimizer.name"] == "optimi-lion" else set()
    unread |= {"train.grad_clip_method"} if one["train.max_grad_norm"] == 0 else set()
    return unread | ({"train.noise_offset_probability"} if one["train.noise_offset"] == 0 else set())


def test_a_recipe_of_ones_own_can_not_be_said_and_is_not_written(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    recipe = "recipe: 1\ndata: {datasets: [{id: a, instance_data_dir: clips}]}\ntrain: {max_steps: 5}\n"
    (tmp_path / "mine.yaml").write_text(recipe, encoding="utf-8")

    assert main(["export", "simpletuner", "mine.yaml", "-o", "out"]) == 1
    out = capsys.readouterr().out
    assert not (tmp_path / "out").exists()
    assert 'train.noise_schedule: "official"' in out
    assert "nothing is written; with --partial" in out
    assert main(["export", "simpletuner", "mine.yaml", "-o", "out", "--partial", "--format", "json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["written"] == ["out/config.json", "out/multidatabackend.json"]
    assert {each["path"] for each in told["unsaid"] if each["shapes"]} >= {"data.motion_score", "data.buckets"}
    config = json.loads((tmp_path / "out" / "config.json").read_text(encoding="utf-8"))
    sets = json.loads((tmp_path / "out" / "multidatabackend.json").read_text(encoding="utf-8"))
    assert config["data_backend_config"] == "out/multidatabackend.json"
    assert config["aspect_bucket_alignment"] == 32
    assert (sets[0]["resolution"], sets[0]["resolution_type"], sets[0]["instance_data_dir"]) == (480, "pixel", "clips")
    assert main(["export", "simpletuner", "mine.yaml", "-o", "out", "--partial"]) == 2
    assert "there already" in capsys.readouterr().err
    assert main(["export", "simpletuner", "mine.yaml", "-o", "out", "--partial", "--force"]) == 0
    assert "out/config.json: written" in capsys.readouterr().out


def test_a_recipe_with_errors_is_not_exported(tmp_path, capsys):
    bad = tmp_path / "bad.yaml"
    bad.write_text("recipe: 1\ntrain: {max_stepz: 3}\n", encoding="utf-8")
    assert main(["export", "simpletuner", str(bad), "-o", str(tmp_path / "out")]) == 1
    assert "max_stepz" in capsys.readouterr().err


def test_versions_differ_in_group_offload(tmp_path):
    changes = {"memory.group_offload.enabled": True, "memory.group_offload.to_disk_path": "disk"}
    new, old = exported(tmp_path, changes), exported(tmp_path, changes, version="4.8")

    assert "enable_group_offload" not in new.files["config.json"]
    assert "memory.group_offload.enabled" in unsaid(new)
    assert old.files["config.json"]["enable_group_offload"] is True
    assert new.whole
    assert exported(tmp_path, {"memory.group_offload.enabled": False}).unsaid == ()


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("model.instruction", "official"),
        ("data.motion_score", 10),
        ("train.loss_type", "huber"),
        ("train.noise_schedule", "official"),
        ("data.datasets.0.video.fps", "resample"),
        ("data.datasets.0.video.window", "middle"),
        ("data.datasets.0.video.num_frames", 85),
        ("data.datasets.0.video.min_frames", 49),
        ("optimizer.name", "came"),
        ("lr_schedule.name", "sine"),
        ("data.datasets.0.aspect_bucket_alignment", 48),
        ("ema.warmup", "none"),
    ],
)
def test_what_can_not_be_said_is_told(path, value, tmp_path):
    out = exported(tmp_path, {path: value, **({"ema.enabled": True} if path.startswith("ema") else {})})

    assert path in unsaid(out)
    assert not out.whole


def test_sizes_of_data_sets_are_whole_numbers_and_a_smallest_size_keeps_its_unit(tmp_path):
    sized = exported(tmp_path, {"data.datasets.0.minimum_image_size": 200, "data.datasets.0.resolution": 480.0})
    table = exported(tmp_path, {"data.datasets.0.minimum_image_size": 200, "data.datasets.0.resolution": None})

    for key, number in (("resolution", 480), ("minimum_image_size", 200)):
        written = sized.files["multidatabackend.json"][0][key]
        assert (written, type(written)) == (number, int)
    assert "minimum_image_size" not in table.files["multidatabackend.json"][0]
    assert unsaid(table) == {"data.buckets", "data.datasets.0.minimum_image_size"}


def test_a_data_set_of_another_type_is_left_out(tmp_path):
    out = exported(tmp_path, {"data.datasets.0.type": "webdataset"})

    assert unsaid(out) == {"data.datasets.0.id"}
    assert not out.whole
    assert [each["id"] for each in out.files["multidatabackend.json"]] == ["text-embeds"]


@pytest.mark.parametrize("name", ["adamw", "ao-adamw8bit", "ao-adamw4bit", "ao-adamwfp8"])
def test_an_optimizer_that_steps_fp32_only_comes_near(name, tmp_path):
    out = exported(tmp_path, {"optimizer.name": name})
    assert out.files["config.json"]["optimizer"] == {"adamw": "torch-adamw"}.get(name, name)
    assert [each.nearly for each in out.unsaid if each.path == "optimizer.name"] == [True]


@pytest.mark.parametrize("name", ["adafactor", "schedule-free"])
def test_so_does_one_that_keeps_fp32_in_another_way(name, tmp_path):
    out = exported(tmp_path, {"optimizer.name": name, "lr_schedule.name": "constant"})
    assert [(each.path, each.nearly) for each in out.unsaid] == [("optimizer.name", True)]


@pytest.mark.parametrize(
    ("changes", "options", "lost"),
    [
        ({"name": "adamw_bf16", "beta1": 0.8, "eps": 1e-6, "weight_decay": 0.01}, (0.8, 0.999, None), set()),
        (
            {"name": "adamw_bf16", "beta1": 0.8, "eps": 1e-6, "weight_decay": 0.02},
            (0.8, 0.999, "weight_decay=0.02,eps=1e-06"),
            set(),
        ),
        ({"name": "optimi-lion", "beta2": 0.98}, (0.9, 0.98, None), set()),
        ({"name": "optimi-lion", "weight_decay": 0.02}, (0.9, 0.999, "weight_decay=0.02"), set()),
        ({"name": "adafactor", "beta1": 0.5}, (None, None, None), set()),
        ({"name": "adafactor", "weight_decay": 0.1}, (None, None, "weight_decay=0.1"), set()),
        ({"name": "optimi-adan", "beta1": 0.98, "eps": 1e-6, "weight_decay": 0.02}, (None, None, None), set()),
        ({"name": "optimi-adan", "beta1": 0.9, "eps": 1e-6}, (None, None, "weight_decay=0.0,eps=1e-06"), {"beta1"}),
        ({"name": "prodigy", "eps": 1e-8, "beta2": 0.99}, (0.9, 0.99, None), {"name"}),
        ({"name": "came"}, (0.9, 0.999, "weight_decay=0.0,eps=1e-10"), {"name"}),
    ],
)
def test_an_optimizer_is_given_the_constants_that_it_has_there(changes, options, lost, tmp_path):
    out = exported(tmp_path, {f"optimizer.{key}": value for key, value in changes.items()})
    config = out.files["config.json"]
    assert unsaid(out) == {f"optimizer.{key}" for key in lost}
    assert tuple(config.get(f"optimizer_{key}") for key in ("beta1", "beta2", "config")) == options


@pytest.mark.parametrize(
    ("changes", "there"),
    [
        ({"lr_schedule.name": "cosine_with_restarts", "lr_schedule.warmup_steps": 3}, ("constant_with_warmup", 3)),
        ({"lr_schedule.name": "sine"}, ("sine", 100)),
        ({"lr_schedule.name": "sine", "train.max_steps": None, "train.num_epochs": 2}, ("sine", 1000)),
        ({"optimizer.name": "schedule-free", "lr_schedule.name": "linear"}, ("linear", 0)),
        ({"optimizer.name": "schedule-free", "lr_schedule.warmup_steps": 9}, ("constant_with_warmup", 9)),
    ],
)
def test_a_schedule_that_is_another_one_there_is_told_and_lets_it_start(changes, there, tmp_path):
    out = exported(tmp_path, changes)
    assert "lr_schedule.name" in unsaid(out)
    assert (out.files["config.json"]["lr_scheduler"], out.files["config.json"]["lr_warmup_steps"]) == there


def test_layers_of_adapters_are_a_list_and_so_are_trackers_where_there_may_be_several(tmp_path):
    changes = {"model.type": "lora", "model.lora.target_modules": ["to_q", "to_k"]}
    out = exported(tmp_path, {**changes, "tracking.report_to": ["tensorboard", "wandb"]})
    old = exported(tmp_path, {"tracking.report_to": ["tensorboard", "wandb"]}, version="4.8")

    assert out.files["config.json"]["peft_lora_target_modules"] == ["to_q", "to_k"]
    assert out.files["config.json"]["report_to"] == ["tensorboard", "wandb"]
    assert not unsaid(out)
    assert old.files["config.json"]["report_to"] == "tensorboard"
    assert unsaid(old) == {"tracking.report_to"}
    assert back(tmp_path, out)["tracking.report_to"] == ["tensorboard", "wandb"]


def test_what_is_said_nearly(tmp_path):
    changes = {
        "lr_schedule.name": "cosine",
        "optimizer.name": "adamw",
        "validation.prompt": "a fox",
        "regularizers.crepa.enabled": True,
    }
    out = exported(
        tmp_path, {**changes, "memory.gradient_checkpointing_interval": 2, "train.layer_freeze_strategy": "bitfit"}
    )
    config = out.files["config.json"]
    assert out.whole
    assert {each.path for each in out.unsaid} == {
        "lr_schedule.name",
        "optimizer.name",
        "validation.step_interval",
        "regularizers.crepa.spatial_align",
    }
    assert (config["lr_scheduler"], config["lr_warmup_steps"], config["validation_step_interval"]) == (
        "cosine",
        100,
        100,
    )
    assert config["gradient_checkpointing_interval"] == 2
    assert config["layer_freeze_strategy"] == "bitfit"
    ending = exported(tmp_path, {"lr_schedule.name": "linear", "lr_schedule.end": 1e-7})
    assert "lr_schedule.end" in unsaid(ending)
    periods = exported(
        tmp_path, {"lr_schedule.name": "simpletuner-sine", "lr_schedule.period_steps": 7, "launch.processes": 2}
    )
    assert "lr_schedule.period_steps" in unsaid(periods)


def test_prompts_lokr_webhooks_and_epochs_come_back(tmp_path):
    changes = {
        "model.type": "lora",
        "model.lora.type": "lokr",
        "model.lora.rank": 8,
        "model.lora.lokr_factor": 4,
        "validation.prompt_library": {"fox": "a fox", "hen": "a hen"},
        "validation.step_interval": 5,
        "validation.framerate": 8,
        "checkpoints.resume": "50",
        "checkpoints.rolling_steps": 10,
        "tracking.report_to": ["wandb", "tensorboard"],
        "tracking.webhooks": [
            {"type": "discord", "url_env": "HOOK", "prefix": "run", "token_env": "HOOK"},
            {"type": "raw", "url": "http://127.0.0.1/x", "ssl_verify": False},
            {"type": "slack", "url_env": "HOOK"},
        ],
        "ema.enabled": True,
        "ema.warmup_steps": 4,
        "ema.warmup": "none",
        "regularizers.rollout.max_step_offset": 5,
        "regularizers.rollout.target": "kept",
        "regularizers.rollout.probability": 0.5,
    }
    out = exported(tmp_path, changes)
    two = back(tmp_path, out)

    assert set(out.files) == {"config.json", "multidatabackend.json", "user_prompt_library.json", "lycoris_config.json"}
    assert unsaid(out) == {"tracking.webhooks.2.type", "validation.framerate"}
    for path in (
        "model.lora.type",
        "model.lora.rank",
        "model.lora.lokr_factor",
        "validation.prompt_library",
        "checkpoints.resume",
    ):
        assert two[path] == resolved(laid_over(SAME, changes), tmp_path / "r.yaml")[path]
    assert two["tracking.webhooks.0.url_env"] == two["tracking.webhooks.0.token_env"] == "HOOK"
    assert two["tracking.webhooks.1.ssl_verify"] is False
    assert two["ema.warmup"] == "none"
    assert two["regularizers.rollout.target"] == "kept"
    epochs = exported(tmp_path, {"train.max_steps": None, "train.num_epochs": 3, "validation.prompt": "a fox"})
    assert (epochs.files["config.json"]["max_train_steps"], epochs.files["config.json"]["num_train_epochs"]) == (0, 3)


def test_data_sets_of_every_kind(tmp_path):
    (tmp_path / "models" / "mine").mkdir(parents=True)
    sets = [
        {"id": "texts", "dataset_type": "text_embeds"},
        {
            "id": "photos",
            "dataset_type": "image",
            "instance_data_dir": "/photos",
            "resolution": 256,
            "caption_strategy": "filename",
        },
        {
            "id": "hub",
            "type": "huggingface",
            "dataset_name": "o/n",
            "caption_strategy": "huggingface",
            "resolution": 256,
        },
        {"id": "off", "instance_data_dir": "off", "disabled": True},
        {"id": "plain", "instance_data_dir": "a"},
        {"id": "plain2", "instance_data_dir": "b", "aspect_bucket_alignment": 32, "resolution": 512},
        {"id": "plain3", "instance_data_dir": "c"},
    ]
    out = exported(tmp_path, {"data.datasets": sets, "model.pretrained_model_name_or_path": "models/mine"})
    written = {each["id"]: each for each in out.files["multidatabackend.json"]}
    assert set(written) == {"photos", "hub", "off", "plain", "plain2", "plain3", "text-embeds"}
    assert "video" not in written["photos"]
    assert written["hub"]["metadata_backend"] == "huggingface"
    assert "disable_multiline_split" not in written["hub"]
    assert [each.path for each in out.unsaid].count("data.buckets") == 1
    assert "data.datasets.5.aspect_bucket_alignment" in unsaid(out)
    assert out.files["config.json"]["pretrained_model_name_or_path"].endswith("models/mine")
    assert {generic(path) for path in unsaid(out)} >= {"data.datasets.*.video.fps"}


def test_what_was_taken_over_goes_back(tmp_path):
    path = tmp_path / "r.yaml"
    path.write_text(SAME, encoding="utf-8")
    assert compile_recipe(path, Options(look_at_data=False)).ok
    assert exported(tmp_path).unsaid == ()
