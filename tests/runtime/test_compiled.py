"""Compiling blocks: what is compiled, how often, that it computes the same within rounding, and that it resumes."""

import shutil

import pytest
import torch
from torch._dynamo.backends.debugging import aot_eager

from fakes_adapters import plain_model, predicted
from fakes_runtime import make_context, make_project
from fakes_training import batch_maker, encoded_project, same_bits, saved_parts
from recipe_runtime import preflight, train
from recipe_runtime.errors import ModelError
from recipe_runtime.models import compiled
from recipe_runtime.models.compiled import check_compiler
from recipe_runtime.stop import StopRequested
from recipe_schema.events import StepDone


# Of torch, which looks at inputs that are no leaves.
pytestmark = pytest.mark.filterwarnings("ignore:The .grad attribute:UserWarning")

ON = {"hardware.compile": "default", "prompts": ()}
LORA = {
    "model.type": "lora",
    "model.lora.rank": 4,
    "model.lora.alpha": 8.0,
    "model.lora.target_modules": ["to_*", "to_out.0", "ff.conv_*"],
}
FORMS = {
    "full": {},
    "lora": {**LORA, "model.lora.dropout": 0.1, "memory.gradient_checkpointing": True},
    "dora": {**LORA, "model.lora.use_dora": True},
    "lokr": {**LORA, "model.lora.type": "lokr"},
    "quantized": {**LORA, "model.base_model_precision": "int8-quanto"},
    "offloaded": {**LORA, "memory.group_offload.enabled": True, "memory.gradient_checkpointing": True},
    "biases": {"train.layer_freeze_strategy": "bitfit", "train.mixed_precision": "bf16"},
    "released": {"optimizer.release_gradients": True, "train.max_grad_norm": 0.0},
    "aligned": {
        "regularizers.crepa.enabled": True,
        "regularizers.crepa.feature_source": "backbone",
        "regularizers.crepa.block_index": 0,
        "regularizers.crepa.teacher_block_index": 1,
    },
}


@pytest.fixture
def programs(monkeypatch):
    """Let programs be made without a compiler of C++, and return a list that grows with each."""
    made = []
    plain = torch.compile

    def counted(graph, inputs):
        made.append(tuple(value.shape for value in inputs if isinstance(value, torch.Tensor)))
        return aot_eager(graph, inputs)

    def traced(function, *, dynamic, mode):
        assert mode in ("default", "reduce-overhead", "max-autotune")
        return plain(function, dynamic=dynamic, backend=counted)

    torch._dynamo.reset()
    monkeypatch.setattr(compiled.torch, "compile", traced)
    yield made
    torch._dynamo.reset()


def trained(tmp_path, **settings):
    project, ctx, events = encoded_project(tmp_path, **{"prompts": (), **settings})
    train.run(ctx, StopRequested())
    return project, ctx, [event.loss for event in events.of(StepDone)]


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMS)
def test_losses_are_the_same_within_rounding_and_a_resumed_run_gives_the_same_bits(tmp_path, form, programs):
    settings = FORMS[form]
    _, _, expected = trained(tmp_path / "plain", **settings)
    project, ctx, found = trained(tmp_path / "compiled", **settings, **ON)
    assert programs
    # Later losses follow from weights that Adam has moved by the sign of gradients, however small.
    assert found[0] == pytest.approx(expected[0], rel=1e-2 if form == "biases" else 1e-5)
    assert found == pytest.approx(expected, rel=1e-2)
    parts = saved_parts(ctx.run_dir, 4)
    (ctx.run_dir / "checkpoints" / "step-00000004" / "state.json").unlink()

    train.run(make_context(project), StopRequested())

    assert same_bits(saved_parts(ctx.run_dir, 4), parts)


def test_there_are_as_many_programs_as_buckets_and_not_as_blocks_or_texts(tmp_path, programs):
    _, ctx, _ = trained(tmp_path, **ON, **{"train.max_steps": 8, "max_steps": 8})

    buckets = {bucket.name for bucket in ctx.plan.body.buckets}
    assert len(buckets) == 2
    # The first block's input lies in memory otherwise than those of the others.
    assert len(programs) <= 2 * len(buckets)


def test_texts_have_one_length_and_what_is_drawn_is_as_without(tmp_path, programs):
    _, ctx, _ = encoded_project(tmp_path, **ON)
    (part, *_) = batch_maker(ctx).make(0).parts
    assert part.text.shape[1] == ctx.facts["max_sequence_length"]
    model = train.build_state(ctx).model

    found = predicted(ctx, model)

    assert programs == []
    assert torch.equal(found, predicted(ctx, plain_model(tmp_path)))


def test_without_it_nothing_is_touched(tmp_path, programs):
    _, ctx, _ = encoded_project(tmp_path, **{**ON, "hardware.compile": "no"})

    model = train.build_state(ctx).model

    assert all("forward" not in vars(block) for block in model.transformer_blocks)
    assert programs == []
    (part, *_) = batch_maker(ctx).make(0).parts
    assert int(part.mask.sum(dim=1).max()) == part.text.shape[1]


def test_a_machine_without_a_compiler_refuses_before_anything_is_encoded(tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda _name: None)
    preflight.check(make_context(make_project(tmp_path / "plain")))

    with pytest.raises(
        ModelError, match=r"`hardware.compile: default` needs a C\+\+ compiler .* `hardware.compile: no`"
    ):
        preflight.check(make_context(make_project(tmp_path / "compiled", **ON)))


def test_on_cuda_triton_is_needed(monkeypatch):
    monkeypatch.setattr(compiled.importlib.util, "find_spec", lambda _name: None)

    with pytest.raises(ModelError, match="needs the package triton"):
        check_compiler(torch.device("cuda"), "max-autotune")


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch compiles C++")
def test_torchs_own_compiler_gives_the_same_losses(tmp_path):
    one = {"train.max_steps": 1, "max_steps": 1, "model.lora.target_modules": ["attn1.to_q"]}
    settings = {**LORA, **one, "memory.gradient_checkpointing": True}
    _, _, expected = trained(tmp_path / "plain", **settings)

    _, _, found = trained(tmp_path / "compiled", **settings, **ON)

    assert found == pytest.approx(expected, rel=1e-5)
