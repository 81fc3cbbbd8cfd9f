import os
import shutil
from pathlib import Path

import pytest

from fakes_clips import make_clip, make_project
from fakes_masks import make_mask
from recipe_compiler.cli.main import main
from recipe_compiler.data.verify import verify
from recipe_compiler.pipeline import Options, compile_recipe, make_plan


CLIPS = "{id: clips, instance_data_dir: clips, conditioning_data: masks, video: {num_frames: 9}}"
MASKS = "{id: masks, instance_data_dir: masks, dataset_type: conditioning, conditioning_type: mask}"
ON = "regularizers.masked_loss.enabled=true"


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    return make_project(tmp_path_factory.mktemp("template")).parent


@pytest.fixture
def project(template, tmp_path):
    return shutil.copytree(template, tmp_path / "project")


def compiled(project, *overrides, sets=f"{CLIPS}, {MASKS}"):
    options = Options(overrides=(ON, f"data.datasets=[{sets}]", *overrides), must_run=True)
    return compile_recipe(project / "recipe.yaml", options)


def of(result, name="clips"):
    return {row.path: row.mask_path for row in result.survey.of(name)}


def brief(result):
    return [(d.code, d.severity, d.pointer.removeprefix("data.datasets.")) for d in result.found]


def test_each_clip_gets_the_mask_of_its_name(project):
    result = compiled(project)

    assert result.found == ()
    assert of(result) == {f"c{i}.mp4": f"c{i}.png" for i in range(4)}
    row = result.survey.rows[0]
    file = project / "masks" / "c0.png"
    assert (row.mask_dataset, row.mask_size_bytes) == ("masks", file.stat().st_size)
    assert (row.mask_mtime_ns, len(row.mask_sha256)) == (file.stat().st_mtime_ns, 64)


@pytest.mark.parametrize(
    ("sets", "overrides"),
    [
        (f"{CLIPS}, {MASKS}", ["regularizers.masked_loss.enabled=false"]),
        (f"{CLIPS}, {MASKS[:-1]}, disabled: true}}", []),
        (f"{CLIPS[:-1]}, disabled: true}}, {MASKS}", []),
        (f"{CLIPS.replace('conditioning_data: masks, ', '')}, {MASKS}", []),
        (f"{CLIPS}, {MASKS.replace('instance_data_dir: masks, ', '')}", []),
        (f"{CLIPS}, {MASKS}", ["regularizers.masked_loss.enabled=7"]),
        (f"{CLIPS[:-1]}, dataset_type: eval}}, {MASKS}", []),
        (f"{CLIPS}, {MASKS[:-1]}, repeats: -1}}", []),
    ],
)
def test_masks_are_looked_at_only_where_they_count(sets, overrides, project):
    result = compiled(project, *overrides, sets=sets)

    assert result.survey.masks == ()
    assert set(of(result).values()) == {""}


def test_a_mask_may_name_its_clips_lie_in_subfolders_and_be_a_video(project):
    shutil.copytree(project / "clips", project / "deep" / "a.b")
    for index, name in enumerate(("c0.JPG", "c1.mkv", "c2.png", "c3.png")):
        if name.endswith(".mkv"):
            make_clip(project / "deep-masks" / "a.b" / name)
        elif name.endswith(".png"):
            make_mask(project / "deep-masks" / "a.b" / f"c{index}.png")
    (project / "deep-masks" / "a.b" / "notes.txt").write_text("not a mask", encoding="utf-8")
    make_mask(project / "deep-masks" / ".hidden" / "c0.png")
    sets = "{id: clips, instance_data_dir: deep, video: {num_frames: 9}}, " + MASKS[:-1].replace(
        "dir: masks", "dir: deep-masks"
    )

    result = compiled(project, sets=sets + ", source_dataset_id: clips}")

    assert of(result) == {
        "a.b/c0.mp4": "",
        **{f"a.b/c{i}.mp4": f"a.b/c{i}.{e}" for i, e in ((1, "mkv"), (2, "png"))},
    } | {"a.b/c3.mp4": "a.b/c3.png"}
    assert brief(result) == [("R360", "warning", "1.conditioning_type")]


def test_masks_may_lie_beside_their_clips(project):
    shutil.copytree(project / "masks", project / "clips", dirs_exist_ok=True)

    result = compiled(project, sets=f"{CLIPS}, {MASKS.replace('dir: masks', 'dir: clips')}")

    assert result.found == ()
    assert of(result)["c3.mp4"] == "c3.png"


def test_clips_without_masks_and_masks_without_clips_are_counted_and_named(project):
    for index in range(4):
        (project / "masks" / f"c{index}.png").rename(project / "masks" / f"{'x' if index else 'c'}{index}.png")
    make_mask(project / "masks" / "more.png")

    result = compiled(project)

    assert brief(result) == [("R360", "warning", "1.conditioning_type")] * 2
    first, second = (d.message for d in result.found)
    assert first == "3 of 4 clips of data set `clips` have no mask and count everywhere: `c1.mp4`, `c2.mp4`, `c3.mp4`"
    assert second == "4 of 5 masks have no clip in data set `clips`: `more.png`, `x1.png`, `x2.png` and 1 more"
    assert "masks such as `c1.png` to data set `masks`" in result.found[0].help


def test_a_mask_of_a_clip_that_is_left_out_is_not_reported(project):
    result = compiled(project, sets=f"{CLIPS[:-1]}, max_num_samples: 3}}, {MASKS}")

    assert result.found == ()
    assert sorted(of(result).values())[:2][0] == ""


@pytest.mark.parametrize(
    ("folder", "message"),
    [("mixed", "none of the 3 files of `masks` has a clip's name"), ("runs/none", "`masks` holds no mask")],
)
def test_that_no_mask_finds_its_clip_is_an_error(folder, message, project):
    (project / folder).mkdir(parents=True, exist_ok=True)

    result = compiled(project, sets=f"{CLIPS}, {MASKS.replace('dir: masks', f'dir: {folder}')}")

    assert ("R360", "error", "1.instance_data_dir") in brief(result)
    (match,) = [d for d in result.found if d.code == "R360"]
    assert match.message == f"no clip of data set `clips` has a mask: {message}"


def test_a_folder_of_masks_that_is_not_there_is_one_finding(project):
    result = compiled(project, sets=f"{CLIPS}, {MASKS.replace('dir: masks', 'dir: nowhere')}")

    assert brief(result) == [("R301", "error", "1.instance_data_dir")]


def test_masks_that_would_be_trained_are_an_error(project):
    make_clip(project / "clips" / "masks" / "c0.mp4", caption="a mask")

    result = compiled(project, sets=f"{CLIPS}, {MASKS.replace('dir: masks', 'dir: clips/masks')}")

    (match,) = [d for d in result.found if d.code == "R360"]
    assert (match.severity, match.pointer) == ("error", "data.datasets.1.instance_data_dir")
    assert "1 masks of data set `masks` lie in a folder of clips and would be trained: `c0.mp4`" in match.message


def test_masks_that_cannot_be_used_are_listed_with_their_reasons(project):
    masks = project / "masks"
    (masks / "c0.png").write_bytes(b"no picture")
    make_mask(masks / "c1.jpg.png")
    make_clip(masks / "c1.mp4")
    (masks / "c2.png").unlink()
    make_clip(masks / "c2.mp4", frames=8)
    make_mask(masks / "c3.png", size=(96, 62))

    result = compiled(project)

    assert brief(result) == [
        ("R361", "error", "1.instance_data_dir"),
        ("R361", "warning", "1.instance_data_dir"),
        ("R360", "warning", "1.conditioning_type"),
    ]
    (refused,) = [d for d in result.found if d.code == "R361" and d.severity == "error"]
    (stretched,) = [d for d in result.found if d.code == "R361" and d.severity == "warning"]
    assert refused.message == "3 of 6 masks of data set `masks` can't be used"
    assert "c0.png: is no readable picture" in refused.help
    assert "c1.mp4: `c1.png` is for the same clip, `clips/c1.mp4`" in refused.help
    assert "c2.mp4: it ends after 8 frames where the sample of its clip ends with frame 9" in refused.help
    assert stretched.message == "1 of 6 masks of data set `masks` have another shape than their clips"
    assert "c3.png: it has 96x62 and is stretched to the shape of its clip, 96x64" in stretched.help
    assert of(result) == {"c0.mp4": "", "c1.mp4": "", "c2.mp4": "", "c3.mp4": "c3.png"}


def test_more_masks_than_are_named_are_counted(project):
    for index in range(4):
        (project / "masks" / f"c{index}.png").write_bytes(b"no picture")

    (match,) = compiled(project).found

    assert match.code == "R361"
    assert match.help.endswith("; and 1 more")


def test_a_video_of_masks_may_be_as_short_as_the_sample_and_is_counted_in_frames_without_a_rate(project):
    (project / "masks" / "c2.png").unlink()
    make_clip(project / "masks" / "c2.mp4", frames=9)

    def reasons(**video):
        keys = ", ".join(f"{key}: {value}" for key, value in {"num_frames": 9, **video}.items())
        sets = f"{CLIPS.replace('{num_frames: 9}', f'{{{keys}}}')}, {MASKS}"
        return [mask.reason for mask in compiled(project, sets=sets).survey.masks[0].unfit]

    assert reasons() == []
    assert reasons(fps="ignore") == []
    assert reasons(window="middle") == ["it ends after 9 frames where the sample of its clip ends with frame 47"]
    assert reasons(fps="ignore", window="middle") == [
        "it ends after 9 frames where the sample of its clip ends with frame 47"
    ]


def test_a_name_that_is_not_utf_8_is_no_mask(project):
    name = os.fsencode(project / "masks") + b"/c\xff.png"
    with open(name, "wb") as file:
        file.write(b"x")

    assert compiled(project).survey.masks[0].files == 4


def test_a_plan_without_masks_keeps_its_id_and_one_with_others_has_its_own(project):
    off = make_plan(compiled(project, "regularizers.masked_loss.enabled=false"))
    on = make_plan(compiled(project))
    shutil.rmtree(project / "masks")
    for index in range(4):
        make_mask(project / "masks" / f"c{index}.png", white=7)
    other = make_plan(compiled(project))

    assert off.body.ledger_digest == make_plan(compile_recipe(project / "recipe.yaml", Options())).body.ledger_digest
    assert len({plan.body.ledger_digest for plan in (off, on, other)}) == 3
    key = {
        name: [s.key for s in plan.body.stages if s.id == "encode-video"] for name, plan in (("a", on), ("b", other))
    }
    assert key["a"] != key["b"]


def test_a_plan_notices_masks_that_change_and_tells_of_them(project, capsys):
    recipe = project / "masked.yaml"
    recipe.write_text(
        f"extends: recipe.yaml\nregularizers: {{masked_loss: {{enabled: true}}}}\ndata: {{datasets: [{CLIPS}, {MASKS}]}}\n",
        encoding="utf-8",
    )
    assert main(["plan", str(recipe), "-o", str(project / "x.plan")]) == 0
    assert main(["explain", str(project / "x.plan"), "--clip", "c1.mp4"]) == 0
    assert "  mask     masks/c1.png, sha256 " in capsys.readouterr().out
    assert verify(project / "x.plan").found == ()

    (project / "masks" / "c0.png").unlink()
    make_mask(project / "masks" / "c1.png", white=9)
    found = verify(project / "x.plan").found

    assert [d.message.partition(" has")[0].partition(" is gone")[0] for d in found] == [
        "the mask `masks/c0.png`",
        "the mask `masks/c1.png`",
    ]
    assert [d.code for d in found] == ["R706", "R705"]


def test_the_shipped_fragment_adds_masks_to_a_recipe(project):
    fragment = Path(__file__).parents[2] / "recipes" / "fragments" / "masked_loss.yaml"
    recipe = project / "masked.yaml"
    recipe.write_text(f'extends: [recipe.yaml, "{fragment}"]\nvars: {{masks: masks}}\n', encoding="utf-8")

    result = compile_recipe(recipe, Options(must_run=True))

    assert result.found == ()
    assert of(result) == {f"c{i}.mp4": f"c{i}.png" for i in range(4)}


LABELS = MASKS.replace("conditioning_type: mask", "conditioning_type: segmentation, label_weights: {255: 1}")


def test_labels_find_their_clips_as_masks_do_and_enter_the_plan(project):
    result = compiled(project, sets=f"{CLIPS}, {LABELS}")
    other = compiled(project, sets=f"{CLIPS}, {LABELS.replace('255: 1', '255: 1, 7: 0.5')}")

    assert result.found == ()
    assert of(result) == {f"c{i}.mp4": f"c{i}.png" for i in range(4)}
    ids = [make_plan(one).plan_id for one in (result, other, compiled(project))]
    assert len(set(ids)) == 3


@pytest.mark.parametrize("kind", ["segmentation", "mask"])
def test_labels_that_were_compressed_with_loss_are_refused(kind, project):
    (project / "masks" / "c1.png").unlink()
    make_clip(project / "masks" / "c1.mkv")

    result = compiled(project, sets=f"{CLIPS}, {MASKS.replace('type: mask', f'type: {kind}')}")

    if kind == "mask":
        assert result.found == ()
        return
    (finding,) = result.found
    assert (finding.code, finding.severity) == ("R361", "error")
    assert "c1.mkv: it is compressed with h264, which changes colours" in finding.help
