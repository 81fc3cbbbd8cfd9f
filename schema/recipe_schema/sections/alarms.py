"""What a run looks out for while it trains."""

from typing import Annotated, Literal

from recipe_schema.marks import Ge, Gt, Le, key
from recipe_schema.section import section


@section
class Alarms:
    """What a run looks out for while it trains: a loss that leaps, and a step that does not end."""

    loss_spike_factor: Annotated[float, Gt(1)] | None = key(
        None,
        "Warn when a step's loss is more than so many times the median of the steps before it; null never warns. 5 to 10 is "
        "usual, as a single loss varies with its noise level.",
        impact="runtime",
        reads=("train",),
    )
    loss_spike_window: Annotated[int, Ge(5), Le(100_000)] = key(
        100,
        "How many steps that median is over. No alarm comes before half of them are done.",
        unit="steps",
        impact="runtime",
        reads=("train",),
    )
    step_timeout: Annotated[float, Gt(0)] | None = key(
        None,
        "A step that takes longer counts as hung: the stacks of all threads are written to hang-STEP.txt. null waits for "
        "ever. Reading a step's data counts; saving, measuring and drawing do not.",
        unit="seconds",
        impact="runtime",
        reads=("train",),
    )
    on_hang: Literal["stop", "warn"] = key(
        "stop",
        "After a hung step: end the process with exit code 4, so that whoever watches it can start it again, or only warn.",
        impact="runtime",
        reads=("train",),
    )
