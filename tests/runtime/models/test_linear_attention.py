import copy

import pytest
import torch
from diffusers.models.transformers.transformer_sana_video import SanaLinearAttnProcessor3_0, SanaVideoTransformer3DModel

from fakes_runtime import TINY_CONFIGS
from recipe_runtime.models.linear_attention import Fp32LinearAttention


def models(dtype=torch.float32):
    """The same transformer twice: with our processor and with diffusers'."""
    torch.manual_seed(0)
    ours = SanaVideoTransformer3DModel(**TINY_CONFIGS["transformer"])
    stock = copy.deepcopy(ours)
    for block in ours.transformer_blocks:
        assert isinstance(block.attn1.processor, SanaLinearAttnProcessor3_0)
        block.attn1.set_processor(Fp32LinearAttention())
    return ours.to(dtype), stock.to(dtype)


def inputs():
    draw = torch.Generator().manual_seed(1)
    return {
        "hidden_states": torch.randn(2, 16, 3, 8, 12, generator=draw),
        "encoder_hidden_states": torch.randn(2, 5, 32, generator=draw),
        "timestep": torch.tensor([100, 900]),
        "encoder_attention_mask": torch.tensor([[1, 1, 1, 1, 1], [1, 1, 0, 0, 0]]),
    }


def test_in_fp32_it_computes_what_diffusers_computes():
    ours, stock = models()

    found, expected = ours(**inputs()).sample, stock(**inputs()).sample

    assert torch.allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_in_fp32_its_gradients_are_those_of_diffusers():
    ours, stock = models()

    for model in (ours, stock):
        model(**inputs()).sample.square().mean().backward()

    for (name, found), expected in zip(ours.named_parameters(), stock.parameters(), strict=True):
        assert torch.allclose(found.grad, expected.grad, rtol=1e-3, atol=1e-6), name


def test_under_autocast_the_sums_stay_in_fp32():
    ours, stock = models()
    seen = {}
    exact = stock.transformer_blocks[0].attn1
    states = torch.randn(1, 256, 48, generator=torch.Generator().manual_seed(2)).bfloat16().float()
    rotary = stock.rope(torch.zeros(1, 16, 4, 16, 16))
    seen["exact"] = exact(states, rotary_emb=rotary)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        seen["stock"] = exact(states, rotary_emb=rotary)
        seen["ours"] = ours.transformer_blocks[0].attn1(states, rotary_emb=rotary)

    errors = {name: (seen[name].float() - seen["exact"]).norm().item() for name in ("stock", "ours")}

    assert errors["ours"] < errors["stock"]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_output_keeps_the_type_of_the_weights(dtype):
    ours, _ = models(dtype)
    given = {name: x.to(dtype) if x.is_floating_point() else x for name, x in inputs().items()}

    assert ours(**given).sample.dtype == dtype
