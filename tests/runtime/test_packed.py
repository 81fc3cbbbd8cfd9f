"""Weights whose numbers torchao chooses, kept as plain tensors."""

import importlib.util

import pytest
import torch
from torch import nn

from fakes_adapters import plain_model, predicted
from fakes_runtime import make_context, make_project
from fakes_training import encoded_project, same_bits, saved_parts
from recipe_runtime import encode_text, export, preflight, train
from recipe_runtime.build import build_text_encoder
from recipe_runtime.encode_text import text_index
from recipe_runtime.errors import ModelError
from recipe_runtime.models import packed
from recipe_runtime.models.packed import PackedConv2d, PackedLinear, group_size, pack, pack_layers, unpack
from recipe_runtime.models.trained import trained_parameters
from recipe_runtime.stop import StopRequested


LORA = {
    "model.type": "lora",
    "model.lora.rank": 4,
    "model.lora.alpha": 8.0,
    "model.lora.target_modules": ["to_*", "to_out.0", "ff.conv_*"],
    "prompts": (),
}
NEEDED = pytest.mark.skipif(importlib.util.find_spec("torchao") is None, reason="it is an extra: torchao")
FORMATS = ("int8-torchao", "fp8-torchao", "int4-torchao")


def formats(*errors):
    return [pytest.param(*value, marks=NEEDED) for value in zip(FORMATS, *([errors] if errors else []), strict=True)]


@pytest.mark.parametrize("precision", formats())
def test_unpacking_gives_what_torchao_gives(precision):
    from torchao.quantization import Float8Tensor, Int8Tensor, IntxUnpackedToInt8Tensor, PerRow
    from torchao.quantization.quant_primitives import MappingType

    weight = torch.randn(6, 224, generator=torch.Generator().manual_seed(0))
    theirs = {
        "int8-torchao": lambda: Int8Tensor.from_hp(weight, PerRow()),
        "fp8-torchao": lambda: Float8Tensor.from_hp(weight, granularity=PerRow()),
        "int4-torchao": lambda: IntxUnpackedToInt8Tensor.from_hp(
            weight, (1, 112), torch.int4, mapping_type=MappingType.ASYMMETRIC
        ),
    }[precision]()

    found = unpack(pack(weight, precision), torch.float32)

    assert torch.equal(found, theirs.dequantize())


@pytest.mark.parametrize(("inputs", "size"), [(2240, 112), (6720, 120), (128, 128), (96, 96), (254, 127)])
def test_groups_of_four_bits_divide_a_row(inputs, size):
    assert group_size(inputs) == size


@pytest.mark.parametrize("precision", formats())
@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (nn.Linear(24, 10), (3, 5, 24)),
        (nn.Conv2d(24, 10, (3, 1), padding=(1, 0), bias=False), (2, 24, 5, 4)),
        (nn.Conv2d(24, 10, 1), (2, 24, 5, 4)),
    ],
    ids=["linear", "temporal", "pointwise"],
)
def test_a_packed_layer_computes_with_the_unpacked_weight_and_has_its_gradient(layer, shape, precision):
    model = nn.Sequential(layer).requires_grad_(False)
    x, y = (torch.randn(shape, generator=torch.Generator().manual_seed(0)).requires_grad_() for _ in range(2))
    pack_layers(model, precision, layers="*")
    packed_layer = model[0]
    expected = type(layer)(
        **{
            name: getattr(layer, name)
            for name in ("in_features", "out_features", "in_channels", "out_channels", "kernel_size", "padding")
            if hasattr(layer, name)
        },
        bias=layer.bias is not None,
    ).requires_grad_(False)
    expected.weight.copy_(packed_layer.weight)
    if layer.bias is not None:
        expected.bias.copy_(layer.bias)

    found, wanted = model(x), expected(y)

    torch.testing.assert_close(found, wanted)
    (found**2).sum().backward()
    (wanted**2).sum().backward()
    torch.testing.assert_close(x.grad, y.grad)
    assert packed_layer.numbers.numel() == layer.weight.numel() // (2 if precision == "int4-torchao" else 1)


@pytest.mark.parametrize("mixed", ["no", "bf16"])
@pytest.mark.parametrize(("precision", "error"), formats(0.01, 0.05, 0.08))
def test_a_packed_base_computes_nearly_the_same(tmp_path, precision, error, mixed):
    settings = {"train.mixed_precision": mixed}
    _, ctx, _ = encoded_project(tmp_path, **LORA, **settings, **{"model.base_model_precision": precision})
    model = train.build_state(ctx).model

    found, expected = predicted(ctx, model, mixed), predicted(ctx, plain_model(tmp_path, **settings), mixed)

    assert 0 < (found - expected).norm() / expected.norm() < error
    layers = [name for name, module in model.named_modules() if isinstance(module, PackedLinear | PackedConv2d)]
    assert len(layers) == 2 * (8 + 3)
    assert all(name.startswith("transformer_blocks.") for name in layers)
    assert all(".lora_" in name and value.dtype == torch.float32 for name, value in trained_parameters(model).items())
    packed_weights = sum(model.get_submodule(name).weight.numel() for name in layers)
    blocks = [p for n, p in plain_model(tmp_path / "again").named_parameters() if n.startswith("transformer_blocks.")]
    assert packed_weights / sum(p.numel() for p in blocks) > 0.9  # depth-wise filters, norms and tables are left


@pytest.mark.parametrize(
    "settings",
    [
        {"train.mixed_precision": "bf16", "memory.gradient_checkpointing": True, "model.lora.dropout": 0.1},
        {"model.lora.use_dora": True},
        {"model.lora.type": "lokr"},
        {"model.lora.init": "pissa"},
        {"memory.group_offload.enabled": True, "memory.group_offload.to_disk_path": "away"},
        pytest.param({"model.quantize_via": "cpu", "launch.processes": 2}, marks=pytest.mark.slow),
    ],
    ids=["dropout", "dora", "lokr", "pissa", "files", "two-processes"],
)
@pytest.mark.parametrize("precision", formats())
def test_an_adapter_on_a_packed_base_resumes_bit_for_bit(tmp_path, precision, settings):
    settings = {"model.base_model_precision": precision, **settings}
    _, straight, _ = encoded_project(tmp_path / "straight", **LORA, **settings)
    train.run(straight, StopRequested())
    project, ctx, _ = encoded_project(tmp_path / "cut", **LORA, **settings)
    train.run(ctx, StopRequested())
    (ctx.run_dir / "checkpoints" / "step-00000004" / "state.json").unlink()

    train.run(make_context(project), StopRequested())

    parts = saved_parts(straight.run_dir, 4)
    assert same_bits(saved_parts(ctx.run_dir, 4), parts)
    assert all(".lora_" in name or ".lokr_" in name for name in parts["model"])
    export.run(ctx)


@pytest.mark.parametrize(("precision", "error"), formats(0.02, 0.1, 0.4))
def test_texts_of_a_packed_encoder_are_nearly_the_same_and_kept_apart(tmp_path, precision, error):
    ctx = make_context(make_project(tmp_path / "plain"))
    other = make_context(make_project(tmp_path / "other", **{"model.text_encoder_precision": precision}))
    text = ctx.rows[0].texts[0]
    encode_text.run(ctx, StopRequested())
    encode_text.run(other, StopRequested())

    keys = [text_index(c)[text, True] for c in (ctx, other)]
    expected, found = (c.store.read("text", key)["embeds"].float() for c, key in zip((ctx, other), keys, strict=True))

    assert keys[0] != keys[1]
    assert 0 < (found - expected).norm() / expected.norm() < error
    kinds = [type(module) for module in build_text_encoder(other).encoder.modules()]
    assert PackedLinear in kinds


@pytest.mark.parametrize("key", ["model.base_model_precision", "model.text_encoder_precision"])
def test_without_torchao_a_run_is_refused_before_anything_is_encoded(tmp_path, key, monkeypatch):
    monkeypatch.setattr(packed.importlib.util, "find_spec", lambda _name: None)

    with pytest.raises(ModelError, match=rf"`{key}: int8-torchao` needs the package torchao.*int8-quanto"):
        preflight.check(make_context(make_project(tmp_path, **LORA, **{key: "int8-torchao"})))
