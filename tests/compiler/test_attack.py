"""What an outside tester planted: each mistake is told once, and so that one knows what to write."""

import pytest

from fakes_clips import make_clip, make_project
from fakes_machine import BARE
from recipe_compiler.pipeline import Options, compile_recipe


HEAD = "recipe: 1\ntrain: {max_steps: 300}\n"
DATA = "data: {datasets: [{id: a, instance_data_dir: clips}]}\n"


def found(tmp_path, text, *overrides):
    path = tmp_path / "recipe.yaml"
    path.write_text(HEAD + ("" if "data:" in text else DATA) + text, encoding="utf-8")
    options = Options(look_at_data=False, overrides=overrides, machine=BARE)
    return [(d.code, d.message, d.help) for d in compile_recipe(path, options).found]


@pytest.mark.parametrize(
    ("text", "message", "advice"),
    [
        (
            "data: {datasets: {mine: {instance_data_dir: x}}}\n",
            "`data.datasets` takes a list, not a mapping",
            "write each as an element of it: `- id: mine`, and its keys below",
        ),
        (
            "data: {datasets: {id: mine, instance_data_dir: x}}\n",
            "`data.datasets` takes a list, not a mapping",
            "put `- ` before its first key",
        ),
        (
            "tracking: {webhooks: {url: 'http://127.0.0.1/hook'}}\n",
            "`tracking.webhooks` takes a list, not a mapping",
            "put `- ` before its first key",
        ),
        ("optimizer: {beta: 0.9}\n", "unknown key `beta` in `optimizer`", "did you mean `beta1` or `beta2`?"),
        (
            "checkpoints:\n  step_interval:60\n",
            "`checkpoints` takes a mapping of keys, not the text `step_interval:60`",
            "write `step_interval: 60`: a space follows the `:`",
        ),
        (
            "optimizer: 'adamw'\n",
            "`optimizer` takes a mapping of keys, not the text `adamw`",
            "write `optimizer: {name: adamw}`",
        ),
        (
            "validation: {prompt: a, prompt_library: {b: 3}}\n",
            "`validation.prompt_library.b` takes a text, not `3`",
            'put quotes around a text: `"3"`',
        ),
        (
            "validation: {prompt: a, negative_prompt: }\n",
            "`validation.negative_prompt` takes a text, not nothing",
            'write `""`, or leave it out',
        ),
        ("validation: {prompt: [a, b]}\n", "`validation.prompt` takes a text, or null, not a list", ""),
        (
            "validation: {prompt: a, negative_prompt: '{{ 1 + 1 }}'}\n",
            "`validation.negative_prompt` takes a text, not `2`",
            "",
        ),
        ("checkpoints: 60\n", "`checkpoints` takes a mapping of keys, not `60`", "write its keys below it, indented"),
        (
            "output_dir: ~/runs\n",
            "`output_dir` takes a path that begins with neither `~` nor `$`, not the text `~/runs`",
            'write it out, or declare `env: [HOME]` and write `"{{ env.HOME }}/…"`',
        ),
        (
            "output_dir: ${SCRATCH}/runs\n",
            "`output_dir` takes a path that begins with neither `~` nor `$`, not the text `${SCRATCH}/runs`",
            'write it out, or declare `env: [SCRATCH]` and write `"{{ env.SCRATCH }}/…"`',
        ),
        ("output_dir: ' '\n", "`output_dir` takes a path that begins with neither `~` nor `$`, not the text ` `", ""),
        (
            "matrix: {train.seed: [1]}\n",
            "`matrix` can't have the name `train.seed` in it",
            'use letters, digits and underscore, no digit first: templates name it, as in `"{{ matrix.rate }}"`',
        ),
    ],
)
def test_a_mistake_is_one_finding_that_says_what_to_write(text, message, advice, tmp_path):
    (only,) = found(tmp_path, text)

    assert only[1:] == (message, advice)


def test_keys_of_data_sets_that_are_named_are_checked_as_well(tmp_path):
    both = "data: {datasets: {a: {instance_data_dir: x, repeats: -1}, b: {instance_data_dir: y, zebra: 1}}}\n"

    assert sorted(code for code, _, _ in found(tmp_path, both)) == ["R101", "R102", "R104"]


def test_of_many_keys_the_first_are_named(tmp_path):
    ((_, _, few),) = found(tmp_path, "ema: {zebra: 1}\n")
    ((_, _, many),) = found(tmp_path, "data: {datasets: [{id: a, instance_data_dir: x, zebra: 1}]}\n")

    assert few.startswith("known here: enabled, ")
    assert " more" not in few
    assert many.startswith("known here: id, type, ")
    assert many.endswith(" more")
    assert many.count(",") == 24


def test_variables_of_the_environment_hold_what_a_path_may_not(tmp_path):
    path = tmp_path / "recipe.yaml"
    text = 'env: [HOME]\noutput_dir: "{{ env.HOME }}/runs"\n'
    path.write_text(HEAD + DATA + text, encoding="utf-8")
    options = Options(look_at_data=False, machine=BARE, environment={"HOME": "/home/me"})

    compiled = compile_recipe(path, options)

    assert compiled.found == ()
    assert compiled.settings["output_dir"] == "/home/me/runs"


@pytest.fixture
def project(tmp_path):
    return make_project(tmp_path)


def looked_at(project, *overrides):
    compiled = compile_recipe(project, Options(overrides=overrides, machine=BARE))
    return compiled, [d.code for d in compiled.found]


def test_where_nothing_is_trained_lengths_are_not_compared(project):
    _, codes = looked_at(
        project,
        "data.datasets.0.video.num_frames=1001",
        "validation.prompt=a bar",
        "validation.num_video_frames=9",
    )

    assert "R302" in codes
    assert "R601" not in codes


def test_a_caption_that_holds_the_character_zero_is_none(project):
    folder = project.parent / "clips"
    clip = min(folder.glob("*.mp4"))
    clip.with_suffix(".txt").write_bytes("a dog".encode("utf-16-le"))

    compiled, codes = looked_at(project)

    (row,) = (row for row in compiled.survey.rows if row.path == clip.name)
    name = clip.with_suffix(".txt").name
    assert row.reason == f"`{name}` holds the character U+0000: it is no text, or not UTF-8; save it anew"
    assert "R306" in codes


def test_clips_that_share_a_caption_file_are_one_finding(tmp_path):
    folder = tmp_path / "pairs"
    folder.mkdir()
    for name in ("a.mp4", "a.mkv", "b.mp4"):
        make_clip(folder / name)
    for name in "ab":
        (folder / f"{name}.txt").write_text(f"bar {name}", encoding="utf-8")
    path = tmp_path / "recipe.yaml"
    data = "data: {buckets: [96x64], datasets: [{id: a, instance_data_dir: pairs, video: {num_frames: 9}}]}\n"
    path.write_text(HEAD + data, encoding="utf-8")

    codes = [d.code for d in compile_recipe(path, Options(machine=BARE)).found]

    assert "R315" in codes
    assert "R313" not in codes
