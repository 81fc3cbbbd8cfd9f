from collections import Counter
from fractions import Fraction

import pytest
from hypothesis import given, settings, strategies as st

from recipe_runtime.order import Order, Sample
from recipe_schema.ledger import ClipRow
from recipe_schema.stream import Stream, group_rows


ALL = {"d": Fraction(1)}


def row(bucket, index, repeats=0, dataset="d"):
    return ClipRow(
        dataset=dataset,
        path=f"{bucket}-{index:04d}.mp4",
        fate="trained",
        bucket_width=bucket * 16,
        bucket_height=64,
        bucket_frames=9,
        repeats=repeats,
    )


def rows(counts, repeats=0):
    return [row(bucket, index, repeats) for bucket, count in enumerate(counts, start=1) for index in range(count)]


def order_of(clips, *, seed, samples_per_step, shares):
    groups = group_rows(clips, dict.fromkeys(("d", "e"), samples_per_step))
    return Order(Stream(groups, micro_batches=1, shares=shares), seed=seed)


def names(samples):
    return [(sample.row.clip_id, sample.epoch, sample.repeat) for sample in samples]


counts = st.lists(st.integers(1, 7), min_size=1, max_size=4)


@given(counts=counts, group=st.integers(1, 9), repeats=st.integers(0, 2), steps=st.integers(1, 60))
@settings(max_examples=60, deadline=None)
def test_each_bucket_gives_an_endless_stream_of_whole_passes(counts, group, repeats, steps):
    clips = rows(counts, repeats)
    order = order_of(clips, seed=3, samples_per_step=group, shares=ALL)

    streams: dict[str, list[tuple[str, int, int]]] = {}
    for number in range(steps):
        step = order.step(number)
        assert {sample.row.bucket for sample in step.samples} == {step.bucket}
        assert len(step.samples) == group
        streams.setdefault(step.bucket, []).extend(names(step.samples))

    for bucket, stream in streams.items():
        members = {(clip.clip_id, repeat) for clip in clips if clip.bucket == bucket for repeat in range(repeats + 1)}
        for index, (clip, epoch, repeat) in enumerate(stream):
            assert epoch == index // len(members)
            assert (clip, repeat) in members
        for start in range(0, len(stream) - len(members) + 1, len(members)):
            chunk = {(clip, repeat) for clip, _, repeat in stream[start : start + len(members)]}
            assert chunk == members


@given(counts=counts, group=st.integers(1, 9), epochs=st.integers(1, 6))
@settings(max_examples=60, deadline=None)
def test_after_each_epoch_a_bucket_has_given_all_whole_steps(counts, group, epochs):
    order = order_of(rows(counts), seed=5, samples_per_step=group, shares=ALL)
    expected = {f"{bucket * 16}x64@9": epochs * count // group for bucket, count in enumerate(counts, start=1)}

    given_steps = Counter(order.step(number).bucket for number in range(sum(expected.values())))

    assert {bucket: given_steps[bucket] for bucket in expected} == expected


def test_each_sample_comes_once_an_epoch_when_the_counts_divide():
    order = order_of(rows([4, 8], repeats=1), seed=1, samples_per_step=4, shares=ALL)

    seen = Counter(name[0] for number in range(3 * 6) for name in names(order.step(number).samples))

    assert order.samples_per_epoch == 24
    assert set(seen.values()) == {3 * 2}


@given(counts=counts, group=st.integers(1, 9), start=st.integers(0, 500))
@settings(max_examples=60, deadline=None)
def test_a_restart_at_any_step_gives_the_same_samples(counts, group, start):
    walked = order_of(rows(counts), seed=9, samples_per_step=group, shares=ALL)
    for number in range(max(start - 20, 0), start):
        walked.step(number)
    fresh = order_of(list(reversed(rows(counts))), seed=9, samples_per_step=group, shares=ALL)

    assert walked.step(start) == fresh.step(start)


def test_the_seed_changes_the_order():
    first = [names(order_of(rows([20]), seed=1, samples_per_step=5, shares=ALL).step(n).samples) for n in range(4)]
    second = [names(order_of(rows([20]), seed=2, samples_per_step=5, shares=ALL).step(n).samples) for n in range(4)]

    assert first != second


def test_epochs_differ_in_their_order():
    order = order_of(rows([20]), seed=1, samples_per_step=20, shares=ALL)

    first, second = ([name[0] for name in names(order.step(n).samples)] for n in (0, 1))

    assert sorted(first) == sorted(second)
    assert first != second


def test_one_clip_fills_steps_of_any_size():
    order = order_of(rows([1]), seed=1, samples_per_step=4, shares=ALL)

    assert [sample.epoch for sample in order.step(2).samples] == [8, 9, 10, 11]


@pytest.mark.timeout(60)
def test_a_far_step_of_a_large_data_set_is_found_at_once():
    order = order_of(rows([60_000, 40_000]), seed=1, samples_per_step=3, shares=ALL)

    assert order.step(1_000_000_000) == order.step(1_000_000_000)
    assert {sample.epoch for sample in order.step(1_000_000_000).samples} <= {29_999, 30_000}


shares = st.fixed_dictionaries(
    {name: st.sampled_from(("1", "1/2", "1/3", "3/10", "7/10")).map(Fraction) for name in "de"}
)


@given(counts=counts, group=st.integers(1, 5), shares=shares, steps=st.integers(1, 60), start=st.integers(0, 200))
@settings(max_examples=60, deadline=None)
def test_each_epoch_takes_its_share_of_each_data_set_each_sample_at_most_once(counts, group, shares, steps, start):
    clips = [row(bucket, n, 1, name) for name in "de" for bucket, count in enumerate(counts, 1) for n in range(count)]
    order = order_of(clips, seed=3, samples_per_step=group, shares=shares)

    streams: dict[str, list[Sample]] = {}
    for number in range(steps):
        step = order.step(number)
        assert {sample.row.bucket for sample in step.samples} == {step.bucket}
        streams.setdefault(step.bucket, []).extend(step.samples)

    for bucket, stream in streams.items():
        assert [sample.epoch for sample in stream] == sorted(sample.epoch for sample in stream)
        members = Counter(clip.dataset for clip in clips for _ in range(2) if clip.bucket == bucket)
        for epoch in range(stream[-1].epoch):
            seen = [sample for sample in stream if sample.epoch == epoch]
            assert len({(sample.row.clip_id, sample.repeat) for sample in seen}) == len(seen)
        for name, count in members.items():
            passed = sum(sample.row.dataset == name for sample in stream if sample.epoch < stream[-1].epoch)
            assert passed == int(stream[-1].epoch * count * shares[name])
    assert order.step(start) == order_of(clips, seed=3, samples_per_step=group, shares=shares).step(start)


def test_every_sample_of_a_share_has_its_turn():
    order = order_of(rows([20]), seed=1, samples_per_step=5, shares={"d": Fraction(1, 4)})

    seen = Counter(name[0] for number in range(400) for name in names(order.step(number).samples))

    assert order.samples_per_epoch == 5
    assert len(seen) == 20
    assert all(60 < count < 140 for count in seen.values())


def test_a_clip_so_rare_that_most_epochs_are_empty_is_found():
    order = order_of(rows([1]), seed=1, samples_per_step=2, shares={"d": Fraction(1, 10)})

    assert [sample.epoch for number in range(3) for sample in order.step(number).samples] == [9, 19, 29, 39, 49, 59]
