import importlib.util
import json
import os
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from fakes_clips import make_project
from fakes_shards import write_shard
from recipe_compiler.cli.main import main
from recipe_compiler.pipeline import Options, compile_recipe
from recipe_compiler.subject import of_recipe
from recipe_schema.planfile import read_plan
from recipe_schema.stored import MAX_HEADER, latent_facts, read_facts, text_facts


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    return make_project(tmp_path_factory.mktemp("project"))


@pytest.fixture(autouse=True)
def _surroundings(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: object())


@pytest.fixture
def became(monkeypatch):
    """Keep what the process would be replaced by."""
    calls = []

    def execv(_program, arguments):
        calls.append(arguments)
        raise SystemExit

    monkeypatch.setattr(os, "execv", execv)
    return calls


@pytest.fixture
def started(monkeypatch):
    """Keep what would be started, and the ids of the plans that it is told of."""
    calls = []

    def run(command, *, check):
        assert not check
        kept = [argument for argument in command[5:] if not argument.startswith("-")]
        calls.append((command, [read_plan(Path(folder)).plan_id for folder in kept]))
        return subprocess.CompletedProcess(command, 7)

    monkeypatch.setattr(subprocess, "run", run)
    return calls


def write_value(store, kind, facts, name="ab"):
    path = store / kind / name / f"{name * 32}.safetensors"
    path.parent.mkdir(parents=True, exist_ok=True)
    header = json.dumps({"__metadata__": facts}).encode()
    path.write_bytes(struct.pack("<Q", len(header)) + header)
    return path


def test_encode_freezes_as_run_does_and_asks_for_no_more(project, became, tmp_path, capsys):
    run = tmp_path / "run"

    run.mkdir()
    (run / "file").write_text("of something else")

    for more in ([], ["--worker", "2/3", "--quiet"]):
        with pytest.raises(SystemExit):
            main(["encode", str(project), "--set", f"output_dir={run}", *more])

    plans = [Path(command[3]) for command in became]
    assert len(set(plans)) == 2
    start, end = [sys.executable, "-m", "recipe_runtime"], ["--encode", "--discard-plan"]
    assert became[0] == [*start, str(plans[0]), *end]
    assert became[1] == [*start, str(plans[1]), *end, "--worker", "2/3", "--quiet"]
    assert read_plan(plans[0]).execution.settings["output_dir"] == str(run)
    assert capsys.readouterr().err == ""


def test_encode_takes_a_plan_from_where_it_is(project, became, tmp_path, capsys):
    plan = tmp_path / "x.plan"
    assert main(["plan", str(project), "-o", str(plan)]) == 0

    for subject in (plan, plan / "plan.json"):
        with pytest.raises(SystemExit):
            main(["encode", str(subject)])
    assert main(["encode", str(plan), "--set", "train.seed=1"]) == 3

    assert became == [[sys.executable, "-m", "recipe_runtime", str(plan), "--encode"]] * 2
    assert "a plan is frozen" in capsys.readouterr().err


def test_encode_without_the_runtime_says_how_to_get_it(project, became, monkeypatch, capsys):
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)

    assert main(["encode", str(project)]) == 4
    assert "pip install" in capsys.readouterr().err
    assert became == []


def test_encode_takes_no_recipe_with_errors(project, became, capsys):
    assert main(["encode", str(project), "--set", "train.batch_size=64"]) == 1
    assert "R303" in capsys.readouterr().err
    assert became == []


@pytest.mark.parametrize("worker", ["0/2", "3/2", "x", "1"])
def test_what_is_no_worker_is_refused(project, became, worker, capsys):
    assert main(["encode", str(project), "--worker", worker]) == 2
    assert f"`--worker {worker}` is no worker" in capsys.readouterr().err
    assert became == []


def test_the_store_of_a_folder_a_recipe_and_a_plan_is_found(project, started, tmp_path):
    plan = tmp_path / "x.plan"
    store = project.parent / "store"
    store.mkdir(exist_ok=True)
    assert main(["plan", str(project), "-o", str(plan)]) == 0

    for subject in (store, project, plan, plan / "plan.json"):
        assert main(["store", "ls", str(subject)]) == 7

    assert [call for call, _ in started] == [[sys.executable, "-m", "recipe_runtime.keeping", "ls", str(store)]] * 4


def test_gc_names_plans_and_freezes_recipes(project, started, tmp_path):
    plan = tmp_path / "x.plan"
    (project.parent / "store").mkdir(exist_ok=True)
    assert main(["plan", str(project), "-o", str(plan)]) == 0
    kept = [str(plan), str(plan / "plan.json"), str(project)]

    assert main(["store", "gc", str(project), "--keep", *kept, "--delete"]) == 7

    ((command, ids),) = started
    assert command[3:6] == ["gc", str(project.parent / "store"), "--keep"]
    assert command[6:8] == [str(plan)] * 2
    assert command[-1] == "--delete"
    assert ids == [read_plan(plan).plan_id] * 3
    assert not Path(command[8]).exists()


def test_wrong_use_is_told(project, started, tmp_path, capsys, monkeypatch):
    (project.parent / "store").mkdir(exist_ok=True)
    broken, many, odd = (project.parent / f"{name}.yaml" for name in ("broken", "many", "odd"))
    broken.write_text("extends: recipe.yaml\nrecipe: 1\nname: broken\ntrain: {batch_size: 64}\n")
    many.write_text(
        "extends: recipe.yaml\nrecipe: 1\nname: many\nmatrix: {s: [1, 2]}\ntrain: {seed: '{{ matrix.s }}'}\noutput_dir: 'runs/{{ recipe.variant }}'\n"
    )
    odd.write_text("extends: recipe.yaml\nrecipe: 1\nname: odd\ndata: {store_dir: [a]}\n")
    (tmp_path / "plan.json").write_text("{}")
    for arguments, code, words in (
        (["gc", project], 2, "needs `--keep PLAN…`"),
        (["ls", project, "--delete"], 2, "belong to `recipe store gc`"),
        (["ls", project, "--keep", "x"], 2, "belong to `recipe store gc`"),
        (["ls", tmp_path / "none.yaml"], 2, "No such file"),
        (["ls", odd], 2, "does not say where its store is"),
        (["ls", tmp_path], 3, "is not a plan"),
        (["gc", project, "--keep", broken], 1, "R303"),
        (["gc", project, "--keep", many], 2, "has variants"),
    ):
        assert main(["store", *map(str, arguments)]) == code, arguments
        assert words in capsys.readouterr().err
    (project.parent / "store").rmdir()
    assert main(["store", "ls", str(project)]) == 2
    assert "there is no store at" in capsys.readouterr().err
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    assert main(["store", "ls", str(tmp_path.parent)]) == 4
    assert started == []


def clip_facts(project):
    subject = of_recipe(compile_recipe(project, Options(look_at_data=True)))
    row = next(row for row in subject.rows if row.path == "c1.mp4")
    latents = latent_facts(row, dtype=subject.value("model.vae_dtype"), tiling=subject.value("memory.vae_tiling"))
    text = text_facts(
        row.text,
        instruction=subject.plan.body.facts["instruction"],
        dtype=subject.value("model.text_encoder_dtype"),
        precision=subject.value("model.text_encoder_precision"),
    )
    return latents, text


def told(project, store, capsys):
    assert main(["explain", str(project), "--clip", "c1.mp4", "--set", f"data.store_dir={store}"]) == 0
    out = capsys.readouterr().out.splitlines()
    return [next(line.split(None, 1)[1] for line in out if line.split()[0] == kind) for kind in ("latents", "text")]


def test_explain_says_what_the_store_has_of_a_clip_and_what_differs(project, tmp_path, capsys):
    store = tmp_path / "store"
    latents, text = clip_facts(project)
    assert told(project, store, capsys) == ["not in the store yet"] * 2

    other = {**latents, "resize": "832x468"}
    write_value(store, "latents", {**other, "frames": "81"}, "aa")
    write_value(store, "latents", other, "bb")
    write_value(store, "latents", {**other, "dtype": "x"}, "cc")
    write_value(store, "latents", {**latents, "clip_sha256": "0"}, "dd")
    write_value(store, "text", {**text, "dtype": "fp64"})
    anew = [f"encoded anew because resize was 832x468 and is {latents['resize']}"]
    assert told(project, store, capsys) == [*anew, f"encoded anew because dtype was fp64 and is {text['dtype']}"]

    old = {
        name: fact for name, fact in latents.items() if name not in ("clip_sha256", "dtype", "tiling")
    }  # as earlier versions wrote
    write_value(store, "latents", old, "ee")
    write_value(store, "text", text, "ee")
    there = "in the store, for as long as the model's weights are the same"
    assert told(project, store, capsys) == [there] * 2
    (store / "latents" / "ee").rename(store / "latents" / "e")  # no place of the store
    write_value(store, "latents", {**latents, "clip": "another/name.mp4"}, "ff")
    assert told(project, store, capsys)[0] == there


def test_explain_finds_what_stands_in_shards(project, tmp_path, capsys):
    store = tmp_path / "store"
    latents, text = clip_facts(project)
    write_shard(store, "latents", 1, **{**latents, "resize": "832x468"})
    write_shard(store, "text", 2, **text)

    assert told(project, store, capsys) == [
        f"encoded anew because resize was 832x468 and is {latents['resize']}",
        "in the store, for as long as the model's weights are the same",
    ]


def test_explain_names_the_file_and_the_text_that_were_there_before(project, tmp_path, capsys):
    store = tmp_path / "store"
    latents, text = clip_facts(project)
    write_value(store, "latents", {**latents, "clip_sha256": "ab" * 32}, "aa")
    write_value(store, "latents", {**latents, "clip_sha256": "cd" * 32, "clip": "clips/other.mp4"}, "bb")
    write_value(store, "text", {"dtype": "bf16"}, "bb")
    write_value(store, "text", {**text, "text": "something else altogether"}, "cc")
    write_value(store, "text", {**text, "text": text["text"].replace("30", "31")}, "dd")

    of_clip, of_text = told(project, store, capsys)

    new = latents["clip_sha256"][:12]
    assert of_clip == f"encoded anew because the file's sha256 was abababababab… and is {new}…"
    assert of_text == f"not in the store yet; the nearest there is `{text['text'].replace('30', '31')}`"


def test_explain_in_json_has_the_store_too(project, tmp_path, capsys):
    latents, _ = clip_facts(project)
    write_value(tmp_path, "latents", {**latents, "crop": "x"})

    more = ["--set", f"data.store_dir={tmp_path}", "--format", "json"]
    assert main(["explain", str(project), "--clip", "c1.mp4", *more]) == 0

    (clip,) = json.loads(capsys.readouterr().out)["clips"]
    assert clip["store"] == {
        "latents": {"there": False, "differs": {"crop": {"was": "x", "is": latents["crop"]}}},
        "text": {"there": False, "differs": {}},
    }


def test_files_that_say_nothing_are_passed_over(project, tmp_path, capsys):
    path = write_value(tmp_path, "latents", {})
    (tmp_path / "latents" / "ab" / "folder.safetensors").mkdir()

    for content in (
        b"",
        b"\x00" * 8,
        struct.pack("<Q", MAX_HEADER + 1),
        b"\x02" + b"\x00" * 7 + b"[]",
        b"\x02" + b"\x00" * 7 + b"{}",
        b"\x01" * 3,
    ):
        path.write_bytes(content)
        assert read_facts(path) is None
        assert told(project, tmp_path, capsys)[0] == "not in the store yet"


def test_a_text_without_instruction_says_so():
    assert text_facts("", instruction=None, dtype="fp32", precision="no_change") == {
        "text": "",
        "with_instruction": "false",
        "dtype": "fp32",
        "precision": "no_change",
    }
