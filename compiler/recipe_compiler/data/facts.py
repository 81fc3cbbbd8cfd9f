"""What is known of the data, as frozen values. Nothing here opens a file."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

from recipe_schema.definition import generic
from recipe_schema.ledger import ClipRow
from recipe_schema.plan import Bucket, FirstImage
from recipe_schema.shares import shares_of


@dataclass(frozen=True, slots=True, kw_only=True)
class TableProblem:
    """Why a table of captions can't be used.

    Attributes:
        at: The setting that it is about.
        message: What was found and what was expected.
        help: What to do.
        fix: The text that belongs in place of the setting's value, where no doubt is left.
    """

    at: str
    message: str
    help: str
    fix: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class UnfitMask:
    """A mask that can't be used, or not as it is.

    Attributes:
        path: Its path below its data set's folder.
        reason: What is wrong with it.
        refused: It can't be used.
    """

    path: str
    reason: str
    refused: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class MasksFound:
    """The masks that one data set holds for another.

    Attributes:
        table: The data set of masks, as in ``data.datasets.1``.
        clips: The id of the data set of clips.
        files: How many masks there are.
        without_clip: Paths of those for which there is no clip, whatever became of it.
        also_clips: Paths of those that are found as clips too.
        unfit: Those of trained clips with which something is wrong.
    """

    table: str
    clips: str
    files: int
    without_clip: tuple[str, ...]
    also_clips: tuple[str, ...]
    unfit: tuple[UnfitMask, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Unfetched:
    """Why the folder of a data set that is fetched can't be taken as it is.

    Attributes:
        message: What was found and what was expected.
        help: What to do.
    """

    message: str
    help: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundImage:
    """A picture from which clips are to start.

    Attributes:
        problem: Why it can't be used, as in ``is empty``; empty if it can.
        width: As shown, in pixels.
        height: Likewise.
        image: What a plan says of it; None if it can't be used.
    """

    problem: str = ""
    width: int = 0
    height: int = 0
    image: FirstImage | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """What was found.

    Attributes:
        rows: One for each file, in order of data set and path.
        looked: The data sets that were looked at, as in ``data.datasets.0``. Those with wrong settings were not, nor
            those whose table of captions can't be used.
        missing: Paths of the data sets (``data.datasets.0``) whose folder does not exist or was not fetched to its end,
            each with the folder.
        unfetched: What is wrong with those that exist.
        buckets: The buckets that hold trained clips, in order of name.
        tables: The SHA-256 of each table of captions that was read.
        problems: What is wrong with tables of captions.
        several_lines: By the id of a data set, its used clips whose caption file has several lines, and how many.
        with_lists: The data sets whose folder has a list of clips that is not read.
        masks: What was found of masks, in order of data sets; empty without a masked loss.
        images: The pictures of `validation.images`, by the nicknames of their prompts.
    """

    rows: tuple[ClipRow, ...]
    looked: tuple[str, ...]
    missing: Mapping[str, Path]
    buckets: tuple[Bucket, ...]
    tables: Mapping[Path, str]
    problems: tuple[TableProblem, ...]
    several_lines: Mapping[str, Mapping[str, int]]
    unfetched: Mapping[str, Unfetched]
    with_lists: tuple[str, ...] = ()
    masks: tuple[MasksFound, ...] = ()
    images: Mapping[str, FoundImage] = field(default_factory=dict)

    def of(self, dataset: str) -> tuple[ClipRow, ...]:
        """Return the rows of one data set, by its id."""
        return tuple(row for row in self.rows if row.dataset == dataset)

    def trained(self) -> tuple[ClipRow, ...]:
        """Return the rows that are trained."""
        return tuple(row for row in self.rows if row.fate == "trained")


def data_folders(values: Mapping[str, Any], root: Path) -> Mapping[str, Path]:
    """Return the folder of each data set that has one, by the data set's id.

    Args:
        values: Settings by path.
        root: The folder at which relative paths start.
    """
    tables = [path.removesuffix(".id") for path in values if generic(path) == "data.datasets.*.id"]
    folders = {values[f"{table}.id"]: values[f"{table}.instance_data_dir"] for table in tables}
    return {name: root / folder for name, folder in folders.items() if folder is not None}


def epoch_shares(values: Mapping[str, Any], rows: Sequence[ClipRow]) -> Mapping[str, Fraction]:
    """Return the share of its samples that an epoch takes of each data set that is trained.

    Args:
        values: Settings by path.
        rows: The ledger.
    """
    tables = [path.removesuffix(".id") for path in values if generic(path) == "data.datasets.*.id"]
    probability = {values[f"{table}.id"]: values[f"{table}.probability"] for table in tables}
    trained = (row for row in rows if row.fate == "trained")
    return shares_of(trained, probability, uniform=values["data.sampling"] == "uniform")


def count_buckets(rows: tuple[ClipRow, ...]) -> tuple[Bucket, ...]:
    """Count the trained clips of each bucket, in order of the buckets' names."""
    buckets: dict[str, Bucket] = {}
    for row in rows:
        if row.fate == "trained":
            old = buckets.get(row.bucket) or Bucket(
                width=row.bucket_width, height=row.bucket_height, frames=row.bucket_frames, clips=0, samples=0
            )
            buckets[row.bucket] = replace(old, clips=old.clips + 1, samples=old.samples + row.samples)
    return tuple(buckets[name] for name in sorted(buckets))
