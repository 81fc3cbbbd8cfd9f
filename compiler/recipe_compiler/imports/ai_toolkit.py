"""ai-toolkit: its YAML file, of which the first process is read."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from recipe_compiler.imports.draft import Draft
from recipe_compiler.imports.given import Given, given_in
from recipe_compiler.imports.peer import MODEL, Entry, Idle, Lost, Sets, Words, safe_name, take_keys, take_prompts
from recipe_compiler.imports.place import HERE, How, rebased
from recipe_compiler.imports.problem import ImportProblemError
from recipe_compiler.imports.reading import read_map
from recipe_schema.record import replace


_PROCESS = "config.process."
_FIRST = f"{_PROCESS}0."
_SETS = "datasets"
_ALIGNMENT = 32
_TRIGGER = "[trigger]"
"""What stands for the trigger word in prompts."""

_OPTIMIZERS = {"adamw8bit": "adamw8bit", "adamw": "adamw", "prodigy": "prodigy", "adafactor": "adafactor"}
_SCHEDULES = {
    "constant": "constant",
    "constant_with_warmup": "constant_with_warmup",
    "linear": "linear",
    "cosine": "cosine",
}


def import_ai_toolkit(path: Path, how: How) -> Draft:
    """Take a job of ai-toolkit over.

    Raises:
        OSError: The file can't be read.
        ImportProblemError: It is broken, or has no process.
    """
    draft = Draft()
    sets = Sets(draft, how)
    keys = list(given_in(read_map(path)))
    process = {given.name.removeprefix(_FIRST): given for given in keys if given.name.startswith(_FIRST)}
    if not process:
        raise ImportProblemError(f"{path}: there is no `config.process`, the list of what a job does")
    draft.add(
        "model.type", "lora" if any(name.startswith("network.") for name in process) else "full", "what a job does"
    )
    table = _table(process, sets)
    for given in keys:
        name = given.name
        if name.startswith(f"{_FIRST}{_SETS}."):
            continue
        if name == "config.name":
            _name(given, draft)
        elif name.startswith(_FIRST):
            take_keys({name.removeprefix(_FIRST): given}, table, draft)
        elif name.startswith(_PROCESS):
            draft.leave(given, "the first process is read", lost=True)
        else:
            draft.leave(given, "it says what kind of file this is")
    _take_sets(process, sets)
    draft.warn(
        "ai-toolkit spreads num_frames over the whole clip, which changes its speed; here clips are cut, and resampled"
    )
    return draft


def _folder(given: Given, sets: Sets) -> None:
    folder = f"{given.value}/{sets.draft.value('name', '')}".rstrip("/")
    written = rebased(folder, Path(), sets.how.target)
    sets.draft.change(given, "output_dir", written, f"with the job's name; {HERE}")


def _name(given: Given, draft: Draft) -> None:
    safe = safe_name(str(given.value))
    if safe != given.value:
        draft.change(given, "name", safe, "names are safe as names of files")
    else:
        draft.take(given, "name")


def _table(process: Mapping[str, Given], sets: Sets) -> Mapping[str, Entry]:
    draft = sets.draft
    size = [process[name].value for name in ("sample.width", "sample.height") if name in process]

    def drawn(given: Given) -> None:
        if len(size) == 2 and given.key[-1] == "width":  # noqa: PLR2004 - width and height
            sides = [max(round(side / 16), 1) * 16 if isinstance(side, int) else side for side in size]
            text = "x".join(map(str, sides))
            draft.change(given, "validation.resolution", text, "width and height together, multiples of 16")
        else:
            draft.merge(given, "validation.resolution", "see width")

    def prompts(given: Given) -> None:
        word = process["trigger_word"].value if "trigger_word" in process else None
        if isinstance(word, str) and isinstance(given.value, list):
            given = replace(given, value=[_named(prompt, word) for prompt in given.value])
        take_prompts(given, draft)

    def first_sample(given: Given) -> None:
        draft.change(given, "validation.on_startup", given.value is not True, "it says the opposite")

    return {
        "type": Idle("training is what is read"),
        "training_folder": lambda given: _folder(given, sets),
        "device": lambda given: _device(given, draft),
        "trigger_word": Lost("write it into the captions; `prepend_instance_prompt` puts a text before each"),
        "performance_log_every": Idle("every step is in events.jsonl"),
        "network.type": lambda given: _network(given, draft),
        "network.linear": "model.lora.rank",
        "network.linear_alpha": "model.lora.alpha",
        "network.lokr_factor": "model.lora.lokr_factor",
        "network.dropout": "model.lora.dropout",
        "save.dtype": Idle("adapters are exported in fp32"),
        "save.save_every": "checkpoints.step_interval",
        "save.max_step_saves_to_keep": "checkpoints.total_limit",
        "save.push_to_hub": "hub.push",
        "save.hf_repo_id": "hub.model_id",
        "save.hf_private": "hub.private",
        "save.save_format": Idle("adapters are exported in diffusers' format"),
        "train.batch_size": "train.batch_size",
        "train.steps": "train.max_steps",
        "train.gradient_accumulation": "train.gradient_accumulation_steps",
        "train.gradient_accumulation_steps": "train.gradient_accumulation_steps",
        "train.max_grad_norm": "train.max_grad_norm",
        "train.train_unet": Idle("the transformer is what is trained"),
        "train.train_text_encoder": Lost("the text encoder is never trained"),
        "train.gradient_checkpointing": "memory.gradient_checkpointing",
        "train.noise_scheduler": Idle("flow matching is what the model does"),
        "train.timestep_type": Words("train.noise_schedule", {"sigmoid": "official", "linear": "simpletuner"}),
        "train.optimizer": Words("optimizer.name", _OPTIMIZERS),
        "train.lr": "optimizer.learning_rate",
        "train.lr_scheduler": Words("lr_schedule.name", _SCHEDULES),
        "train.optimizer_params.weight_decay": "optimizer.weight_decay",
        "train.optimizer_params.eps": "optimizer.eps",
        "train.ema_config.use_ema": "ema.enabled",
        "train.ema_config.ema_decay": "ema.decay",
        "train.dtype": Words("train.mixed_precision", {"bf16": "bf16", "float32": "no", "fp32": "no"}),
        "train.skip_first_sample": first_sample,
        "train.disable_sampling": Lost("without `validation.prompt` nothing is drawn"),
        "train.cache_text_embeddings": Idle("texts are always encoded before training"),
        "train.unload_text_encoder": Idle("the text encoder leaves the accelerator when it is done"),
        "train.loss_type": Words("train.loss_type", {"mse": "l2"}),
        "model.": MODEL,
        "sample.sampler": Idle("clips are drawn with the sampler of the checkpoint"),
        "sample.sample_every": "validation.step_interval",
        "sample.width": drawn,
        "sample.height": drawn,
        "sample.num_frames": lambda given: sets.frames(given, "validation.num_video_frames", given.value),
        "sample.fps": "validation.framerate",
        "sample.prompts": prompts,
        "sample.neg": "validation.negative_prompt",
        "sample.seed": "validation.seed",
        "sample.walk_seed": Idle("clips of one prompt have seeds of their own"),
        "sample.guidance_scale": "validation.guidance",
        "sample.sample_steps": "validation.num_inference_steps",
    }


def _named(prompt: Any, word: str) -> Any:
    return prompt.replace(_TRIGGER, word) if isinstance(prompt, str) else prompt


def _device(given: Given, draft: Draft) -> None:
    kind = str(given.value).partition(":")[0]
    if kind == given.value:
        draft.take(given, "hardware.device")
    elif kind in ("cuda", "cpu"):
        draft.change(given, "hardware.device", kind, "CUDA_VISIBLE_DEVICES says which one")
    else:
        draft.leave(given, "there are cuda and cpu", lost=True, target="hardware.device")


def _network(given: Given, draft: Draft) -> None:
    types = {"lora": "standard", "lokr": "lokr"}
    if given.value in types:
        draft.change(given, "model.lora.type", types[given.value], "an adapter is trained")
    else:
        draft.leave(given, "there are lora and lokr", lost=True, target="model.lora.type")


def _take_sets(process: Mapping[str, Given], sets: Sets) -> None:
    prefix = f"{_SETS}."
    numbers = dict.fromkeys(name.split(".")[1] for name in process if name.startswith(prefix))
    for number in numbers:
        start = f"{prefix}{number}."
        own = {name.removeprefix(start): given for name, given in process.items() if name.startswith(start)}
        if not own:
            sets.draft.leave(process[f"{prefix}{number}"], "there is nothing in it")
            continue
        folder = str(own["folder_path"].value) if "folder_path" in own else "clips"
        frames = own["num_frames"].value if "num_frames" in own else 1
        table = sets.add(folder, next(iter(own.values())), kind="image" if frames == 1 else "video")
        take_keys(own, _set_table(table, sets, is_image=frames == 1), sets.draft)


def _set_table(table: str, sets: Sets, *, is_image: bool) -> Mapping[str, Entry]:
    draft = sets.draft

    def frames(key: Given) -> None:
        if is_image:
            draft.merge(key, f"{table}.dataset_type", "one frame is an image")
        else:
            sets.frames(key, f"{table}.video.num_frames", key.value)

    def extension(key: Given) -> None:
        if str(key.value).lstrip(".") == "txt":
            draft.merge(key, f"{table}.caption_strategy", "captions are .txt files by default")
        else:
            draft.leave(key, "captions are .txt files", lost=True, target=f"{table}.caption_strategy")

    return {
        "folder_path": lambda key: sets.folder(key, f"{table}.instance_data_dir"),
        "mask_path": lambda key: sets.masks(key, table),
        "caption_ext": extension,
        "caption_dropout_rate": "train.caption_dropout_probability",
        "shuffle_tokens": f"{table}.caption_shuffle.enable",
        "cache_latents": Idle("latents are stored by content in `data.store_dir`"),
        "cache_latents_to_disk": Idle("latents are stored by content in `data.store_dir`"),
        "resolution": lambda key: sets.size(key, table, alignment=_ALIGNMENT, tool="ai-toolkit"),
        "num_frames": frames,
        "shrink_video_to_frames": Idle("clips are cut, and never spread over their length"),
        "auto_frame_count": Lost("shorter clips are taken from `video.min_frames` on"),
        "fps": Idle("clips are resampled to `data.framerate`"),
        "do_i2v": f"{table}.video.is_i2v",
        "num_repeats": lambda key: sets.repeats(key, f"{table}.repeats"),
        "default_caption": Lost("a clip without a caption is an error, or left out: `data.on_missing_caption`"),
        "network_weight": Lost("`probability` and `repeats` say how often a data set is drawn"),
        "is_reg": Lost("there are no data sets of regularization"),
    }
