"""``recipe init`` writes recipes that a lint finds nothing wrong with, and that fit the GPU that they are for."""

import io
import json
import os
from pathlib import Path
from types import SimpleNamespace

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st
from pyarrow import parquet

from fakes_clips import make_clip
from fakes_machine import BARE
from recipe_compiler import graphics
from recipe_compiler.cli import init as command
from recipe_compiler.cli.main import main
from recipe_compiler.pipeline import Options, compile_recipe, make_plan
from recipe_compiler.wizard.answers import Answers
from recipe_compiler.wizard.clips import NoClipsError, look_at
from recipe_compiler.wizard.draft import draft
from recipe_compiler.wizard.fit import CONTEXT_GB, TooSmallError, fit
from recipe_compiler.wizard.quoting import quoted
from recipe_compiler.wizard.sizes import framerate, lengths, sizes
from recipe_compiler.wizard.text import path_from
from recipe_schema.family import load_family
from recipe_schema.ledger import ClipRow
from recipe_schema.plan import Bucket


FAMILY = load_family("sana-video-480p")
HOW = Options(machine=BARE)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Folders of clips, by what is peculiar to them."""
    root = tmp_path_factory.mktemp("clips")
    for index in range(3):
        make_clip(root / "small" / f"c{index}.mp4", frames=84 + index, caption=f"a bar, number {index}")
        make_clip(root / "slow" / f"c{index}.mp4", fps=8, frames=60 + index, caption=f"a slow bar, {index}")
        make_clip(root / "bare" / f"c{index}.mp4", frames=84 + index)
        make_clip(root / "short" / f"c{index}.mp4", frames=20 + 8 * index, caption=f"a short bar, {index}")
    for frames, name in enumerate(("a bar moves right", "a_bar-moves_left", "another bar, in gray"), 84):
        make_clip(root / "named" / f"{name}.mp4", frames=frames)
    for index in range(2):
        make_clip(
            root / "large" / "below" / f"c{index}.mp4",
            frames=84 + index,
            size=(832, 480),
            caption=f"a wide bar, number {index}",
        )
    (root / "empty").mkdir()
    return root


def look(folder):
    return look_at(folder, HOW)


# What is in a folder


def test_a_folder_is_told_in_a_few_words(folders):
    assert look(folders / "small").text == (
        "3 clips; 96x64; 5.25 to 5.38 seconds, half of them 5.31 or more; 3 of 3 captions in .txt files beside them"
    )
    assert look(folders / "bare").text.endswith("; no captions")
    assert look(folders / "named").text.endswith("; captions in their names")
    assert look(folders / "named").captions.example == "a bar moves right"


def test_many_sizes_and_clips_that_can_not_be_read_are_counted(tmp_path):
    for side in (32, 48, 64, 80):
        make_clip(tmp_path / f"{side}.mp4", size=(side, side), caption="a bar")
    (tmp_path / "broken.mp4").write_bytes(b"")

    told = look(tmp_path).text

    assert told.startswith("4 clips, 1 that can't be read; 80x80, 64x64, 48x48 and 1 more sizes;")


@pytest.mark.parametrize(("name", "words"), [("empty", "no video that can be read; mp4"), ("nowhere", "is no folder")])
def test_a_folder_without_clips_is_refused(name, words, folders):
    with pytest.raises(NoClipsError, match=words):
        look(folders / name)


def test_a_folder_of_broken_clips_says_what_is_wrong_with_one(tmp_path):
    (tmp_path / "broken.mp4").write_bytes(b"")
    with pytest.raises(NoClipsError, match=r"that can be read: .*empty"):
        look(tmp_path)


def as_table(folder, name, rows):
    path = folder / name
    columns = list(rows[0])
    if name.endswith(".parquet"):
        parquet.write_table(pa.Table.from_pylist(rows), path)
    elif name.endswith((".jsonl", ".ndjson")):
        path.write_text("\n".join(map(json.dumps, rows)) + "\n\n", encoding="utf-8")
    else:
        by = "\t" if name.endswith(".tsv") else ","
        lines = [by.join(columns), *(by.join(str(row[column]) for column in columns) for row in rows)]
        path.write_text("\n".join(lines), encoding="utf-8")
    return path


@pytest.mark.parametrize("name", ["captions.csv", "captions.tsv", "t.jsonl", "t.ndjson", "t.parquet"])
@pytest.mark.parametrize("ending", [".mp4", ""])
def test_captions_in_a_table_are_found(name, ending, tmp_path):
    for index in range(2):
        make_clip(tmp_path / "clips" / f"c{index}.mp4", frames=84 + index)
    rows = [{"file_name": f"c{index}{ending}", "text": f"a bar {index}"} for index in range(2)]
    as_table(tmp_path / "clips", name, rows)

    found = look(tmp_path / "clips")
    made = draft(answers(tmp_path / "mine.yaml", found), HOW)

    assert found.captions.kind == "parquet"
    assert found.captions.example == "a bar 0"
    assert f"captions in {name}" in found.text
    assert made.compiled.found == ()
    assert [row.caption for row in made.compiled.survey.rows] == ["a bar 0", "a bar 1"]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.csv", "name,size\nc0.mp4,3\n"),
        ("a.csv", ""),
        ("a.csv", "file,caption\nother.mp4,a bar\n"),
        ("a.jsonl", "{"),
        ("a.jsonl", "[1]\n"),
        ("a.parquet", "no parquet"),
        ("a.txt", "file,caption\nc0.mp4,a\n"),
    ],
)
def test_what_is_no_table_of_captions_is_passed_over(name, text, tmp_path):
    make_clip(tmp_path / "c0.mp4")
    (tmp_path / name).write_text(text, encoding="utf-8")
    assert look(tmp_path).captions.kind == "none"


def test_of_two_tables_none_is_taken(tmp_path):
    make_clip(tmp_path / "c0.mp4")
    for name in ("a.csv", "b.csv"):
        as_table(tmp_path, name, [{"file": "c0.mp4", "caption": "a bar"}])
    assert look(tmp_path).captions.kind == "none"


def test_a_caption_file_that_is_no_text_is_none(tmp_path):
    make_clip(tmp_path / "c0.mp4")
    (tmp_path / "c0.txt").write_bytes(b"\xff\xfe\xff")
    assert look(tmp_path).captions.kind == "none"


# Sizes and lengths


def row(**facts):
    usual = {"width": 1920, "height": 1080, "fps": 30.0, "seconds": 10.0}
    return ClipRow(dataset="clips", path="a.mp4", fate="trained", **{**usual, **facts})


def test_slow_clips_are_trained_at_their_own_rate():
    assert framerate([row()], FAMILY) == 16
    assert framerate([row(fps=15), row(fps=15)], FAMILY) == 16
    assert framerate([row(fps=12.5), row(fps=12), row(fps=30)], FAMILY) == 12
    assert framerate([row(fps=0.5)], FAMILY) == 1


def test_samples_are_as_long_as_clips_allow():
    assert lengths([row()], FAMILY, 16, 81) == (81, 81)
    assert lengths([row(), row(seconds=4.0)], FAMILY, 16, 81) == (81, 61)
    assert lengths([row(seconds=3.0), row(seconds=0.5)], FAMILY, 16, 81) == (45, 17)
    assert lengths([row(seconds=0.5)], FAMILY, 16, 81) == (5, 5)


def test_small_clips_are_not_enlarged():
    table = FAMILY.default("buckets")
    assert sizes([row()], FAMILY, table) == tuple(table)
    assert sizes([row(width=700, height=400)], FAMILY, table) == tuple(table)
    smaller = sizes([row(width=416, height=240)], FAMILY, table)
    assert "416x240" in smaller
    assert all(int(side) % 16 == 0 for size in smaller for side in size.split("x"))
    assert sizes([row(width=8, height=8)], FAMILY, table) == ("16x16",)


# What fits


VALUES = {
    **compile_recipe(
        Path(__file__).parents[2] / "recipes" / "sana_480p.yaml", Options(look_at_data=False, machine=BARE)
    ).settings.values(),
    "model.type": "full",
}
LARGE = [Bucket(width=832, height=480, frames=81, clips=1, samples=1)]
CKPT, EVERY = "memory.gradient_checkpointing", "memory.gradient_checkpointing_interval"


@pytest.mark.parametrize(
    ("goal", "gpu", "chosen"),
    [
        ("auto", 1000, {"model.type": "full", CKPT: False}),
        ("auto", 160, {"model.type": "full", CKPT: True, EVERY: 2}),
        ("auto", 80, {"model.type": "full", CKPT: True, EVERY: 1}),
        ("auto", 48, {"model.type": "full", "ema.device": "cpu"}),
        ("auto", 40, {"model.type": "lora", CKPT: True, EVERY: 1}),
        ("full", 40, {"model.type": "full", "optimizer.name": "adamw_bf16"}),
        ("lora", 1000, {"model.type": "lora", CKPT: False}),
        ("lora", 120, {"model.type": "lora", EVERY: 2}),
        ("lora", 24, {"model.type": "lora", EVERY: 1}),
        ("lora", 20, {"model.type": "lora", "model.base_model_precision": "int8-quanto"}),
        ("lora", 18, {"model.base_model_precision": "int8-quanto", "memory.group_offload.enabled": True}),
    ],
)
def test_the_cheapest_way_that_fits_is_taken(goal, gpu, chosen):
    found = fit(VALUES, FAMILY, LARGE, goal, gpu)
    assert chosen.items() <= found.settings.items()
    assert found.peak_gb <= gpu - CONTEXT_GB
    assert found.frames is None


def test_samples_become_shorter_before_nothing_fits():
    assert fit(VALUES, FAMILY, LARGE, "lora", 13).frames == 49
    assert fit(VALUES, FAMILY, LARGE, "full", 24).frames == 33
    with pytest.raises(TooSmallError, match=r"an adapter takes 6.0 GB at least, and the GPU has 5"):
        fit(VALUES, FAMILY, LARGE, "auto", 5)
    with pytest.raises(TooSmallError, match=r"all weights take 21.0 GB at least, and the GPU has 16: train an adapter"):
        fit(VALUES, FAMILY, LARGE, "full", 16)


def test_an_adapter_in_place_of_all_weights_is_told():
    assert fit(VALUES, FAMILY, LARGE, "auto", 24).refused == "all weights take 45.8 GB in fp32"
    assert fit(VALUES, FAMILY, LARGE, "lora", 24).refused == ""


# The recipe


def answers(file, looked, **more):
    usual = {"goal": "auto", "gpu_gb": 24.0, "prompt": "a bar moves", "steps": 2000}
    caption = "a gray bar" if looked.captions.kind == "none" else ""
    return Answers(file=file, look=looked, **{**usual, "caption": caption, **more})


@pytest.fixture(scope="module")
def looked_at(folders):
    """Every folder that has clips, and how it was looked at: what was found is remembered."""
    how = Options(machine=BARE, index_file=folders / "index")
    return {name: look_at(folders / name, how) for name in ("small", "slow", "bare", "short", "named", "large")}, how


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    asked=st.fixed_dictionaries(
        {
            "name": st.sampled_from(["small", "slow", "bare", "short", "named", "large"]),
            "goal": st.sampled_from(["auto", "full", "lora"]),
            "gpu": st.sampled_from([0.0, 8.0, 12.0, 16.0, 24.0, 48.0, 80.0, 141.0, 1000.0]),
            "steps": st.integers(1, 200) | st.integers(1, 10**9),
            "prompt": st.text(st.characters(codec="utf-8", exclude_characters="{}"), max_size=60),
            "caption": st.none() | st.just('a "bar": #1 \\ \U0001f9a6'),
        }
    )
)
def test_every_answer_makes_a_recipe_that_a_lint_finds_nothing_wrong_with(asked, looked_at, tmp_path):
    (looked, how), gpu, goal = (looked_at[0][asked["name"]], looked_at[1]), asked["gpu"], asked["goal"]
    more = {"caption": asked["caption"]} if asked["caption"] is not None else {}
    given_ = answers(
        tmp_path / "mine.yaml",
        looked,
        goal="full" if gpu == 0 else goal,
        gpu_gb=gpu,
        steps=asked["steps"],
        prompt=" ".join(asked["prompt"].split()) or "a bar",
        **more,
    )
    try:
        made = draft(given_, how)
    except TooSmallError:
        assert gpu <= (16 if goal == "full" else 4)
        return

    assert made.compiled.found == (), made.text
    assert made.compiled.settings["validation.prompt"] == given_.prompt
    plan = make_plan(made.compiled)
    if gpu:
        assert plan.meta["estimate"]["memory_gb"] <= gpu - CONTEXT_GB + 0.01
        assert goal in ("auto", plan.settings["model.type"])
    assert plan.body.schedule.max_steps == asked["steps"]


def test_the_text_of_a_recipe_for_a_small_gpu(folders, tmp_path):
    file = tmp_path / "recipes" / "otters.yaml"
    made = draft(answers(file, look(folders / "large"), gpu_gb=12.0), HOW)

    assert 'name: "otters"' in made.text
    assert "# An adapter: all weights take 45.8 GB in fp32, and the GPU has 12 GB." in made.text
    assert "  base_model_precision: int8-quanto" in made.text
    assert "  group_offload: {enabled: true}" in made.text
    assert "        # Fewer than the clips have and the model was made with (81), to fit the GPU." in made.text
    assert "        num_frames: 49 " in made.text
    assert "model_cpu_offload" not in made.text
    assert "  num_video_frames: 49" in made.text
    assert "  learning_rate: 1.0e-4" in made.text


@pytest.mark.parametrize(
    ("gpu", "goal", "words"),
    [
        (24.0, "lora", ["  type: lora", "  model_cpu_offload: true", "about 21."]),
        (80.0, "auto", ["  type: full", "  learning_rate: 5.0e-5", "about 54."]),
        (48.0, "full", ["  device: cpu", "# The average waits in main memory"]),
        (40.0, "full", ["  name: adamw_bf16", "# Weights and moments in bf16"]),
        (120.0, "lora", ["  gradient_checkpointing_interval: 2"]),
        (0.0, "full", ["  random_weights: tiny", "  mixed_precision: no", "buckets: [224x128,", "num_frames: 33"]),
    ],
)
def test_each_choice_stands_in_the_text(gpu, goal, words, folders, tmp_path):
    text = draft(answers(tmp_path / "a.yaml", look(folders / "large"), gpu_gb=gpu, goal=goal), HOW).text
    assert all(word in text for word in words), text


def test_a_short_run_draws_at_its_end_alone(folders, tmp_path):
    text = draft(answers(tmp_path / "a.yaml", look(folders / "small"), steps=10), HOW).text
    assert "ema:" not in text
    assert "warmup" not in text
    assert text.count("step_interval") == 1


def test_clips_that_are_all_left_out_are_told_by_the_lint(tmp_path):
    make_clip(tmp_path / "clips" / "a.mp4", frames=5, caption="a bar")
    make_clip(tmp_path / "clips" / "b.mp4")

    made = draft(answers(tmp_path / "a.yaml", look(tmp_path / "clips")), HOW)

    assert made.fit is None
    assert not made.compiled.ok


def test_a_recipe_without_a_name_of_its_own_is_named_after_the_clips(folders, tmp_path):
    text = draft(answers(tmp_path / "recipe.yaml", look(folders / "small")), HOW).text
    assert 'name: "small"' in text
    text = draft(answers(tmp_path / "…-.yaml", look(folders / "small")), HOW).text
    assert 'name: "recipe"' in text


def test_paths_are_short_where_they_are_near(tmp_path):
    assert path_from(tmp_path / "a" / "r.yaml", tmp_path / "clips") == os.path.join("..", "clips")
    assert path_from(tmp_path / "r.yaml", tmp_path / "clips") == "clips"
    far = tmp_path / "a" / "b" / "c" / "r.yaml"
    assert path_from(far, tmp_path / "clips") == str(tmp_path / "clips")


def test_texts_are_quoted_so_that_yaml_reads_them_back():
    assert quoted('a "b"\\\n\x07') == '"a \\"b\\"\\\\\\n\\U00000007"'


# The command


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def ask(monkeypatch):
    """Answer the questions of a terminal one after the other; return what was asked."""
    monkeypatch.setattr("sys.stdin", Terminal())
    monkeypatch.setattr(command, "_gpu", lambda: "24")

    def prepare(*replies):
        asked, left = [], list(replies)

        def reply(question):
            asked.append(question)
            if not left:
                raise EOFError
            return left.pop(0)

        monkeypatch.setattr("builtins.input", reply)
        return asked

    return prepare


@pytest.fixture
def quiet(monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO())
    monkeypatch.setattr(command, "_gpu", lambda: "24")


def test_questions_are_asked_each_with_its_default(folders, tmp_path, ask, capsys):
    asked = ask(str(folders / "small"), "", "", "", "")
    file = tmp_path / "mine.yaml"

    assert main(["init", str(file)]) == 0

    assert asked == [
        "folder of clips: ",
        "memory of the GPU in GB, 0 for none [24]: ",
        "train: full, lora, or auto for what fits [auto]: ",
        "optimizer steps [2000]: ",
        "prompt to draw clips with on the way [a bar, number 0]: ",
    ]
    said = capsys.readouterr()
    assert "3 clips; 96x64" in said.err
    assert f"next: `recipe plan {file}`" in said.out
    assert main(["lint", "--strict", str(file)]) == 0


def test_an_answer_that_can_not_be_used_is_asked_for_again(folders, tmp_path, ask, capsys):
    bare = str(folders / "bare")
    asked = ask(
        "",
        "nowhere",
        "{{ a }}",
        bare,
        "much",
        "-3",
        "80 GB",
        "half",
        "lora",
        "0",
        "many",
        "1,000",
        "",
        "a {{",
        "a bar",
        "",
    )

    assert main(["init", str(tmp_path / "mine.yaml")]) == 0

    assert asked[-1] == "prompt to draw clips with on the way [a bar]: "
    said = capsys.readouterr().err
    for words in (
        "`nowhere` is no folder",
        "read as a template",
        "can't name a path",
        "`much` is no memory",
        "`half` is none of",
        "`0` is no number",
    ):
        assert words in said
    assert "max_steps: 1000" in (tmp_path / "mine.yaml").read_text(encoding="utf-8")


def test_a_goal_that_does_not_fit_is_asked_for_again(folders, tmp_path, ask, capsys):
    ask("8", "full", "", "", "24", "lora", "10", "")
    assert main(["init", str(tmp_path / "a.yaml"), "--clips", str(folders / "large")]) == 0
    assert "all weights take" in capsys.readouterr().err


def test_answers_that_end_leave_nothing_behind(folders, tmp_path, ask, capsys):
    ask(str(folders / "small"), "24")
    assert main(["init", str(tmp_path / "a.yaml")]) == 2
    assert "nothing was written" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("quiet")
def test_without_a_terminal_options_and_defaults_suffice(folders, tmp_path, capsys):
    file = tmp_path / "mine.yaml"
    options = ["--type", "lora", "--steps", "300", "--prompt", "an otter", "--gpu-memory", "16"]

    assert main(["init", str(file), "--clips", str(folders / "large"), *options]) == 0

    settings_ = compile_recipe(file, HOW).settings
    assert settings_["model.type"] == "lora"
    assert settings_["train.max_steps"] == 300
    assert settings_["validation.prompt"] == "an otter"
    assert "trains an adapter for 300 steps" in capsys.readouterr().out


@pytest.mark.usefixtures("quiet")
def test_a_tiny_model_is_for_machines_without_a_gpu(folders, tmp_path, capsys):
    file = tmp_path / "mine.yaml"
    assert main(["init", str(file), "--clips", str(folders / "small"), "--gpu-memory", "0", "--type", "lora"]) == 0
    assert compile_recipe(file, HOW).settings["model.random_weights"] == "tiny"
    assert "trains" in capsys.readouterr().out


@pytest.mark.usefixtures("quiet")
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "--clips is needed"),
        (["--clips", "{bare}"], "--caption is needed: one caption for all clips"),
        (["--clips", "{small}", "--steps", "0"], "--steps: `0` is no number of steps"),
        (["--clips", "{small}", "--gpu-memory", "nan"], "--gpu-memory: `nan` is no memory"),
        (["--clips", "{small}", "--prompt", " "], "--prompt: an empty text"),
        (["--clips", "{small}", "--caption", "{{{{ a"], "--caption: `{{` would be read"),
        (["--clips", "a\x07b"], "--clips: a recipe can't name a path"),
        (["--clips", "{large}", "--gpu-memory", "16", "--type", "full"], "all weights take"),
        (["--clips", "{large}", "--gpu-memory", "3"], "an adapter takes"),
        (["--clips", "{empty}"], "--clips: `"),
    ],
)
def test_wrong_options_are_named(arguments, words, folders, tmp_path, capsys):
    given_ = [argument.format(**{p.name: p for p in folders.iterdir()}) for argument in arguments]
    assert main(["init", str(tmp_path / "a.yaml"), *given_]) == 2
    assert words in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("quiet")
def test_a_caption_that_is_no_prompt_is_not_taken_for_one(tmp_path):
    make_clip(tmp_path / "clips" / "a.mp4", caption="{{ a bar }}")
    assert main(["init", str(tmp_path / "a.yaml"), "--clips", str(tmp_path / "clips")]) == 0
    assert 'prompt: "a short video' in (tmp_path / "a.yaml").read_text(encoding="utf-8")


@pytest.mark.usefixtures("quiet")
def test_a_file_that_is_there_is_replaced_only_by_force(folders, tmp_path, capsys):
    file = tmp_path / "mine.yaml"
    file.write_text("mine", encoding="utf-8")
    clips = ["--clips", str(folders / "small"), "--yes"]

    assert main(["init", str(file), *clips]) == 2
    assert "--force" in capsys.readouterr().err
    assert file.read_text(encoding="utf-8") == "mine"

    assert main(["init", str(file), *clips, "--force"]) == 0
    assert file.read_text(encoding="utf-8").startswith("# Written by `recipe init`.")
    assert [path.name for path in tmp_path.iterdir()] == ["mine.yaml"]

    assert main(["init", str(tmp_path / "nowhere" / "a.yaml"), *clips]) == 2
    assert "there is no folder" in capsys.readouterr().err


@pytest.mark.usefixtures("quiet")
def test_a_recipe_with_errors_in_its_data_is_written_and_told(tmp_path, capsys):
    make_clip(tmp_path / "clips" / "a.mp4", caption="a bar")
    for name in ("b", "c"):
        make_clip(tmp_path / "clips" / f"{name}.mp4", frames=90)
    file = tmp_path / "mine.yaml"

    assert main(["init", str(file), "--clips", str(tmp_path / "clips")]) == 1

    assert "R306" in capsys.readouterr().err
    assert file.exists()


def test_the_memory_of_the_gpu_that_is_there_is_the_default(monkeypatch):
    monkeypatch.setattr(graphics, "cards", lambda: (graphics.Card("H", 85.2, "550"),))
    assert command._gpu() == "85.2"
    monkeypatch.setattr(graphics, "cards", tuple)
    assert command._gpu() == "24"


# The driver's tool


@pytest.mark.parametrize(
    ("says", "found"),
    [
        ("NVIDIA A, B, 24564, 550.54\nNVIDIA H200, 143771, 550.54\n\n", ["NVIDIA A, B", "NVIDIA H200"]),
        ("", []),
        ("No devices were found", []),
        ("NVIDIA H200, [N/A], 550", []),
    ],
)
def test_cards_are_those_that_the_driver_names(says, found, monkeypatch):
    monkeypatch.setattr(graphics.shutil, "which", lambda _: "/usr/bin/nvidia-smi")
    monkeypatch.setattr(graphics.subprocess, "run", lambda *_, **__: SimpleNamespace(stdout=says))
    cards = graphics.cards()
    assert [card.name for card in cards] == found
    assert all(card.driver == "550.54" and card.memory_gb > 25 for card in cards)


def test_without_the_tool_or_with_a_broken_one_there_are_no_cards(monkeypatch):
    monkeypatch.setattr(graphics.shutil, "which", lambda _: None)
    assert graphics.cards() == ()
    monkeypatch.setattr(graphics.shutil, "which", lambda _: "/nonexistent/nvidia-smi")
    assert graphics.cards() == ()
