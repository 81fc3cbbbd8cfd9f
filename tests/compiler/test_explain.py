import json
import re
import shutil
from html.parser import HTMLParser

import pytest

from fakes_clips import make_clip, make_project
from recipe_compiler.cli.main import main
from recipe_compiler.cli.setting_text import plain
from recipe_compiler.passes.extends import builtin_folder
from recipe_compiler.passes.figures import figures, left_out
from recipe_compiler.pipeline import Options, compile_recipe
from recipe_compiler.subject import of_recipe
from recipe_schema.ledger import ClipRow


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    recipe = make_project(tmp_path_factory.mktemp("project"))
    make_clip(recipe.parent / "odd" / "tall.mp4", size=(64, 96), frames=200, caption="a tall one")
    make_clip(recipe.parent / "odd" / "small.mp4", size=(48, 32), frames=20, caption="a <b>small</b> one")
    make_clip(recipe.parent / "odd" / "silent.mp4")
    return recipe


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def everything(project):
    """Write a recipe whose clips meet every fate."""
    path = project.parent / "everything.yaml"
    path.write_text(
        """\
recipe: 1
extends: recipe.yaml
name: everything
description: "clips <of> every kind"
data:
  on_missing_caption: skip
  datasets:
    - {id: clips, instance_data_dir: clips, repeats: 2, video: {num_frames: 9}}
    - {id: mixed, instance_data_dir: mixed, repeats: 1, video: {num_frames: 33, max_frames: 85}}
    - {id: broken, instance_data_dir: broken, video: {num_frames: 9}}
    - {id: odd, instance_data_dir: odd, repeats: 1, video: {num_frames: 9}}
    - {id: off, instance_data_dir: clips, disabled: true}
train:
  max_steps: 20
  gradient_accumulation_steps: 2
  flow_schedule_shift: 3.0
optimizer:
  learning_rate: 5e-5
validation:
  prompt: "{{ 'a ' ~ 'bar' }}"
""",
        encoding="utf-8",
    )
    return path


def test_what_follows_has_batch_histogram_disk_and_the_clips_that_fare_worst(project, capsys):
    assert main(["explain", str(everything(project))]) == 0
    out = capsys.readouterr().out.split("what follows\n")[1]

    assert out.startswith(
        """\
  clips      18 found: 9 trained, 2 filtered, 2 quarantined, 1 missing-caption, 4 disabled
  left out: 5
    1 × is empty
        broken/empty.mp4
    1 × is no readable video
        broken/cut.mp4: Invalid data found when processing input
    1 × too long
        mixed/longer.mp4: 90 frames at 16 fps (5.62 s), max_frames is 85
    1 × too short
        mixed/short.mp4: 6 frames at 16 fps (0.38 s), min_frames is 33
    1 × without a caption
        odd/silent.mp4: `silent.txt` is missing or empty
  trained, and worth a look
    1 × enlarged
        odd/small.mp4: 2 times, from 48x32 to 96x64
    1 × much cropped
        odd/tall.mp4: 50% of the picture is cut off
    9 × mostly unused
        odd/tall.mp4: 9 of 200 frames are used
"""
    )
    assert "        and 6 more\n  bucket " in out
    assert "bucket     96x64@9   ████████████████████  " in out
    assert "bucket     96x64@33  ██" in out
    assert "1 clip, 2 samples an epoch, 1 step; latents 16×9×8×12, 216 tokens" in out
    assert "batch      2 samples a step: batch_size 1 × 2 accumulated" in out
    assert re.search(r"training   20 steps, 40 samples, [\d.]+ epochs?", out)
    assert re.search(r"disk       [\d.]+ MB: latents", out)


def test_clips_that_are_long_or_short_come_worst_first():
    rows = [
        ClipRow(dataset="d", path=f"{name}.mp4", fate="filtered", reason=reason, seconds=seconds)
        for name, reason, seconds in (
            ("a", "too long: x", 5.0),
            ("b", "too long: y", 9.0),
            ("c", "too short: z", 0.5),
            ("d", "too short: w", 0.2),
            ("e", "too short: v", 0.4),
            ("f", "too short: u", 0.3),
        )
    ]
    short, long = left_out(rows)

    assert (short.what, short.count, [name for name, _ in short.worst]) == (
        "too short",
        4,
        ["d/d.mp4", "d/f.mp4", "d/e.mp4"],
    )
    assert long.worst == (("d/b.mp4", "y"), ("d/a.mp4", "x"))


def test_diff_defaults_shows_only_what_is_not_as_it_would_be(project, capsys):
    assert main(["explain", str(everything(project)), "--diff-defaults"]) == 0
    out = capsys.readouterr().out

    assert "max_steps = 20 steps" in out
    assert "learning_rate" not in out, "it is given, and the family's default"
    assert "batch_size" not in out
    assert "instance_data_dir = mixed" in out
    assert re.search(r"\n\d+ other settings have their default\n\Z", out)
    assert main(["explain", str(project), "--diff-defaults", "--format", "json"]) == 0
    shown = json.loads(capsys.readouterr().out)["settings"]
    assert "train.max_steps" in shown
    assert "train.seed" not in shown


@pytest.mark.parametrize(
    ("override", "shown"),
    [
        ("name=recipe", False),
        ("output_dir=runs/small", False),
        ("output_dir=runs/else", True),
        ("validation.framerate=16", False),
        ("validation.framerate=8", True),
        ("validation.resolution=96x64", False),
        ("data.datasets=[{id: clips, instance_data_dir: clips, video: {num_frames: 9, min_frames: 9}}]", False),
        ("validation.prompt_library={}", False),
        ("data.motion_score=30", False),
    ],
)
def test_a_given_value_counts_as_default_if_it_is_what_would_be_without_it(project, override, shown):
    subject = of_recipe(compile_recipe(project, Options(overrides=[override], look_at_data=False)))
    (path,) = (
        stated.path
        for stated in subject.settings.values()
        if stated.origin["kind"] == "override" and not re.search(r"\.(id|instance_data_dir|num_frames)$", stated.path)
    )

    assert subject.is_usual(subject.settings[path]) is not shown


class Page(HTMLParser):
    """Collects what a page would load, and checks that its tags are closed."""

    VOID = ("meta", "link", "input", "br")

    def __init__(self, text):
        super().__init__()
        self.loads, self.open, self.text = [], [], ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        if tag not in self.VOID:
            self.open.append(tag)
        self.loads += [value for name, value in attrs if name in ("src", "href", "action")]
        assert tag != "script"

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] != "style":
            self.text += " " + " ".join(data.split())


def test_the_page_holds_everything_and_loads_nothing(project, tmp_path, capsys):
    file = tmp_path / "page.html"
    assert main(["explain", str(everything(project)), "--format", "html", "-o", str(file)]) == 0
    assert capsys.readouterr().err.endswith(f"written to {file}\n")
    text = file.read_text(encoding="utf-8")
    page = Page(text)

    assert page.loads == ["data:,"]
    assert "url(" not in text
    assert page.open == []
    for wanted in (
        "clips <of> every kind",
        "warning[R307]",
        "max_steps",
        "20 steps",
        "everything.yaml:",
        "family sana-video-480p",
        "{{ 'a ' ~ 'bar' }} · ",
        "ignored, because Sana Video trains with the schedule",
        "replaced small at ",
        "trained, but enlarged:",
        "left out, too short:",
        "96x64@33",
        "16 × 9 × 8 × 12",
        "and 6 more",
        "activations",
        "checkpoints",
    ):
        assert wanted in page.text, wanted
    compiled = compile_recipe(everything(project), Options())
    for path in compiled.settings.settings:
        assert path.rpartition(".")[2] in page.text


def test_the_page_of_a_recipe_with_errors_says_so(project, capsys):
    assert main(["explain", str(project), "--format", "html", "--set", "train.batch_size=64"]) == 1
    page = Page(capsys.readouterr().out)

    assert "error[R303]" in page.text
    assert "Left out: the recipe has errors." in page.text


def test_the_page_of_many_findings_counts_those_that_it_leaves_out(project, capsys):
    wrong = [word for n in range(25) for word in ("--set", f"train.nothing_{n:02}_like_it=1")]

    assert main(["explain", str(project), "--format", "html", "--no-data", *wrong]) == 1
    assert "and 5 more" in Page(capsys.readouterr().out).text


def test_the_page_without_data_and_with_changes_only(project, capsys):
    assert main(["explain", str(project), "--format", "html", "--no-data", "--diff-defaults"]) == 0
    page = Page(capsys.readouterr().out)

    assert "Left out: nobody looked at the data." in page.text
    assert "Only what differs from the defaults" in page.text
    assert "no findings" in page.text
    assert "beta1" not in page.text


@pytest.mark.parametrize("more", [["train.seed", "--format", "html"], ["--clip", "x", "--format", "html"], ["-o", "x"]])
def test_what_a_page_can_not_be_is_wrong_usage(project, more, capsys):
    assert main(["explain", str(project), *more]) == 2
    assert capsys.readouterr().err.startswith("error: ")


@pytest.fixture
def plan(project, tmp_path, capsys):
    root = shutil.copytree(project.parent, tmp_path / "copy")
    assert main(["plan", str(everything(root / "recipe.yaml")), "-o", str(root / "x.plan")]) == 0
    capsys.readouterr()
    return root / "x.plan"


def test_a_plan_is_explained_like_the_recipe_that_it_was_made_from(plan, capsys):
    recipe = str(plan.parent / "everything.yaml")
    assert main(["explain", recipe]) == 0
    before = capsys.readouterr().out
    assert main(["explain", str(plan)]) == 0
    assert capsys.readouterr().out == before

    assert main(["explain", str(plan), "--diff-defaults"]) == 0
    assert "max_steps = 20 steps" in capsys.readouterr().out
    assert main(["explain", str(plan), "train.seed"]) == 0
    assert capsys.readouterr().out.startswith("train.seed = 42\n")
    assert main(["explain", str(plan), "--clip", str(plan.parent / "clips" / "c0.mp4")]) == 0
    assert "fate     trained" in capsys.readouterr().out
    assert main(["explain", str(plan), "--format", "html"]) == 0
    assert "activations" in Page(capsys.readouterr().out).text
    assert main(["explain", str(plan), "--set", "name=x"]) == 2


def test_a_plan_whose_clips_changed_is_explained_and_exits_with_3(plan, capsys):
    (plan.parent / "clips" / "c0.mp4").unlink()

    assert main(["explain", str(plan)]) == 3
    captured = capsys.readouterr()
    assert "clip `clips/c0.mp4` is gone" in captured.err
    assert "what follows" in captured.out
    assert main(["explain", str(plan), "--format", "json"]) == 3
    document = json.loads(capsys.readouterr().out)
    assert [d["code"] for d in document["diagnostics"]] == ["R706"]
    assert document["figures"]["epochs"] > 0


def test_a_plan_without_its_ledger_shows_settings_alone(plan, capsys):
    (plan / "ledger.parquet").unlink()

    assert main(["explain", str(plan)]) == 3
    assert "the ledger can't be used" in capsys.readouterr().out
    assert main(["explain", str(plan), "--format", "html"]) == 3
    assert "Left out: the ledger can't be used." in Page(capsys.readouterr().out).text
    assert main(["explain", str(plan), "--clip", "c0.mp4"]) == 3
    assert "were not looked at" in capsys.readouterr().err


def test_a_plan_that_is_none_is_refused(tmp_path, capsys):
    assert main(["explain", str(tmp_path)]) == 3
    assert "R701" in capsys.readouterr().err
    assert main(["explain", str(tmp_path), "--format", "json"]) == 3
    assert json.loads(capsys.readouterr().out)["summary"]["errors"] == 1


def test_a_code_that_is_none_is_wrong_usage_and_lists_those_that_are(capsys):
    assert main(["explain", "R999"]) == 2
    groups = ", ".join(f"R{number}…" for number in range(9))
    assert capsys.readouterr().err == f"error: there is no finding R999; there is {groups}\n"
    assert main(["explain", "R599"]) == 2
    assert "there is no finding R599; there is R501, R502" in capsys.readouterr().err


def test_json_without_data_has_settings_and_no_figures(project, capsys):
    assert main(["explain", str(project), "--no-data", "--format", "json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert "figures" not in document
    assert document["settings"]["train.max_steps"]["value"] == 10


def test_a_recipe_that_is_none_gives_its_findings_as_json(tmp_path, capsys):
    (tmp_path / "x.yaml").write_text("a: [", encoding="utf-8")

    assert main(["explain", str(tmp_path / "x.yaml"), "--format", "json"]) == 1
    assert json.loads(capsys.readouterr().out)["summary"]["errors"] == 1
    assert main(["explain", str(tmp_path / "x.yaml")]) == 1


def test_clips_are_found_by_path_name_and_id_and_others_get_a_suggestion(project, capsys):
    for name in ("c1.mp4", "clips/c1.mp4", str(project.parent / "clips" / "c1.mp4")):
        assert main(["explain", str(project), "--clip", name, "--format", "json"]) == 0
        (found,) = json.loads(capsys.readouterr().out)["clips"]
        assert found["path"] == "c1.mp4"
    assert main(["explain", str(project), "--clip", "c1.mp5"]) == 2
    assert "did you mean `c1.mp4`?" in capsys.readouterr().err
    assert main(["explain", str(project), "--clip", "zzz"]) == 2
    assert capsys.readouterr().err == "error: no data set holds `zzz`\n"
    assert main(["explain", str(project), "--clip", "c1.mp4", "--no-data"]) == 2
    assert "were not looked at" in capsys.readouterr().err


def test_the_story_of_a_clip_that_is_not_trained_is_short(project, capsys):
    recipe = str(everything(project))
    assert main(["explain", recipe, "--clip", "empty.mp4"]) == 0
    out = capsys.readouterr().out
    assert "fate     quarantined: is empty" in out
    assert "bucket" not in out
    assert main(["explain", recipe, "--clip", "off/c0.mp4"]) == 0
    assert capsys.readouterr().out == "off/c0.mp4\n  fate     disabled: the data set is disabled\n"


def test_a_key_that_is_ignored_or_of_another_language_tells_so(project, plan, capsys):
    assert main(["explain", str(everything(project)), "train.flow_schedule_shift"]) == 0
    out = capsys.readouterr().out
    assert "ignored     because Sana Video trains" in out
    assert "read by     nothing" in out
    assert main(["explain", str(project), "zzz"]) == 2
    assert capsys.readouterr().err == "error: there is no setting `zzz`\n"

    from recipe_schema.planfile import plan_id, read_plan, write_plan

    old = read_plan(plan)
    from dataclasses import replace

    execution = replace(old.execution, settings={**old.execution.settings, "data.gone.0": 1, "hardware.gone": 2})
    origins = {**old.meta["origins"], "data.gone.0": {"kind": "recipe", "file": "x", "line": 1, "column": 2}}
    meta = {**old.meta, "origins": {**origins, "hardware.gone": {"kind": "default"}}}
    assert plan_id(old.body) == old.plan_id
    write_plan(replace(old, execution=execution, meta=meta), plan)
    assert main(["explain", str(plan), "data.gone.0"]) == 0
    out = capsys.readouterr().out
    assert "This version of the language does not have it." in out
    assert "impact      may differ when a run is resumed" in out
    assert main(["explain", str(plan), "--diff-defaults", "--format", "json"]) == 0
    shown = json.loads(capsys.readouterr().out)["settings"]
    assert shown["data.gone.0"]["read_by"] == []
    assert "hardware.gone" not in shown
    assert main(["explain", str(plan), "--format", "html"]) == 0
    assert "gone" in Page(capsys.readouterr().out).text


def test_the_real_model_has_its_encoding_and_memory_told(project, tmp_path, capsys):
    recipe = str(builtin_folder() / "sana_480p.yaml")
    clips = f"data.datasets=[{{id: x, instance_data_dir: {project.parent / 'clips'}}}]"
    arguments = [recipe, "--set", clips, "--set", f"output_dir={tmp_path}"]

    assert main(["explain", *arguments]) == 0
    out = capsys.readouterr().out
    assert re.search(r"memory     about \d\d\.\d GB in bucket 768x528@81 \(optimizer \d+\.\d GB, activations ", out)
    assert re.search(r"compute    [\d.]+ EFLOP to train, [\d.]+ TFLOP to encode; a step is \d{3}\.\d TFLOP", out)
    assert main(["explain", *arguments, "--format", "html"]) == 0
    assert "encoding" in Page(capsys.readouterr().out).text


def test_the_samples_of_a_step_count_those_of_all_processes(project, capsys):
    recipe = [
        str(everything(project)),
        "--set",
        "launch.processes=3",
        "--set",
        "data.datasets=[{id: clips, instance_data_dir: clips, repeats: 5, video: {num_frames: 9}}]",
    ]

    assert main(["explain", *recipe]) == 0
    assert "batch      6 samples a step: batch_size 1 × 2 accumulated × 3 processes" in capsys.readouterr().out
    assert main(["explain", *recipe, "--format", "html"]) == 0
    assert "1 × 2 × 3" in capsys.readouterr().out


def test_figures_agree_with_the_plan(project):
    subject = of_recipe(compile_recipe(everything(project), Options()))
    counted = figures(subject.plan, subject.rows, subject.family)

    assert sum(bucket.samples for bucket in counted.buckets) == counted.samples_per_epoch
    assert sum(bucket.share for bucket in counted.buckets) == pytest.approx(1)
    assert counted.samples == counted.max_steps * counted.batch_size * counted.accumulation * counted.processes
    assert sum(counted.fates.values()) == len(subject.rows)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "null"),
        (True, "true"),
        (5e-5, "5e-05"),
        (["a", 1], "a, 1"),
        ({"a": 1.0}, "{a: 1}"),
        ("", '""'),
        ("x", "x"),
    ],
)
def test_values_are_written_as_people_do(value, text):
    assert plain(value) == text


# What is shown of many settings


def told(capsys, *arguments):
    status = main(["explain", "--no-data", *arguments])
    return status, capsys.readouterr().out


def test_sections_that_the_recipe_does_not_touch_are_counted_and_defaults_that_ask_for_nothing_too(project, capsys):
    _, text = told(capsys, str(project))

    assert re.search(r"^regularizers\.crepa: \d+ settings at their defaults$", text, flags=re.MULTILINE)
    assert "cache_dir_vae" not in text
    section = text[text.index("\ntrain\n") :].split("\n\n")[0]
    assert re.search(r"\n  and \d+ more at their defaults$", section)
    assert "mixed_precision = " in section


def test_all_settings_are_shown_when_asked_for(project, capsys):
    _, text = told(capsys, str(project), "--all")
    settings = of_recipe(compile_recipe(project, Options(look_at_data=False))).settings

    shown = [line.split(" = ")[0].strip() for line in text.splitlines() if " = " in line]
    assert shown[: len(settings)] == [path.rpartition(".")[2] for path in settings]
    assert "at their defaults" not in text


def test_a_section_is_shown_whole(project, capsys):
    status, text = told(capsys, str(project), "regularizers.rollout")

    assert status == 0
    assert text.startswith("regularizers.rollout\n  max_step_offset = 0 timesteps")
    assert "crepa" not in text


def test_json_of_a_section_holds_its_settings(project, capsys):
    _, text = told(capsys, str(project), "ema", "--format", "json")

    assert all(path.startswith("ema.") for path in json.loads(text)["settings"])
    assert "ema.decay" in json.loads(text)["settings"]


def test_an_optimizer_says_what_it_stores(project, capsys):
    main(["explain", str(project), "optimizer.name", "--set", "optimizer.name=adamw_bf16"])
    told = "  stores      weight and gradient in bf16, two moments in bf16, rounded at random: 8 bytes a weight\n"
    assert told in capsys.readouterr().out
