"""What the compiler does for failures and for going on: `recipe replay`, cures of too little memory, accepted changes."""

import importlib.util
import os
import sys
from pathlib import Path

import pytest

from fakes_clips import RECIPE, make_project
from recipe_compiler.cli.main import main
from recipe_compiler.passes.cures import memory_facts
from recipe_compiler.pipeline import Options, compile_recipe
from recipe_schema.earlier import is_accepted, is_earlier
from recipe_schema.family import load_family
from recipe_schema.plan import Bucket
from recipe_schema.planfile import read_plan


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    return make_project(tmp_path_factory.mktemp("project"))


@pytest.fixture
def became(tmp_path, monkeypatch):
    """Keep what the process would be replaced by."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: object())
    commands = []

    def execv(_program, arguments):
        commands.append(arguments)
        raise SystemExit

    monkeypatch.setattr(os, "execv", execv)
    return commands


@pytest.fixture
def found(tmp_path):
    """Return a function that gives what rules find, with settings changed."""
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(RECIPE, encoding="utf-8")
    (tmp_path / "clips").mkdir()

    def look(*overrides):
        return compile_recipe(recipe, Options(overrides=overrides, look_at_data=False)).found

    return look


@pytest.fixture
def bundle(tmp_path):
    folder = tmp_path / "failure-00000003"
    folder.mkdir()
    (folder / "failure.json").write_text("{}")
    return folder


@pytest.mark.parametrize("named", [".", "failure.json"])
def test_a_failed_step_is_handed_to_the_runtime(bundle, became, named):
    with pytest.raises(SystemExit):
        main(["replay", str(bundle / named), "--device", "cpu", "--root", "/x", "--mixed-precision", "no"])

    command = [sys.executable, "-m", "recipe_runtime.replay", str(bundle), "--format", "text"]
    assert became == [[*command, "--root", "/x", "--device", "cpu", "--mixed-precision", "no"]]


def test_a_folder_without_a_failed_step_is_wrong_usage(tmp_path, became, capsys):
    assert main(["replay", str(tmp_path)]) == 2
    assert "holds no failure.json; name a folder failure-STEP" in capsys.readouterr().err
    assert became == []


def test_of_a_run_directory_the_latest_failed_step_is_named(bundle, became, capsys):
    (bundle.parent / "failure-00000002").mkdir()

    assert main(["replay", str(bundle.parent)]) == 2
    assert f"holds no failure.json; name `{bundle}`" in capsys.readouterr().err
    assert became == []


@pytest.mark.usefixtures("became")
def test_replay_without_torch_names_what_is_missing(bundle, monkeypatch, capsys):
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)

    assert main(["replay", str(bundle)]) == 4
    assert "sana-recipes[train]" in capsys.readouterr().err


def start(*arguments):
    with pytest.raises(SystemExit):
        main(["run", *map(str, arguments)])


def trained(run):
    (run / "checkpoints" / "step-00000001").mkdir(parents=True)


@pytest.mark.usefixtures("became")
def test_settings_that_changed_since_are_shown_by_what_they_do(project, tmp_path, capsys):
    run = tmp_path / "run"
    start(project, "--set", f"output_dir={run}")
    trained(run)
    capsys.readouterr()

    start(project, "--set", f"output_dir={run}", "--set", "checkpoints.step_interval=3", "--set", "description=x")

    told = capsys.readouterr().err
    assert "  changed    checkpoints.step_interval (" in told
    assert " → 3) (it does not shape the weights)\n" in told
    assert "  changed    description (" in told
    start(project, "--set", f"output_dir={run}", "--quiet")
    assert capsys.readouterr().err == ""


@pytest.mark.usefixtures("became")
def test_a_change_of_the_result_is_refused_until_it_is_named(project, tmp_path, capsys):
    run = tmp_path / "run"
    changed = [project, "--set", f"output_dir={run}", "--set", "train.seed=7", "--set", "train.noise_offset=0.1"]
    start(project, "--set", f"output_dir={run}")
    before = read_plan(run / "plan").plan_id
    trained(run)
    some = ["--set", "checkpoints.accept_changes=[train.seed]"]

    assert main(["run", *map(str, changed), *some]) == 3

    told = capsys.readouterr().err
    assert "Changed since: train.noise_offset (0 → 0.1). Undo" in told
    assert "`checkpoints.accept_changes: [train.noise_offset]`" in told
    assert read_plan(run / "plan").plan_id == before
    start(*changed, "--set", "checkpoints.accept_changes=[train]")
    told = capsys.readouterr().err
    assert "train.seed (42 → 7)" in told
    assert "(accepted: it shapes the weights from here on)" in told
    assert is_earlier(run, before)
    assert read_plan(run / "plan").plan_id != before


@pytest.mark.usefixtures("became")
def test_other_clips_are_refused_until_data_is_named(tmp_path, capsys):
    project = make_project(tmp_path)
    run = tmp_path / "run"
    start(project, "--set", f"output_dir={run}")
    trained(run)
    clip = next((tmp_path / "clips").rglob("*.mp4"))
    clip.with_suffix(".txt").write_text("quite another caption")

    assert main(["run", str(project), "--set", f"output_dir={run}"]) == 3
    assert "`checkpoints.accept_changes: [data]`" in capsys.readouterr().err
    start(project, "--set", f"output_dir={run}", "--set", "checkpoints.accept_changes=[data]")


def test_a_name_stands_for_a_setting_its_section_or_a_data_set():
    assert is_accepted("train.seed", ("train.seed",))
    assert is_accepted("train.seed", ("optimizer", "train"))
    assert is_accepted("data.datasets[a].repeats", ("data.datasets",))
    assert not is_accepted("train.seed", ("train.see",))
    assert not is_accepted("train.seed", ())


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("max_steps", "did you mean `train.max_steps`?"),
        ("train.max_step", "did you mean `train.max_steps`?"),
        ("qqq", "name a setting by its path, as in train.max_steps"),
    ],
)
def test_an_accepted_change_of_nothing_is_an_error(found, name, advice):
    (finding,) = found(f"checkpoints.accept_changes=[{name}]")

    assert (finding.code, finding.severity, finding.help) == ("R513", "error", advice)
    assert finding.message == f"there is no setting or section `{name}`"


def test_an_accepted_change_that_needs_no_acceptance_is_a_warning(found):
    (finding,) = found("checkpoints.accept_changes=[checkpoints]")

    assert (finding.code, finding.severity) == ("R513", "warning")
    assert found("checkpoints.accept_changes=[train, optimizer.learning_rate, data, 'data.datasets[x].repeats']") == ()


def test_a_plan_says_what_each_bucket_takes_and_what_takes_less(project, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert main(["plan", str(project), "-o", str(tmp_path / "x.plan")]) == 0

    plan = read_plan(tmp_path / "x.plan")

    facts = plan.meta["memory"]
    assert facts["buckets"].keys() == {bucket.name for bucket in plan.body.buckets}
    assert facts["buckets"][facts["largest"]] == plan.meta["estimate"]["memory_gb"]


FAMILY = load_family("sana-video-480p")
BUCKETS = (
    Bucket(width=832, height=480, frames=81, clips=1, samples=1),
    Bucket(width=480, height=480, frames=81, clips=1, samples=1),
)


def cures(tmp_path, *overrides):
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(RECIPE, encoding="utf-8")
    (tmp_path / "clips").mkdir(exist_ok=True)
    settings = compile_recipe(recipe, Options(overrides=overrides, look_at_data=False)).settings
    facts = memory_facts(settings.values(), FAMILY, BUCKETS)
    assert facts["largest"] == "832x480@81"
    assert facts["buckets"]["832x480@81"] > facts["buckets"]["480x480@81"]
    assert all(cure["memory_gb"] < facts["buckets"]["832x480@81"] for cure in facts["cures"])
    return [cure["settings"] for cure in facts["cures"]]


FULL = ("model.random_weights=null",)
ADAPTER = (*FULL, "model.type=lora")


def test_what_takes_less_is_named_with_the_cheapest_first(tmp_path):
    every = cures(
        tmp_path, *FULL, "ema.enabled=true", "memory.gradient_checkpointing=false", "train.batch_size=2",
        "train.gradient_accumulation_steps=3", "launch.processes=2", "train.mixed_precision=bf16",
    )  # fmt: skip

    assert every == [
        {"ema.device": "cpu"},
        {"memory.gradient_checkpointing": True, "memory.gradient_checkpointing_interval": 1},
        {"train.batch_size": 1, "train.gradient_accumulation_steps": 6},
        {"launch.strategy": "fsdp2"},
        {"optimizer.name": "adamw_bf16"},
        {"model.type": "lora"},
    ]


def test_of_an_adapter_the_frozen_weights_take_less(tmp_path):
    assert cures(tmp_path, *ADAPTER, "memory.gradient_checkpointing_interval=4", "ema.enabled=true") == [
        {"memory.gradient_checkpointing_interval": 1},
        {"model.base_model_precision": "int8-quanto"},
        {"memory.group_offload.enabled": True},
    ]
    least = (*ADAPTER, "model.base_model_precision=int8-quanto", "memory.group_offload.enabled=true")
    assert cures(tmp_path, *least) == []


def test_a_probe_of_a_step_and_other_alarms_are_settings(found):
    assert found("alarms.loss_spike_factor=5", "alarms.loss_spike_window=50") == ()
    assert found("alarms.step_timeout=600", "alarms.on_hang=warn", "memory.probe_largest_bucket=false") == ()
    (finding,) = found("alarms.on_hang=warn")
    assert (finding.code, finding.help) == ("R208", "set `step_timeout`, or leave it out")
    (finding,) = found("alarms.loss_spike_window=50")
    assert finding.code == "R208"


def test_what_fsdp2_can_not_cut_is_one_error_that_names_all_of_it(found):
    two = ("launch.processes=2", "launch.strategy=fsdp2")

    (finding,) = found(
        *two, "model.type=lora", "hardware.compile=max-autotune", "optimizer.name=came", "memory.group_offload.enabled=true",
    )  # fmt: skip

    assert (finding.code, finding.severity) == ("R512", "error")
    assert "trains slices of weights, and `came` needs whole weights and `group_offload` moves" in finding.message
    assert finding.help.startswith("write `strategy: ddp`, or take an optimizer of `adamw`, ")
    assert len(finding.notes) == 3
    (finding,) = found(*two, "model.type=lora", "model.base_model_precision=fp8-quanto")
    assert "`fp8-quanto` weights can't be cut" in finding.message
    for more, words in (
        (
            ("model.type=lora", "model.base_model_precision=int2-quanto"),
            "take `model.base_model_precision: int4-torchao`",
        ),
        (("hardware.compile=reduce-overhead",), "or take `hardware.compile: default`"),
        (("optimizer.name=ao-adamw8bit",), "or take an optimizer of `adamw`"),
    ):
        (finding,) = [f for f in found(*two, *more) if f.code == "R512"]
        assert words in finding.help
    for fits in (
        ("optimizer.name=adamw",),
        ("optimizer.name=schedule-free",),
        ("hardware.compile=default",),
        ("model.type=lora", "model.lora.use_dora=true", "model.base_model_precision=int8-torchao"),
        ("model.type=lora", "model.lora.type=lokr"),
        ("model.type=lora", "model.lora.init=pissa"),
    ):
        assert "R512" not in [f.code for f in found(*two, *fits)], fits
    assert [f.code for f in found("launch.strategy=fsdp2", "optimizer.name=came")] == ["R208"]


def test_checkpoints_of_slices_are_refused_where_there_are_no_slices_and_in_the_background(found):
    sharded, two = "checkpoints.layout=sharded", ("launch.processes=2", "launch.strategy=fsdp2")

    (finding,) = found(sharded, "launch.processes=2", "launch.strategy=ddp")
    assert (finding.code, finding.severity) == ("R514", "error")
    assert "and `strategy: ddp` trains whole weights" in finding.message
    assert len(finding.notes) == 1
    assert [f.code for f in found(sharded)] == ["R514"]
    (finding,) = found(sharded, *two, "checkpoints.background=true")
    assert (finding.code, finding.severity) == ("R514", "error")
    assert "needs all processes at once" in finding.message
    assert [f.code for f in found(sharded, "checkpoints.background=true")] == ["R514"]
    assert found(sharded, *two) == ()
    assert found("checkpoints.layout=whole", "checkpoints.background=true") == ()
    assert [f.code for f in found(sharded, "launch.strategy=fsdp2")] == ["R208"]  # of one process


def test_slices_are_counted_in_the_memory_of_a_step(tmp_path):
    from recipe_compiler.passes.estimate import memory_parts

    def parts(*overrides):
        recipe = tmp_path / "recipe.yaml"
        recipe.write_text(RECIPE, encoding="utf-8")
        (tmp_path / "clips").mkdir(exist_ok=True)
        options = Options(overrides=("model.random_weights=null", "ema.enabled=true", *overrides), look_at_data=False)
        return memory_parts(compile_recipe(recipe, options).settings.values(), FAMILY.transformer(None), 32760)

    whole, two = parts("launch.processes=2"), parts("launch.processes=2", "launch.strategy=fsdp2")

    for part in ("gradients", "optimizer", "ema"):
        assert two[part] == pytest.approx(whole[part] / 2)
    assert whole["weights"] / 2 < two["weights"] < whole["weights"] * 0.65
    assert two["activations"] == whole["activations"]


TWO_MACHINES = ("--set", "launch.machines=2")


def test_the_first_of_several_machines_writes_the_run_directory(project, became, tmp_path):
    run = tmp_path / "run"

    start(project, "--set", f"output_dir={run}", *TWO_MACHINES, "--machine", "0", "--meeting", "a:5", "--quiet")

    *command, lock, _, quiet = became[0][3:]
    assert command == [str(run / "plan"), "--run-dir", str(run), "--machine", "0", "--meeting", "a:5"]
    assert (lock, quiet) == ("--lock", "--quiet")
    assert read_plan(run / "plan").body.schedule.samples_per_step == 2


def test_another_machine_makes_a_plan_of_its_own_and_leaves_the_run_directory_alone(
    project, became, tmp_path, monkeypatch
):
    run = tmp_path / "run"
    monkeypatch.setenv("NODE_RANK", "1")

    start(project, "--set", f"output_dir={run}", *TWO_MACHINES, "--quiet")

    assert became[0][4:] == ["--run-dir", str(run), "--discard-plan", "--quiet"]
    assert read_plan(Path(became[0][3])).settings["launch.machines"] == 2
    assert not run.exists()
    start(project, "--set", f"output_dir={run}", *TWO_MACHINES, "--machine", "0")
    assert became[1][3] == str(run / "plan")
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    assert main(["run", str(project), *TWO_MACHINES, "--set", f"output_dir={run}"]) == 4


def test_a_plan_is_trained_along_from_where_it_is(project, became, tmp_path):
    plan, run = tmp_path / "x.plan", tmp_path / "run"
    assert main(["plan", str(project), "-o", str(plan), "--set", f"output_dir={run}", *TWO_MACHINES]) == 0

    start(plan, "--machine", "1", "--meeting", "a:5")

    assert became == [[*became[0][:3], str(plan), "--run-dir", str(run), "--machine", "1", "--meeting", "a:5"]]


def test_machines_count_as_processes_do(found):
    both = ("launch.machines=2", "launch.processes=2", "optimizer.release_gradients=true", "train.max_grad_norm=0")
    (finding,) = [f for f in found(*both) if f.code == "R505"]
    assert "`launch.machines: 2` adds up" in finding.message
