"""finetrainers: the arguments of its script, and the file of data sets that they name."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from recipe_compiler.imports.draft import Draft
from recipe_compiler.imports.given import Given, given_in
from recipe_compiler.imports.peer import MODEL, Entry, Idle, Lost, Sets, Words, take_keys
from recipe_compiler.imports.place import How, named_file
from recipe_compiler.imports.reading import read_map
from recipe_schema.record import replace


_OPTIMIZERS = {"adamw": "adamw", "adamw-bnb-8bit": "adamw8bit", "adamw-8bit": "adamw8bit"}
_PRECOMPUTED = Idle("latents and texts are stored by content in `data.store_dir`")
_LAUNCHED = Lost("`launch` says how many processes there are and what they share")
_SHIFTED = Lost("the family's noise schedule is used, see `train.noise_schedule`")
_NAMES = re.compile(r"\(([\w.]+(?:\|[\w.]+)*)\)\Z")
"""The layers at the end of a regular expression, as in ``blocks.*(to_q|to_k)``."""

_SIZE = re.compile(r"\d+x\d+x\d+\Z")


def import_finetrainers(path: Path, how: How) -> Draft:
    """Take the arguments of finetrainers over.

    Raises:
        OSError: A file can't be read.
        ImportProblemError: A file is missing or broken.
    """
    draft = Draft()
    sets = Sets(draft, how)
    keys = {given.name: given for given in given_in(read_map(path))}
    values = {name: given.value for name, given in keys.items()}
    take_keys(keys, _table(sets, path, values), draft)
    draft.add("lr_schedule.name", "cosine", "finetrainers' default", "one cycle of cosine_with_restarts")
    draft.warn("finetrainers takes frames as they follow each other; here clips are resampled to `data.framerate`")
    return draft


def _table(sets: Sets, path: Path, keys: Mapping[str, Any]) -> Mapping[str, Entry]:
    draft = sets.draft

    def data_root(given: Given) -> None:
        table = sets.add(str(given.value), given)
        sets.folder(given, f"{table}.instance_data_dir")

    def model(given: Given) -> None:
        draft.warn(f"these arguments train `{given.value}`: the recipe trains Sana Video by its settings")
        draft.leave(given, MODEL.reason, lost=True, target="model.family")

    def targets(given: Given) -> None:
        names = _NAMES.search(given.value) if isinstance(given.value, str) else None
        if names is not None:
            found, reason = names[1].split("|"), "layers are named by the end of their names"
            draft.change(given, "model.lora.target_modules", found, reason)
        else:
            value = given.value if isinstance(given.value, list) else [given.value]
            draft.take(replace(given, value=value), "model.lora.target_modules")

    def resume(given: Given) -> None:
        if str(given.value).isdigit() or given.value == "latest":
            draft.take(given, "checkpoints.resume")
        else:
            draft.leave(given, "its checkpoints can't be read here", lost=True, target="checkpoints.resume")

    def cycles(given: Given) -> None:
        if keys.get("lr_scheduler") == "cosine_with_restarts":
            draft.take(given, "lr_schedule.num_cycles")
        else:
            draft.leave(given, "cosine_with_restarts alone reads it", target="lr_schedule.num_cycles")

    return {
        "model_name": model,
        "pretrained_model_name_or_path": MODEL,
        "dataset_config": lambda given: _take_sets(given, named_file(given, path, "the data sets"), sets),
        "data_root": data_root,
        "dataset_file": Lost("name the table in a data set of type csv"),
        "video_resolution_buckets": lambda given: _sizes(given, "data.datasets.0", sets),
        "caption_dropout_p": "train.caption_dropout_probability",
        "caption_dropout_technique": Idle("the null caption is the empty text"),
        "enable_precomputation": _PRECOMPUTED,
        "precompute_conditions": _PRECOMPUTED,
        "precomputation_items": _PRECOMPUTED,
        "precomputation_dir": _PRECOMPUTED,
        "precomputation_once": _PRECOMPUTED,
        "precomputation_reuse": _PRECOMPUTED,
        "dataset_shuffle_buffer_size": Idle("all samples are shuffled"),
        "dataloader_num_workers": Idle("batches are always made ahead"),
        "pin_memory": Idle("batches are always made ahead"),
        "cache_dir": Idle("HF_HOME says where downloads are kept"),
        "flow_weighting_scheme": Words("train.noise_schedule", {"logit_normal": "official", "none": "simpletuner"}),
        "flow_logit_mean": _SHIFTED,
        "flow_logit_std": _SHIFTED,
        "flow_mode_scale": _SHIFTED,
        "flow_shift": _SHIFTED,
        "flow_resolution_shifting": _SHIFTED,
        "training_type": Words("model.type", {"lora": "lora", "full-finetune": "full"}),
        "seed": "train.seed",
        "batch_size": "train.batch_size",
        "train_steps": "train.max_steps",
        "train_epochs": "train.num_epochs",
        "max_data_samples": Lost("`train.max_steps` says how long"),
        "rank": "model.lora.rank",
        "lora_alpha": "model.lora.alpha",
        "target_modules": targets,
        "mixed_precision": Words("train.mixed_precision", {"bf16": "bf16", "no": "no"}),
        "transformer_dtype": Words("train.mixed_precision", {"bf16": "bf16", "fp32": "no"}),
        "text_encoder_dtype": Words("model.text_encoder_dtype", {"bf16": "bf16", "fp32": "fp32"}),
        "vae_dtype": Words("model.vae_dtype", {"bf16": "bf16", "fp32": "fp32"}),
        "gradient_accumulation_steps": "train.gradient_accumulation_steps",
        "gradient_checkpointing": "memory.gradient_checkpointing",
        "checkpointing_steps": "checkpoints.step_interval",
        "checkpointing_limit": "checkpoints.total_limit",
        "resume_from_checkpoint": resume,
        "enable_slicing": "memory.vae_slicing",
        "enable_tiling": "memory.vae_tiling",
        "enable_model_cpu_offload": "memory.model_cpu_offload",
        "layerwise_upcasting_modules": Lost("frozen weights are stored smaller by `model.base_model_precision`"),
        "compile_modules": Lost("`hardware.compile` says how hard torch should try"),
        "optimizer": Words("optimizer.name", _OPTIMIZERS),
        "use_8bit_bnb": Words("optimizer.name", {True: "adamw8bit"}),
        "lr": "optimizer.learning_rate",
        "lr_scheduler": "lr_schedule.name",
        "lr_warmup_steps": "lr_schedule.warmup_steps",
        "lr_num_cycles": cycles,
        "lr_power": "lr_schedule.power",
        "beta1": "optimizer.beta1",
        "beta2": "optimizer.beta2",
        "beta3": Idle("no optimizer that is read has it"),
        "weight_decay": "optimizer.weight_decay",
        "epsilon": "optimizer.eps",
        "max_grad_norm": "train.max_grad_norm",
        "validation_steps": "validation.step_interval",
        "validation_every_n_steps": "validation.step_interval",
        "validation_every_n_epochs": "validation.epoch_interval",
        "validation_dataset_file": lambda given: _take_prompts(given, named_file(given, path, "the prompts"), sets),
        "num_validation_videos_per_prompt": "validation.num_clips",
        "tracker_name": "tracking.project_name",
        "report_to": Words("tracking.report_to", {"wandb": "wandb", "none": None}),
        "push_to_hub": "hub.push",
        "hub_model_id": "hub.model_id",
        "hub_token": Idle("secrets never stand in a recipe: set HF_TOKEN, or log in by `hf auth login`"),
        "output_dir": lambda given: sets.folder(given, "output_dir"),
        "logging_dir": Idle("everything is in the run directory"),
        "logging_steps": Idle("every step is in events.jsonl"),
        "allow_tf32": "hardware.tf32",
        "nccl_timeout": Idle("a step that hangs is seen by `alarms.step_timeout`"),
        "init_timeout": Idle("a step that hangs is seen by `alarms.step_timeout`"),
        "verbose": Idle("-q leaves progress out"),
        "parallel_backend": _LAUNCHED,
        "dp_degree": "launch.processes",
        "dp_shards": _LAUNCHED,
        "pp_degree": _LAUNCHED,
        "cp_degree": _LAUNCHED,
        "tp_degree": _LAUNCHED,
    }


def _take_sets(given: Given, file: Path, sets: Sets) -> None:
    sets.draft.merge(given, "data.datasets", f"from {file}")
    keys = list(given_in(read_map(file)))
    for number in dict.fromkeys(key.key[1] for key in keys if key.key[0] == "datasets" and len(key.key) > 1):
        own = {str(key.key[2]): key for key in keys if key.key[:2] == ("datasets", number)}
        place = own.get("data_root") or own.get("dataset_file") or next(iter(own.values()))
        kind = own["dataset_type"].value if "dataset_type" in own else "video"
        table = sets.add(str(place.value), place, kind="image" if kind == "image" else "video")
        take_keys(own, _set_table(table, sets), sets.draft)
    for key in keys:
        if key.key[0] != "datasets" or len(key.key) == 1:
            sets.draft.leave(key, "data sets stand under `datasets`", lost=True)


def _set_table(table: str, sets: Sets) -> Mapping[str, Entry]:
    draft = sets.draft

    def table_file(key: Given) -> None:
        if str(key.value).count("/") == 1 and not Path(str(key.value)).suffix:
            draft.change(key, f"{table}.dataset_name", key.value, "a data set of the hub")
            draft.add(f"{table}.type", "huggingface", key.origin)
            draft.add(f"{table}.caption_strategy", "huggingface", key.origin)
        else:
            sets.folder(key, f"{table}.csv_file")
            draft.add(f"{table}.type", "csv", key.origin)
            draft.add(f"{table}.caption_strategy", "csv", key.origin)

    def token(key: Given) -> None:
        draft.take(key, f"{table}.instance_prompt")
        draft.add(f"{table}.prepend_instance_prompt", True, key.origin)

    return {
        "data_root": lambda key: sets.folder(key, f"{table}.instance_data_dir"),
        "dataset_file": table_file,
        "dataset_type": Idle("see dataset_type of the recipe"),
        "id_token": token,
        "video_resolution_buckets": lambda key: _sizes(key, table, sets),
        "image_resolution_buckets": Lost("write sizes of frames into `data.buckets`"),
        "reshape_mode": Words(
            f"{table}.crop_style", {"center_crop": "center", "random_crop": "random", "bicubic": "center"}
        ),
        "remove_common_llm_caption_prefixes": Lost("captions are used as they are"),
        "caption_options.": Lost("captions are used as they are"),
    }


def _sizes(given: Given, table: str, sets: Sets) -> None:
    """Take buckets of (frames, height, width) over: sizes of frames for all data sets, and the longest length for this."""
    value = given.value if isinstance(given.value, list) else [given.value]
    buckets = [_size(size) for size in value]
    if not buckets or any(size is None for size in buckets):
        sets.draft.leave(given, "buckets of frames, height and width are expected", lost=True, target="data.buckets")
        return
    shapes = [size for size in buckets if size is not None]
    old: list[Any] = list(sets.draft.value("data.buckets", []))
    names = list(dict.fromkeys([*old, *(f"{width}x{height}" for _, height, width in shapes)]))
    sets.draft.change(given, "data.buckets", names, "sizes of frames are those of all data sets, as WIDTHxHEIGHT")
    place = given.origin
    sets.draft.add(f"{table}.video.num_frames", max(frames for frames, _, _ in shapes), place, "the longest bucket")
    sets.draft.add(f"{table}.video.min_frames", min(frames for frames, _, _ in shapes), place, "the shortest bucket")


def _size(size: Any) -> tuple[int, int, int] | None:
    parts = size.split("x") if isinstance(size, str) and _SIZE.match(size) else size
    if isinstance(parts, list) and len(parts) == 3 and all(str(part).isdigit() for part in parts):  # noqa: PLR2004
        return int(parts[0]), int(parts[1]), int(parts[2])
    return None


def _take_prompts(given: Given, file: Path, sets: Sets) -> None:
    """Take the captions of a list of validation clips over; sizes are the same for all here."""
    draft = sets.draft
    draft.merge(given, "validation.prompt_library", f"from {file}")
    prompts: dict[str, str] = {}
    for key in given_in(read_map(file)):
        if key.key[-1] == "caption" and isinstance(key.value, str):
            prompts[f"prompt-{len(prompts) + 1}"] = key.value
            draft.merge(key, "validation.prompt_library", "")
        else:
            draft.leave(
                key, "clips have one size and length: `validation.resolution`, `num_video_frames`", lost=bool(key.value)
            )
    draft.add("validation.prompt_library", prompts, str(file))
