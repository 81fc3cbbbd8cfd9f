"""Validation takes a large part of the run.

What it does: counts forward passes: a clip takes `num_inference_steps`, twice that with guidance, and an optimizer
step three for each sample, two for an adapter, and one more with gradient checkpointing. Each prompt has `num_clips` clips,
and twice as many with `ema.validation: comparison`; processes share them. Where the clips of the data are known, a pass
counts by its operations, so that a large clip beside small ones weighs more. It warns where drawing takes more than a quarter
of the time. `recipe plan` says how much it is in all, with the clips at the start and at the end.

Why it hurts: hours on a GPU go into clips that nobody looks at.

Example:
    validation:
      prompt: a bar moves
      step_interval: 5

Use instead:
    validation:
      prompt: a bar moves
      num_inference_steps: 10
      step_interval: 1000
"""

from collections.abc import Iterator
from typing import Any

from recipe_compiler.rules.rule import Facts, Finding, Rule
from recipe_compiler.rules.wording import counted


INTERVAL, EPOCHS = "validation.step_interval", "validation.epoch_interval"
STEPS, GUIDANCE = "validation.num_inference_steps", "validation.guidance"
PROMPT, LIBRARY, CLIPS = "validation.prompt", "validation.prompt_library", "validation.num_clips"
SIZE, FRAMES = "validation.resolution", "validation.num_video_frames"
EMA, WHOSE = "ema.enabled", "ema.validation"
BATCH, ACCUMULATION, CHECKPOINTING = (
    "train.batch_size",
    "train.gradient_accumulation_steps",
    "memory.gradient_checkpointing",
)
TYPE, PROCESSES, MACHINES, WEIGHTS = "model.type", "launch.processes", "launch.machines", "model.random_weights"
READS: tuple[str, ...] = (INTERVAL, EPOCHS, STEPS, GUIDANCE, PROMPT, LIBRARY, CLIPS, SIZE, FRAMES, EMA, WHOSE)
READS += (BATCH, ACCUMULATION, CHECKPOINTING, TYPE, PROCESSES, MACHINES, WEIGHTS)
MOST = 0.25


def check(facts: Facts) -> Iterator[Finding]:
    """Compare the forward passes of clips with those of training between them."""
    settings = facts.settings
    values = {path: settings[path] for path in READS}
    prompts = len(values[LIBRARY]) + bool(values[PROMPT])
    at = INTERVAL if values[INTERVAL] is not None else EPOCHS
    interval = values[INTERVAL] if at == INTERVAL else _steps_of_epochs(facts, values)
    if interval is None or not prompts:
        return
    from recipe_compiler.passes.drawing_cost import passes_of_clip, rounds  # noqa: PLC0415 - few recipes get here

    drawing = rounds(values) * passes_of_clip(values) * _weight(facts, values)
    step = values[BATCH] * values[ACCUMULATION] * (2 + (values[TYPE] == "full") + values[CHECKPOINTING])
    share = drawing / (drawing + interval * step)
    if share > MOST:
        clips = values[CLIPS] * (2 if values[EMA] and values[WHOSE] == "comparison" else 1)
        unit = values[at] * (drawing * (1 - MOST) / (MOST * step)) / interval
        often = "step" if at == INTERVAL else "epoch"
        yield Finding(
            at=at,
            message=f"validation takes about {share:.0%} of the run: {counted(prompts, 'prompt')}"
            f"{f', {clips} clips of each,' if clips > 1 else ''} "
            f"{f'at every {often}' if values[at] == 1 else f'every {values[at]} {often}s'}",
            help=f"draw every {-(-unit // 1):.0f} {often}s or more, with fewer prompts{' or clips' if clips > 1 else ''}, or with fewer sampling steps",
        )


def _steps_of_epochs(facts: Facts, values: dict[str, Any]) -> float | None:
    """Return how many steps `epoch_interval` is; None without it, or if nobody looked at the data."""
    if values[EPOCHS] is None or facts.survey is None:
        return None
    samples = float(sum(bucket.samples for bucket in facts.survey.buckets))
    each = values[BATCH] * values[ACCUMULATION] * values[PROCESSES] * values[MACHINES]
    return float(values[EPOCHS] * samples / each) or None


def _weight(facts: Facts, values: dict[str, Any]) -> float:
    """Return the operations of a pass over a clip by those over a trained sample; 1 if nobody looked at the data."""
    if facts.survey is None or not facts.survey.buckets:
        return 1.0
    from recipe_compiler.passes.drawing_cost import tokens_of_clip  # noqa: PLC0415
    from recipe_compiler.passes.estimate import forward_flop  # noqa: PLC0415

    family, buckets = facts.settings.family, facts.survey.buckets
    config = family.transformer(values[WEIGHTS])
    trained = sum(forward_flop(config, family.tokens(b.width, b.height, b.frames)) * b.samples for b in buckets)
    return float(forward_flop(config, tokens_of_clip(values, family)) / (trained / sum(b.samples for b in buckets)))


RULE = Rule(code="R604", name="validation-costly", severity="warning", reads=READS, check=check, page=__doc__)
