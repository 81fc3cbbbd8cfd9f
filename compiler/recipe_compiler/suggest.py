"""Did you mean …?"""

import difflib
from collections.abc import Iterable


_CUTOFF = 0.7  # below this, suggestions turn into guesses


def near(word: str, known: Iterable[str]) -> str | None:
    """Return the known word that ``word`` most likely stands for, or None."""
    choices = {name.lower().replace("-", "_"): name for name in known}
    plain = word.lower().replace("-", "_")
    matches = difflib.get_close_matches(plain, choices, n=1, cutoff=_CUTOFF)
    swapped = [name for name in choices if sorted(name) == sorted(plain)]  # short words such as `di` for `id`
    return choices[(matches or swapped)[0]] if matches or swapped else None
