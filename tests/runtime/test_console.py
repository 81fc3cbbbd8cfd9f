import io
import re
from dataclasses import replace

import pytest

from recipe_runtime.console import Console
from recipe_runtime.console_live import LiveView
from recipe_runtime.console_plain import PlainView
from recipe_runtime.meter import TrainMeter
from recipe_runtime.notes import sentence
from recipe_schema.events import (
    Aligned,
    CheckpointSaved,
    ClipDrawn,
    Exported,
    Failed,
    Resumed,
    RunFinished,
    RunStarted,
    StageFinished,
    StageProgress,
    StageStarted,
    StepDone,
    Warned,
)


def step(number, *, loss=1.0, seconds=0.5):
    return StepDone(
        step=number,
        epoch=0.0,
        bucket="64x64@9",
        loss=loss,
        learning_rate=5e-5,
        grad_norm=1.0,
        sigma=0.5,
        seconds=seconds,
        data_seconds=0.0,
    )


def story(steps=100):
    yield RunStarted(plan_id="sha256:" + "ab" * 32, name="demo", device="cpu", max_steps=steps)
    yield StageStarted(stage="encode-text", total=3, reused=3, unit="texts")
    yield StageFinished(stage="encode-text", total=3, reused=3, seconds=0.1)
    yield StageStarted(stage="encode-video", total=40, reused=10, unit="clips")
    for done in range(11, 41):
        yield StageProgress(stage="encode-video", done=done, total=40)
    yield StageFinished(stage="encode-video", total=40, reused=10, seconds=75.0)
    yield StageStarted(stage="train", total=steps, reused=0, unit="steps")
    yield Resumed(step=0, path="checkpoints/step-00000000")
    for number in range(1, steps + 1):
        yield step(number, loss=float(number))
    yield CheckpointSaved(step=steps, path=f"checkpoints/step-{steps:08}", seconds=1.2)
    yield StageStarted(stage="validate", total=1, reused=0, unit="clips")
    path = f"validation/step-{steps:08}/main.mp4"
    yield ClipDrawn(step=steps, nickname="main", weights="ema", path=path, seconds=3)
    yield StageProgress(stage="validate", done=1, total=1)
    yield StageFinished(stage="validate", total=1, reused=0, seconds=3.0)
    yield Warned(message="a [bold]clip[/bold] is odd")
    yield StageFinished(stage="train", total=steps, reused=0, seconds=60.0)
    yield Exported(path="export", weights="ema", step=steps)
    yield RunFinished(step=steps, seconds=3700.0)


class FakeTerminal(io.StringIO):
    def isatty(self):
        return True


def test_a_log_file_gets_about_ten_lines_of_each_stage():
    stream = io.StringIO()
    console = Console(stream)

    for event in story():
        console(event)
    console.close()

    lines = stream.getvalue().splitlines()
    assert lines[:3] == [
        "run demo: 100 steps on cpu, plan abababababab",
        "encode-text: 3 texts, all there already",
        "encode-video: 40 clips, 10 there already",
    ]
    assert [line for line in lines if re.fullmatch(r"encode-video: \d+/40 clips", line)] == [
        f"encode-video: {done}/40 clips" for done in (12, 16, 20, 24, 28, 32, 36)
    ]
    steps = [line for line in lines if line.startswith("train: step ")]
    assert len(steps) == 10
    # The mean of steps 51 to 100.
    assert steps[-1] == "train: step 100/100, loss 75.5000, lr 5e-05, 0.50 s/step, 0.0 s left"
    assert steps[4].endswith("25 s left")
    assert lines[-4:] == [
        "warning: a [bold]clip[/bold] is odd",
        "train: done in 1 min",
        "export: wrote export, average of the weights of step 100",
        "finished: step 100, 1 h 1 min",
    ]


def test_a_slow_stage_says_something_every_half_minute():
    stream, now = io.StringIO(), [0.0]
    view = PlainView(stream, clock=lambda: now[0])

    view.show(RunStarted(plan_id="sha256:00", name="demo", device="cpu", max_steps=10000))
    view.show(StageStarted(stage="train", total=10000, reused=0, unit="steps"))
    for number in range(1, 13):
        now[0] += 10
        view.show(step(number, seconds=10.0))

    said = [line.split(",")[0] for line in stream.getvalue().splitlines()[2:]]
    assert said == [f"train: step {number}/10000" for number in (3, 6, 9, 12)]


def test_a_terminal_gets_bars_and_the_same_notes():
    stream = FakeTerminal()
    console = Console(stream)

    for event in story():
        console(event)
    console.close()
    console.close()

    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", stream.getvalue())
    assert "encode-video" in text
    assert "40/40" in text
    assert "done in 1 min 15 s" in text
    assert "100/100" in text
    for note in ("plan abababababab", "going on after step 0", "drew validation/step", "a [bold]clip[/bold] is odd"):
        assert note in text
    assert text.rstrip().splitlines()[-1].startswith("finished: step 100")


@pytest.mark.parametrize("stream", [io.StringIO(), FakeTerminal()])
def test_a_failure_is_left_to_the_process_which_says_it_once(stream):
    console = Console(stream)

    console(Failed(message="no room", exit_code=4))
    console.close()

    assert "no room" not in stream.getvalue()


def test_the_first_step_of_a_process_does_not_spoil_the_estimate():
    meter = TrainMeter(12)
    meter.add(step(1, seconds=100.0))
    assert meter.seconds_left == 1100.0

    meter.add(step(2, seconds=2.0))

    assert meter.seconds_left == 20.0


@pytest.mark.parametrize("kind", [PlainView, LiveView])
def test_how_similar_features_are_is_said_with_the_loss(kind, monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")
    stream = FakeTerminal()
    view = kind(stream)
    view.show(RunStarted(plan_id="sha256:00", name="demo", device="cpu", max_steps=1))
    view.show(StageStarted(stage="train", total=1, reused=0, unit="steps"))
    view.show(Aligned(step=1, loss=-0.1, similarity=0.2, average_similarity=0.25, weight=0.5))
    view.show(step(1))
    view.close()

    said = stream.getvalue() if kind is PlainView else view._progress.tasks[0].fields["detail"]
    assert re.search(r"loss 1\.0000(, |  )similarity 0\.250(, |  )lr 5e-05", said)


def test_webhooks_say_alignment_in_a_sentence():
    event = Aligned(step=7, loss=-0.1, similarity=0.2, average_similarity=0.25, weight=0.5)

    assert sentence(event, TrainMeter(10)) == "train: step 7, similarity 0.200 at weight 0.5"


@pytest.mark.parametrize("terminal", [False, True])
def test_verbose_writes_a_line_for_each_step_on_a_terminal_too(monkeypatch, terminal):
    stream = io.StringIO()
    monkeypatch.setattr(stream, "isatty", lambda: terminal)

    with Console(stream, verbose=True) as console:
        for event in story():
            console(event)

    told = [line for line in stream.getvalue().splitlines() if line.startswith("train: step ")]
    assert [line.split()[2] for line in told] == [f"{number}/100," for number in range(1, 101)]


@pytest.mark.parametrize(
    ("columns", "shown", "bar"),
    [
        (120, ["loss 0.5000", "lr 5e-05", "2.00 s/step", "left"], True),
        (80, ["loss 0.5000", "2.00 s/step", "left"], True),
        (60, ["loss 0.5000", "left"], False),
        (40, ["left"], False),
        (20, [], False),
    ],
)
def test_a_narrow_terminal_shows_the_step_and_what_else_there_is_room_for(columns, shown, bar, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(columns))
    stream = FakeTerminal()
    view = LiveView(stream)

    view.show(RunStarted(plan_id="sha256:00", name="demo", device="cpu", max_steps=3000))
    view.show(StageStarted(stage="train", total=3000, reused=0, unit="steps"))
    view.show(step(94, loss=0.5, seconds=2.0))
    view.close()

    last = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", stream.getvalue()).rstrip().rpartition("\n")[2]
    assert "…" not in last or columns == 20
    assert ("94/3000" in last) == (columns > 20)
    assert ("━" in last) == bar
    for part in ("loss 0.5000", "lr 5e-05", "2.00 s/step", "left"):
        assert (part in last) == (part in shown)


def shown(monkeypatch, columns, part, steps):
    """Say after each step whether the line has this part."""
    monkeypatch.setenv("COLUMNS", str(columns))
    view = LiveView(FakeTerminal())
    view.show(RunStarted(plan_id="sha256:00", name="demo", device="cpu", max_steps=3000))
    view.show(StageStarted(stage="train", total=3000, reused=0, unit="steps"))
    has = []
    for event in steps:
        view.show(event)
        has.append(part in view._progress.tasks[0].fields["detail"])
    view.close()
    return has


def test_a_line_does_not_flicker_when_its_numbers_grow_and_shrink(monkeypatch):
    steps = [
        replace(step(number, seconds=2.0), learning_rate=rate) for number, rate in enumerate((1e-3, 1.01e-3, 1e-3), 1)
    ]

    assert shown(monkeypatch, 100, "lr", steps) == [True, False, False]


def test_what_a_slow_first_step_drove_out_of_the_line_comes_back(monkeypatch):
    steps = [step(number, seconds=seconds) for number, seconds in enumerate((900.0, 0.02, 0.02, 0.02), 1)]

    assert shown(monkeypatch, 66, "steps/s", steps) == [False, True, True, True]
