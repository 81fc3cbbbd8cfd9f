"""A value is far from any that is known to work.

What it does: compares given values with a table of plausible ones: constants of the optimizer, probabilities, rates,
batch and guidance. Where a digit or the sign of an exponent is the likely slip, it says what may be meant. `beta2`
below `beta1` counts too: they are swapped.

Why it hurts: such a value is legal, training starts with it, and only a bad result tells, hours later.

Example:
    optimizer:
      eps: 1e8

Use instead:
    optimizer:
      eps: 1e-8
"""

import math
from collections.abc import Callable, Iterator
from typing import NamedTuple

from recipe_compiler.rules.rule import Facts, Finding, Rule
from recipe_compiler.settings import Resolved


class Range(NamedTuple):
    """What is plausible for a key.

    Attributes:
        path: The key.
        least: The smallest plausible value. 0 is always left alone: it turns things off.
        most: The largest.
        usual: Values that people mean, the most likely first.
        hint: What is usual, in words.
        only_if: Says whether the key matters as it usually does.
    """

    path: str
    least: float
    most: float
    usual: tuple[float, ...]
    hint: str
    only_if: Callable[[Resolved], bool] | None = None


def _averages_a_long_run(settings: Resolved) -> bool:
    """Say whether there is an average, and time for a long memory: a run of some steps needs a short one."""
    steps = settings["train.max_steps"]
    return bool(settings["ema.enabled"]) and (steps is None or steps >= LONG)


LONG = 100
BETA1, BETA2 = "optimizer.beta1", "optimizer.beta2"
RANGES = (
    Range("optimizer.learning_rate", 1e-8, 1.0, (5e-5,), "1e-6 to 1e-4 are usual"),  # above: R406
    Range(BETA1, 0.5, 0.9999, (0.9, 0.95), "0.9 is usual"),
    Range(BETA2, 0.5, 0.99999, (0.999, 0.99, 0.95), "0.999 is usual"),
    Range("optimizer.eps", 0.0, 1e-3, (1e-8, 1e-10, 1e-6), "1e-10 to 1e-6 are usual"),
    Range("optimizer.weight_decay", 0.0, 1.0, (0.01, 0.1), "0 to 0.1 are usual"),
    Range("ema.decay", 0.9, 1.0, (0.999, 0.9999), "0.98 to 0.9999 are usual", _averages_a_long_run),
    Range(
        "lr_schedule.power",
        0.1,
        10.0,
        (),
        "0.5 to 3 are usual",
        lambda settings: settings["lr_schedule.name"] == "polynomial",
    ),
    Range("train.batch_size", 1, 64, (), "1 to 8 fit on one GPU; gradient_accumulation_steps makes a step larger"),
    Range("train.gradient_accumulation_steps", 1, 1024, (), "1 to 64 are usual"),
    Range("train.caption_dropout_probability", 0.0, 0.5, (0.1, 0.05), "0.05 to 0.2 are usual"),
    Range("train.max_grad_norm", 0.0, 100.0, (), "0.1 to 1 are usual, and 0 turns clipping off"),
    Range("train.noise_offset", 0.0, 0.3, (0.05, 0.1), "0.02 to 0.1 are usual"),
    Range("train.input_perturbation", 0.0, 0.5, (0.1,), "0.1 is usual"),
    Range("train.snr_gamma", 0.5, 50.0, (5.0,), "5 is usual"),
    Range("data.framerate", 4.0, 60.0, (16.0, 24.0), "the model was trained at 16"),
    Range("validation.framerate", 4.0, 60.0, (16.0, 24.0), "data.framerate is usual"),
    Range("validation.guidance", 1.0, 20.0, (6.0, 4.5, 5.0), "4 to 8 are usual"),
    Range(
        "validation.num_inference_steps",
        10,
        250,
        (50, 30, 20),
        "20 to 50 are usual",
        lambda settings: settings["model.random_weights"] is None,
    ),
    Range(
        "model.lora.dropout",
        0.0,
        0.5,
        (0.05, 0.1),
        "0 to 0.1 are usual",
        lambda settings: settings["model.type"] == "lora",
    ),
    Range(
        "regularizers.crepa.weight",
        0.0,
        5.0,
        (0.5, 1.0),
        "0.5 is usual",
        lambda settings: settings["regularizers.crepa.enabled"],
    ),
    Range("regularizers.rollout.max_step_offset", 0, 200, (), "each timestep costs a forward pass of each sample"),
)


_FARTHEST = 30
"""Powers of ten beyond which an exponent's sign is no slip."""


def check(facts: Facts) -> Iterator[Finding]:
    """Compare values with the table, and the betas with each other."""
    settings = facts.settings
    odd = [row for row in RANGES if _is_found(settings, row)]
    for row in odd:
        yield _finding(settings[row.path], row)
    betas = settings.fine(BETA1, BETA2) and (settings.given(BETA1) or settings.given(BETA2))
    if betas and settings[BETA2] < settings[BETA1] and not {row.path for row in odd} & {BETA1, BETA2}:
        at, other = (BETA2, BETA1) if settings.given(BETA2) else (BETA1, BETA2)
        yield Finding(
            at=at,
            message=f"`beta2` is {settings[BETA2]:g}, less than `beta1`, {settings[BETA1]:g}",
            help="the mean of squares is to remember longer than the mean: 0.9 and 0.999 are usual; are they swapped?",
            also=((other, "the other"),),
        )


def implausible(settings: Resolved, path: str) -> bool:
    """Say whether this rule finds fault with a key, so that others need not rest on its value."""
    return any(row.path == path and _is_found(settings, row) for row in RANGES)


def _is_found(settings: Resolved, row: Range) -> bool:
    return _counts(settings, row) and _is_odd(settings[row.path], row)


def _counts(settings: Resolved, row: Range) -> bool:
    if not settings.fine(row.path) or not settings.given(row.path):
        return False
    return row.only_if is None or row.only_if(settings)


def _is_odd(value: float | None, row: Range) -> bool:
    return value is not None and value != 0 and not row.least <= value <= row.most


def _finding(value: float, row: Range) -> Finding:
    meant = _meant(value, row)
    limit = f"less than {row.least:g}" if value < row.least else f"more than {row.most:g}"
    return Finding(
        at=row.path,
        message=f"`{row.path}` is {value:g}, and {limit} is hardly ever meant",
        help=row.hint if meant is None else f"did you mean `{meant}`? {row.hint[0].upper()}{row.hint[1:]}",
        fix=meant,
    )


def _meant(value: float, row: Range) -> str | None:
    """Return a usual value that is one or two powers of ten away, or a plausible one with the exponent's other sign."""
    for usual in row.usual:
        if any(math.isclose(value * 10.0**power, usual) for power in (-2, -1, 1, 2)):
            return f"{usual:g}"
    exponent = math.floor(math.log10(value))
    if abs(exponent) > _FARTHEST:
        return None
    flipped = value / 10.0 ** (2 * exponent)
    near = any(usual / 100 <= flipped <= usual * 100 for usual in row.usual)
    return f"{flipped:g}" if near and row.least <= flipped <= row.most else None


RULE = Rule(code="R410", name="value-implausible", severity="warning", reads=(), check=check, page=__doc__)
