from fractions import Fraction

from hypothesis import given, strategies as st

from recipe_schema.ledger import ClipRow
from recipe_schema.shares import in_an_epoch, plain, samples_of, shares_of, taken


def rows(**clips):
    return [
        ClipRow(dataset=name, path=f"{index}.mp4", fate="trained", repeats=1)
        for name, count in clips.items()
        for index in range(count)
    ]


def test_samples_are_counted_with_their_repeats():
    assert samples_of(rows(a=2, b=3)) == {"a": 4, "b": 6}


def test_a_share_is_what_was_written_and_no_binary_fraction():
    shares = shares_of(rows(a=2, b=3), {"a": 0.1, "b": 1.0, "unused": 0.5}, uniform=False)

    assert shares == {"a": Fraction(1, 10), "b": Fraction(1)}


@given(st.integers(1, 50), st.integers(1, 50), st.sampled_from((0.1, 0.5, 1.0)))
def test_uniform_data_sets_give_alike_as_many_as_the_smallest_has(a, b, probability):
    clips = rows(a=a, b=b)
    shares = shares_of(clips, {"a": probability, "b": 1.0}, uniform=True)

    given_by = {name: count * shares[name] for name, count in samples_of(clips).items()}

    assert given_by["a"] == given_by["b"] == min(2 * a * Fraction(str(probability)), 2 * b)
    assert max(shares.values()) <= 1
    assert in_an_epoch(samples_of(clips), shares) == 2 * given_by["a"]


@given(st.integers(1, 99), st.fractions(Fraction(1, 100), 1), st.integers(0, 999))
def test_what_is_taken_never_differs_from_the_share_by_a_whole_sample(samples, share, epochs):
    assert 0 <= epochs * samples * share - taken(samples, share, epochs) < 1
    assert 0 <= taken(samples, share, epochs + 1) - taken(samples, share, epochs) <= samples


def test_whole_numbers_stay_whole():
    assert (plain(Fraction(8)), type(plain(Fraction(8))), plain(Fraction(7, 2))) == (8, int, 3.5)
