"""An interval is longer than training.

What it does: compares intervals of validation, evaluation, further checkpoints and images with `train.max_steps`, or
with `train.num_epochs` if they count epochs.

Why it hurts: what was to happen on the way never happens.

Example:
    validation:
      prompt: a bar moves
      step_interval: 1000

Use instead:
    validation:
      prompt: a bar moves
      step_interval: 10
"""

from collections.abc import Iterator
from typing import NamedTuple

from recipe_compiler.rules.rule import Facts, Finding, Rule
from recipe_compiler.rules.wording import counted
from recipe_compiler.settings import Resolved


STEPS, EPOCHS = "train.max_steps", "train.num_epochs"


class Row(NamedTuple):
    """An interval.

    Attributes:
        path: Its key.
        length: What it is compared with.
        missed: What then does not happen.
        at_once: Whether as long as training is too long already.
        only_if: Settings of which one must be on for the interval to matter.
    """

    path: str
    length: str
    missed: str
    at_once: bool = False
    only_if: tuple[str, ...] = ()


PROMPTS = ("validation.prompt", "validation.prompt_library")
DRAWN = "clips are drawn at the end only"
ROWS = (
    Row("validation.step_interval", STEPS, DRAWN, only_if=PROMPTS),
    Row("validation.epoch_interval", EPOCHS, DRAWN, only_if=PROMPTS),
    Row("validation.after_step", STEPS, DRAWN, at_once=True, only_if=PROMPTS),
    Row("evaluation.step_interval", STEPS, "the loss is never measured"),
    Row("evaluation.epoch_interval", EPOCHS, "the loss is never measured"),
    Row("checkpoints.rolling_steps", STEPS, "none of these checkpoints is saved"),
    Row("checkpoints.epoch_interval", EPOCHS, "none of these checkpoints is saved"),
    Row("data.image_interval", STEPS, "no step trains images"),
)


def check(facts: Facts) -> Iterator[Finding]:
    """Compare intervals with the length of training."""
    settings = facts.settings
    for row in ROWS:
        if not settings.fine(row.path, row.length, *row.only_if) or not _is_longer(settings, row):
            continue
        name, unit = row.path.rpartition(".")[2], "step" if row.length == STEPS else "epoch"
        yield Finding(
            at=row.path,
            message=f"`{name}` is {settings[row.path]:g}, and training takes {counted(settings[row.length], unit)}: {row.missed}",
            help="take a smaller number, or leave it out",
            also=((row.length, "all of training"),),
        )


def _is_longer(settings: Resolved, row: Row) -> bool:
    interval, length = settings[row.path], settings[row.length]
    if interval is None or length is None or (row.only_if and not any(settings[path] for path in row.only_if)):
        return False
    return bool(interval > length or (row.at_once and interval == length))


RULE = Rule(code="R418", name="interval-beyond-run", severity="warning", reads=(), check=check, page=__doc__)
