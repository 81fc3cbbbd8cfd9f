import hashlib
from dataclasses import replace

import numpy as np
import pytest
import torch
from diffusers.pipelines.sana_video.pipeline_sana_video_i2v import SanaImageToVideoPipeline
from diffusers.schedulers.scheduling_flow_match_euler_discrete import FlowMatchEulerDiscreteScheduler

from fakes_masks import write_png
from fakes_runtime import CLIPS, Clip, draw_disc, make_context, make_project, write_video
from fakes_store import replace_value
from fakes_training import StopAfter, batch_maker, encoded_project, same_bits, saved_parts
from recipe_runtime import artist, preflight, train, validate
from recipe_runtime.batches import pad_texts
from recipe_runtime.clip import read_first_frame, to_pixels
from recipe_runtime.encode_text import text_index
from recipe_runtime.encode_video import latent_index
from recipe_runtime.errors import MediaError, PlanRefused, StoppedBySignal
from recipe_runtime.evaluate import Evaluator, clip_noise
from recipe_runtime.first_frame import first_frames, learnt_weights
from recipe_runtime.inputs import make_inputs
from recipe_runtime.masks import check_masks
from recipe_runtime.models.sampler import shift_of
from recipe_runtime.models.vae import encode, load_vae
from recipe_runtime.noise import SCHEDULES, NoiseLevel
from recipe_runtime.preview import Previews
from recipe_runtime.randomness import generator
from recipe_runtime.step import train_step
from recipe_runtime.stop import StopRequested
from recipe_schema.events import Evaluated
from recipe_schema.family import load_family
from recipe_schema.plan import FirstImage, Prompt
from recipe_schema.record import replace as changed


VIDEO = "data.datasets.0.video"
GIVEN = {"max_steps": 4, "prompts": (), "train.batch_size": 2, f"{VIDEO}.is_i2v": True, f"{VIDEO}.i2v_probability": 1.0}
LORA = {"model.type": "lora", "model.lora.rank": 2, "optimizer.learning_rate": 1e-2}
HALF = GIVEN | {f"{VIDEO}.i2v_probability": 0.5}


def noise_schedule(name="official"):
    return SCHEDULES[name](load_family("sana-video-480p").raw["noise_schedules"][name])


def step_of(ctx, step=0):
    state, batch = train.build_state(ctx), batch_maker(ctx).make(step)
    return state, batch, train_step(state.model, state.optimizer, batch, rate=1e-3, settings=ctx.settings.train)


# What is given


def test_a_given_frame_has_its_own_level_and_the_others_that_of_the_sample():
    first = first_frames([NoiseLevel(0.25, 250), None], exact=False)

    assert first.sigmas(torch.tensor([0.5, 0.75]), 3).tolist() == [[0.25, 0.5, 0.5], [0.75, 0.75, 0.75]]
    told = first.timesteps(torch.tensor([500, 750]), 3)
    assert (told.tolist(), told.dtype) == ([[250, 500, 500], [750, 750, 750]], torch.int64)
    assert first.of(torch.tensor([1])).timesteps(torch.tensor([7]), 2).tolist() == [[7, 7]]
    moved = first.to(torch.device("cpu")).held(torch.ones(2, 1, 3, 1, 1))
    assert moved.flatten(1).tolist() == [[0, 1, 1], [1, 1, 1]]
    assert first_frames([None, None], exact=True) is None
    assert first_frames([NoiseLevel(0.1, 100.5)], exact=True).timestep.tolist() == [100.5]


@pytest.mark.parametrize("name", ["official", "simpletuner"])
def test_noise_on_a_given_frame_is_drawn_from_the_clean_end_of_the_table(name):
    schedule = noise_schedule(name)
    clean = sorted(schedule.levels, key=lambda level: level.sigma)

    drawn = {schedule.draw_low(generator(0, "low", index), 0.01, exact=False) for index in range(400)}
    exact = [schedule.draw_low(generator(0, "low", index), 0.01, exact=True) for index in range(400)]

    assert drawn == set(clean[:10])
    assert 0 < min(level.sigma for level in exact) < max(level.sigma for level in exact) < clean[10].sigma
    assert all(level.timestep == pytest.approx(1000 * level.sigma) for level in exact)
    everything = {schedule.draw_low(generator(0, "low", index), 1.0, exact=False) for index in range(4000)}
    assert len(everything) > 950


def test_the_weights_of_the_learnt_frames_keep_the_mean_over_them():
    weights = learnt_weights(torch.full((4, 2, 2), 3.0))

    assert weights[0].abs().sum() == 0
    assert weights.mean().item() == pytest.approx(3.0)


def test_the_first_latent_frame_of_a_clip_is_that_of_its_first_picture(tmp_path):
    home = make_project(tmp_path).root / "models" / "tiny"
    vae = load_vae(home / "vae", "fp32", torch.device("cpu"), tiling=False, slicing=False)
    pixels = to_pixels(torch.from_numpy(draw_disc((96, 64), 9, (250, 20, 20))))[None]

    assert torch.allclose(encode(vae, pixels)[:, :, :1], encode(vae, pixels[:, :, :1]), atol=1e-5)


# In a training run


def test_without_given_frames_nothing_changes_bit_for_bit_and_with_them_something_does(tmp_path):
    weights = {}
    for name, settings in {
        "absent": {key: value for key, value in GIVEN.items() if not key.startswith(VIDEO)},
        "never": GIVEN | {f"{VIDEO}.i2v_probability": 0.0},
        "always": GIVEN,
    }.items():
        _, ctx, _ = encoded_project(tmp_path / name, **settings)
        train.run(ctx, StopRequested())
        weights[name] = saved_parts(ctx.run_dir, 4)

    assert same_bits(weights["absent"], weights["never"])
    assert not same_bits(weights["absent"], weights["always"])


def test_the_loss_is_the_mean_squared_error_of_the_frames_that_are_learnt(tmp_path):
    _, ctx, _ = encoded_project(tmp_path, **GIVEN)
    state, batch, result = step_of(ctx)
    fresh = train.build_state(ctx).model
    part = batch.parts[0]

    frames = part.latents.shape[2]
    level = part.sigma[:, None].repeat(1, frames)
    level[:, 0] = 0
    told = part.timestep[:, None].repeat(1, frames)
    told[:, 0] = 0
    level = level[:, None, :, None, None]
    noisy = (1 - level) * part.latents + level * part.noise
    with torch.no_grad():
        guess = fresh(noisy, part.text, told, encoder_attention_mask=part.mask, return_dict=False)[0]
    expected = (guess - (part.noise - part.latents))[:, :, 1:].square().flatten(1).mean(1)
    assert torch.equal(noisy[:, :, 0], part.latents[:, :, 0])
    assert result.losses == pytest.approx(expected.tolist(), rel=1e-5)
    assert state.model.training


def test_samples_are_given_their_first_frame_as_often_as_asked_for_whatever_their_batch(tmp_path):
    _, ctx, _ = encoded_project(tmp_path / "pairs", **HALF)
    maker = batch_maker(ctx)
    given, losses = {}, []
    for step in range(60):
        batch = maker.make(step)
        told = [False] * 2 if batch.parts[0].first is None else batch.parts[0].first.given.tolist()
        given |= {(s.row.clip_id, s.epoch): there for s, there in zip(batch.samples, told, strict=True)}
    assert 0.35 < sum(given.values()) / len(given) < 0.65

    for batch_size, accumulation in ((2, 1), (1, 2)):
        settings = {"train.batch_size": batch_size, "train.gradient_accumulation_steps": accumulation}
        _, ctx, _ = encoded_project(tmp_path / str(batch_size), **HALF | settings)
        losses.append([step_of(ctx, step)[2].losses for step in range(4)])
    assert sum(losses[0], ()) == pytest.approx(sum(losses[1], ()), rel=1e-4)


def test_noise_on_the_first_frame_is_seen_and_told(tmp_path):
    _, ctx, _ = encoded_project(tmp_path, **GIVEN | {f"{VIDEO}.i2v_noise": 0.5})
    state, part = train.build_state(ctx), batch_maker(ctx).make(1).parts[0]

    noisy = make_inputs(state.model, part, ctx.settings.train).noisy

    sigma = part.first.sigma[:, None, None, None]
    assert 0 < sigma.min() < sigma.max() < 0.76
    assert torch.equal(noisy[:, :, 0], (1 - sigma) * part.latents[:, :, 0] + sigma * part.noise[:, :, 0])
    assert part.first.timestep.tolist() == (1000 * part.first.sigma).floor().tolist()


@pytest.mark.parametrize(
    "more",
    [
        {},
        {f"{VIDEO}.i2v_noise": 0.3, "train.timesteps": "exact"},
        LORA | {"memory.gradient_checkpointing": True},
        LORA | {"model.base_model_precision": "int8-quanto"},
        {"regularizers.rollout.max_step_offset": 3, "regularizers.rollout.probability": 0.7},
        {"train.mixed_precision": "bf16", "ema.enabled": True},
    ],
)
def test_a_run_resumes_bit_for_bit(tmp_path, more):
    settings = HALF | {"max_steps": 6} | more
    _, straight, _ = encoded_project(tmp_path / "straight", **settings)
    train.run(straight, StopRequested())
    project, _, _ = encoded_project(tmp_path / "cut", **settings)
    stop = StopAfter(3)
    with pytest.raises(StoppedBySignal):
        train.run(make_context(project, [stop]), stop)

    train.run(make_context(project), StopRequested())

    assert same_bits(saved_parts(project.run_dir, 6), saved_parts(straight.run_dir, 6))


def test_a_rollout_leaves_the_given_frame_where_it_is(tmp_path):
    rolled = {"regularizers.rollout.max_step_offset": 3, "regularizers.rollout.probability": 1.0}
    _, ctx, _ = encoded_project(tmp_path, **GIVEN | rolled)
    state, maker = train.build_state(ctx), batch_maker(ctx)
    part = next(p for step in range(9) for p in maker.make(step).parts if p.offsets is not None and p.offsets[0] > 1)

    inputs = make_inputs(state.model, part, ctx.settings.train)
    noisy, target = inputs.noisy, inputs.target

    assert torch.equal(noisy[:, :, 0], part.latents[:, :, 0])
    count, sigma = int(part.offsets[0]), part.sigma[:1]
    start = (sigma + count / 1000).view(1, 1, 1, 1, 1)
    x = (1 - start) * part.latents[:1] + start * part.noise[:1]
    x[:, :, 0] = part.latents[:1, :, 0]
    for left in range(count, 0, -1):
        told = (sigma * 1000 + left + 1e-3).floor().long()[:, None].repeat(1, x.shape[2])
        told[:, 0] = 0
        with torch.no_grad():
            guess = state.model(x, part.text[:1], told, encoder_attention_mask=part.mask[:1], return_dict=False)[0]
        x[:, :, 1:] -= guess[:, :, 1:] / 1000
    assert torch.allclose(noisy[:1], x, atol=1e-5)
    assert torch.allclose((noisy[:1] - sigma * target[:1])[:, :, 1:], part.latents[:1, :, 1:], atol=1e-4)


def test_features_are_aligned_beside(tmp_path):
    crepa = {"enabled": True, "block_index": 0, "feature_source": "backbone", "teacher_block_index": 1}
    _, ctx, _ = encoded_project(tmp_path, **GIVEN | {f"regularizers.crepa.{name}": v for name, v in crepa.items()})

    train.run(ctx, StopRequested())

    assert saved_parts(ctx.run_dir, 4)


@pytest.mark.parametrize("kind", ["block_level", "leaf_level"])
def test_weights_that_wait_elsewhere_change_no_bit(tmp_path, kind):
    weights = {}
    for name, more in {"here": {}, "away": {"enabled": True, "type": kind}}.items():
        away = {f"memory.group_offload.{key}": value for key, value in more.items()}
        _, ctx, _ = encoded_project(tmp_path / name, **GIVEN | LORA | {"memory.gradient_checkpointing": True} | away)
        train.run(ctx, StopRequested())
        weights[name] = saved_parts(ctx.run_dir, 4)

    assert same_bits(weights["here"], weights["away"])


# With masks


MASKED = GIVEN | {
    "regularizers.masked_loss.enabled": True,
    "regularizers.masked_loss.background_weight": 0.0,
    "train.batch_size": 1,
}


def test_a_mask_counts_in_the_frames_that_are_learnt(tmp_path):
    mask = np.zeros((72, 96, 3), np.uint8)
    mask[:, :48] = 255
    masks = {clip.name: mask for clip in CLIPS}
    _, ctx, _ = encoded_project(tmp_path, **MASKED | {"masks": masks})

    for step in range(4):
        weights = batch_maker(ctx).make(step).parts[0].weights[0, 0]
        assert weights[0].abs().sum() == 0
        assert weights.mean().item() == pytest.approx(1.0)  # divided by their mean over the learnt frames
        assert weights[1:, :, -1].abs().sum() == 0
        assert torch.equal(weights[1], weights[2])


def test_a_mask_that_is_white_in_the_given_frame_alone_leaves_nothing_to_learn(tmp_path):
    _, ctx, _ = encoded_project(tmp_path, **MASKED)
    clip = ctx.rows[0]
    path = ctx.dataset_dir(clip.dataset) / "first.mp4"
    frames = np.zeros((9, 64, 64, 3), np.uint8)
    frames[0] = 255
    write_video(path, frames, 16, crf=0)
    stat, sha256 = path.stat(), hashlib.sha256(path.read_bytes()).hexdigest()
    of = {"mask_dataset": clip.dataset, "mask_path": path.name, "mask_sha256": sha256}
    row = replace(clip, **of, mask_size_bytes=stat.st_size, mask_mtime_ns=stat.st_mtime_ns)
    masked = replace(ctx, rows=(row, *ctx.rows[1:]))
    from recipe_runtime.masks import encode_masks, mask_index

    encode_masks(masked, StopRequested())
    mask = ctx.store.read("masks", mask_index(masked)[row.clip_id])["mask"]
    assert (mask[0].max() > 0.5, mask[1:].max() < 0.3) == (True, True)
    replace_value(ctx.store, "masks", mask_index(masked)[row.clip_id], {"mask": torch.cat([mask[:1], mask[1:] * 0])})

    with pytest.raises(MediaError, match="wholly black where their clips are trained"):
        check_masks(masked)
    learnt = changed(masked.settings.data.datasets[0].video, is_i2v=False)
    dataset = changed(masked.settings.data.datasets[0], video=learnt)
    settings = changed(masked.settings, data=changed(masked.settings.data, datasets=(dataset,)))
    check_masks(replace(masked, settings=settings))


# Measured


def test_clips_of_such_a_data_set_are_measured_with_their_first_frame_given(tmp_path):
    apart = (Clip(name="e.mp4", caption="a gray disc waits", fate="evaluated"),)
    measured = {"clips": CLIPS + apart, "evaluation.timesteps": 2, "evaluation.step_interval": 2}
    _, ctx, events = encoded_project(tmp_path, **HALF | measured)
    state = train.build_state(ctx)
    latents, texts = latent_index(ctx), text_index(ctx)

    Evaluator(ctx, latents=latents, texts=texts).measure(state)

    (figure,), (row,) = events.of(Evaluated), ctx.eval_rows
    data = ctx.store.read("latents", latents[row.clip_id])["latents"][None]
    text = ctx.store.read("text", texts[row.text, True])["embeds"][None].float()
    noise = clip_noise(row, data[0])[None]
    expected = []
    for level in (noise_schedule().levels[index] for index in (250, 750)):
        noisy = (1 - level.sigma) * data + level.sigma * noise
        noisy[:, :, 0] = data[:, :, 0]
        told = torch.tensor([[0, *[int(level.timestep)] * (data.shape[2] - 1)]])
        with torch.no_grad():
            guess = state.model(noisy, text, told, return_dict=False)[0]
        expected.append((guess - (noise - data))[:, :, 1:].square().mean().item())
    assert figure.losses == pytest.approx(expected, rel=1e-5)


# Drawn


def first_image(root, name="start.png", size=(128, 64), drawn=(96, 64)):
    """A picture wider than the clip: covered without enlarging, and cropped at the sides."""
    path = root / name
    frames = draw_disc(size, 3, (250, 20, 20))
    write_png(path, frames[0]) if path.suffix == ".png" else write_video(path, frames, 16)
    return FirstImage(
        path=name,
        sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        size_bytes=path.stat().st_size,
        bucket_width=drawn[0],
        bucket_height=drawn[1],
        resize_width=size[0],
        resize_height=size[1],
        crop_left=(size[0] - drawn[0]) // 2,
        crop_top=0,
    )


def drawing(tmp_path, name="start.png", **overrides):
    (tmp_path / "project").mkdir(parents=True)
    image = first_image(tmp_path / "project", name)
    prompts = (Prompt(nickname="main", text="a red disc.", image=image), Prompt(nickname="plain", text="a red disc."))
    _, ctx, _ = encoded_project(tmp_path, **GIVEN | {"prompts": prompts} | overrides)
    return ctx, image


def drawn_latents(ctx, state=None):
    """The latents that are decoded, by clip."""
    state, found = state or train.build_state(ctx), []
    original = artist.decode

    def listen(vae, latents):
        found.append(latents.clone())
        return original(vae, latents)

    artist.decode = listen
    try:
        assert validate.draw_clips(ctx, state, text_index(ctx), StopRequested()) == ()
    finally:
        artist.decode = original
    return found


@pytest.mark.parametrize("guidance", [6.0, 1.0])
def test_a_clip_is_what_diffusers_pipeline_draws_from_the_picture(tmp_path, guidance):
    ctx, _ = drawing(tmp_path, **{"validation.guidance": guidance})
    state = train.build_state(ctx)

    from_picture, from_text = drawn_latents(ctx, state)

    home = ctx.root / "models" / "tiny"
    stock = SanaImageToVideoPipeline.from_pretrained(home)
    stock.scheduler = FlowMatchEulerDiscreteScheduler(shift=8.0)
    stock.set_progress_bar_config(disable=True)
    texts = text_index(ctx)
    read = [ctx.store.read("text", texts[key])["embeds"] for key in (("a red disc.", True), ("", False))]
    embeds, mask = pad_texts(read)
    picture = draw_disc((128, 64), 3, (250, 20, 20))[0][:, 16:112]
    expected = stock(
        image=torch.from_numpy(picture.copy()).permute(2, 0, 1)[None] / 255,
        prompt_embeds=embeds[:1],
        prompt_attention_mask=mask[:1],
        negative_prompt=None,
        negative_prompt_embeds=embeds[1:],
        negative_prompt_attention_mask=mask[1:],
        guidance_scale=guidance,
        num_inference_steps=2,
        height=64,
        width=96,
        frames=9,
        generator=torch.Generator().manual_seed(42),
        use_resolution_binning=False,
        output_type="latent",
        return_dict=False,
    )[0]
    assert torch.allclose(from_picture, expected, atol=2e-4)
    assert (from_picture - from_text).abs().max() > 0.1
    assert not hasattr(state.model, "_forward_pre_hooks") or not state.model._forward_pre_hooks


def test_the_public_example_gives_another_shift_than_it_asks_for():
    """`from_config` does not know `flow_shift`, so that clips would be drawn with shift 1."""
    published = FlowMatchEulerDiscreteScheduler.from_config(FlowMatchEulerDiscreteScheduler().config, flow_shift=8.0)

    assert published.config.shift == 1.0
    assert shift_of(FlowMatchEulerDiscreteScheduler(shift=8.0)) == 8.0


def test_the_clip_begins_with_the_picture_of_a_video_too(tmp_path):
    ctx, image = drawing(tmp_path, "start.mp4")

    frame = read_first_frame(ctx.resolve(image.path), image)

    drawn = draw_disc((128, 64), 3, (250, 20, 20))[0][:, 16:112]
    assert frame.shape == (1, 64, 96, 3)
    assert np.abs(frame[0].numpy().astype(int) - drawn).mean() < 6
    (ctx.root / "broken.png").write_bytes(b"no picture")
    with pytest.raises(MediaError, match=r"take another picture in `validation.images`"):
        read_first_frame(ctx.root / "broken.png", image)


def test_drawing_in_turns_on_the_device_gives_the_same_clip(tmp_path):
    plain, _ = drawing(tmp_path / "a")
    turns, _ = drawing(tmp_path / "b", **{"memory.model_cpu_offload": True})

    assert all(map(torch.equal, drawn_latents(plain), drawn_latents(turns)))


def test_previews_begin_with_the_picture_too(tmp_path, monkeypatch):
    shown = []
    monkeypatch.setattr(Previews, "_write", lambda _self, path, latents: shown.append((path.name, latents)))
    steps = {"validation.preview.enabled": True, "validation.preview.steps": 2, "validation.num_inference_steps": 4}
    ctx, _ = drawing(tmp_path, **steps)

    with_picture, plain = drawn_latents(ctx)

    assert [name for name, _ in shown] == ["main-002.mp4", "main-004.mp4", "plain-002.mp4", "plain-004.mp4"]
    assert {latents.shape for _, latents in shown} == {with_picture.shape[1:]}
    for _, latents in shown[:2]:
        assert torch.equal(latents[:, 0], with_picture[0, :, 0])
    for (_, latents), clip in zip(shown[1::2], (with_picture, plain), strict=True):
        assert torch.allclose(latents, clip[0].float(), atol=1e-4)  # after the last step nothing is left to do


def test_another_picture_is_another_clip_and_one_that_changed_is_refused(tmp_path):
    ctx, image = drawing(tmp_path)
    names = {clip.nickname: clip.note for clip in validate.planned_clips(ctx, 0)}
    other = replace(image, sha256="0" * 64)
    execution = ctx.plan.execution
    prompts = (replace(execution.prompts[0], image=other), execution.prompts[1])
    changed = replace(ctx, plan=replace(ctx.plan, execution=replace(execution, prompts=prompts)))
    again = {clip.nickname: clip.note for clip in validate.planned_clips(changed, 0)}

    assert (names["main"] == again["main"], names["plain"] == again["plain"]) == (False, True)
    preflight.check_images(ctx)
    ctx.resolve(image.path).unlink()
    with pytest.raises(PlanRefused, match=r"the first frame of prompt `main` is not that of the plan: .* is gone"):
        preflight.check(ctx)
