"""Weights that are spread over processes by FSDP2: they train what one process does."""

import json

import pytest
import torch

from fakes_runtime import CLIPS, Clip, make_context
from fakes_store import replace_value
from fakes_training import StopAfter, encoded_project, same_bits, saved_parts
from recipe_runtime import train
from recipe_runtime.encode_video import latent_index
from recipe_runtime.errors import NonFiniteLoss, PlanRefused, StoppedBySignal
from recipe_runtime.stop import StopRequested
from recipe_runtime.team import Team
from recipe_schema.events import ClipDrawn, Evaluated, MemoryProbed, StepDone
from recipe_schema.plan import Prompt


pytestmark = [
    pytest.mark.timeout(300),
    pytest.mark.skipif(not torch.distributed.is_available(), reason="this torch knows no other processes"),
    # Of torch, whose compiler looks at inputs that are no leaves.
    pytest.mark.filterwarnings("ignore:The .grad attribute:UserWarning"),
]

SHARDED = {"launch.processes": 2, "launch.strategy": "fsdp2"}
MEASURED = (*CLIPS, Clip(name="e.mp4", caption="an eye", fate="evaluated"))
KINDS = {
    "full": {"ema.enabled": True, "train.max_grad_norm": 0.05, "memory.gradient_checkpointing": True},
    "lora": {
        "model.type": "lora",
        "model.lora.dropout": 0.3,
        "model.lora.rank": 4,
        "optimizer.learning_rate": 1e-3,
        "ema.enabled": True,
        "memory.gradient_checkpointing": True,
    },
}
ADAPTED = {"model.type": "lora", "model.lora.rank": 4, "optimizer.learning_rate": 1e-3}
OTHERS = {
    "dora": {**ADAPTED, "model.lora.use_dora": True, "memory.gradient_checkpointing": True},
    "lokr": {**ADAPTED, "model.lora.type": "lokr", "ema.enabled": True},
    "pissa": {**ADAPTED, "model.lora.init": "pissa", "memory.gradient_checkpointing": True},
    "olora": {**ADAPTED, "model.lora.init": "olora"},
    "int8": {**ADAPTED, "model.base_model_precision": "int8-torchao", "memory.gradient_checkpointing": True},
    "fp8-pissa": {**ADAPTED, "model.base_model_precision": "fp8-torchao", "model.lora.init": "pissa"},
    "int4": {**ADAPTED, "model.base_model_precision": "int4-torchao"},
    "biases": {"train.layer_freeze_strategy": "bitfit"},
    "schedule-free": {"optimizer.name": "schedule-free", "evaluation.step_interval": 2, "clips": MEASURED},
    "rollout": {"regularizers.rollout.max_step_offset": 5, "regularizers.rollout.probability": 0.5},
    "compiled": {"hardware.compile": "default", "memory.gradient_checkpointing": True},
    "compiled-lora": {**ADAPTED, "hardware.compile": "default"},
}
GIVEN = {"data.datasets.0.video.is_i2v": True, "data.datasets.0.video.i2v_probability": 0.5}


TRACED = """
import torch

plain = torch.compile
torch.compile = lambda function, *, dynamic, mode: plain(function, dynamic=dynamic, backend="aot_eager")
"""
"""Lets programs be made without a compiler of C++: tracing and differentiation are torch's."""


@pytest.fixture
def traced(tmp_path, monkeypatch):
    """Let this process and those that it starts trace what they would compile."""
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(TRACED, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path / "site")
    plain = torch.compile

    def compiled(function, *, dynamic, mode):
        assert mode == "default"
        return plain(function, dynamic=dynamic, backend="aot_eager")

    monkeypatch.setattr(torch, "compile", compiled)
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


def settings_of(kind, **more):
    return {"prompts": (), "max_steps": 4, "checkpoints.step_interval": 2, **KINDS.get(kind, {}), **more}


def largest_difference(first, second):
    assert {part: set(tensors) for part, tensors in first.items()} == {p: set(t) for p, t in second.items()}
    return {
        part: max(
            float((tensor.double() - second[part][name].double()).abs().max()) for name, tensor in tensors.items()
        )
        for part, tensors in first.items()
    }


ROLLED = {
    f"regularizers.rollout.{name}": value
    for name, value in {"max_step_offset": 4, "probability": 0.5, "sampler": "heun", "reflexflow": True}.items()
}
"""Each process has other samples to roll out, and other lengths; all have to gather the weights as often."""


def run(folder, kind, **more):
    project, ctx, events = encoded_project(folder, **settings_of(kind, **more))
    train.run(ctx, StopRequested())
    return project, events


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "mixed", "more"),
    [
        ("full", "no", {}),
        ("full", "bf16", {}),
        ("lora", "no", {}),
        ("lora", "bf16", {}),
        ("full", "no", GIVEN),
        ("full", "no", ROLLED),
    ],
    ids=["full", "full-bf16", "lora", "lora-bf16", "image-to-video", "rollouts"],
)
def test_spread_weights_train_what_whole_ones_do(tmp_path, kind, mixed, more):
    mixed_precision = {"train.mixed_precision": mixed, **more}
    alone, heard_alone = run(tmp_path / "1", kind, **{"train.gradient_accumulation_steps": 4}, **mixed_precision)

    together, heard = run(
        tmp_path / "2", kind, **SHARDED, **{"train.gradient_accumulation_steps": 2}, **mixed_precision
    )

    difference = largest_difference(saved_parts(together.run_dir, 4), saved_parts(alone.run_dir, 4))
    limit = {"no": 1e-6, "bf16": 1e-4}[mixed] * (10 if more is ROLLED else 1)  # whose losses are ten times larger
    assert all(value <= limit for value in difference.values()), difference
    mine, theirs = heard.of(StepDone), heard_alone.of(StepDone)
    assert [(e.bucket, e.sigma) for e in mine] == [(e.bucket, e.sigma) for e in theirs]
    assert [e.grad_norm for e in mine] == pytest.approx(
        [e.grad_norm for e in theirs], rel=1e-4 if mixed == "no" else 0.05
    )
    assert len(heard.of(MemoryProbed)) == 1


@pytest.mark.slow
@pytest.mark.parametrize("kind", OTHERS)
@pytest.mark.usefixtures("traced")
def test_what_goes_with_spread_weights_trains_the_same(tmp_path, kind):
    settings = {"prompts": (), "max_steps": 4, "train.mixed_precision": "no", **OTHERS[kind]}
    _, heard_alone = alone = run(tmp_path / "1", None, **{"train.gradient_accumulation_steps": 4}, **settings)

    _, heard = together = run(tmp_path / "2", None, **SHARDED, **{"train.gradient_accumulation_steps": 2}, **settings)

    difference = largest_difference(*(saved_parts(one[0].run_dir, 4) for one in (together, alone)))
    assert all(value <= 1e-6 for value in difference.values()), difference
    assert [e.grad_norm for e in heard.of(StepDone)] == pytest.approx(
        [e.grad_norm for e in heard_alone.of(StepDone)], rel=1e-4
    )
    mine, theirs = heard.of(Evaluated), heard_alone.of(Evaluated)
    assert [e.loss for e in mine] == pytest.approx([e.loss for e in theirs], rel=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_spread_weights_stop_and_go_on_bit_for_bit(tmp_path, kind):
    straight, _ = run(tmp_path / "straight", kind, **SHARDED, max_steps=5)
    project, _, _ = encoded_project(tmp_path / "cut", **settings_of(kind, **SHARDED, max_steps=5))
    stop = StopAfter(3)
    with pytest.raises(StoppedBySignal):
        train.run(make_context(project, [stop]), stop)

    train.run(make_context(project), StopRequested())

    assert same_bits(saved_parts(project.run_dir, 5), saved_parts(straight.run_dir, 5))


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_one_process_goes_on_where_two_were_and_two_where_one_was(tmp_path, kind):
    one = {"train.gradient_accumulation_steps": 2}
    whole, _ = run(tmp_path / "whole", kind, **one)
    for name, before, after in (("a", SHARDED, one), ("b", one, SHARDED)):
        first, _ = run(tmp_path / name, kind, **before, max_steps=2)

        second, _ = run(tmp_path / f"{name}-2", kind, **after, **{"checkpoints.resume": str(first.run_dir)})

        difference = largest_difference(saved_parts(second.run_dir, 4), saved_parts(whole.run_dir, 4))
        assert all(value <= 1e-6 for value in difference.values()), (name, difference)


@pytest.mark.slow
def test_clips_and_figures_are_those_of_whole_weights(tmp_path):
    looks = {
        "prompts": (Prompt(nickname="main", text="a red disc."),),
        "clips": MEASURED,
        "evaluation.step_interval": 2,
        "validation.step_interval": 4,
    }
    _, heard_alone = run(tmp_path / "1", "full", **looks, **{"train.gradient_accumulation_steps": 2})

    _, heard = run(tmp_path / "2", "full", **looks, **SHARDED)

    mine, theirs = heard.of(Evaluated), heard_alone.of(Evaluated)
    assert [(e.step, e.weights) for e in mine] == [(e.step, e.weights) for e in theirs]
    assert len(mine) == 6
    assert [e.loss for e in mine] == pytest.approx([e.loss for e in theirs], rel=1e-5)
    assert [e.path for e in heard.of(ClipDrawn)] == [e.path for e in heard_alone.of(ClipDrawn)]
    assert heard.of(ClipDrawn)


@pytest.mark.slow
def test_a_loss_that_is_no_number_is_left_behind_with_whole_weights(tmp_path):
    from recipe_runtime import replay

    project, ctx, _ = encoded_project(tmp_path, **settings_of("full", **SHARDED), **{"data.store_dir": "store"})
    for key in latent_index(ctx).values():
        latents = ctx.store.read("latents", key)["latents"]
        replace_value(ctx.store, "latents", key, {"latents": torch.full_like(latents, torch.nan)})

    with pytest.raises(NonFiniteLoss, match="recipe replay"):
        train.run(ctx, StopRequested())

    folder = project.run_dir / "failure-00000001"
    record = json.loads((folder / "failure.json").read_text())
    assert record["first"] is None
    assert len(record["samples"]) == 2
    _, origin = replay.replay(folder)
    assert (origin.where, origin.name, origin.micro_batch) == ("input", "latents", 0)


class Two(Team):
    size = 2


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"optimizer.name": "adafactor"}, "optimizer.name: adafactor"),
        ({"optimizer.name": "ao-adamw8bit"}, "optimizer.name: ao-adamw8bit"),
        ({**KINDS["lora"], "memory.group_offload.enabled": True}, "memory.group_offload.enabled"),
        ({**KINDS["lora"], "model.base_model_precision": "int8-quanto"}, "model.base_model_precision: int8-quanto"),
        ({"hardware.compile": "max-autotune"}, "hardware.compile: max-autotune"),
    ],
)
def test_what_needs_whole_weights_is_refused(tmp_path, settings, named):
    _, ctx, _ = encoded_project(tmp_path, prompts=(), **SHARDED, **settings)

    with pytest.raises(PlanRefused, match=rf"trains slices of weights, and `{named}` needs whole ones"):
        train.build_state(ctx, Two())
