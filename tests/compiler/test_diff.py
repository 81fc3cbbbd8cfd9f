import json
import shutil

import pytest

from fakes_clips import make_clip, make_project
from recipe_compiler.cli.main import main
from recipe_compiler.data.ledger_file import read_ledger
from recipe_compiler.passes.compare import clip_changes, compare
from recipe_compiler.pipeline import Options, compile_recipe
from recipe_compiler.subject import of_plan, of_recipe
from recipe_schema.ledger import ClipRow
from recipe_schema.planfile import PlanError, plan_id, read_plan, write_plan


ENTRY = "{{id: {0}, instance_data_dir: {1}, video: {{num_frames: 9}}}}"


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    return make_project(tmp_path_factory.mktemp("project"))


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def subject(recipe, *overrides, **options):
    return of_recipe(compile_recipe(recipe, Options(overrides=overrides, **options)))


def datasets(*names):
    return "data.datasets=[" + ", ".join(ENTRY.format(*name) for name in names) + "]"


def paths(comparison, kind):
    return [change.path for change in comparison.settings if change.kind == kind]


def test_a_recipe_is_the_same_as_itself_and_exits_with_0(project, capsys):
    assert main(["diff", str(project), str(project)]) == 0
    assert "the same in everything" in capsys.readouterr().out


def test_a_plan_is_the_same_as_the_recipe_that_it_was_made_from(project, tmp_path, capsys):
    folder = tmp_path / "x.plan"
    main(["plan", str(project), "-o", str(folder)])
    capsys.readouterr()

    assert main(["diff", str(folder), str(project)]) == 0
    assert main(["diff", str(project), str(folder), "--format", "json"]) == 0
    document = json.loads(capsys.readouterr().out.split("\n", 4)[4])
    assert document["format_version"] == 1
    assert (document["same"], document["resumable"], document["settings"], document["clips"]) == (True, True, [], {})
    assert [document[side]["kind"] for side in "ab"] == ["recipe", "plan"]


def test_a_run_stands_for_its_plan(project, tmp_path, capsys):
    run = tmp_path / "run"
    main(["plan", str(project), "-o", str(run / "plan")])

    assert main(["diff", str(run), str(project)]) == 0
    assert main(["diff", str(tmp_path), str(project)]) == 3
    assert f"{tmp_path}/plan.json does not exist" in capsys.readouterr().err


def test_settings_differ_by_what_they_do_each_with_both_origins(project, capsys):
    overrides = ["train.seed=7", "name=other", "checkpoints.total_limit=2", "train.flow_schedule_shift=3.0"]
    arguments = [word for override in overrides for word in ("--set", override)]

    assert main(["diff", str(project), str(project), *arguments]) == 1
    out = capsys.readouterr().out
    shape, resume, names, ignored = (
        out.index(title)
        for title in (
            "settings that shape the weights",
            "settings that may differ when a run is resumed",
            "\nnames\n",
            "settings that are never applied",
        )
    )
    assert shape < out.index("train.seed = 42 → 7\n      A: default\n      B: --set 1:1:12") < resume
    assert resume < out.index("checkpoints.total_limit = 5 → 2") < names
    assert names < out.index(f"name = small → other\n      A: {project}:2:7\n      B: --set 2:1:6") < ignored
    assert ignored < out.index("train.flow_schedule_shift = null → 3")


def test_equal_ids_can_be_resumed_and_others_say_what_keeps_them_from_it(project):
    same = compare(subject(project), subject(project, "checkpoints.total_limit=2"))
    other = compare(subject(project), subject(project, "optimizer.beta1=0.8"))

    assert (same.same, same.resumable, same.stages) == (False, True, ())
    assert (other.same, other.resumable, other.stages) == (False, False, ("train", "export"))


def test_the_verdict_names_a_few_causes_and_counts_the_rest(project, capsys):
    overrides = ["optimizer.eps=1e-8", "optimizer.beta1=0.8", "optimizer.beta2=0.9", "train.max_steps=20"]
    arguments = [word for override in overrides for word in ("--set", override)]

    main(["diff", str(project), str(project), *arguments])
    out = capsys.readouterr().out
    assert (
        "because of train.max_steps, optimizer.beta1, optimizer.beta2 and 1 more: a run of one can't be resumed" in out
    )
    assert "schedule\n  steps: 10 → 20" in out
    assert "cost\n" in out
    assert "training: " in out
    assert "(+100%)" in out
    assert "done anew: train, export" in out


def test_equal_ids_with_other_places_are_said_to_be_resumable(project, capsys):
    assert main(["diff", str(project), str(project), "--set", "data.store_dir=elsewhere"]) == 1
    assert "the plan ids are equal: a run of one can be resumed with the other" in capsys.readouterr().out


def test_data_sets_are_matched_by_id_wherever_they_stand(project):
    a = subject(project, datasets(("clips", "clips"), ("mixed", "mixed")))
    b = subject(project, datasets(("mixed", "mixed"), ("more", "broken"), ("clips", "clips")).replace("9}", "5}", 1))
    comparison = compare(a, b)

    assert paths(comparison, "result") == [
        "data.datasets[mixed].video.num_frames",
        "data.datasets[mixed].video.min_frames",
        "data.datasets[more]",
        "data.datasets",
    ]
    lone, order = comparison.settings[-2:]
    assert (lone.old, lone.new.value) == (None, "broken")
    assert (order.old.value, order.new.value) == (["clips", "mixed"], ["mixed", "more", "clips"])


def test_a_data_set_that_went_is_told_of_once(project, capsys):
    many = ["--set", datasets(("clips", "clips"))]
    assert main(["diff", str(project), str(project), *many]) == 0

    both = project.parent / "both.yaml"
    text = project.read_text(encoding="utf-8")
    both.write_text(
        text.replace("train:", "    - {id: mixed, instance_data_dir: mixed, video: {num_frames: 33}}\ntrain:"),
        encoding="utf-8",
    )
    assert main(["diff", str(both), str(project)]) == 1
    out = capsys.readouterr().out
    assert "data.datasets[mixed] = mixed → –\n" in out
    assert "B: not there" in out
    assert "3 removed: mixed/long.mp4; mixed/longer.mp4; mixed/short.mp4 (filtered)" in out
    assert "96x64@33: 2 → –" in out
    assert "largest bucket: 96x64@33 → 96x64@9" in out


def test_clips_differ_by_bytes_caption_name_place_and_fate(project, tmp_path, capsys):
    copy = tmp_path / "copy"
    shutil.copytree(project.parent, copy)
    clips = copy / "clips"
    (clips / "c0.txt").write_text("something else", encoding="utf-8")
    make_clip(clips / "c1.mp4", frames=50)
    (clips / "c2.mp4").rename(clips / "moved.mp4")
    (clips / "c2.txt").rename(clips / "moved.txt")
    make_clip(clips / "c3.mp4", size=(60, 64), frames=6)
    make_clip(clips / "c4.mp4", caption="new")
    make_clip(clips / "c5.mp4", caption="new", frames=40)
    make_clip(clips / "c6.mp4", caption="new", frames=41)
    make_clip(clips / "c7.mp4", caption="new", frames=42)

    assert main(["diff", str(project), str(copy / "recipe.yaml")]) == 1
    out = capsys.readouterr().out
    assert "4 added: clips/c4.mp4; clips/c5.mp4; clips/c6.mp4; and 1 more" in out
    assert "1 renamed: clips/c2.mp4 → clips/moved.mp4" in out
    assert "2 with other content: clips/c1.mp4; clips/c3.mp4" in out
    wanted = "`a bar, number 0 motion score: 30.` → `something else motion score: 30.`"
    assert f"1 with another caption: clips/c0.mp4: {wanted}" in out
    assert "1 with another fate: clips/c3.mp4: trained → filtered (too short" in out
    assert "because of the clips or captions (4 → 7 trained)" in out


def row(path="a.mp4", **more):
    known = {"dataset": "d", "path": path, "fate": "trained", "sha256": path, "bucket_width": 8, "bucket_height": 8}
    return ClipRow(**{**known, **more})


@pytest.mark.parametrize(
    ("old", "new", "kind", "text"),
    [
        ({}, {"repeats": 2}, "repeats", "d/a.mp4: 0 → 2"),
        ({}, {"crop_top": 4}, "place", "d/a.mp4: window or crop"),
        ({}, {"bucket_width": 16}, "place", "d/a.mp4: 8x8@0 → 16x8@0"),
        ({"fate": "disabled"}, {}, "fate", "d/a.mp4: disabled → trained"),
        ({"fate": "disabled", "repeats": 1}, {"fate": "disabled"}, None, ""),
        ({"sha256": ""}, {"sha256": "x"}, None, ""),
    ],
)
def test_one_thing_that_differs_of_a_clip_is_told_as_such(old, new, kind, text):
    changes = clip_changes([row(**old)], [row(**new)])

    assert changes == ({} if kind is None else {kind: (text,)})


def test_files_of_the_same_bytes_are_not_taken_for_each_other():
    twice = [row("b.mp4", sha256="x"), row("c.mp4", sha256="x")]

    assert set(clip_changes([row(sha256="x")], twice)) == {"added", "removed"}
    assert set(clip_changes([row(sha256="x")], [row("b.mp4", sha256="x")])) == {"renamed"}


def test_without_data_settings_alone_are_compared(project, capsys):
    assert main(["diff", str(project), str(project), "--no-data"]) == 0
    assert "the settings are the same; buckets, schedule and cost were not compared" in capsys.readouterr().out
    assert main(["diff", str(project), str(project), "--no-data", "--set", "train.seed=1", "--format", "json"]) == 1
    document = json.loads(capsys.readouterr().out)
    assert (document["clips"], document["resumable"]) == (None, None)
    assert document["a"]["no_plan_because"] == "nobody looked at the data"
    assert document["settings"][0]["new"]["origin"] == {"kind": "override", "detail": "", **SET}
    assert main(["diff", str(project), str(project), "--no-data", "--set", "train.seed=1"]) == 1
    assert "they differ; buckets, schedule and cost were not compared" in capsys.readouterr().out


SET = {"file": "--set 1", "line": 1, "column": 12}


def test_a_recipe_whose_folder_is_not_there_has_its_settings_compared(project, tmp_path):
    lone = tmp_path / "lone.yaml"
    shutil.copy(project, lone)
    comparison = compare(subject(project), subject(lone))

    assert comparison.b.unplanned == "there are no clips to train"
    assert comparison.resumable is None
    assert list(comparison.clips) == ["removed"]


def test_a_recipe_with_errors_shows_them_and_exits_with_2(project, capsys):
    assert main(["diff", str(project), str(project), "--set", "train.batch_size=0"]) == 2
    captured = capsys.readouterr()
    assert "R104" in captured.err
    assert captured.out == ""


def test_a_file_that_is_not_there_exits_with_2(project, capsys):
    assert main(["diff", str(project), "nowhere.yaml"]) == 2
    assert "nowhere.yaml" in capsys.readouterr().err


def test_a_plan_that_is_none_exits_with_3_and_overrides_of_a_plan_with_2(project, tmp_path, capsys):
    assert main(["diff", str(project), str(tmp_path)]) == 3
    assert "does not exist; make a plan with" in capsys.readouterr().err
    assert main(["diff", str(project), str(tmp_path), "--set", "name=x"]) == 2
    assert "frozen" in capsys.readouterr().err


@pytest.fixture
def plan(project, tmp_path):
    folder = tmp_path / "x.plan"
    assert main(["plan", str(project), "-o", str(folder), "--set", "train.flow_schedule_shift=3.0"]) == 0
    return folder


def with_body(folder, **changes):
    """Write a plan as another version of the tool may have made it."""
    from dataclasses import replace

    old = read_plan(folder)
    body = replace(old.body, **changes)
    paths = {**body.settings, **old.execution.settings}
    origins = {path: old.meta["origins"].get(path, {"kind": "default"}) for path in paths}
    write_plan(replace(old, plan_id=plan_id(body), body=body, meta={**old.meta, "origins": origins}), folder)


def test_a_key_that_only_an_older_plan_has_is_told_of(plan, project):
    old = read_plan(plan)
    with_body(plan, settings={**old.body.settings, "train.gone": 3})
    comparison = compare(of_plan(read_plan(plan), read_ledger(plan), "x"), subject(project))

    change = next(change for change in comparison.settings if change.path == "train.gone")
    assert (change.kind, change.old.value, change.new, change.old.leaf) == ("result", 3, None, None)


def test_other_facts_of_the_family_and_other_stages_make_plans_differ(plan, project, capsys):
    old = read_plan(plan)
    with_body(plan, facts={**old.body.facts, "null_caption": "x"})
    assert main(["diff", str(plan), str(project), "--set", "train.flow_schedule_shift=3.0"]) == 1
    assert "because of facts of the model family" in capsys.readouterr().out

    with_body(plan, facts=old.body.facts, stages=old.body.stages[:1])
    assert main(["diff", str(plan), str(project), "--set", "train.flow_schedule_shift=3.0"]) == 1
    assert "because of stages of the tool" in capsys.readouterr().out


def test_settings_of_a_plan_stand_in_the_order_of_the_language(plan, project):
    frozen, fresh = of_plan(read_plan(plan), read_ledger(plan), "x"), subject(project)

    assert list(frozen.settings) == sorted(fresh.settings, key=list(frozen.settings).index)
    assert list(frozen.settings)[:4] == ["name", "description", "output_dir", "model.family"]
    assert frozen.settings["train.flow_schedule_shift"].value == 3.0
    assert frozen.settings["train.flow_schedule_shift"].effective is None


def test_a_ledger_that_is_none_is_refused_in_one_sentence(plan):
    import pyarrow as pa
    from pyarrow import parquet

    file = plan / "ledger.parquet"
    parquet.write_table(pa.table({"a": [1]}), file)
    with pytest.raises(PlanError, match="has the columns a where this tool reads dataset"):
        read_ledger(plan)
    file.write_bytes(b"x")
    with pytest.raises(PlanError, match="is not a ledger"):
        read_ledger(plan)
    file.unlink()
    with pytest.raises(PlanError, match="does not exist"):
        read_ledger(plan)
