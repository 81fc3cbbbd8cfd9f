"""diffusion-pipe: its TOML file, and that of its data sets."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from recipe_compiler.imports.draft import Draft
from recipe_compiler.imports.given import Given, given_in
from recipe_compiler.imports.peer import MODEL, Entry, Idle, Lost, Sets, Words, take_betas, take_keys
from recipe_compiler.imports.place import How, named_file
from recipe_compiler.imports.reading import read_map


_ALIGNMENT = 32
_SHAPES = 9
"""Aspect ratios, where nothing says how many."""

_OPTIMIZERS = {
    "adamw": "adamw",
    "adamw_optimi": "optimi-adamw",
    "stableadamw": "optimi-stableadamw",
    "adamw8bit": "adamw8bit",
    "adamw8bitkahan": "adamw8bit",
    "prodigy": "prodigy",
    "came": "came",
    "adafactor": "adafactor",
}
_WINDOWS = {"single_beginning": "head", "single_middle": "middle", "multiple_overlapping": "uniform"}
_DIRECTORY = "directory"


def import_diffusion_pipe(path: Path, how: How) -> Draft:
    """Take a configuration of diffusion-pipe over.

    Raises:
        OSError: A file can't be read.
        ImportProblemError: A file is missing or broken.
    """
    draft = Draft()
    sets = Sets(draft, how)
    keys = list(given_in(read_map(path)))
    by_name = {given.name: given for given in keys}
    window = by_name["video_clip_mode"].value if "video_clip_mode" in by_name else None
    draft.add("model.type", "lora" if "adapter.type" in by_name else "full", "diffusion-pipe's default")
    take_keys(by_name, _table(by_name, sets, path, _WINDOWS.get(str(window))), draft)
    if "lr_scheduler" not in by_name:
        draft.add("lr_schedule.name", "constant_with_warmup", "diffusion-pipe's default")
    draft.add("train.grad_clip_method", "norm", "what diffusion-pipe does")
    return draft


def _table(keys: Mapping[str, Given], sets: Sets, path: Path, window: str | None) -> Mapping[str, Entry]:
    draft = sets.draft

    def huber(given: Given) -> None:
        draft.add("train.loss_type", "huber", given.origin)
        draft.take(given, "train.huber_c", note="here the loss is 2 c times as large")

    def epochs(given: Given) -> None:
        if "max_steps" in keys:
            draft.leave(given, "max_steps ends training", target="train.num_epochs")
        else:
            draft.take(given, "train.num_epochs")

    def adapter(given: Given) -> None:
        if given.value == "lokr":
            draft.take(given, "model.lora.type")
        else:
            draft.merge(given, "model.type", "an adapter is trained")

    def rank(given: Given) -> None:
        if isinstance(given.value, int | float) and given.value > 1024:  # noqa: PLR2004 - the most here
            draft.change(given, "model.lora.rank", 1024, "it is the most, and more than any factor has")
        else:
            draft.take(given, "model.lora.rank")

    def evaluation(given: Given, setting: str) -> None:
        if any(name.startswith("eval_datasets.") for name in keys):
            draft.take(given, setting)
        else:
            draft.leave(given, "there are no eval_datasets", target=setting)

    return {
        "output_dir": lambda given: sets.folder(given, "output_dir"),
        "dataset": lambda given: _take_sets(given, named_file(given, path, "the data sets"), sets, "video", window),
        "eval_datasets.*.config": lambda given: _take_sets(
            given, named_file(given, path, "the data sets"), sets, "eval", window
        ),
        "eval_datasets.*.name": Idle("data sets are named after their folders"),
        "epochs": epochs,
        "max_steps": "train.max_steps",
        "micro_batch_size_per_gpu": "train.batch_size",
        "image_micro_batch_size_per_gpu": Lost("give the data set of images a `train_batch_size`"),
        "gradient_accumulation_steps": "train.gradient_accumulation_steps",
        "gradient_clipping": "train.max_grad_norm",
        "warmup_steps": "lr_schedule.warmup_steps",
        "lr_scheduler": Words(
            "lr_schedule.name", {"constant": "constant_with_warmup", "linear": "linear", "cosine": "cosine"}
        ),
        "force_constant_lr": Lost("the schedule says the rate; to change it in a run see `checkpoints.accept_changes`"),
        "pipeline_stages": Lost("the model is not cut into stages; `launch.strategy: fsdp2` shares its weights")
        if keys.get("pipeline_stages") is None or keys["pipeline_stages"].value != 1
        else Idle("there is one stage"),
        "blocks_to_swap": Lost("weights are offloaded by `memory.group_offload`"),
        "pseudo_huber_c": huber,
        "eval_every_n_epochs": lambda given: evaluation(given, "evaluation.epoch_interval"),
        "eval_every_n_steps": lambda given: evaluation(given, "evaluation.step_interval"),
        "eval_every_n_examples": Lost("evaluation goes by steps or epochs"),
        "eval_before_first_step": Lost("the first measuring is after step_interval")
        if any(name.startswith("eval_datasets.") for name in keys)
        else Idle("there are no eval_datasets"),
        "save_every_n_epochs": "checkpoints.epoch_interval",
        "save_every_n_steps": "checkpoints.step_interval",
        "save_every_n_examples": Lost("checkpoints go by steps or epochs"),
        "checkpoint_every_n_epochs": "checkpoints.epoch_interval",
        "checkpoint_every_n_minutes": Lost("checkpoints go by steps or epochs"),
        "activation_checkpointing": Words("memory.gradient_checkpointing", {True: True, False: False, "unsloth": True}),
        "reentrant_activation_checkpointing": Idle("there is one way of checkpointing"),
        "eval_micro_batch_size_per_gpu": Idle("clips are measured one by one"),
        "image_eval_micro_batch_size_per_gpu": Idle("clips are measured one by one"),
        "eval_gradient_accumulation_steps": Idle("clips are measured one by one"),
        "disable_block_swap_for_eval": Idle("no blocks are swapped"),
        "partition_method": Idle("the model is not cut into stages"),
        "partition_split": Idle("the model is not cut into stages"),
        "save_dtype": Idle("the export is in fp32, or in bf16 for optimizers that keep weights in it"),
        "caching_batch_size": "data.vae_batch_size",
        "map_num_proc": Idle("clips are looked at as fast as the machine can"),
        "compile": Words("hardware.compile", {True: "default", False: "no"}),
        "steps_per_print": Idle("every step is in events.jsonl"),
        "x_axis_examples": Idle("trackers get steps"),
        "video_clip_mode": lambda given: _clip_mode(given, draft, window),
        "huggingface_repo": "hub.model_id",
        "upload_hf_from_epoch": Lost("the export is uploaded in the end, checkpoints as they are written"),
        "model.type": lambda given: _model(given, draft),
        "model.dtype": Words("train.mixed_precision", {"bfloat16": "bf16", "float32": "no"}),
        "model.timestep_sample_method": Words(
            "train.noise_schedule", {"logit_normal": "official", "uniform": "simpletuner"}
        ),
        "model.": MODEL,
        "adapter.type": adapter,
        "adapter.rank": rank,
        "adapter.alpha": "model.lora.alpha",
        "adapter.dropout": "model.lora.dropout",
        "adapter.dtype": Idle("adapters are trained in fp32"),
        "adapter.decompose_factor": "model.lora.lokr_factor",
        "adapter.init_from_existing": lambda given: sets.folder(given, "model.lora.init_from"),
        "optimizer.type": Words("optimizer.name", _OPTIMIZERS),
        "optimizer.lr": "optimizer.learning_rate",
        "optimizer.betas": lambda given: take_betas(given, draft),
        "optimizer.weight_decay": "optimizer.weight_decay",
        "optimizer.eps": "optimizer.eps",
        "monitoring.enable_wandb": Words("tracking.report_to", {True: "wandb", False: None}),
        "monitoring.wandb_api_key": Idle(
            "secrets never stand in a recipe: log in by `wandb login`, or set WANDB_API_KEY"
        ),
        "monitoring.wandb_tracker_name": lambda given: _told_name(given, draft, "tracking.project_name"),
        "monitoring.wandb_run_name": lambda given: _told_name(given, draft, "tracking.run_name"),
    }


def _told_name(given: Given, draft: Draft, path: str) -> None:
    if given.value:
        draft.take(given, path)
    else:
        draft.leave(given, "it is empty", target=path)


def _model(given: Given, draft: Draft) -> None:
    draft.warn(f"this configuration trains `{given.value}`: the recipe trains Sana Video by its settings")
    draft.leave(given, MODEL.reason, lost=True, target="model.family")


def _clip_mode(given: Given, draft: Draft, window: str | None) -> None:
    if window is None:
        draft.leave(
            given, f"of its values there are {', '.join(_WINDOWS)}", lost=True, target="data.datasets.*.video.window"
        )
    else:
        overlap = given.value == "multiple_overlapping"
        reason = f"of each data set: {window}" + ("; windows don't overlap here" if overlap else "")
        draft.merge(given, "data.datasets.*.video.window", reason, changed=True)


# Data sets


def _take_sets(given: Given, file: Path, sets: Sets, kind: str, window: str | None) -> None:
    sets.draft.merge(given, "data.datasets", f"from {file}")
    keys = list(given_in(read_map(file)))
    shared = {key.name: key for key in keys if key.key[0] != _DIRECTORY}
    told = set[str]()
    for number in dict.fromkeys(key.key[1] for key in keys if key.key[0] == _DIRECTORY and len(key.key) > 1):
        own = {str(key.key[2]): key for key in keys if key.key[:2] == (_DIRECTORY, number)}
        effective = {**{name: key for name, key in shared.items() if name not in own}, **own}
        still = "frame_buckets" in effective and effective["frame_buckets"].value == [1]
        folder = str(own["path"].value) if "path" in own else "clips"
        table = sets.add(folder, next(iter(own.values())), kind="image" if still and kind == "video" else kind)
        if window is not None and not still:
            sets.draft.add(f"{table}.video.window", window, "video_clip_mode")
        entries = {**_set_table(table, effective, sets), **(_stills(table, sets) if still else {})}
        take_keys(own, entries, sets.draft)
        for name in effective.keys() - own.keys():
            before = len(sets.draft.rows)
            take_keys({name: shared[name]}, entries, sets.draft)
            if name in told:
                del sets.draft.rows[before:]
            told.add(name)
    for name in shared.keys() - told:
        sets.draft.leave(shared[name], "each directory has its own")


def _stills(table: str, sets: Sets) -> Mapping[str, Entry]:
    def frames(key: Given) -> None:
        sets.draft.merge(key, f"{table}.dataset_type", "one frame is an image; clips are not taken there")

    return {"frame_buckets": frames}


def _set_table(table: str, given: Mapping[str, Given], sets: Sets) -> Mapping[str, Entry]:
    draft = sets.draft

    def frames(key: Given) -> None:
        numbers = [number for number in key.value if isinstance(number, int)] if isinstance(key.value, list) else []
        videos = [number for number in numbers if number > 1]
        sets.frames(
            key, f"{table}.video.num_frames", max(videos, default=None), "the longest; shorter clips have their own"
        )
        if videos:
            draft.add(f"{table}.video.min_frames", min(videos), key.origin)

    def shapes(key: Given) -> None:
        ratios = [_ratio(shape) for shape in key.value] if isinstance(key.value, list) else []
        if not ratios or None in ratios:
            draft.leave(key, "a list of shapes is expected", lost=True, target=f"{table}.crop_aspect_buckets")
        else:
            _closest(key, table, ratios, draft)

    def spread(key: Given) -> None:
        if "ar_buckets" in given:
            draft.leave(key, "ar_buckets says the shapes")
            return
        low, high, count = (given[n].value if n in given else u for n, u in _RANGE.items())
        if (
            isinstance(low, int | float)
            and isinstance(high, int | float)
            and isinstance(count, int)
            and 0 < low <= high
        ):
            steps = max(count - 1, 1)
            shapes_ = [round(low * math.exp(math.log(high / low) * step / steps), 4) for step in range(max(count, 1))]
            _closest(key, table, shapes_, draft)
        else:
            draft.leave(key, "numbers are expected", lost=True, target=f"{table}.crop_aspect_buckets")

    def shuffle(key: Given) -> None:
        if isinstance(key.value, int) and key.value > 0:
            draft.add(f"{table}.caption_shuffle.enable", True, key.origin)
            draft.take(key, f"{table}.caption_shuffle.count")
        else:
            draft.leave(key, "it is off")

    return {
        "path": lambda key: sets.folder(key, f"{table}.instance_data_dir"),
        "num_repeats": lambda key: sets.repeats(key, f"{table}.repeats"),
        "mask_path": lambda key: sets.masks(key, table),
        "resolutions": lambda key: sets.size(key, table, alignment=_ALIGNMENT, tool="diffusion-pipe"),
        "frame_buckets": frames,
        "ar_buckets": shapes,
        **dict.fromkeys(_RANGE, spread),
        "enable_ar_bucket": Idle("see ar_buckets, min_ar and max_ar"),
        "cache_shuffle_num": shuffle,
        "shuffle_tags": f"{table}.caption_shuffle.enable",
        "cache_shuffle_delimiter": Words(
            f"{table}.caption_shuffle.split_on", {", ": "comma", ",": "comma", " ": "space"}
        ),
        "skip_empty_caption": Words("data.on_missing_caption", {True: "skip", False: "error"}),
        "size_buckets": Lost("write sizes of frames into `data.buckets`, and lengths into `video.num_frames`"),
    }


_RANGE: Mapping[str, Any] = {"min_ar": 0.5, "max_ar": 2.0, "num_ar_buckets": _SHAPES}


def _ratio(shape: Any) -> float | None:
    if isinstance(shape, list) and len(shape) == 2 and all(isinstance(s, int | float) and s > 0 for s in shape):  # noqa: PLR2004
        return float(round(shape[0] / shape[1], 6))
    return float(shape) if isinstance(shape, int | float) and shape > 0 else None


def _closest(key: Given, table: str, shapes: list[Any], draft: Draft) -> None:
    place = key.origin
    draft.change(key, f"{table}.crop_aspect_buckets", shapes, "clips are cut to the nearest of these shapes")
    draft.add(f"{table}.crop", True, place)
    draft.add(f"{table}.crop_aspect", "closest", place)
