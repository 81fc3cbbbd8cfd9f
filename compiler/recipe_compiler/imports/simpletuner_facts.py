"""What SimpleTuner 4.8 to 4.10 takes and does, where it is not what the same key does here.

Names of keys are not here: they stand in the marks of the language, and in ``passes/foreign_keys.json``.
"""

from collections.abc import Mapping
from typing import Any


FAMILY = "sanavideo"

OLD_NAMES: Mapping[str, str] = {
    "RESUME_CHECKPOINT": "resume_from_checkpoint",
    "DATALOADER_CONFIG": "data_backend_config",
    "TRAINING_SEED": "seed",
    "MINIMUM_RESOLUTION": "minimum_image_size",
    "PUSH_CHECKPOINTS": "push_checkpoints_to_hub",
    "MAX_NUM_STEPS": "max_train_steps",
    "NUM_EPOCHS": "num_train_epochs",
    "CHECKPOINTING_LIMIT": "checkpoints_total_limit",
    "HUB_MODEL_NAME": "hub_model_id",
    "MODEL_NAME": "pretrained_model_name_or_path",
    "USE_GRADIENT_CHECKPOINTING": "gradient_checkpointing",
    "LR_SCHEDULE": "lr_scheduler",
    "TRAINING_NUM_PROCESSES": "num_processes",
    "TRAINING_NUM_MACHINES": "num_machines",
    "TRAINING_DYNAMO_BACKEND": "dynamo_backend",
    "TRAINER_DYNAMO_BACKEND": "dynamo_backend",
    "ACCELERATE_CONFIG_PATH": "accelerate_config",
}
"""Variables of ``config.env`` that are not the option's name in capitals."""

MEANT: Mapping[tuple[str, Any], tuple[Any, str]] = {
    ("base_model_precision", "bf16"): ("no_change", "SimpleTuner refuses it; that is no quantization"),
    ("base_model_precision", "fp32"): ("no_change", "that is no quantization"),
    ("base_model_precision", "no"): ("no_change", "that is no quantization"),
    ("base_model_precision", "none"): ("no_change", "that is no quantization"),
    ("text_encoder_1_precision", "bf16"): ("no_change", "that is no quantization"),
    ("text_encoder_1_precision", "none"): ("no_change", "that is no quantization"),
    ("model_family", FAMILY): ("sana-video-480p", "that is its name here"),
    ("mixed_precision", "fp32"): ("no", "full precision is spelt `no`"),
    ("optimizer", "torch-adamw"): ("adamw", "that is its name here"),
    ("optimizer", "bnb-adamw8bit"): ("adamw8bit", "that is its name here"),
    ("optimizer", "adamw_schedulefree"): ("schedule-free", "that is its name here"),
    ("optimizer", "torch-adafactor"): ("adafactor", "that is its name here"),
    ("optimizer", "prodigy"): ("prodigy", "SimpleTuner's is ProdigyPlus, which also averages the weights it trains"),
    ("vae_dtype", "default"): ("bf16", "that is what it stands for there"),
    ("quantize_via", "pipeline"): ("cpu", "weights are quantized after loading"),
    ("lora_type", "lycoris"): ("lokr", "of LyCORIS there is LoKr"),
    ("scheduled_sampling_sampler", "dpm"): ("heun", "that solver remembers earlier steps, which a rollout has not"),
    ("report_to", "none"): (None, "that is null here"),
    ("report_to", "all"): (["tensorboard", "wandb"], "these are there"),
    ("report_to", "simpletuner"): (None, "events.jsonl in the run directory holds everything"),
    ("checkpoints_total_limit", 0): (None, "all are kept"),
    ("checkpointing_rolling_steps", 0): (None, "there are none"),
    ("snr_gamma", 0): (None, "it is off"),
}
"""Values that mean something here under another name, with the reason."""

_ADAMW = {"beta1": 0.9, "beta2": 0.999, "eps": 1e-6, "weight_decay": 1e-2}
_OPTIMI = {"beta1": 0.9, "beta2": 0.99, "eps": 1e-6, "weight_decay": 0.0}
OPTIMIZERS: Mapping[str, Mapping[str, float]] = {
    "adamw": {**_ADAMW, "eps": 1e-8},
    "adamw8bit": _ADAMW,
    "adamw_bf16": _ADAMW,
    "ao-adamw8bit": _ADAMW,
    "ao-adamw4bit": _ADAMW,
    "ao-adamwfp8": _ADAMW,
    "optimi-adamw": _OPTIMI,
    "optimi-stableadamw": {**_OPTIMI, "weight_decay": 1e-2},
    "optimi-radam": _OPTIMI,
    "optimi-ranger": _OPTIMI,
    "optimi-adan": {"beta1": 0.98, "beta2": 0.999, "eps": 1e-6, "weight_decay": 2e-2},
    "optimi-lion": {"beta1": 0.9, "beta2": 0.99, "weight_decay": 0.0},
    "schedule-free": {**_ADAMW, "eps": 1e-8},
    "prodigy": {**_OPTIMI, "eps": 1e-8},
    "adafactor": {"weight_decay": 0.0},
}
"""The constants that it gives an optimizer, by its name here. It fails at others: at an eps of lion, for one."""

OPTIMIZER, WARMUP_SCHEDULE = "adamw_bf16", "constant_with_warmup"
"""What it takes when nothing is given."""

DEFAULTS: Mapping[str, tuple[Any, str | None]] = {
    "train_batch_size": (4, None),
    "learning_rate": (4e-7, None),
    "max_grad_norm": (2.0, None),
    "grad_clip_method": ("value", None),
    "optimizer": (OPTIMIZER, None),
    "vae_dtype": ("bf16", None),
    "vae_batch_size": (1, None),
    "caption_dropout_probability": (0.1, None),
    "lora_dropout": (0.1, "model.type=lora&model.lora.type=standard"),
    "lora_rank": (16, "model.type=lora&model.lora.type=standard"),
    "ema_decay": (0.995, "ema.enabled=True"),
    "crepa_block_index": (8, "regularizers.crepa.enabled=True"),
    "lr_end": (4e-7, "lr_schedule.name=polynomial,simpletuner-cosine,simpletuner-sine"),
    "lr_power": (0.8, "lr_schedule.name=polynomial"),
    "huber_schedule": ("snr", "train.loss_type=huber,smooth_l1"),
}
"""What it takes for a key that shapes the weights and is not given, where that is not the default here, each with the
settings on which that rests."""

IDLE_LOSS = ("loss_type", "huber_c", "huber_schedule", "snr_gamma", "masked_loss_probability")
"""Options that its loss for this family never reads."""

OFFLOAD = "enable_group_offload"
OFFLOAD_NAMES = (
    OFFLOAD,
    "group_offload_type",
    "group_offload_blocks_per_group",
    "group_offload_use_stream",
    "group_offload_to_disk_path",
    "group_offload_text_encoder",
    "group_offload_vae",
)
"""Options that 4.8 has and 4.10 refuses."""

COSINE_PERIOD = 1000
"""Steps, where a cosine is given none."""

EMPTY_TYPES = ("text_embeds", "image_embeds", "conditioning_image_embeds")
"""Types of data sets that name caches."""

TYPES = ("local", "csv", "huggingface", "aws")
"""Types of data sets that are taken."""


def meant(name: str, value: Any) -> tuple[Any, str] | None:
    """Return the value here of an option's value that means it under another name, with the reason; None for others."""
    return None if isinstance(value, list) else MEANT.get((name, value))


def legal_frames(frames: int) -> int:
    """Return the number of frames that it trains for a number that is asked for: one more than a multiple of 8."""
    return max((frames - 1) // 8 * 8 + 1, 1)
