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
    """

    name: str
    inputs: int
    outputs: int
    taps: int = 1

    @property
    def in_block(self) -> bool:
        """Whether it is a part of a block, and not before or after all of them."""
        return self.name.startswith(_BLOCKS)


def adaptable_layers(config: Mapping[str, Any]) -> tuple[Layer, ...]:
    """Return the layers of `SanaVideoTransformer3DModel` in diffusers 0.42 that can have an adapter.

    The depthwise convolution cannot: it takes each channel alone, and a change of rank r would need as many groups.

    Args:
        config: The transformer's configuration.
    """
    d = config["num_attention_heads"] * config["attention_head_dim"]
    cross = config["num_cross_attention_heads"] * config["cross_attention_head_dim"]
    h, pixels = int(config["mlp_ratio"] * d), math.prod(config["patch_size"])
    once = (
        Layer(name="patch_embedding", inputs=config["in_channels"], outputs=d, taps=pixels),
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
        Layer(name="ff.conv_point", inputs=h, outputs=d),
        Layer(name="ff.conv_temp", inputs=d, outputs=d, taps=3),
    )
    blocks = (
        Layer(name=f"{_BLOCKS}{n}.{layer.name}", inputs=layer.inputs, outputs=layer.outputs, taps=layer.taps)
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
