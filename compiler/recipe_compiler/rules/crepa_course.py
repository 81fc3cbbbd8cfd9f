"""The weight of CREPA has no sensible course over the run.

What it does: compares warm-up, decay and cut-off of `regularizers.crepa` with each other and with `train.max_steps`,
and finds a weight that is always 0.

Why it hurts: an alignment whose weight never comes up does nothing, and its teacher has looked at every clip. A decay that ends within the
warm-up takes the weight away in the step in which it is reached. (`decay_steps` is the step at which the decay ends, not
its length.)

Example:
    regularizers:
      crepa:
        enabled: true
        block_index: 2
        warmup_steps: 10

Use instead:
    regularizers:
      crepa:
        enabled: true
        block_index: 2
        warmup_steps: 2
"""

from collections.abc import Iterator

from recipe_compiler.rules.rule import Facts, Finding, Rule
from recipe_compiler.rules.wording import counted


CREPA, STEPS = "regularizers.crepa", "train.max_steps"
ENABLED, SCHEDULE, WEIGHT, END = (f"{CREPA}.{key}" for key in ("enabled", "schedule", "weight", "weight_end"))
WARMUP, DECAY, CUTOFF = (f"{CREPA}.{key}" for key in ("warmup_steps", "decay_steps", "cutoff_step"))


def check(facts: Facts) -> Iterator[Finding]:
    """Follow the weight over the run."""
    settings = facts.settings
    if not settings[ENABLED]:
        return
    falls = settings[SCHEDULE] != "constant"
    if settings.fine(WEIGHT, END) and settings[WEIGHT] == 0 and not (falls and settings[END] > 0):
        message = "`weight` is 0, so that nothing is aligned, after the teacher has looked at every clip"
        yield Finding(
            at=WEIGHT, message=message, help="set `enabled: false`, or a weight such as 0.5", severity="warning"
        )
        return
    yield from _within_itself(facts, falls=falls)
    yield from _within_the_run(facts, falls=falls)


def _within_itself(facts: Facts, *, falls: bool) -> Iterator[Finding]:
    warmup, decay, cutoff = (facts.settings[path] for path in (WARMUP, DECAY, CUTOFF))
    also = ((WARMUP, "warm-up"),)
    if falls and 0 < decay <= warmup:
        message = f"the weight's decay ends at step {decay}, and its warm-up at step {warmup}"
        advice = "`decay_steps` is the step at which the decay ends: make it larger, or leave it out for the last step"
        yield Finding(at=DECAY, message=message, help=advice, also=also)
    elif 0 < cutoff <= warmup:
        message = f"alignment ends at step {cutoff}, before its warm-up does at step {warmup}"
        yield Finding(at=CUTOFF, message=message, help="make the cut-off later, or the warm-up shorter", also=also)


def _within_the_run(facts: Facts, *, falls: bool) -> Iterator[Finding]:
    settings, steps = facts.settings, facts.settings[STEPS]
    if steps is None:
        return
    also = ((STEPS, "all of training"),)
    if settings[WARMUP] >= steps:
        message = f"the weight's warm-up takes {counted(settings[WARMUP], 'step')} and training only {steps}"
        yield Finding(at=WARMUP, message=message, help="make it shorter, or leave it out", also=also)
    elif falls and settings[DECAY] > steps:
        message = f"the weight comes to `weight_end` at step {settings[DECAY]}, and training has {steps}"
        advice = "leave decay_steps out: the decay then ends with training"
        yield Finding(at=DECAY, message=message, help=advice, also=also, severity="warning")
    if settings[CUTOFF] > steps:
        message = f"alignment ends at step {settings[CUTOFF]}, and training has {steps}"
        advice = "take a smaller step, or leave cutoff_step out"
        yield Finding(at=CUTOFF, message=message, help=advice, also=also, severity="warning")


RULE = Rule(
    code="R412",
    name="crepa-course",
    severity="error",
    reads=(ENABLED, SCHEDULE),
    check=check,
    page=__doc__,
)
