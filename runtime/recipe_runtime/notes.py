"""The sentences in which a console tells of events that are no progress."""

from recipe_runtime.durations import format_duration
from recipe_schema.events import (
    CheckpointSaved,
    ClipDrawn,
    Evaluated,
    Event,
    Exported,
    Resumed,
    RunFinished,
    RunStarted,
    Warned,
)


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
        case ClipDrawn(path=path, seconds=seconds):
            line = f"validate: drew {path} in {format_duration(seconds)}"
        case Exported(path=path, weights=weights, step=step, what=what):
            whose = "the adapter: " if what == "adapter" else ""
            line = (
                f"export: wrote {path}, {whose}{'average of the' if weights == 'ema' else 'the'} weights of step {step}"
            )
        case Warned(message=message):
            line = f"warning: {message}"
        case RunFinished(step=step, seconds=seconds):
            line = f"finished: step {step}, {format_duration(seconds)}"
        case _:
            pass
    return line
