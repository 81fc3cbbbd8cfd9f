from fractions import Fraction

import pytest
from hypothesis import given, settings, strategies as st

from recipe_schema.ledger import ClipRow
from recipe_schema.stream import Stream, group_rows, image_steps, is_image, joint_end


def row(dataset, index, *, width=64, frames=9, repeats=0):
    return ClipRow(
        dataset=dataset,
        path=f"{index:03d}.mp4",
        fate="trained",
        bucket_width=width,
        bucket_height=64,
        bucket_frames=frames,
        repeats=repeats,
    )


def test_clips_share_a_group_with_those_of_their_bucket_and_batch_size():
    rows = [row("b", 0), row("a", 1), row("a", 0), row("c", 0), row("a", 2, width=96, frames=1)]

    groups = group_rows(rows, {"a": 2, "b": 2, "c": 4})

    assert [(g.name, g.bucket, g.batch_size) for g in groups] == [
        ("64x64@9/2", "64x64@9", 2),
        ("64x64@9/4", "64x64@9", 4),
        ("96x64@1", "96x64@1", 2),
    ]
    assert [r.clip_id for r in groups[0].rows] == ["a/000.mp4", "a/001.mp4", "b/000.mp4"]
    assert groups[0].samples == {"a": 2, "b": 1}
    assert [is_image(g.rows[0]) for g in groups] == [False, False, True]


def test_the_pass_of_a_sample_is_that_in_which_its_group_gives_it():
    stream = Stream(
        group_rows([row("a", n) for n in range(3)], {"a": 1}), micro_batches=1, shares={"a": Fraction(1, 2)}
    )

    assert [stream.pass_of_sample(0, index) for index in range(6)] == [0, 1, 1, 2, 3, 3]


counts = st.lists(st.tuples(st.integers(1, 9), st.integers(1, 4)), min_size=1, max_size=3)


@given(counts=counts, batches=st.integers(1, 4), steps=st.integers(0, 80))
@settings(max_examples=80, deadline=None)
def test_passes_and_steps_are_each_others_inverse(counts, batches, steps):
    names = "abc"[: len(counts)]
    rows = [row(name, n) for name, (count, _) in zip(names, counts, strict=True) for n in range(count)]
    sizes = {name: size for name, (_, size) in zip(names, counts, strict=True)}
    shares = dict.fromkeys(names, Fraction(1, 2))
    stream = Stream(group_rows(rows, sizes), micro_batches=batches, shares=shares)

    passes = stream.passes(steps)

    assert stream.steps(passes) >= steps
    assert passes == 0 or stream.steps(passes - 1) < steps
    assert stream.steps_per_pass == sum(Fraction(c, 2 * s * batches) for c, s in _merged(counts))
    assert stream.samples_per_pass == Fraction(sum(count for count, _ in counts), 2)


def _merged(counts):
    sizes = {size for _, size in counts}
    return [(sum(count for count, own in counts if own == size), size) for size in sizes]


@pytest.mark.parametrize("interval", [2, 3, 50])
def test_a_step_of_images_follows_every_so_many(interval):
    """The authors: an image step where global_step % interval == 0 and global_step > 0, global_step steps before it."""
    for step in range(200):
        assert image_steps(step + 1, interval) - image_steps(step, interval) == (step > 0 and step % interval == 0)


@given(start=st.integers(0, 99), videos=st.integers(0, 99), interval=st.integers(2, 9))
@settings(max_examples=80, deadline=None)
def test_so_many_steps_of_videos_end_where_they_are_done(start, videos, interval):
    def done(end):
        return sum(1 for step in range(start, end) if step == 0 or step % interval)

    end = joint_end(start, videos, interval)

    assert done(end) == videos
    assert end == start or done(end - 1) == videos - 1
