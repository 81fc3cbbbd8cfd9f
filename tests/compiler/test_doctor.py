"""``recipe doctor`` says what a machine lacks, and what to do about it."""

import json
import subprocess
import sys
import threading
import urllib.error
from http.server import BaseHTTPRequestHandler, HTTPServer
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace

import pytest

from fakes_clips import make_project
from fakes_machine import machine
from recipe_compiler.cli import doctor as command
from recipe_compiler.cli.main import main
from recipe_compiler.doctor import codecs, disk, gpu, network, packages
from recipe_compiler.doctor.recipe import look_at_recipe
from recipe_compiler.doctor.verdict import Verdict
from recipe_compiler.graphics import Card
from recipe_compiler.pipeline import Options, compile_recipe
from recipe_schema.torch_facts import Device, TorchFacts, torch_facts


def h200(**more):
    usual = {"name": "H200", "memory_gb": 150.0, "free_gb": 149.0, "bf16": True, "tflops": 700.0}
    return Device(**{**usual, **more})


def facts(*devices, **more):
    return TorchFacts(torch="2.13.0", devices=devices, cpu_gflops=100.0, threads=4, **{"cuda": "12.8", **more})


def told(verdicts):
    return [(verdict.status, verdict.text) for verdict in verdicts]


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    return make_project(tmp_path_factory.mktemp("project"))


# Python and packages


@pytest.mark.parametrize(
    ("version", "status", "words"),
    [
        ((3, 10), "error", "too old"),
        ((3, 11), "ok", "Python 3.11"),
        ((3, 13), "ok", ""),
        ((3, 14), "warning", "not tested"),
    ],
)
def test_python(version, status, words):
    verdict = packages.look_at_python(version)
    assert verdict.status == status
    assert words in verdict.text
    assert bool(verdict.cure) == (status != "ok")


NEEDED = [
    "numpy>=1.26",
    "py_yaml>=6",
    'torch>=2.13,<2.14; extra == "train"',
    'peft<2; extra == "train"',
    'wandb; extra == "wandb"',
    'old; python_version < "3"',
    "no requirement at all",
]
THERE = {"numpy": "2.0", "py_yaml": "6.1", "torch": "2.13.0+cpu", "peft": "1.0"}


def test_packages_as_tested_are_counted():
    tested = {"numpy": "2.0", "py-yaml": "6.1", "torch": "2.13.0"}
    assert told(packages.look_at_packages(NEEDED, tested, THERE.get)) == [("ok", "4 packages, as tested")]
    assert told(packages.look_at_packages(NEEDED, {}, THERE.get)) == [("ok", "4 packages, as asked for")]


def test_other_versions_than_tested_are_a_note():
    tested = dict.fromkeys(["numpy", "py-yaml", "torch", "peft"], "9")
    (verdict,) = packages.look_at_packages([*NEEDED, "more>=1"], {**tested, "more": "9"}, {**THERE, "more": "1"}.get)
    assert verdict.status == "note"
    assert "numpy 2.0 (tested: 9)" in verdict.text
    assert verdict.text.endswith(" and 1 more")


def test_what_is_missing_or_out_of_range_is_an_error():
    there = {"numpy": "1.0", "torch": "2.13.0", "peft": "1.0"}
    verdicts = list(packages.look_at_packages(NEEDED, {}, there.get))
    assert told(verdicts)[:2] == [("error", "numpy 1.0 is not >=1.26"), ("error", "py_yaml is not installed")]
    assert verdicts[0].cure == "pip install --upgrade 'sana-recipes'"
    (peft,) = (v for v in packages.look_at_packages(NEEDED, {}, {**THERE, "peft": "2.0"}.get) if v.status == "error")
    assert peft.cure == "pip install --upgrade 'sana-recipes[train]'"


def test_without_torch_that_is_said_once():
    verdicts = told(packages.look_at_packages(NEEDED, {}, {"numpy": "2.0", "py_yaml": "6"}.get))
    assert verdicts == [
        ("error", "torch is not installed: recipes are checked and planned here, and can't be trained"),
        ("ok", "2 packages, as asked for"),
    ]


def test_sources_without_a_list_of_what_they_need():
    assert [v.status for v in packages.look_at_packages([], {}, {}.get)] == ["note"]


def test_extras_are_notes():
    assert told(packages.look_at_extras(NEEDED, {}.get)) == [
        ("note", "wandb: wandb is not installed; it is for `tracking.report_to: wandb`")
    ]
    assert told(packages.look_at_extras(NEEDED, {"wandb": "1"}.get)) == [("ok", "wandb: wandb")]


def test_what_is_asked_for_is_that_of_the_sources_else_of_the_installed_package(tmp_path, monkeypatch):
    here = packages.requirements()
    assert any(text.startswith("torch>=") and text.endswith('extra == "train"') for text in here)
    assert "numpy>=1.26" in here

    monkeypatch.setattr(metadata, "requires", lambda _: ["a"])
    assert packages.requirements(tmp_path) == ["a"]
    monkeypatch.setattr(metadata, "requires", lambda _: None)
    assert packages.requirements(tmp_path) == ()

    def missing(_):
        raise metadata.PackageNotFoundError

    monkeypatch.setattr(metadata, "requires", missing)
    assert packages.requirements(tmp_path) == ()


def test_every_extra_but_that_of_training_is_looked_at():
    extras = {packages._extra(packages.Requirement(text)) for text in packages.requirements()}
    assert extras - {"", "train"} == set(packages._EXTRAS)


def test_tested_versions_are_those_of_the_constraints(tmp_path):
    assert packages.pinned_versions()["torch"] == "2.13.0"
    assert packages.pinned_versions((tmp_path,)) == {}
    (tmp_path / "constraints.txt").write_text('# a\nA_b==1; python_version >= "3"\n', encoding="utf-8")
    assert packages.pinned_versions((tmp_path / "no", tmp_path)) == {"a-b": "1"}


# GPUs


def test_a_gpu_that_is_free_is_right():
    verdicts = told(gpu.look_at_gpus((Card("H200", 150.0, "550.1"),), facts(h200())))
    assert verdicts == [
        ("ok", "torch 2.13.0, for CUDA 12.8, driver 550.1"),
        ("ok", "H200: 149.0 of 150.0 GB free, 700 TFLOP/s in bf16"),
        ("ok", "processor: 100 GFLOP/s in fp32, 4 threads"),
    ]


@pytest.mark.parametrize(
    ("device", "words"),
    [(h200(bf16=False), "in fp32; it does not compute in bf16"), (h200(free_gb=100.0), "; others use it")],
)
def test_a_gpu_that_is_not_well_is_a_warning(device, words):
    verdict = list(gpu.look_at_gpus((), facts(device)))[1]
    assert verdict.status == "warning"
    assert words in verdict.text
    assert verdict.cure


@pytest.mark.parametrize(
    ("cards", "seen", "status", "words", "cure"),
    [
        ((), facts(cuda=None), "warning", "no GPU; torch 2.13.0, built without CUDA", "small models"),
        ((Card("H", 9, "1"),), facts(cuda=None), "error", "torch does not see H;", "index of CUDA builds"),
        (
            (Card("H", 9, "1"),),
            facts(problem="too old"),
            "error",
            "torch does not see H: too old;",
            "update the driver",
        ),
    ],
)
def test_a_gpu_that_torch_does_not_see(cards, seen, status, words, cure):
    verdict = next(iter(gpu.look_at_gpus(cards, seen)))
    assert verdict.status == status
    assert words in verdict.text
    assert cure in verdict.cure


@pytest.mark.parametrize(
    ("done", "expected"),
    [
        (SimpleNamespace(returncode=0, stdout=f"a warning\n{facts(h200()).to_json()}\n", stderr=""), facts(h200())),
        (SimpleNamespace(returncode=0, stdout="{}", stderr=""), "no facts of torch: 'devices'"),
        (SimpleNamespace(returncode=1, stdout="", stderr="a\nImportError: libcuda\n"), "ImportError: libcuda"),
        (SimpleNamespace(returncode=-11, stdout="", stderr=""), "it ended with exit code -11"),
    ],
)
def test_torch_is_asked_in_a_process_of_its_own(done, expected, monkeypatch):
    commands = []
    monkeypatch.setattr(gpu.subprocess, "run", lambda command, **_: commands.append(command) or done)
    assert gpu.ask_torch() == expected
    assert commands == [[sys.executable, "-m", "recipe_runtime.torch_facts"]]


def test_a_torch_that_does_not_answer_is_given_up(monkeypatch):
    def hang(command, timeout, **_):
        raise subprocess.TimeoutExpired(command, timeout)

    monkeypatch.setattr(gpu.subprocess, "run", hang)
    assert gpu.ask_torch() == "it took more than 120 seconds"


def test_facts_come_back_as_they_were_written():
    assert torch_facts(facts(h200(), h200()).to_json()) == facts(h200(), h200())
    for text in ("[]", '{"devices": [{}]}', '{"devices": [], "more": 1}', "nonsense"):
        with pytest.raises(ValueError, match=r"."):
            torch_facts(text)


# Disks


def test_disks_are_written_and_left_as_they_were(tmp_path):
    folders = {"run": tmp_path / "runs" / "a", "store": tmp_path / "store"}
    (verdict,) = disk.look_at_disks(folders, machine(), None)
    assert verdict.status in ("ok", "warning")
    assert verdict.text.startswith("run and store: 1,000,000 GB free, written at ")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("speed", "free", "status"),
    [(500.0, 10**12, "ok"), (49.0, 10**12, "warning"), (500.0, 10**9, "warning"), (500.0, None, "ok")],
)
def test_a_slow_or_small_disk_is_a_warning(speed, free, status, monkeypatch, tmp_path):
    monkeypatch.setattr(disk, "write_speed", lambda _: speed)
    (verdict,) = disk.look_at_disks({"run": tmp_path}, machine(free=free), None)
    assert verdict.status == status
    assert bool(verdict.cure) == (status != "ok")


@pytest.mark.parametrize(
    ("name", "free", "needed", "cure"),
    [
        ("run", 10**9, 0.9e9, ""),
        ("run", 10**9, 1.1e9, "the run writes 1.1 GB: keep fewer checkpoints, or name another disk"),
        (disk.DOWNLOADS, 15 * 10**9, 10**15, ""),
        (disk.DOWNLOADS, 14 * 10**9, None, "the model takes 13 GB: name another disk in HF_HOME"),
    ],
)
def test_a_disk_has_to_hold_what_a_recipe_writes(name, free, needed, cure, monkeypatch, tmp_path):
    monkeypatch.setattr(disk, "write_speed", lambda _: 500.0)
    (verdict,) = disk.look_at_disks({name: tmp_path}, machine(free=free), needed)
    assert (verdict.cure, verdict.status) == (cure, "warning" if cure else "ok")


def test_a_folder_that_can_not_be_written_is_an_error(monkeypatch, tmp_path):
    def refuse(_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(disk, "write_speed", refuse)
    (verdict,) = disk.look_at_disks({"run": tmp_path}, machine(), None)
    assert told([verdict]) == [("error", f"run: {tmp_path} can't be written: Permission denied")]


# Codecs


def test_the_usual_codecs_are_encoded_and_decoded():
    assert [verdict.status for verdict in codecs.look_at_codecs()] == ["ok"] * 4
    assert codecs.round_trip("libx264") == 5


@pytest.mark.parametrize(
    ("has", "statuses"),
    [
        (lambda _, mode: mode == "r", ["error", "ok", "ok", "ok"]),
        (lambda *_: False, ["error", "warning", "warning", "warning"]),
    ],
)
def test_codecs_that_are_not_there(has, statuses, monkeypatch):
    monkeypatch.setattr(codecs, "_has", has)
    assert [verdict.status for verdict in codecs.look_at_codecs()] == statuses


def test_codecs_that_lose_frames_or_fail(monkeypatch):
    monkeypatch.setattr(codecs, "round_trip", lambda _: 4)
    verdicts = list(codecs.look_at_codecs())
    assert [verdict.status for verdict in verdicts] == ["error", "warning", "warning", "warning"]
    assert "4 of 5 frames came back" in verdicts[0].text

    def fail(_):
        raise ValueError("no")

    monkeypatch.setattr(codecs, "round_trip", fail)
    assert "not decoded as it was encoded: no" in next(iter(codecs.look_at_codecs())).text
    assert not codecs._has("no-such-codec", "r")


# Logins and the hub


def test_logins_are_notes():
    assert [v.status for v in network.look_at_logins(machine())] == ["note"]
    assert [v.status for v in network.look_at_logins(machine(packages={"wandb": "1"}))] == ["note", "note"]
    environment = {"HF_TOKEN": "x", "WANDB_API_KEY": "y"}
    all_there = machine(packages={"wandb": "1"}, environment=environment)
    assert [v.status for v in network.look_at_logins(all_there)] == ["ok", "ok"]
    assert not any(v.text in {"x", "y"} for v in network.look_at_logins(all_there))


@pytest.mark.parametrize(
    ("environment", "answer", "status", "words"),
    [
        ({}, "", "ok", "https://huggingface.co answers"),
        ({}, "timed out", "note", "does not answer: timed out"),
        ({"HF_ENDPOINT": "https://mirror.example/"}, "", "ok", "https://mirror.example answers"),
        ({"HF_ENDPOINT": "mirror"}, "", "error", "`mirror`, and that is no address"),
        ({"HF_HUB_OFFLINE": "1"}, "never asked", "note", "is not asked"),
    ],
)
def test_the_hub_is_asked_where_the_environment_says(environment, answer, status, words):
    verdict = network.look_at_hub(machine(environment=environment), lambda _: answer)
    assert verdict.status == status
    assert words in verdict.text


class Answering(BaseHTTPRequestHandler):
    def do_HEAD(self):
        self.send_response(int(self.path[1:]))
        self.end_headers()

    def log_message(self, *_):
        pass


def test_any_answer_is_one(monkeypatch):
    monkeypatch.setenv("no_proxy", "*")
    with HTTPServer(("127.0.0.1", 0), Answering) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        address = f"http://127.0.0.1:{server.server_port}"
        assert network.ask_address(f"{address}/200") == ""
        assert network.ask_address(f"{address}/403") == ""
        server.shutdown()
        thread.join()
    assert "refused" in network.ask_address(address)

    def silent(*_, **__):
        raise urllib.error.URLError("")

    monkeypatch.setattr(network.urllib.request, "urlopen", silent)
    assert network.ask_address(address) == "URLError"


# One recipe


def compiled(project, *overrides):
    return compile_recipe(project, Options(overrides=overrides, must_run=True, starts_here=True, machine=machine()))


def test_the_findings_of_a_recipe_are_told_with_their_cures(project):
    verdicts = list(look_at_recipe(compiled(project, "train.batch_size=0"), facts()))
    assert [verdict.status for verdict in verdicts] == ["error"]
    assert "R104" in verdicts[0].text


@pytest.mark.parametrize(
    ("seen", "overrides", "status", "words"),
    [
        (facts(), (), "ok", "small trains on the processor, in "),
        (facts(h200()), (), "ok", "small takes about 2."),
        (facts(h200()), ("hardware.device=cpu",), "ok", "trains on the processor"),
        (facts(), ("hardware.device=cuda",), "error", "torch sees no GPU here"),
        (facts(h200(memory_gb=2.0), h200()), ("train.batch_size=2",), "error", "of 2.0 GB (H200)"),
    ],
)
def test_a_recipe_is_compared_with_the_gpu(seen, overrides, status, words, project):
    (verdict,) = look_at_recipe(compiled(project, *overrides), seen)
    assert verdict.status == status
    assert words in verdict.text
    assert bool(verdict.cure) == (status == "error")


def test_what_takes_less_memory_is_named(project):
    small = facts(h200(memory_gb=2.0))
    (verdict,) = look_at_recipe(compiled(project, "memory.gradient_checkpointing=false"), small)
    assert "--set memory.gradient_checkpointing=true --set memory.gradient_checkpointing_interval=1" in verdict.cure


def test_without_torch_a_recipe_is_only_linted(project):
    assert list(look_at_recipe(compiled(project), None)) == []


# The command


@pytest.fixture
def calm(monkeypatch):
    """A machine on which everything is right and nothing takes time."""
    monkeypatch.setattr(command, "ask_torch", lambda: facts(h200()))
    monkeypatch.setattr(command, "cards", lambda: (Card("H200", 150.0, "550"),))
    monkeypatch.setattr(command, "look_at_codecs", lambda: iter(()))
    monkeypatch.setattr(
        command, "look_at_disks", lambda folders, *_: [Verdict(about="disk", status="ok", text=str(dict(folders)))]
    )
    monkeypatch.setattr(command, "ask_address", lambda _: "")
    monkeypatch.setattr(command, "look_at_packages", lambda *_: iter(()))
    monkeypatch.setattr(command, "this_machine", lambda _: machine(packages={"torch": "2.13.0"}))


@pytest.mark.usefixtures("calm")
def test_a_machine_that_can_train_is_told_so(capsys, monkeypatch):
    assert main(["doctor"]) == 0
    said = capsys.readouterr().out
    assert said.startswith("ok      python    Python 3.12\n")
    assert "ok      gpu       H200: 149.0 of 150.0 GB" in said
    assert "huggingface.co answers" in said
    assert str(Path.cwd()) in said
    assert said.endswith("\nall that is needed is there\n")

    monkeypatch.setattr(command, "wants_color", lambda _: True)
    assert main(["doctor", "--offline"]) == 0
    said = capsys.readouterr().out
    assert "\x1b[32mok      \x1b[0mpython" in said
    assert "huggingface.co" not in said


@pytest.mark.usefixtures("calm")
def test_a_recipe_is_looked_at_too(project, capsys):
    assert main(["doctor", str(project), "--format", "json"]) == 0
    checks = json.loads(capsys.readouterr().out)
    assert checks["format_version"] == 1
    assert checks["summary"]["error"] == 0
    assert checks["checks"][-1]["about"] == "recipe"
    disks = next(check["text"] for check in checks["checks"] if check["about"] == "disk")
    assert str(project.parent / "runs" / "small") in disks
    assert "'store'" in disks

    assert main(["doctor", str(project), "--set", "train.batch_size=0"]) == 1
    said = capsys.readouterr().out
    assert "error   recipe" in said
    assert said.endswith("\n1 error\n")


@pytest.mark.usefixtures("calm")
def test_a_recipe_that_can_not_be_read_is_an_error(tmp_path, capsys):
    (tmp_path / "a.yaml").write_text("recipe: [", encoding="utf-8")
    assert main(["doctor", str(tmp_path / "a.yaml")]) == 1
    assert "R001" in capsys.readouterr().out
    assert main(["doctor", str(tmp_path / "nowhere.yaml")]) == 2


@pytest.mark.usefixtures("calm")
def test_a_torch_that_can_not_be_loaded_is_an_error(monkeypatch, capsys):
    monkeypatch.setattr(command, "ask_torch", lambda: "ImportError: libcudart")
    assert main(["doctor"]) == 1
    assert "torch can't be used: ImportError: libcudart" in capsys.readouterr().out


@pytest.mark.usefixtures("calm")
def test_without_torch_the_driver_alone_is_asked(monkeypatch, capsys):
    monkeypatch.setattr(command, "this_machine", lambda _: machine())
    assert main(["doctor"]) == 0
    assert "ok      gpu       H200: 150.0 GB, driver 550" in capsys.readouterr().out
