"""A folder of 60 files with every fault: what becomes of each, and what people are told of it."""

import json
import random
import re
from collections import Counter

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from fakes_clips import RECIPE
from fakes_mixed import KINDS, make_mixed
from recipe_compiler.cli.main import main
from recipe_compiler.pipeline import Options, compile_recipe, make_plan
from recipe_schema.ledger import FATES


@pytest.fixture(scope="module")
def mixed(tmp_path_factory):
    """Make the folder and a recipe of it. Returns the recipe, and the kind of each file."""
    root = tmp_path_factory.mktemp("mixed")
    made = make_mixed(root / "clips")
    keys = "        num_frames: 9\n      minimum_image_size: 40\n"
    text = RECIPE.replace("        num_frames: 9\n", keys).replace("data:\n", "data:\n  on_missing_caption: skip\n", 1)
    (root / "recipe.yaml").write_text(text, encoding="utf-8")
    return root / "recipe.yaml", made


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.getbasetemp() / "mixed-cache"))


def explained(capsys, *arguments):
    assert main(["explain", *map(str, arguments)]) == 0
    return capsys.readouterr().out


def test_each_of_sixty_files_meets_its_fate_with_its_reason(mixed):
    recipe, made = mixed
    compiled = compile_recipe(recipe, Options())

    assert len(made) == sum(kind.count for kind in KINDS) == 60
    assert {row.path: row.fate for row in compiled.survey.rows} == {path: kind.fate for path, kind in made.items()}
    for row in compiled.survey.rows:
        assert row.reason.startswith(made[row.path].reason), row
        assert bool(row.reason) == (row.fate != "trained"), row
    assert compiled.ok
    assert sum(make_plan(compiled).meta["clips"].values()) == 60


def test_the_totals_add_up_and_every_reason_has_its_three_worst(mixed, capsys):
    told = explained(capsys, mixed[0]).split("what follows\n")[1]
    head, *rest = re.split(r"^  left out: (\d+)\n|^  trained, and worth a look\n", told, flags=re.MULTILINE)
    fates = {fate: int(count) for count, fate in re.findall(r"(\d+) ([a-z-]+)", head.split("found:")[1])}
    groups = re.findall(r"^ {4,5}(\d+) × (.+)\n((?: {8}.+\n)+)", rest[1], flags=re.MULTILINE)

    assert fates == dict(Counter(kind.fate for kind in mixed[1].values()))
    assert "60 found" in head
    assert int(rest[0]) == 60 - fates["trained"] == sum(int(count) for count, _, _ in groups)
    for count, what, lines in groups:
        named = [line.strip() for line in lines.splitlines()]
        more = max(int(count) - 3, 0)
        assert named[3:] == ([f"and {more} more"] if more else []), what
        assert all(line.startswith("clips/") for line in named[:3]), what
    assert [what for _, what, _ in groups[:3]] == ["is no readable video", "too short", "without a caption"]
    assert max(map(len, told.splitlines())) <= 140


def test_the_story_of_each_kind_of_file_is_told(mixed, capsys):
    recipe, made = mixed
    for path, kind in {kind.name: (path, kind) for path, kind in made.items()}.values():
        told = explained(capsys, recipe, "--clip", path)
        fate = "trained" if kind.fate == "trained" else f"{kind.fate}: {kind.reason}"
        assert f"clips/{path}\n  fate     {fate}" in told
        assert ("window" in told) == (kind.fate in ("trained", "filtered", "missing-caption"))


def test_what_is_odd_of_a_file_is_told(mixed, capsys):
    def file(clip, *more):
        return explained(capsys, mixed[0], "--clip", clip, *more)

    assert "file     64x96, 12 frames at 16 fps (0.75 s), h264, turned by 90°\n" in file("turned0.mp4")
    assert "file     96x64, 8 frames at 9.846 fps in the mean, from 2.667 to 16 (0.81 s), h264\n" in file("uneven0.mp4")
    assert "frames at 16 fps (1.25 s), damaged from there on, h264\n" in file("cut-ts0.ts")


def test_frames_that_are_not_resampled_change_the_speed_which_is_told(mixed, capsys):
    faster = ["--set", "data.datasets.0.video.fps=ignore", "--set", "data.framerate=24"]

    assert "as they follow each other, 1.5 times as fast, from 0 s" in explained(
        capsys, mixed[0], "--clip", "good0.mp4", *faster
    )
    told = explained(capsys, mixed[0], *faster)
    assert re.search(r" 28 × at another speed\n +clips/cut-ts0.ts: 1.5 times as fast, 16 fps as 24\n", told)
    faster[-1] = "data.framerate=16"
    assert "times as fast" not in explained(capsys, mixed[0], "--clip", "good0.mp4", *faster)
    assert "at another speed" not in explained(capsys, mixed[0], *faster)


def test_the_files_are_counted_where_no_plan_can_be_made(mixed, capsys):
    refused = [str(mixed[0]), "--set", "data.on_problem=error"]
    assert main(["explain", *refused]) == 1
    told = capsys.readouterr().out.split("what was found\n")[1]

    assert told.startswith(
        "  clips      60 found: 30 trained, 10 filtered, 15 quarantined, 5 missing-caption\n  left out: 30\n"
    )
    assert told.endswith("\n\nWhat follows from these settings is left out: the recipe has errors.\n")
    assert main(["explain", *refused, "--format", "json"]) == 1
    document = json.loads(capsys.readouterr().out)
    assert sum(document["clips"].values()) == 60
    assert sum(group["count"] for group in document["figures"]["left_out"]) == 30
    assert "plan_id" not in document


def test_copies_of_a_clip_are_told(mixed):
    (finding,) = [d for d in compile_recipe(mixed[0], Options()).found if d.code == "R332"]

    assert finding.severity == "warning"
    assert finding.message == "2 of 30 clips of data set `clips` are there already, with the same bytes and captions"
    assert finding.help.startswith(
        "take one of each out of the folder, or set data.on_duplicate: skip: twin0.mp4 is sub/twin1.mp4; twin2.mp4 is"
    )


def test_copies_of_a_clip_are_left_out_where_that_is_asked_for(mixed):
    compiled = compile_recipe(mixed[0], Options(overrides=["data.on_duplicate=skip"]))

    twins = {row.path: row for row in compiled.survey.rows if row.path.rpartition("/")[2].startswith("twin")}
    assert sorted(row.fate for row in twins.values()) == ["duplicate", "duplicate", "trained"]
    assert twins["twin0.mp4"].reason == "there already: the bytes and captions of sub/twin1.mp4"
    assert "R332" not in [d.code for d in compiled.found]
    assert make_plan(compiled).meta["clips"] == {
        "trained": 28, "filtered": 10, "quarantined": 15, "duplicate": 2, "missing-caption": 5,
    }  # fmt: skip


def test_equal_clips_with_captions_of_their_own_are_no_copies(mixed, tmp_path):
    home = mixed[0].parent
    for name, caption in (("a", "one"), ("b", "two")):
        (tmp_path / f"{name}.mp4").write_bytes((home / "clips" / "twin0.mp4").read_bytes())
        (tmp_path / f"{name}.txt").write_text(caption)

    found = compile_recipe(mixed[0], Options(overrides=[f"data.datasets.0.instance_data_dir={tmp_path}"])).found

    assert "R332" not in [d.code for d in found]


HOW = st.fixed_dictionaries(
    {
        "seed": st.integers(0, 2**32),
        "sets": st.integers(1, 3),
        "batch": st.integers(1, 5),
        "processes": st.integers(1, 4),
        "accumulation": st.integers(1, 3),
        "most": st.none() | st.integers(1, 9),
        "least_frames": st.integers(1, 13),
    }
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(how=HOW)
def test_the_fates_of_any_data_sets_add_up_to_the_files_found(mixed, tmp_path_factory, how):
    """Whatever is in the folders and however it is trained: each file has one row, one fate, and a bucket if trained."""
    recipe, made = mixed
    chosen, folder = random.Random(how["seed"]), tmp_path_factory.mktemp("any")
    tables, files = [], {}
    for number in range(how["sets"]):
        home = folder / f"set{number}"
        home.mkdir()
        taken = chosen.sample(sorted(made), chosen.randint(0, 20))
        for index, path in enumerate(taken):
            source = recipe.parent / "clips" / path
            target = home / f"{index}{source.suffix}"
            target.symlink_to(source)
            if source.with_suffix(".txt").exists():
                target.with_suffix(".txt").symlink_to(source.with_suffix(".txt"))
        files[f"set{number}"] = {
            f"{index}{(recipe.parent / 'clips' / path).suffix}" for index, path in enumerate(taken)
        }
        limit = "" if how["most"] is None else f", max_num_samples: {how['most']}"
        off = ", disabled: true" if chosen.random() < 0.2 else ""
        video = f"video: {{num_frames: 13, min_frames: {how['least_frames']}}}"
        tables.append(f"{{id: set{number}, instance_data_dir: {home}, {video}{limit}{off}}}")

    overrides = [
        f"data.datasets=[{', '.join(tables)}]",
        f"train.batch_size={how['batch']}",
        f"train.gradient_accumulation_steps={how['accumulation']}",
        f"launch.processes={how['processes']}",
    ]
    compiled = compile_recipe(recipe, Options(overrides=overrides, index_file=recipe.parent / "index.sqlite"))

    survey = compiled.survey
    assert {name: {row.path for row in survey.of(name)} for name in files} == files
    assert len(survey.rows) == sum(map(len, files.values()))
    fates = Counter(row.fate for row in survey.rows)
    assert set(fates) <= set(FATES)
    assert sum(bucket.clips for bucket in survey.buckets) == fates["trained"]
    assert all(bool(row.reason) == (row.fate != "trained") for row in survey.rows)
    assert all(sum(row.fate == "trained" for row in survey.of(name)) <= (how["most"] or 99) for name in files)
    if compiled.ok:
        plan = make_plan(compiled)
        assert sum(plan.meta["clips"].values()) == len(survey.rows)
        assert plan.body.schedule.samples_per_epoch == fates["trained"]
        assert plan.body.schedule.samples_per_step == how["batch"] * how["accumulation"] * how["processes"]


def test_json_tells_the_same_totals(mixed, capsys):
    told = json.loads(explained(capsys, mixed[0], "--format", "json"))

    figures = told["figures"]
    assert sum(figures["fates"].values()) == 60
    assert sum(group["count"] for group in figures["left_out"]) == 60 - figures["fates"]["trained"]
