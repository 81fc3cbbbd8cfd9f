"""What image to video costs beside text to video: a timestep for each latent frame."""

from collections.abc import Mapping
from typing import Any

from recipe_schema.definition import generic


_FP32 = 4


def first_frame_memory(values: Mapping[str, Any], config: Mapping[str, Any], frames: int) -> float:
    """Bytes that a step holds besides, at its peak; 0 where no first frame is given.

    With width D, each frame has 6D values of shift, scale and gate instead of each sample: once as the time embedding's
    result, with its input of D, and 8D that each block keeps, in fp32. What is recomputed keeps them for one block at a
    time. A tracker of fake tensors finds 1.5 MB a block for the 2B model at 832x480x81, as this does. Operations are the
    same but for the time embedding, 14 D² for each frame, which is a millionth of a step.

    Args:
        values: Settings by path.
        config: The transformer's configuration.
        frames: Latent frames of a sample.
    """
    if not any(_is_given(values, path) for path in values if generic(path) == "data.datasets.*.video.is_i2v"):
        return 0.0
    width: int = config["num_attention_heads"] * config["attention_head_dim"]
    layers: int = config["num_layers"]
    kept = layers
    if values["memory.gradient_checkpointing"]:
        kept = layers - -(-layers // int(values["memory.gradient_checkpointing_interval"])) + 1
    return float(values["train.batch_size"] * (frames - 1) * width * _FP32 * (7 + 8 * kept))


def _is_given(values: Mapping[str, Any], path: str) -> bool:
    return bool(values[path]) and values[f"{path.removesuffix('is_i2v')}i2v_probability"] > 0
