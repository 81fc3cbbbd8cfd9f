"""What is measured and drawn while training goes on."""

from collections.abc import Mapping
from typing import Annotated, Literal

from recipe_schema.marks import OR_FILE, Derived, Family, Ge, Gt, Le, Lt, key
from recipe_schema.section import section
from recipe_schema.sections.forms import MOST_FRAMES, Count, Name, Seed, Size, Steps, StepsOrNone, Text


LINEAR = "linear"
"""The decoder of previews that is made of the run's own clips."""

TINY_DECODER_FILES = ("taew2_1.safetensors", "taew2_1.pth")
"""Names under which the weights of the tiny decoder for Wan 2.1 are published."""


@section
class Evaluation:
    """The loss on clips that are not trained, with the same noise each time: comparable between steps and runs."""

    step_interval: Steps | None = key(
        None,
        "Measure every so many steps; null never does.",
        unit="steps",
        impact="runtime",
        reads=("train",),
        aka="eval_steps_interval",
    )
    epoch_interval: Annotated[float, Gt(0)] | None = key(
        None,
        "Measure every so many epochs.",
        unit="epochs",
        impact="runtime",
        reads=("train",),
        aka="eval_epoch_interval",
    )
    fraction: Annotated[float, Gt(0), Lt(1)] | None = key(
        None,
        "Set this share of each data set apart for measuring, chosen by the clips' content.",
        reads=("survey",),
    )
    timesteps: Annotated[int, Ge(1), Le(1000)] = key(
        28, "Noise levels at which each clip is measured.", impact="runtime", reads=("train",), aka="eval_timesteps"
    )
    num_clips: Count = key(
        4,
        "Clips that are measured of each data set. Of clips of several windows, these count.",
        unit="clips",
        impact="runtime",
        reads=("train",),
        aka="num_eval_images",
    )
    pooling: bool = key(
        False,
        "One figure for all data sets together.",
        impact="runtime",
        reads=("train",),
        aka="eval_dataset_pooling",
    )
    dataset_id: Name | None = key(
        None,
        "Measure this data set alone.",
        impact="runtime",
        reads=("train",),
        aka="eval_dataset_id",
    )
    type: Literal["none", "clip"] = key(
        "none",
        "`clip` scores each validation clip by CLIP, which sees single frames and no motion.",
        impact="runtime",
        reads=("validate",),
        aka="evaluation_type",
    )
    pretrained_model_name_or_path: Text | None = key(
        None,
        "Hugging Face id or folder of the CLIP model in transformers format, for type clip.",
        impact="runtime",
        reads=("validate",),
        aka="pretrained_evaluation_model_name_or_path",
    )
    num_frames: Count = key(
        8,
        "Frames of each clip that CLIP sees, evenly spaced from the first to the last.",
        unit="frames",
        impact="runtime",
        reads=("validate",),
    )


@section
class Preview:
    """Frames of a clip while it is being drawn."""

    enabled: bool = key(
        False,
        "Send frames to webhooks and the run's page while clips are drawn.",
        impact="runtime",
        reads=("validate",),
        aka="validation_preview",
    )
    steps: Count = key(
        1,
        "Send a frame every so many sampling steps: with 20 steps and 5 here, at 5, 10, 15 and 20.",
        unit="steps",
        impact="runtime",
        reads=("validate",),
        aka="validation_preview_steps",
    )
    decoder: Text = key(
        LINEAR,
        "What makes pixels of latents: `linear`, which is fitted to the run's clips and needs no download, or a tiny decoder "
        "for Wan 2.1 (`taew2_1.safetensors` or `taew2_1.pth`): its file, its folder, or a Hugging Face id. A relative path "
        "starts at the recipe.",
        impact="runtime",
        reads=("validate",),
    )


@section
class Validation:
    """Clips that are drawn from fixed prompts and a fixed seed while training goes on."""

    prompt: str | None = key(
        None, "The main prompt.", impact="runtime", reads=("encode-text", "validate"), aka="validation_prompt"
    )
    prompt_library: Annotated[Mapping[Name, str], OR_FILE] = key(
        {},
        "More prompts, each under a nickname that becomes its file name; or the path of a file of them, JSON or YAML. A "
        "relative path starts at the recipe.",
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
        Derived(
            "832x480 if data.buckets has it, else the first of data.buckets; if every data set has a resolution, what the "
            "first one makes of 1920x1080"
        ),
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
    seed: Seed = key(42, "Seed of the starting noise.", impact="runtime", reads=("validate",), aka="validation_seed")
    num_clips: Count = key(
        1,
        "Clips of each prompt, each from noise of its own: the second has validation.seed + 1, and so on.",
        unit="clips",
        impact="runtime",
        reads=("validate",),
        aka="num_validation_images",
    )
    step_interval: Steps | None = key(
        None,
        "Draw clips every so many steps, besides at the end; null draws at the end only.",
        unit="steps",
        impact="runtime",
        reads=("validate",),
        aka="validation_step_interval",
    )
    epoch_interval: Count | None = key(
        None,
        "Draw clips every so many epochs, besides at the end.",
        unit="epochs",
        impact="runtime",
        reads=("validate",),
        aka="validation_epoch_interval",
    )
    on_startup: bool = key(
        False,
        "Draw clips before the first step too: what the model can do before it is trained.",
        impact="runtime",
        reads=("validate",),
        aka="validation_on_startup",
    )
    after_step: StepsOrNone = key(
        0,
        "Draw no clips before this step, but for those of on_startup and of the end.",
        unit="steps",
        impact="runtime",
        reads=("validate",),
        aka="validate_after_step",
    )
    images: Mapping[Name, str] = key(
        {},
        "First frames for image to video: the nickname of a prompt (`main` is validation.prompt), and the path of a picture, or "
        "of a video whose first frame it is. It is resized to cover validation.resolution and cropped at the centre. A "
        "relative path starts at the recipe.",
        impact="runtime",
        reads=("survey", "validate"),
    )
    preview: Preview
