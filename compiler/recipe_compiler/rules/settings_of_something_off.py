"""Settings are given of something that is off.

What it does: finds keys of a part of the recipe whose switch is off: keys of `model.lora` while all weights are
trained, `model.quantize_via` while nothing is quantized, `model.lora.lokr_factor` without `type: lokr`, keys of
`memory.group_offload`, `regularizers.crepa`, `regularizers.masked_loss`, `validation.preview` and a data set's
`caption_shuffle` that are not enabled, of a data set's image to video without `is_i2v`, its weights of captions without
`multiline: split`, keys of `regularizers.rollout` without `max_step_offset`, `launch.strategy` of one process,
`checkpoints.rolling_total_limit` without `rolling_steps`, keys of `alarms` that belong to an alarm that is not set,
the constants of another loss or curve, and what belongs to a noise offset or an input perturbation that is not there.

Why it hurts: the recipe reads as if it did something that it does not do.

Example:
    model:
      lora:
        rank: 32

Use instead:
    model:
      type: lora
      lora:
        rank: 32
"""

from collections.abc import Iterator

from recipe_compiler.data.captions import WEIGHTS
from recipe_compiler.rules.rule import Facts, Finding, Rule
from recipe_compiler.rules.switched_off import Switch, without_effect


CURVE, LOSS, OFFLOAD = "lr_schedule.name", "train.loss_type", "memory.group_offload"
CREPA, MASKED, ROLLOUT = "regularizers.crepa", "regularizers.masked_loss", "regularizers.rollout"
PREVIEW, SHUFFLE, VIDEO = "validation.preview", "data.datasets.*.caption_shuffle", "data.datasets.*.video"
PRECISIONS = ("model.base_model_precision", "model.text_encoder_precision")
PERIODIC = ("simpletuner-cosine", "simpletuner-sine")
HUBER = "set `loss_type: huber` or `smooth_l1`"

SWITCHES = (
    Switch("model.lora", ("model.type",), "set `model.type: lora`", off=("full",)),
    Switch("model.lora.lokr_factor", ("model.lora.type",), "write `type: lokr`", on=("lokr",)),
    Switch("model.quantize_via", PRECISIONS, "set one of them, such as to `int8-quanto`", off=("no_change",)),
    Switch(OFFLOAD, (f"{OFFLOAD}.enabled",), "set `enabled: true` there", off=(False,)),
    Switch(CREPA, (f"{CREPA}.enabled",), "set `enabled: true` there", off=(False,)),
    Switch(MASKED, (f"{MASKED}.enabled",), "set `enabled: true` there", off=(False,)),
    Switch(ROLLOUT, (f"{ROLLOUT}.max_step_offset",), "set `max_step_offset` above 0", off=(0,)),
    Switch(PREVIEW, (f"{PREVIEW}.enabled",), "set `enabled: true` there", off=(False,)),
    Switch(SHUFFLE, (f"{SHUFFLE}.enable",), "set `enable: true` there", off=(False,)),
    *(
        Switch(f"data.datasets.*.{key}", ("data.datasets.*.multiline",), "write `multiline: split`", on=("split",))
        for key in ("caption_weights", *WEIGHTS.values())
    ),
    Switch(f"{VIDEO}.i2v_probability", (f"{VIDEO}.is_i2v",), "set `is_i2v: true`", off=(False,)),
    Switch(f"{VIDEO}.i2v_noise", (f"{VIDEO}.is_i2v",), "set `is_i2v: true`", off=(False,)),
    Switch("launch.strategy", ("launch.processes", "launch.machines"), "ask for more than one process", off=(1,)),
    Switch("checkpoints.rolling_total_limit", ("checkpoints.rolling_steps",), "set `rolling_steps`", off=(None,)),
    Switch("alarms.loss_spike_window", ("alarms.loss_spike_factor",), "set `loss_spike_factor`", off=(None,)),
    Switch("alarms.on_hang", ("alarms.step_timeout",), "set `step_timeout`", off=(None,)),
    Switch("train.huber_c", (LOSS,), HUBER, off=("l2",)),
    Switch("train.huber_schedule", (LOSS,), HUBER, off=("l2",)),
    Switch("train.noise_offset_probability", ("train.noise_offset",), "set `noise_offset` above 0", off=(0,)),
    Switch(
        "train.input_perturbation_steps", ("train.input_perturbation",), "set `input_perturbation` above 0", off=(0,)
    ),
    Switch("evaluation.pretrained_model_name_or_path", ("evaluation.type",), "set `type: clip`", off=("none",)),
    Switch("evaluation.num_frames", ("evaluation.type",), "set `type: clip`", off=("none",)),
    Switch("lr_schedule.num_cycles", (CURVE,), "write `name: cosine_with_restarts`", on=("cosine_with_restarts",)),
    Switch("lr_schedule.power", (CURVE,), "write `name: polynomial`", on=("polynomial",)),
    Switch("lr_schedule.period_steps", (CURVE,), "write `name: simpletuner-cosine`", on=PERIODIC),
)


def check(facts: Facts) -> Iterator[Finding]:
    """Look at every switch, those of data sets in each data set that is in use."""
    tables = [table for table in facts.settings.tables("data.datasets") if facts.settings.in_use(table)]
    seen: set[str] = set()  # what waits for two switches is told of the first
    for switch in SWITCHES:
        for here in map(switch.at, tables) if "*" in switch.keys else (switch,):
            for finding in without_effect(facts.settings, here):
                if finding.at not in seen:
                    seen.add(finding.at)
                    yield finding


RULE = Rule(code="R208", name="setting-of-something-off", severity="warning", reads=(), check=check, page=__doc__)
