"""What alignment with a teacher costs, and where it is said."""

import pytest

from fakes_clips import make_project
from recipe_compiler.cli.diff_text import _cost
from recipe_compiler.cli.plan_text import cost_text, size
from recipe_compiler.passes.compare import Pair
from recipe_compiler.passes.estimate import estimate
from recipe_compiler.passes.figures import disk_gb, disk_parts
from recipe_compiler.pipeline import Options, compile_recipe
from recipe_schema.family import load_family
from recipe_schema.plan import Bucket, Schedule


CREPA = "regularizers.crepa"
ON = {f"{CREPA}.enabled": True}
BACKBONE = {**ON, f"{CREPA}.feature_source": "backbone", f"{CREPA}.teacher_block_index": 15}


@pytest.fixture(scope="module")
def values(tmp_path_factory):
    """Return the settings of a recipe."""
    return compile_recipe(make_project(tmp_path_factory.mktemp("project")), Options()).settings.values()


def cost(values, **changes):
    buckets = (Bucket(width=832, height=480, frames=81, clips=10, samples=10),)
    schedule = Schedule(max_steps=100, samples_per_step=1, samples_per_epoch=10)
    return estimate(
        {**values, "model.random_weights": None, **changes},
        load_family("sana-video-480p"),
        buckets,
        schedule,
        {b.name: b.clips for b in buckets},
    )


def test_nothing_is_counted_where_it_is_off(values):
    off = cost(values)

    assert off["features_gb"] == 0
    assert "alignment" not in off["memory_parts_gb"]
    assert list(disk_parts(off)) == ["latents", "checkpoints", "export"]


@pytest.mark.parametrize(
    ("encoder", "edge", "megabytes", "teraflop"),
    [("dinov2_vitg14", 518, 1369 * 1536 * 21 * 2 / 1e6, 75.1), ("dinov2_vits14", 224, 256 * 384 * 21 * 2 / 1e6, 0.264)],
)
def test_features_and_the_teachers_work_are_counted_for_each_clip(values, encoder, edge, megabytes, teraflop):
    off = cost(values)

    found = cost(values, **{**ON, f"{CREPA}.encoder": encoder, f"{CREPA}.encoder_image_size": edge})

    assert found["features_gb"] == pytest.approx(10 * (megabytes / 1e3 + 2e-6), rel=1e-3)
    assert found["encode_pflop"] - off["encode_pflop"] == pytest.approx(10 * teraflop / 1e3, abs=1e-3)


def test_the_projector_is_in_memory_and_in_checkpoints(values):
    off, found, inside = cost(values), cost(values, **ON), cost(values, **BACKBONE)
    projector = 2 * 2240 + 2240 * 1536 + 1536
    tokens, features = 32_760 * 2240 * 4, 1369 * 1536 * 21 * 2

    assert found["memory_parts_gb"]["alignment"] == pytest.approx((16 * projector + tokens + features) / 1e9, rel=1e-3)
    assert inside["memory_parts_gb"]["alignment"] == pytest.approx(
        (16 * (2 * 2240 + 2241 * 2240) + tokens) / 1e9, rel=1e-3
    )
    assert found["memory_gb"] == pytest.approx(off["memory_gb"] + found["memory_parts_gb"]["alignment"], rel=1e-3)
    assert found["checkpoints_gb"] > off["checkpoints_gb"]
    assert inside["features_gb"] == 0


def test_a_plan_says_what_features_take_on_the_disk(values):
    found = cost(values, **ON)

    assert f", features {size(found['features_gb'])}, checkpoints " in cost_text(found)[2]
    assert ", features" not in cost_text(cost(values))[2]
    assert disk_gb(found) == pytest.approx(sum(disk_parts(found).values()))


def test_a_plan_of_an_earlier_version_is_compared_without_features(values):
    old = {name: value for name, value in cost(values).items() if name != "features_gb"}
    assert list(disk_parts(old)) == ["latents", "checkpoints", "export"]

    lines = [
        list(_cost([Pair(name="features_gb", old=old, new=new)]))
        for old, new in ((None, 0.0), (None, 0.88), (0.88, None))
    ]

    assert lines[0] == []
    assert lines[1][0].startswith("a teacher's features on disk: 0")
    assert lines[2][0].endswith("→ " + lines[1][0].split(": ")[1].split(" → ")[0])
