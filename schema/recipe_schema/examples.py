"""The JSON Schema as editors get it: with an example for each key, and the defaults of the model family.

It is a module of its own since a lint needs none of it.
"""

from collections.abc import Mapping
from typing import Any

from recipe_schema.definition import Leaf, Section, Table, definition, leaf_index
from recipe_schema.family import load_family
from recipe_schema.jsonschema import recipe_schema
from recipe_schema.marks import Family
from recipe_schema.templates import with_templates


_DATA_SET = "data.datasets.*."

EXAMPLES: Mapping[str, tuple[Any, ...]] = {
    "name": ("otters-480p",),
    "description": ("a LoRA adapter of my otters",),
    "output_dir": ("runs/otters",),
    "model.revision": ("main", None),
    "model.pretrained_vae_model_name_or_path": ("Efficient-Large-Model/SANA-Video_2B_480p_diffusers",),
    "model.pretrained_transformer_model_name_or_path": ("runs/earlier/export",),
    "model.lora.alpha": (16, 32),
    "model.lora.init_from": ("runs/earlier/export", None),
    f"{_DATA_SET}id": ("otters",),
    f"{_DATA_SET}instance_data_dir": ("clips/otters",),
    f"{_DATA_SET}source": ("hf:OWNER/NAME", "builtin:sample-clips", None),
    f"{_DATA_SET}instance_prompt": ("an otter", None),
    f"{_DATA_SET}caption_weights": ([2, 1], None),
    f"{_DATA_SET}max_num_samples": (1000, None),
    f"{_DATA_SET}end_epoch": (10, None),
    f"{_DATA_SET}end_step": (1000, None),
    f"{_DATA_SET}resolution": (480, None),
    f"{_DATA_SET}minimum_image_size": (240, None),
    f"{_DATA_SET}minimum_aspect_ratio": (0.5, None),
    f"{_DATA_SET}maximum_aspect_ratio": (2.0, None),
    f"{_DATA_SET}crop_aspect_buckets": ([1.0, 1.78], None),
    f"{_DATA_SET}train_batch_size": (4, None),
    f"{_DATA_SET}conditioning_data": ("masks", ["masks"], None),
    f"{_DATA_SET}label_weights": ({"255": 1, "0": 0.1},),
    f"{_DATA_SET}source_dataset_id": ("otters", None),
    f"{_DATA_SET}csv_file": ("clips.csv", None),
    f"{_DATA_SET}csv_cache_dir": ("clips/downloaded", None),
    f"{_DATA_SET}dataset_name": ("OWNER/NAME", None),
    f"{_DATA_SET}revision": ("main", None),
    f"{_DATA_SET}aws_bucket_name": ("my-clips", None),
    f"{_DATA_SET}aws_data_prefix": ("otters/",),
    f"{_DATA_SET}aws_region_name": ("eu-central-1", None),
    f"{_DATA_SET}aws_endpoint_url": ("https://storage.example.org", None),
    f"{_DATA_SET}video.min_frames": (49,),
    f"{_DATA_SET}video.max_frames": (400, None),
    f"{_DATA_SET}video.frame_interval": (16, None),
    f"{_DATA_SET}video.max_windows": (4, None),
    f"{_DATA_SET}motion.path": ("clips/motion.csv", None),
    f"{_DATA_SET}parquet.path": ("clips/captions.parquet", None),
    f"{_DATA_SET}parquet.fallback_caption_column": ("short_caption", None),
    f"{_DATA_SET}huggingface.fallback_caption_column": ("short_caption", None),
    "data.image_interval": (10, None),
    "train.max_steps": (2000, None),
    "train.num_epochs": (10, None),
    "train.snr_gamma": (5.0, None),
    "train.flow_schedule_shift": (3.0, None),
    "lr_schedule.period_steps": (1000, None),
    "memory.group_offload.to_disk_path": ("/tmp/offloaded", None),  # noqa: S108 - an example
    "regularizers.crepa.encoder_path": ("models/dinov2-large", None),
    "regularizers.crepa.teacher_block_index": (16, None),
    "regularizers.crepa.similarity_threshold": (0.9, None),
    "regularizers.rollout.prob_start": (0.0, None),
    "evaluation.step_interval": (500, None),
    "evaluation.epoch_interval": (1, None),
    "evaluation.fraction": (0.1, None),
    "evaluation.dataset_id": ("held-out", None),
    "evaluation.pretrained_model_name_or_path": ("openai/clip-vit-large-patch14-336", None),
    "validation.prompt": ("an otter swims on its back", None),
    "validation.prompt_library": ({"otter": "an otter swims", "fox": "a red fox runs"}, "prompts.yaml"),
    "validation.negative_prompt": ("worst quality, blurry, distorted",),
    "validation.resolution": ("832x480",),
    "validation.framerate": (16,),
    "validation.step_interval": (500, None),
    "validation.epoch_interval": (1, None),
    "validation.images": ({"otter": "pictures/otter.png"},),
    "checkpoints.epoch_interval": (1, None),
    "checkpoints.rolling_steps": (100, None),
    "checkpoints.accept_changes": (["optimizer.learning_rate"],),
    "alarms.loss_spike_factor": (5.0, None),
    "alarms.step_timeout": (600, None),
    "tracking.run_name": ("otters-2",),
    "tracking.webhooks.*.url_env": ("DISCORD_WEBHOOK", None),
    "tracking.webhooks.*.url": ("http://127.0.0.1:8080/hook", None),
    "tracking.webhooks.*.prefix": ("otters: ",),
    "tracking.webhooks.*.token_env": ("HOOK_TOKEN", None),
    "tracking.webhook_interval": (60, None),
    "hub.model_id": ("me/sana-otters", None),
    "hardware.torch_num_threads": (8, None),
}
"""Examples of keys whose type and default say too little, by their paths."""


def editor_schema() -> dict[str, Any]:
    """Return the JSON Schema of a recipe file, as `recipe schema` prints it."""
    schema = recipe_schema()
    _fill(schema, definition())
    return with_templates(schema)


def _fill(schema: dict[str, Any], node: Leaf | Section | Table) -> None:
    if isinstance(node, Section):
        for name, child in node.children.items():
            _fill(schema["properties"][name], child)
    elif isinstance(node, Table):
        _fill(schema["items"], node.item)
    else:
        if isinstance(node.key.default, Family):
            schema["default"] = _family_default(node.key.default)
        shown = examples(node)
        if shown:
            schema["examples"] = list(shown)


def examples(leaf: Leaf) -> tuple[Any, ...]:
    """Return values that a key takes: named ones, all of a few, or its default. A key that is never applied has none."""
    if leaf.path in EXAMPLES:
        return EXAMPLES[leaf.path]
    if leaf.key.ignored is not None:
        return ()
    if leaf.spec.choices and leaf.spec.container is None:
        return leaf.spec.choices
    if leaf.spec.kind == "boolean":
        return (True, False)
    default = leaf.key.default
    if isinstance(default, Family):
        return (_family_default(default),)
    return (list(default) if isinstance(default, tuple) else default,)


def _family_default(default: Family) -> Any:
    """Return the default of the family that a recipe has if it names none."""
    return load_family(str(leaf_index()["model.family"].key.default)).default(default.name)
