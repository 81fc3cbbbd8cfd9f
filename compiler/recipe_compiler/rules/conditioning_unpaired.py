"""Masks that don't find their clips.

What it does: checks that `conditioning_data` names data sets in use of `dataset_type: conditioning`, that
`source_dataset_id` names one of clips, and that each data set of `dataset_type: conditioning` has a `conditioning_type`
and a data set that it belongs to.

Why it hurts: without their masks, clips would be trained whole, as if nobody had drawn them.

Example:
    data:
      datasets:
        - id: clips
          instance_data_dir: clips
          conditioning_data: mask
        - id: masks
          instance_data_dir: masks
          dataset_type: conditioning
          conditioning_type: mask
          source_dataset_id: clips

Use instead:
    data:
      datasets:
        - id: clips
          instance_data_dir: clips
          conditioning_data: masks
        - id: masks
          instance_data_dir: masks
          dataset_type: conditioning
          conditioning_type: mask
"""

from collections.abc import Iterator, Mapping

from recipe_compiler.rules.data_sets import DATA_SETS, in_use
from recipe_compiler.rules.rule import Facts, Finding, Rule
from recipe_compiler.settings import CACHES, Resolved
from recipe_compiler.suggest import near


KIND, MASKS, SOURCE = "conditioning_type", "conditioning_data", "source_dataset_id"


def check(facts: Facts) -> Iterator[Finding]:
    """Check both sides of each pair."""
    settings = facts.settings
    tables = settings.tables(DATA_SETS)
    if not settings.fine(*(f"{table}.{key}" for table in tables for key in ("id", "dataset_type", "disabled"))):
        return
    by_id = {settings[f"{table}.id"]: table for table in tables}
    for table in in_use(settings, MASKS):
        for index, name in enumerate(settings[f"{table}.{MASKS}"] or ()):
            yield from _named(settings, by_id, f"{table}.{MASKS}.{index}", name, masks=True)
    for table in in_use(settings, KIND, SOURCE):
        name = settings[f"{table}.{SOURCE}"]
        if name is not None:
            yield from _named(settings, by_id, f"{table}.{SOURCE}", name, masks=False)
        yield from _own(settings, table)
    yield from _alone(settings)


def _named(settings: Resolved, by_id: Mapping[str, str], at: str, name: str, *, masks: bool) -> Iterator[Finding]:
    """Check the data set that another one names: one of masks, or one of clips."""
    table = by_id.get(name)
    key = MASKS if masks else SOURCE
    if table is None:
        meant = near(name, by_id)
        yield Finding(
            at=at,
            message=f"`{key}` names `{name}`, and no data set has this id",
            help=f"did you mean `{meant}`?" if meant else "there are " + ", ".join(f"`{known}`" for known in by_id),
            fix=meant,
        )
        return
    kind = settings[f"{table}.dataset_type"]
    if settings[f"{table}.disabled"]:
        message, advice = f"`{key}` names `{name}`, which is disabled", "take `disabled` out there"
        yield Finding(at=at, message=message, help=advice, also=((f"{table}.disabled", "disabled here"),))
    elif masks and kind != "conditioning":
        message = f"`{key}` names `{name}`, which is of `dataset_type: {kind}`"
        advice = "set `dataset_type: conditioning` there, or name the data set of masks"
        yield Finding(at=at, message=message, help=advice, also=((f"{table}.id", "this one"),))
    elif not masks and kind in ("conditioning", *CACHES):
        message = f"`{key}` names `{name}`, which is of `dataset_type: {kind}` and has no clips to train"
        yield Finding(at=at, message=message, help="name the data set of clips", also=((f"{table}.id", "this one"),))


def _own(settings: Resolved, table: str) -> Iterator[Finding]:
    """Check what a data set says of itself."""
    kind = settings[f"{table}.dataset_type"]
    idle = [key for key in (KIND, SOURCE) if settings[f"{table}.{key}"] is not None]
    if kind == "conditioning" and settings[f"{table}.{KIND}"] is None:
        message = f"`dataset_type: conditioning` needs a `{KIND}`"
        yield Finding(at=f"{table}.dataset_type", message=message, help=f"add `{KIND}: mask` or `segmentation`")
    if kind != "conditioning" and idle:
        keys = " and ".join(f"`{key}`" for key in idle)
        yield Finding(
            at=f"{table}.{idle[0]}",
            message=f"{keys} without effect: the data set is of `dataset_type: {kind}`",
            help="set `dataset_type: conditioning`, or leave it out",
            severity="warning",
        )


def _alone(settings: Resolved) -> Iterator[Finding]:
    """Find masks that belong to nothing."""
    tables = settings.tables(DATA_SETS)
    if not settings.fine(*(f"{table}.{key}" for table in tables for key in (MASKS, SOURCE))):
        return
    named = {name for table in in_use(settings) for name in settings[f"{table}.{MASKS}"] or ()}
    dangling = any(name not in {settings[f"{table}.id"] for table in tables} for name in named)
    for table in in_use(settings):
        belongs = settings[f"{table}.{SOURCE}"] is not None or settings[f"{table}.id"] in named
        if settings[f"{table}.dataset_type"] == "conditioning" and not belongs and not dangling:
            yield Finding(
                at=f"{table}.dataset_type",
                message=f"no data set names `{settings[f'{table}.id']}` in its `{MASKS}`",
                help=f"add `{MASKS}: {settings[f'{table}.id']}` to the data set of the clips, or `{SOURCE}` here",
                severity="warning",
            )


RULE = Rule(code="R327", name="conditioning-unpaired", severity="error", reads=(), check=check, page=__doc__)
