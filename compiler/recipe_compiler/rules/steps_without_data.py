"""There are steps for which no data set is left, by the epochs that data sets are used in.

What it does: goes through the whole run with the clips that were found, and looks for steps at which each data set has
ended (`end_epoch`, `end_step`) or has not begun (`start_epoch`, `start_step`).

Why it hurts: training would stop there. An epoch passes with the samples of data sets in use alone, so that one that waits
for a later epoch waits for ever if nothing else is left.

Example:
    data:
      datasets:
        - id: clips
          instance_data_dir: clips
          end_epoch: 1
          video:
            num_frames: 9

Use instead:
    data:
      datasets:
        - id: clips
          instance_data_dir: clips
          video:
            num_frames: 9
"""

from collections.abc import Iterator

from recipe_compiler.data.course import IdleStepsError, course
from recipe_compiler.rules.data_set_roles import ROLE_KEYS, TRAINED, in_role
from recipe_compiler.rules.data_set_times import EPOCHS, KEYS, STEPS, steps_add_up
from recipe_compiler.rules.data_sets import all_in_sight, told
from recipe_compiler.rules.rule import Facts, Finding, Rule
from recipe_compiler.rules.wording import lacks_captions


_SIZES = ("train.batch_size", "train.gradient_accumulation_steps", "launch.processes", "launch.machines")


def check(facts: Facts) -> Iterator[Finding]:
    """Go through the run, unless it is plain from the steps alone that it has an end or a gap."""
    assert facts.survey is not None
    settings, trained = facts.settings, facts.survey.trained()
    tables = in_role(settings, *TRAINED)
    epochs = [path for table in tables for key in KEYS if "epoch" in key and told(settings, path := f"{table}.{key}")]
    if not epochs or not trained or not all_in_sight(settings, facts.survey.looked) or not steps_add_up(settings):
        return
    if settings[STEPS] is None and settings[EPOCHS] is None:
        return  # another rule asks for one of them
    if any(lacks_captions(facts, table) for table in facts.survey.looked):
        return  # there will be more samples once something else is put right
    try:
        course(settings.values(), trained)
    except IdleStepsError as idle:
        length = STEPS if settings[STEPS] is not None else EPOCHS
        ends = [path for path in epochs if path.endswith("end_epoch")]
        yield Finding(
            at=max(ends, key=settings.__getitem__) if ends else epochs[0],
            message=f"no data set is used at step {idle.step}, which is in epoch {idle.epoch}, and `{length}` is "
            f"{settings[length]}",
            help="leave the end of one data set out, let another begin earlier, or train less",
            also=((length, "all of training"),),
        )


RULE = Rule(
    code="R345",
    name="steps-without-data",
    severity="error",
    reads=(
        STEPS,
        EPOCHS,
        *_SIZES,
        *ROLE_KEYS,
        "data.image_interval",
        *(f"data.datasets.*.{key}" for key in ("train_batch_size", "probability", *KEYS)),
    ),
    check=check,
    page=__doc__,
)
