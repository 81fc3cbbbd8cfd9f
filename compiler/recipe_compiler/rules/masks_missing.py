"""The loss is to be masked, and there are no masks; or there are masks, and they don't count.

What it does: with `regularizers.masked_loss.enabled`, looks for a data set of `dataset_type: conditioning` and
`conditioning_type: mask` or `segmentation` that belongs to a trained one, by its `source_dataset_id` or the other's
`conditioning_data`. Masks that nothing reads, and settings with which they change nothing, are warnings.

Why it hurts: without masks the whole frame would be trained, background and all.

Example:
    regularizers:
      masked_loss:
        enabled: true

Use instead:
    regularizers:
      masked_loss:
        enabled: true
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

from collections.abc import Iterator

from recipe_compiler.rules.data_set_roles import ROLE_KEYS, TRAINED, ids, in_role
from recipe_compiler.rules.rule import Facts, Finding, Rule
from recipe_compiler.settings import Resolved


ENABLED, SHARE, BACKGROUND = (
    f"regularizers.masked_loss.{key}" for key in ("enabled", "probability", "background_weight")
)
KIND, MASKS, SOURCE = "conditioning_type", "conditioning_data", "source_dataset_id"


def check(facts: Facts) -> Iterator[Finding]:
    """Compare masks and what reads them."""
    settings = facts.settings
    trained, holders = in_role(settings, *TRAINED), in_role(settings, "conditioning")
    if not trained or _unpaired(settings, holders):
        return  # something was said
    named = _named(settings, trained)
    masks = [t for t in holders if settings[f"{t}.id"] in named or settings[f"{t}.{SOURCE}"] in ids(settings, trained)]
    if settings[ENABLED] and not masks:
        yield Finding(
            at=ENABLED,
            message="`masked_loss.enabled` is true, and no trained data set has masks",
            help="set `source_dataset_id` in the data set of masks to the id of the clips'"
            if holders
            else "add a data set with `dataset_type: conditioning`, `conditioning_type: mask` and `source_dataset_id`",
            severity="error",
        )
    elif settings[ENABLED]:
        yield from _idle(settings)
    elif masks:
        yield Finding(
            at=f"{masks[0]}.{KIND}",
            message=f"the masks of data set `{settings[f'{masks[0]}.id']}` have no effect: `masked_loss.enabled` is false",
            help="set `regularizers.masked_loss.enabled: true`, or take the data set out",
            also=((ENABLED, "off"),),
        )


def _unpaired(settings: Resolved, holders: tuple[str, ...]) -> bool:
    """Say whether masks are unfinished, or names lead nowhere."""
    clips = in_role(settings, *TRAINED, "eval")
    owners = {settings[f"{table}.{SOURCE}"] for table in holders} - {None}
    unknown = owners - set(ids(settings, clips)) or _named(settings, clips) - set(ids(settings, holders))
    return bool(unknown) or any(settings[f"{table}.{KIND}"] is None for table in holders)


def _named(settings: Resolved, clips: tuple[str, ...]) -> set[str]:
    """Return the ids of the masks that data sets of clips name."""
    return {name for table in clips for name in settings[f"{table}.{MASKS}"] or ()}


def _idle(settings: Resolved) -> Iterator[Finding]:
    if settings[BACKGROUND] == 1:
        message = "masks have no effect: with `background_weight: 1` the background counts as much as the rest"
        yield Finding(at=BACKGROUND, message=message, help="take a smaller weight: 0 leaves the background out")
    elif settings[SHARE] == 0:
        message = "masks have no effect: with `probability: 0` no sample uses its own"
        yield Finding(at=SHARE, message=message, help="leave it out: all samples then do")


RULE = Rule(
    code="R415",
    name="masks-missing",
    severity="warning",
    reads=(ENABLED, SHARE, BACKGROUND, *ROLE_KEYS, *(f"data.datasets.*.{key}" for key in (KIND, MASKS, SOURCE))),
    check=check,
    page=__doc__,
)
