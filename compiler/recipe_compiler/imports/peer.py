"""What the tables of several trainers share: each key has a setting, a reason to be left out, or a function."""

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from recipe_compiler.imports.draft import Draft
from recipe_compiler.imports.given import Given
from recipe_compiler.imports.place import HERE, How, rebased
from recipe_schema.definition import generic
from recipe_schema.family import load_family
from recipe_schema.record import replace


class Idle(NamedTuple):
    """A key that nothing is lost without."""

    reason: str


class Lost(NamedTuple):
    """A key without a counterpart."""

    reason: str


class Words(NamedTuple):
    """A key whose values have other names here, each with the setting's value."""

    path: str
    values: Mapping[Any, Any]


Entry = str | Idle | Lost | Words | Callable[[Given], None]
"""What becomes of a key: the setting of the same meaning, or one of the others."""

NO_COUNTERPART = Lost("it has no counterpart here")
MODEL = Lost("Sana Video is what is trained here; `model` says from which weights")
DATASETS = "data.datasets"


def take_keys(keys: Mapping[str, Given], table: Mapping[str, Entry], draft: Draft) -> None:
    """Take keys over by a table.

    Args:
        keys: What a file, or a part of it, gives.
        table: By the path of a key, elements of lists written ``*``; one that ends with a dot is for all below.
        draft: Where they go.
    """
    for path, given in keys.items():
        name = generic(path)
        below = (
            prefix
            for prefix in sorted(table, key=len, reverse=True)
            if prefix.endswith(".") and name.startswith(prefix)
        )
        _take(given, table.get(name) or table.get(next(below, "")) or NO_COUNTERPART, draft)


def _take(given: Given, entry: Entry, draft: Draft) -> None:
    if isinstance(entry, Idle):
        draft.leave(given, entry.reason)
    elif isinstance(entry, Lost):
        draft.leave(given, entry.reason, lost=bool(given.value))
    elif given.value is None:
        draft.leave(given, "null is its default")
    elif isinstance(entry, Words):
        _take_word(given, entry, draft)
    elif isinstance(entry, str):
        draft.take(given, entry)
    else:
        entry(given)


def _take_word(given: Given, entry: Words, draft: Draft) -> None:
    value = given.value.lower() if isinstance(given.value, str) else given.value
    if isinstance(value, list) or value not in entry.values:
        draft.leave(given, f"of its values there are {', '.join(map(str, entry.values))}", lost=True, target=entry.path)
    elif entry.values[value] == given.value:
        draft.take(given, entry.path)
    else:
        draft.change(given, entry.path, entry.values[value], "that is its name here")


class Sets:
    """Gives each data set of another trainer its place in the recipe.

    Attributes:
        draft: Where settings go.
        how: What the recipe should say.
    """

    def __init__(self, draft: Draft, how: How) -> None:
        self.draft = draft
        self.how = how
        self._names = set[str]()

    def add(self, folder: str, origin: Given, *, kind: str = "video") -> str:
        """Begin a data set, and return its path in the recipe.

        Args:
            folder: The path after which it is named.
            origin: The key that it comes from.
            kind: Its ``dataset_type``.
        """
        table = f"{DATASETS}.{len(self._names)}"
        name = usual = safe_name(Path(folder).stem)
        number = 2
        while name in self._names:
            name, number = f"{usual}-{number}", number + 1
        self._names.add(name)
        place = origin.origin
        self.draft.add(f"{table}.id", name, place)
        self.draft.add(f"{table}.dataset_type", kind, place)
        return table

    def folder(self, given: Given, path: str) -> None:
        """Take the path of a folder or file over; relative ones start at the current folder."""
        written = rebased(str(given.value), Path(), self.how.target)
        if written == given.value:
            self.draft.take(given, path)
        else:
            self.draft.change(given, path, written, HERE)

    def repeats(self, given: Given, path: str) -> None:
        """Take a number of passes over: here repeats are extra ones."""
        if isinstance(given.value, int) and given.value >= 1:
            self.draft.change(given, path, given.value - 1, "repeats are extra passes here")
        else:
            self.draft.leave(given, "a whole number of passes, at least 1, is expected", lost=True, target=path)

    def frames(self, given: Given, path: str, frames: Any, reason: str = "") -> None:
        """Take a number of frames over: one more than a multiple of four."""
        legal = load_family("sana-video-480p").legal_frames(frames) if _is_count(frames) else None
        if legal is None:
            self.draft.leave(given, "a number of frames is expected", lost=True, target=path)
        elif legal != frames or reason:
            told = [reason] if reason else []
            told += ["the VAE takes one more than a multiple of four"] if legal != frames else []
            self.draft.change(given, path, legal, "; ".join(told))
        else:
            self.draft.take(replace(given, value=frames), path)

    def size(self, given: Given, table: str, *, alignment: int, tool: str) -> None:
        """Take a size over: the edge of a square of its area, or (width, height), or several of these.

        Args:
            given: The key.
            table: Of which data set.
            alignment: What sides are a multiple of there, in pixels.
            tool: Whose size it is.
        """
        path = f"{table}.resolution"
        several = given.value if isinstance(given.value, list) and not _is_pair(given.value) else [given.value]
        others = "; write the data set once more for each of the others" if len(several) > 1 else ""
        edge = _area_edge(several[0]) if several else None
        if edge is None:
            self.draft.leave(given, "a size is expected, as in [512] or [832, 480]", lost=True, target=path)
        elif _is_pair(several[0]) and _official(several[0]):
            self.draft.merge(
                given, "data.buckets", f"one of the sizes that the model was trained with{others}", changed=True
            )
        else:
            self.draft.change(given, path, edge, f"the edge of a square of that area{others}")
            self.draft.add(f"{table}.aspect_bucket_alignment", alignment, f"{tool}'s sizes are multiples of it")

    def masks(self, given: Given, table: str) -> None:
        """Take a folder of masks over, as a data set of its own."""
        masks = self.add(f"{self.draft.value(f'{table}.id')}-masks", given, kind="conditioning")
        self.folder(given, f"{masks}.instance_data_dir")
        place = given.origin
        self.draft.add(f"{masks}.conditioning_type", "mask", place)
        self.draft.add(f"{table}.conditioning_data", [self.draft.value(f"{masks}.id")], place)
        self.draft.add("regularizers.masked_loss.enabled", True, place)


def safe_name(text: str) -> str:
    """Make a name that is safe as a file name."""
    name = "".join(c if (c.isalnum() and c.isascii()) or c in "._-" else "-" for c in text).strip("-._")[:60]
    return name or "clips"


def _is_pair(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(map(_is_count, value))  # noqa: PLR2004 - width and height


def _official(pair: Sequence[int]) -> bool:
    return f"{pair[0]}x{pair[1]}" in load_family("sana-video-480p").default("buckets")


def _area_edge(value: Any) -> float | None:
    """Return the edge of the square that has the area of a size."""
    if _is_pair(value):
        return round(math.sqrt(value[0] * value[1]))
    return value if _is_count(value) else None


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def take_betas(given: Given, draft: Draft) -> None:
    """Take a list of both betas over."""
    value = given.value if isinstance(given.value, list) else []
    if len(value) == 2 and all(isinstance(beta, float) and 0 <= beta < 1 for beta in value):  # noqa: PLR2004 - both
        for path, beta in zip(("optimizer.beta1", "optimizer.beta2"), value, strict=True):
            draft.add(path, beta, given.origin)
        draft.merge(given, "optimizer", "as beta1 and beta2")
    else:
        draft.leave(given, "two numbers are expected", lost=True, target="optimizer")


def take_prompts(given: Given, draft: Draft) -> None:
    """Take a list of prompts over: the first is the main one, the others get names."""
    prompts = [prompt for prompt in given.value if isinstance(prompt, str)] if isinstance(given.value, list) else []
    if not prompts:
        draft.leave(given, "a list of prompts is expected", lost=bool(given.value), target="validation.prompt")
        return
    draft.change(given, "validation.prompt", prompts[0], "the first is the main one; the others are in prompt_library")
    if len(prompts) > 1:
        library = {f"prompt-{number}": prompt for number, prompt in enumerate(prompts[1:], 2)}
        draft.add("validation.prompt_library", library, given.origin)
