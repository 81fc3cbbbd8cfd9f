"""Features that several processes align: they train what one process does."""

import pytest
import torch
from transformers import Dinov2Config, Dinov2Model

from fakes_runtime import make_context
from fakes_training import StopAfter, encoded_project, same_bits, saved_parts
from recipe_runtime import train
from recipe_runtime.errors import StoppedBySignal
from recipe_runtime.stop import StopRequested
from recipe_schema.events import Aligned


pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(300),
    pytest.mark.skipif(not torch.distributed.is_available(), reason="this torch knows no other processes"),
]

CREPA = "regularizers.crepa"
ONE = {"train.gradient_accumulation_steps": 4}
TWO = {"launch.processes": 2, "train.gradient_accumulation_steps": 2}
STRATEGIES = {"ddp": TWO, "fsdp2": {**TWO, "launch.strategy": "fsdp2", "memory.gradient_checkpointing": True}}
KINDS = {
    "encoder": {f"{CREPA}.similarity_threshold": 0.9, f"{CREPA}.warmup_steps": 2},
    "backbone": {f"{CREPA}.feature_source": "backbone", f"{CREPA}.teacher_block_index": 1},
    "self-flow": {
        f"{CREPA}.feature_source": "self_flow",
        f"{CREPA}.teacher_block_index": 1,
        "ema.enabled": True,
        "ema.decay": 0.5,
    },
    "lora": {
        f"{CREPA}.feature_source": "self_flow",
        f"{CREPA}.teacher_block_index": 1,
        "ema.enabled": True,
        "ema.decay": 0.5,
        "model.type": "lora",
        "model.lora.rank": 4,
        "model.lora.dropout": 0.3,
    },
}


@pytest.fixture(scope="module")
def teacher(tmp_path_factory):
    """Return the folder of a tiny random teacher: four patches of 14 pixels at size 28."""
    folder = tmp_path_factory.mktemp("teacher")
    torch.manual_seed(1)
    config = Dinov2Config(hidden_size=24, num_hidden_layers=2, num_attention_heads=2, image_size=42)
    Dinov2Model(config).save_pretrained(folder)
    return folder


@pytest.fixture
def aligned(teacher):
    """Return a function that gives the settings of a kind."""
    names = {"enabled": True, "block_index": 0, "encoder_path": str(teacher), "encoder_image_size": 28}
    common = {f"{CREPA}.{name}": value for name, value in names.items()}
    plain = {"prompts": (), "max_steps": 4, "checkpoints.step_interval": 2, "train.max_grad_norm": 0.05}
    return lambda kind, **more: {**plain, "train.mixed_precision": "no", **common, **KINDS[kind], **more}


def run(folder, settings):
    project, ctx, events = encoded_project(folder, **settings)
    train.run(ctx, StopRequested())
    return project, events


def difference(first, second):
    """Return the largest difference of two states, relative to 1."""
    assert {part: set(tensors) for part, tensors in first.items()} == {p: set(t) for p, t in second.items()}
    return max(
        float((tensor.double() - second[part][name].double()).abs().max())
        for part, tensors in first.items()
        for name, tensor in tensors.items()
        if not tensor.isnan().any()
    )


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("kind", KINDS)
def test_two_processes_align_what_one_does(tmp_path, aligned, kind, strategy):
    alone, heard_alone = run(tmp_path / "1", aligned(kind, **ONE))

    together, heard = run(tmp_path / "2", aligned(kind, **STRATEGIES[strategy]))

    mine, theirs = saved_parts(together.run_dir, 4), saved_parts(alone.run_dir, 4)
    assert difference(mine, theirs) <= 1e-6
    assert mine["crepa"]["crepa_projector.linear.weight"].abs().max() > 0
    told, expected = heard.of(Aligned), heard_alone.of(Aligned)
    assert [e.step for e in told] == [e.step for e in expected] != []
    for figure in ("loss", "similarity", "average_similarity", "weight"):
        assert [getattr(e, figure) for e in told] == pytest.approx([getattr(e, figure) for e in expected], abs=1e-6)


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("kind", ["encoder", "self-flow"])
def test_one_process_goes_on_where_two_were_and_two_where_one_was(tmp_path, aligned, kind, strategy):
    whole, _ = run(tmp_path / "whole", aligned(kind, **ONE))
    for name, before, after in (("a", STRATEGIES[strategy], ONE), ("b", ONE, STRATEGIES[strategy])):
        first, _ = run(tmp_path / name, aligned(kind, **before, max_steps=2))

        second, _ = run(tmp_path / f"{name}-2", aligned(kind, **after, **{"checkpoints.resume": str(first.run_dir)}))

        assert difference(saved_parts(second.run_dir, 4), saved_parts(whole.run_dir, 4)) <= 1e-6, name


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_two_processes_stop_and_go_on_bit_for_bit(tmp_path, aligned, strategy):
    settings = aligned("self-flow", **STRATEGIES[strategy])
    straight, _ = run(tmp_path / "straight", settings)
    project, _, _ = encoded_project(tmp_path / "cut", **settings)
    stop = StopAfter(3)
    with pytest.raises(StoppedBySignal):
        train.run(make_context(project, [stop]), stop)

    train.run(make_context(project), StopRequested())

    assert same_bits(saved_parts(project.run_dir, 4), saved_parts(straight.run_dir, 4))


@pytest.mark.parametrize("mode", ["permanent", "recoverable"])
def test_the_threshold_is_that_of_all_samples(tmp_path, aligned, mode):
    reached = {f"{CREPA}.similarity_threshold": -1.0, f"{CREPA}.threshold_mode": mode}
    _, heard_alone = run(tmp_path / "1", aligned("backbone", **ONE, **reached))

    _, heard = run(tmp_path / "2", aligned("backbone", **TWO, **reached))

    told, expected = heard.of(Aligned), heard_alone.of(Aligned)
    assert [(e.step, e.weight) for e in told] == [(e.step, e.weight) for e in expected]
    assert len(told) == (1 if mode == "permanent" else 4)
    assert [e.similarity for e in told] == pytest.approx([e.similarity for e in expected], abs=1e-6)
