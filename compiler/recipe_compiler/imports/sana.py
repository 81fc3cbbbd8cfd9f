"""NVlabs' own trainer of Sana Video: its YAML file."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from recipe_compiler.imports.draft import Draft
from recipe_compiler.imports.given import Given, given_in
from recipe_compiler.imports.peer import Entry, Idle, Lost, Sets, Words, take_betas, take_keys, take_prompts
from recipe_compiler.imports.place import How
from recipe_compiler.imports.reading import read_map
from recipe_schema.family import load_family


_MODEL = Idle("the family says it: the model is taken as it is published")
_SIZES = "ASPECT_RATIO_VIDEO_480_MS"
_IMAGES = Lost("images are a data set of `dataset_type: image`, see docs/mixing.md")
_READ = Idle("clips and captions are encoded before training")


def import_sana(path: Path, how: How) -> Draft:
    """Take a configuration of NVlabs' trainer over.

    Raises:
        OSError: The file can't be read.
        ImportProblemError: It is broken.
    """
    draft = Draft()
    sets = Sets(draft, how)
    keys = {given.name: given for given in given_in(read_map(path))}
    take_keys(keys, _table(keys, sets), draft)
    draft.warn(
        "NVlabs' trainer reads zip files of clips with captions in JSON: unpack them, with a .txt beside each clip"
    )
    draft.warn(
        "NVlabs' trainer takes the first frames of a clip as they are; here clips are resampled to `data.framerate`"
    )
    return draft


def _table(keys: Mapping[str, Given], sets: Sets) -> Mapping[str, Entry]:
    draft, family = sets.draft, load_family("sana-video-480p")
    tables: list[str] = []

    def data_dir(given: Given) -> None:
        tables.append(sets.add(str(given.key[-1]), given))
        sets.folder(given, f"{tables[-1]}.instance_data_dir")

    def frames(given: Given) -> None:
        for table in tables:
            sets.frames(given, f"{table}.video.num_frames", given.value)
        if not tables:
            draft.leave(given, "there is no data set", lost=True, target="data.datasets")

    def size(given: Given) -> None:
        if given.value == _SIZES:
            draft.merge(given, "data.buckets", "it is the default table")
        else:
            draft.leave(given, f"{_SIZES} is the table that is known here", lost=True, target="data.buckets")

    def image_size(given: Given) -> None:
        draft.leave(given, "the family is that of 480p", lost=given.value != 480, target="data.buckets")  # noqa: PLR2004

    def instruction(given: Given) -> None:
        if given.value == family.raw["text"]["instructions"]["official"]:
            draft.change(given, "model.instruction", "official", "it is the authors' text")
        else:
            draft.leave(given, "there are the authors' text and diffusers'", lost=True, target="model.instruction")

    def noise(given: Given) -> None:
        usual: Mapping[str, Any] = {
            "weighting_scheme": "logit_normal",
            "logit_mean": 0,
            "logit_std": 1,
            "flow_shift": 3,
            "noise_schedule": "linear_flow",
            "predict_flow_v": True,
        }
        same = usual[str(given.key[-1])] == given.value
        reason = "`noise_schedule: official` is that" if same else "`noise_schedule: official` has another"
        if same:
            draft.merge(given, "train.noise_schedule", reason)
        else:
            draft.leave(given, reason, lost=True, target="train.noise_schedule")

    def schedule(given: Given) -> None:
        warm = "train.lr_schedule_args.num_warmup_steps" in keys
        if given.value == "constant" and warm:
            draft.change(given, "lr_schedule.name", "constant_with_warmup", "that is its name here")
        else:
            draft.take(given, "lr_schedule.name")

    def repeated(given: Given) -> None:
        if not given.value:
            draft.leave(given, "no steps of images", target="data.image_interval")
        else:
            draft.take(given, "data.image_interval")

    return {
        "task": lambda given: _task(given, draft),
        "data.data_dir.": data_dir,
        "data.num_frames": frames,
        "data.image_size": image_size,
        "model.image_size": image_size,
        "data.aspect_ratio_type": size,
        "model.aspect_ratio_type": size,
        "data.external_caption_suffixes": Lost(
            "captions of a clip are lines of its .txt, `caption_weights` says how often"
        ),
        "data.caption_proportion.": Lost("captions of a clip are lines of its .txt, `caption_weights` says how often"),
        "data.external_data_filter.": Lost(
            "motion scores are measured or read, see `motion`; clips are not left out by them"
        ),
        "data.motion_score_cal_type": Lost("`motion` says where scores come from"),
        "data.motion_score_file_thres.": Lost("`motion` says where scores come from"),
        "data.load_text_feat": _READ,
        "data.load_vae_feat": _READ,
        "data.transform": Idle("clips are resized and cropped to their size"),
        "data.type": Lost("clips are files in a folder, or what `type` of a data set says"),
        "data.sort_dataset": Idle("all samples are shuffled"),
        "data.shuffle_dataset": Idle("all samples are shuffled"),
        "data.resample_fps": Idle("clips are resampled; `video.fps: ignore` takes frames as they follow each other"),
        "image_data.": _IMAGES,
        "model.load_from": Lost("weights are taken in diffusers' format: `model.pretrained_model_name_or_path`"),
        "model.mixed_precision": Words("train.mixed_precision", {"bf16": "bf16", "no": "no"}),
        "model.class_dropout_prob": "train.caption_dropout_probability",
        "model.": _MODEL,
        "vae.weight_dtype": Words("model.vae_dtype", {"float32": "fp32", "bfloat16": "bf16"}),
        "vae.vae_pretrained": Lost("weights are taken in diffusers' format: `model.pretrained_vae_model_name_or_path`"),
        "vae.": _MODEL,
        "text_encoder.chi_prompt": instruction,
        "text_encoder.": _MODEL,
        "scheduler.weighting_scheme": noise,
        "scheduler.logit_mean": noise,
        "scheduler.logit_std": noise,
        "scheduler.flow_shift": noise,
        "scheduler.noise_schedule": noise,
        "scheduler.predict_flow_v": noise,
        "scheduler.pred_sigma": _MODEL,
        "scheduler.inference_flow_shift": Idle("clips are drawn with the sampler of the checkpoint"),
        "scheduler.vis_sampler": Idle("clips are drawn with the sampler of the checkpoint"),
        "train.use_fsdp": Words("launch.strategy", {True: "fsdp2", False: "ddp"}),
        "train.seed": "train.seed",
        "train.train_batch_size": "train.batch_size",
        "train.train_batch_size_image": Lost("give the data set of images a `train_batch_size`"),
        "train.num_epochs": "train.num_epochs",
        "train.gradient_accumulation_steps": "train.gradient_accumulation_steps",
        "train.grad_checkpointing": "memory.gradient_checkpointing",
        "train.gradient_clip": "train.max_grad_norm",
        "train.optimizer.type": Words("optimizer.name", {"adamw": "adamw", "came8bit": "came", "camewrapper": "came"}),
        "train.optimizer.lr": "optimizer.learning_rate",
        "train.optimizer.eps": "optimizer.eps",
        "train.optimizer.weight_decay": "optimizer.weight_decay",
        "train.optimizer.betas": lambda given: take_betas(given, draft),
        "train.lr_schedule": schedule,
        "train.lr_schedule_args.num_warmup_steps": "lr_schedule.warmup_steps",
        "train.eval_sampling_steps": "validation.step_interval",
        "train.visualize": Idle("clips of `validation.prompt` are drawn"),
        "train.local_save_vis": Idle("clips are in the run directory"),
        "train.deterministic_validation": Idle("validation has a seed"),
        "train.validation_prompts": lambda given: take_prompts(given, draft),
        "train.save_model_steps": "checkpoints.step_interval",
        "train.save_model_epochs": "checkpoints.epoch_interval",
        "train.work_dir": lambda given: sets.folder(given, "output_dir"),
        "train.joint_training_interval": repeated,
        "train.ema_update": "ema.enabled",
        "train.num_workers": Idle("batches are always made ahead"),
        "train.log_interval": Idle("every step is in events.jsonl"),
        "train.online_metric": Lost("there is no such metric"),
        "train.eval_metric_step": Idle("there is no such metric"),
        "train.online_metric_dir": Idle("there is no such metric"),
    }


def _task(given: Given, draft: Draft) -> None:
    if given.value == "t2v":
        draft.leave(given, "text to video is what a data set trains by default")
    else:
        draft.leave(given, "image to video is said of each data set: `video.is_i2v`", lost=True)
