"""Clips and masks that have no counterpart.

What it does: with `regularizers.masked_loss.enabled`, pairs the files of data sets of `conditioning_type: mask` or
`segmentation` with clips: `masks/a/b.png` is for `clips/a/b.mp4`. Clips without a mask and masks without a clip are
warnings. That no mask at all finds its clip, and masks that would be trained as clips, are errors.

Why it hurts: a clip without a mask counts everywhere, with the background that the others leave out. Names that
differ by a letter look like a mask that is missing.

Example:
    regularizers:
      masked_loss:
        enabled: true
    data:
      datasets:
        - id: clips
          instance_data_dir: clips
          conditioning_data: masks
        - id: masks
          instance_data_dir: mixed
          dataset_type: conditioning
          conditioning_type: mask

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

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from recipe_compiler.rules.rule import Facts, Finding, Rule
from recipe_compiler.rules.wording import SHOWN


if TYPE_CHECKING:  # plan and ledger cost more to load than a lint without data takes
    from recipe_compiler.data.facts import MasksFound


def check(facts: Facts) -> Iterator[Finding]:
    """Compare clips and masks, one finding for each thing that is wrong with a pair of data sets."""
    assert facts.survey is not None
    names = dict.fromkeys(found.clips for found in facts.survey.masks)
    for name in names:
        several = [found for found in facts.survey.masks if found.clips == name]
        yield from _of(facts, name, several)


def _of(facts: Facts, name: str, several: "Sequence[MasksFound]") -> Iterator[Finding]:
    """Look at one data set of clips and all masks for it."""
    assert facts.survey is not None
    trained = [row for row in facts.survey.of(name) if row.fate == "trained"]
    unmasked = [row.path for row in trained if not row.mask_sha256]
    table, owner = several[0].table, facts.settings[f"{several[0].table}.id"]
    also = [path for found in several for path in found.also_clips]
    refused = any(mask.refused for found in several for mask in found.unfit)
    if also:
        yield Finding(
            at=f"{table}.instance_data_dir",
            message=f"{len(also)} masks of data set `{owner}` lie in a folder of clips and would be trained: {_some(also)}",
            help="move the masks out of it; pictures may stay, as they are never taken for clips",
            severity="error",
        )
    elif trained and len(unmasked) == len(trained) and not refused:
        count = sum(found.files for found in several)
        yield Finding(
            at=f"{table}.instance_data_dir",
            message=f"no clip of data set `{name}` has a mask: "
            + (f"none of the {count} files of `{owner}` has a clip's name" if count else f"`{owner}` holds no mask"),
            help=f"masks are pictures or videos named as their clips, as in `{_wanted(unmasked[0])}`",
            severity="error",
        )
    else:
        yield from _some_alone(several, name, [] if refused else unmasked, len(trained), owner)


def _some_alone(
    several: "Sequence[MasksFound]", name: str, unmasked: Sequence[str], trained: int, owner: str
) -> Iterator[Finding]:
    if unmasked:
        yield Finding(
            at=f"{several[0].table}.conditioning_type",
            message=f"{len(unmasked)} of {trained} clips of data set `{name}` have no mask and count everywhere: "
            f"{_some(unmasked)}",
            help=f"add masks such as `{_wanted(unmasked[0])}` to data set `{owner}`",
        )
    for found in several:
        if found.without_clip:
            yield Finding(
                at=f"{found.table}.conditioning_type",
                message=f"{len(found.without_clip)} of {found.files} masks have no clip in data set `{name}`: "
                f"{_some(found.without_clip)}",
                help="name a mask as its clip but for the ending, or take it out",
            )


def _wanted(path: str) -> str:
    return path.rpartition(".")[0] + ".png"


def _some(paths: Sequence[str]) -> str:
    rest = len(paths) - SHOWN
    return ", ".join(f"`{path}`" for path in paths[:SHOWN]) + (f" and {rest} more" if rest > 0 else "")


RULE = Rule(code="R360", name="clips-without-masks", severity="warning", reads=(), check=check, page=__doc__)
