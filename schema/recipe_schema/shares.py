"""How much of each data set an epoch takes: the arithmetic that the plan's figures and the order of samples share.

A share that makes no whole number of samples is carried: after *e* epochs, a bucket has given ⌊*e* × samples × share⌋ of
the data set, so that shares are exact in the long run, and nothing is rounded away.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from fractions import Fraction

from recipe_schema.ledger import ClipRow


def samples_of(rows: Iterable[ClipRow]) -> Counter[str]:
    """Count the samples of each data set, windows and repeats included."""
    counts: Counter[str] = Counter()
    for row in rows:
        counts[row.dataset] += row.samples
    return counts


def shares_of(rows: Iterable[ClipRow], probability: Mapping[str, float], *, uniform: bool) -> Mapping[str, Fraction]:
    """Return the share of its samples that an epoch takes of each data set.

    Args:
        rows: The trained clips.
        probability: ``probability`` of each data set, by its id.
        uniform: Whether all data sets give alike, each as many samples as the one that has fewest.
    """
    counts = samples_of(rows)
    shares = {dataset: Fraction(str(probability[dataset])) for dataset in counts}
    if not uniform:
        return shares
    fewest = min(count * shares[dataset] for dataset, count in counts.items())
    return {dataset: fewest / count for dataset, count in counts.items()}


def taken(samples: int, share: Fraction, epochs: int) -> int:
    """Count the samples that are taken in the first so many epochs, of so many of a data set in one bucket."""
    return epochs * samples * share.numerator // share.denominator


def in_an_epoch(samples: Mapping[str, int], shares: Mapping[str, Fraction]) -> Fraction:
    """Return how many samples an epoch takes in the mean, of so many of each data set."""
    return sum((count * shares[dataset] for dataset, count in samples.items()), Fraction(0))


def plain(number: Fraction) -> int | float:
    """Return a number as JSON has it: whole where it is whole."""
    return number.numerator if number.denominator == 1 else float(number)
