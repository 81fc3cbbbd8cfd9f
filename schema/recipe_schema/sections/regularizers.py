"""What is added to the loss, or changes what it is measured on."""

from typing import Annotated, Literal

from recipe_schema.marks import Ge, Gt, Le, Lt, key
from recipe_schema.section import section
from recipe_schema.sections.forms import Share, StepsOrNone, Text


@section
class Crepa:
    """Cross-frame representation alignment: features of a block agree with those of DINOv2, frame by frame."""

    enabled: bool = key(
        False,
        "Align features, against flicker and drifting subjects (arXiv:2506.09229).",
        reads=("encode-video", "train"),
        aka="crepa_enabled",
    )
    block_index: Annotated[int, Ge(0), Le(1000)] = key(
        10, "The block whose output is aligned, counted from 0.", reads=("train",), aka="crepa_block_index"
    )
    weight: Annotated[float, Ge(0), Le(1000)] = key(
        0.5, "Weight of the term in the loss (λ).", reads=("train",), aka="crepa_lambda"
    )
    adjacent_distance: Annotated[int, Ge(0), Le(1000)] = key(
        1,
        "Frames are also aligned with those so many latent frames before and after; 0 leaves neighbours out.",
        unit="latent frames",
        reads=("train",),
        aka="crepa_adjacent_distance",
    )
    adjacent_tau: Annotated[float, Gt(0)] = key(
        1.0, "Neighbours count exp(-distance / tau).", reads=("train",), aka="crepa_adjacent_tau"
    )
    encoder: Literal["dinov2_vits14", "dinov2_vitb14", "dinov2_vitl14", "dinov2_vitg14"] = key(
        "dinov2_vitg14", "The teacher.", reads=("encode-video", "train"), aka="crepa_encoder"
    )
    encoder_path: Text | None = key(
        None,
        "Hugging Face id or folder of the teacher in transformers format; null takes facebook's of that name.",
        reads=("encode-video", "train"),
    )
    encoder_image_size: Annotated[int, Ge(14), Le(2044)] = key(
        518,
        "Frames are resized to a square of this for the teacher: a multiple of 14.",
        unit="pixels",
        reads=("encode-video", "train"),
        aka="crepa_encoder_image_size",
    )
    encoder_frames_batch_size: Annotated[int, Ge(-1), Le(100000)] = key(
        -1,
        "Frames that the teacher sees at once; -1 takes all of a clip.",
        unit="frames",
        impact="runtime",
        reads=("encode-video",),
        aka="crepa_encoder_frames_batch_size",
    )
    feature_source: Literal["encoder", "backbone", "self_flow"] = key(
        "encoder",
        "The teacher: DINOv2, a deeper block of the model itself, or the model's average on cleaner tokens.",
        reads=("encode-video", "train"),
        aka="crepa_feature_source",
    )
    teacher_block_index: Annotated[int, Ge(0), Le(1000)] | None = key(
        None,
        "The deeper block, for feature_source backbone and self_flow.",
        reads=("train",),
        aka="crepa_teacher_block_index",
    )
    self_flow_mask_ratio: Annotated[float, Gt(0), Le(0.5)] = key(
        0.1, "Share of tokens that self_flow noises otherwise.", reads=("train",), aka="crepa_self_flow_mask_ratio"
    )
    normalize_by_frames: bool = key(
        True, "Divide the sum over frames by their number.", reads=("train",), aka="crepa_normalize_by_frames"
    )
    normalize_neighbour_sum: bool = key(
        False,
        "Divide by the sum of weights of a frame and its neighbours.",
        reads=("train",),
        aka="crepa_normalize_neighbour_sum",
    )
    spatial_align: bool = key(
        True,
        "Resample features to one grid, in two dimensions. Otherwise the mean over each frame is aligned.",
        reads=("train",),
        aka="crepa_spatial_align",
    )
    drop_vae_encoder: bool = key(
        False,
        "Free the VAE once all clips are encoded. It can't be had together with drawing clips.",
        impact="runtime",
        reads=("train",),
        aka="crepa_drop_vae_encoder",
    )
    schedule: Literal["constant", "linear", "cosine", "polynomial"] = key(
        "constant", "How the weight changes after warm-up.", reads=("train",), aka="crepa_scheduler"
    )
    warmup_steps: StepsOrNone = key(
        0, "Steps in which the weight climbs from 0.", unit="steps", reads=("train",), aka="crepa_warmup_steps"
    )
    decay_steps: StepsOrNone = key(
        0,
        "The step at which the weight has reached weight_end; 0 is the last step.",
        unit="steps",
        reads=("train",),
        aka="crepa_decay_steps",
    )
    weight_end: Annotated[float, Ge(0), Le(1000)] = key(
        0.0, "The weight at the end, for all schedules but constant.", reads=("train",), aka="crepa_lambda_end"
    )
    power: Annotated[float, Gt(0), Le(100)] = key(1.0, "Power of the polynomial.", reads=("train",), aka="crepa_power")
    cutoff_step: StepsOrNone = key(
        0, "The step at which alignment ends; 0 is never.", unit="steps", reads=("train",), aka="crepa_cutoff_step"
    )
    similarity_threshold: Annotated[float, Gt(0), Le(1)] | None = key(
        None,
        "Alignment ends once the average similarity reaches this.",
        reads=("train",),
        aka="crepa_similarity_threshold",
    )
    similarity_ema_decay: Annotated[float, Ge(0), Lt(1)] = key(
        0.99, "Memory of that average.", reads=("train",), aka="crepa_similarity_ema_decay"
    )
    threshold_mode: Literal["permanent", "recoverable"] = key(
        "permanent",
        "Whether alignment ends for good, or goes on being measured and comes back when similarity falls.",
        reads=("train",),
        aka="crepa_threshold_mode",
    )


@section
class Rollout:
    """Scheduled sampling: the model also learns from inputs that it made itself."""

    max_step_offset: Annotated[int, Ge(0), Le(999)] = key(
        0,
        "Up to so many timesteps are sampled by the model before a training step; 0 is off.",
        unit="timesteps",
        reads=("train",),
        aka="scheduled_sampling_max_step_offset",
    )
    probability: Share = key(
        0.0, "Share of samples that are rolled out.", reads=("train",), aka="scheduled_sampling_probability"
    )
    strategy: Literal["uniform", "biased_early", "biased_late"] = key(
        "uniform",
        "How long rollouts are: all lengths alike, more short ones, or more long ones.",
        reads=("train",),
        aka="scheduled_sampling_strategy",
    )
    prob_start: Share | None = key(
        None,
        "With ramp_steps, the probability at first; null is probability.",
        reads=("train",),
        aka="scheduled_sampling_prob_start",
    )
    prob_end: Share = key(
        0.5, "With ramp_steps, the probability in the end.", reads=("train",), aka="scheduled_sampling_prob_end"
    )
    ramp_steps: StepsOrNone = key(
        0,
        "Steps from prob_start to prob_end; 0 keeps probability.",
        unit="steps",
        reads=("train",),
        aka="scheduled_sampling_ramp_steps",
    )
    ramp_shape: Literal["linear", "cosine"] = key(
        "linear", "The curve between them.", reads=("train",), aka="scheduled_sampling_ramp_shape"
    )
    start_step: StepsOrNone = key(
        0, "The first step with rollouts.", unit="steps", reads=("train",), aka="scheduled_sampling_start_step"
    )
    sampler: Literal["euler", "heun", "unipc"] = key(
        "euler",
        "How the model samples.",
        reads=("train",),
        aka="scheduled_sampling_sampler",
        refused={"dpm": "that solver remembers earlier steps, which a rollout does not have; take `heun`"},
    )
    order: Annotated[int, Ge(1), Le(3)] = key(
        2, "The highest order of unipc.", reads=("train",), aka="scheduled_sampling_order"
    )
    target: Literal["rederived", "kept"] = key(
        "rederived",
        "What is learnt from a rolled-out input: the velocity that leads from it to the clip, or that of the noise drawn "
        "at first, as SimpleTuner keeps it.",
        reads=("train",),
    )
    reflexflow: bool = key(
        False,
        "Add ReflexFlow's two terms to the loss (arXiv:2512.04904).",
        reads=("train",),
        aka="scheduled_sampling_reflexflow",
    )
    reflexflow_alpha: Annotated[float, Ge(0)] = key(
        1.0,
        "How much more places count at which a rollout has changed the prediction; see reflexflow_beta2.",
        reads=("train",),
        aka="scheduled_sampling_reflexflow_alpha",
    )
    reflexflow_beta1: Annotated[float, Ge(0)] = key(
        10.0,
        "Weight of the anti-drift term, the distance of the predicted direction from that to the clip.",
        reads=("train",),
        aka="scheduled_sampling_reflexflow_beta1",
    )
    reflexflow_beta2: Annotated[float, Ge(0)] = key(
        1.0,
        "Weight of the frequency compensation: the error of a place counts 1 + alpha · beta2 · b times, b its exposure.",
        reads=("train",),
        aka="scheduled_sampling_reflexflow_beta2",
    )


@section
class MaskedLoss:
    """The loss counts where a mask is white."""

    enabled: bool = key(
        False,
        "Weight the loss by masks. A clip without one counts everywhere.",
        reads=("survey", "encode-video", "train"),
    )
    probability: Share = key(
        1.0, "Share of samples whose mask is used.", reads=("train",), aka="masked_loss_probability"
    )
    background_weight: Share = key(0.0, "How much counts what the mask leaves out.", reads=("train",))
    normalize: bool = key(
        True,
        "Divide by the mean of the weights, so that a clip counts as much as any other, however small its mask is.",
        reads=("train",),
    )
    invert: bool = key(False, "Count where the mask is black.", reads=("train",))


@section
class Regularizers:
    """What is added to the loss, or changes what it is measured on."""

    crepa: Crepa
    rollout: Rollout
    masked_loss: MaskedLoss
