"""The sentences in which consoles and webhooks tell of events."""

from recipe_runtime.durations import format_duration, format_rate
from recipe_runtime.meter import TrainMeter
from recipe_schema.events import (
    Aligned,
    CheckpointSaved,
    ClipDrawn,
    ClipPreviewed,
    ClipScored,
    Evaluated,
    Event,
    Exported,
    Failed,
    Interrupted,
    LossSpiked,
    MemoryMeasured,
    MemoryProbed,
    Pushed,
    Resumed,
    RunFinished,
    RunStarted,
    SheetDrawn,
    StageFinished,
    StageProgress,
    StageStarted,
    StepDone,
    StepHung,
    Warned,
)


def stage_start(event: StageStarted) -> str:
    """Say that a stage begins, and what it finds done."""
    unit = event.unit.removesuffix("s") if event.total == 1 else event.unit
    there = "all" if event.reused == event.total else str(event.reused)
    return f"{event.stage}: {event.total} {unit}" + (f", {there} there already" if event.reused else "")


def training(event: StepDone, meter: TrainMeter) -> str:
    """Say where training stands."""
    aligned = "" if meter.similarity is None else f"similarity {meter.similarity:.3f}, "
    return (
        f"train: step {event.step}/{meter.max_steps}, loss {meter.loss:.4f}, {aligned}lr {event.learning_rate:.3g}, "
        f"{format_rate(meter.seconds_per_step)}, {format_duration(meter.seconds_left)} left"
    )


def sentence(event: Event, meter: TrainMeter) -> str:
    """Say any event in one line, progress and failures too.

    Args:
        event: The event.
        meter: Has heard of it, if it is a step.
    """
    line = note(event)
    match event:
        case StageStarted():
            line = stage_start(event)
        case StageProgress(stage=stage, done=done, total=total):
            line = f"{stage}: {done}/{total}"
        case StageFinished(stage=stage, seconds=seconds):
            line = f"{stage}: done in {format_duration(seconds)}"
        case StepDone():
            line = training(event, meter)
        case Aligned(step=step, similarity=similarity, weight=weight):
            line = f"train: step {step}, similarity {similarity:.3f} at weight {weight:.3g}"
        case MemoryMeasured(step=step, gb=gb):
            line = f"train: step {step}, {gb:.2f} GB at most so far"
        case ClipPreviewed() | SheetDrawn():
            line = _picture(event)
        case Interrupted(signal=signal, step=step):
            line = f"stopped by {signal} after step {step}; the same command goes on"
        case Failed(message=message):
            line = f"failed: {message}"
        case _:
            pass
    assert line is not None, "what is no progress and no failure has a note"
    return line


def note(event: Event) -> str | None:
    """Say an event in one line; None for progress, and for failures, which the process itself reports at its end."""
    line = None
    match event:
        case RunStarted(plan_id=plan_id, name=name, device=device, max_steps=steps):
            line = f"run {name}: {steps} steps on {device}, plan {plan_id.removeprefix('sha256:')[:12]}"
        case Resumed(step=step, path=path):
            line = f"train: going on after step {step}, from {path}"
        case CheckpointSaved(path=path, seconds=seconds):
            line = f"train: saved {path} in {format_duration(seconds)}"
        case Evaluated(step=step, dataset=dataset, weights=weights, loss=loss, clips=clips):
            what = f"{clips} clip{'s' * (clips != 1)}" + ("" if dataset == "all" else f" of {dataset}")
            line = f"evaluate: loss {loss:.4f} of the {'average' if weights == 'ema' else 'weights'} of step {step} on {what}"
        case ClipDrawn() | ClipScored():
            line = _clip(event)
        case Exported(path=path, weights=weights, step=step, what=what):
            whose = "the adapter: " if what == "adapter" else ""
            line = (
                f"export: wrote {path}, {whose}{'average of the' if weights == 'ema' else 'the'} weights of step {step}"
            )
        case Pushed(path=path, address=address, seconds=seconds):
            line = f"push: uploaded {path} to {address} in {format_duration(seconds)}"
        case RunFinished(step=step, seconds=seconds):
            line = f"finished: step {step}, {format_duration(seconds)}"
        case _:
            line = _alarm(event)
    return line


def _alarm(event: Event) -> str | None:
    """Say what people should know of while all goes on; None for other events."""
    line = None
    match event:
        case MemoryProbed(bucket=bucket, peak_gb=peak, taken_by=who, predicted_gb=predicted):
            process = " with the whole process" if who == "process" else ""
            plan = "" if predicted is None else f"; {predicted:.2f} GB of tensors were predicted"
            line = f"train: the largest bucket, {bucket}, takes {peak:.2f} GB{process}{plan}"
        case LossSpiked(step=step, loss=loss, median=median):
            line = (
                f"warning: loss {loss:.4g} at step {step}, {loss / median:.1f} times the median {median:.4g} before it"
            )
        case StepHung(step=step, seconds=seconds, path=path):
            line = f"warning: step {step} had not ended after {seconds:g} seconds; stacks are in {path}"
        case Warned(message=message):
            line = f"warning: {message}"
        case _:
            pass
    return line


def _clip(event: ClipDrawn | ClipScored) -> str:
    if isinstance(event, ClipScored):
        return f"validate: CLIP score {event.score:.2f} of {event.path}"
    return f"validate: drew {event.path} in {format_duration(event.seconds)}"


def _picture(event: ClipPreviewed | SheetDrawn) -> str:
    if isinstance(event, SheetDrawn):
        return f"validate: {event.path} shows {len(event.steps)} step{'s' * (len(event.steps) != 1)}"
    return f"validate: {event.path} after {event.sampling_step} of {event.sampling_steps} sampling steps"
