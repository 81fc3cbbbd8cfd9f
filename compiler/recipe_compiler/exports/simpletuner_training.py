"""Settings of training that SimpleTuner says otherwise, or not at all."""

from collections.abc import Mapping
from typing import Any

from recipe_compiler.exports.writer import Writer
from recipe_compiler.imports.simpletuner_facts import COSINE_PERIOD, FAMILY, OPTIMIZER, OPTIMIZERS
from recipe_schema.definition import leaves
from recipe_schema.optimizers import STORAGE


_OPTIMIZERS: Mapping[str, str] = {
    "adamw": "torch-adamw",
    "adamw8bit": "bnb-adamw8bit",
    "adafactor": "torch-adafactor",
    "schedule-free": "adamw_schedulefree",
}
_OWN = ("came",)
_OTHER_KIND: Mapping[str, str] = {"prodigy": "SimpleTuner's is ProdigyPlus, which also averages the weights it trains"}
_OF_THREE = "optimi-adan"
"""It has three betas: of the two that options give SimpleTuner makes a pair, which it can't unpack."""

_BETAS = ("beta1", "beta2")
_FLAT = ("constant", "constant_with_warmup")

_NO_OPTION = "SimpleTuner has no option for it"
_FIXED: Mapping[str, tuple[tuple[Any, ...], str]] = {
    "model.instruction": (("diffusers",), "SimpleTuner puts diffusers' wording before captions"),
    "model.text_encoder_dtype": (("bf16",), "SimpleTuner's text encoder is in bf16"),
    "model.random_weights": ((None,), "SimpleTuner builds no models"),
    "data.motion_score": ((None,), "SimpleTuner's captions have no motion score"),
    "data.on_problem": (("quarantine", "skip"), "SimpleTuner leaves out what it can't read, or deletes it"),
    "data.on_duplicate": (("train",), _NO_OPTION),
    "data.image_interval": ((None,), _NO_OPTION),
    "train.noise_schedule": (("simpletuner",), "SimpleTuner draws noise levels uniformly, without a shift"),
    "train.timesteps": (("whole",), "SimpleTuner's timesteps are whole"),
    "train.loss_type": (("l2",), "SimpleTuner's loss for Sana Video does not read it"),
    "train.snr_gamma": ((None,), "SimpleTuner's loss for Sana Video does not read it"),
    "optimizer.decay_all": ((True,), _NO_OPTION),
    "memory.model_cpu_offload": ((False,), _NO_OPTION),
    "regularizers.masked_loss.enabled": ((False,), "SimpleTuner's loss for Sana Video reads no masks"),
    "evaluation.fraction": ((None,), "SimpleTuner sets nothing apart: add a data set of type eval"),
    "validation.images": (({},), "SimpleTuner draws Sana Video from text alone"),
    "launch.strategy": (("ddp",), "it is set in the configuration of accelerate"),
    "hardware.compile": (("no",), "it is set by dynamo_backend and its kin"),
}
"""Settings that have to have one of some values, with what SimpleTuner does in any case."""


def write_training(writer: Writer, version: str) -> None:
    """Write what is no plain option.

    Args:
        writer: Where it goes.
        version: Of SimpleTuner.
    """
    writer.say("model.family", "model_family", FAMILY)
    for path, (values, reason) in _FIXED.items():
        writer.need(path, *values, reason=reason)
    writer.say("model.base_model_precision", "base_model_precision", writer["model.base_model_precision"])
    if writer["model.type"] == "lora":
        writer.say("model.lora.type", "lora_type", "lycoris" if writer["model.lora.type"] == "lokr" else "standard")
    _length(writer)
    _noise(writer)
    _optimizer(writer)
    _schedule(writer)
    _average(writer)
    _rollout(writer)
    _crepa(writer)
    _trackers(writer, version)
    _surroundings(writer)


def _length(writer: Writer) -> None:
    steps, epochs = writer["train.max_steps"], writer["train.num_epochs"]
    writer.say("train.max_steps", "max_train_steps", steps or 0)
    writer.say("train.num_epochs", "num_train_epochs", 0 if steps else epochs)


def _noise(writer: Writer) -> None:
    writer.options["offset_noise"] = writer["train.noise_offset"] > 0
    if writer["train.noise_offset"] > 0:
        for name in ("noise_offset", "noise_offset_probability"):
            writer.say(f"train.{name}", name, writer[f"train.{name}"])
    if writer["train.layer_freeze_strategy"] != "none":
        writer.say("train.layer_freeze_strategy", "layer_freeze_strategy", writer["train.layer_freeze_strategy"])


def _optimizer(writer: Writer) -> None:
    name = str(writer["optimizer.name"])
    if name in _OWN:
        writer.tell("optimizer.name", "SimpleTuner has none of that name; its default is said")
        name = OPTIMIZER
    elif name in _OTHER_KIND:
        writer.tell("optimizer.name", _OTHER_KIND[name])
    elif STORAGE[name].weight > STORAGE[OPTIMIZER].weight:
        writer.tell("optimizer.name", "SimpleTuner keeps weights in bf16, and here they are fp32", nearly=True)
    writer.say("optimizer.name", "optimizer", _OPTIMIZERS.get(name, name))
    _constants(writer, name)


def _constants(writer: Writer, name: str) -> None:
    """Write the constants that an optimizer has: others would stop SimpleTuner, or be left out there with a warning."""
    usual = OPTIMIZERS[name]
    writer.said |= {f"optimizer.{key}" for key in ("weight_decay", "eps", *_BETAS)}
    constants = {key: writer[f"optimizer.{key}"] for key in ("weight_decay", "eps") if key in usual}
    if any(value != usual[key] for key, value in constants.items()):
        writer.options["optimizer_config"] = ",".join(f"{key}={value!r}" for key, value in constants.items())
    for key in _BETAS:
        if key not in usual or name == _OF_THREE:
            del writer.options[f"optimizer_{key}"]
        if name == _OF_THREE:
            writer.need(
                f"optimizer.{key}", usual[key], reason=f"SimpleTuner has no option for adan's, and takes {usual[key]}"
            )


def _schedule(writer: Writer) -> None:
    writer.said |= {"lr_schedule.name", "lr_schedule.warmup_steps"}
    name, warmup = _curve(writer)
    for option, value in (("lr_scheduler", name), ("lr_warmup_steps", warmup)):
        writer.options[option] = value
    if writer["optimizer.name"] == "schedule-free" and (name not in _FLAT or warmup):
        writer.tell("lr_schedule.name", "SimpleTuner has neither schedule nor warm-up beside schedule-free")
    if name == "linear":
        writer.need("lr_schedule.end", 0.0, reason="SimpleTuner's linear ends at 0")
    if name in ("cosine", "sine", "polynomial"):
        writer.say("lr_schedule.end", "lr_end", writer["lr_schedule.end"])
    if name == "polynomial":
        writer.say("lr_schedule.power", "lr_power", writer["lr_schedule.power"])


def _curve(writer: Writer) -> tuple[str, int]:
    """Return the name of the schedule there, and what it takes for ``lr_warmup_steps``."""
    name, warmup = str(writer["lr_schedule.name"]), int(writer["lr_schedule.warmup_steps"])
    processes = writer["launch.processes"] * writer["launch.machines"]
    if name.startswith("simpletuner-"):
        period = writer["lr_schedule.period_steps"]
        if period % processes:
            writer.tell("lr_schedule.period_steps", f"a period is a whole number of steps times {processes} processes")
        writer.said.add("lr_schedule.period_steps")
        return name.removeprefix("simpletuner-"), max(period // processes, 1)
    if name in ("cosine", "sine"):
        steps = writer["train.max_steps"]
        said = steps // processes if steps else COSINE_PERIOD
        reason = f"SimpleTuner's has no warm-up, and swings; half a period of {said * processes} steps is said"
        fits = name == "cosine" and warmup == 0 and steps and steps % processes == 0
        writer.tell("lr_schedule.name", reason, nearly=bool(fits))
        return name, max(said, 1)
    if name == "cosine_with_restarts":
        reason = "SimpleTuner's never leaves its peak, and needs steps of warm-up; a flat one is said"
        writer.tell("lr_schedule.name", reason)
        return "constant_with_warmup", warmup
    return name, 0 if name == "constant" else warmup


def _average(writer: Writer) -> None:
    if not writer["ema.enabled"]:
        return
    decay = writer["ema.decay"] ** writer["ema.update_interval"]
    writer.say("ema.decay", "ema_decay", float(f"{decay:.12g}"))
    warm = writer["ema.warmup_steps"]
    writer.say("ema.warmup_steps", "ema_warmup_steps", warm)
    reason = "SimpleTuner's memory grows from short to long, unless there is a warm-up"
    writer.need("ema.warmup", "none" if warm else "ramp", reason=reason)
    writer.tell("ema.enabled", "SimpleTuner keeps the average in bf16, and here it is fp32", nearly=True)


def _rollout(writer: Writer) -> None:
    if writer["regularizers.rollout.max_step_offset"] == 0:
        return
    fixed: Mapping[str, tuple[Any, str]] = {
        "sampler": ("euler", "SimpleTuner samples by Euler's method, whatever is said"),
        "target": ("kept", "SimpleTuner keeps the target of the noise that was drawn at first"),
        "reflexflow": (False, "SimpleTuner's loss for Sana Video does not read it"),
    }
    for name, (value, reason) in fixed.items():
        writer.need(f"regularizers.rollout.{name}", value, reason=reason)
    writer.options |= {"scheduled_sampling_sampler": "euler", "scheduled_sampling_reflexflow": False}


def _crepa(writer: Writer) -> None:
    if writer["regularizers.crepa.enabled"]:
        writer.need("regularizers.crepa.encoder_path", None, reason="SimpleTuner takes the teacher from torch hub")
        reason = "SimpleTuner resamples features along one dimension"
        writer.tell("regularizers.crepa.spatial_align", reason, nearly=True)


def _trackers(writer: Writer, version: str) -> None:
    trackers = writer["tracking.report_to"] or ["none"]
    several = len(trackers) > 1
    writer.say("tracking.report_to", "report_to", trackers if several and version != "4.8" else trackers[0])
    if several and version == "4.8":
        writer.tell("tracking.report_to", f"SimpleTuner 4.8 has one tracker; {trackers[0]} is said")


def _surroundings(writer: Writer) -> None:
    for path, option in (
        ("checkpoints.total_limit", "checkpoints_total_limit"),
        ("checkpoints.rolling_steps", "checkpointing_rolling_steps"),
    ):
        writer.say(path, option, writer[path] or 0)
    resume = str(writer["checkpoints.resume"])
    writer.say("checkpoints.resume", "resume_from_checkpoint", f"checkpoint-{resume}" if resume.isdigit() else resume)
    interval = writer["memory.gradient_checkpointing_interval"]
    if interval > 1:
        writer.say("memory.gradient_checkpointing_interval", "gradient_checkpointing_interval", interval)
    _validation(writer)
    _webhooks(writer)


def _validation(writer: Writer) -> None:
    drawn = writer["validation.prompt"] or writer["validation.prompt_library"]
    writer.options["validation_disable"] = not drawn
    if writer["validation.step_interval"] is not None:
        writer.say("validation.step_interval", "validation_step_interval", writer["validation.step_interval"])
    elif drawn and writer["validation.epoch_interval"] is None and writer["train.max_steps"]:
        writer.options["validation_step_interval"] = writer["train.max_steps"]
        writer.tell("validation.step_interval", "the last step is said", nearly=True)
    if writer["validation.framerate"] != writer["data.framerate"]:
        writer.tell("validation.framerate", "SimpleTuner writes clips at `framerate`")


def _webhooks(writer: Writer) -> None:
    hooks = []
    for table in writer.settings.tables("tracking.webhooks"):
        kind, url = writer[f"{table}.type"], writer[f"{table}.url"]
        address = url or (f"{{env:{writer[f'{table}.url_env']}}}")
        hook = {"webhook_type": kind, "callback_url" if kind == "raw" else "webhook_url": address}
        hook |= {"log_level": writer[f"{table}.level"], "ssl_no_verify": not writer[f"{table}.ssl_verify"]}
        if writer[f"{table}.prefix"]:
            hook["message_prefix"] = writer[f"{table}.prefix"]
        if writer[f"{table}.token_env"]:
            hook["auth_token"] = f"{{env:{writer[f'{table}.token_env']}}}"
        if kind == "slack":
            writer.tell(f"{table}.type", "SimpleTuner has discord and raw; it is left out")
        else:
            hooks.append(hook)
    writer.said |= {leaf.path for leaf in leaves() if leaf.path.startswith("tracking.webhooks.")} if hooks else set()
    if hooks:
        writer.options["webhook_config"] = hooks
