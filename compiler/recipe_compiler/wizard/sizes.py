"""Sizes and lengths at which clips are trained: the family's, unless the clips have less."""

from collections.abc import Sequence
from statistics import median

from recipe_compiler.data.geometry import fit, frames_at, parse_size
from recipe_schema.family import FamilyFacts
from recipe_schema.ledger import ClipRow


_ENLARGED = 1.25
"""Clips that would be enlarged by more are trained at smaller sizes. Rule R316 has the same limit."""

_SLOW = 0.9
"""Clips of less than this share of the rate are slow. Rule R317 has the same limit."""

_SHORTEST = 17
"""Frames, about a second: a clip that has fewer is left out."""


def framerate(clips: Sequence[ClipRow], family: FamilyFacts) -> float:
    """Return the rate to train at: the family's, or that of the clips where most of them have fewer frames a second."""
    usual = float(family.default("framerate"))
    rates = sorted(clip.fps for clip in clips)
    return usual if median(rates) >= _SLOW * usual else max(float(int(rates[0])), 1.0)


def lengths(clips: Sequence[ClipRow], family: FamilyFacts, rate: float, most: int) -> tuple[int, int]:
    """Return the frames of a sample, and the fewest of a clip that is taken, both legal.

    Args:
        clips: The clips.
        family: The model family.
        rate: Frames a second.
        most: The frames of a sample, if clips have as many.
    """
    have = [frames_at(clip.seconds, rate) for clip in clips]
    whole = family.legal_frames(min(most, max(have)))
    return whole, min(max(family.legal_frames(min(have)), _SHORTEST), whole)


def sizes(clips: Sequence[ClipRow], family: FamilyFacts, table: Sequence[str]) -> tuple[str, ...]:
    """Return the sizes of buckets: those of a table, smaller where most clips would be enlarged.

    Args:
        clips: The clips.
        family: The model family.
        table: Sizes to begin with, as in ``832x480``.
    """
    parsed = [parse_size(size) for size in table]
    enlarged = []
    for clip in clips:
        fitted = fit(clip.width, clip.height, parsed)
        enlarged.append(fitted.resize_width / clip.width)
    scale = median(enlarged)
    if scale <= _ENLARGED:
        return tuple(table)
    step = family.size_multiple
    smaller = [(max(int(w / scale) // step, 1) * step, max(int(h / scale) // step, 1) * step) for w, h in parsed]
    return tuple(dict.fromkeys(f"{width}x{height}" for width, height in smaller))
