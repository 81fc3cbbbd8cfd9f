"""How ``model.lora.target_modules`` names layers."""

import re


def is_target(entry: str, layer: str) -> bool:
    """Say whether an entry of ``model.lora.target_modules`` names a layer.

    Args:
        entry: A layer's whole name, or the end of it from a dot on; ``*`` stands for any part of a name, dots included.
        layer: The layer's whole name, as in ``transformer_blocks.3.attn1.to_q``.
    """
    pattern = ".*".join(re.escape(part) for part in entry.split("*"))
    return re.fullmatch(rf"(?:.*\.)?{pattern}", layer) is not None
