"""The layers of the transformer that can have an adapter, from its configuration: names and sizes."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from recipe_schema.layers import is_target
from recipe_schema.record import record


_BLOCKS = "transformer_blocks."


@record
class Layer:
    """A linear layer or a convolution.

    Attributes:
        name: Its full name, as in ``transformer_blocks.0.attn1.to_q``.
        inputs: Channels that come in.
        outputs: Channels that go out.
        taps: Size of the kernel, 1 for a linear layer.
        alone: Whether it takes each channel alone, so that an output has one input.
    """

    name: str
    inputs: int
    outputs: int
    taps: int = 1
    alone: bool = False

    @property
    def in_block(self) -> bool:
        """Whether it is a part of a block, and not before or after all of them."""
        return self.name.startswith(_BLOCKS)

    @property
    def weights(self) -> int:
        """How many weights it has, its bias left out."""
        return (1 if self.alone else self.inputs) * self.outputs * self.taps


def adaptable_layers(config: Mapping[str, Any], form: str) -> tuple[Layer, ...]:
    """Return the layers of `SanaVideoTransformer3DModel` in diffusers 0.42 that can have an adapter.

    LoRA can't have the depthwise convolution: it takes each channel alone, and a change of rank r would need as many
    groups. LoKr can't have the patch embedding, a convolution over frames too, for which peft has none.

    Args:
        config: The transformer's configuration.
        form: The adapter's form, as in ``model.lora.type``.
    """
    d = config["num_attention_heads"] * config["attention_head_dim"]
    cross = config["num_cross_attention_heads"] * config["cross_attention_head_dim"]
    h, pixels = int(config["mlp_ratio"] * d), math.prod(config["patch_size"])
    patches = Layer(name="patch_embedding", inputs=config["in_channels"], outputs=d, taps=pixels)
    once = (
        *((patches,) if form == "standard" else ()),
        Layer(name="time_embed.emb.timestep_embedder.linear_1", inputs=256, outputs=d),
        Layer(name="time_embed.emb.timestep_embedder.linear_2", inputs=d, outputs=d),
        Layer(name="time_embed.linear", inputs=d, outputs=6 * d),
        Layer(name="caption_projection.linear_1", inputs=config["caption_channels"], outputs=d),
        Layer(name="caption_projection.linear_2", inputs=d, outputs=d),
        Layer(name="proj_out", inputs=d, outputs=pixels * config["out_channels"]),
    )
    block = (
        *(Layer(name=f"attn1.{name}", inputs=d, outputs=d) for name in ("to_q", "to_k", "to_v", "to_out.0")),
        Layer(name="attn2.to_q", inputs=d, outputs=cross),
        Layer(name="attn2.to_k", inputs=config["cross_attention_dim"], outputs=cross),
        Layer(name="attn2.to_v", inputs=config["cross_attention_dim"], outputs=cross),
        Layer(name="attn2.to_out.0", inputs=cross, outputs=d),
        Layer(name="ff.conv_inverted", inputs=d, outputs=2 * h),
        *((Layer(name="ff.conv_depth", inputs=2 * h, outputs=2 * h, taps=9, alone=True),) if form == "lokr" else ()),
        Layer(name="ff.conv_point", inputs=h, outputs=d),
        Layer(name="ff.conv_temp", inputs=d, outputs=d, taps=3),
    )
    blocks = (
        Layer(
            name=f"{_BLOCKS}{n}.{layer.name}",
            inputs=layer.inputs,
            outputs=layer.outputs,
            taps=layer.taps,
            alone=layer.alone,
        )
        for n in range(config["num_layers"])
        for layer in block
    )
    return (*once, *blocks)


def adapted(layers: Sequence[Layer], targets: Sequence[str]) -> tuple[Layer, ...]:
    """Return the layers that an adapter's targets mean."""
    return tuple(layer for layer in layers if any(is_target(target, layer.name) for target in targets))


def adapter_parameters(layers: Sequence[Layer], *, rank: int, dora: bool) -> int:
    """Count an adapter's parameters: A takes a layer's inputs to the rank, B the rank to its outputs.

    With DoRA each output has a length as well.
    """
    return sum(rank * (layer.inputs * layer.taps + layer.outputs) + layer.outputs * int(dora) for layer in layers)


def lokr_parameters(layers: Sequence[Layer], *, rank: int, factor: int) -> int:
    """Count the parameters of Kronecker products, as peft makes them.

    A layer of m₁m₂ inputs and n₁n₂ outputs has a factor of n₁ × m₁, and one of n₂ × m₂ for each place of its kernel. The
    second is a product of two matrices of the rank where the rank is less than half of its longer side.
    """
    count = 0
    for layer in layers:
        m1, m2 = factors(1 if layer.alone else layer.inputs, factor)
        n1, n2 = factors(layer.outputs, factor)
        whole = rank >= max(m2, n2) / 2
        count += n1 * m1 + (n2 * m2 * layer.taps if whole else rank * (n2 + m2 * layer.taps))
    return count


def factors(number: int, wished: int) -> tuple[int, int]:
    """Cut a number into two factors, the smaller first.

    It is the wished one where that divides the number; else the divisor that makes both most alike, and with it is no
    larger than wished. -1 wishes for both alike.
    """
    if wished > 0 and number % wished == 0:
        return wished, number // wished
    limit = number if wished == -1 else wished
    small = max(divisor for divisor in range(1, math.isqrt(number) + 1) if number % divisor == 0 and divisor <= limit)
    return small, number // small
