"""What alignment with a teacher (CREPA) costs: the teacher's own work, its features on disk, and memory in a step."""

from collections.abc import Mapping
from typing import Any

from recipe_schema.family import FamilyFacts
from recipe_schema.plan import Bucket
from recipe_schema.record import record
from recipe_schema.shards import NOTED


_CREPA = "regularizers.crepa"
_PATCH = 14
_FP32, _FP16 = 4, 2


@record
class Teacher:
    """A vision transformer of DINOv2 (arXiv:2304.07193, table 17).

    Attributes:
        width: Channels of its features.
        layers: Its blocks.
        parameters: Its weights, in millions.
    """

    width: int
    layers: int
    parameters: float


_TEACHERS: Mapping[str, Teacher] = {
    "dinov2_vits14": Teacher(width=384, layers=12, parameters=22.1),
    "dinov2_vitb14": Teacher(width=768, layers=12, parameters=86.6),
    "dinov2_vitl14": Teacher(width=1024, layers=24, parameters=304.4),
    "dinov2_vitg14": Teacher(width=1536, layers=40, parameters=1136.5),
}


def feature_bytes(values: Mapping[str, Any], family: FamilyFacts, bucket: Bucket) -> int:
    """Bytes of one clip's features in the store: patches of each latent frame, in fp16, and what is noted of them."""
    if not _has_teacher(values):
        return 0
    frames = family.latent_shape(bucket.width, bucket.height, bucket.frames)[1]
    return frames * _patches(values) * _teacher(values).width * _FP16 + NOTED


def teacher_flop(values: Mapping[str, Any], family: FamilyFacts, bucket: Bucket) -> float:
    """FLOPs of the teacher for one clip: with n tokens a frame, 2n for each weight and 4n² for each layer and channel."""
    if not _has_teacher(values):
        return 0.0
    teacher, tokens = _teacher(values), _patches(values) + 1
    frames = family.latent_shape(bucket.width, bucket.height, bucket.frames)[1]
    return frames * (2e6 * teacher.parameters * tokens + 4.0 * tokens**2 * teacher.width * teacher.layers)


def projector_parameters(values: Mapping[str, Any], width: int) -> int:
    """Count the weights of the layer norm and the linear layer that are trained beside a transformer of this width."""
    if not values[f"{_CREPA}.enabled"]:
        return 0
    taught = _teacher(values).width if _has_teacher(values) else width
    return 2 * width + (width + 1) * taught


def alignment_memory(values: Mapping[str, Any], width: int, tokens: int, frames: int) -> float:
    """Bytes that a step holds besides, at its peak.

    That is the projector with gradient and two moments, the features, and the gradient that waits for its block, all in
    the backward pass. What the projection itself keeps is freed before the first block is recomputed.

    Args:
        values: Settings by path.
        width: Channels of the transformer's tokens.
        tokens: Of a sample.
        frames: Latent frames of a sample.
    """
    if not values[f"{_CREPA}.enabled"]:
        return 0.0
    features = frames * _patches(values) * _teacher(values).width * _FP16 if _has_teacher(values) else 0
    state = 4 * _FP32 * projector_parameters(values, width)
    return float(state + values["train.batch_size"] * (features + tokens * width * _FP32))


def _has_teacher(values: Mapping[str, Any]) -> bool:
    return bool(values[f"{_CREPA}.enabled"]) and values[f"{_CREPA}.feature_source"] == "encoder"


def _teacher(values: Mapping[str, Any]) -> Teacher:
    return _TEACHERS[values[f"{_CREPA}.encoder"]]


def _patches(values: Mapping[str, Any]) -> int:
    return int((values[f"{_CREPA}.encoder_image_size"] // _PATCH) ** 2)
