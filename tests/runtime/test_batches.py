from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch

from fakes_training import batch_maker, encoded_project
from recipe_runtime import encode_text
from recipe_runtime.batches import pad_texts, prefetch
from recipe_runtime.encode_text import text_index
from recipe_runtime.encode_video import latent_index
from recipe_runtime.stop import StopRequested
from recipe_schema.ledger import join_shares, join_texts


def test_a_batch_holds_the_stored_latents_and_texts_of_its_samples(tmp_path):
    _, ctx, _ = encoded_project(tmp_path, **{"train.batch_size": 2, "train.caption_dropout_probability": 0.0})

    batch = batch_maker(ctx).make(0)

    part = batch.parts[0]
    assert part.latents.shape == part.noise.shape == (2, 16, 3, 8, part.latents.shape[-1])
    for index, sample in enumerate(batch.samples):
        assert sample.row.bucket == batch.bucket
        stored = ctx.store.read("latents", latent_index(ctx)[sample.row.clip_id])["latents"]
        embeds = ctx.store.read("text", text_index(ctx)[sample.row.text, True])["embeds"]
        assert torch.equal(part.latents[index], stored)
        assert torch.equal(part.text[index, : len(embeds)], embeds)
        assert part.mask[index].tolist() == [1] * len(embeds) + [0] * (part.mask.shape[1] - len(embeds))
    assert batch.sigmas == tuple(part.sigma.tolist())


def names(batch):
    return [(sample.row.clip_id, sample.epoch, sample.repeat) for sample in batch.samples]


@pytest.mark.parametrize("split", [(4, 1), (2, 2), (1, 4)])
def test_samples_noise_and_levels_do_not_depend_on_the_split(tmp_path, split):
    size, accumulate = split
    _, ctx, _ = encoded_project(
        tmp_path, **{"train.batch_size": size, "train.gradient_accumulation_steps": accumulate, "train.seed": 5}
    )
    _, single, _ = encoded_project(tmp_path / "single", **{"train.batch_size": 4, "train.seed": 5})

    for step in range(3):
        batch, whole = batch_maker(ctx).make(step), batch_maker(single).make(step)
        assert len(batch.parts) == accumulate
        assert names(batch) == names(whole)
        assert batch.sigmas == whole.sigmas
        assert torch.equal(torch.cat([part.noise for part in batch.parts]), whole.parts[0].noise)
        assert torch.equal(torch.cat([part.timestep for part in batch.parts]), whole.parts[0].timestep)


def test_each_pass_draws_other_noise_for_a_clip(tmp_path):
    _, ctx, _ = encoded_project(tmp_path)
    maker = batch_maker(ctx)

    noise = {}
    for step in range(8):
        batch = maker.make(step)
        noise[batch.samples[0].row.clip_id, batch.samples[0].epoch] = batch.parts[0].noise

    assert len(noise) == 8
    assert len({tensor.sum().item() for tensor in noise.values()}) == 8


def test_noise_is_standard_normal(tmp_path):
    _, ctx, _ = encoded_project(tmp_path)
    maker = batch_maker(ctx)

    noise = torch.cat([maker.make(step).parts[0].noise.flatten() for step in range(20)])

    assert noise.mean().item() == pytest.approx(0, abs=0.02)
    assert noise.std().item() == pytest.approx(1, abs=0.02)


def test_exact_timesteps_are_fractions(tmp_path):
    _, ctx, _ = encoded_project(tmp_path, **{"train.timesteps": "exact"})

    part = batch_maker(ctx).make(0).parts[0]

    assert part.timestep.dtype == torch.float32
    assert torch.allclose(part.timestep, 1000 * part.sigma)
    assert part.timestep.item() != round(part.timestep.item())


def test_offset_noise_moves_whole_channels_of_as_many_samples_as_asked(tmp_path):
    _, plain, _ = encoded_project(tmp_path / "plain", **{"train.batch_size": 4})
    asked = {"train.noise_offset": 0.5, "train.noise_offset_probability": 0.25}
    _, ctx, _ = encoded_project(tmp_path, **{"train.batch_size": 4, **asked})

    moved, sizes = 0, []
    for step in range(50):
        with_offset, without = batch_maker(ctx).make(step).parts[0], batch_maker(plain).make(step).parts[0]
        offsets = (with_offset.noise - without.noise).flatten(2)
        assert torch.allclose(offsets, offsets[:, :, :1].expand_as(offsets), atol=1e-6)
        sizes += [offset[:, 0] for offset in offsets if offset.any()]
        moved = len(sizes)
        assert torch.equal(with_offset.sigma, without.sigma)

    assert moved / 200 == pytest.approx(0.25, abs=0.09)
    assert torch.cat(sizes).std().item() == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize(("steps", "shares"), [(0, (1.0, 1.0, 1.0)), (4, (1.0, 0.5, 0.0))])
def test_input_perturbation_is_seen_by_the_model_alone_and_falls_to_none(tmp_path, steps, shares):
    _, plain, _ = encoded_project(tmp_path / "plain")
    asked = {"train.input_perturbation": 0.1, "train.input_perturbation_steps": steps}
    _, ctx, _ = encoded_project(tmp_path, **asked)

    for step, share in zip((0, 2, 4), shares, strict=True):
        part, without = batch_maker(ctx).make(step).parts[0], batch_maker(plain).make(step).parts[0]
        assert torch.equal(part.noise, without.noise)
        assert without.extra_noise is None
        if share == 0:
            assert part.extra_noise is None
        else:
            assert part.extra_noise.std().item() == pytest.approx(0.1 * share, rel=0.05)
            assert not torch.equal(part.extra_noise, part.noise * 0.1 * share)


def test_dropped_captions_are_the_null_caption(tmp_path):
    _, ctx, _ = encoded_project(tmp_path, **{"train.caption_dropout_probability": 1.0})
    null = ctx.store.read("text", text_index(ctx)["", False])["embeds"]

    part = batch_maker(ctx).make(0).parts[0]

    assert torch.equal(part.text[0], null.float())
    assert part.mask.shape == (1, len(null))


def test_captions_are_dropped_as_often_as_asked(tmp_path):
    _, ctx, _ = encoded_project(tmp_path, **{"train.caption_dropout_probability": 0.25})
    null = len(ctx.store.read("text", text_index(ctx)["", False])["embeds"])
    maker = batch_maker(ctx)

    dropped = sum(maker.make(step).parts[0].text.shape[1] == null for step in range(200))

    assert dropped / 200 == pytest.approx(0.25, abs=0.09)


def test_texts_are_padded_with_zeros_on_the_right():
    text, mask = pad_texts([torch.ones(1, 2, dtype=torch.bfloat16), torch.ones(3, 2)])

    assert text.dtype == torch.float32
    assert text[:, :, 0].tolist() == [[1, 0, 0], [1, 1, 1]]
    assert mask.tolist() == [[1, 0, 0], [1, 1, 1]]


def test_prefetching_gives_every_step_in_order_and_makes_one_ahead():
    made = []

    def make(step: int) -> Any:
        made.append(step)
        return step

    batches: Iterator[Any] = prefetch(make, range(3, 7))
    first = next(batches)
    second = next(batches)
    rest = list(batches)

    assert [first, second, *rest] == [3, 4, 5, 6]
    assert made == [3, 4, 5, 6]


def test_a_failure_while_prefetching_comes_out_where_the_batch_is_wanted():
    def make(step: int) -> Any:
        if step == 1:
            raise OSError("disk gone")
        return step

    batches: Iterator[Any] = prefetch(make, range(3))
    assert next(batches) == 0

    with pytest.raises(OSError, match="disk gone"):
        next(batches)


def with_captions(ctx, count):
    rows = tuple(replace(row, more_texts=join_texts([f"{row.text} {n}" for n in range(1, count)])) for row in ctx.rows)
    return replace(ctx, rows=rows)


def test_every_sample_has_one_of_its_clips_captions_and_each_comes_as_often(tmp_path):
    _, ctx, _ = encoded_project(tmp_path, **{"train.caption_dropout_probability": 0.0})
    ctx = with_captions(ctx, 3)
    encode_text.run(ctx, StopRequested())
    maker = batch_maker(ctx)

    drawn = Counter()
    for step in range(240):
        batch = maker.make(step)
        ((text,), (sample,)) = batch.texts, batch.samples
        embeds = ctx.store.read("text", text_index(ctx)[text, True])["embeds"]
        assert torch.equal(batch.parts[0].text[0], embeds.float())
        drawn[sample.row.texts.index(text)] += 1

    assert all(abs(drawn[index] - 80) < 25 for index in range(3))


def test_a_second_caption_changes_nothing_else(tmp_path):
    _, plain, _ = encoded_project(tmp_path, **{"train.batch_size": 2, "train.caption_dropout_probability": 0.5})
    several = with_captions(plain, 2)
    encode_text.run(several, StopRequested())

    for step in range(4):
        first, second = batch_maker(plain).make(step), batch_maker(several).make(step)
        assert names(first) == names(second)
        assert first.sigmas == second.sigmas
        assert torch.equal(first.parts[0].noise, second.parts[0].noise)
        again = batch_maker(several).make(step)
        assert again.texts == second.texts
        assert torch.equal(again.parts[0].text, second.parts[0].text)


def test_captions_with_shares_are_drawn_as_often_as_they_say_and_change_nothing_else(tmp_path):
    _, ctx, _ = encoded_project(tmp_path, **{"train.caption_dropout_probability": 0.0})
    plain = with_captions(ctx, 3)
    encode_text.run(plain, StopRequested())
    shares = join_shares([0.75, 0.2, 0.05])
    maker = batch_maker(replace(plain, rows=tuple(replace(row, text_shares=shares) for row in plain.rows)))
    even = batch_maker(plain)

    drawn = Counter()
    for step in range(240):
        batch, other = maker.make(step), even.make(step)
        ((text,), (sample,)) = batch.texts, batch.samples
        drawn[sample.row.texts.index(text)] += 1
        assert torch.equal(batch.parts[0].noise, other.parts[0].noise)
        assert batch.sigmas == other.sigmas

    assert all(abs(drawn[index] - wanted) < 25 for index, wanted in enumerate((180, 48, 12)))
    assert drawn[2] > 0
    again = [maker.make(step).texts for step in (7, 3)]
    assert again == [maker.make(7).texts, maker.make(3).texts]


def test_a_share_of_one_text_is_all_and_the_last_takes_what_rounding_leaves(tmp_path):
    _, ctx, _ = encoded_project(tmp_path, **{"train.caption_dropout_probability": 0.0})
    several = with_captions(ctx, 2)
    encode_text.run(several, StopRequested())

    for shares, index in (([1 - 1e-12, 1e-12], 0), ([1e-12, 0.5], 1)):
        rows = tuple(replace(row, text_shares=join_shares(shares)) for row in several.rows)
        maker = batch_maker(replace(several, rows=rows))
        for step in range(12):
            batch = maker.make(step)
            assert batch.texts[0] == batch.samples[0].row.texts[index]
