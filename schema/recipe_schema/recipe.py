"""The recipe language: every section and key, with type, range, default, unit and description.

This file is the one place where a key is written down. The JSON Schema, the reference page, ``recipe
explain`` and the plan's settings are all derived from it. `Settings` is also the type that the runtime reads
back from a plan: there each field holds its resolved value, and ``None`` means "none, on purpose".
"""

from collections.abc import Mapping
from typing import Annotated, Literal

from recipe_schema.marks import REQUIRED, Derived, Family, Ge, Gt, Le, Lt, Pattern, key
from recipe_schema.section import section


LANGUAGE_VERSION = 1
"""The version that a recipe states in its key ``recipe``."""

MOST_STEPS = 10**9
MOST_FRAMES = 10**5
MOST_AT_ONCE = 10**5
"""Limits beyond any use: numbers that are computed from them stay exact in every JSON reader."""

Size = Annotated[str, Pattern(r"^[1-9][0-9]{0,4}x[1-9][0-9]{0,4}$", "WIDTHxHEIGHT, as in 832x480")]
"""A frame size in pixels."""

A_PATH = Pattern(r"\S", "a path")
"""What marks a key whose value is a path."""

PathText = Annotated[str, A_PATH]
"""A path, relative to the recipe or absolute."""

Name = Annotated[
    str,
    Pattern(r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$", "letters, digits, dot, dash and underscore, at most 64"),
]
"""A name that is safe as a file name."""


@section
class Model:
    """Which model is trained, and where its weights come from."""

    family: Literal["sana-video-480p"] = key(
        "sana-video-480p",
        "The model family. It brings the facts that the other defaults rest on: frames, sizes, schedule.",
        reads=("survey", "build-model", "encode-text", "encode-video", "train", "validate", "export"),
        aka="model_family",
        refused={"sanavideo": "that is SimpleTuner's name; here it is `sana-video-480p`"},
    )
    type: Literal["full"] = key(
        "full",
        "What is trained: `full` trains all weights of the transformer.",
        reads=("train", "export"),
        aka="model_type",
    )
    pretrained_model_name_or_path: PathText = key(
        Family("model_id"),
        "Hugging Face id, or a local directory in diffusers format. A relative directory starts at the recipe.",
        reads=("build-model", "encode-text", "encode-video", "train", "validate", "export"),
        aka="pretrained_model_name_or_path",
    )
    revision: str | None = key(
        None,
        "Branch, tag or commit of the Hugging Face repository; null takes its default branch.",
        reads=("encode-text", "encode-video", "train", "validate", "export"),
        aka="revision",
    )
    pretrained_vae_model_name_or_path: PathText = key(
        Derived("the same as model.pretrained_model_name_or_path"),
        "Where the VAE comes from. It has to be the one that the transformer was trained with.",
        reads=("encode-video", "validate", "export"),
        aka="pretrained_vae_model_name_or_path",
    )
    random_weights: Literal["tiny"] | None = key(
        None,
        "Build a small model of the real classes with random weights in the model directory, if nothing is "
        "there yet. For trying things out: it has learnt nothing.",
        reads=("build-model",),
    )
    vae_dtype: Literal["fp32", "bf16"] = key(
        "fp32",
        "Precision of the VAE. The authors encode in fp32.",
        reads=("encode-video", "validate"),
        aka="vae_dtype",
        refused={"fp16": "the Wan VAE overflows in fp16; take fp32, as the authors do, or bf16"},
    )
    text_encoder_dtype: Literal["fp32", "bf16"] = key(
        "bf16",
        "Precision of the text encoder. The published checkpoint stores it in bf16.",
        reads=("encode-text",),
    )
    instruction: Literal["official", "diffusers"] = key(
        "official",
        "The instruction that is put before each caption: the authors' training text, or the wording that "
        "diffusers' pipeline uses by default.",
        reads=("encode-text", "validate"),
        aka="sana_complex_human_instruction",
    )


@section
class Video:
    """Which part of each clip is used."""

    num_frames: Annotated[int, Ge(1), Le(MOST_FRAMES)] = key(
        Family("num_frames"),
        "Frames of a training sample, counted at data.framerate. The VAE needs 4k+1.",
        unit="frames",
        reads=("survey", "encode-video", "train"),
        aka="num_frames",
    )
    min_frames: Annotated[int, Ge(1), Le(MOST_FRAMES)] = key(
        Derived("the same as num_frames"),
        "Clips that are shorter, at data.framerate, are left out. Below num_frames, a shorter clip joins a "
        "bucket of its own length.",
        unit="frames",
        reads=("survey",),
        aka="min_frames",
    )
    max_frames: Annotated[int, Ge(1), Le(MOST_FRAMES)] | None = key(
        None,
        "Clips that are longer, at data.framerate, are left out. With null, long clips are cut.",
        unit="frames",
        reads=("survey",),
        aka="max_frames",
    )


@section
class Dataset:
    """One folder of clips. Key names are those of SimpleTuner's data backend file."""

    id: Name = key(REQUIRED, "A name of its own for this data set.", reads=("survey", "encode-video", "train"))
    type: Literal["local"] = key(
        "local", "Where the clips are: `local` is a folder on this machine.", impact="runtime", reads=("survey",)
    )
    dataset_type: Literal["video"] = key("video", "What the files are.", reads=("survey",))
    instance_data_dir: PathText = key(
        REQUIRED,
        "The folder of clips, searched with all its subfolders. A relative path starts at the recipe.",
        impact="runtime",
        reads=("survey", "encode-video"),
    )
    source: (
        Annotated[
            str,
            Pattern(r"^(hf:[^/\s]+/[^/\s]+|builtin:sample-clips)$", "hf:OWNER/NAME or builtin:sample-clips"),
        ]
        | None
    ) = key(
        None,
        "Where `recipe fetch` gets the folder from: `hf:OWNER/NAME`, a data set on the Hugging Face hub, or "
        "`builtin:sample-clips`, a handful of freely licensed clips.",
        impact="runtime",
        reads=("survey",),
    )
    disabled: bool = key(False, "Leave the data set out.", reads=("survey",))
    caption_strategy: Literal["textfile", "filename", "instanceprompt"] = key(
        "textfile",
        "Where captions are: `textfile` is a .txt beside each clip, `filename` the file's name, "
        "`instanceprompt` the same instance_prompt for all.",
        reads=("survey",),
        aka="caption_strategy",
        refused={"instance_prompt": "data sets spell it `instanceprompt`"},
    )
    instance_prompt: str | None = key(
        None,
        "The caption of every clip, for caption_strategy: instanceprompt.",
        reads=("survey",),
        aka="instance_prompt",
    )
    repeats: Annotated[int, Ge(0), Le(MOST_AT_ONCE)] = key(
        0,
        "Extra passes: each clip is seen repeats + 1 times in an epoch.",
        reads=("survey", "train"),
    )
    video: Video


@section
class Data:
    """The clips, and how they become latents."""

    datasets: tuple[Dataset, ...] = key(REQUIRED, "The data sets.", reads=("survey",))
    framerate: Annotated[float, Gt(0), Le(240)] = key(
        Family("framerate"),
        "Clips are resampled to this rate by their timestamps.",
        unit="fps",
        reads=("survey", "encode-video"),
        aka="framerate",
    )
    buckets: tuple[Size, ...] = key(
        Family("buckets"),
        "The frame sizes that are trained. Each clip goes to the one of nearest shape, is resized to cover it "
        "and cropped at the centre. The default is the family's official table.",
        reads=("survey", "encode-video", "train"),
    )
    motion_score: Annotated[int, Ge(0), Le(1000)] | None = key(
        Family("motion_score"),
        "Each caption and validation prompt ends with ` motion score: N.`, as the model saw in its training; "
        "null leaves it out.",
        reads=("encode-text", "validate"),
        aka="sana_motion_score",
    )
    on_problem: Literal["quarantine", "error"] = key(
        "quarantine",
        "What happens to a clip that can't be read: it is listed with the reason and left out, or the plan is "
        "refused. Files are never touched.",
        reads=("survey",),
        refused={"delete": "files are never deleted; `quarantine` leaves them out and lists them"},
    )
    on_missing_caption: Literal["error", "skip"] = key(
        "error",
        "What happens to a clip without a caption: the plan is refused, or the clip is left out and listed.",
        reads=("survey",),
    )
    vae_batch_size: Annotated[int, Ge(1), Le(MOST_AT_ONCE)] = key(
        1,
        "Clips that the VAE encodes at once. Another number may change the last bits of latents.",
        unit="clips",
        reads=("encode-video",),
        aka="vae_batch_size",
    )
    store_dir: PathText = key(
        "store",
        "Where latents and text embeddings are kept, by content: runs may share it. A relative path starts at "
        "the recipe.",
        impact="runtime",
        reads=("encode-text", "encode-video", "train", "validate"),
    )


@section
class Train:
    """How long and how the transformer is trained."""

    batch_size: Annotated[int, Ge(1), Le(MOST_AT_ONCE)] = key(
        1, "Clips in one forward pass.", unit="clips", reads=("train",), aka="train_batch_size"
    )
    gradient_accumulation_steps: Annotated[int, Ge(1), Le(MOST_AT_ONCE)] = key(
        1,
        "Forward passes in one optimizer step.",
        reads=("train",),
        aka="gradient_accumulation_steps",
    )
    max_steps: Annotated[int, Ge(1), Le(MOST_STEPS)] | None = key(
        None,
        "Optimizer steps. Give this or num_epochs.",
        unit="steps",
        reads=("train",),
        aka="max_train_steps",
    )
    num_epochs: Annotated[int, Ge(1), Le(MOST_AT_ONCE)] | None = key(
        None,
        "Passes through the data, repeats counted. Give this or max_steps.",
        unit="epochs",
        reads=("train",),
        aka="num_train_epochs",
    )
    seed: Annotated[int, Ge(0), Le(2**53 - 1)] = key(
        42, "Seed of the order of clips, of noise, timesteps and dropout.", reads=("build-model", "train"), aka="seed"
    )
    mixed_precision: Literal["bf16", "no"] = key(
        "bf16",
        "Precision of the forward and backward pass. Weights, optimizer state and EMA are fp32 in any case.",
        reads=("train", "validate"),
        aka="mixed_precision",
        refused={
            "fp16": "activations of Sana overflow in fp16 and the loss turns NaN; take bf16",
            "fp8": "training in fp8 is not supported; take bf16",
            "fp32": "full precision is spelt `no`",
        },
    )
    caption_dropout_probability: Annotated[float, Ge(0), Le(1)] = key(
        Family("caption_dropout_probability"),
        "Share of samples whose caption is replaced by the null caption, which guidance needs.",
        reads=("train",),
        aka="caption_dropout_probability",
    )
    max_grad_norm: Annotated[float, Ge(0)] = key(
        Family("max_grad_norm"),
        "Gradients are clipped to this; 0 turns clipping off.",
        reads=("train",),
        aka="max_grad_norm",
    )
    grad_clip_method: Literal["norm", "value"] = key(
        "norm",
        "`norm` scales all gradients together when their norm is too large, `value` cuts each element.",
        reads=("train",),
        aka="grad_clip_method",
    )
    noise_schedule: Literal["official", "simpletuner"] = key(
        "official",
        "How noise levels are drawn: as the authors do (logit-normal, shift 3, whole timesteps), or as "
        "SimpleTuner does (uniform, no shift).",
        reads=("train",),
    )
    flow_schedule_shift: float | None = key(
        None, "Accepted and never applied: the family's schedule is used.", aka="flow_schedule_shift"
    )
    flow_schedule_auto_shift: bool | None = key(
        None, "Accepted and never applied: the family's schedule is used.", aka="flow_schedule_auto_shift"
    )


@section
class Optimizer:
    """The optimizer and its constants."""

    name: Literal["adamw"] = key(
        "adamw",
        "`adamw` is torch's AdamW on fp32 weights: 16 bytes per weight with gradient and both moments.",
        reads=("train",),
        aka="optimizer",
        refused={
            "adamw_bf16": "weights are fp32 here, so that small steps are not rounded away; take `adamw`",
            "optimi-adamw": "weights are fp32 here and need no Kahan summation; take `adamw`",
        },
    )
    learning_rate: Annotated[float, Gt(0), Lt(1)] = key(
        Family("learning_rate"), "Peak learning rate.", reads=("train",), aka="learning_rate"
    )
    beta1: Annotated[float, Ge(0), Lt(1)] = key(
        0.9, "Decay of the mean of gradients.", reads=("train",), aka="optimizer_beta1"
    )
    beta2: Annotated[float, Ge(0), Lt(1)] = key(
        0.999, "Decay of the mean of squared gradients.", reads=("train",), aka="optimizer_beta2"
    )
    eps: Annotated[float, Gt(0)] = key(Family("adam_eps"), "Term that keeps the division finite.", reads=("train",))
    weight_decay: Annotated[float, Ge(0)] = key(0.0, "Decoupled weight decay.", reads=("train",))


@section
class LrSchedule:
    """The learning rate over the run: a function of the step alone."""

    name: Literal["constant", "constant_with_warmup", "linear", "cosine"] = key(
        "constant_with_warmup",
        "The curve after warm-up: flat, or down to `end` at the last step, straight or as half a cosine.",
        reads=("train",),
        aka="lr_scheduler",
    )
    warmup_steps: Annotated[int, Ge(0), Le(MOST_STEPS)] = key(
        0,
        "Steps in which the rate climbs from 0 to its peak. (In SimpleTuner's cosine this key is the period instead.)",
        unit="steps",
        reads=("train",),
        aka="lr_warmup_steps",
    )
    end: Annotated[float, Ge(0), Lt(1)] = key(
        0.0, "Rate at the last step, for linear and cosine.", reads=("train",), aka="lr_end"
    )


@section
class Ema:
    """An average of the weights over time, kept in fp32."""

    enabled: bool = key(
        False,
        "Keep the average. It is exported in place of the last weights.",
        reads=("train", "export"),
        aka="use_ema",
    )
    decay: Annotated[float, Gt(0), Lt(1)] = key(
        0.999, "Share of the average that one optimizer step keeps.", reads=("train",), aka="ema_decay"
    )
    update_interval: Annotated[int, Ge(1), Le(MOST_STEPS)] = key(
        1,
        "Steps between updates. The decay is raised to this power, so that the average spans the same time.",
        unit="steps",
        reads=("train",),
        aka="ema_update_interval",
    )
    validation: Literal["ema_only", "none", "comparison"] = key(
        "ema_only",
        "Whose clips are drawn when ema.enabled: the average's, the last weights', or both.",
        impact="runtime",
        reads=("validate",),
        aka="ema_validation",
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
    vae_tiling: bool = key(
        False,
        "Encode and decode in overlapping tiles: less memory, slightly other values.",
        reads=("encode-video", "validate"),
        aka="vae_enable_tiling",
    )


@section
class Validation:
    """Clips that are drawn from fixed prompts and a fixed seed while training goes on."""

    prompt: str | None = key(
        None, "The main prompt.", impact="runtime", reads=("encode-text", "validate"), aka="validation_prompt"
    )
    prompt_library: Mapping[Name, str] = key(
        {},
        "More prompts, each under a nickname that becomes its file name.",
        impact="runtime",
        reads=("encode-text", "validate"),
        aka="user_prompt_library",
    )
    negative_prompt: str = key(
        "",
        "What guidance leads away from. Empty is the null caption of training.",
        impact="runtime",
        reads=("encode-text", "validate"),
        aka="validation_negative_prompt",
    )
    guidance: Annotated[float, Ge(1)] = key(
        Family("guidance"),
        "Guidance scale; 1 is off.",
        impact="runtime",
        reads=("validate",),
        aka="validation_guidance",
    )
    num_inference_steps: Annotated[int, Ge(1), Le(1000)] = key(
        Family("num_inference_steps"),
        "Sampling steps.",
        unit="steps",
        impact="runtime",
        reads=("validate",),
        aka="validation_num_inference_steps",
    )
    resolution: Size = key(
        Derived("832x480 if data.buckets has it, else the first of data.buckets"),
        "Frame size of the clips.",
        impact="runtime",
        reads=("validate",),
        aka="validation_resolution",
    )
    num_video_frames: Annotated[int, Ge(1), Le(MOST_FRAMES)] = key(
        Family("num_frames"),
        "Frames of the clips. The VAE needs 4k+1.",
        unit="frames",
        impact="runtime",
        reads=("validate",),
        aka="validation_num_video_frames",
    )
    framerate: Annotated[float, Gt(0), Le(240)] = key(
        Derived("the same as data.framerate"),
        "Frame rate of the MP4.",
        unit="fps",
        impact="runtime",
        reads=("validate",),
    )
    seed: Annotated[int, Ge(0), Le(2**53 - 1)] = key(
        42, "Seed of the starting noise.", impact="runtime", reads=("validate",), aka="validation_seed"
    )
    step_interval: Annotated[int, Ge(1), Le(MOST_STEPS)] | None = key(
        None,
        "Draw clips every so many steps, besides at the end; null draws at the end only.",
        unit="steps",
        impact="runtime",
        reads=("validate",),
        aka="validation_step_interval",
    )


@section
class Checkpoints:
    """Saved states to resume from. Running the same command again resumes."""

    step_interval: Annotated[int, Ge(1), Le(MOST_STEPS)] = key(
        500,
        "Save every so many steps, besides at the end.",
        unit="steps",
        impact="runtime",
        reads=("train",),
        aka="checkpoint_step_interval",
    )
    total_limit: Annotated[int, Ge(1), Le(MOST_STEPS)] | None = key(
        5,
        "Keep the newest so many; null keeps all.",
        unit="checkpoints",
        impact="runtime",
        reads=("train",),
        aka="checkpoints_total_limit",
    )


@section
class Hardware:
    """Where the run takes place."""

    device: Literal["auto", "cpu", "cuda"] = key(
        "auto",
        "`auto` takes a CUDA device where there is one, else the processor.",
        impact="runtime",
        reads=("encode-text", "encode-video", "train", "validate"),
    )


@section
class Settings:
    """All settings of one recipe: the sections in the order in which people read them."""

    name: Name = key(
        Derived("the recipe's file name, with the variant's id if there is a matrix"),
        "Name of the recipe.",
        impact="cosmetic",
        reads=("train",),
        aka="tracker_run_name",
    )
    description: str = key("", "What it is for, in a sentence.", impact="cosmetic", reads=("train",))
    output_dir: PathText = key(
        Derived("runs/{name}, beside the recipe, with the variant's id if there is a matrix"),
        "The run directory. A relative path starts at the recipe.",
        impact="runtime",
        reads=("train",),
        aka="output_dir",
    )
    model: Model
    data: Data
    train: Train
    optimizer: Optimizer
    lr_schedule: LrSchedule
    ema: Ema
    memory: Memory
    validation: Validation
    checkpoints: Checkpoints
    hardware: Hardware
