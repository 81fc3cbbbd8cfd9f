"""Did you mean …?"""

from collections.abc import Iterable


_CUTOFF = 0.7  # below this, suggestions turn into guesses
_MARGIN = 0.05  # by so much the best one has to be nearer than the next, or it is a guess as well


def near(word: str, known: Iterable[str]) -> str | None:
    """Return the known word that ``word`` most likely stands for, or None."""
    import difflib  # noqa: PLC0415 - most recipes have nothing to suggest

    choices = {name.lower().replace("-", "_"): name for name in known}
    plain = word.lower().replace("-", "_")
    matches = difflib.get_close_matches(plain, choices, n=1, cutoff=_CUTOFF)
    swapped = [name for name in choices if sorted(name) == sorted(plain)]  # short words such as `di` for `id`
    return choices[(matches or swapped)[0]] if matches or swapped else None


def equals(word: str, meant: str, known: Iterable[str]) -> tuple[str, ...]:
    """Return the other known words that are exactly as near to ``word`` as ``meant`` is."""
    ratios = _ratios(word, known)
    return tuple(name for name, ratio in ratios.items() if name != meant and ratio == ratios[meant])


def clear(word: str, meant: str, known: Iterable[str]) -> bool:
    """Say whether ``meant`` is so much nearer to ``word`` than all other known words that no doubt is left."""
    ratios = _ratios(word, known)
    best = ratios.pop(meant)
    return all(best - ratio >= _MARGIN for ratio in ratios.values())


def _ratios(word: str, known: Iterable[str]) -> dict[str, float]:
    """Say how near known words are to a word, from 0 to 1."""
    import difflib  # noqa: PLC0415 - most recipes have nothing to suggest

    plain = word.lower().replace("-", "_")
    return {name: difflib.SequenceMatcher(None, name.lower().replace("-", "_"), plain).ratio() for name in known}
