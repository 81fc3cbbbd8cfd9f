"""The tutorial: its recipe works with everything that it lays over it, and it says the same in both languages."""

import json
import os
import re
import subprocess
import sys

import pytest
import yaml

from fakes_docs import DOCS, ROOT, blocks, headings, make_large_clips, prose
from fakes_machine import machine
from recipe_compiler.pipeline import Options, compile_recipe


ENGLISH, SPANISH = DOCS / "tutorial.md", DOCS / "es" / "tutorial.md"
MACHINE = machine(packages={"wandb": "0.31"}, environment={"WANDB_API_KEY": "set", "HF_TOKEN": "set"})
READS_ONLY = ("lint", "explain", "plan")
OPTIONS_OF_THE_GUIDE = """
    model_type model_family pretrained_model_name_or_path pretrained_vae_model_name_or_path base_model_precision quantize_via
    output_dir data_backend_config train_batch_size gradient_accumulation_steps max_train_steps ignore_final_epochs seed
    mixed_precision gradient_checkpointing caption_dropout_probability max_grad_norm grad_clip_method optimizer learning_rate
    lr_scheduler lr_warmup_steps use_ema ema_update_interval ema_validation resolution resolution_type framerate vae_batch_size
    compress_disk_cache delete_problematic_images validation_prompt validation_negative_prompt validation_prompt_library
    user_prompt_library validation_resolution validation_num_video_frames validation_guidance validation_num_inference_steps
    validation_seed validation_step_interval checkpoint_step_interval checkpoints_total_limit resume_from_checkpoint report_to
    tracker_project_name tracker_run_name flow_schedule_shift flow_schedule_auto_shift minimum_image_size maximum_image_size
    target_downsample_size cache_dir_vae metadata_backend crop caption_strategy num_frames min_frames max_frames is_i2v
    bucket_strategy frame_interval enable_group_offload enable_model_cpu_offload repeats
"""
BOTH = pytest.mark.parametrize("page", [ENGLISH, SPANISH], ids=["en", "es"])


def of(page, language):
    return [block for block in blocks(page) if block.language == language]


@pytest.fixture(scope="module", params=[ENGLISH, SPANISH], ids=["en", "es"])
def project(request, tmp_path_factory):
    folder = make_large_clips(tmp_path_factory.mktemp("tutorial"))
    examples = of(request.param, "yaml")
    (whole,) = [example for example in examples if example.text.startswith("# mine.yaml")]
    (folder / "mine.yaml").write_text(whole.text, encoding="utf-8")
    (folder / "prompts.json").write_text(of(request.param, "json")[0].text, encoding="utf-8")
    return folder, [example for example in examples if example is not whole]


def compiled(recipe, *overlays):
    seen = recipe.parent / "probes.sqlite"
    return compile_recipe(recipe, Options(overlays=overlays, machine=MACHINE, must_run=True, index_file=seen))


def test_the_recipe_and_all_that_is_laid_over_it_are_clean(project):
    folder, parts = project
    assert compiled(folder / "mine.yaml").found == ()
    laid_over = 0
    for part in parts:
        example = folder / "part.yaml"
        example.write_text(part.text, encoding="utf-8")
        whole = "recipe" in yaml.safe_load(part.text)
        found = compiled(example).found if whole else compiled(folder / "mine.yaml", example).found
        assert [f"{d.code} {d.message}" for d in found] == [], part.place
        laid_over += not whole
    assert laid_over > 8


def test_the_shipped_recipe_says_the_same(project):
    folder, parts = project
    (short,) = [part for part in parts if "extends" in part.text]
    (folder / "short.yaml").write_text(short.text, encoding="utf-8")

    ours, shipped = compiled(folder / "mine.yaml").settings, compiled(folder / "short.yaml").settings

    different = {path for path, value in ours.values().items() if shipped[path] != value}
    assert different <= {"name", "description", "output_dir", "tracking.run_name"}


def test_commands_that_only_read_go_well(project):
    folder, _ = project
    ran = [line.split("#")[0].split() for block in of(ENGLISH, "bash") for line in block.text.splitlines()]
    ours = [words for words in ran if words[0] == "recipe" and words[1] in READS_ONLY]
    path = os.pathsep.join(str(ROOT / part) for part in ("schema", "compiler"))
    environment = {**os.environ, "HOME": str(folder), "PYTHONPATH": path}
    for _, *arguments in ours:
        command = [sys.executable, "-m", "recipe_compiler", *arguments]
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    assert len(ours) == len(READS_ONLY)
    assert (folder / "mine.plan" / "plan.json").exists()


@BOTH
def test_each_option_of_the_guide_has_its_place(page):
    spans = " ".join(re.findall(r"`[^`]+`", prose(page)))
    missing = [name for name in OPTIONS_OF_THE_GUIDE.split() if not re.search(rf"\b{name}\b", spans)]
    assert missing == []


def test_both_languages_have_the_same_sections():
    assert [level for level, _ in headings(ENGLISH)] == [level for level, _ in headings(SPANISH)]
    for english, spanish in zip(sections(ENGLISH), sections(SPANISH), strict=True):
        assert len(rows(english)) == len(rows(spanish)), spanish[:60]
        assert links(english) == links(spanish), spanish[:60]
        assert english.count("\n- ") == spanish.count("\n- "), spanish[:60]


def test_both_languages_have_the_same_examples():
    for english, spanish in zip(blocks(ENGLISH), blocks(SPANISH), strict=True):
        assert english.language == spanish.language
        assert said(english) == said(spanish), spanish.place


def sections(page) -> list[str]:
    return re.split(r"^#+ ", prose(page), flags=re.MULTILINE)


def rows(section) -> list[str]:
    return [line for line in section.splitlines() if line.startswith("|")]


def links(section) -> list[str]:
    """Return the pages that a section leads to; anchors of this page are translated with its headings."""
    targets = re.findall(r"\]\(([^)#\s]*)(?:#[^)]*)?\)", section)
    return sorted(target.removeprefix("../").removeprefix("../") for target in targets)


def said(block):
    """Return what a block says, without its comments."""
    if block.language == "yaml":
        return yaml.safe_load(block.text)
    if block.language == "json":
        return json.loads(block.text)
    return [line.split("#")[0].strip() for line in block.text.splitlines()]
