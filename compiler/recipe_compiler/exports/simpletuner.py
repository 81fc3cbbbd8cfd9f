"""A recipe as SimpleTuner's configuration, of version 4.8 or 4.10.

Every option is written, also where it has its default there: what a recipe means does not rest on another trainer's
defaults. `recipe_compiler.imports.simpletuner` with ``faithful`` is the way back.
"""

from pathlib import Path
from typing import Any

from recipe_compiler.exports.outcome import Exported
from recipe_compiler.exports.simpletuner_data import write_data
from recipe_compiler.exports.simpletuner_training import write_training
from recipe_compiler.exports.writer import Writer
from recipe_compiler.imports.simpletuner import DATA, DATA_KEY
from recipe_compiler.imports.simpletuner_facts import OFFLOAD_NAMES
from recipe_compiler.imports.simpletuner_options import IN_DATA_SETS, flat_options
from recipe_compiler.settings import Resolved


CONFIG, PROMPTS, LYCORIS = "config.json", "user_prompt_library.json", "lycoris_config.json"

_ELSEWHERE = (
    "model.family",
    "model.instruction",
    "model.lora.type",
    "model.base_model_precision",
    "data.motion_score",
    "train.max_steps",
    "train.num_epochs",
    "train.loss_type",
    "train.huber_c",
    "train.huber_schedule",
    "train.snr_gamma",
    "train.noise_offset",
    "train.noise_offset_probability",
    "train.layer_freeze_strategy",
    "train.flow_schedule_shift",
    "train.flow_schedule_auto_shift",
    "optimizer.name",
    "ema.decay",
    "ema.warmup_steps",
    "memory.model_cpu_offload",
    "memory.gradient_checkpointing_interval",
    "regularizers.masked_loss.probability",
    "regularizers.rollout.sampler",
    "regularizers.rollout.order",
    "regularizers.rollout.reflexflow",
    "regularizers.rollout.reflexflow_alpha",
    "regularizers.rollout.reflexflow_beta1",
    "regularizers.rollout.reflexflow_beta2",
    "validation.prompt_library",
    "validation.step_interval",
    "checkpoints.total_limit",
    "checkpoints.rolling_steps",
    "checkpoints.resume",
    "tracking.report_to",
    "hardware.compile",
)
"""Settings with an option that is not simply their value."""

_PATHS = ("output_dir", "model.lora.init_from")
_LISTS = ("model.lora.target_modules",)
"""Settings whose option is a list; that of others has commas."""

_MODELS = (
    "model.pretrained_model_name_or_path",
    "model.pretrained_vae_model_name_or_path",
    "model.pretrained_transformer_model_name_or_path",
)


def export_simpletuner(settings: Resolved, root: Path, folder: Path, version: str) -> Exported:
    """Write a recipe as SimpleTuner's configuration.

    Args:
        settings: Of a recipe without errors.
        root: The folder of the recipe.
        folder: Where the files will be.
        version: 4.8 or 4.10.
    """
    writer = Writer(settings, root)
    _write_plain(writer, version)
    write_training(writer, version)
    sets = write_data(writer)
    files: dict[str, Any] = {CONFIG: writer.options, DATA: sets}
    writer.options[DATA_KEY] = (folder / DATA).as_posix()
    if writer["validation.prompt_library"]:
        files[PROMPTS] = dict(writer["validation.prompt_library"])
        writer.say("validation.prompt_library", "user_prompt_library", (folder / PROMPTS).as_posix())
    if writer["model.type"] == "lora" and writer["model.lora.type"] == "lokr":
        files[LYCORIS] = _lycoris(writer)
        writer.options["lycoris_config"] = (folder / LYCORIS).as_posix()
    return Exported(files=files, said=len(writer.said), unsaid=tuple(writer.unsaid))


def _write_plain(writer: Writer, version: str) -> None:
    """Write every option that is the value of a setting."""
    off = _switched_off(writer)
    for option, leaf in flat_options().items():
        path = leaf.path
        if leaf.key.aka is None or path in _ELSEWHERE or path.startswith((IN_DATA_SETS, "lr_schedule.", *off)):
            continue
        if option in OFFLOAD_NAMES and version != "4.8":
            if path == "memory.group_offload.enabled":
                writer.need(path, False, reason="4.10 has no group offload; 4.8 has")
        elif writer[path] is not None:
            value = writer[path]
            value = writer.path_of(path) if path in _PATHS else writer.model_of(path) if path in _MODELS else value
            writer.say(path, option, ",".join(value) if isinstance(value, list) and path not in _LISTS else value)


def _switched_off(writer: Writer) -> tuple[str, ...]:
    """Return what begins the paths of settings that rest on something that is off."""
    lora, lokr = writer["model.type"] == "lora", writer["model.lora.type"] == "lokr"
    off = {
        "model.lora.": lora and not lokr,
        "regularizers.rollout.": writer["regularizers.rollout.max_step_offset"] > 0,
        "hub.": writer["hub.push"] or writer["hub.push_checkpoints"],
        "model.pretrained_transformer": writer.settings.given("model.pretrained_transformer_model_name_or_path"),
        "checkpoints.rolling": writer["checkpoints.rolling_steps"] is not None,
        "evaluation.pre": writer["evaluation.type"] == "clip",
    }
    for section in ("ema", "regularizers.crepa", "memory.group_offload", "validation.preview"):
        off[f"{section}."] = writer[f"{section}.enabled"]
    return tuple(prefix for prefix, on in off.items() if not on)


def _lycoris(writer: Writer) -> dict[str, Any]:
    keys = {"linear_dim": "rank", "linear_alpha": "alpha", "factor": "lokr_factor"}
    writer.said |= {f"model.lora.{name}" for name in keys.values()}
    usual = writer.settings.family.default("lora_targets")
    writer.need(
        "model.lora.target_modules", usual, reason="LyCORIS names layers otherwise", instead="`Attention` is said"
    )
    for name, value in (("dropout", 0.0), ("init", "default"), ("init_from", None), ("use_dora", False)):
        writer.need(f"model.lora.{name}", value, reason="LoKr has none there")
    return {
        "algo": "lokr",
        "multiplier": 1.0,
        **{key: writer[f"model.lora.{name}"] for key, name in keys.items()},
        "apply_preset": {"target_module": ["Attention"]},
    }
