"""What each optimizer keeps for a weight: the compiler estimates with it, and the runtime stores weights by it."""

from collections.abc import Mapping

from recipe_schema.record import record


@record
class Storage:
    """What an optimizer keeps for each weight that is trained, in bytes.

    Attributes:
        what: Its memory of gradients, in words.
        weight: The weight itself, and its gradient: 4 is fp32, 2 is bf16.
        full: Its memory of gradients, as far as it has a value for each weight.
        factored: Memories that keep one fp32 value for each row and each column of the last two axes alone. Tensors of one
            axis are kept whole.
    """

    what: str
    weight: int
    full: float
    factored: int = 0


_SMALL = "in fp32 for tensors of less than 4096 values"

STORAGE: Mapping[str, Storage] = {
    "adamw": Storage(what="two moments in fp32", weight=4, full=8),
    "adamw_bf16": Storage(what="two moments in bf16, rounded at random", weight=2, full=4),
    # Two codes of one byte, and an fp32 scale for each 256 of them. Tensors of less than 4096 values stay in fp32.
    "adamw8bit": Storage(
        what=f"two moments in 8 bits with a scale for 256 each; {_SMALL}",
        weight=4,
        full=2 + 2 * 4 / 256,
    ),
    # torchao's, likewise with 256 or 128 values to a scale. What these don't divide stays in fp32 too: biases and norms here.
    "ao-adamw8bit": Storage(
        what=f"two moments in 8 bits with a scale for 256 each; {_SMALL}, or no multiple of 256",
        weight=4,
        full=2 + 2 * 4 / 256,
    ),
    "ao-adamw4bit": Storage(
        what=f"two moments in 4 bits with a scale for 128 each; {_SMALL}, or no multiple of 128",
        weight=4,
        full=1 + 2 * 4 / 128,
    ),
    "ao-adamwfp8": Storage(
        what=f"two moments in fp8 (e4m3) with a scale for 256 each; {_SMALL}, or no multiple of 256",
        weight=4,
        full=2 + 2 * 4 / 256,
    ),
    # The optimi- ones keep everything in bf16, one value of it for Kahan summation.
    "optimi-adamw": Storage(what="two moments and a compensation in bf16", weight=2, full=6),
    "optimi-stableadamw": Storage(what="two moments and a compensation in bf16", weight=2, full=6),
    "optimi-lion": Storage(what="one moment and a compensation in bf16", weight=2, full=4),
    "optimi-adan": Storage(what="three moments, the last gradient and a compensation in bf16", weight=2, full=10),
    "optimi-ranger": Storage(what="two moments, slow weights and a compensation in bf16", weight=2, full=8),
    "optimi-radam": Storage(what="two moments and a compensation in bf16", weight=2, full=6),
    "adafactor": Storage(
        what="the second moment's rows and columns in fp32; whole for tensors of one axis", weight=4, full=0, factored=1
    ),
    "came": Storage(
        what="one moment in fp32; rows and columns of two more; whole for tensors of one axis",
        weight=4,
        full=4,
        factored=2,
    ),
    # Both moments, the weights at the start, and the sum from which the rate follows.
    "prodigy": Storage(what="two moments, the first weights and a sum of gradients in fp32", weight=4, full=16),
    # The second moment, and the sequence that gradients move.
    "schedule-free": Storage(what="the second moment and the sequence that gradients move in fp32", weight=4, full=8),
}
"""By the values of ``optimizer.name``."""

PACKAGES: Mapping[str, str] = {
    "adamw8bit": "bitsandbytes",
    "ao-adamw8bit": "torchao",
    "ao-adamw4bit": "torchao",
    "ao-adamwfp8": "torchao",
}
"""The packages of optimizers that the usual installation leaves out."""

EXTRAS: Mapping[str, str] = {"bitsandbytes": "8bit", "torchao": "torchao"}
"""The extras by which these are installed."""

ELEMENTWISE = ("adamw", "optimi-adamw", "optimi-lion", "optimi-adan", "optimi-radam", "schedule-free")
"""Optimizers that treat each value by itself, so that a slice of a weight is updated as the whole weight is."""


def statement(name: str) -> str:
    """Say plainly what an optimizer stores for each weight that is trained.

    Args:
        name: As in ``optimizer.name``.
    """
    stored = STORAGE[name]
    each = f"{2 * stored.weight + stored.full:.4g}"
    beside = " and what rows and columns take" if stored.factored else ""
    kind = {4: "fp32", 2: "bf16"}[stored.weight]
    return f"weight and gradient in {kind}, {stored.what}: {each} bytes a weight{beside}"
