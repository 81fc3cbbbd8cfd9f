import av
import pytest
import torch
from diffusers.schedulers.scheduling_dpmsolver_multistep import DPMSolverMultistepScheduler
from diffusers.schedulers.scheduling_flow_match_euler_discrete import FlowMatchEulerDiscreteScheduler
from diffusers.schedulers.scheduling_unipc_multistep import UniPCMultistepScheduler

from fakes_training import encoded_project
from recipe_runtime import preflight, train, validate
from recipe_runtime.encode_text import text_index
from recipe_runtime.errors import ModelError
from recipe_runtime.keeping.collect import NEEDED
from recipe_runtime.models.tiny_decoder import TinyDecoder
from recipe_runtime.preview import watched
from recipe_runtime.stop import StopRequested
from recipe_runtime.train import build_state
from recipe_schema.events import ClipDrawn, ClipPreviewed, Warned


SCHEDULERS = (
    DPMSolverMultistepScheduler(prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=8.0),
    FlowMatchEulerDiscreteScheduler(shift=8.0),
    UniPCMultistepScheduler(prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=8.0),
)


def previewing(tmp_path, every=1, steps=4, **more):
    settings = {"validation.preview.enabled": True, "validation.preview.steps": every}
    return encoded_project(tmp_path, **{**settings, "validation.num_inference_steps": steps, **more})


def draw(ctx):
    return validate.draw_clips(ctx, build_state(ctx), text_index(ctx), StopRequested())


@pytest.mark.parametrize("scheduler", SCHEDULERS, ids=lambda scheduler: type(scheduler).__name__)
def test_what_is_shown_is_the_clean_clip_whichever_solver_draws(scheduler):
    clean, noise = torch.randn(2, 1, 16, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    scheduler.set_timesteps(6)
    shown = []
    # A model that knows the answer: its velocity is n - x0 at every level.
    x = noise.clone()
    with watched(scheduler, lambda done, estimate: shown.append((done, estimate()))):
        for time in scheduler.timesteps:
            x = scheduler.step(noise - clean, time, x, return_dict=False)[0]

    assert [done for done, _ in shown] == [1, 2, 3, 4, 5, 6]
    # It starts from x = n, where the schedule's first level is a little below 1.
    gap = float(1 - scheduler.sigmas[0])
    for _, estimate in shown:
        assert torch.allclose(estimate, clean, atol=1e-5 + gap * float((noise - clean).abs().max()) * 1.01)
    assert "step" not in vars(scheduler)


@pytest.mark.parametrize(("every", "steps", "expected"), [(5, 20, [5, 10, 15, 20]), (3, 8, [3, 6]), (1, 2, [1, 2])])
def test_previews_come_every_so_many_sampling_steps(tmp_path, every, steps, expected):
    _, ctx, events = previewing(tmp_path, every, steps)

    assert draw(ctx) == ()

    previews = events.of(ClipPreviewed)
    assert [preview.sampling_step for preview in previews] == expected
    assert {(p.step, p.nickname, p.weights, p.sampling_steps, p.clip) for p in previews} == {
        (0, "main", "model", steps, "validation/step-00000000/main.mp4")
    }
    assert [p.path for p in previews] == [f"validation/step-00000000/previews/main-{n:03d}.mp4" for n in expected]
    kinds = [type(event) for event in events if isinstance(event, ClipPreviewed | ClipDrawn)]
    assert kinds == [ClipPreviewed] * len(expected) + [ClipDrawn]


def test_a_linear_preview_lasts_as_long_as_its_clip_at_half_its_size(tmp_path):
    _, ctx, events = previewing(tmp_path, 4, **{"validation.resolution": "80x48", "validation.framerate": 12.0})

    draw(ctx)

    with av.open(str(ctx.run_dir / events.of(ClipPreviewed)[0].path)) as container:
        stream = container.streams.video[0]
        assert (stream.width, stream.height, stream.average_rate, stream.frames) == (40, 24, 3, 3)


def test_the_clip_is_the_same_with_previews_and_without(tmp_path):
    content = []
    for enabled in (True, False):
        _, ctx, _ = previewing(tmp_path / str(enabled), **{"validation.preview.enabled": enabled})
        draw(ctx)
        content.append((ctx.run_dir / "validation/step-00000000/main.mp4").read_bytes())

    assert content[0] == content[1]


def test_without_previews_nothing_is_watched_or_stored(tmp_path):
    _, ctx, events = encoded_project(tmp_path, **{"data.store_dir": "store"})

    draw(ctx)

    assert events.of(ClipPreviewed) == []
    assert not (ctx.store.folder / "colors").exists()
    assert not (ctx.run_dir / "validation/step-00000000/previews").exists()
    assert NEEDED["colors"](ctx) == ()


def test_the_linear_map_is_fitted_once_and_a_plan_with_previews_keeps_it(tmp_path):
    _, ctx, _ = previewing(tmp_path, **{"data.store_dir": "store"})
    draw(ctx)
    (path,) = (ctx.store.folder / "colors").glob("*/*.safetensors")
    before = path.stat().st_mtime_ns

    state = build_state(ctx)
    state.step = 1
    validate.draw_clips(ctx, state, text_index(ctx), StopRequested())

    assert path.stat().st_mtime_ns == before
    assert list(NEEDED["colors"](ctx)) == [path.stem]


def test_a_preview_that_fails_is_one_warning_and_the_clip_is_drawn(tmp_path, monkeypatch):
    _, ctx, events = previewing(tmp_path)
    monkeypatch.setattr("recipe_runtime.preview.latent_colors", lambda _: 1 / 0)

    with pytest.raises(ZeroDivisionError):  # a fault of ours is no warning
        draw(ctx)

    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("recipe_runtime.preview.latent_colors", full)
    assert draw(ctx) == ()
    assert len(events.of(ClipDrawn)) == 1
    assert [warning.message for warning in events.of(Warned)] == [
        "no more previews of step 0: [Errno 28] No space left on device"
    ]


def test_a_tiny_decoder_draws_previews_of_full_size(tmp_path):
    torch.manual_seed(0)
    torch.save(TinyDecoder().state_dict(), tmp_path / "taew2_1.pth")
    _, ctx, events = previewing(tmp_path, 2, **{"validation.preview.decoder": str(tmp_path / "taew2_1.pth")})

    preflight.check_preview(ctx)
    draw(ctx)

    assert len(events.of(ClipPreviewed)) == 2
    with av.open(str(ctx.run_dir / events.of(ClipPreviewed)[0].path)) as container:
        preview = container.streams.video[0]
        with av.open(str(ctx.run_dir / events.of(ClipDrawn)[0].path)) as clip:
            full = clip.streams.video[0]
            assert (preview.width, preview.height, preview.frames) == (full.width, full.height, full.frames)
            assert preview.average_rate == full.average_rate


def test_a_decoder_that_is_none_stops_the_run_before_it_begins(tmp_path):
    (tmp_path / "taew2_1.pth").write_bytes(b"no weights")
    _, ctx, _ = previewing(tmp_path, **{"validation.preview.decoder": str(tmp_path / "taew2_1.pth")})

    with pytest.raises(ModelError, match=r"is no tiny decoder for Wan 2\.1"):
        preflight.check_preview(ctx)


def test_a_resumed_run_does_not_preview_what_is_drawn(tmp_path):
    _, ctx, events = previewing(tmp_path)
    train.run(ctx, StopRequested())
    drawn = len(events.of(ClipPreviewed))
    events.clear()

    train.run(ctx, StopRequested())

    assert drawn > 0
    assert events.of(ClipPreviewed) == []
