"""What an adapter costs, compared with a tracker of fake tensors over the real class at 832x480 with 81 frames."""

import pytest

from fakes_clips import make_project
from recipe_compiler.cli.diff_text import _cost
from recipe_compiler.cli.plan_text import cost_text, size
from recipe_compiler.passes.compare import Pair, _flat
from recipe_compiler.passes.cures import _candidates
from recipe_compiler.passes.estimate import estimate, memory_parts
from recipe_compiler.passes.layers import factors
from recipe_compiler.pipeline import Options, compile_recipe
from recipe_schema.family import load_family
from recipe_schema.plan import Bucket, Schedule


TOKENS = 32_760
UNIT = TOKENS * 2240 * 2
CONFIG = load_family("sana-video-480p").raw["transformer"]
ATTENTION = ["to_q", "to_k", "to_v", "to_out.0"]
KEPT = {"memory.gradient_checkpointing": False}
LOKR = {"model.lora.type": "lokr"}
BIASES = {"model.type": "full", "train.layer_freeze_strategy": "bitfit"}


@pytest.fixture(scope="module")
def values(tmp_path_factory):
    """Return the settings of a recipe that trains an adapter of rank 16 on the attentions."""
    recipe = make_project(tmp_path_factory.mktemp("project"))
    return compile_recipe(recipe, Options(overrides=("model.type=lora",))).settings.values()


@pytest.mark.parametrize(
    ("layers", "changes", "tracked"),
    [
        (4, {}, 71.41),
        (2, {}, 67.41),
        (4, KEPT, 242.88),
        (2, KEPT, 124.55),
        (4, {"model.lora.target_modules": [*ATTENTION, "conv_inverted", "conv_point"]}, 81.43),
        (4, {**KEPT, "model.lora.target_modules": [*ATTENTION, "conv_inverted", "conv_point"]}, 261.95),
        (4, {**KEPT, "model.lora.dropout": 0.1}, 284.88),
        (4, {**KEPT, "model.lora.use_dora": True}, 291.03),
        (4, {**KEPT, "train.mixed_precision": "no"}, 347.04),
        (4, {"train.mixed_precision": "no"}, 102.47),
        (2, {**KEPT, **LOKR}, 125.07),
        (4, {**KEPT, **LOKR}, 244.12),
        (4, LOKR, 71.77),
        (4, {**LOKR, "train.mixed_precision": "no"}, 103.21),
        (4, {**KEPT, **BIASES}, 244.68),
        (4, BIASES, 70.41),
        (4, {**BIASES, "train.mixed_precision": "no"}, 102.42),
    ],
)
def test_activations_under_an_adapter_agree_with_a_tracker(values, layers, changes, tracked):
    parts = memory_parts({**values, **changes}, {**CONFIG, "num_layers": layers}, TOKENS)

    dynamic = (parts["gradients"] + parts["activations"]) * 1e9 / UNIT

    assert dynamic == pytest.approx(tracked, rel=0.02)


def test_frozen_weights_adapter_and_its_state_are_counted_apart(values):
    parts = memory_parts({**values, "ema.enabled": True}, CONFIG, TOKENS)

    adapter = 20 * 8 * 16 * (2240 + 2240) * 4 / 1e9
    assert parts["weights"] == pytest.approx(2_056_862_144 * 2 / 1e9 + adapter)
    assert parts["gradients"] == parts["ema"] == pytest.approx(adapter)
    assert parts["optimizer"] == pytest.approx(2 * adapter)


BLOCK, REST = 100_533_440, 46_193_344


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"train.mixed_precision": "no"}, (20 * BLOCK + REST) * 4),
        ({"model.base_model_precision": "int8-quanto"}, 20 * BLOCK + REST * 2),
        ({"model.base_model_precision": "int4-quanto"}, 20 * BLOCK * 0.53125 + REST * 2),
        ({"model.base_model_precision": "fp8-torchao"}, 20 * BLOCK + REST * 2),
        ({"model.base_model_precision": "int4-torchao"}, 20 * BLOCK * (0.5 + 5 / 112) + REST * 2),
        ({"memory.group_offload.enabled": True}, (BLOCK + REST) * 2),
        ({"memory.group_offload.enabled": True, "memory.group_offload.use_stream": True}, (2 * BLOCK + REST) * 2),
        ({"memory.group_offload.enabled": True, "memory.group_offload.blocks_per_group": 40}, (20 * BLOCK + REST) * 2),
        ({"memory.group_offload.enabled": True, "memory.group_offload.type": "leaf_level"}, (BLOCK / 4 + REST) * 2),
    ],
)
def test_the_base_is_counted_as_it_is_stored(values, changes, expected):
    plain = memory_parts({**values, **changes}, CONFIG, TOKENS)
    adapter = plain["gradients"]

    assert plain["weights"] - adapter == pytest.approx(expected / 1e9)


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


def test_an_adapter_saves_a_third_of_the_work_and_nearly_all_of_the_disk(values):
    lora, full = cost(values), cost(values, **{"model.type": "full"})

    assert lora["step_tflop"] / lora["forward_tflop"] == pytest.approx(3, rel=1e-3)
    assert full["step_tflop"] / full["forward_tflop"] == pytest.approx(4, rel=1e-3)
    assert (lora["trained_parameters"], full["trained_parameters"]) == (11_468_800, 2_056_862_144)
    assert lora["export_gb"] == pytest.approx(11_468_800 * 4 / 1e9, rel=1e-3)
    assert lora["checkpoints_gb"] == pytest.approx(full["checkpoints_gb"] * 11_468_800 / 2_056_862_144, rel=1e-3)
    assert 18 < lora["memory_gb"] < 21


@pytest.mark.parametrize(
    ("number", "wished", "pair"),
    [
        (2240, 16, (16, 140)),
        (2240, 7, (7, 320)),
        (2240, -1, (40, 56)),
        (2304, 10, (9, 256)),
        (127, 16, (1, 127)),
        (12, 8, (3, 4)),
    ],
)
def test_a_side_is_cut_into_factors(number, wished, pair):
    assert factors(number, wished) == pair


def test_a_product_is_small_on_the_disk(values):
    found = cost(values, **LOKR)

    assert found["trained_parameters"] == 757_760
    assert found["export_gb"] == pytest.approx(757_760 * 4 / 1e9, rel=1e-3)


def test_a_merged_export_holds_the_adapter_and_a_whole_model(values):
    adapter, merged = cost(values), cost(values, **{"model.lora.merge": True})
    full = cost(values, **{"model.type": "full"})

    assert merged["export_gb"] == pytest.approx(adapter["export_gb"] + full["export_gb"], rel=1e-3)


def test_a_split_is_kept_in_checkpoints_and_exported_at_twice_the_rank(values):
    plain, split = cost(values), cost(values, **{"model.lora.init": "pissa"})

    assert split["export_gb"] == pytest.approx(2 * plain["export_gb"], rel=1e-3)
    assert split["checkpoints_gb"] == pytest.approx(plain["checkpoints_gb"] * 4 / 3, rel=1e-3)
    assert split["trained_parameters"] == plain["trained_parameters"]


def test_biases_are_a_small_checkpoint_and_a_whole_export(values):
    biases, full = cost(values, **BIASES), cost(values, **{"model.type": "full"})

    assert biases["trained_parameters"] == 786_304
    assert biases["export_gb"] == full["export_gb"]
    assert biases["checkpoints_gb"] == pytest.approx(full["checkpoints_gb"] * 786_304 / 2_056_862_144, rel=1e-3)
    assert biases["step_tflop"] / biases["forward_tflop"] == pytest.approx(3, rel=1e-3)
    assert biases["memory_parts_gb"]["weights"] == pytest.approx(2_056_862_144 * 2 / 1e9, rel=1e-2)


@pytest.mark.parametrize(("interval", "passes"), [(1, 4), (2, 3.5), (3, 3.35), (20, 3.05)])
def test_an_interval_of_checkpointing_trades_work_for_memory(values, interval, passes):
    settings = {"model.type": "full", "memory.gradient_checkpointing_interval": interval}

    found = cost(values, **settings)

    assert found["step_tflop"] / found["forward_tflop"] == pytest.approx(passes, rel=1e-3)
    parts = [cost(values, **{**settings, **more})["memory_parts_gb"]["activations"] for more in ({}, KEPT)]
    assert parts[0] < parts[1] + 4


def test_an_adapter_of_layers_outside_the_blocks_has_an_estimate_too(values):
    assert cost(values, **{"model.lora.target_modules": ["proj_out"]})["trained_parameters"] == 16 * (2240 + 64)


SPREAD = {"launch.processes": 4, "launch.strategy": "fsdp2", "model.type": "full"}


def test_what_waits_in_main_memory_is_counted(values):
    weights, adapter = 2_056_862_144 * 4 / 1e9, 11_468_800 * 4 / 1e9
    full = {"model.type": "full", "ema.enabled": True}

    assert cost(values, **full)["main_memory_parts_gb"] == {}
    assert cost(values, **full)["main_memory_gb"] == 0
    away = cost(values, **full, **{"ema.device": "cpu", "checkpoints.background": True})
    assert away["main_memory_parts_gb"] == {
        "ema": pytest.approx(weights, rel=1e-3),
        "checkpoint": pytest.approx(4 * weights, rel=1e-3),
    }
    assert away["main_memory_gb"] == pytest.approx(5 * weights, rel=1e-3)
    offloaded = {"memory.group_offload.enabled": True, "memory.group_offload.blocks_per_group": 4}
    waits = cost(values, **offloaded)["main_memory_parts_gb"]["offloaded weights"]
    assert waits == pytest.approx(2_056_862_144 * 2 / 1e9 * 0.978 * 16 / 20, rel=0.01)
    assert cost(values, **offloaded, **{"memory.group_offload.to_disk_path": "away"})["main_memory_parts_gb"] == {}
    slices = cost(values, **SPREAD, **{"ema.enabled": True, "ema.device": "cpu"})["main_memory_parts_gb"]
    assert slices == {
        "ema": pytest.approx(weights / 4, rel=1e-3),
        "checkpoint": pytest.approx(4 * weights, rel=1e-3),
    }
    assert cost(values, **SPREAD, **{"checkpoints.layout": "sharded"})["main_memory_parts_gb"] == {
        "whole weights": pytest.approx(weights, rel=1e-3)
    }
    assert cost(values, **{**SPREAD, "model.type": "lora"})["main_memory_parts_gb"] == {
        "whole weights": pytest.approx(weights, rel=1e-3)
    }
    assert adapter * 3 < weights


def test_a_plan_says_what_waits_in_main_memory(values):
    found = cost(values, **SPREAD)

    line = f"main mem.  about {size(found['main_memory_gb'])} in the first process (checkpoint 24.7 GB)"
    assert line in cost_text(found)
    assert len(cost_text(cost(values))) == len(cost_text(found)) - 1
    old = {name: value for name, value in found.items() if not name.startswith("main_memory")}
    assert len(cost_text(old)) == len(cost_text(found)) - 1
    told = [list(_cost([Pair(name="main_memory_gb", old=a, new=b)])) for a, b in ((None, 0.0), (None, 2.0), (2.0, 1.0))]
    assert told == [[], ["main memory: 0 kB → 2.0 GB"], ["main memory: 2.0 GB → 1.0 GB (-50%)"]]
    flat = _flat(found)
    assert flat["main_memory_parts_gb.checkpoint"] == found["main_memory_gb"]
    assert _flat(old).keys() == {name for name in flat if not name.startswith("main_memory")}


def test_slices_wait_while_the_average_teaches(values):
    teaches = {
        "regularizers.crepa.enabled": True,
        "regularizers.crepa.feature_source": "self_flow",
        "ema.enabled": True,
    }
    inside = {**teaches, "regularizers.crepa.feature_source": "backbone"}

    with_it, without = (cost(values, **SPREAD, **more)["memory_parts_gb"]["weights"] for more in (teaches, inside))

    assert with_it - without == pytest.approx(2_056_862_144 * 4 / 4 / 1e9, rel=1e-2)


def test_what_takes_less_is_nothing_that_is_refused(values):
    def cures(**more):
        plain = {**values, "model.random_weights": None, "model.type": "full", "launch.processes": 2, **more}
        return [settings for settings, _ in _candidates(plain)]

    assert {"launch.strategy": "fsdp2"} in cures()
    for refused in ({"optimizer.name": "came"}, {"hardware.compile": "max-autotune"}, {"model.type": "lora"}):
        assert {"launch.strategy": "fsdp2"} not in cures(**refused)
    assert {"optimizer.name": "adamw_bf16"} in cures()
    assert {"optimizer.name": "adamw_bf16"} not in cures(**{"launch.strategy": "fsdp2"})
    assert any("train.batch_size" in settings for settings in cures(**{"train.batch_size": 4}))
    released = {"train.batch_size": 4, "optimizer.release_gradients": True}
    assert not any("train.batch_size" in settings for settings in cures(**released))
    lora = {"model.type": "lora", "launch.strategy": "fsdp2"}
    assert {"model.base_model_precision": "int8-torchao"} in cures(**lora)
