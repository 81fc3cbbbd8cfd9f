from dataclasses import replace
from fractions import Fraction

import av
import pytest
import torch
from PIL import Image

from fakes_store import lose_value
from fakes_training import encoded_project, same_bits, saved_parts
from recipe_runtime import artist, train, validate
from recipe_runtime.encode_text import text_index
from recipe_runtime.errors import RunError
from recipe_runtime.stop import StopRequested
from recipe_runtime.team import Team
from recipe_runtime.train import build_state
from recipe_runtime.video_file import to_frames
from recipe_schema.events import ClipDrawn, SheetDrawn, StageFinished, StageProgress, Warned, to_record
from recipe_schema.plan import Prompt


PROMPTS = (Prompt(nickname="main", text="a red disc."), Prompt(nickname="cat", text="a cat."))


def drawn(ctx, step=0, stop=None):
    state = build_state(ctx)
    state.step = step
    failures = validate.draw_clips(ctx, state, text_index(ctx), stop or StopRequested())
    return state, failures


def files(ctx, step=0):
    return sorted(path.name for path in (ctx.run_dir / "validation" / f"step-{step:08d}").glob("*.mp4"))


def test_each_prompt_gets_a_clip_of_the_size_frames_and_rate_asked_for(tmp_path):
    _, ctx, events = encoded_project(
        tmp_path, prompts=PROMPTS, **{"validation.resolution": "80x48", "validation.framerate": 12.0}
    )

    _, failures = drawn(ctx)

    assert failures == ()
    assert files(ctx) == ["cat.mp4", "main.mp4"]
    with av.open(str(ctx.run_dir / "validation/step-00000000/main.mp4")) as container:
        stream = container.streams.video[0]
        assert (stream.width, stream.height, stream.average_rate) == (80, 48, Fraction(12))
        assert sum(1 for _ in container.decode(stream)) == 9
    assert [(event.nickname, event.weights, event.path) for event in events.of(ClipDrawn)] == [
        ("main", "model", "validation/step-00000000/main.mp4"),
        ("cat", "model", "validation/step-00000000/cat.mp4"),
    ]


@pytest.mark.parametrize(
    ("mode", "expected"),
    [("ema_only", ["main-ema.mp4"]), ("none", ["main.mp4"]), ("comparison", ["main-ema.mp4", "main.mp4"])],
)
def test_the_weights_asked_for_are_drawn(tmp_path, mode, expected):
    _, ctx, _ = encoded_project(tmp_path, **{"ema.enabled": True, "ema.validation": mode})

    drawn(ctx)

    assert files(ctx) == expected


def test_the_averages_clip_is_drawn_with_the_average(tmp_path):
    _, ctx, _ = encoded_project(tmp_path, **{"ema.enabled": True, "ema.validation": "comparison"})
    state = build_state(ctx)
    with torch.no_grad():
        for parameter in state.model.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1)), alpha=0.1)

    validate.draw_clips(ctx, state, text_index(ctx), StopRequested())

    folder = ctx.run_dir / "validation/step-00000000"
    assert (folder / "main.mp4").read_bytes() != (folder / "main-ema.mp4").read_bytes()


def test_the_same_weights_and_seed_give_the_same_clip_and_another_seed_another(tmp_path):
    content = []
    for index, seed in enumerate((42, 42, 43)):
        _, ctx, _ = encoded_project(tmp_path / str(index), **{"validation.seed": seed})
        drawn(ctx)
        with av.open(str(ctx.run_dir / "validation/step-00000000/main.mp4")) as container:
            content.append([frame.to_ndarray().tobytes() for frame in container.decode(video=0)])

    assert content[0] == content[1] != content[2]


def test_clips_that_are_there_are_not_drawn_again(tmp_path):
    _, ctx, events = encoded_project(tmp_path, prompts=PROMPTS)
    drawn(ctx)
    events.clear()

    drawn(ctx)

    assert list(events) == []


def test_a_clip_of_other_settings_is_drawn_anew(tmp_path):
    _, ctx, events = encoded_project(tmp_path)
    path = ctx.run_dir / "validation/step-00000000/main.mp4"
    drawn(ctx)
    before = path.read_bytes()
    changed = validate.planned_clips(ctx, 0)[0].note
    path.write_bytes(before.replace(changed.encode(), changed[:-1].encode() + b"x"))
    events.clear()

    drawn(ctx)

    assert len(events.of(ClipDrawn)) == 1
    assert path.read_bytes() == before


def test_training_does_not_notice_that_clips_were_drawn(tmp_path):
    weights = []
    for name, interval in (("with", 1), ("without", None)):
        prompts = PROMPTS if interval else ()
        _, ctx, _ = encoded_project(
            tmp_path / name, prompts=prompts, **{"validation.step_interval": interval, "ema.enabled": True}
        )
        train.run(ctx, StopRequested())
        weights.append(saved_parts(ctx.run_dir, 4))

    assert same_bits(*weights)


def test_drawing_leaves_mode_and_random_state_as_they_were(tmp_path):
    _, ctx, _ = encoded_project(tmp_path)
    state = build_state(ctx)
    torch.manual_seed(5)
    before = torch.get_rng_state()

    validate.draw_clips(ctx, state, text_index(ctx), StopRequested())

    assert torch.equal(before, torch.get_rng_state())
    assert state.model.training
    assert torch.is_grad_enabled()
    assert all(parameter.requires_grad for parameter in state.model.parameters())


def test_a_prompt_that_fails_is_told_and_the_others_are_drawn(tmp_path):
    _, ctx, events = encoded_project(tmp_path, prompts=PROMPTS, **{"data.store_dir": "store"})
    lose_value(ctx.store, "text", text_index(ctx)["a red disc.", True])

    _, failures = drawn(ctx)

    assert files(ctx) == ["cat.mp4"]
    assert len(failures) == len(events.of(Warned)) == 1
    assert "main.mp4 of step 0 failed" in failures[0]


def test_a_prompt_that_fails_makes_the_run_fail_after_its_last_step(tmp_path, monkeypatch):
    _, ctx, events = encoded_project(tmp_path, **{"validation.step_interval": 2})

    def fail(*_arguments, **_names):
        raise torch.OutOfMemoryError("CUDA out of memory")

    with monkeypatch.context() as patch:
        patch.setattr(artist, "decode", fail)
        with pytest.raises(RunError, match=r"2 validation clips could not be drawn .*out of memory"):
            train.run(ctx, StopRequested())

    assert len(events.of(Warned)) == 2
    assert saved_parts(ctx.run_dir, 4)["model"]
    train.run(ctx, StopRequested())
    assert files(ctx, 4) == ["main.mp4"]


def test_a_wish_to_stop_ends_drawing_between_two_clips(tmp_path):
    _, ctx, events = encoded_project(tmp_path, prompts=PROMPTS)

    drawn(ctx, stop=StopRequested("SIGTERM"))

    assert files(ctx) == []
    assert events.of(StageFinished) == []


def test_two_prompts_for_one_file_are_refused_before_training(tmp_path):
    prompts = (Prompt(nickname="cat", text="a"), Prompt(nickname="cat-ema", text="b"))
    _, ctx, _ = encoded_project(tmp_path, prompts=prompts, **{"ema.enabled": True, "ema.validation": "comparison"})

    with pytest.raises(RunError, match=r"cat-ema\.mp4"):
        train.run(ctx, StopRequested())


def test_pixels_become_rgb_frames():
    pixels = torch.tensor([-1.0, 0.0, 1.0, 1.5]).view(1, 4, 1, 1).expand(3, 4, 2, 2)

    frames = to_frames(pixels)

    assert frames.shape == (4, 2, 2, 3)
    assert frames[:, 0, 0, 0].tolist() == [0, 128, 255, 255]


def test_a_clip_that_is_not_finite_is_a_failure_and_no_file(tmp_path):
    _, ctx, events = encoded_project(tmp_path)
    state = build_state(ctx)
    with torch.no_grad():
        state.model.proj_out.weight.fill_(float("nan"))

    failures = validate.draw_clips(ctx, state, text_index(ctx), StopRequested())

    expected = "validation clip main.mp4 of step 0 failed: the transformer gives values that are not finite"
    assert failures == (expected,)
    assert events.of(Warned) == [Warned(message=expected)]
    assert files(ctx) == []


def test_several_clips_of_a_prompt_come_from_noise_of_their_own_and_the_first_stays_the_same(tmp_path):
    _, one, _ = encoded_project(tmp_path / "one")
    drawn(one)
    _, ctx, _ = encoded_project(tmp_path, **{"validation.num_clips": 3})

    drawn(ctx)

    assert files(ctx) == ["main-2.mp4", "main-3.mp4", "main.mp4"]
    folder = ctx.run_dir / "validation" / "step-00000000"
    contents = [clip_frames(folder / name) for name in files(ctx)]
    assert not any(torch.equal(a, b) for a, b in ((contents[0], contents[1]), (contents[0], contents[2])))
    assert torch.equal(clip_frames(one.run_dir / "validation" / "step-00000000" / "main.mp4"), contents[2])


def test_a_clip_whose_number_makes_it_another_prompts_clip_is_refused(tmp_path):
    prompts = (Prompt(nickname="main", text="a"), Prompt(nickname="main-2", text="b"))
    _, ctx, _ = encoded_project(tmp_path, **{"validation.num_clips": 2})
    twice = replace(ctx, plan=replace(ctx.plan, execution=replace(ctx.plan.execution, prompts=prompts)))

    with pytest.raises(RunError, match=r"main-2\.mp4"):
        validate.planned_clips(twice, 0)


def clip_frames(path):
    with av.open(str(path)) as container:
        return torch.stack([torch.from_numpy(frame.to_ndarray(format="rgb24")) for frame in container.decode(video=0)])


THREE = (*PROMPTS, Prompt(nickname="dog", text="a dog."))


class OneOfTwo(Team):
    """A process whose partner's words are made up."""

    size = 2

    def __init__(self, rank, theirs=None):
        self.rank = rank
        self.theirs = theirs or {"events": [], "failures": []}
        self.mine = []

    def collect(self, value):
        self.mine.append(value)
        return [value, self.theirs]


def shared(ctx, team, stop=None):
    state = build_state(ctx)
    state.team = team
    return validate.draw_clips(ctx, state, text_index(ctx), stop or StopRequested())


def test_the_first_of_two_processes_draws_every_other_clip_and_tells_of_the_rest(tmp_path):
    _, ctx, events = encoded_project(tmp_path, prompts=THREE)
    theirs = ClipDrawn(step=0, nickname="cat", weights="model", path="validation/x/cat.mp4", seconds=1.0)

    failures = shared(ctx, OneOfTwo(0, {"events": [to_record(theirs, "")], "failures": ["cat failed"]}))

    assert files(ctx) == ["dog.mp4", "main.mp4"]
    assert [event.nickname for event in events.of(ClipDrawn)] == ["main", "cat", "dog", "cat"]
    assert failures == ("cat failed", "cat failed")  # once a round
    assert [event.done for event in events.of(StageProgress)] == [2, 3]


def test_another_process_draws_its_clips_and_tells_nobody_but_the_first(tmp_path):
    _, ctx, events = encoded_project(tmp_path, prompts=THREE, **{"data.store_dir": "store"})
    lose_value(ctx.store, "text", text_index(ctx)["a cat.", True])
    team = OneOfTwo(1)

    shared(ctx, team)

    assert files(ctx) == []
    assert events.of(ClipDrawn) == events.of(Warned) == []
    (told, nothing) = team.mine
    assert [record["event"] for record in told["events"]] == ["warning"]
    assert "validation clip cat.mp4 of step 0 failed" in told["failures"][0]
    assert nothing == {"events": [], "failures": []}


def test_each_clip_has_a_sheet_and_each_prompt_one_of_its_steps(tmp_path):
    _, ctx, events = encoded_project(tmp_path, prompts=PROMPTS)

    drawn(ctx)
    drawn(ctx, step=2)

    folder = ctx.run_dir / "validation"
    assert [event.sheet for event in events.of(ClipDrawn)][:2] == [
        "validation/step-00000000/main.jpg",
        "validation/step-00000000/cat.jpg",
    ]
    with Image.open(folder / "step-00000000/main.jpg") as sheet:
        assert sheet.size == (8 * 96 + 7 * 4, 64)
    assert [(event.name, event.path, event.steps) for event in events.of(SheetDrawn)][2:] == [
        ("main", "validation/steps/main.jpg", (0, 2)),
        ("cat", "validation/steps/cat.jpg", (0, 2)),
    ]
    with Image.open(folder / "steps/cat.jpg") as sheet:
        assert sheet.size == (104 + 8 * 96 + 7 * 4, 2 * 64 + 4)


def test_a_sheet_that_is_damaged_is_a_warning_and_no_failure(tmp_path):
    _, ctx, events = encoded_project(tmp_path)
    drawn(ctx)
    (ctx.run_dir / "validation/step-00000000/main.jpg").write_bytes(b"no picture")

    _, failures = drawn(ctx, step=2)

    assert failures == ()
    assert ["a contact sheet of main can't be read" in event.message for event in events.of(Warned)] == [True]
    assert len(events.of(ClipDrawn)) == 2
