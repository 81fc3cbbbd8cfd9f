import math
import shutil
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file
from transformers import Dinov2Config, Dinov2Model

from fakes_runtime import CLIPS, make_context, make_project
from fakes_store import lose_value, stored_values
from fakes_training import StopAfter, batch_maker, encoded_project, same_bits, saved_parts
from recipe_runtime import encode_features, encode_video, export, preflight, train
from recipe_runtime.clip import read_clip
from recipe_runtime.crepa import FeatureReader, alignment, on_grid, weight_at
from recipe_runtime.encode_features import chosen_frames, feature_index
from recipe_runtime.errors import CheckpointError, ModelError, StoppedBySignal
from recipe_runtime.execute import STAGES
from recipe_runtime.models.teacher import load_teacher, patch_features
from recipe_runtime.optim import KINDS
from recipe_runtime.space import estimate_needs
from recipe_runtime.step import train_step
from recipe_runtime.stop import StopRequested
from recipe_schema.decode import decode_settings
from recipe_schema.events import Aligned, StageStarted, StepDone
from recipe_schema.shards import NOTED


CREPA = "regularizers.crepa"
BACKBONE = {f"{CREPA}.feature_source": "backbone", f"{CREPA}.teacher_block_index": 1}
SELF_FLOW = {
    f"{CREPA}.feature_source": "self_flow",
    f"{CREPA}.teacher_block_index": 1,
    f"{CREPA}.self_flow_mask_ratio": 0.25,
    "ema.enabled": True,
}
LORA = {"model.type": "lora", "model.lora.rank": 2, "model.lora.alpha": 2.0}


@pytest.fixture(scope="module")
def teacher(tmp_path_factory):
    """Return the folder of a tiny random teacher: four patches of 14 pixels at size 28."""
    folder = tmp_path_factory.mktemp("teacher")
    torch.manual_seed(1)
    config = Dinov2Config(hidden_size=24, num_hidden_layers=2, num_attention_heads=2, image_size=42)
    Dinov2Model(config).save_pretrained(folder)
    return folder


@pytest.fixture
def aligned(teacher):
    """Return the settings of a run that aligns the first block."""
    names = {"enabled": True, "block_index": 0, "encoder_path": str(teacher), "encoder_image_size": 28}
    return {"prompts": (), "train.batch_size": 2, **{f"{CREPA}.{name}": value for name, value in names.items()}}


@pytest.fixture
def settings(tmp_path):
    """Return the section's settings, made by name."""
    plain = make_project(tmp_path / "settings").plan.settings
    return lambda **changes: (
        decode_settings({**plain, **{f"{CREPA}.{name}": value for name, value in changes.items()}}).regularizers.crepa
    )


def unit(*values):
    vector = torch.tensor(values, dtype=torch.float32)
    return vector / vector.norm()


THREE = (
    torch.stack([unit(1, 0), unit(1, 1), unit(0, 1)]).view(1, 3, 1, 2),
    torch.stack([unit(1, 0), unit(0, 1), unit(-1, 0)]).view(1, 3, 1, 2),
)
"""Three frames of one place: own similarities 1, r and 0 with r = 1/√2."""


def test_three_frames_by_hand(settings):
    r, w = 1 / math.sqrt(2), math.exp(-1)
    # ⟨p1,y2⟩ = 0; ⟨p2,y1⟩ = r, ⟨p2,y3⟩ = -r; ⟨p3,y2⟩ = 1. The ends have one neighbour.
    sums = [1 + w * 0, r + w * (r - r), 0 + w * 1]

    score, similarity = alignment(*THREE, settings(normalize_by_frames=False))

    assert score.item() == pytest.approx(sum(sums), abs=1e-6)
    assert similarity.item() == pytest.approx((1 + r + 0) / 3, abs=1e-6)
    mean, _ = alignment(*THREE, settings())
    assert mean.item() == pytest.approx(sum(sums) / 3, abs=1e-6)
    shared, _ = alignment(*THREE, settings(normalize_neighbour_sum=True))
    parts = [sums[0] / (1 + w), sums[1] / (1 + 2 * w), sums[2] / (1 + w)]
    assert shared.item() == pytest.approx(sum(parts) / 3, abs=1e-6)


def test_the_middle_frame_counts_both_neighbours(settings):
    student, teacher = torch.zeros(1, 3, 1, 2), THREE[1]
    student[0, 1, 0] = unit(1, 2)
    p, y = student[0, :, 0], teacher[0, :, 0]

    score, _ = alignment(student, teacher, settings(normalize_by_frames=False))

    assert score.item() == pytest.approx((p[1] @ y[1] + math.exp(-1) * (p[1] @ y[2] + p[1] @ y[0])).item(), abs=1e-6)


@pytest.mark.parametrize(
    ("distance", "tau", "expected"),
    [
        (0, 1.0, 1 + 2**-0.5),
        (2, 1.0, 1 + 2**-0.5 - math.exp(-2)),
        (2, 4.0, 1 + 2**-0.5 - math.exp(-0.5)),
        (3, 1.0, 1 + 2**-0.5),
    ],
)
def test_neighbours_are_those_at_exactly_the_distance(settings, distance, tau, expected):
    # ⟨p1,y3⟩ = -1 and ⟨p3,y1⟩ = 0.
    changes = {"adjacent_distance": distance, "adjacent_tau": tau, "normalize_by_frames": False}

    assert alignment(*THREE, settings(**changes))[0].item() == pytest.approx(expected, abs=1e-6)


def test_places_are_averaged_and_lengths_do_not_matter(settings):
    student, teacher = torch.randn(2, 1, 5, 8), torch.randn(2, 1, 5, 8)
    cosines = torch.nn.functional.cosine_similarity(student, teacher, dim=-1).mean(dim=(1, 2))

    score, similarity = alignment(7 * student, 3 * teacher, settings())

    assert torch.allclose(score, cosines, atol=1e-6)
    assert torch.equal(score, similarity)


def test_features_are_resampled_in_two_dimensions():
    rows, columns = torch.meshgrid(torch.arange(8.0), torch.arange(8.0), indexing="ij")
    features = torch.stack([rows, columns], dim=-1).view(1, 1, 64, 2)

    found = on_grid(features, (1, 4, 16)).view(4, 16, 2)

    assert torch.allclose(found[1, :, 0], found[1, :1, 0].expand(16))  # a row stays a row
    assert torch.allclose(found[:, 3, 1], found[:1, 3, 1].expand(4))  # and a column a column
    assert (found[1:, 0, 0] > found[:-1, 0, 0]).all()
    assert found[..., 0].mean().item() == pytest.approx(3.5)
    assert torch.equal(on_grid(features, (1, 8, 8)), features)


def test_frames_are_evenly_spaced_and_rounded_down():
    assert chosen_frames(81, 21) == list(range(0, 81, 4))
    assert chosen_frames(9, 3) == [0, 4, 8]
    assert chosen_frames(6, 4) == [0, 1, 3, 5]
    assert chosen_frames(1, 1) == [0]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, {0: 0.5, 99: 0.5}),
        ({"warmup_steps": 10}, {0: 0.0, 5: 0.25, 9: 0.45, 10: 0.5, 99: 0.5}),
        ({"schedule": "linear"}, {0: 0.5, 50: 0.25, 100: 0.0}),
        (
            {"schedule": "linear", "warmup_steps": 10, "decay_steps": 20, "weight_end": 0.1},
            {5: 0.25, 15: 0.3, 20: 0.1, 99: 0.1},
        ),
        ({"schedule": "cosine", "decay_steps": 20}, {0: 0.5, 5: 0.25 * (1 + math.cos(math.pi / 4)), 10: 0.25, 20: 0.0}),
        ({"schedule": "polynomial", "power": 2.0, "weight_end": 0.1, "decay_steps": 20}, {0: 0.5, 10: 0.2, 20: 0.1}),
        ({"cutoff_step": 7}, {6: 0.5, 7: 0.0, 99: 0.0}),
    ],
)
def test_the_weight_over_the_run(settings, changes, expected):
    chosen = settings(**changes)

    assert {step: weight_at(step, chosen, max_steps=100) for step in expected} == pytest.approx(expected)


# The teacher


def test_features_are_those_of_the_clips_own_pixels(tmp_path, teacher, aligned):
    _, ctx, _ = encoded_project(tmp_path, **aligned)
    model, row = load_teacher(teacher, ctx.device), ctx.rows[0]
    frames = read_clip(ctx.clip_path(row), row)[[0, 4, 8]]
    pixels = torch.nn.functional.interpolate(
        frames.permute(0, 3, 1, 2).float() / 255, (28, 28), mode="bilinear", antialias=True
    )
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    with torch.no_grad():
        states = model((pixels - mean.view(3, 1, 1)) / std.view(3, 1, 1)).last_hidden_state

    found = ctx.store.read("features", feature_index(ctx)[row.clip_id])["features"]

    assert found.shape == (3, 4, 24)
    assert found.dtype == torch.float16
    assert torch.allclose(found.float(), states[:, 1:], atol=2e-3)
    some = patch_features(model, frames, size=28, at_once=2)
    assert torch.allclose(some, patch_features(model, frames, size=28, at_once=-1), atol=1e-6)


def test_each_window_of_a_clip_has_features_of_its_own(tmp_path, aligned):
    long = replace(CLIPS[0], fps=16, frames=32, more_starts=(10 / 16, 21 / 16))
    _, ctx, _ = encoded_project(tmp_path, **aligned, clips=(long, replace(long, name="z.mp4", drawn=True)))

    index = feature_index(ctx)

    assert list(index) == [f"discs/{name}.mp4#{number}" for name in "az" for number in (1, 2, 3)]
    assert len({ctx.store.read("features", key)["features"].sum().item() for key in index.values()}) == 6
    read, maker = FeatureReader(Always(), ctx.store, index), batch_maker(ctx)
    for step in range(4):
        samples = maker.make(step).samples
        expected = [ctx.store.read("features", index[sample.row.clip_id])["features"] for sample in samples]
        assert torch.equal(read(step, samples), torch.stack(expected))


class Always:
    """An alignment that every step needs."""

    def reads(self, step):
        return step >= 0


def test_features_are_made_once_and_named_by_what_makes_them(tmp_path, aligned, monkeypatch):
    own = {**aligned, "data.store_dir": "store"}
    project, first, _ = encoded_project(tmp_path / "a", **own)
    events = []
    monkeypatch.setattr(encode_features, "load_teacher", None)  # nothing is loaded where nothing is missing
    STAGES["encode-video"](make_context(project, [events.append]), StopRequested())
    assert [(e.total, e.reused) for e in events if isinstance(e, StageStarted)] == [(4, 4), (4, 4)]
    keys = {feature_index(first)[first.rows[0].clip_id]}
    keys.add(feature_index(replace(first, rows=(replace(first.rows[0], crop_left=1),)))[first.rows[0].clip_id])
    monkeypatch.undo()

    _, other, _ = encoded_project(tmp_path / "b", **{**own, f"{CREPA}.encoder_image_size": 42})
    keys.add(feature_index(other)[other.rows[0].clip_id])
    assert len(keys) == 3
    assert encode_video.latent_index(other) == encode_video.latent_index(first)
    _, same, _ = encoded_project(
        tmp_path / "c", **{**own, f"{CREPA}.weight": 0.1, f"{CREPA}.encoder_frames_batch_size": 1}
    )
    assert feature_index(same) == feature_index(first)


def test_a_model_as_its_own_teacher_needs_no_features(tmp_path, aligned):
    _, ctx, _ = encoded_project(tmp_path, **{**aligned, **BACKBONE, "data.store_dir": "store"})

    assert not any(kind == "features" for kind, _ in stored_values(ctx.store.folder))
    train.run(ctx, StopRequested())


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (shutil.rmtree, r"does not exist; correct `regularizers.crepa.encoder_path`"),
        (lambda folder: (folder / "config.json").unlink(), r"config.json does not exist"),
        (lambda folder: (folder / "model.safetensors").unlink(), r"holds no weights"),
        (lambda folder: (folder / "config.json").write_text('{"model_type": "vit"}'), r"type vit where .* dinov2"),
        (
            lambda folder: (folder / "config.json").write_text(
                '{"model_type": "dinov2", "patch_size": 16, "hidden_size": 24}'
            ),
            r"is 28, and the teacher .* patches of 16 pixels",
        ),
    ],
)
def test_a_teacher_that_is_missing_or_another_is_found_before_anything_runs(
    tmp_path, teacher, aligned, damage, message
):
    shutil.copytree(teacher, tmp_path / "copy")
    _, ctx, _ = encoded_project(tmp_path, **{**aligned, f"{CREPA}.encoder_path": str(tmp_path / "copy")})
    preflight.check(ctx)
    damage(tmp_path / "copy")

    with pytest.raises(ModelError, match=message):
        preflight.check(ctx)


def test_the_disk_is_checked_for_the_features(tmp_path, aligned):
    _, ctx, _ = encoded_project(tmp_path, **{**aligned, "data.store_dir": "store"})
    assert {need.what: need.bytes for need in estimate_needs(ctx)}["the teacher's features"] == 0
    for key in feature_index(ctx).values():
        lose_value(ctx.store, "features", key)

    needs = {need.what: need.bytes for need in estimate_needs(ctx)}

    assert needs["the teacher's features"] == 4 * (3 * 4 * 24 * 2 + NOTED)


# Training


def first_step(tmp_path, *, step=0, **overrides):
    """Take a step; return its result, gradients by name, what alignment told, and the state."""
    _, ctx, _ = encoded_project(tmp_path, **overrides)
    state = train.build_state(ctx)
    maker = batch_maker(ctx)
    if state.alignment is not None and encode_features.has_teacher(ctx):
        maker._features = FeatureReader(state.alignment, ctx.store, feature_index(ctx))
    if state.alignment is not None:
        state.alignment.begin(step)
    result = train_step(
        state.model,
        state.optimizer,
        maker.make(step),
        rate=1e-3,
        settings=ctx.settings.train,
        release=state.release,
        alignment=state.alignment,
    )
    gradients = {name: p.grad.clone() for name, p in state.optimized().items() if p.grad is not None}
    return result, gradients, None if state.alignment is None else state.alignment.finish(), state


@pytest.mark.parametrize("source", [{}, BACKBONE])
def test_only_the_projector_and_what_leads_to_the_block_learn_from_it(tmp_path, aligned, source):
    free = {"train.max_grad_norm": 0.0, **aligned, **source}
    plain, without, _, _ = first_step(tmp_path / "off", **{**free, f"{CREPA}.enabled": False})

    result, found, told, state = first_step(tmp_path, **free)

    assert result.losses == plain.losses  # what is reported stays the error of the prediction
    assert told.weight == 0.5
    assert set(found) - set(without) == set(state.alignment.parameters())
    assert all(found[name].abs().sum() > 0 for name in state.alignment.parameters())
    changed = {name for name, gradient in without.items() if not torch.equal(gradient, found[name])}
    assert any(name.startswith("transformer_blocks.0.") for name in changed)
    assert "patch_embedding.bias" in changed
    assert not any(name.startswith(("transformer_blocks.1.", "proj_out", "scale_shift_table")) for name in changed)


@pytest.mark.parametrize("precision", ["no", "bf16"])
@pytest.mark.parametrize("source", [{}, BACKBONE, SELF_FLOW, {f"{CREPA}.spatial_align": False}, LORA, LORA | SELF_FLOW])
def test_checkpointing_changes_no_bit(tmp_path, aligned, precision, source):
    chosen = {**aligned, **source, "train.mixed_precision": precision}
    plain, expected, told, _ = first_step(tmp_path / "plain", **chosen)

    result, found, again, _ = first_step(tmp_path, **chosen, **{"memory.gradient_checkpointing": True})

    assert (result, again) == (plain, told)
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], gradient) for name, gradient in expected.items())


def test_micro_batches_make_one_step(tmp_path, aligned):
    _, whole, told, _ = first_step(tmp_path / "whole", **{**aligned, "train.max_grad_norm": 0.0})
    cut = {"train.batch_size": 1, "train.gradient_accumulation_steps": 2, "train.max_grad_norm": 0.0}

    _, found, again, _ = first_step(tmp_path, **{**aligned, **cut})

    assert again.similarity == pytest.approx(told.similarity, rel=1e-5)
    assert all(torch.allclose(found[name], gradient, rtol=1e-4, atol=1e-6) for name, gradient in whole.items())


def test_the_loss_is_minus_the_weighted_score(tmp_path, aligned):
    far = {f"{CREPA}.adjacent_distance": 0, f"{CREPA}.weight": 0.25}

    _, _, told, _ = first_step(tmp_path, **{**aligned, **far})

    assert told == Aligned(
        step=1,
        loss=-0.25 * told.similarity,
        similarity=told.similarity,
        average_similarity=told.similarity,
        weight=0.25,
    )


@pytest.mark.parametrize("extra", [{"cutoff_step": 1}, {"warmup_steps": 3}, {"weight": 0.0}])
def test_nothing_is_computed_nor_read_without_weight(tmp_path, aligned, extra, monkeypatch):
    chosen = {f"{CREPA}.{name}": value for name, value in extra.items()}
    _, ctx, events = encoded_project(tmp_path, **{**aligned, **chosen, "memory.probe_largest_bucket": False})
    read, hooked = [], []
    monkeypatch.setattr(
        ctx.store, "read", lambda kind, key, read=read, do=ctx.store.read: read.append(kind) or do(kind, key)
    )
    real = torch.nn.Module.register_forward_hook
    monkeypatch.setattr(torch.nn.Module, "register_forward_hook", lambda m, f: hooked.append(m) or real(m, f))

    train.run(ctx, StopRequested())

    weights = [event.weight for event in events.of(Aligned)]
    expected = {"cutoff_step": [0.5], "warmup_steps": [0.5 / 3, 1 / 3, 0.5], "weight": []}
    assert weights == pytest.approx(expected[next(iter(extra))])
    assert len(hooked) == len(weights)
    assert read.count("features") == 2 * len(weights)


def test_off_is_as_if_it_were_not_there(tmp_path, aligned):
    _, plain, events = encoded_project(tmp_path / "plain", prompts=(), **{"train.batch_size": 2})
    train.run(plain, StopRequested())
    _, off, _ = encoded_project(tmp_path / "off", **{**aligned, f"{CREPA}.enabled": False})
    train.run(off, StopRequested())
    _, idle, _ = encoded_project(tmp_path / "idle", **{**aligned, f"{CREPA}.weight": 0.0})
    train.run(idle, StopRequested())

    assert same_bits(saved_parts(plain.run_dir, 4), saved_parts(off.run_dir, 4))
    assert not events.of(Aligned)
    assert torch.equal(
        saved_parts(idle.run_dir, 4)["model"]["proj_out.weight"],
        saved_parts(plain.run_dir, 4)["model"]["proj_out.weight"],
    )


FULL = {"max_steps": 6, "ema.enabled": True, "train.mixed_precision": "bf16"}
THRESHOLD = {f"{CREPA}.similarity_threshold": 0.02, f"{CREPA}.similarity_ema_decay": 0.5}


@pytest.mark.parametrize("cut", [1, 3])
@pytest.mark.parametrize("extra", [{}, BACKBONE, SELF_FLOW, LORA, THRESHOLD, {"optimizer.name": "schedule-free"}])
def test_stopping_and_going_on_equals_going_straight_on_bit_for_bit(tmp_path, aligned, cut, extra):
    chosen = {**aligned, **FULL, **extra}
    _, straight, all_events = encoded_project(tmp_path / "straight", **chosen)
    train.run(straight, StopRequested())
    project, _, _ = encoded_project(tmp_path / "cut", **chosen)
    stop = StopAfter(cut)
    with pytest.raises(StoppedBySignal):
        train.run(make_context(project, [stop]), stop)
    later = []

    train.run(make_context(project, [later.append]), StopRequested())

    saved = saved_parts(project.run_dir, 6)
    assert same_bits(saved, saved_parts(straight.run_dir, 6))
    assert "crepa" in saved
    assert not any(name.startswith("crepa") for name in (*saved["model"], *saved["ema"]))
    assert "exp_avg_sq.crepa_projector.linear.weight" in saved["optimizer"]
    assert [e for e in later if isinstance(e, Aligned)] == [e for e in all_events.of(Aligned) if e.step > cut]


def test_it_learns_to_be_similar(tmp_path, aligned):
    _, ctx, events = encoded_project(tmp_path, **{**aligned, "max_steps": 12, "optimizer.learning_rate": 3e-3})

    train.run(ctx, StopRequested())

    told = events.of(Aligned)
    assert told[-1].similarity > told[0].similarity + 0.2
    kinds = [type(event) for event in events if isinstance(event, Aligned | StepDone)]
    assert kinds == [Aligned, StepDone] * 12


@pytest.mark.parametrize("mode", ["permanent", "recoverable"])
def test_a_threshold_ends_alignment_and_is_remembered(tmp_path, aligned, mode):
    chosen = {
        f"{CREPA}.similarity_threshold": 0.5,
        f"{CREPA}.similarity_ema_decay": 0.0,
        f"{CREPA}.threshold_mode": mode,
    }
    _, _, told, state = first_step(tmp_path, **{**aligned, **chosen})
    assert told.weight == 0.5
    it = state.alignment

    def take(step, similarity):
        it.begin(step)
        if it.active:
            it._scores, it._similarities = [torch.tensor([similarity])], [torch.tensor([similarity])]
        told = it.finish()
        return None if told is None else told.weight

    assert [take(1, 0.4), take(2, 0.5)] == [0.5, 0.5]
    saved = {name: tensor.clone() for name, tensor in it.state().items()}
    it._average, it._ended = None, False
    it.load(saved)
    if mode == "permanent":
        assert not it.reads(3)
        assert [take(3, 0.1), take(4, 0.1)] == [None, None]
    else:
        assert it.reads(3)
        assert [take(3, 0.1), take(4, 0.1)] == [0.0, 0.5]


def test_a_similarity_that_is_only_measured_changes_nothing(tmp_path, aligned):
    mode = {f"{CREPA}.similarity_threshold": 0.5, f"{CREPA}.threshold_mode": "recoverable"}
    _, ctx, _ = encoded_project(tmp_path, **{**aligned, **mode})
    state = train.build_state(ctx)
    state.alignment._ended = True
    state.alignment.begin(0)
    reader = FeatureReader(state.alignment, ctx.store, feature_index(ctx))
    maker = batch_maker(ctx)
    maker._features = reader

    train_step(
        state.model, state.optimizer, maker.make(0), rate=1e-3, settings=ctx.settings.train, alignment=state.alignment
    )

    assert all(parameter.grad is None for parameter in state.alignment.parameters().values())
    assert state.alignment.finish().weight == 0


def test_gradients_that_are_released_train_the_projector_too(tmp_path, aligned):
    released = {"optimizer.release_gradients": True, "train.max_grad_norm": 0.0}
    _, _, _, kept = first_step(tmp_path / "kept", **{**aligned, "train.max_grad_norm": 0.0})

    _, _, _, state = first_step(tmp_path, **{**aligned, **released})

    for name, parameter in kept.alignment.parameters().items():
        assert torch.equal(parameter, state.alignment.parameters()[name])


@pytest.mark.parametrize("name", ["adamw_bf16", "optimi-adamw"])
def test_the_projector_stays_in_fp32(tmp_path, aligned, name):
    assert name in KINDS
    result, _, _, state = first_step(tmp_path, **{**aligned, "optimizer.name": name, "train.mixed_precision": "bf16"})

    assert result.finite
    assert {parameter.dtype for parameter in state.alignment.parameters().values()} == {torch.float32}
    assert state.model.proj_out.weight.dtype == torch.bfloat16


def test_a_checkpoint_of_another_teacher_does_not_fit(tmp_path, aligned):
    _, _, _, state = first_step(tmp_path, **aligned)
    parts = {part: dict(tensors) for part, tensors in state.parts().items()}
    parts["crepa"]["crepa_projector.linear.bias"] = torch.zeros(5)

    with pytest.raises(CheckpointError, match=r"crepa does not fit .* crepa_projector.linear.bias"):
        state.load(parts, 1)


@pytest.mark.parametrize("kind", [{}, LORA])
def test_the_projector_lies_beside_the_export(tmp_path, aligned, kind):
    _, ctx, _ = encoded_project(tmp_path, **{**aligned, **kind})
    train.run(ctx, StopRequested())

    export.run(ctx)

    projector = load_file(ctx.run_dir / export.PROJECTOR)
    assert {name: tuple(tensor.shape) for name, tensor in projector.items()} == {
        "crepa_projector.norm.weight": (48,),
        "crepa_projector.norm.bias": (48,),
        "crepa_projector.linear.weight": (24, 48),
        "crepa_projector.linear.bias": (24,),
    }
    saved = saved_parts(ctx.run_dir, 4)["crepa"]
    assert all(torch.equal(tensor, saved[name]) for name, tensor in projector.items())
    assert not list((ctx.run_dir / "export").rglob("crepa*"))
