import re
import textwrap
from pathlib import Path

import pytest

from fakes_clips import make_clip, make_project
from fakes_machine import BARE
from recipe_compiler.diagnostics.codes import CODES
from recipe_compiler.pipeline import Options, compile_recipe
from recipe_compiler.rules import ON_DATA, ON_PLANS, ON_SETTINGS, all_rules


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    return make_project(tmp_path_factory.mktemp("project"))


def block(page: str, title: str) -> str:
    match = re.search(rf"^{title}:\n((?:    .*\n|\n)+)", page, flags=re.MULTILINE)
    assert match is not None, f"the page has no `{title}:`"
    return textwrap.dedent(match.group(1))


def codes(project: Path, overlay: str) -> list[str]:
    file = project.parent / "overlay.yaml"
    file.write_text(overlay, encoding="utf-8")
    return [d.code for d in compile_recipe(project, Options(overlays=[file], must_run=True, machine=BARE)).found]


def test_the_recipe_that_the_examples_build_on_is_clean(project):
    assert compile_recipe(project, Options(must_run=True)).found == ()


@pytest.mark.parametrize("rule", all_rules(), ids=lambda rule: rule.name)
def test_the_example_of_a_rule_fires_it_and_its_cure_is_clean(rule, project):
    assert rule.code in codes(project, block(rule.page, "Example"))
    assert rule.code not in codes(project, block(rule.page, "Use instead"))


@pytest.mark.parametrize("rule", all_rules(), ids=lambda rule: rule.name)
def test_the_page_of_a_rule_says_what_it_does_and_why(rule):
    assert "What it does: " in rule.page
    assert "Why it hurts: " in rule.page


def test_codes_and_names_are_used_once():
    codes = [listed.code for listed in ON_SETTINGS + ON_DATA + ON_PLANS] + list(CODES)
    names = [rule.name for rule in all_rules()] + [code.name for code in CODES.values()]

    assert len(set(codes)) == len(codes)
    assert len(set(names)) == len(names)


def test_a_rule_has_the_code_under_which_it_is_listed():
    assert [listed.load().code for listed in ON_SETTINGS + ON_DATA + ON_PLANS] == [
        listed.code for listed in ON_SETTINGS + ON_DATA + ON_PLANS
    ]


def finding(project: Path, *overrides: str, code: str):
    compiled = compile_recipe(project, Options(overrides=overrides, must_run=True))
    (match,) = [d for d in compiled.found if d.code == code]
    return match


def test_a_small_bucket_is_named_with_counts_and_the_smallest_repeats_that_fill_a_step(project):
    batch = ("train.batch_size=3", "train.gradient_accumulation_steps=3")
    match = finding(project, *batch, code="R303")

    assert "bucket `96x64@9` has 4 samples (4 clips with repeats), and a step needs 9" in match.message
    assert "`repeats: 2`" in match.help
    split = finding(project, "train.batch_size=3", "launch.processes=3", code="R303")
    assert "a step needs 9 (batch_size 3 × gradient_accumulation_steps 1 × 3 processes)" in split.message
    repeated = "data.datasets=[{id: clips, instance_data_dir: clips, repeats: %d, video: {num_frames: 9}}]"
    assert "R303" in [d.code for d in compile_recipe(project, Options(overrides=(*batch, repeated % 1))).found]
    assert compile_recipe(project, Options(overrides=(*batch, repeated % 2))).found == ()


def shared_buckets(project: Path, *overrides: str, repeats: tuple[int, int] = (0, 0)):
    """Compile with two data sets that share two buckets: 4 wide and 2 tall clips in `x`, 3 tall clips in `y`."""
    for folder, size, count in (("x", (96, 64), 4), ("x", (64, 96), 2), ("y", (64, 96), 3)):
        for index in range(count):
            path = project.parent / folder / f"{size[0]}-{index}.mp4"
            if not path.exists():
                make_clip(path, frames=12, size=size, caption=f"bar {path.stem}")
    tables = (
        f"{{id: {name}, instance_data_dir: {name}, repeats: {count}, video: {{num_frames: 9}}}}"
        for name, count in zip("xy", repeats, strict=True)
    )
    data = f"data.datasets=[{', '.join(tables)}]"
    return compile_recipe(project, Options(overrides=("data.buckets=[96x64, 64x96]", data, *overrides), must_run=True))


def test_the_repeats_for_several_buckets_are_no_more_than_needed(project):
    batch = "train.batch_size=9"
    (match,) = [d for d in shared_buckets(project, batch).found if d.code == "R303"]

    assert match.help.startswith("set `repeats: 2` for data set `x`, ")  # its tall clips fill the other bucket too
    assert "R303" in [d.code for d in shared_buckets(project, batch, repeats=(1, 0)).found]
    assert "R303" not in [d.code for d in shared_buckets(project, batch, repeats=(2, 0)).found]


def test_a_small_data_set_beside_a_large_one_does_not_hide_from_the_vae_batch(project):
    batch = ("train.batch_size=4", "data.vae_batch_size=3")
    (match,) = [d for d in shared_buckets(project, *batch).found if d.code == "R304"]

    assert "data set `y` has 3 samples" in match.message
    assert "`repeats: 1`" in match.help
    assert "R304" not in [d.code for d in shared_buckets(project, *batch, repeats=(0, 1)).found]


def test_a_data_set_not_larger_than_the_vae_batch_is_named_with_the_smallest_cure(project):
    match = finding(project, "data.vae_batch_size=4", code="R304")

    assert "4 samples (4 clips with repeats, bucket `96x64@9`)" in match.message
    assert "`repeats: 1`" in match.help
    assert compile_recipe(project, Options(overrides=["data.vae_batch_size=3"])).found == ()


def test_a_missing_folder_warns_at_lint_and_refuses_a_plan(project):
    overrides = ["data.datasets=[{id: x, instance_data_dir: nowhere, source: 'builtin:sample-clips'}]"]

    (at_lint,) = [d for d in compile_recipe(project, Options(overrides=overrides)).found if d.code == "R301"]
    (at_run,) = [
        d for d in compile_recipe(project, Options(overrides=overrides, must_run=True)).found if d.code == "R301"
    ]

    assert (at_lint.severity, at_run.severity) == ("warning", "error")
    assert "recipe fetch" in at_lint.help


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("clps", "clips"),
        ("./clisp", "clips"),
        ("clip/../clps", "clips"),
        ("nothing-like-it", None),
        ("clps/inside", None),
    ],
)
def test_a_folder_whose_name_is_near_is_suggested(project, written, meant):
    data = f"data.datasets=[{{id: x, instance_data_dir: {written}, video: {{num_frames: 9}}}}]"
    (match,) = [d for d in compile_recipe(project, Options(overrides=[data])).found if d.code == "R301"]

    assert match.help.startswith(f"did you mean `{meant}`?" if meant else "check the path")


def test_a_suggested_folder_is_written_as_the_missing_one_was(project):
    data = "data.datasets=[{id: x, instance_data_dir: %s, video: {num_frames: 9}}]"
    absolute = data % (project.parent / "clps")
    (match,) = [d for d in compile_recipe(project, Options(overrides=[absolute])).found if d.code == "R301"]

    assert match.help == f"did you mean `{project.parent / 'clips'}`?"


def test_a_rule_whose_setting_is_wrong_already_stays_silent(project):
    compiled = compile_recipe(project, Options(overrides=["train.max_steps=ten", "lr_schedule.warmup_steps=400"]))

    assert [d.code for d in compiled.found] == ["R102"]


@pytest.mark.parametrize(
    ("datasets", "message", "advice"),
    [
        ("{id: x, instance_data_dir: clips, disabled: true}", "every data set is disabled", "take `disabled` out"),
        ("{id: x, instance_data_dir: empty}", "data set `x` holds no video file", "clips end in .mp4"),
        (
            "{id: x, instance_data_dir: uncaptioned, video: {num_frames: 9, min_frames: 100, max_frames: 101}}",
            "`min_frames` is 100 and `num_frames` is 9",
            "leave min_frames out",
        ),
        (
            "{id: x, instance_data_dir: clips, video: {num_frames: 9, max_frames: 8}}",
            "`max_frames` is 8, and clips need at least 9 frames",
            "leave max_frames out",
        ),
    ],
)
def test_data_sets_of_which_nothing_can_be_left_are_told_apart(datasets, message, advice, project):
    (project.parent / "empty").mkdir(exist_ok=True)
    found = compile_recipe(project, Options(overrides=[f"data.datasets=[{datasets}]"])).found

    assert [(d.message, advice in d.help) for d in found if d.code in ("R302", "R310", "R334")] == [(message, True)]


def test_a_data_set_that_can_not_be_read_does_not_count_as_disabled(project):
    override = "data.datasets=[{{ vars.x }}, {id: x, instance_data_dir: clips, disabled: true}]"

    assert [d.code for d in compile_recipe(project, Options(overrides=[override])).found] == ["R004"]


HOOKS = 'tracking.webhooks=[{url: "http://127.0.0.1/a", level: %s}, {url: "http://127.0.0.1/b", level: %s}]'


def test_progress_that_nobody_is_told_of_is_named_with_the_levels(project):
    found = finding(project, "tracking.webhook_interval=60", HOOKS % ("warning", "error"), code="R620")

    assert "`tracking.webhook_interval` has no effect: every webhook's `level` is above info" in found.message
    assert "there are no `tracking.webhooks`" in finding(project, "tracking.webhook_interval=60", code="R620").message


@pytest.mark.parametrize(
    "overrides",
    [
        ("tracking.webhook_interval=60", HOOKS % ("error", "info")),
        ("tracking.webhook_interval=60", HOOKS % ("debug", "error")),
        ("tracking.webhook_interval=null",),
        ("tracking.webhook_interval=60", HOOKS % ("loud", "error")),
        ("tracking.wandb_mode=offline", "tracking.report_to=[tensorboard, wandb]"),
    ],
)
def test_tracking_that_has_an_effect_is_no_finding(project, overrides):
    compiled = compile_recipe(project, Options(overrides=overrides))

    assert "R620" not in [d.code for d in compiled.found]


def test_a_mode_of_wandb_without_wandb_is_named(project):
    found = finding(project, "tracking.wandb_mode=online", "tracking.report_to=tensorboard", code="R620")

    assert found.message == "`tracking.wandb_mode` has no effect: `tracking.report_to` does not name wandb"
