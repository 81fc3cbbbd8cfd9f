"""Configurations of SimpleTuner become recipes: the guide's own, the layout of its example, old names, broken files."""

import json
from importlib.util import find_spec
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings, strategies as st

from fakes_simpletuner import CLIPS, GUIDE, TEXTS
from recipe_compiler.cli.main import main
from recipe_compiler.imports.fitting import coerced
from recipe_compiler.imports.given import given_in
from recipe_compiler.imports.place import How
from recipe_compiler.imports.reading import read_list, read_map
from recipe_compiler.imports.report import report_text
from recipe_compiler.imports.simpletuner import import_simpletuner
from recipe_compiler.imports.simpletuner_options import Options, all_options, canonical
from recipe_schema.definition import leaf_index


# Values and names are those of the quick start for Sana Video; prompts are our own.
SMALL = {"data_backend_config": "config/multidatabackend.json", "max_train_steps": 10, "num_train_epochs": 0}


def project(root, config, sets=(CLIPS, TEXTS), name="config.json"):
    folder = root / "config"
    folder.mkdir(exist_ok=True)
    text = config if isinstance(config, str) else json.dumps(config, indent=2)
    (folder / name).write_text(text, encoding="utf-8")
    (folder / "multidatabackend.json").write_text(json.dumps(list(sets), indent=2), encoding="utf-8")
    return folder / name


def taken(root, config=None, sets=(CLIPS, TEXTS), *, faithful=False, environment=(), **more):
    file = project(root, {**SMALL, **(config or {}), **more}, sets)
    return import_simpletuner(file, How(target=root, faithful=faithful, environment=dict(environment)))


def row(draft, key):
    found = [each for each in draft.rows if each.key == key]
    assert len(found) == 1, f"{key} is told {len(found)} times"
    return found[0]


def value(draft, path):
    return draft.settings[path].value


def lint(path, capsys):
    status = main(["lint", "--no-data", str(path), "--format", "json"])
    return status, {d["code"] for d in json.loads(capsys.readouterr().out)["diagnostics"]}


@pytest.mark.parametrize(
    ("path", "written", "value"),
    [
        ("model.lora.target_modules", "to_q, to_k", ["to_q", "to_k"]),
        ("model.lora.target_modules", ["to_q"], ["to_q"]),
        ("train.batch_size", "4", 4),
        ("train.batch_size", "four", "four"),
    ],
)
def test_a_text_becomes_what_its_key_takes(path, written, value):
    assert coerced(written, leaf_index()[path]) == value


@pytest.mark.parametrize("faithful", [False, True], ids=["meant", "faithful"])
def test_the_guide_becomes_a_recipe_without_errors(faithful, tmp_path, monkeypatch, capsys):
    project(tmp_path, GUIDE)
    monkeypatch.chdir(tmp_path)

    assert main(["import", "simpletuner", "config", *(["--faithful"] if faithful else [])]) == 0
    out = capsys.readouterr().out
    recipe = tmp_path / ("recipe.yaml" if (tmp_path / "recipe.yaml").exists() else f"{tmp_path.name}.yaml")
    assert "delete_problematic_images" in out
    assert "704x384" in out
    assert "SimpleTuner refuses max_train_steps without `num_train_epochs: 0`" in out
    assert "4.10 refuses `base_model_precision: bf16`" in out
    assert lint(recipe, capsys) == (0, {"R801"} if find_spec("wandb") else {"R801", "R803"})
    text = recipe.read_text(encoding="utf-8")
    written = yaml.safe_load(text)
    assert "# config/config.json:5 seed" in text
    if faithful:
        assert written["train"]["noise_schedule"] == "simpletuner"
        assert written["train"]["max_grad_norm"] == 0.0
        assert written["lr_schedule"]["period_steps"] == 400000
        assert written["data"]["motion_score"] is None
        assert written["data"]["datasets"][0]["resolution"] == 480
        assert written["data"]["datasets"][0]["video"]["fps"] == "ignore"
        assert written["ema"]["decay"] == pytest.approx(0.995**0.5)
        assert written["optimizer"]["weight_decay"] == 0.01
    else:
        assert written["train"]["max_grad_norm"] == 0.1
        assert "resolution" not in written["data"]["datasets"][0]
        assert "warmup_steps" not in written["lr_schedule"]
        assert "noise_schedule" not in written["train"]


def test_every_key_is_in_the_report_with_its_line(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    file = project(tmp_path, {**GUIDE, "no_such_option": {"a": [{"b": 1}]}})
    draft = import_simpletuner(Path("config/config.json"), How(target=tmp_path, environment={}))

    told = {(each.file, each.line, each.key) for each in draft.rows}
    for path, read in ((file, read_map), (file.with_name("multidatabackend.json"), read_list)):
        name = f"config/{path.name}"
        assert {(name, each.span.line, each.name) for each in given_in(read(path))} <= told
    assert len(told) == len(draft.rows)


_VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-5, 2000),
    st.floats(0, 10),
    st.sampled_from(["", "a", "true", "1", "inf"]),
    st.just([1, "a"]),
)
_CONFIGS = st.dictionaries(st.sampled_from(sorted(all_options() | {"nonsense", "lora_ran"})), _VALUES, max_size=12)


_ANY = given(config=_CONFIGS, faithful=st.booleans())


@settings(max_examples=4, deadline=None)
@_ANY
def test_whatever_is_given_is_told_once_and_what_is_written_fits(config, faithful, tmp_path_factory):
    told_once(config, faithful, tmp_path_factory.mktemp("any"))


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@_ANY
def test_whatever_is_given_in_many_ways(config, faithful, tmp_path_factory):
    told_once(config, faithful, tmp_path_factory.mktemp("any"))


def told_once(config, faithful, root):
    pointing = {"user_prompt_library", "lycoris_config", "webhook_config", "data_backend_config"}
    config = {name: value for name, value in config.items() if name not in pointing}
    file = project(root, config)
    draft = import_simpletuner(file, How(target=root, faithful=faithful, environment={}))

    told = [each.key for each in draft.rows if each.file.endswith("config.json")]
    assert sorted(told) == sorted(config)


def test_the_layout_of_the_public_example(tmp_path, monkeypatch, capsys):
    folder = tmp_path / "examples" / "sanavideo"
    folder.mkdir(parents=True)
    config = {
        "base_model_precision": "int8-torchao",
        "data_backend_config": "config/examples/small-video.json",
        "disable_bucket_pruning": True,
        "hub_model_id": "example",
        "lora_rank": 16,
        "lr_scheduler": "constant_with_warmup",
        "lr_warmup_steps": 50,
        "max_train_steps": 200,
        "model_family": "sanavideo",
        "model_flavour": "2b-480p",
        "model_type": "lora",
        "num_train_epochs": 0,
        "push_to_hub": False,
        "quantize_via": "cpu",
        "report_to": "none",
        "use_ema": False,
        "ema_decay": 0.9,
        "validation_steps": 50,
    }
    clips = {
        "id": "dreambooth-480",
        "type": "huggingface",
        "dataset_type": "video",
        "dataset_name": "owner/films",
        "crop": False,
        "crop_style": "random",
        "crop_aspect": "square",
        "resolution": 480,
        "resolution_type": "pixel_area",
        "metadata_backend": "huggingface",
        "caption_strategy": "huggingface",
        "video": {"num_frames": 48},
        "huggingface": {"video_column": "video", "caption_column": "prompt"},
        "cache_dir_vae": "cache/vae/{model_family}/dreambooth-480",
    }
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    (tmp_path / "examples" / "small-video.json").write_text(json.dumps([clips]), encoding="utf-8")
    monkeypatch.chdir(tmp_path)

    assert main(["import", "simpletuner", "examples/sanavideo", "-o", "mine.yaml", "--format", "json"]) == 0
    told = json.loads(capsys.readouterr().out)
    by_key = {each["key"]: each for each in told["keys"]}
    assert by_key["0.video.num_frames"]["written"] == 45
    assert by_key["validation_steps"]["target"] == "validation.step_interval"
    assert by_key["hub_model_id"]["fate"] == "without effect"
    assert by_key["ema_decay"]["fate"] == "without effect"
    assert by_key["report_to"]["fate"] == "changed"
    assert by_key["model_flavour"]["fate"] == "without effect"
    assert by_key["quantize_via"]["fate"] == "mapped"
    assert told["counts"]["unsupported"] == 0
    assert any("small-video.json is taken" in text for text in told["warnings"])
    assert lint(tmp_path / "mine.yaml", capsys)[0] == 0


def test_old_names_dashes_beginnings_and_texts(tmp_path):
    draft = taken(
        tmp_path,
        {"--seed": 5, "save_total_limit": 0, "lora_ran": 8, "model_type": "lora", "adam_epsilon": "1e-7"},
        gradient_checkpointing="false",
        vae_enable_tiling="true",
        learning_rate="5e-5",
        checkpointing_steps=7,
    )

    assert value(draft, "train.seed") == 5
    assert value(draft, "checkpoints.total_limit") is None
    assert value(draft, "model.lora.rank") == 8
    assert "is `lora_rank` there today" in row(draft, "lora_ran").reason
    assert value(draft, "optimizer.eps") == 1e-7
    assert value(draft, "memory.gradient_checkpointing") is False
    assert "passes over" in row(draft, "gradient_checkpointing").reason
    assert value(draft, "memory.vae_tiling") is True
    assert value(draft, "optimizer.learning_rate") == 5e-5
    assert value(draft, "checkpoints.step_interval") == 7
    assert (
        "memory.gradient_checkpointing" not in taken(tmp_path, gradient_checkpointing="false", faithful=True).settings
    )


def test_an_option_that_is_given_twice_counts_the_last_time(tmp_path):
    draft = taken(tmp_path, {"validation_steps": 5, "validation_step_interval": 9})

    assert value(draft, "validation.step_interval") == 9
    assert row(draft, "validation_steps").fate == "without effect"


def test_unknown_options_and_null(tmp_path):
    draft = taken(
        tmp_path,
        learning_rte=1,
        qqqq=2,
        model_flavour=None,
        lr_end=None,
        attention_mechanism="sla",
        fuse_optimizer=False,
    )

    assert row(draft, "learning_rte").fate == "unsupported"
    assert "did you mean `learning_rate`?" in row(draft, "learning_rte").reason
    assert "did you mean" not in row(draft, "qqqq").reason
    assert row(draft, "model_flavour").reason == "null leaves an option at its default"
    assert row(draft, "lr_end").fate == "without effect"
    assert row(draft, "attention_mechanism").fate == "unsupported"
    assert row(draft, "fuse_optimizer").fate == "without effect"


def test_variables_of_the_environment(tmp_path, monkeypatch, capsys):
    draft = taken(tmp_path, output_dir="{env:OUT}/x", tracker_run_name="r-{env:OUT}", environment={"OUT": "there"})

    assert value(draft, "output_dir") == "there/x"
    assert row(draft, "output_dir").value == "{env:OUT}/x"
    assert row(draft, "tracker_run_name").fate == "changed"
    monkeypatch.chdir(tmp_path)
    project(tmp_path, {**SMALL, "output_dir": "{env:NOT_SET_ANYWHERE}"})
    assert main(["import", "simpletuner", "config"]) == 2
    assert "config/config.json:5:3: `output_dir` needs the variable NOT_SET_ANYWHERE" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("config", "name", "words"),
    [
        ('{"seed": 1,}', "config.json", "config.json:1:12: this is not JSON"),
        ('{"seed": 1,\n "seed": 2}', "config.json", "config.json:2:2: `seed` is given twice"),
        ('{"seed": 1e999}', "config.json", "config.json:1:10: `1e999` is too large"),
        ("[1, 2", "config.json", "config.json:1:6: this is not JSON"),
        ('{"a": [1 2]}', "config.json", "config.json:1:10: this is not JSON"),
        ('{"a": [[], {}]', "config.json", "config.json:1:15: this is not JSON"),
        ("[]", "config.json", "a mapping of keys is expected"),
        ("", "config.json", "config.json:1:1"),
        ("seed = ", "config.toml", "config.toml:1:"),
        ("seed = 1\nother", "config.toml", "config.toml:2:1: this is not TOML"),
        ('export SEED="1', "config.env", "config.env:1:1: this can't be read"),
        ("export SEED=1\nwhat is this", "config.env", "config.env:2:1: `NAME=value` is expected"),
        ("{}", "config.ini", "no kind of file that is known"),
    ],
)
def test_broken_files_are_named_with_their_line(config, name, words, tmp_path, monkeypatch, capsys):
    project(tmp_path, config, name=name)
    monkeypatch.chdir(tmp_path)

    assert main(["import", "simpletuner", f"config/{name}"]) == 2
    assert words in capsys.readouterr().err
    assert list(tmp_path.glob("*.yaml")) == []


def test_missing_and_unreadable_files(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)

    def failing(*arguments):
        assert main(["import", "simpletuner", *arguments]) == 2
        return capsys.readouterr().err

    (tmp_path / "empty").mkdir()
    assert "there is no config.json, config.toml, config.env" in failing("empty")
    assert "No such file" in failing("nowhere.json")
    project(tmp_path, {**SMALL, "data_backend_config": "other.json"})
    assert "`data_backend_config` names `other.json`" in failing("config")
    project(tmp_path, {**SMALL, "user_prompt_library": "other.json"})
    assert "names the prompt library `other.json`" in failing("config")
    project(tmp_path, SMALL, sets=[1])
    assert "multidatabackend.json:2:3: a mapping is expected here" in failing("config")
    (tmp_path / "config" / "multidatabackend.json").write_text("{}", encoding="utf-8")
    assert "a list of mappings is expected" in failing("config")
    (tmp_path / "config" / "config.json").write_bytes(b"\xff")
    assert "is not UTF-8 text" in failing("config")
    assert "there is no folder `no`" in failing("config", "-o", "no/such.yaml")
    (tmp_path / "there.yaml").write_text("mine", encoding="utf-8")
    assert "is there already" in failing("config", "-o", "there.yaml")
    assert (tmp_path / "there.yaml").read_text(encoding="utf-8") == "mine"


def test_without_a_data_backend_file(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    file = project(tmp_path, {"max_train_steps": 3, "num_train_epochs": 0})
    beside = import_simpletuner(file, How(target=tmp_path, environment={}))
    assert value(beside, "data.datasets.0.id") == "disney"
    file.with_name("multidatabackend.json").unlink()

    assert main(["import", "simpletuner", "config", "-o", "-"]) == 1
    out, err = capsys.readouterr()
    assert out.startswith("# Taken over from config")
    assert "names no data backend file" in err
    assert "error[" in err


def test_toml_and_variables_say_the_same(tmp_path):
    toml = '# one\nmax_train_steps = 10\n"num_train_epochs" = 0\ndata_backend_config = "config/multidatabackend.json"\nseed = 3\n'
    env = (
        "# two\nexport MAX_NUM_STEPS=10\nNUM_EPOCHS='0'\nexport DATALOADER_CONFIG=config/multidatabackend.json\n"
        "TRAINING_SEED=3 # a seed\nexport TRAINER_EXTRA_ARGS=\"--use_ema --ema_decay=0.99 --validation_prompt 'a fox'\"\n"
    )
    one, two = (
        import_simpletuner(project(tmp_path, text, name=name), How(target=tmp_path, environment={}))
        for text, name in ((toml, "config.toml"), (env, "config.env"))
    )

    assert value(one, "train.max_steps") == value(two, "train.max_steps") == 10
    assert value(one, "train.seed") == value(two, "train.seed") == 3
    assert row(one, "seed").line == 5
    assert value(two, "ema.decay") == 0.99
    assert value(two, "validation.prompt") == "a fox"
    assert row(two, "use_ema").line == 6


def test_lengths_seeds_and_sizes(tmp_path):
    both = taken(tmp_path, max_train_steps=5, num_train_epochs=2, seed=-1, validation_resolution=256)
    assert row(both, "num_train_epochs").fate == "unsupported"
    assert row(both, "seed").fate == "unsupported"
    assert value(both, "validation.resolution") == "256x256"
    epochs = taken(tmp_path, max_train_steps=0, num_train_epochs=2, seed=0, validation_resolution="830x480,512")
    assert value(epochs, "train.num_epochs") == 2
    assert value(epochs, "train.seed") == 0
    assert "512 are left out" in row(epochs, "validation_resolution").reason
    assert row(epochs, "max_train_steps").fate == "without effect"
    odd = taken(
        tmp_path, validation_resolution="wide", validation_num_video_frames=100, resume_from_checkpoint="checkpoint-50"
    )
    assert row(odd, "validation_resolution").fate == "unsupported"
    assert value(odd, "validation.num_video_frames") == 97
    assert value(odd, "checkpoints.resume") == "50"
    long = taken(tmp_path, validation_num_video_frames="85", resume_from_checkpoint="latest")
    assert "81 at most" in row(long, "validation_num_video_frames").reason
    wrong = taken(
        tmp_path, validation_num_video_frames="many", resume_from_checkpoint="checkpoint-last", learning_rate="1e999"
    )
    assert row(wrong, "resume_from_checkpoint").fate == row(wrong, "learning_rate").fate == "unsupported"
    unclear = taken(
        tmp_path, max_train_steps="x", lr_scheduler="cosine", lr_warmup_steps="inf", aspect_bucket_alignment=0
    )
    assert row(unclear, "max_train_steps").fate == "unsupported"
    assert value(taken(tmp_path, max_train_steps=10.0), "train.max_steps") == 10
    assert value(taken(tmp_path, tracker_run_name=5), "tracking.run_name") == "5"
    assert row(wrong, "validation_num_video_frames").fate == "unsupported"
    neither = taken(tmp_path, max_train_steps=None, num_train_epochs=None)
    assert value(neither, "train.num_epochs") == 1


def test_schedules(tmp_path):
    def schedule(**config):
        draft = taken(tmp_path, config)
        return {
            path.partition(".")[2]: each.value
            for path, each in draft.settings.items()
            if path.startswith("lr_schedule")
        }

    def faithful(**config):
        draft = taken(tmp_path, config, faithful=True)
        return {
            path.partition(".")[2]: each.value
            for path, each in draft.settings.items()
            if path.startswith("lr_schedule")
        }

    assert schedule(lr_scheduler="cosine", lr_warmup_steps=3) == {"name": "cosine", "warmup_steps": 3}
    assert schedule(lr_scheduler="cosine_with_warmup", lr_warmup_steps=0) == {"name": "cosine", "warmup_steps": 0}
    assert schedule(lr_scheduler="sine", lr_warmup_steps=10) == {"name": "sine"}
    assert schedule(lr_scheduler="constant", lr_warmup_steps=2) == {"name": "constant_with_warmup", "warmup_steps": 2}
    assert schedule(lr_scheduler="constant", lr_end=1e-7, lr_power=2, lr_num_cycles=3) == {"name": "constant"}
    assert schedule(lr_scheduler="polynomial", lr_end=1e-7, lr_power=2) == {
        "name": "polynomial",
        "end": 1e-7,
        "power": 2,
    }
    assert schedule(lr_scheduler="cosine_with_restarts", lr_num_cycles=3) == {
        "name": "cosine_with_restarts",
        "num_cycles": 3,
    }
    swing = {"name": "simpletuner-cosine", "end": 4e-7}
    assert faithful(lr_scheduler="cosine") == {**swing, "period_steps": 1000}
    assert faithful(lr_scheduler="cosine", lr_warmup_steps=0) == {**swing, "period_steps": 1000}
    assert faithful(lr_scheduler="cosine", lr_warmup_steps=7, num_processes=2) == {**swing, "period_steps": 14}
    assert faithful(lr_scheduler="sine") == {"name": "simpletuner-sine", "end": 4e-7}
    assert faithful(lr_scheduler="polynomial") == {"name": "polynomial", "end": 4e-7, "power": 0.8}


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        (
            {"optimizer": "adamw_schedulefree", "lr_scheduler": "cosine", "lr_warmup_steps": 5, "lr_end": 1e-7},
            "SimpleTuner gives schedule-free neither a schedule nor a warm-up",
        ),
        (
            {"lr_scheduler": "cosine_with_restarts", "lr_warmup_steps": 5},
            "SimpleTuner's cosine_with_restarts never leaves its peak",
        ),
    ],
    ids=["schedule-free", "restarts"],
)
def test_rates_that_stay_at_their_peak_there(config, reason, tmp_path):
    meant, there = taken(tmp_path, config), taken(tmp_path, config, faithful=True)

    assert value(meant, "lr_schedule.name") == config["lr_scheduler"]
    assert any(text.startswith(reason) for text in meant.warnings)
    assert {path: each.value for path, each in there.settings.items() if path.startswith("lr_schedule")} == {
        "lr_schedule.name": "constant"
    }
    assert {row(there, key).reason for key in config if key.startswith("lr_")} == {reason}


def test_what_needs_something_beside_it_there(tmp_path):
    restarts = taken(tmp_path, lr_scheduler="cosine_with_restarts")
    assert "SimpleTuner refuses cosine_with_restarts without lr_warmup_steps" in restarts.warnings
    both = taken(tmp_path, optimizer_beta1=0.8, optimizer_beta2=0.99)
    assert not any("optimizer_beta1" in text for text in both.warnings)
    assert row(taken(tmp_path, optimizer="prodigy"), "optimizer").fate == "changed"


def test_clipping(tmp_path):
    meant = taken(tmp_path, max_grad_norm=0, grad_clip_method="value")
    assert (value(meant, "train.max_grad_norm"), value(meant, "train.grad_clip_method")) == (0.1, "norm")
    alone = taken(tmp_path, max_grad_norm=0)
    assert value(alone, "train.max_grad_norm") == 0
    faithful = taken(tmp_path, max_grad_norm=0, grad_clip_method="value", faithful=True)
    assert value(faithful, "train.max_grad_norm") == 0
    assert row(faithful, "grad_clip_method").fate == "without effect"
    on = taken(tmp_path, max_grad_norm=1.5, grad_clip_method="value")
    assert (value(on, "train.max_grad_norm"), value(on, "train.grad_clip_method")) == (1.5, "value")


def test_what_the_loss_does_not_read(tmp_path):
    config = {
        "loss_type": "huber",
        "huber_c": 0.2,
        "snr_gamma": 5,
        "flow_schedule_shift": 3,
        "masked_loss_probability": 1.0,
    }
    meant, faithful = taken(tmp_path, config), taken(tmp_path, config, faithful=True)
    assert (value(meant, "train.loss_type"), value(meant, "train.huber_c")) == ("huber", 0.2)
    assert "train.loss_type" not in faithful.settings
    assert row(meant, "flow_schedule_shift").fate == "without effect"
    off = taken(tmp_path, loss_type="l2", huber_c=0.2, snr_gamma=0)
    assert row(off, "huber_c").reason == "`loss_type` is l2"
    assert value(off, "train.snr_gamma") is None
    noise = taken(tmp_path, noise_offset=0.1, offset_noise=True)
    assert value(noise, "train.noise_offset") == 0.1
    assert row(taken(tmp_path, noise_offset=0.1), "noise_offset").reason == "`offset_noise` is off"
    assert "train.noise_offset` does" in row(noise, "offset_noise").reason


def test_averages_alignment_and_rollouts(tmp_path):
    ema = taken(tmp_path, use_ema=True, ema_decay=0.99, ema_update_interval=2, ema_warmup_steps=5)
    assert value(ema, "ema.decay") == 0.99
    exact = taken(tmp_path, use_ema=True, ema_decay=0.99, ema_update_interval=2, ema_warmup_steps=5, faithful=True)
    assert value(exact, "ema.decay") == pytest.approx(0.99**0.5)
    assert value(exact, "ema.warmup") == "none"
    crepa = taken(tmp_path, crepa_enabled=True, crepa_self_flow=True, crepa_use_backbone_features=False)
    assert value(crepa, "regularizers.crepa.feature_source") == "self_flow"
    assert row(crepa, "crepa_use_backbone_features").fate == "without effect"
    rollout = {"scheduled_sampling_max_step_offset": 3, "scheduled_sampling_sampler": "dpm"}
    assert value(taken(tmp_path, rollout), "regularizers.rollout.sampler") == "heun"
    assert value(taken(tmp_path, rollout, faithful=True), "regularizers.rollout.target") == "kept"
    text = taken(tmp_path, sana_complex_human_instruction="x")
    assert row(text, "sana_complex_human_instruction").fate == "unsupported"
    kept = taken(tmp_path, sana_complex_human_instruction="x", faithful=True)
    assert value(kept, "model.instruction") == "diffusers"


def test_what_others_train_and_what_is_measured(tmp_path):
    draft = taken(
        tmp_path,
        model_family="wan",
        enable_group_offload=True,
        group_offload_use_stream=True,
        eval_steps_interval=5,
        delete_unwanted_images=False,
        push_to_hub=True,
        tracker_project_name="films",
        validation_prompt_library=True,
    )
    assert row(draft, "model_family").fate == "unsupported"
    assert "refuses" in row(draft, "enable_group_offload").reason
    assert any("evaluation loss" in text for text in draft.warnings)
    assert row(draft, "delete_unwanted_images").reason == "nothing is deleted here"
    assert value(draft, "hub.model_id") == "films"
    assert row(draft, "validation_prompt_library").fate == "unsupported"
    off = taken(tmp_path, validation_disable=True, validation_prompt="a fox")
    assert "validation.prompt" not in off.settings
    named = taken(tmp_path, push_to_hub=True, hub_model_id="me/films", validation_disable=False)
    assert value(named, "hub.model_id") == "me/films"


def test_a_library_of_prompts(tmp_path):
    (tmp_path / "config").mkdir()
    prompts = {"anime_<token>": "a film of <token>", "fox": "a fox", "Fox": "another", "!": "no name", "n": 5}
    (tmp_path / "config" / "library.json").write_text('{"fox": "a fox"}', encoding="utf-8")
    assert not any("library" in text for text in taken(tmp_path, user_prompt_library="config/library.json").warnings)
    (tmp_path / "config" / "library.json").write_text(json.dumps(prompts), encoding="utf-8")
    draft = taken(tmp_path, {"--user_prompt_library": "config/library.json"})

    assert value(draft, "validation.prompt_library") == {
        "anime_token": "a film of <token>",
        "fox": "a fox",
        "Fox-2": "another",
    }
    assert row(draft, "!").fate == row(draft, "n").fate == "unsupported"
    assert row(draft, "fox").fate == "mapped"
    assert any("<token>" in text for text in draft.warnings)


def test_lycoris(tmp_path):
    (tmp_path / "config").mkdir()
    config = {
        "algo": "lokr",
        "multiplier": 1.0,
        "full_matrix": True,
        "linear_alpha": 1,
        "factor": 16,
        "apply_preset": {
            "target_module": ["Attention", "FeedForward"],
            "module_algo_map": {"Attention": {"factor": 8}},
        },
    }
    (tmp_path / "config" / "lycoris.json").write_text(json.dumps(config), encoding="utf-8")
    given_ = {"model_type": "lora", "lora_type": "lycoris", "lycoris_config": "config/lycoris.json"}
    draft = taken(tmp_path, given_)
    assert value(draft, "model.lora.type") == "lokr"
    assert value(draft, "model.lora.rank") == 1024
    assert value(draft, "model.lora.lokr_factor") == 8
    assert row(draft, "apply_preset.target_module").fate == "unsupported"
    other = {"algo": "loha", "linear_dim": 10000, "apply_preset": {"target_module": ["Attention"]}}
    (tmp_path / "config" / "lycoris.json").write_text(json.dumps(other), encoding="utf-8")
    loha = taken(tmp_path, given_)
    assert row(loha, "algo").fate == "unsupported"
    assert row(loha, "linear_dim").written == 1024
    assert row(loha, "apply_preset.target_module").fate == "mapped"
    ranked = taken(tmp_path, given_, lora_rank=64, faithful=True)
    assert row(ranked, "lora_rank").reason == "`lora_type: standard` is off"
    assert "model.lora.dropout" not in ranked.settings
    unused = taken(tmp_path, given_, lora_type="standard")
    assert row(unused, "lycoris_config").fate == "without effect"


def test_webhooks_keep_their_secrets(tmp_path):
    hooks = [
        {"webhook_type": "discord", "webhook_url": "https://discord/secret", "message_prefix": "run", "colour": "red"},
        {
            "webhook_type": "raw",
            "callback_url": "http://127.0.0.1/x",
            "auth_token": "{env:TOKEN}",
            "ssl_no_verify": True,
        },
    ]
    draft = taken(tmp_path, webhook_config=hooks)
    assert value(draft, "tracking.webhooks.0.url_env") == "WEBHOOK_URL"
    assert value(draft, "tracking.webhooks.1.url") == "http://127.0.0.1/x"
    assert value(draft, "tracking.webhooks.1.token_env") == "TOKEN"
    assert value(draft, "tracking.webhooks.1.ssl_verify") is False
    assert row(draft, "webhook_config.0.colour").fate == "unsupported"
    assert "secret" not in json.dumps([each.value for each in draft.rows])
    (tmp_path / "config" / "hook.json").write_text(
        '{"webhook_type": "raw", "callback_url": "{env:URL}"}', encoding="utf-8"
    )
    file = taken(tmp_path, webhook_config="config/hook.json")
    assert value(file, "tracking.webhooks.0.url_env") == "URL"
    single = taken(tmp_path, webhook_config={"webhook_type": "raw", "callback_url": "http://x", "log_level": "error"})
    assert value(single, "tracking.webhooks.0.level") == "error"


@pytest.mark.parametrize("name", ["ao-adamw8bit", "ao-adamw4bit", "ao-adamwfp8"])
def test_moments_in_few_bits_are_torchaos_as_there(name, tmp_path):
    draft = import_simpletuner(
        project(tmp_path, {"optimizer": name}), How(target=tmp_path, faithful=True, environment={})
    )
    assert value(draft, "optimizer.name") == name
    assert row(draft, "optimizer").fate == "mapped"
    assert [value(draft, f"optimizer.{key}") for key in ("beta1", "beta2", "eps", "weight_decay")] == [
        0.9,
        0.999,
        1e-6,
        1e-2,
    ]


def test_optimizer_constants(tmp_path):
    good = taken(tmp_path, optimizer_config="weight_decay=0.02, eps=1e-7", optimizer_beta1=0.8)
    assert (value(good, "optimizer.weight_decay"), value(good, "optimizer.eps")) == (0.02, 1e-7)
    assert row(good, "optimizer_config").fate == "mapped"
    assert value(good, "optimizer.beta1") == 0.8
    assert "SimpleTuner refuses one of optimizer_beta1 and optimizer_beta2 without the other" in good.warnings
    given = {"optimizer": "torch-adamw", "optimizer_beta1": 0.8}
    for config in ("", "eps=1e-7"):
        file = project(tmp_path, {**given, "optimizer_config": config})
        draft = import_simpletuner(file, How(target=tmp_path, faithful=True, environment={}))
        assert (value(draft, "optimizer.beta1"), value(draft, "optimizer.weight_decay")) == (0.8, 0.01)
    bad = taken(tmp_path, optimizer_config="weight_decay=much,eps=-1,foo=1")
    assert "weight_decay=much, eps=-1, foo=1" in row(bad, "optimizer_config").reason
    assert "optimizer.eps" not in bad.settings


def test_secrets_are_not_told(tmp_path):
    cloud = {
        "id": "far",
        "type": "aws",
        "aws_bucket_name": "b",
        "aws_secret_access_key": "hidden-value",
        "crop": "true",
    }
    draft = taken(tmp_path, sets=[cloud], report_to=["wandb"], snr_gamma=[1])
    assert row(draft, "0.aws_secret_access_key").value == "…"
    assert row(draft, "0.aws_secret_access_key").fate == "unsupported"
    assert value(draft, "tracking.report_to") == ["wandb"]
    assert "hidden-value" not in report_text(draft)


def test_paths_start_at_the_recipe(tmp_path):
    (tmp_path / "models" / "mine").mkdir(parents=True)
    file = project(
        tmp_path, {**SMALL, "output_dir": "out", "pretrained_model_name_or_path": "models/mine", "cache_dir": "x"}
    )
    draft = import_simpletuner(file, How(target=tmp_path / "recipes", environment={}))

    assert value(draft, "output_dir") == "../out"
    assert value(draft, "model.pretrained_model_name_or_path") == "../models/mine"
    assert value(draft, "data.datasets.0.instance_data_dir") == "../datasets/disney"
    assert row(draft, "cache_dir").fate == "without effect"


def test_data_sets_one_key_after_the_other(tmp_path):
    clips = {
        "id": "my clips!",
        "instance_data_dir": "/clips",
        "csv_cache_dir": "",
        "disable": "false",
        "resolution": 512,
        "crop": True,
        "crop_aspect": "closest",
        "crop_aspect_buckets": [1.0, 1.5],
        "disable_multiline_split": True,
        "caption_strategy": "instance_prompt",
        "resolutoin": 3,
        "zzzz": 3,
        "is_regularisation_data": False,
        "slider_strength": 0.5,
        "hash_filenames": None,
        "probability": 5,
        "video": {
            "num_frames": 85,
            "min_frames": 10,
            "max_frames": 200,
            "is_i2v": True,
            "bucket_strategy": "resolution_frames",
            "frame_interval": 8,
        },
    }
    draft = taken(tmp_path, sets=[clips])
    table = "data.datasets.0"
    assert value(draft, f"{table}.id") == "my-clips"
    assert value(draft, f"{table}.dataset_type") == "video"
    assert value(draft, f"{table}.instance_data_dir") == "/clips"
    assert value(draft, f"{table}.disabled") is False
    assert value(draft, f"{table}.crop") is True
    assert value(draft, f"{table}.crop_aspect_buckets") == [1.0, 1.5]
    assert value(draft, f"{table}.multiline") == "whole"
    assert value(draft, f"{table}.caption_strategy") == "instanceprompt"
    assert value(draft, f"{table}.video.num_frames") == 85
    assert value(draft, f"{table}.video.min_frames") == 10
    assert value(draft, f"{table}.video.is_i2v") is True
    assert value(draft, f"{table}.video.frame_interval") == 8
    assert "did you mean `resolution`?" in row(draft, "0.resolutoin").reason
    assert (
        row(draft, "0.zzzz").fate
        == row(draft, "0.slider_strength").fate
        == row(draft, "0.probability").fate
        == "unsupported"
    )
    assert row(draft, "0.is_regularisation_data").fate == row(draft, "0.hash_filenames").fate == "without effect"
    faithful = taken(tmp_path, sets=[clips], faithful=True)
    assert value(faithful, f"{table}.video.num_frames") == 81
    assert row(faithful, "0.video.is_i2v").fate == "without effect"


def test_data_sets_that_lack_what_others_have(tmp_path):
    image = {"id": "photos", "instance_data_dir": "photos", "disable_multiline_split": False}
    video = {
        "id": "clips",
        "dataset_type": "video",
        "instance_data_dir": "clips",
        "aspect_bucket_rounding": 3,
        "video": {"min_frames": 200, "frame_interval": 4, "is_i2v": False},
    }
    draft = taken(tmp_path, sets=[image, video], aspect_bucket_alignment=32, caption_strategy="textfile")
    assert value(draft, "data.datasets.0.dataset_type") == "image"
    assert value(draft, "data.datasets.1.caption_strategy") == "textfile"
    assert row(draft, "caption_strategy").target == "data.datasets.*.caption_strategy"
    assert "data.datasets.1.aspect_bucket_alignment" not in draft.settings
    assert row(draft, "1.video.frame_interval").fate == "without effect"
    faithful = taken(tmp_path, sets=[image, video], faithful=True)
    assert value(faithful, "data.datasets.1.video.num_frames") == 145
    assert value(faithful, "data.datasets.0.caption_strategy") == "filename"
    longer = {**video, "video": {"num_frames": "x", "min_frames": 200}}
    assert row(taken(tmp_path, sets=[longer]), "0.video.num_frames").fate == "unsupported"
    least = {**video, "video": {"num_frames": 81, "min_frames": 100}}
    assert row(taken(tmp_path, sets=[least]), "0.video.min_frames").fate == "unsupported"
    square = {**CLIPS, "crop": True}
    assert row(taken(tmp_path, sets=[square]), "0.crop").fate == "unsupported"
    plain = {key: each for key, each in CLIPS.items() if key != "minimum_image_size"}
    assert row(taken(tmp_path, sets=[plain]), "0.resolution_type").fate == "without effect"


def test_types_that_are_not_taken_and_masks(tmp_path):
    shards = {"id": "shards", "type": "webshart"}
    masks = {"id": "masks", "dataset_type": "conditioning", "conditioning_type": "mask", "instance_data_dir": "m"}
    clips = {**CLIPS, "conditioning_data": "masks"}
    draft = taken(tmp_path, sets=[shards, clips, masks])
    assert row(draft, "0.id").fate == "unsupported"
    assert value(draft, "data.datasets.0.conditioning_data") == "masks"
    assert value(draft, "regularizers.masked_loss.enabled") is True
    faithful = taken(tmp_path, sets=[clips, masks], faithful=True)
    assert "regularizers.masked_loss.enabled" not in faithful.settings
    assert not any(path.startswith("data.datasets.1") for path in faithful.settings)


def test_options_are_read_by_their_names_of_today():
    options = Options({})

    assert canonical("") == ""
    assert canonical("validation_guid") == "validation_guid"
    assert options.number("seed", 3) == 3
    assert options.given("seed") is None


def test_faithful_is_for_simpletuner_alone(tmp_path, capsys):
    assert main(["import", "sana", str(tmp_path / "x.yaml"), "--faithful", "-o", str(tmp_path / "y.yaml")]) == 2
    assert "--faithful is for simpletuner" in capsys.readouterr().err


def test_home_folders_are_written_out(tmp_path, monkeypatch):
    home = tmp_path / "home"
    (home / "cfg").mkdir(parents=True)
    (home / "cfg" / "sets.json").write_text(json.dumps([{**CLIPS, "instance_data_dir": "~/clips"}, TEXTS]))
    monkeypatch.setenv("HOME", str(home))

    draft = taken(
        tmp_path,
        data_backend_config="~/cfg/sets.json",
        output_dir="~/runs/first",
        pretrained_model_name_or_path="~/models/sana",
        pretrained_vae_model_name_or_path="~nobody-has-this-name/vae",
    )

    assert value(draft, "data.datasets.0.instance_data_dir") == str(home / "clips")
    assert value(draft, "output_dir") == str(home / "runs" / "first")
    assert value(draft, "model.pretrained_model_name_or_path") == str(home / "models" / "sana")
    assert row(draft, "output_dir").reason == "paths start at the recipe, and `~` is written out"
    assert value(draft, "model.pretrained_vae_model_name_or_path") == "~nobody-has-this-name/vae"
