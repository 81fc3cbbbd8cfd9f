from dataclasses import replace

import numpy as np
import pytest
import torch

from fakes_masks import make_mask, write_png
from fakes_runtime import CLIPS, make_context, make_project, write_video
from fakes_training import StopAfter, batch_maker, encoded_project, same_bits, saved_parts
from recipe_runtime import encode_video, preflight, train
from recipe_runtime.clip import read_clip, read_picture
from recipe_runtime.errors import MediaError, PlanRefused, StoppedBySignal
from recipe_runtime.masks import check_masks, encode_masks, mask_index, pool, read_mask, sample_weights
from recipe_runtime.objective import sample_losses
from recipe_runtime.step import train_step
from recipe_runtime.stop import StopRequested
from recipe_runtime.train import build_state
from recipe_schema.events import StageStarted, Warned
from recipe_schema.ledger import ClipRow
from recipe_schema.section import keys_of
from recipe_schema.sections.regularizers import MaskedLoss
from recipe_schema.sections.train import Train


MASKED = {"regularizers.masked_loss.enabled": True}
ODD = ClipRow(
    dataset="d",
    path="a.mp4",
    fate="trained",
    fps=16.0,
    framerate=16.0,
    bucket_width=64,
    bucket_height=48,
    bucket_frames=9,
    resize_width=93,
    resize_height=65,
    crop_left=13,
    crop_top=9,
)


def masking(**chosen):
    return MaskedLoss(**{name: key.default for name, key in keys_of(MaskedLoss).items()} | chosen)


def picture(clip, level):
    width, height = clip.size
    return np.full((height, width, 3), level, np.uint8)


def half(clip):
    image = picture(clip, 0)
    image[:, : clip.size[0] // 2] = 255
    return image


def masks(draw, count=4):
    return {clip.name: draw(clip) for clip in CLIPS[:count]}


def plain(level):
    return lambda clip: picture(clip, level)


def test_a_mask_is_averaged_over_places_and_over_the_frames_that_the_vae_packs():
    frames = torch.zeros(9, 16, 24, 3, dtype=torch.uint8)
    frames[0, :8, :4] = 255  # half of one place, in the frame that stands alone
    frames[1:3, 8:, 16:] = 255  # a whole place, in two frames of four
    frames[8, :8, :8, 0] = 255  # one channel of three

    mask = pool(frames, temporal=4, spatial=8)

    expected = torch.zeros(3, 2, 3)
    expected[0, 0, 0], expected[1, 1, 2], expected[2, 0, 0] = 1 / 2, 1 / 2, 1 / 12
    assert mask.dtype == torch.float32
    assert torch.allclose(mask, expected, atol=1e-7)


def test_white_is_exactly_one_after_resizing_cropping_and_averaging(tmp_path):
    path = make_mask(tmp_path / "white.png", size=(101, 73), white=101)

    mask = pool(read_picture(path, ODD), temporal=4, spatial=8)

    assert torch.equal(mask, torch.ones(1, 6, 8))


@pytest.mark.parametrize("factor", [1, 2])
def test_a_mask_that_is_drawn_with_its_clip_covers_the_same_latents_after_odd_crops(tmp_path, factor):
    image = np.zeros((70, 100, 3), np.uint8)
    image[17:51, 23:77] = 255
    write_video(tmp_path / "clip.mp4", np.repeat(image[None], 9, axis=0), 16, crf=1)
    write_png(tmp_path / "mask.png", image.repeat(factor, axis=0).repeat(factor, axis=1))

    clip = pool(read_clip(tmp_path / "clip.mp4", ODD), temporal=4, spatial=8)
    mask = pool(read_picture(tmp_path / "mask.png", ODD), temporal=4, spatial=8)

    assert 0.2 < mask.mean() < 0.8
    assert (clip - mask).abs().max() < 0.05


def test_a_picture_that_is_damaged_is_named(tmp_path):
    path = tmp_path / "mask.png"
    path.write_bytes(b"no picture")

    with pytest.raises(MediaError, match=r"mask\.png can't be decoded"):
        read_picture(path, ODD)


def test_the_loss_equals_its_closed_form_on_a_latent_of_two_by_two():
    error = torch.tensor([[1.0, 2.0], [3.0, 4.0]]).expand(1, 3, 1, 2, 2)
    mask = torch.tensor([[[1.0, 0.0], [0.0, 0.5]]])
    settings = Train(**{name: key.default for name, key in keys_of(Train).items()})

    def loss(**chosen):
        weights = sample_weights(mask, masking(**chosen))[None, None]
        return sample_losses(error, torch.zeros_like(error), torch.tensor([0.5]), settings, weights).item()

    assert loss(normalize=False) == pytest.approx((1 + 0.5 * 16) / 4)
    assert loss() == pytest.approx((1 + 0.5 * 16) / 1.5)
    assert loss(normalize=False, invert=True) == pytest.approx((4 + 9 + 0.5 * 16) / 4)
    assert loss(normalize=False, background_weight=0.2) == pytest.approx((1 + 0.2 * 4 + 0.2 * 9 + 0.6 * 16) / 4)
    assert loss(background_weight=0.2) == pytest.approx((1 + 0.2 * 4 + 0.2 * 9 + 0.6 * 16) / 2)


@pytest.mark.parametrize("kind", ["l2", "huber", "smooth_l1"])
@pytest.mark.parametrize("gamma", [None, 5.0])
def test_every_loss_is_weighted_and_a_white_mask_changes_no_bit(kind, gamma):
    draw = torch.Generator().manual_seed(0)
    one, other = torch.randn(2, 3, 2, 4, 4, generator=draw), torch.randn(2, 3, 2, 4, 4, generator=draw)
    sigma = torch.tensor([0.3, 0.8])
    settings = Train(
        **{name: key.default for name, key in keys_of(Train).items()} | {"loss_type": kind, "snr_gamma": gamma}
    )
    white = sample_weights(torch.ones(2, 4, 4), masking(background_weight=0.3)).expand(2, 1, 2, 4, 4)
    left = torch.zeros(2, 4, 4)
    left[..., :2] = 1
    weights = sample_weights(left, masking()).expand(2, 1, 2, 4, 4)

    whole = sample_losses(one, other, sigma, settings)

    assert torch.equal(sample_losses(one, other, sigma, settings, white), whole)
    cut = sample_losses(one[..., :2], other[..., :2], sigma, settings)
    assert torch.allclose(sample_losses(one, other, sigma, settings, weights), cut)


def test_weights_that_are_all_zero_are_divided_by_nothing():
    assert torch.equal(sample_weights(torch.zeros(1, 2, 2), masking()), torch.zeros(1, 2, 2))
    assert torch.equal(sample_weights(torch.ones(1, 2, 2), masking(invert=True)), torch.zeros(1, 2, 2))


def test_masks_are_stored_once_beside_latents_and_fed_with_their_samples(tmp_path):
    settings = {**MASKED, "data.store_dir": "store", "train.batch_size": 2, "masks": masks(half, 1)}
    _, ctx, events = encoded_project(tmp_path, **settings)
    (clip,) = mask_index(ctx)

    encode_video.run(ctx, StopRequested())

    assert clip == "discs/a.mp4"
    assert [(e.unit, e.total, e.reused) for e in events.of(StageStarted)] == [("masks", 1, 1), ("clips", 4, 4)]
    mask = read_mask(ctx, mask_index(ctx)[clip])
    assert mask.shape == (1, 8, 8)
    assert (mask[0, :, 0], mask[0, :, 7]) == (pytest.approx(1.0), pytest.approx(0.0))
    batches = [batch_maker(ctx).make(step) for step in range(4)]
    for batch in batches:
        part, clips = batch.parts[0], [sample.row.clip_id for sample in batch.samples]
        assert (part.weights is not None) == (clip in clips)
        if clip in clips:
            own = part.weights[clips.index(clip)]
            assert own.shape == (1, 3, 8, 8)
            assert torch.equal(own[0], sample_weights(mask, masking()).expand(3, 8, 8))
            assert torch.equal(part.weights[1 - clips.index(clip)], torch.ones(1, 3, 8, 8))


def test_a_video_of_masks_follows_the_window_of_its_clip(tmp_path):
    project = make_project(tmp_path, **MASKED, masks=masks(half, 1))
    ctx = make_context(project)
    frames = np.zeros((30, 72, 96, 3), np.uint8)
    frames[6:11] = 255  # from 1/4 s on, at 24 fps
    write_video(project.root / "clips" / "a.mkv", frames, 24, crf=1)
    row = replace(ctx.rows[0], mask_path="a.mkv", start_seconds=0.25)
    later, by_number = replace(row, start_seconds=0.5), replace(row, framerate=0.0)
    contexts = [replace(ctx, rows=(one,)) for one in (row, later, by_number, ctx.rows[0])]
    contexts.append(replace(ctx, rows=(replace(by_number, fps=25.0),)))
    contexts.append(replace(ctx, rows=(replace(ctx.rows[0], start_seconds=0.5),)))
    keys = [mask_index(one)["discs/a.mp4"] for one in contexts]

    for one in contexts[:3]:
        encode_masks(one, StopRequested())

    assert len(set(keys[:5])) == 5
    assert keys[5] == keys[3]  # a picture holds for all frames
    levels = [read_mask(ctx, key).mean(dim=(1, 2)).tolist() for key in keys[:3]]
    # Samples at 1/4 s + i/16 s show frames 6, 7, 9, 10, 12, …; by number they are 6, 7, 8, ….
    assert levels[0] == pytest.approx([1.0, 0.75, 0.0], abs=0.02)
    assert levels[1] == pytest.approx([0.0, 0.0, 0.0], abs=0.02)
    assert levels[2] == pytest.approx([1.0, 1.0, 0.0], abs=0.02)


def test_a_share_of_samples_uses_its_mask_whatever_the_split(tmp_path):
    settings = {**MASKED, "regularizers.masked_loss.probability": 0.5, "masks": masks(half)}
    _, ctx, _ = encoded_project(tmp_path, **settings, **{"train.batch_size": 4})
    _, single, _ = encoded_project(tmp_path / "single", **settings, **{"train.gradient_accumulation_steps": 4})

    used = []
    for step in range(40):
        whole, parts = batch_maker(ctx).make(step).parts[0], batch_maker(single).make(step).parts
        for index, part in enumerate(parts):
            own = None if whole.weights is None or torch.all(whole.weights[index] == 1) else whole.weights[index]
            assert (part.weights is None) == (own is None)
            assert own is None or torch.equal(part.weights[0], own)
            used.append(own is not None)
    assert 60 < sum(used) < 100


def first_step(tmp_path, **settings):
    _, ctx, _ = encoded_project(tmp_path, **settings)
    state = build_state(ctx)
    result = train_step(state.model, state.optimizer, batch_maker(ctx).make(0), rate=1e-3, settings=ctx.settings.train)
    return result, [parameter.grad for parameter in state.model.parameters()]


def test_accumulating_k_times_one_is_one_times_k_with_masks(tmp_path):
    settings = {**MASKED, "train.max_grad_norm": 0.0, "masks": masks(plain(255)) | masks(half, 2)}
    whole, _ = first_step(tmp_path / "whole", **settings, **{"train.batch_size": 4})
    parts, _ = first_step(tmp_path, **settings, **{"train.gradient_accumulation_steps": 4})

    assert parts.losses == pytest.approx(whole.losses, rel=1e-5)
    assert parts.grad_norm == pytest.approx(whole.grad_norm, rel=1e-5)


def test_a_black_mask_trains_nothing_without_the_division_and_says_so(tmp_path):
    settings = {**MASKED, "regularizers.masked_loss.normalize": False, "masks": masks(plain(0))}
    result, gradients = first_step(tmp_path, **settings)
    _, ctx, events = encoded_project(tmp_path / "check", **settings)

    check_masks(ctx)

    assert result.losses == (0.0,)
    assert result.grad_norm == 0
    assert all(bool((gradient == 0).all()) for gradient in gradients)
    (warned,) = events.of(Warned)
    assert warned.message.startswith("4 clips train nothing, their masks are wholly black: discs/a.png, discs/b.png,")
    assert warned.message.endswith("and 1 more")


@pytest.mark.parametrize(("level", "invert", "color"), [(0, False, "black"), (255, True, "white")])
def test_a_mask_that_leaves_nothing_to_divide_by_is_refused_before_training(level, invert, color, tmp_path):
    settings = {**MASKED, "regularizers.masked_loss.invert": invert, "masks": masks(plain(level), 1)}
    _, ctx, _ = encoded_project(tmp_path, **settings)

    with pytest.raises(MediaError, match=rf"1 masks are wholly {color} where.*discs/a\.png.*background_weight"):
        train.run(ctx, StopRequested())


@pytest.mark.parametrize("settings", [{"background_weight": 0.1}, {"probability": 0.0}])
def test_a_black_mask_is_in_order_where_the_background_counts_or_no_mask_does(settings, tmp_path):
    keys = {f"regularizers.masked_loss.{key}": value for key, value in settings.items()}
    _, ctx, events = encoded_project(tmp_path, **MASKED, **keys, masks=masks(plain(0)))

    check_masks(ctx)

    assert events.of(Warned) == []


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"masks": masks(half)},
        {**MASKED, "masks": masks(plain(255)), "regularizers.masked_loss.background_weight": 0.3},
        {**MASKED, "masks": masks(half), "regularizers.masked_loss.probability": 0.0},
    ],
    ids=["no masks", "off", "white", "never"],
)
def test_masks_that_do_not_count_change_no_bit(settings, tmp_path):
    common = {"prompts": (), "train.batch_size": 2, "max_steps": 4}
    _, without, _ = encoded_project(tmp_path / "without", **common, **MASKED)
    _, ctx, _ = encoded_project(tmp_path, **common, **settings)

    train.run(without, StopRequested())
    train.run(ctx, StopRequested())

    assert same_bits(saved_parts(ctx.run_dir, 4), saved_parts(without.run_dir, 4))


@pytest.mark.parametrize("more", [{}, {"model.type": "lora"}], ids=["full", "lora"])
def test_stopping_and_going_on_with_masks_equals_going_straight_on(more, tmp_path):
    settings = {
        **MASKED,
        **more,
        "regularizers.masked_loss.probability": 0.7,
        "masks": masks(half),
        "max_steps": 4,
        "prompts": (),
    }
    _, straight, _ = encoded_project(tmp_path / "straight", **settings)
    train.run(straight, StopRequested())
    project, _, _ = encoded_project(tmp_path / "cut", **settings)
    stop = StopAfter(2)
    with pytest.raises(StoppedBySignal):
        train.run(make_context(project, [stop]), stop)

    train.run(make_context(project), StopRequested())

    assert same_bits(saved_parts(project.run_dir, 4), saved_parts(straight.run_dir, 4))
    _, plain_run, _ = encoded_project(tmp_path / "plain", **more, prompts=(), max_steps=4)
    train.run(plain_run, StopRequested())
    assert not same_bits(saved_parts(plain_run.run_dir, 4), saved_parts(straight.run_dir, 4))


def test_a_mask_that_changed_since_the_plan_is_refused(tmp_path):
    project = make_project(tmp_path, **MASKED, masks=masks(half))
    ctx = make_context(project)
    preflight.check(ctx)
    (project.root / "clips" / "a.png").unlink()
    make_mask(project.root / "clips" / "b.png", size=(96, 72), white=47)

    with pytest.raises(
        PlanRefused, match=r"2 of 4 clips changed since the plan was made: .*a\.png is gone, .*b\.png has"
    ):
        preflight.check(ctx)


def test_rolled_out_samples_are_weighted_too(tmp_path):
    rollout = {
        "regularizers.rollout.max_step_offset": 3,
        "regularizers.rollout.probability": 1.0,
        "regularizers.rollout.sampler": "euler",
    }
    black = {**MASKED, "regularizers.masked_loss.normalize": False, "masks": masks(plain(0))}

    result, gradients = first_step(tmp_path, **rollout, **black)

    assert result.losses == (0.0,)
    assert all(bool((gradient == 0).all()) for gradient in gradients)
