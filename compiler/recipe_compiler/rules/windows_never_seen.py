"""More random windows are encoded than training has a look at.

What it does: for each data set with `video.window: random`, compares the windows of a clip, `video.max_windows` at most,
with how often training sees a clip: epochs × (`repeats` + 1) × the share that an epoch takes of the data set.

Why it hurts: each window costs encoding time and disk like a clip of its own, and those beyond are never used.

Example:
    data:
      datasets:
        - id: clips
          instance_data_dir: clips
          video:
            num_frames: 9
            window: random
            max_windows: 20

Use instead:
    data:
      datasets:
        - id: clips
          instance_data_dir: clips
          video:
            num_frames: 9
            window: random
            max_windows: 2
"""

import math
from collections.abc import Iterator
from fractions import Fraction

from recipe_compiler.rules.data_sets import DATA_SETS, all_in_sight
from recipe_compiler.rules.rule import Facts, Finding, Rule
from recipe_compiler.rules.windows import MOST
from recipe_compiler.rules.wording import counted


STEPS, EPOCHS = "train.max_steps", "train.num_epochs"
STEP = ("train.batch_size", "train.gradient_accumulation_steps", "launch.processes", "launch.machines")
SHARES = ("data.sampling", f"{DATA_SETS}.*.probability", f"{DATA_SETS}.*.repeats")


def check(facts: Facts) -> Iterator[Finding]:
    """Compare windows with looks, once all samples of an epoch are known."""
    # Only where windows are drawn is there something to count.
    from recipe_compiler.data.facts import epoch_shares  # noqa: PLC0415

    assert facts.survey is not None
    settings, trained = facts.settings, facts.survey.trained()
    if not any(row.drawn for row in trained) or not all_in_sight(settings, facts.survey.looked):
        return
    shares = epoch_shares(settings.values(), trained)
    epochs = _epochs(facts, sum((row.samples * shares[row.dataset] for row in trained), Fraction(0)))
    if epochs is None:
        return  # the length is not given, and another rule says so
    for table in facts.survey.looked:
        name = settings[f"{table}.id"]
        windows = max((len(row.starts) for row in trained if row.dataset == name and row.drawn), default=1)
        looks = epochs * (settings[f"{table}.repeats"] + 1) * shares.get(name, 0)
        enough = max(math.ceil(looks), 1)
        if enough < windows:
            yield Finding(
                at=f"{table}.{MOST}" if settings.given(f"{table}.{MOST}") else f"{table}.video.window",
                message=(
                    f"up to {counted(windows, 'window')} of each clip of data set `{name}` are encoded, and training sees a "
                    f"clip {counted(float(looks), 'time')}"
                ),
                help=(f"set `max_windows: {enough}`" if enough > 1 else "take `window: middle`") + ", or train longer",
                also=tuple((path, "counted here") for path in (STEPS, EPOCHS) if settings.given(path)),
            )


def _epochs(facts: Facts, samples: Fraction) -> Fraction | None:
    """Return how many epochs training takes."""
    settings = facts.settings
    if settings[STEPS] is None:
        return None if settings[EPOCHS] is None else Fraction(settings[EPOCHS])
    seen: int = settings[STEPS] * math.prod(settings[path] for path in STEP)
    return seen / samples


RULE = Rule(
    code="R339",
    name="windows-never-seen",
    severity="warning",
    reads=(STEPS, EPOCHS, *STEP, *SHARES),
    check=check,
    page=__doc__,
)
