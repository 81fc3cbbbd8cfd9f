"""Windows of clips in the runtime: read in one pass, encoded each, sampled all or one at a time."""

import math
from collections import Counter, defaultdict
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, settings, strategies as st

from fakes_runtime import CLIPS, Clip, make_context, make_project, write_video
from fakes_store import stored_values
from fakes_training import StopAfter, batch_maker, encoded_project, same_bits, saved_parts
from recipe_runtime import clip as clip_module, encode_video, preflight, train
from recipe_runtime.clip import ClipReader, read_clip
from recipe_runtime.encode_text import text_index
from recipe_runtime.encode_video import latent_index
from recipe_runtime.errors import StoppedBySignal
from recipe_runtime.evaluate import Evaluator, clip_noise
from recipe_runtime.latent_colors import latent_colors
from recipe_runtime.masks import encode_masks, mask_index
from recipe_runtime.order import Order
from recipe_runtime.stop import StopRequested
from recipe_schema.events import Evaluated, StageStarted
from recipe_schema.ledger import ClipRow, join_starts
from recipe_schema.stream import Stream, group_rows


AFTER = (10 / 16, 21 / 16)
"""Where the second and third window of nine frames start, in seconds."""

LONG = Clip(name="long.mp4", caption="a long red disc", fps=16, frames=32, more_starts=AFTER)
DRAWN = replace(LONG, name="drawn.mp4", caption="a long blue disc", drawn=True)
CLIPS_WITH_WINDOWS = (*CLIPS, LONG, DRAWN)
WITH_WINDOWS = {"clips": CLIPS_WITH_WINDOWS, "prompts": (), "max_steps": 6}


def row(name, windows, *, drawn=False, repeats=0, dataset="d"):
    return ClipRow(
        dataset=dataset,
        path=name,
        fate="trained",
        bucket_width=64,
        bucket_height=64,
        bucket_frames=9,
        repeats=repeats,
        more_starts=join_starts([float(start) for start in range(1, windows)]),
        drawn=int(drawn and windows > 1),
    )


data_sets = st.lists(
    st.tuples(st.integers(1, 5), st.booleans(), st.integers(0, 2), st.sampled_from("de")), min_size=1, max_size=8
).map(
    lambda clips: [
        row(f"{index}.mp4", windows, drawn=drawn, repeats=repeats, dataset=dataset)
        for index, (windows, drawn, repeats, dataset) in enumerate(clips)
    ]
)
groups = st.tuples(st.integers(1, 3), st.integers(1, 2), st.integers(1, 3)).map(math.prod)
"""Batch size × accumulation × processes."""


def samples(rows, count, group=1, share=1, seed=3):
    groups_of_rows = group_rows(rows, {"d": group, "e": group})
    stream = Stream(groups_of_rows, micro_batches=1, shares={"d": Fraction(share), "e": Fraction(1)})
    order = Order(stream, seed=seed)
    return [sample for step in range(-(-count // group)) for sample in order.step(step).samples][:count]


@given(data_sets, groups, st.integers(1, 4))
@settings(max_examples=60, deadline=None)
def test_each_epoch_has_every_window_or_one_of_each_clip_as_often_as_it_repeats(rows, group, epochs):
    each = sum(clip.samples for clip in rows)

    for epoch in range(epochs):
        members = Counter(
            (s.row.dataset, s.row.path, s.repeat, "any" if s.row.window and drawn(rows, s.row) else s.row.window)
            for s in samples(rows, epochs * each, group)
            if s.epoch == epoch
        )
        assert members == {
            (clip.dataset, clip.path, repeat, "any" if clip.drawn else item.window): 1
            for clip in rows
            for item in clip.items
            for repeat in range(clip.repeats + 1)
        }


def drawn(rows, window):
    return next(clip.drawn for clip in rows if clip.path == window.path)


@given(data_sets, st.fractions(Fraction(1, 10), 1), groups, st.integers(1, 4))
@settings(max_examples=60, deadline=None)
def test_shares_of_data_sets_count_windows(rows, share, group, epochs):
    of_d, of_e = (sum(clip.samples for clip in rows if clip.dataset == name) for name in "de")
    count = math.floor(share * of_d * epochs) + of_e * epochs
    if of_d + of_e == of_d and count == 0:
        return

    found = Counter(s.row.dataset for s in samples(rows, count, group, share))

    assert found == Counter({"d": math.floor(share * of_d * epochs), "e": of_e * epochs})


@given(data_sets, groups, st.integers(0, 99))
@settings(max_examples=60, deadline=None)
def test_windows_do_not_depend_on_batch_size_or_number_of_processes(rows, group, seed):
    count = 3 * sum(clip.samples for clip in rows)

    alone, together = (samples(rows, count, size, seed=seed) for size in (1, group))

    assert [(s.row.clip_id, s.epoch, s.repeat) for s in together] == [(s.row.clip_id, s.epoch, s.repeat) for s in alone]


@given(st.integers(2, 6), st.integers(0, 3), st.integers(0, 99))
@settings(max_examples=60, deadline=None)
def test_so_many_samples_in_turn_have_every_window_that_is_drawn(windows, repeats, seed):
    clip = row("a.mp4", windows, drawn=True, repeats=repeats)
    turns = 4
    each = clip.samples
    found = {(s.epoch, s.repeat): s.row.window for s in samples([clip], turns * windows * each, seed=seed)}

    in_turn = [found[divmod(number, each)] for number in range(turns * windows)]

    for first in range(0, len(in_turn), windows):
        assert sorted(in_turn[first : first + windows]) == list(range(1, windows + 1))


def test_another_seed_or_clip_draws_other_windows():
    rows = [row("a.mp4", 5, drawn=True), row("b.mp4", 5, drawn=True)]

    def drawn_of(name, seed):
        found = {s.epoch: s.row.window for s in samples(rows, 80, seed=seed) if s.row.path == name}
        return [found[epoch] for epoch in range(40)]

    one = drawn_of("a.mp4", 1)
    assert one == drawn_of("a.mp4", 1)
    assert one != drawn_of("a.mp4", 2)
    assert one != drawn_of("b.mp4", 1)


class Opened(list):
    """Counts the passes through files."""

    def __call__(self, path):
        self.append(path.name)
        return Opened.original(path)

    original = staticmethod(clip_module._shown)


@pytest.fixture
def opened(monkeypatch):
    passes = Opened()
    monkeypatch.setattr(clip_module, "_shown", passes)
    return passes


def count_up(path, frames, fps):
    """Write a clip whose frames all differ."""
    ramp = np.arange(32, dtype=np.uint8)[None, :, None]
    write_video(path, np.stack([np.broadcast_to(ramp + 3 * i, (32, 32, 3)) for i in range(frames)]).copy(), fps)
    return path


def part(fps, starts, *, rate=16.0, frames=9):
    return ClipRow(
        dataset="d",
        path="a.mp4",
        fate="trained",
        fps=float(fps),
        framerate=rate,
        bucket_width=32,
        bucket_height=32,
        bucket_frames=frames,
        resize_width=32,
        resize_height=32,
        start_seconds=starts[0],
        more_starts=join_starts(starts[1:]),
    )


@pytest.mark.parametrize("fps", [8, 16, 25, 30])
def test_windows_in_order_are_read_in_one_pass_and_as_if_each_were_alone(tmp_path, opened, fps):
    path = count_up(tmp_path / "a.mp4", 2 * fps, fps)
    clip = part(fps, [0.0, 9 / 16, 18 / 16])
    alone = [read_clip(path, window) for window in clip.windows]
    opened.clear()
    reader = ClipReader()

    together = [reader.read(path, window) for window in clip.windows]

    assert opened == ["a.mp4"]
    assert all(torch.equal(a, b) for a, b in zip(alone, together, strict=True))
    assert not torch.equal(together[0], together[1])


def test_windows_of_frames_as_they_follow_each_other_are_read_in_one_pass(tmp_path, opened):
    path = count_up(tmp_path / "a.mp4", 40, 25)
    clip = part(25, [0.0, 9 / 25, 30 / 25], rate=0.0)
    reader = ClipReader()

    together = torch.cat([reader.read(path, window) for window in clip.windows])

    assert opened == ["a.mp4"]
    whole = read_clip(path, replace(clip, more_starts="", bucket_frames=40))
    assert torch.equal(together, torch.cat([whole[:18], whole[30:39]]))


@pytest.mark.parametrize("rate", [16.0, 0.0])
def test_a_window_that_begins_before_the_end_of_the_last_one_needs_another_pass(tmp_path, opened, rate):
    path = count_up(tmp_path / "a.mp4", 32, 16)
    clip = part(16, [0.0, 4 / 16, 13 / 16], rate=rate)
    reader = ClipReader()

    together = [reader.read(path, window) for window in clip.windows]

    assert opened == ["a.mp4", "a.mp4"]
    assert all(torch.equal(frames, read_clip(path, w)) for frames, w in zip(together, clip.windows, strict=True))


def test_a_clip_of_one_window_is_not_kept_open_and_another_file_is_opened(tmp_path, opened):
    one, other = count_up(tmp_path / "a.mp4", 20, 16), count_up(tmp_path / "b.mp4", 20, 16)
    alone, several = part(16, [0.0]), part(16, [0.0, 10 / 16])
    reader = ClipReader()

    for path, window in ((one, alone), (one, alone), (one, several.windows[0]), (other, several.windows[1])):
        assert torch.equal(reader.read(path, window), read_clip(path, window))

    assert opened[::2] == ["a.mp4", "a.mp4", "a.mp4", "b.mp4"]


def test_each_window_has_latents_of_its_own(tmp_path):
    _, ctx, _ = encoded_project(tmp_path, **WITH_WINDOWS)

    index = latent_index(ctx)

    assert len(index) == len(set(index.values())) == len(CLIPS) + 2 * 3
    assert {name for name in index if "#" in name} == {
        f"discs/{clip}.mp4#{number}" for clip in ("long", "drawn") for number in (1, 2, 3)
    }
    preflight.check_ledger(ctx)
    preflight.check_clips(ctx)
    assert [need.bytes for need in preflight.estimate_encoding(ctx)] == [0, 0]


def test_the_encode_stage_counts_windows_and_reuses_those_of_other_plans(tmp_path):
    _, ctx, heard = encoded_project(tmp_path / "a", **WITH_WINDOWS, **{"data.store_dir": "store"})
    encode_video.run(ctx, StopRequested())

    (started,) = heard.of(StageStarted)
    assert (started.total, started.reused, started.unit) == (10, 10, "windows of clips")
    one = replace(LONG, more_starts=())
    alone = make_context(make_project(tmp_path / "b", clips=(one,)))
    several = make_context(make_project(tmp_path / "c", clips=(LONG,)))
    needed = [preflight.estimate_encoding(ctx)[0].bytes for ctx in (alone, several)]
    assert needed == [n * (16 * 3 * 8 * 8 * 4 + 2000) for n in (1, 3)]
    assert latent_index(alone)["discs/long.mp4"] == latent_index(ctx)["discs/long.mp4#1"]


def test_colors_of_previews_are_fitted_to_the_first_window_of_a_clip(tmp_path):
    _, ctx, _ = encoded_project(tmp_path, **WITH_WINDOWS, **{"data.store_dir": "store"})

    weight, bias = latent_colors(ctx)

    assert (weight.shape, bias.shape) == ((3, 16), (3,))
    assert "#1" in next(ctx.store.folder.glob("colors/*/*")).read_bytes().decode(errors="replace")


def test_a_sample_is_fed_the_latents_of_its_window(tmp_path):
    _, ctx, _ = encoded_project(tmp_path, **WITH_WINDOWS)
    make, index = batch_maker(ctx), latent_index(ctx)
    seen = defaultdict(set)

    for step in range(48):
        batch = make.make(step)
        (sample,) = batch.samples
        seen[sample.row.path].add(sample.row.window)
        expected = ctx.store.read("latents", index[sample.row.clip_id])["latents"]
        assert torch.equal(batch.parts[0].latents[0], expected)

    assert seen["long.mp4"] == seen["drawn.mp4"] == {1, 2, 3}
    assert seen["a.mp4"] == {0}


def test_two_processes_are_fed_what_one_is(tmp_path):
    four = {"train.gradient_accumulation_steps": 4}
    two = {"train.gradient_accumulation_steps": 2, "launch.processes": 2}
    _, alone, _ = encoded_project(tmp_path / "alone", **WITH_WINDOWS, **four)
    _, first, _ = encoded_project(tmp_path / "two", **WITH_WINDOWS, **two)
    ranks = [batch_maker(replace(first, rank=rank)) for rank in (0, 1)]

    for step in range(6):
        whole = batch_maker(alone).make(step)
        parts = [part for maker in ranks for part in maker.make(step).parts]
        assert all(torch.equal(a.latents, b.latents) for a, b in zip(whole.parts, parts, strict=True))
        assert all(torch.equal(a.noise, b.noise) for a, b in zip(whole.parts, parts, strict=True))


@pytest.mark.parametrize("cut", [1, 4])
def test_stopping_and_going_on_equals_going_straight_on_bit_for_bit(tmp_path, cut):
    _, straight, _ = encoded_project(tmp_path / "straight", **WITH_WINDOWS)
    train.run(straight, StopRequested())
    project, _, _ = encoded_project(tmp_path / "cut", **WITH_WINDOWS)
    stop = StopAfter(cut)
    with pytest.raises(StoppedBySignal):
        train.run(make_context(project, [stop]), stop)

    train.run(make_context(project), StopRequested())

    assert same_bits(saved_parts(straight.run_dir, 6), saved_parts(project.run_dir, 6))


def test_a_picture_masks_all_windows_of_its_clip_and_is_stored_once(tmp_path):
    white = np.full((*LONG.size[::-1], 3), 255, np.uint8)
    project = make_project(
        tmp_path, clips=(LONG,), masks={"long.mp4": white}, **{"regularizers.masked_loss.enabled": True}
    )
    ctx = make_context(project)

    encode_masks(ctx, StopRequested())

    index = mask_index(ctx)
    assert list(index) == ["discs/long.mp4#1", "discs/long.mp4#2", "discs/long.mp4#3"]
    assert len(set(index.values())) == len(stored_values(ctx.store.folder)) == 1


def test_a_video_of_masks_follows_each_window(tmp_path):
    """Of a mask that is white from the second window on, that has all and the first one nothing."""
    black, white = (np.full((1, 64, 64, 3), level, np.uint8) for level in (0, 255))
    project = make_project(
        tmp_path,
        clips=(LONG,),
        masks={"long.mp4": np.zeros((64, 64, 3), np.uint8)},
        **{"regularizers.masked_loss.enabled": True},
    )
    video = project.root / "clips" / "long-mask.mp4"
    write_video(video, np.concatenate([black.repeat(10, 0), white.repeat(22, 0)]), 16)
    ctx = make_context(project)
    ctx = replace(ctx, rows=tuple(replace(r, mask_path="long-mask.mp4", mask_sha256="m") for r in ctx.rows))

    encode_masks(ctx, StopRequested())

    masks = [ctx.store.read("masks", key)["mask"] for key in mask_index(ctx).values()]
    assert [round(mask.mean().item(), 2) for mask in masks] == [0.0, 1.0, 1.0]


def test_measured_windows_have_noise_of_their_own_and_each_clip_comes_before_the_second_of_any(tmp_path):
    apart = tuple(replace(LONG, name=f"{name}.mp4", fate="evaluated") for name in "xy")
    measured = {"evaluation.step_interval": 2, "evaluation.num_clips": 3, "evaluation.timesteps": 2}
    _, ctx, heard = encoded_project(tmp_path, clips=CLIPS + apart, prompts=(), **measured)
    evaluator = Evaluator(ctx, latents=latent_index(ctx), texts=text_index(ctx))

    evaluator.measure(train.build_state(ctx))

    assert [event.clips for event in heard.of(Evaluated)] == [3]
    (chosen,) = evaluator._groups.values()
    assert [window.window for window in chosen] == [1, 1, 2]
    first, second, _ = ctx.eval_rows[0].windows
    shape = torch.zeros(16, 3, 8, 8)
    assert not torch.equal(clip_noise(first, shape), clip_noise(second, shape))
    assert torch.equal(clip_noise(first, shape), clip_noise(first, shape))
