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
_EDGE = 480
_OFFICIAL: Mapping[str, Any] = {
    "weighting_scheme": "logit_normal",
    "logit_mean": 0,
    "logit_std": 1,
    "flow_shift": 3,
    "noise_schedule": "linear_flow",
    "predict_flow_v": True,
}
"""What `train.noise_schedule: official` is."""

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
    take_keys(keys, _Keys(keys, sets).table(), draft)
    draft.warn(
        "NVlabs' trainer reads zip files of clips with captions in JSON: unpack them, with a .txt beside each clip"
    )
    draft.warn(
        "NVlabs' trainer takes the first frames of a clip as they are; here clips are resampled to `data.framerate`"
    )
    return draft


class _Keys:
    """What becomes of each key."""

    def __init__(self, keys: Mapping[str, Given], sets: Sets) -> None:
        self._keys, self._sets, self._draft = keys, sets, sets.draft
        self._family = load_family("sana-video-480p")
        self._tables: list[str] = []

    def table(self) -> Mapping[str, Entry]:
        """Return the table of all keys."""
        return {
            "task": lambda given: _task(given, self._draft),
            "data.data_dir.": self._data_dir,
            "data.num_frames": self._frames,
            "data.image_size": self._image_size,
            "model.image_size": self._image_size,
            "data.aspect_ratio_type": self._size,
            "model.aspect_ratio_type": self._size,
            "data.external_caption_suffixes": Lost(
                "captions of a clip are lines of its .txt, `caption_weights` says how often"
            ),
            "data.caption_proportion.": Lost(
                "captions of a clip are lines of its .txt, `caption_weights` says how often"
            ),
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
            "data.resample_fps": Idle(
                "clips are resampled; `video.fps: ignore` takes frames as they follow each other"
            ),
            "image_data.": _IMAGES,
            "model.load_from": Lost("weights are taken in diffusers' format: `model.pretrained_model_name_or_path`"),
            "model.mixed_precision": Words("train.mixed_precision", {"bf16": "bf16", "no": "no"}),
            "model.class_dropout_prob": "train.caption_dropout_probability",
            "model.": _MODEL,
            "vae.weight_dtype": Words("model.vae_dtype", {"float32": "fp32", "bfloat16": "bf16"}),
            "vae.vae_pretrained": Lost(
                "weights are taken in diffusers' format: `model.pretrained_vae_model_name_or_path`"
            ),
            "vae.": _MODEL,
            "text_encoder.chi_prompt": self._instruction,
            "text_encoder.": _MODEL,
            "scheduler.weighting_scheme": self._noise,
            "scheduler.logit_mean": self._noise,
            "scheduler.logit_std": self._noise,
            "scheduler.flow_shift": self._noise,
            "scheduler.noise_schedule": self._noise,
            "scheduler.predict_flow_v": self._noise,
            "scheduler.pred_sigma": _MODEL,
            "scheduler.inference_flow_shift": Idle("clips are drawn with the sampler of the checkpoint"),
            "scheduler.vis_sampler": Idle("clips are drawn with the sampler of the checkpoint"),
            "train.use_fsdp": Idle("with several processes, `launch.strategy: fsdp2` shares the weights"),
            "train.seed": "train.seed",
            "train.train_batch_size": "train.batch_size",
            "train.train_batch_size_image": Lost("give the data set of images a `train_batch_size`"),
            "train.num_epochs": "train.num_epochs",
            "train.gradient_accumulation_steps": "train.gradient_accumulation_steps",
            "train.grad_checkpointing": "memory.gradient_checkpointing",
            "train.gradient_clip": "train.max_grad_norm",
            "train.optimizer.type": Words(
                "optimizer.name", {"adamw": "adamw", "came8bit": "came", "camewrapper": "came"}
            ),
            "train.optimizer.lr": "optimizer.learning_rate",
            "train.optimizer.eps": "optimizer.eps",
            "train.optimizer.weight_decay": "optimizer.weight_decay",
            "train.optimizer.betas": lambda given: take_betas(given, self._draft),
            "train.lr_schedule": self._schedule,
            "train.lr_schedule_args.num_warmup_steps": "lr_schedule.warmup_steps",
            "train.eval_sampling_steps": "validation.step_interval",
            "train.visualize": Idle("clips of `validation.prompt` are drawn"),
            "train.local_save_vis": Idle("clips are in the run directory"),
            "train.deterministic_validation": Idle("validation has a seed"),
            "train.validation_prompts": lambda given: take_prompts(given, self._draft),
            "train.save_model_steps": "checkpoints.step_interval",
            "train.save_model_epochs": "checkpoints.epoch_interval",
            "train.work_dir": lambda given: self._sets.folder(given, "output_dir"),
            "train.joint_training_interval": self._images,
            "train.ema_update": "ema.enabled",
            "train.num_workers": Idle("batches are always made ahead"),
            "train.log_interval": Idle("every step is in events.jsonl"),
            "train.online_metric": Lost("there is no such metric"),
            "train.eval_metric_step": Idle("there is no such metric"),
            "train.online_metric_dir": Idle("there is no such metric"),
        }

    def _data_dir(self, given: Given) -> None:
        self._tables.append(self._sets.add(str(given.key[-1]), given))
        self._sets.folder(given, f"{self._tables[-1]}.instance_data_dir")

    def _frames(self, given: Given) -> None:
        if not self._tables:
            self._draft.leave(given, "there is no data set", lost=True, target="data.datasets")
            return
        first, *others = (f"{table}.video.num_frames" for table in self._tables)
        self._sets.frames(given, first, given.value)
        for other in others:
            if first in self._draft.settings:
                self._draft.add(other, self._draft.value(first), given.origin)

    def _size(self, given: Given) -> None:
        if given.value == _SIZES:
            self._draft.merge(given, "data.buckets", "it is the default table")
        else:
            self._draft.leave(given, f"{_SIZES} is the table that is known here", lost=True, target="data.buckets")

    def _image_size(self, given: Given) -> None:
        self._draft.leave(given, "the family is that of 480p", lost=given.value != _EDGE, target="data.buckets")

    def _instruction(self, given: Given) -> None:
        if given.value == self._family.raw["text"]["instructions"]["official"]:
            self._draft.change(given, "model.instruction", "official", "it is the authors' text")
        else:
            reason = "there are the authors' text and diffusers'"
            self._draft.leave(given, reason, lost=True, target="model.instruction")

    def _noise(self, given: Given) -> None:
        if _OFFICIAL[str(given.key[-1])] == given.value:
            self._draft.merge(given, "train.noise_schedule", "`noise_schedule: official` is that")
        else:
            reason = "`noise_schedule: official` has another"
            self._draft.leave(given, reason, lost=True, target="train.noise_schedule")

    def _schedule(self, given: Given) -> None:
        warm = "train.lr_schedule_args.num_warmup_steps" in self._keys
        if given.value == "constant" and warm:
            self._draft.change(given, "lr_schedule.name", "constant_with_warmup", "that is its name here")
        else:
            self._draft.take(given, "lr_schedule.name")

    def _images(self, given: Given) -> None:
        if given.value:
            self._draft.take(given, "data.image_interval")
        else:
            self._draft.leave(given, "there are no steps of images", target="data.image_interval")


def _task(given: Given, draft: Draft) -> None:
    if given.value == "t2v":
        draft.leave(given, "text to video is what a data set trains by default")
    else:
        draft.leave(given, "image to video is said of each data set: `video.is_i2v`", lost=True)
