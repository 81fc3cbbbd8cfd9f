"""What is traded for memory: recomputing, quantized weights, models that take turns."""

import shutil

import pytest
import torch
from optimum.quanto import QModuleMixin
from torch.utils import checkpoint

from fakes_runtime import make_context, make_project
from fakes_training import batch_maker, encoded_project, same_bits, saved_parts
from recipe_runtime import encode_text, encode_video, export, preflight, train, validate
from recipe_runtime.build import build_text_encoder, build_vae
from recipe_runtime.encode_text import text_index
from recipe_runtime.encode_video import latent_index
from recipe_runtime.errors import ModelError
from recipe_runtime.inputs import predict
from recipe_runtime.models import checkpointing
from recipe_runtime.models.trained import trained_parameters
from recipe_runtime.stop import StopRequested
from recipe_schema.events import ClipDrawn


LORA = {"model.type": "lora", "model.lora.rank": 4, "model.lora.alpha": 8.0, "prompts": ()}
EVERYWHERE = {"model.lora.target_modules": ["to_*", "to_out.0", "ff.conv_*"]}
COMPILED = pytest.mark.skipif(shutil.which("c++") is None, reason="quanto compiles a kernel for these")


def formats(*errors):
    """Return quanto's formats, each with an error, or alone."""
    names = ("int8-quanto", "fp8-quanto", "int4-quanto", "int2-quanto")
    values = zip(names, errors, strict=True) if errors else zip(names, strict=True)
    return [pytest.param(*value, marks=[COMPILED] if value[0] in names[2:] else []) for value in values]


@pytest.mark.parametrize(("interval", "recomputed"), [(1, 2), (2, 1), (3, 1)])
def test_every_nth_block_is_recomputed_and_no_bit_changes(tmp_path, interval, recomputed, monkeypatch):
    passes = []

    def counting(*arguments, **options):
        passes.append(1)
        return checkpoint.checkpoint(*arguments, **options)

    monkeypatch.setattr(checkpointing, "checkpoint", counting)
    _, kept, _ = encoded_project(tmp_path / "kept", prompts=())
    train.run(kept, StopRequested())
    assert passes == []
    on = {"memory.gradient_checkpointing": True, "memory.gradient_checkpointing_interval": interval}
    _, ctx, _ = encoded_project(tmp_path / "on", prompts=(), **on, **{"memory.probe_largest_bucket": False})

    train.run(ctx, StopRequested())

    assert same_bits(saved_parts(ctx.run_dir, 4), saved_parts(kept.run_dir, 4))
    assert len(passes) == 4 * recomputed


def predicted(ctx):
    (part, *_) = batch_maker(ctx).make(0).parts
    with torch.no_grad():
        model = train.build_state(ctx).model.eval()
        return predict(model, part.latents, part, mixed_precision=ctx.settings.train.mixed_precision)


@pytest.mark.parametrize("mixed", ["no", "bf16"])
@pytest.mark.parametrize(("precision", "error"), formats(0.01, 0.05, 0.08, 0.4))
def test_a_quantized_base_computes_nearly_the_same(tmp_path, precision, error, mixed):
    mixed_precision = {"train.mixed_precision": mixed}
    _, plain, _ = encoded_project(tmp_path / "plain", **LORA, **EVERYWHERE, **mixed_precision)
    quantized = {"model.base_model_precision": precision, **mixed_precision}
    _, ctx, _ = encoded_project(tmp_path / "quantized", **LORA, **EVERYWHERE, **quantized)

    expected, found = predicted(plain), predicted(ctx)

    assert 0 < (found - expected).norm() / expected.norm() < error


@pytest.mark.parametrize("mixed", ["no", "bf16"])
@pytest.mark.parametrize("precision", formats())
def test_an_adapter_on_a_quantized_base_resumes_bit_for_bit(tmp_path, precision, mixed):
    settings = {
        "model.base_model_precision": precision,
        "train.mixed_precision": mixed,
        "memory.gradient_checkpointing": True,
        "model.lora.dropout": 0.1,
    }
    _, straight, _ = encoded_project(tmp_path / "straight", **LORA, **EVERYWHERE, **settings)
    train.run(straight, StopRequested())
    project, ctx, _ = encoded_project(tmp_path / "cut", **LORA, **EVERYWHERE, **settings)
    train.run(ctx, StopRequested())
    (ctx.run_dir / "checkpoints" / "step-00000004" / "state.json").unlink()

    train.run(make_context(project), StopRequested())

    parts = saved_parts(straight.run_dir, 4)
    assert same_bits(saved_parts(ctx.run_dir, 4), parts)
    assert all(".lora_" in name for name in parts["model"])
    assert any(float(value.abs().max()) > 0 for name, value in parts["model"].items() if ".lora_B." in name)


@pytest.mark.parametrize("via", ["cpu", "accelerator"])
def test_what_is_quantized_are_the_layers_of_blocks(tmp_path, via):
    quantized = {"model.base_model_precision": "int8-quanto", "model.quantize_via": via}
    _, ctx, _ = encoded_project(tmp_path, **LORA, **EVERYWHERE, **quantized)

    model = train.build_state(ctx).model

    layers = [name for name, module in model.named_modules() if isinstance(module, QModuleMixin)]
    assert len(layers) == 2 * (8 + 4)
    assert all(name.startswith("transformer_blocks.") for name in layers)
    assert all(".lora_" in name for name in trained_parameters(model))


@pytest.mark.parametrize("key", ["model.base_model_precision", "model.text_encoder_precision"])
def test_a_format_that_needs_a_compiler_is_refused_where_there_is_none(tmp_path, key, monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda _name: None)
    preflight.check(make_context(make_project(tmp_path / "eight", **LORA, **{key: "int8-quanto"})))

    with pytest.raises(ModelError, match=rf"`{key}: int4-quanto` compiles a kernel .*c\+\+.*int8-quanto"):
        preflight.check(make_context(make_project(tmp_path / "four", **LORA, **{key: "int4-quanto"})))


def test_an_adapter_of_a_quantized_base_is_exported_like_any_other(tmp_path):
    _, ctx, _ = encoded_project(tmp_path, **LORA, **EVERYWHERE, **{"model.base_model_precision": "int8-quanto"})
    train.run(ctx, StopRequested())

    export.run(ctx)

    assert sorted(path.name for path in (ctx.run_dir / "export").glob("*.safetensors")) == [
        "pytorch_lora_weights.safetensors"
    ]


@pytest.mark.parametrize("dtype", ["fp32", "bf16"])
@pytest.mark.parametrize(("precision", "error"), formats(0.02, 0.1, 0.4, 1.5))
def test_texts_of_a_quantized_encoder_are_nearly_the_same_and_kept_apart(tmp_path, precision, error, dtype):
    ctx = make_context(make_project(tmp_path / "plain", **{"model.text_encoder_dtype": dtype}))
    other = make_context(
        make_project(
            tmp_path / "other", **{"model.text_encoder_dtype": dtype, "model.text_encoder_precision": precision}
        )
    )
    encoders = build_text_encoder(ctx), build_text_encoder(other)

    expected, found = (encoder.encode("a red disc", instruction=None, max_length=300) for encoder in encoders)

    assert found.dtype == expected.dtype
    assert 0 < (found.float() - expected.float()).norm() / expected.float().norm() < error
    assert not set(text_index(ctx).values()) & set(text_index(other).values())


OFFLOADED = [
    {},
    {"memory.group_offload.type": "leaf_level"},
    {"memory.group_offload.to_disk_path": "offloaded"},
]


@pytest.mark.parametrize("mode", OFFLOADED)
def test_offloaded_encoders_give_the_same_bits(tmp_path, mode):
    there = make_context(make_project(tmp_path / "there"))
    on = {f"memory.group_offload.{name}": True for name in ("enabled", "text_encoder", "vae")}
    away = make_context(make_project(tmp_path / "away", **on, **mode))

    for ctx in (there, away):
        encode_text.run(ctx, StopRequested())
        encode_video.run(ctx, StopRequested())

    for kind, index in (("text", text_index(there)), ("latents", latent_index(there))):
        same = text_index(away) if kind == "text" else latent_index(away)
        assert index == same
        for key in index.values():
            first, second = there.store.read(kind, key), away.store.read(kind, key)
            assert all(torch.equal(value, second[name]) for name, value in first.items())
    encoder = build_text_encoder(away).encoder
    if mode.get("memory.group_offload.to_disk_path"):
        assert any(parameter.is_meta for parameter in encoder.layers.parameters())


def drawn(tmp_path, name, **settings):
    _, ctx, events = encoded_project(tmp_path / name, **settings)
    state = train.build_state(ctx)
    validate.draw_clips(ctx, state, text_index(ctx), StopRequested())
    (clip,) = events.of(ClipDrawn)
    return (ctx.run_dir / clip.path).read_bytes(), state


def test_models_that_take_turns_draw_the_same_clip_and_training_goes_on(tmp_path, monkeypatch):
    expected, _ = drawn(tmp_path, "there")
    moves = []
    real = torch.nn.Module.to

    def moving(model, *arguments, **options):
        moves.append(type(model).__name__)
        return real(model, *arguments, **options)

    monkeypatch.setattr(torch.nn.Module, "to", moving)

    found, state = drawn(tmp_path, "turns", **{"memory.model_cpu_offload": True})

    assert found == expected
    transformer, vae = "SanaVideoTransformer3DModel", "AutoencoderKLWan"
    assert [name for name in moves if name in (transformer, vae)][-4:] == [transformer, vae, vae, transformer]
    optimized = {id(p) for group in state.optimizer.param_groups for p in group["params"]}
    assert optimized == {id(p) for p in state.model.parameters()}


def test_an_offloaded_vae_draws_the_same_clip(tmp_path):
    expected, _ = drawn(tmp_path, "there")

    on = {f"memory.group_offload.{name}": True for name in ("enabled", "vae")}
    found, _ = drawn(tmp_path, "away", **on, **{"memory.group_offload.to_disk_path": "files"})

    assert found == expected


def test_slicing_takes_one_clip_of_a_batch_after_the_other(tmp_path):
    ctx = make_context(make_project(tmp_path, **{"memory.vae_slicing": True}))
    vae = build_vae(ctx, rests_on=ctx.device)
    sizes = []
    vae.encoder.register_forward_pre_hook(lambda _module, inputs: sizes.append(len(inputs[0])))
    pixels = torch.rand(3, 3, 9, 64, 64) * 2 - 1

    together = encode_video.encode(vae, pixels)

    assert set(sizes) == {1}
    assert torch.equal(together, torch.cat([encode_video.encode(vae, clip.unsqueeze(0)) for clip in pixels]))
