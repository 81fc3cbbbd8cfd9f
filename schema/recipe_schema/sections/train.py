"""How the transformer is trained: length, precision, noise and loss."""

from typing import Annotated, Literal

from recipe_schema.marks import Family, Ge, Gt, key
from recipe_schema.section import section
from recipe_schema.sections.forms import Count, Seed, Share, Steps, StepsOrNone


@section
class Train:
    """How long and how the transformer is trained."""

    batch_size: Count = key(1, "Clips in one forward pass.", unit="clips", reads=("train",), aka="train_batch_size")
    gradient_accumulation_steps: Count = key(
        1,
        "Forward passes in one optimizer step.",
        reads=("train",),
        aka="gradient_accumulation_steps",
    )
    max_steps: Steps | None = key(
        None,
        "Optimizer steps. Give this or num_epochs.",
        unit="steps",
        reads=("train",),
        aka="max_train_steps",
    )
    num_epochs: Count | None = key(
        None,
        "Passes through the data, repeats counted. Give this or max_steps.",
        unit="epochs",
        reads=("train",),
        aka="num_train_epochs",
    )
    seed: Seed = key(
        42, "Seed of the order of clips, of noise, timesteps and dropout.", reads=("build-model", "train"), aka="seed"
    )
    mixed_precision: Literal["bf16", "no"] = key(
        "bf16",
        "Precision of the forward and backward pass. What is trained, its moments and EMA are fp32 in any case, but for optimizers "
        "that keep bf16 or fewer bits.",
        reads=("train", "validate"),
        aka="mixed_precision",
        refused={
            "fp16": "activations of Sana overflow in fp16 and the loss turns NaN; take bf16",
            "fp8": "training in fp8 is not supported; take bf16",
            "fp32": "full precision is spelt `no`",
        },
    )
    caption_dropout_probability: Share = key(
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
        "How noise levels are drawn: as the authors do (logit-normal, shift 3, whole timesteps), or as SimpleTuner does "
        "(uniform, no shift).",
        reads=("train",),
    )
    timesteps: Literal["whole", "exact"] = key(
        "whole",
        "Noise levels are rounded to whole timesteps of 1000, as in the authors' code, or taken as they are drawn; the "
        "model is then told 1000 sigma, unrounded.",
        reads=("train",),
    )
    loss_type: Literal["l2", "huber", "smooth_l1"] = key(
        "l2",
        "How the difference of predicted and true velocity counts: squared, or less than that where it is large.",
        reads=("train",),
        aka="loss_type",
        refused={"mse": "the mean squared error is `l2` here"},
    )
    huber_c: Annotated[float, Gt(0)] = key(
        0.1, "Where huber and smooth_l1 turn from squared to straight.", reads=("train",), aka="huber_c"
    )
    huber_schedule: Literal["constant", "exponential", "snr"] = key(
        "constant",
        "How huber_c changes with the noise level: not at all, falling from 1 to huber_c at full noise, or by the "
        "signal-to-noise ratio.",
        reads=("train",),
        aka="huber_schedule",
    )
    snr_gamma: Annotated[float, Gt(0)] | None = key(
        None,
        "Weight each sample by sigma² min(SNR, gamma), the Min-SNR weighting of arXiv:2303.09556 for velocities of a "
        "straight path, with SNR = (1 - sigma)² / sigma²; 5 is usual.",
        reads=("train",),
        aka="snr_gamma",
    )
    noise_offset: Share = key(
        0.0,
        "Add this much of one random value per clip and channel to the noise, for darker and brighter clips.",
        reads=("train",),
        aka="noise_offset",
    )
    noise_offset_probability: Share = key(
        0.25, "Share of samples that noise_offset is added to.", reads=("train",), aka="noise_offset_probability"
    )
    input_perturbation: Share = key(
        0.0,
        "Add this much more noise to the model's input, and not to its target (arXiv:2301.11706).",
        reads=("train",),
        aka="input_perturbation",
    )
    input_perturbation_steps: StepsOrNone = key(
        0,
        "Let input_perturbation fall to none in so many steps; 0 keeps it.",
        unit="steps",
        reads=("train",),
        aka="input_perturbation_steps",
    )
    layer_freeze_strategy: Literal["none", "bitfit"] = key(
        "none",
        "`bitfit` trains the biases alone (arXiv:2106.10199): 0.8 million of 2.1 thousand million weights.",
        reads=("train", "export"),
        aka="layer_freeze_strategy",
    )
    flow_schedule_shift: float | None = key(
        None, "Accepted and never applied: the family's schedule is used.", aka="flow_schedule_shift"
    )
    flow_schedule_auto_shift: bool | None = key(
        None, "Accepted and never applied: the family's schedule is used.", aka="flow_schedule_auto_shift"
    )
