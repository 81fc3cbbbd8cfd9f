"""What is said of one thing is said in the singular, and values are written as YAML writes them."""

import re

import pytest

from fakes_clips import make_clip, make_project
from fakes_machine import BARE
from recipe_compiler.cli.main import main
from recipe_compiler.cli.setting_text import value_text
from recipe_compiler.pipeline import Options, compile_recipe
from recipe_compiler.subject import Stated
from recipe_schema.definition import leaf_index


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    return make_project(tmp_path_factory.mktemp("project"))


def messages(project, *overrides, look_at_data=False):
    options = Options(overrides=overrides, look_at_data=look_at_data, machine=BARE)
    return "\n".join(f"{d.message}\n{d.help}" for d in compile_recipe(project, options).found)


ONE = [
    ("train.max_steps=1", "lr_schedule.warmup_steps=1", "warm-up takes 1 step and training only 1"),
    ("train.max_steps=1", "ema={enabled: true, warmup_steps: 1}", "copies the weights for 1 step and"),
    (
        "train={max_steps: null, num_epochs: 1}",
        "validation.epoch_interval=2",
        "training takes 1 epoch: clips are drawn",
    ),
    ("train.max_steps=1", "validation.step_interval=2", "training takes 1 step: clips are drawn"),
    ("train.max_steps=9", "validation.step_interval=1", "of the run: 1 prompt at every step"),
    ("lr_schedule.name=sine", "lr_schedule.warmup_steps=1", "after a warm-up of 1 step, `sine`"),
    ("train.max_steps=2", "lr_schedule={name: cosine, warmup_steps: 1}", "warm-up takes 1 of 2 steps"),
    (
        "train.max_steps=2",
        "lr_schedule={name: cosine_with_restarts, warmup_steps: 1, num_cycles: 2}",
        "2 cycles in 1 step after warm-up",
    ),
    ("train.max_steps=900", "lr_schedule={name: simpletuner-cosine, period_steps: 2}", "after 2 of 900 steps"),
    ("regularizers.rollout.max_step_offset=1", "train.max_steps=9", "rollouts of up to 1 timestep are asked for"),
    (
        "regularizers.crepa={enabled: true, warmup_steps: 1, block_index: 0}",
        "train.max_steps=1",
        "the weight's warm-up takes 1 step and training only 1",
    ),
    (
        "regularizers.crepa={enabled: true, adjacent_distance: 1, block_index: 0}",
        "data.datasets=[{id: a, instance_data_dir: clips, video: {num_frames: 1}}]",
        "a neighbour 1 latent frame away: clips of 1 frame have 1",
    ),
    ("validation.num_video_frames=1", "train.max_steps=9", "validation draws 1 frame, a length"),
]


@pytest.mark.parametrize(("first", "second", "sentence"), ONE)
def test_one_is_no_plural(first, second, sentence, project):
    assert sentence in messages(project, first, second)


def one_clip(tmp_path, **clip):
    make_clip(tmp_path / "one" / "a.mp4", **clip)
    return "data.datasets=[{id: one, instance_data_dir: one, video: {num_frames: 9}}]"


@pytest.mark.parametrize(
    ("clip", "override", "sentence"),
    [
        ({"size": (48, 32), "caption": "a"}, "data.buckets=[96x64]", "1 of 1 clips of data set `one` is enlarged"),
        ({"fps": 8, "caption": "a"}, "data.framerate=16", "1 of 1 clips of data set `one` has fewer than 16 frames"),
        ({"caption": "a, " * 600}, "train.batch_size=1", "1 of 1 captions of data set `one` has more than 300 tokens"),
        ({"caption": "a\nb"}, "train.batch_size=1", "1 of 1 captions of data set `one` has several lines: a.mp4"),
        ({"frames": 4, "caption": "a"}, "train.batch_size=1", "the only clip of data set `one` can't be used"),
        ({"caption": "a"}, "train.batch_size=2", "has 1 sample (1 clip with repeats), and a step needs 2"),
    ],
)
def test_one_clip_is_no_plural(clip, override, sentence, project, tmp_path):
    (tmp_path / "recipe.yaml").write_text(project.read_text(encoding="utf-8"), encoding="utf-8")
    data = one_clip(tmp_path, **clip)

    assert sentence in messages(tmp_path / "recipe.yaml", data, override, look_at_data=True)


def test_a_plan_and_its_pages_count_in_the_singular(project, tmp_path, capsys):
    mixed = "data.datasets=[{id: m, instance_data_dir: mixed, video: {num_frames: 9, min_frames: 5}}]"
    plan = ("--set", mixed, "--set", "train.max_steps=1")

    assert main(["plan", str(project), *plan, "-o", str(tmp_path / "one.plan")]) == 0
    said = capsys.readouterr().out
    assert "96x64@5: 1 clip, 1 sample an epoch, 1 step\n" in said
    assert "1 step of 1 = 1 sample, 0.333 epochs\n" in said

    assert main(["explain", str(tmp_path / "one.plan")]) == 0
    said = capsys.readouterr().out
    assert re.search(r"epoch +3 samples, 3 steps\n.*training +1 step, 1 sample, 0.333 epochs\n", said, flags=re.DOTALL)
    assert re.search(r"max_steps = 1 step +←", said)

    assert main(["explain", str(project), "--clip", "m/long.mp4", "--set", mixed]) == 0
    assert "0: seen once an epoch" in capsys.readouterr().out


def test_units_of_one_are_singular_but_those_that_have_no_singular():
    leaf = leaf_index()["train.max_steps"]
    rate = leaf_index()["data.framerate"]

    assert value_text(Stated(path="a", value=1, leaf=leaf, origin={}, impact="result")) == "1 step"
    assert value_text(Stated(path="a", value=1.0, leaf=rate, origin={}, impact="result")) == "1 fps"


@pytest.mark.parametrize(
    ("overrides", "advice"),
    [
        (("validation.num_video_frames=8",), "use 9, which is trained"),
        (("validation.num_video_frames=10",), "use 9 or 13"),
        (("validation.resolution=110x70",), "use 96x64"),
        (("validation.resolution=200x200",), "use 208x208"),
    ],
)
def test_the_advice_for_clips_that_are_drawn_leads_to_a_length_and_size_that_are_trained(overrides, advice, project):
    assert advice in messages(project, *overrides).split("\n")


def test_the_page_does_not_wrap_lines_of_the_recipe_below_which_carets_stand(project, capsys):
    main(["explain", str(project), "--set", "train.batch_size=0", "--no-data", "--format", "html"])

    page = capsys.readouterr().out
    quoted = re.findall(r'<span class="quoted">(.*)</span>', page)
    assert any("train.batch_size=0" in line for line in quoted)
    assert any(set(line) <= {" ", "|", "^"} and "^" in line for line in quoted)
    assert "<span>error[R104]: `train.batch_size` has to be at least 1, not `0`</span>" in page


@pytest.mark.parametrize(
    "override",
    [
        "hub={push: true, model_id: a/b, token_env: 'hf_se cret'}",
        "tracking.webhooks=[{url_env: 'https://discord.com/se cret'}]",
        "tracking.webhooks=[{url: 'discord.com/api/webhooks/se cret'}]",
        "tracking.webhooks=[{url_env: A, token_env: 'x-se cret'}]",
    ],
)
def test_what_may_be_a_secret_is_not_repeated(override, project):
    said = messages(project, override)

    assert "not what stands here" in said
    assert "variable" in said
    assert "cret" not in said.replace("secret", "")


@pytest.mark.parametrize(
    ("override", "advice"),
    [
        ("model={type: lora, lora: {target_modules: to_q}}", "write `[to_q]`"),
        ("model={type: lora, lora: {target_modules: '{{ recipe.name }}'}}", "write it in brackets"),
        ("data.buckets=832x480", "write `[832x480]`"),
    ],
)
def test_one_value_in_place_of_a_list_is_told_how_to_be_one(override, advice, project):
    assert advice in messages(project, override).split("\n")


def test_one_value_in_place_of_a_list_is_put_in_brackets(tmp_path):
    recipe = tmp_path / "recipe.yaml"
    head = "recipe: 1\ntrain: {max_steps: 9}\ndata:\n  datasets: [{id: a, instance_data_dir: clips}]\n"
    recipe.write_text(f"{head}  buckets: 832x480  # one\n", encoding="utf-8")

    assert main(["lint", str(recipe), "--no-data", "--fix"]) == 0
    assert recipe.read_text(encoding="utf-8") == f"{head}  buckets: [832x480]  # one\n"


def test_an_optimizer_that_needs_no_curve_is_not_sent_from_one_curve_to_another(project):
    free = ("optimizer.name=schedule-free", "optimizer.learning_rate=1e-4")

    said = messages(project, *free, "lr_schedule={name: constant_with_warmup, end: 1e-6}")
    usual = messages(project, "lr_schedule={name: constant_with_warmup, end: 1e-6}")

    assert "\nleave end out" in said
    assert "write `name: cosine`" not in said
    assert "write `name: cosine` or `name: linear`, or leave end out" in usual


def test_gradients_that_prodigy_needs_can_not_be_freed(project):
    said = messages(
        project, "optimizer={name: prodigy, learning_rate: 1.0, release_gradients: true}", "train.max_grad_norm=0"
    )

    assert "`release_gradients` frees each gradient at once, and `prodigy` finds its rate from all of them" in said
    assert "leave release_gradients out, or set another `name`" in said
