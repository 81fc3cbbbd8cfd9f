"""Rules about data sets, at their borders."""

import json
import os
from pathlib import Path

import pytest

from fakes_clips import make_clip, make_project
from recipe_compiler.pipeline import Options, compile_recipe, make_plan
from recipe_compiler.rules.data_folder_missing import meant_folder


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    return make_project(tmp_path_factory.mktemp("project"))


def look(folder: Path, datasets: str, rest: str = "", *, look_at_data: bool = False):
    """Compile a recipe with these data sets, and return what was found."""
    recipe = folder / "sets.yaml"
    recipe.write_text(f"recipe: 1\ntrain: {{max_steps: 10}}\n{rest}\ndata:\n  datasets: {datasets}\n", encoding="utf-8")
    return list(compile_recipe(recipe, Options(look_at_data=look_at_data)).found)


def one(folder: Path, settings: str, **options):
    """Compile a recipe with one data set, and return the only finding."""
    (match,) = look(folder, f"[{{id: a, instance_data_dir: clips, {settings}}}]", **options)
    return match


@pytest.mark.parametrize(
    ("dataset", "pointer", "message"),
    [
        ("type: csv", "type", "`type: csv` needs `csv_file`"),
        ("type: csv, caption_strategy: csv", "type", "`type: csv` needs `csv_file`"),
        ("type: huggingface, caption_strategy: huggingface", "type", "needs `dataset_name`"),
        ("type: aws", "type", "needs `aws_bucket_name`"),
        ("instance_data_dir: x, caption_strategy: csv", "caption_strategy", "needs `csv_file`"),
        ("instance_data_dir: x, caption_strategy: parquet", "caption_strategy", "needs `parquet.path`"),
        ("instance_data_dir: x, caption_strategy: huggingface", "caption_strategy", "the type is `local`"),
        ("dataset_name: a/b", "dataset_name", "`dataset_name` is given, and the data set is of `type: local`"),
        ("dataset_name: a/b, split: x, caption_strategy: huggingface", "dataset_name", "of `type: local`"),
        ("csv_file: a.csv, caption_strategy: csv", "csv_file", "of `type: local`"),
        ("type: aws, aws_bucket_name: a, csv_file: b.csv", "csv_file", "`csv_file` without `type: csv` or `caption"),
        (
            "instance_data_dir: x, caption_strategy: csv, csv_file: a.csv, csv_cache_dir: c",
            "csv_cache_dir",
            "`type: csv`",
        ),
    ],
)
def test_a_source_that_is_not_said_to_the_end_is_one_finding(dataset, pointer, message, tmp_path):
    (match,) = look(tmp_path, f"[{{id: a, {dataset}}}]")

    assert (match.code, match.pointer) == ("R319", f"data.datasets.0.{pointer}")
    assert message in match.message


@pytest.mark.parametrize(
    "dataset",
    [
        "type: csv, csv_file: a.csv, csv_url_column: u, csv_caption_column: c, csv_cache_dir: d, caption_strategy: csv",
        "type: csv, csv_file: a.csv, instance_data_dir: x",
        "type: huggingface, dataset_name: a/b, split: x, caption_strategy: huggingface, huggingface: {caption_column: t}",
        "type: aws, aws_bucket_name: a, aws_data_prefix: b, aws_region_name: c",
        "instance_data_dir: x, caption_strategy: parquet, parquet: {path: a.parquet, caption_column: t}",
        "instance_data_dir: x, caption_strategy: csv, csv_file: a.csv, csv_url_column: u, csv_caption_column: c",
        "instance_data_dir: x, split: train, csv_caption_column: caption, aws_data_prefix: ''",
        "instance_data_dir: x, prepend_instance_prompt: true, instance_prompt: p",
        "instance_data_dir: x, only_instance_prompt: true, instance_prompt: p",
        "instance_data_dir: x, resolution: 0.4, resolution_type: area, aspect_bucket_alignment: 48",
        "instance_data_dir: x, resolution: 64, minimum_image_size: 64, resolution_type: pixel",
        "instance_data_dir: x, resolution: 16, minimum_image_size: 0.1, resolution_type: area",
        "instance_data_dir: x, minimum_image_size: 480, resolution_type: pixel",
        "instance_data_dir: x, minimum_aspect_ratio: 1.5, maximum_aspect_ratio: 1.5",
        "instance_data_dir: x, minimum_aspect_ratio: 1.5",
        "instance_data_dir: x, resolution: 480, crop: true, crop_aspect: closest, crop_aspect_buckets: [1.0]",
        "instance_data_dir: x, resolution: 480, crop: true, crop_aspect: preserve, crop_style: random",
        "instance_data_dir: x.clips",
        "instance_data_dir: clips",
    ],
)
def test_a_data_set_that_is_in_order_is_left_alone(dataset, tmp_path):
    assert look(tmp_path, f"[{{id: a, {dataset}}}]") == []


def test_settings_without_effect_are_named_together_with_what_they_need(tmp_path):
    match = one(tmp_path, "csv_file: a.csv, csv_caption_column: t, csv_cache_dir: c")

    assert (match.severity, match.pointer) == ("warning", "data.datasets.0.csv_file")
    assert "`csv_file` without `type: csv` or `caption_strategy: csv`" in match.message
    assert "`csv_caption_column` without `caption_strategy: csv`" in match.message


@pytest.mark.parametrize("key", ["prepend_instance_prompt", "only_instance_prompt"])
def test_a_prompt_that_is_used_and_not_given_is_one_finding(key, tmp_path):
    match = one(tmp_path, f"{key}: true, instance_prompt: ' '")
    missing = one(tmp_path, f"{key}: true, caption_strategy: instanceprompt")

    assert (match.code, match.pointer, match.severity) == ("R311", f"data.datasets.0.{key}", "error")
    assert (missing.code, missing.pointer) == ("R311", "data.datasets.0.caption_strategy")


@pytest.mark.parametrize(
    ("settings", "pointer", "advice"),
    [
        ("resolution: 0.4", "resolution", "did you mean `resolution_type: area`, 0.4 megapixels?"),
        ("resolution: 16, resolution_type: pixel", "resolution", "`resolution_type: area`, 16 megapixels?"),
        ("resolution: 63", "resolution", "give at least 64 pixels"),
        ("resolution: 480, resolution_type: area", "resolution", "did you mean `resolution_type: pixel`"),
        ("resolution: 16.5, resolution_type: area", "resolution", "did you mean `resolution_type: pixel`"),
        ("resolution: 480, minimum_image_size: 500, resolution_type: area", "resolution", "did you mean"),
        ("resolution: 0.4, minimum_image_size: 480, resolution_type: area", "minimum_image_size", "did you mean"),
    ],
)
def test_a_size_in_another_unit_is_one_error_with_what_was_likely_meant(settings, pointer, advice, tmp_path):
    match = one(tmp_path, settings)

    assert (match.code, match.pointer, match.severity) == ("R321", f"data.datasets.0.{pointer}", "error")
    assert advice in match.help


def test_buckets_are_unused_only_if_every_data_set_has_a_resolution(tmp_path):
    sized = "{id: a, instance_data_dir: x, resolution: 480}"
    buckets = "buckets: [832x480]"
    (match,) = look(tmp_path, f"[{sized}]\n  {buckets}")

    assert (match.code, match.pointer, match.severity) == ("R321", "data.buckets", "warning")
    assert [note.text for note in match.notes] == ["sizes follow from this"]
    assert look(tmp_path, f"[{sized}, {{id: b, instance_data_dir: y}}]\n  {buckets}") == []
    assert len(look(tmp_path, f"[{sized}, {{id: b, instance_data_dir: y, disabled: true}}]\n  {buckets}")) == 1


def test_a_minimum_above_the_trained_size_warns(tmp_path):
    match = one(tmp_path, "resolution: 480, minimum_image_size: 481")

    assert (match.code, match.severity) == ("R322", "warning")
    assert match.message == "`minimum_image_size` is 481 and `resolution` is 480"


def test_limits_on_the_shape_that_cross_are_an_error(tmp_path):
    match = one(tmp_path, "minimum_aspect_ratio: 1.8, maximum_aspect_ratio: 1.2")

    assert (match.code, match.severity) == ("R322", "error")
    assert match.message == "`minimum_aspect_ratio` is 1.8 and `maximum_aspect_ratio` is 1.2"


@pytest.mark.parametrize(
    ("first", "second", "words"),
    [
        ("instance_data_dir: clips", "instance_data_dir: clips/../clips", "have the same folder"),
        ("instance_data_dir: clips", "instance_data_dir: clips/a", "`b` lies inside that of `a`"),
        ("instance_data_dir: clips/a", "instance_data_dir: clips, resolution: 480", "`a` lies inside that of `b`"),
        ("instance_data_dir: .", "instance_data_dir: clips", "`b` lies inside that of `a`"),
        ("instance_data_dir: /d", "instance_data_dir: /d/e", "`b` lies inside that of `a`"),
        ("instance_data_dir: ../d", "instance_data_dir: ../d/e", "`b` lies inside that of `a`"),
        ("instance_data_dir: clips", "instance_data_dir: clips, dataset_type: eval", "have the same folder"),
    ],
)
def test_folders_that_hold_the_same_clips_are_named_on_both_sides(first, second, words, tmp_path):
    rest = "output_dir: /elsewhere/a\nevaluation: {step_interval: 5}" * ("eval" in second) or "output_dir: /elsewhere/a"
    found = look(tmp_path, f"[{{id: a, {first}}}, {{id: b, {second}}}]\n  store_dir: /elsewhere/b", rest)
    (match,) = found

    assert (match.code, match.pointer, match.severity) == ("R323", "data.datasets.1.instance_data_dir", "warning")
    assert words in match.message
    assert [note.text for note in match.notes] == ["the other folder"]
    assert ("measured" in match.help) == ("eval" in second)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("instance_data_dir: clips", "instance_data_dir: clips, resolution: 480"),
        ("instance_data_dir: clips", "instance_data_dir: clips, start_step: 5"),
        ("instance_data_dir: clips", "instance_data_dir: /clips"),
        ("instance_data_dir: clips", "instance_data_dir: clips-more"),
        ("instance_data_dir: clips", "instance_data_dir: clips, disabled: true"),
        ("instance_data_dir: ../d", "instance_data_dir: ../../d"),
        ("instance_data_dir: ..", "instance_data_dir: ../../d"),
        ("type: aws, aws_bucket_name: x, instance_data_dir: d", "instance_data_dir: d"),
    ],
)
def test_folders_that_are_apart_or_trained_in_another_way_are_left_alone(first, second, tmp_path):
    rest = "output_dir: /elsewhere/a\nevaluation: {step_interval: 5}" * ("eval" in second) or "output_dir: /elsewhere/a"

    assert look(tmp_path, f"[{{id: a, {first}}}, {{id: b, {second}}}]\n  store_dir: /elsewhere/b", rest) == []


def test_masks_may_lie_below_their_clips(tmp_path):
    masks = "{id: m, instance_data_dir: clips/masks, dataset_type: conditioning, conditioning_type: mask}"

    used = "regularizers: {masked_loss: {enabled: true}}"

    assert look(tmp_path, f"[{{id: a, instance_data_dir: clips, conditioning_data: m}}, {masks}]", used) == []


def test_folders_that_are_written_among_the_clips_are_named_where_they_are_given(tmp_path):
    datasets = "[{id: a, instance_data_dir: clips}]"
    (output,) = look(tmp_path, datasets, "output_dir: clips")
    (store,) = look(tmp_path, datasets + "\n  store_dir: clips/store")
    (defaults,) = look(tmp_path, "[{id: a, instance_data_dir: ./}]")
    (same,) = look(tmp_path, datasets + "\n  store_dir: runs/sets")

    assert (output.pointer, store.pointer) == ("output_dir", "data.store_dir")
    assert defaults.message.startswith("`output_dir: runs/sets` and `data.store_dir: store` lie in the folder")
    assert (same.pointer, same.message) == (
        "data.store_dir",
        "`output_dir` and `data.store_dir` are the same folder, `runs/sets`",
    )


def test_a_crop_without_shapes_to_choose_from_is_an_error(tmp_path):
    match = one(tmp_path, "resolution: 480, crop: true, crop_aspect: random")

    assert (match.code, match.severity, match.pointer) == ("R324", "error", "data.datasets.0.crop_aspect")


def test_shapes_that_the_crop_does_not_choose_from_warn(tmp_path):
    match = one(tmp_path, "resolution: 480, crop: true, crop_aspect_buckets: [1.0, 1.5]")

    assert (match.code, match.severity, match.pointer) == ("R324", "warning", "data.datasets.0.crop_aspect_buckets")


def test_moving_clips_to_the_trash_is_said_and_can_be_silenced(tmp_path):
    datasets = "[{id: a, instance_data_dir: clips}]\n  on_problem: delete"
    (match,) = look(tmp_path, datasets)

    assert (match.code, match.severity, match.fix) == ("R326", "warning", "quarantine")
    assert "trash folder" in match.message


MASKS = "{id: masks, instance_data_dir: m, dataset_type: conditioning, conditioning_type: mask%s}"


@pytest.mark.parametrize(
    ("clips", "masks", "pointer", "message"),
    [
        ("conditioning_data: mask", MASKS % "", "0.conditioning_data.0", "no data set has this id"),
        ("conditioning_data: [masks, x]", MASKS % "", "0.conditioning_data.1", "`x`, and no data set has this id"),
        (
            "conditioning_data: [masks, a]",
            MASKS % "",
            "0.conditioning_data.1",
            "`a`, which is of `dataset_type: video`",
        ),
        ("conditioning_data: masks", MASKS % ", disabled: true", "0.conditioning_data.0", "which is disabled"),
        ("split: train", MASKS % "", "1.dataset_type", "no data set names `masks`"),
        ("split: train", MASKS % ", source_dataset_id: b", "1.source_dataset_id", "no data set has this id"),
        ("split: train", MASKS % ", source_dataset_id: masks", "1.source_dataset_id", "has no clips to train"),
        (
            "conditioning_data: masks",
            "{id: masks, instance_data_dir: m, dataset_type: conditioning}",
            "1.dataset_type",
            "needs a `conditioning_type`",
        ),
        ("conditioning_type: mask", "{id: b, instance_data_dir: b}", "0.conditioning_type", "without effect"),
    ],
)
def test_masks_that_do_not_find_their_clips_are_one_finding(clips, masks, pointer, message, tmp_path):
    (match,) = look(tmp_path, f"[{{id: a, instance_data_dir: clips, {clips}}}, {masks}]")

    assert (match.code, match.pointer) == ("R327", f"data.datasets.{pointer}")
    assert message in match.message


def test_a_misspelt_data_set_of_masks_is_put_right(tmp_path):
    clips = "{id: a, instance_data_dir: clips, conditioning_data: [maks]}"
    (match,) = look(tmp_path, f"[{clips}, {MASKS % ''}]")

    assert match.help == "did you mean `masks`?"


def test_masks_say_nothing_while_ids_or_links_are_wrong(tmp_path):
    sets = "{id: a, instance_data_dir: clips, conditioning_data: %s}, " + MASKS % ""

    assert [d.code for d in look(tmp_path, f"[{sets % 'b'}, {{id: 1.5.x/, instance_data_dir: z}}]")] == ["R106"]
    assert [d.code for d in look(tmp_path, f"[{sets % '{a: 1}'}]")] == ["R102"]


def test_masks_may_name_their_clips_themselves(tmp_path):
    used = "regularizers: {masked_loss: {enabled: true}}"

    assert look(tmp_path, f"[{{id: a, instance_data_dir: x}}, {MASKS % ', source_dataset_id: a'}]", used) == []


def test_captions_of_several_lines_are_counted_unless_the_recipe_says_what_they_are(project):
    lines = "[{id: a, instance_data_dir: lines, video: {num_frames: 9}, %s}]\n  buckets: [96x64]"
    (match,) = look(project.parent, lines % "repeats: 0", look_at_data=True)
    (placed,) = look(project.parent, lines % "caption_strategy: textfile", look_at_data=True)

    assert (match.code, match.severity) == ("R328", "warning")
    assert match.message == "1 of 2 captions of data set `a` has several lines: a.mp4"
    assert placed.pointer == "data.datasets.0.caption_strategy"
    assert look(project.parent, lines % "multiline: whole", look_at_data=True) == []
    assert look(project.parent, lines % "caption_strategy: filename", look_at_data=True) == []


def test_a_folder_that_is_there_may_be_named_like_a_video(project):
    clip, folder = project.parent / "clips" / "c0.mp4", project.parent / "film.ts"
    folder.mkdir(exist_ok=True)
    (folder / "a.mp4").write_bytes(clip.read_bytes())
    (folder / "a.txt").write_text("a bar", encoding="utf-8")
    sets = "[{id: a, instance_data_dir: %s, video: {num_frames: 9}}]\n  buckets: [96x64]"

    assert "R333" not in [d.code for d in look(project.parent, sets % "film.ts", look_at_data=True)]
    assert [d.code for d in look(project.parent, sets % "clips/c0.mp4", look_at_data=True)] == ["R333"]


@pytest.mark.parametrize(
    ("folder", "advice"),
    [
        ("hf:owner/clips", "`source: hf:owner/clips`"),
        ("builtin:sample-clips", "`source: builtin:sample-clips`"),
        ("https://example.org/a.zip", "download the clips"),
        ("http://example.org/a.mp4", "download the clips"),
        ("s3://bucket/clips", "`type: aws`"),
        ("'{env:DATA}/clips'", '"{{ env.NAME }}"'),
        ("clips/a.mp4", "write `clips`"),
    ],
)
def test_a_folder_that_is_none_comes_with_what_is_meant(folder, advice, tmp_path):
    (match,) = look(tmp_path, f"[{{id: a, instance_data_dir: {folder}}}]", look_at_data=True)

    assert (match.code, match.severity) == ("R333", "error")
    assert advice in match.help


def test_clips_that_are_measured_alone_are_nothing_to_train(tmp_path):
    (match,) = look(tmp_path, "[{id: a, instance_data_dir: x, dataset_type: eval}]")

    assert (match.code, match.pointer) == ("R334", "data.datasets")
    assert "`eval`" in match.message


def test_a_cache_of_simpletuner_does_not_hide_a_bucket_that_is_too_small(project):
    cache = "{id: t, dataset_type: text_embeds, default: true, cache_dir: cache}"
    override = f"data.datasets=[{{id: clips, instance_data_dir: clips, video: {{num_frames: 9}}}}, {cache}]"
    compiled = compile_recipe(project, Options(overrides=[override, "train.batch_size=9"]))

    assert [d.code for d in compiled.found] == ["R201", "R303"]


GUIDE = """
- id: my-videos
  type: local
  dataset_type: video
  crop: false
  resolution: 480
  minimum_image_size: 480
  maximum_image_size: 480
  target_downsample_size: 480
  resolution_type: pixel_area
  cache_dir_vae: cache/vae/sana/my-videos
  instance_data_dir: datasets/videos
  disabled: false
  caption_strategy: textfile
  metadata_backend: discovery
  repeats: 0
  video: {num_frames: 81, min_frames: 81, bucket_strategy: aspect_ratio}
- id: text-embeds
  type: local
  dataset_type: text_embeds
  default: true
  cache_dir: cache/text/sana
  disabled: false
  write_batch_size: 128
"""


def test_the_data_sets_of_simpletuners_guide_make_one_finding_each(tmp_path):
    first, second = look(tmp_path, GUIDE.replace("\n", "\n    "))

    assert (first.code, first.pointer) == ("R201", "data.datasets.0.maximum_image_size")
    assert first.message.startswith(
        "ignored of `data.datasets.0`: `maximum_image_size`, `target_downsample_size` (every clip is resized once"
    )
    assert "`cache_dir_vae` (latents and texts" in first.message
    assert "metadata_backend" not in first.message
    assert (second.code, second.pointer) == ("R201", "data.datasets.1.dataset_type")
    assert "names a cache, and none is needed here" in second.message


def test_the_file_may_be_pasted_as_json(tmp_path):
    video = {"num_frames": 81, "min_frames": 81, "bucket_strategy": "aspect_ratio"}
    clips = {"id": "a", "type": "local", "instance_data_dir": "clips", "crop": False, "repeats": 0, "video": video}
    cache = {"id": "t", "dataset_type": "text_embeds", "default": True, "disabled": False, "write_batch_size": 128}
    pasted = json.dumps([clips, cache], indent=4).replace("\n", "\n    ")

    assert [(d.code, d.severity) for d in look(tmp_path, pasted)] == [("R201", "warning")]


def test_a_recipe_with_a_cache_of_simpletuner_is_planned(project):
    override = (
        "data.datasets=[{id: clips, instance_data_dir: clips, video: {num_frames: 9}}, "
        "{id: t, dataset_type: text_embeds, cache_dir: cache}]"
    )
    compiled = compile_recipe(project, Options(overrides=[override], must_run=True))

    assert make_plan(compiled).body


def test_an_ignored_setting_alone_is_named_by_its_whole_path(tmp_path):
    match = one(tmp_path, "cache_dir_vae: cache")

    assert match.message.startswith("`data.datasets.0.cache_dir_vae` is ignored: ")


def test_a_caption_file_that_can_not_be_read_has_no_lines_to_count(project):
    home = project.parent / "unreadable"
    make_clip(home / "a.mp4", frames=12).with_suffix(".txt").write_bytes(b"\xff\n\xff")
    make_clip(home / "b.mp4", frames=13, caption="one\ntwo")
    data = "data.datasets=[{id: x, instance_data_dir: unreadable, video: {num_frames: 9}}]"

    survey = compile_recipe(project, Options(overrides=[data])).survey

    assert survey.several_lines == {"x": {"b.mp4": 2}}


def test_a_step_that_can_not_be_filled_is_the_only_finding_about_few_clips(project):
    overrides = ("train.batch_size=9", "data.vae_batch_size=4")
    found = compile_recipe(project, Options(overrides=overrides, must_run=True)).found

    assert [d.code for d in found] == ["R303"]


def test_what_a_missing_folder_should_be_is_looked_for_where_that_can_be_listed(tmp_path, monkeypatch):
    (tmp_path / "clips").mkdir()
    assert meant_folder(tmp_path / "clps", tmp_path, "clps") == "clips"

    def refuse(_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "scandir", refuse)

    assert meant_folder(tmp_path / "clps", tmp_path, "clps") is None
