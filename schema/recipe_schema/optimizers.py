"""What each optimizer keeps for a weight: the compiler estimates with it, and the runtime stores weights by it."""

from collections.abc import Mapping

from recipe_schema.record import record


@record
class Storage:
    """Bytes that an optimizer keeps for each weight that is trained.

    Attributes:
        weight: The weight itself, and its gradient: 4 is fp32, 2 is bf16.
        full: Its memory of gradients, as far as it has a value for each weight.
        factored: Memories that keep one fp32 value for each row and each column of the last two axes alone. Tensors of one
            axis are kept whole.
    """

    weight: int
    full: float
    factored: int = 0


STORAGE: Mapping[str, Storage] = {
    "adamw": Storage(weight=4, full=8),
    "adamw_bf16": Storage(weight=2, full=4),
    # Two codes of one byte, and an fp32 scale for each 256 of them. Tensors of less than 4096 values stay in fp32.
    "adamw8bit": Storage(weight=4, full=2 + 2 * 4 / 256),
    # The optimi- ones keep everything in bf16, one value of it for Kahan summation.
    "optimi-adamw": Storage(weight=2, full=6),
    "optimi-stableadamw": Storage(weight=2, full=6),
    "optimi-lion": Storage(weight=2, full=4),
    "optimi-adan": Storage(weight=2, full=10),
    "optimi-ranger": Storage(weight=2, full=8),
    "optimi-radam": Storage(weight=2, full=6),
    "adafactor": Storage(weight=4, full=0, factored=1),
    "came": Storage(weight=4, full=4, factored=2),
    # Both moments, the weights at the start, and the sum from which the rate follows.
    "prodigy": Storage(weight=4, full=16),
    # The second moment, and the sequence that gradients move.
    "schedule-free": Storage(weight=4, full=8),
}
"""By the values of ``optimizer.name``."""

ELEMENTWISE = ("adamw", "optimi-adamw", "optimi-lion", "optimi-adan", "optimi-radam")
"""Optimizers that treat each value by itself, so that a slice of a weight is updated as the whole weight is."""
