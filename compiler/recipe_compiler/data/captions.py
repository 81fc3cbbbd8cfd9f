"""Where the captions of a clip come from."""

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from recipe_compiler.data.caption_orders import Shuffle, other_orders
from recipe_compiler.settings import Resolved


if TYPE_CHECKING:  # most data sets have no table
    from recipe_compiler.data.caption_table import CaptionTable
    from recipe_compiler.data.manifest import ManifestCaptions
    from recipe_compiler.data.table import Layout, TableRow


TABLES: Mapping[str, str] = {"parquet": "parquet.path", "csv": "csv_file"}
"""The key of the data set that names the table, by the values of ``caption_strategy`` that read one."""

COLUMNS: Mapping[str, str] = {
    "parquet": "parquet.caption_column",
    "csv": "csv_caption_column",
    "huggingface": "huggingface.caption_column",
}
"""The key of the data set that names the columns of captions, likewise."""

WEIGHTS: Mapping[str, str] = {"parquet": "parquet.caption_weight_column", "csv": "csv_caption_weight_column"}
"""The key of the data set that names the column of weights, likewise."""

LISTS = "lists"
"""The value of ``caption_strategy`` that reads two lists in the data folder."""

FETCHED = ("csv", "huggingface")
"""Types of data sets whose table names both clips and captions: ``caption_strategy`` may be the same word."""


class Captions(NamedTuple):
    """The captions of a clip.

    Attributes:
        texts: Each once.
        shares: In which share of samples each is drawn; empty where all are drawn alike.
    """

    texts: tuple[str, ...]
    shares: tuple[float, ...]


class Lines(NamedTuple):
    """The captions of a clip as they were found.

    Attributes:
        texts: In their order.
        weights: How often each is drawn; None where all are drawn alike.
    """

    texts: tuple[str, ...]
    weights: tuple[float, ...] | None = None


class CaptionError(Exception):
    """A clip gets no caption, for a reason that is worth a word."""


def caption_source(settings: Resolved, table: str) -> str:
    """Return the ``caption_strategy`` that a data set comes down to.

    It is ``fetched`` where `recipe fetch` reads captions and writes them beside the clips.
    """
    if settings[f"{table}.only_instance_prompt"]:
        return "instanceprompt"
    strategy = str(settings[f"{table}.caption_strategy"])
    return "fetched" if strategy == settings[f"{table}.type"] and strategy in FETCHED else strategy


def caption_columns(settings: Resolved, table: str) -> tuple[str, tuple[str, ...]] | None:
    """Return the key that names the columns of a data set's captions, and the columns; None if they are in no table."""
    key = COLUMNS.get(
        "instanceprompt" if settings[f"{table}.only_instance_prompt"] else settings[f"{table}.caption_strategy"]
    )
    return None if key is None else (f"{table}.{key}", tuple(settings[f"{table}.{key}"]))


def weight_column(settings: Resolved, table: str) -> tuple[str, str] | None:
    """Return the key that names the column of a data set's weights, and the column; None where none is read."""
    key = WEIGHTS.get(settings[f"{table}.caption_strategy"])
    if key is None or settings[f"{table}.only_instance_prompt"] or settings[f"{table}.multiline"] != "split":
        return None
    column = settings[f"{table}.{key}"]
    return None if column is None else (f"{table}.{key}", column)


def prompt_reader(settings: Resolved, table: str) -> str | None:
    """Return the key of a data set that uses its instance prompt; None if nothing does."""
    if settings[f"{table}.caption_strategy"] == "instanceprompt":
        return "caption_strategy"
    asks = (key for key in ("only_instance_prompt", "prepend_instance_prompt") if settings[f"{table}.{key}"])
    return next(asks, None)


def one_line(text: str) -> str:
    """Join the lines of a caption."""
    return " ".join(lines_of(text))


def lines_of(text: str) -> tuple[str, ...]:
    """Return the lines of a text that say something."""
    return tuple(line.strip() for line in text.splitlines() if line.strip())


def _text(clip: Path) -> str:
    """Return the text of the caption file beside a clip; empty if there is none."""
    file = f"{os.path.splitext(clip)[0]}.txt"  # a survey does this for every clip, and paths are slow
    try:
        with open(file, encoding="utf-8-sig") as opened:
            text = opened.read()
    except FileNotFoundError:
        return ""
    except UnicodeDecodeError as error:
        place = f"byte {error.start + 1} is no part of it"
        raise CaptionError(f"`{os.path.basename(file)}` is not UTF-8: {place}; save it anew") from None
    except OSError as error:
        raise CaptionError(f"`{os.path.basename(file)}` can't be read: {error.strerror}") from None
    if "\0" in text:  # of letters in UTF-16, every other byte
        raise CaptionError(
            f"`{os.path.basename(file)}` holds the character U+0000: it is no text, or not UTF-8; save it anew"
        )
    return text


def caption_file(clip: Path) -> tuple[str, ...]:
    """Return the lines of the caption file beside a clip; none if there is no such file.

    Raises:
        CaptionError: It can't be read.
    """
    return lines_of(_text(clip))


def _each_line(clip: Path) -> tuple[str, ...]:
    lines = caption_file(clip)
    if not lines:
        raise CaptionError(f"`{clip.with_suffix('.txt').name}` is missing or empty")
    return lines


def _from_filename(clip: Path) -> str:
    caption = " ".join(clip.stem.replace("_", " ").replace("-", " ").split())
    if not caption:
        raise CaptionError("no caption")
    return caption


def captioner(
    settings: Resolved, table: str, captions: "CaptionTable | ManifestCaptions | None", several: dict[Path, int]
) -> Callable[[Path], Captions]:
    """Return what gives each clip of a data set its captions, or raises `CaptionError`.

    Args:
        settings: Resolved settings.
        table: The data set.
        captions: Its table of captions; None where it has none.
        several: Takes the clips that have several captions, in a file or in a row, and how many.
    """
    prompt = (settings[f"{table}.instance_prompt"] or "").strip()
    source = caption_source(settings, table)
    begin = f"{prompt} " if source != "instanceprompt" and settings[f"{table}.prepend_instance_prompt"] else ""
    splits, orders = settings[f"{table}.multiline"] == "split", _shuffle(settings, table)
    weights = settings[f"{table}.caption_weights"] if splits else None
    weights = weights if weights is not None and any(weights) else None

    def found(clip: Path) -> Lines:
        if captions is not None:
            rows = captions.rows_of(clip)
            counts = [len(row.captions) for row in rows if len(row.texts) > 1]
            if counts:  # where numbers don't fit, rule R347 speaks, and so has to see that row
                several[clip] = next((n for n in counts if weights is not None and n != len(weights)), counts[0])
            return _of_rows(rows, weights, captions.layout) if splits else Lines((" ".join(rows[0].texts),))
        if source not in ("textfile", "fetched"):
            return Lines((_READERS[source](clip) if source in _READERS else prompt,))
        lines = _each_line(clip)
        if len(lines) > 1:
            several[clip] = len(lines)
        if not splits:
            return Lines((" ".join(lines),))
        return Lines(lines, weights if weights is not None and len(lines) == len(weights) else None)

    def captions_of(clip: Path) -> Captions:
        lines = found(clip)
        each = [(caption,) if orders is None else other_orders(caption, orders) for caption in lines.texts]
        return _weighted([[begin + text for text in texts] for texts in each], lines.weights)

    return captions_of


def _of_rows(rows: "Sequence[TableRow]", weights: Sequence[float] | None, layout: "Layout") -> Lines:
    """Return all captions of a clip's rows. First a row is drawn, then one of its captions.

    Args:
        rows: The rows, each with some caption.
        weights: Of the columns, or of the texts of a field, some above 0; None where they are alike.
        layout: Of their table.

    Raises:
        CaptionError: All of them are left out by a weight of 0.
    """
    texts = tuple(text for row in rows for text in row.texts)
    if weights is None and layout.weight is None:
        return Lines(texts)
    drawn = tuple(weight for row in rows for weight in _in_row(row, weights))
    if not any(drawn):
        where = layout.places([row.place for row in rows[:2]])
        raise CaptionError(f"no caption of it has a weight above 0 in {where}")
    return Lines(texts, drawn)


def _in_row(row: "TableRow", weights: Sequence[float] | None) -> list[float]:
    """Return how often each text of a row is drawn. What a column holds shares its weight; an empty column has none."""
    own: Sequence[float] = [1.0] * len(row.captions)
    if isinstance(row.weight, tuple):
        own = row.weight
    elif weights is not None and len(weights) == len(row.captions):
        own = weights
    total = sum(weight for weight, texts in zip(own, row.captions, strict=True) if texts)
    whole = 1.0 if row.weight is None else total if isinstance(row.weight, tuple) else row.weight
    part = whole / total if total else 0.0
    return [part * weight / len(texts) for weight, texts in zip(own, row.captions, strict=True) for _ in texts]


def _weighted(lines: Sequence[Sequence[str]], weights: Sequence[float] | None) -> Captions:
    """Return the texts of lines, each once, and how often each is drawn.

    Args:
        lines: The texts that each line makes, which share its weight.
        weights: Of the lines, some above 0; None where each text is drawn as often as any other.
    """
    if weights is None:
        return Captions(tuple(dict.fromkeys(text for texts in lines for text in texts)), ())
    found: dict[str, float] = {}
    for texts, weight in zip(lines, weights, strict=True):
        for text in texts if weight else ():
            found[text] = found.get(text, 0.0) + weight / len(texts)
    if len(set(found.values())) == 1:
        return Captions(tuple(found), ())
    whole = sum(found.values())
    return Captions(tuple(found), tuple(weight / whole for weight in found.values()))


def _shuffle(settings: Resolved, table: str) -> Shuffle | None:
    """Return how the captions of a data set are shuffled; None if they are not."""
    section = f"{table}.caption_shuffle"
    if not settings[f"{section}.enable"]:
        return None
    return Shuffle(
        orders=settings[f"{section}.count"],
        seed=settings[f"{section}.seed"],
        split_on=settings[f"{section}.split_on"],
        position_start=settings[f"{section}.position_start"],
        include_original=settings[f"{section}.include_original"],
    )


_READERS: Mapping[str, Callable[[Path], str]] = {"filename": _from_filename}


def motion_suffix(settings: Resolved, score: int | None) -> str:
    """Return what a text ends with, such as `` motion score: 30.``; empty without a motion score."""
    suffix: str = settings.family.raw["text"]["motion_score_suffix"]
    return "" if score is None else suffix.format(score=score)
