"""What the machine lacks: logins, packages, variables, disk space, versions."""

import tomllib
from pathlib import Path

import pytest

from fakes_clips import make_project
from fakes_machine import machine
from recipe_compiler.cli.main import main
from recipe_compiler.machine import Machine, this_machine
from recipe_compiler.passes.versions import PYTHON, TORCH, unsupported_versions
from recipe_compiler.pipeline import Options, compile_recipe
from recipe_compiler.source import Source, start_of


HEAD = "recipe: 1\ndata: {datasets: [{id: a, instance_data_dir: clips}]}\ntrain: {max_steps: 1000}\n"
TORCH_IS_THERE = {"torch": "2.13.0+cpu"}


def found(folder, text, code, *, starts_here=False, must_run=False, on=None):
    recipe = folder / "recipe.yaml"
    recipe.write_text(HEAD + text, encoding="utf-8")
    options = Options(
        look_at_data=False, must_run=must_run or starts_here, starts_here=starts_here, machine=on or machine()
    )
    return [d for d in compile_recipe(recipe, options).found if d.code == code]


# What is asked


def test_an_empty_variable_is_not_set():
    asked = machine(environment={"A": "x", "B": ""})

    assert [asked.variable(name) for name in "ABC"] == ["x", None, None]


@pytest.mark.parametrize(
    ("environment", "file", "content", "expected"),
    [
        ({}, None, "", False),
        ({"WANDB_API_KEY": "x"}, None, "", True),
        ({"WANDB_API_KEY": ""}, None, "", False),
        ({"WANDB_MODE": "offline"}, None, "", True),
        ({"WANDB_MODE": "online"}, None, "", False),
        ({}, ".netrc", "machine api.wandb.ai\n  login user\n  password x\n", True),
        ({}, "_netrc", "machine api.wandb.ai login user password x", True),
        ({}, ".netrc", "machine api.wandb.ai.example.org login user", False),
        ({}, ".netrc", "machine example.org login user", False),
        ({"WANDB_BASE_URL": "https://wandb.example.org:8080/"}, ".netrc", "machine wandb.example.org login u", True),
        ({"WANDB_BASE_URL": "https://wandb.example.org"}, ".netrc", "machine api.wandb.ai login u", False),
        ({"NETRC": "{home}/other"}, "other", "machine api.wandb.ai login u", True),
        ({"NETRC": "{home}/other"}, ".netrc", "machine api.wandb.ai login u", False),
    ],
)
def test_a_login_for_wandb_is_a_key_or_an_entry_for_its_host(environment, file, content, expected, tmp_path):
    if file is not None:
        (tmp_path / file).write_text(content)
    variables = {name: value.format(home=tmp_path) for name, value in environment.items()}

    assert machine(environment=variables, home=tmp_path).has_wandb_login() is expected


@pytest.mark.parametrize(
    ("environment", "file", "content", "expected"),
    [
        ({}, None, "", False),
        ({"MINE": "x"}, None, "", True),
        ({"HF_TOKEN": "x"}, None, "", True),
        ({"HUGGING_FACE_HUB_TOKEN": "x"}, None, "", True),
        ({}, ".cache/huggingface/token", "hf_x\n", True),
        ({}, ".cache/huggingface/token", "\n", False),
        ({}, ".huggingface/token", "hf_x", True),
        ({"HF_HOME": "{home}/hub"}, "hub/token", "hf_x", True),
        ({"HF_HOME": "{home}/hub"}, ".cache/huggingface/token", "hf_x", False),
        ({"XDG_CACHE_HOME": "{home}/x"}, "x/huggingface/token", "hf_x", True),
        ({"HF_TOKEN_PATH": "{home}/t"}, "t", "hf_x", True),
    ],
)
def test_a_login_for_the_hub_is_a_variable_or_a_file(environment, file, content, expected, tmp_path):
    if file is not None:
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_text(content)
    variables = {name: value.format(home=tmp_path) for name, value in environment.items()}

    assert machine(environment=variables, home=tmp_path).has_hub_login("MINE") is expected


def test_this_machine_knows_its_packages_its_disk_and_its_interpreter(tmp_path):
    real = this_machine({"A": "x"})

    assert isinstance(real, Machine)
    assert real.variable("A") == "x"
    assert (3, 11) <= real.python < (4, 0)
    assert real.version("jsonschema").count(".") == 2
    assert real.version("no-such-package-as-this") is None
    assert real.free_bytes(tmp_path / "not" / "yet") == pytest.approx(real.free_bytes(tmp_path), rel=0.2)
    assert real.home == Path.home()


def test_a_disk_that_does_not_answer_is_not_known(tmp_path, monkeypatch):
    def statvfs(_):
        raise OSError

    monkeypatch.setattr("os.statvfs", statvfs)

    assert this_machine({}).free_bytes(tmp_path) is None


def test_the_bytes_of_a_folder_are_those_of_its_files(tmp_path):
    real = this_machine({})
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x").write_bytes(b"12345")
    (tmp_path / "y").write_bytes(b"12")
    (tmp_path / "broken").symlink_to(tmp_path / "nowhere")

    assert real.used_bytes(tmp_path / "a") == 5
    assert real.used_bytes(tmp_path) >= 7
    assert real.used_bytes(tmp_path / "nowhere") == 0


# Logins, packages, variables


LACKING = [
    ("R801", "tracking: {report_to: wandb}", "tracking.report_to", "no login for wandb", "`wandb login`"),
    ("R802", "hub: {push: true, model_id: a/b}", "hub.push", "no token for the Hugging Face hub", "set HF_TOKEN"),
    (
        "R802",
        "hub: {push_checkpoints: true, model_id: a/b, token_env: MINE}",
        "hub.push_checkpoints",
        "no token",
        "set MINE",
    ),
    ("R803", "tracking: {report_to: wandb}", "tracking.report_to", "wandb is not installed", "pip install wandb"),
    (
        "R803",
        "tracking: {report_to: [tensorboard, wandb]}",
        "tracking.report_to",
        "tensorboard and wandb are not installed",
        "pip install tensorboard wandb",
    ),
    (
        "R804",
        "tracking: {webhooks: [{url_env: HOOK}]}",
        "tracking.webhooks.0.url_env",
        "the variable `HOOK` is not set",
        "export HOOK=",
    ),
]


@pytest.mark.parametrize(("code", "text", "at", "message", "advice"), LACKING)
def test_what_is_lacking_warns_until_the_run_starts_here(code, text, at, message, advice, tmp_path):
    severities = []
    for how in ({}, {"must_run": True}, {"starts_here": True}):
        (finding,) = found(tmp_path, text, code, **how)
        severities.append(finding.severity)
        assert finding.pointer == at
        assert message in finding.message
        assert advice in finding.help

    assert severities == ["warning", "warning", "error"]


@pytest.mark.parametrize(("code", "text"), [lacking[:2] for lacking in LACKING])
def test_nothing_is_lacking_where_it_is_there(code, text, tmp_path):
    environment = dict.fromkeys(("WANDB_API_KEY", "HF_TOKEN", "HOOK"), "x")
    ready = machine(packages={"wandb": "0.22", "tensorboard": "2.20"}, environment=environment)

    assert found(tmp_path, text, code, on=ready, starts_here=True) == []


@pytest.mark.parametrize(
    ("code", "text"),
    [
        ("R801", "tracking: {report_to: wandb, wandb_mode: offline}"),
        ("R801", "tracking: {report_to: tensorboard}"),
        ("R801", "tracking: {report_to: null}"),
        ("R803", "tracking: {report_to: null}"),
        ("R802", "hub: {push: false, model_id: a/b}"),
        ("R804", "tracking: {webhooks: [{url: 'http://127.0.0.1/'}]}"),
    ],
)
def test_nothing_is_asked_for_that_is_not_needed(code, text, tmp_path):
    assert found(tmp_path, text, code, starts_here=True) == []


def test_a_secret_in_a_variable_is_never_shown(tmp_path):
    ready = machine(environment={"HOOK": "https://discord.com/api/webhooks/1/abc"})
    text = "tracking: {webhooks: [{type: raw, url_env: HOOK}]}"

    (finding,) = found(tmp_path, text, "R611", on=ready)

    assert (finding.pointer, finding.fix) == ("tracking.webhooks.0.type", "discord")
    assert finding.message == "this webhook is of type raw, and its address is one of Discord"
    assert "abc" not in str(finding.message + finding.help)
    assert found(tmp_path, text.replace("raw", "discord"), "R611", on=ready) == []
    (without_type,) = found(tmp_path, text.replace("type: raw, ", ""), "R611", on=ready)
    assert (without_type.pointer, without_type.fix) == ("tracking.webhooks.0.url_env", None)


# Disk space


ONE = 24_682_345_728  # bytes: weights and two moments of the 2B model, 2,056,862,144 values each in fp32


@pytest.mark.parametrize(
    ("text", "needed"),
    [
        ("checkpoints: {step_interval: 100, total_limit: 3}", 4 * ONE),
        ("checkpoints: {step_interval: 100, total_limit: null}", 10 * ONE),
        ("checkpoints: {step_interval: 300, total_limit: 5}", 4 * ONE),
        ("checkpoints: {step_interval: 100, total_limit: 3}\nema: {enabled: true}", 4 * ONE * 4 // 3),
        ("", 2 * ONE),
    ],
)
def test_checkpoints_have_to_fit_on_the_disk_to_the_byte(text, needed, tmp_path):
    assert found(tmp_path, text, "R805", must_run=True, on=machine(free=needed)) == []
    (warning,) = found(tmp_path, text, "R805", must_run=True, on=machine(free=needed - 1))
    (error,) = found(tmp_path, text, "R805", starts_here=True, on=machine(free=needed - 1))

    assert (warning.severity, error.severity) == ("warning", "error")
    assert f"need {needed / 1e9:.1f} GB" in error.message


def test_what_is_short_on_the_disk_is_said_with_numbers(tmp_path):
    text = "output_dir: runs/x\ncheckpoints: {step_interval: 100, total_limit: 3}"

    (finding,) = found(tmp_path, text, "R805", must_run=True, on=machine(free=50_000_000_000))

    assert finding.message == "4 checkpoints of 24.7 GB need 98.7 GB, and 50.0 GB are free for `runs/x`"
    assert (finding.span.line, finding.span.column) == (5, 48)
    assert [note.text for note in finding.notes] == ["counted here", "counted here"]

    (finding,) = found(
        tmp_path, "checkpoints: {step_interval: 1000}", "R805", must_run=True, on=machine(free=24_000_000)
    )
    assert finding.message.startswith("a checkpoint of 24.7 GB needs 24.7 GB, and 24.0 MB are free")


def test_the_disk_is_that_of_the_run_and_old_checkpoints_count_as_free(tmp_path):
    asked = []
    text = "output_dir: runs/x\ncheckpoints: {step_interval: 100, total_limit: 3}"

    def free(path):
        asked.append(path)
        return 2 * ONE

    def used(path):
        asked.append(path)
        return 2 * ONE

    on = Machine(environment={}, home=tmp_path, version=lambda _: None, free_bytes=free, used_bytes=used)

    assert found(tmp_path, text, "R805", must_run=True, on=on) == []
    assert asked == [tmp_path / "runs" / "x", tmp_path / "runs" / "x" / "checkpoints"]


@pytest.mark.parametrize(
    "text",
    [
        "model: {pretrained_model_name_or_path: /models/mine}",
        "model: {type: lora}",
        "optimizer: {name: adafactor}",
        "train: {num_epochs: 3}",
        "output_dir: 5\ncheckpoints: {step_interval: often}",
    ],
)
def test_where_the_size_is_not_known_nothing_is_said(text, tmp_path):
    head = HEAD.replace("train: {max_steps: 1000}\n", "") if text.startswith("train") else HEAD
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(head + text)

    compiled = compile_recipe(recipe, Options(look_at_data=False, must_run=True, machine=machine(free=1)))

    assert "R805" not in {d.code for d in compiled.found}


def test_a_disk_that_can_not_be_asked_and_a_lint_say_nothing(tmp_path):
    assert found(tmp_path, "", "R805", starts_here=True, on=machine(free=None)) == []
    assert found(tmp_path, "", "R805", on=machine(free=1)) == []


# Versions


@pytest.mark.parametrize(
    ("python", "torch", "expected"),
    [
        ((3, 11), "2.13.0", []),
        ((3, 13), "2.13.5+cu130", []),
        ((3, 12), None, []),
        ((3, 12), "unknown", []),
        ((3, 10), "2.13.0", [("error", "Python 3.10 is too old: this version takes 3.11 to 3.13")]),
        ((3, 14), "2.13.0", [("warning", "Python 3.14 is not tested: this version takes 3.11 to 3.13")]),
        ((3, 12), "2.12.1", [("error", "torch 2.12.1 is too old: this version takes 2.13")]),
        ((3, 12), "2.14.0a0", [("warning", "torch 2.14.0a0 is not tested: this version takes 2.13")]),
    ],
)
def test_versions_are_compared_with_those_that_were_tested(python, torch, expected):
    on = machine(python=python, packages={"torch": torch})
    findings = unsupported_versions(on, start_of(Source("x", "")))

    assert [(d.severity, d.message) for d in findings] == expected


def test_versions_are_those_of_the_package():
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]

    assert project["requires-python"] == f">={_text(PYTHON[0])},<{_text(PYTHON[1])}"
    assert f"torch>={_text(TORCH[0])},<{_text(TORCH[1])}" in project["optional-dependencies"]["train"]


def _text(version):
    return ".".join(map(str, version))


def test_versions_matter_where_the_run_starts_and_nowhere_else(tmp_path):
    old = machine(packages={"torch": "2.9.0"})

    (finding,) = found(tmp_path, "", "R806", starts_here=True, on=old)
    assert (finding.severity, finding.span.line) == ("error", 1)
    assert found(tmp_path, "", "R806", must_run=True, on=old) == []


def test_a_plan_does_not_start_under_an_old_torch(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    project = make_project(tmp_path)
    assert main(["plan", str(project), "-o", str(tmp_path / "x.plan")]) == 0
    monkeypatch.setattr("importlib.metadata.version", lambda _: "2.9.1")

    assert main(["run", str(tmp_path / "x.plan")]) == 3

    assert "torch 2.9.1 is too old: this version takes 2.13; install torch 2.13" in capsys.readouterr().err


def test_run_refuses_what_a_plan_only_warns_of(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr("importlib.metadata.version", lambda _: "2.9.1")
    project = make_project(tmp_path)

    assert main(["run", str(project)]) == 1
    assert "error[R806]: torch 2.9.1 is too old" in capsys.readouterr().err
    assert main(["plan", str(project), "-o", str(tmp_path / "x.plan")]) == 0
