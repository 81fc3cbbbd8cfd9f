"""Where the captions of a clip come from."""

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from recipe_compiler.data.caption_orders import Shuffle, other_orders
from recipe_compiler.settings import Resolved


if TYPE_CHECKING:  # most data sets have no table
    from recipe_compiler.data.caption_table import CaptionTable


TABLES: Mapping[str, str] = {"parquet": "parquet.path", "csv": "csv_file"}
"""The key of the data set that names the table, by the values of ``caption_strategy`` that read one."""

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


def prompt_reader(settings: Resolved, table: str) -> str | None:
    """Return the key of a data set that uses its instance prompt; None if nothing does."""
    if settings[f"{table}.caption_strategy"] == "instanceprompt":
        return "caption_strategy"
    asks = (key for key in ("only_instance_prompt", "prepend_instance_prompt") if settings[f"{table}.{key}"])
    return next(asks, None)


def one_line(text: str) -> str:
    """Join the lines of a caption."""
    return " ".join(_lines(text))


def _lines(text: str) -> tuple[str, ...]:
    return tuple(line.strip() for line in text.splitlines() if line.strip())


def _text(clip: Path) -> str:
    """Return the text of the caption file beside a clip; empty if there is none."""
    file = f"{os.path.splitext(clip)[0]}.txt"  # a survey does this for every clip, and paths are slow
    try:
        with open(file, encoding="utf-8-sig") as opened:
            return opened.read()
    except FileNotFoundError:
        return ""
    except UnicodeDecodeError as error:
        place = f"byte {error.start + 1} is no part of it"
        raise CaptionError(f"`{os.path.basename(file)}` is not UTF-8: {place}; save it anew") from None
    except OSError as error:
        raise CaptionError(f"`{os.path.basename(file)}` can't be read: {error.strerror}") from None


def _each_line(clip: Path) -> tuple[str, ...]:
    lines = _lines(_text(clip))
    if not lines:
        raise CaptionError(f"`{clip.with_suffix('.txt').name}` is missing or empty")
    return lines


def _from_filename(clip: Path) -> str:
    caption = " ".join(clip.stem.replace("_", " ").replace("-", " ").split())
    if not caption:
        raise CaptionError("no caption")
    return caption


def captioner(
    settings: Resolved, table: str, captions: "CaptionTable | None", several: dict[Path, int]
) -> Callable[[Path], Captions]:
    """Return what gives each clip of a data set its captions, or raises `CaptionError`.

    Args:
        settings: Resolved settings.
        table: The data set.
        captions: Its table of captions; None where it has none.
        several: Takes the clips whose caption file has several lines, and how many.
    """
    prompt = (settings[f"{table}.instance_prompt"] or "").strip()
    source = caption_source(settings, table)
    begin = f"{prompt} " if source != "instanceprompt" and settings[f"{table}.prepend_instance_prompt"] else ""
    read = captions.caption_of if captions is not None else _READERS.get(source, lambda _: prompt)
    beside, splits = source in ("textfile", "fetched"), settings[f"{table}.multiline"] == "split"
    orders, weights = _shuffle(settings, table), settings[f"{table}.caption_weights"]

    def captions_of(clip: Path) -> Captions:
        lines = _each_line(clip) if beside else (read(clip),)
        if len(lines) > 1:
            several[clip] = len(lines)
        found = lines if splits else (" ".join(lines),)
        each = [(caption,) if orders is None else other_orders(caption, orders) for caption in found]
        # Where there are more or fewer lines, rule R347 speaks.
        weighs = weights is not None and len(found) == len(weights) and any(weights)
        return _weighted([[begin + text for text in texts] for texts in each], weights if weighs else None)

    return captions_of


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
