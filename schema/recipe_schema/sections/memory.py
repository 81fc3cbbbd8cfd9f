"""What is traded for memory."""

from typing import Literal

from recipe_schema.marks import key
from recipe_schema.section import section
from recipe_schema.sections.forms import Count, PathText


@section
class GroupOffload:
    """Weights stay in main memory, and groups of layers come to the accelerator when they are needed."""

    enabled: bool = key(
        False,
        "Offload groups of layers. Weights that are trained stay on the accelerator.",
        impact="runtime",
        reads=("train",),
        aka="enable_group_offload",
    )
    type: Literal["block_level", "leaf_level"] = key(
        "block_level",
        "A group is several blocks, or each single layer: less memory, more transfers.",
        impact="runtime",
        reads=("train",),
        aka="group_offload_type",
        refused={"disk": "groups of either kind wait in files where `to_disk_path` names a folder"},
    )
    blocks_per_group: Count = key(
        1,
        "Blocks of a group, for block_level.",
        impact="runtime",
        reads=("train",),
        aka="group_offload_blocks_per_group",
    )
    use_stream: bool = key(
        False,
        "Fetch the next group while one computes. CUDA only.",
        impact="runtime",
        reads=("train",),
        aka="group_offload_use_stream",
    )
    to_disk_path: PathText | None = key(
        None,
        "Keep offloaded weights in files in this folder in place of main memory: slower.",
        impact="runtime",
        reads=("train",),
        aka="group_offload_to_disk_path",
    )
    text_encoder: bool = key(
        False,
        "Offload the text encoder too, while captions are encoded.",
        impact="runtime",
        reads=("encode-text",),
        aka="group_offload_text_encoder",
    )
    vae: bool = key(
        False,
        "Offload the VAE too, while clips are encoded.",
        impact="runtime",
        reads=("encode-video", "validate"),
        aka="group_offload_vae",
    )


@section
class Memory:
    """What is traded for memory."""

    gradient_checkpointing: bool = key(
        True,
        "Recompute each block in the backward pass: a third more work, a fraction of the memory.",
        impact="runtime",
        reads=("train",),
        aka="gradient_checkpointing",
    )
    gradient_checkpointing_interval: Count = key(
        1,
        "Recompute one block of so many: 2 halves the extra work and takes more memory.",
        unit="blocks",
        impact="runtime",
        reads=("train",),
        aka="gradient_checkpointing_interval",
    )
    probe_largest_bucket: bool = key(
        True,
        "Before training, take one pass through the largest bucket and throw its gradients away, so that a run that does "
        "not fit ends in its first minute. It changes no bit of the result.",
        impact="runtime",
        reads=("train",),
    )
    model_cpu_offload: bool = key(
        False,
        "Keep text encoder, transformer and VAE in main memory, and on the accelerator only the one at work, while "
        "clips are drawn.",
        impact="runtime",
        reads=("validate",),
        aka="enable_model_cpu_offload",
    )
    vae_tiling: bool = key(
        False,
        "Encode and decode in overlapping tiles: less memory, slightly other values.",
        reads=("encode-video", "validate"),
        aka="vae_enable_tiling",
    )
    vae_slicing: bool = key(
        False,
        "Encode and decode one clip of a batch after the other.",
        impact="runtime",
        reads=("encode-video", "validate"),
        aka="vae_enable_slicing",
    )
    group_offload: GroupOffload
