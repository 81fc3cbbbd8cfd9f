"""The optimizer, the learning rate over the run, and the average of weights."""

from typing import Annotated, Literal

from recipe_schema.marks import Family, Ge, Gt, Le, Lt, key
from recipe_schema.section import section
from recipe_schema.sections.forms import Count, Steps, StepsOrNone


@section
class Optimizer:
    """The optimizer and its constants."""

    name: Literal[
        "adamw",
        "adamw_bf16",
        "adamw8bit",
        "ao-adamw8bit",
        "ao-adamw4bit",
        "ao-adamwfp8",
        "optimi-adamw",
        "optimi-stableadamw",
        "optimi-lion",
        "optimi-adan",
        "optimi-ranger",
        "optimi-radam",
        "adafactor",
        "came",
        "prodigy",
        "schedule-free",
    ] = key(
        "adamw",
        "`adamw` is torch's AdamW on fp32 weights: 16 bytes per weight with gradient and both moments. `adamw_bf16` "
        "keeps weights and moments in bf16 and rounds them at random: 8 bytes; the `optimi-` ones keep them in bf16 with "
        "Kahan summation: 8 to 14 bytes. `adamw8bit` keeps moments in 8 bits by bitsandbytes (extra `8bit`); "
        "`ao-adamw8bit`, `ao-adamwfp8` and `ao-adamw4bit` keep them in 8 or 4 bits by torchao (extra `torchao`): 10 or 9 bytes; "
        "`adafactor` and `came` keep them factored. `adafactor` takes learning_rate as the most that a step may change a "
        "tensor, relative to its size. `prodigy` finds its own rate, and learning_rate is a factor of it: 1 is usual. "
        "`schedule-free` needs no learning-rate schedule. Those that keep weights in bf16 need train.mixed_precision: bf16.",
        reads=("train",),
        aka="optimizer",
        refused={
            "torch-adamw": "that is `adamw` here",
            "bnb-adamw8bit": "that is `adamw8bit` here",
            "adamw_schedulefree": "that is `schedule-free` here",
            "lion": "that is `optimi-lion` here",
        },
    )
    learning_rate: Annotated[float, Gt(0), Le(1)] = key(
        Family("learning_rate"),
        "Peak learning rate. For prodigy a factor of the rate that it finds: 1 is usual.",
        reads=("train",),
        aka="learning_rate",
    )
    beta1: Annotated[float, Ge(0), Lt(1)] = key(
        0.9, "Decay of the mean of gradients; adafactor has none.", reads=("train",), aka="optimizer_beta1"
    )
    beta2: Annotated[float, Ge(0), Lt(1)] = key(
        0.999,
        "Decay of the mean of squared gradients; adafactor has its own. The optimi- ones keep that mean in bf16, where it "
        "stands still above 0.99.",
        reads=("train",),
        aka="optimizer_beta2",
    )
    eps: Annotated[float, Gt(0)] = key(
        Family("adam_eps"),
        "Term that keeps the division finite; lion has none, adafactor and came have their own.",
        reads=("train",),
    )
    weight_decay: Annotated[float, Ge(0)] = key(
        0.0,
        "Decoupled weight decay. The optimi- ones round it away in bf16 unless it is more than 1/512 a step, learning_rate "
        "times this.",
        reads=("train",),
    )
    decay_all: bool = key(
        True,
        "Whether weight decay also pulls at biases and norms.",
        reads=("train",),
    )
    release_gradients: bool = key(
        False,
        "Update each weight as soon as its gradient is there, and free the gradient: 4 bytes less for each weight. Needs "
        "steps of one micro-batch without clipping by norm. Not for prodigy.",
        reads=("train",),
        aka="optimizer_release_gradients",
    )


@section
class LrSchedule:
    """The learning rate over the run: a function of the step alone."""

    name: Literal[
        "constant",
        "constant_with_warmup",
        "linear",
        "cosine",
        "cosine_with_restarts",
        "polynomial",
        "sine",
        "simpletuner-cosine",
        "simpletuner-sine",
    ] = key(
        "constant_with_warmup",
        "The curve after warm-up: flat, or down to `end` at the last step, straight, as half a cosine, as several, or by a "
        "power; `sine` rises to its peak at half of the run and falls again. The two of SimpleTuner swing between peak "
        "and end, half a swing in period_steps, without warm-up.",
        reads=("train",),
        aka="lr_scheduler",
        refused={
            "cosine_with_warmup": "`cosine` has a warm-up: see warmup_steps",
            "cosine_with_min_lr": "that is `cosine` with `lr_schedule.end`",
        },
    )
    warmup_steps: StepsOrNone = key(
        0,
        "Steps in which the rate climbs from 0 to its peak. (In SimpleTuner's cosine this key is the period instead.)",
        unit="steps",
        reads=("train",),
        aka="lr_warmup_steps",
    )
    end: Annotated[float, Ge(0), Lt(1)] = key(
        0.0, "Rate at the last step, for all but the constant ones.", reads=("train",), aka="lr_end"
    )
    num_cycles: Count = key(1, "How often cosine_with_restarts starts anew.", reads=("train",), aka="lr_num_cycles")
    power: Annotated[float, Gt(0), Le(100)] = key(
        1.0, "Power of the polynomial. (SimpleTuner's default is 0.8.)", reads=("train",), aka="lr_power"
    )
    period_steps: Steps | None = key(
        None,
        "Steps from peak to end, for simpletuner-cosine and simpletuner-sine: what that trainer reads from "
        "lr_warmup_steps.",
        unit="steps",
        reads=("train",),
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
    update_interval: Steps = key(
        1,
        "Steps between updates. The decay is raised to this power, so that the average spans the same time.",
        unit="steps",
        reads=("train",),
        aka="ema_update_interval",
    )
    warmup_steps: StepsOrNone = key(
        0,
        "For so many steps the average is a copy of the weights.",
        unit="steps",
        reads=("train",),
        aka="ema_warmup_steps",
    )
    warmup: Literal["none", "ramp"] = key(
        "ramp",
        "`ramp` starts with a short memory: the decay of step s after warmup_steps is at most (1 + s) / (10 + s). `none` "
        "takes ema.decay from the start.",
        reads=("train",),
    )
    device: Literal["accelerator", "cpu"] = key(
        "accelerator",
        "Where the average is kept: beside the weights, or in main memory.",
        impact="runtime",
        reads=("train",),
        aka="ema_device",
    )
    validation: Literal["ema_only", "none", "comparison"] = key(
        "ema_only",
        "Whose clips are drawn when ema.enabled: the average's, the last weights', or both.",
        impact="runtime",
        reads=("validate",),
        aka="ema_validation",
    )
