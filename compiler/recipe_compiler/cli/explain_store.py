"""Whether the store has what training needs of a clip, and if not, what differs from what it has.

Files say what made them, apart from weights, whose digests only the runtime takes. So a value that is found here is used
as long as VAE and text encoder are those that it was made with.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from heapq import nlargest
from pathlib import Path
from typing import Any

from recipe_compiler.cli.store_facts import all_facts
from recipe_compiler.subject import Subject
from recipe_schema.ledger import ClipRow
from recipe_schema.record import record, replace
from recipe_schema.stored import latent_facts, text_facts


Difference = tuple[str, str, str]
"""What differs, what it was, and what it is."""


@record
class Stock:
    """What the store has of one value.

    Attributes:
        kind: What the value is, as its folder in the store is called.
        there: It is there.
        differs: If it is not there: how what is there of the same clip or text differs from it; empty if there is none.
        several: Of a clip of several windows or texts, how many are there, and of how many; else None.
        parts: What there are several of.
        nearest: If there is none of the same text: the text there that is most like it.
    """

    kind: str
    there: bool
    differs: tuple[Difference, ...] = ()
    several: tuple[int, int] | None = None
    parts: str = ""
    nearest: str = ""

    def text(self) -> str:
        """Say it for people."""
        if self.several is not None and 0 < self.several[0] < self.several[1]:
            there, of = self.several
            like = f"; the nearest there of the first that is not: `{self.nearest}`" if self.nearest else ""
            return f"{there} of {of} {self.parts} are in the store{like}"
        if self.there:
            return "in the store, for as long as the model's weights are the same"
        if not self.differs:
            return "not in the store yet" + (f"; the nearest there is `{self.nearest}`" if self.nearest else "")
        return "encoded anew because " + ", ".join(f"{name} was {old} and is {new}" for name, old, new in self.differs)

    def values(self) -> dict[str, Any]:
        """Say it as JSON values."""
        several = {} if self.several is None else {self.parts: {"there": self.several[0], "of": self.several[1]}}
        differs = {name: {"was": old, "is": new} for name, old, new in self.differs}
        return {"there": self.there, "differs": differs, **several}


def stocks(subject: Subject, row: ClipRow) -> tuple[Stock, ...]:
    """Return what the store has of a clip: its latents, and the embeddings of its texts.

    Args:
        subject: A recipe or a plan.
        row: A clip of its ledger.

    Returns:
        Nothing if the clip is not trained or measured, or there is no plan.
    """
    if subject.plan is None or row.fate not in ("trained", "evaluated"):
        return ()
    store = subject.root / str(subject.value("data.store_dir"))
    dtype, tiling = subject.value("model.vae_dtype"), subject.value("memory.vae_tiling")
    latents = [latent_facts(window, dtype=dtype, tiling=tiling) for window in row.windows]
    texts = [
        text_facts(
            text,
            instruction=subject.plan.body.facts["instruction"],
            dtype=subject.value("model.text_encoder_dtype"),
            precision=subject.value("model.text_encoder_precision"),
        )
        for text in row.texts
    ]
    known = list(all_facts(store, "text"))
    return _at_once(_of_clip(store, latents), "windows"), _at_once([_of_text(known, text) for text in texts], "texts")


def _at_once(each: Sequence[Stock], parts: str) -> Stock:
    """Say at once what there is of a clip's windows or texts."""
    if len(each) == 1:
        return each[0]
    there = sum(stock.there for stock in each)
    first = next((stock for stock in each if not stock.there), each[0])
    return replace(
        first,
        there=there == len(each),
        differs=first.differs if there == 0 else (),
        several=(there, len(each)),
        parts=parts,
    )


def _of_text(known: Sequence[Mapping[str, str]], wanted: Mapping[str, str]) -> Stock:
    """Return what the store has of a text, and where it has nothing of it, what the caption may have been before."""
    same, others = [], set()
    for facts in known:
        if _is_same_text(facts, wanted):
            same.append(facts)
        elif facts.get("text"):
            others.add(facts["text"])
    stock = _stock("text", same, wanted)
    return stock if same else replace(stock, nearest=_nearest(wanted["text"], others))


_LIKELY = 50
"""Texts that are compared letter by letter, which takes most of a millisecond for each."""


def _nearest(text: str, others: Iterable[str]) -> str:
    """Return the text that is most like another, of those that share most words and letters with it; empty if none is."""
    words, letters = set(text.split()), set(text)

    def shared(other: str) -> tuple[float, str]:
        return _overlap(words, set(other.split())) + _overlap(letters, set(other)), other

    likely = nlargest(_LIKELY, others, key=shared)
    return next(iter(get_close_matches(text, likely, n=1)), "")


def _overlap(some: set[str], others: set[str]) -> float:
    """Return how many two sets share, of all that they have: from 0 to 1."""
    return len(some & others) / max(1, len(some | others))


def _is_same_clip(facts: Mapping[str, str], wanted: Mapping[str, str]) -> bool:
    """Compare clips by content, then by name."""
    return any(facts.get(name) == wanted[name] for name in ("clip_sha256", "clip"))


def _is_same_text(facts: Mapping[str, str], wanted: Mapping[str, str]) -> bool:
    return all(facts.get(name) == wanted[name] for name in ("text", "with_instruction"))


_WORDS = {"clip_sha256": "the file's sha256"}
"""What people call a fact, where that is not its name."""


def _brief(value: str) -> str:
    """Cut a digest short."""
    return f"{value[:12]}…" if _DIGEST.fullmatch(value) else value


_DIGEST = re.compile("[0-9a-f]{64}")


def _of_clip(store: Path, wanted: Sequence[Mapping[str, str]]) -> list[Stock]:
    """Return what the store has of each window of a clip. Its files are looked through once."""
    known = [facts for facts in all_facts(store, "latents") if _is_same_clip(facts, wanted[0])]
    return [_stock("latents", known, facts) for facts in wanted]


def _stock(kind: str, known: Sequence[Mapping[str, str]], wanted: Mapping[str, str]) -> Stock:
    nearest: tuple[Difference, ...] = ()
    for facts in known:
        # The same content is the same value, whatever it is called. Files of earlier versions say less.
        shared = [name for name in wanted if name in facts and name != "clip"]
        differs = tuple(
            (_WORDS.get(name, name), _brief(facts[name]), _brief(wanted[name]))
            for name in shared
            if facts[name] != wanted[name]
        )
        if not differs:
            return Stock(kind=kind, there=True)
        if not nearest or len(differs) < len(nearest):
            nearest = differs
    return Stock(kind=kind, there=False, differs=nearest)
