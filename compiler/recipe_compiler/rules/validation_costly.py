"""Validation takes a large part of the run.

What it does: counts forward passes: a clip takes `num_inference_steps`, twice that with guidance, and an optimizer
step three for each sample, or four with gradient checkpointing. Each prompt has `num_clips` clips, and twice as many
with `ema.validation: comparison`. It warns where clips take more than a quarter of the whole.

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

from recipe_compiler.rules.rule import Facts, Finding, Rule
from recipe_compiler.rules.wording import counted


INTERVAL, STEPS, GUIDANCE = "validation.step_interval", "validation.num_inference_steps", "validation.guidance"
PROMPT, LIBRARY, CLIPS = "validation.prompt", "validation.prompt_library", "validation.num_clips"
EMA, WHOSE = "ema.enabled", "ema.validation"
BATCH, ACCUMULATION, CHECKPOINTING = (
    "train.batch_size",
    "train.gradient_accumulation_steps",
    "memory.gradient_checkpointing",
)
READS = (INTERVAL, STEPS, GUIDANCE, PROMPT, LIBRARY, CLIPS, EMA, WHOSE, BATCH, ACCUMULATION, CHECKPOINTING)
MOST = 0.25


def check(facts: Facts) -> Iterator[Finding]:
    """Compare the forward passes of clips with those of training between them."""
    settings = facts.settings
    interval, prompts = settings[INTERVAL], len(settings[LIBRARY]) + bool(settings[PROMPT])
    if interval is None or not prompts:
        return
    clips = settings[CLIPS] * (2 if settings[EMA] and settings[WHOSE] == "comparison" else 1)
    drawing = prompts * clips * settings[STEPS] * (2 if settings[GUIDANCE] > 1 else 1)
    passes = 4 if settings[CHECKPOINTING] else 3
    training = interval * settings[BATCH] * settings[ACCUMULATION] * passes
    share = drawing / (drawing + training)
    if share > MOST:
        enough = -(-drawing * (1 - MOST) // (MOST * settings[BATCH] * settings[ACCUMULATION] * passes))
        yield Finding(
            at=INTERVAL,
            message=f"validation takes about {share:.0%} of the run: {counted(prompts, 'prompt')}"
            f"{f', {clips} clips of each,' if clips > 1 else ''} "
            f"{'at every step' if interval == 1 else f'every {interval} steps'}",
            help=f"draw every {enough:.0f} steps or more, with fewer prompts{' or clips' if clips > 1 else ''}, or with fewer sampling steps",
        )


RULE = Rule(code="R604", name="validation-costly", severity="warning", reads=READS, check=check, page=__doc__)
