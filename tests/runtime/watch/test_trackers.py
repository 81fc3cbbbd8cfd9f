import dataclasses
import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from fakes_runtime import draw_disc, make_project, write_video
from recipe_runtime.watch.chart import drawn_chart
from recipe_runtime.watch.tracker import Chart, Journal, TrackerListener, by_noise, config_of
from recipe_runtime.watch.tracker_tensorboard import TensorboardTracker, moving_image
from recipe_schema.events import (
    Aligned,
    ClipDrawn,
    ClipScored,
    Evaluated,
    Failed,
    Interrupted,
    Resumed,
    RunFinished,
    StepDone,
)


EVALUATED = Evaluated(
    step=2,
    dataset="discs",
    weights="ema",
    clips=3,
    loss=2.5,
    sigmas=(0.1, 0.2, 0.5, 0.9),
    losses=(1.0, 2.0, 3.0, 4.0),
    seconds=1.0,
)
ALIGNED = Aligned(step=2, loss=-0.1, similarity=0.2, average_similarity=0.25, weight=0.5)


def step(number, loss=1.0, **more):
    values = {"epoch": 0.5, "bucket": "64x64@9", "learning_rate": 1e-4, "grad_norm": 2.0, "sigma": 0.5, **more}
    return StepDone(step=number, loss=loss, seconds=0.5, data_seconds=0.1, **values)


def draw(run_dir, number=2, size=(96, 64), frames=9, name="main.mp4"):
    path = f"validation/step-{number:08d}/{name}"
    write_video(run_dir / path, draw_disc(size, frames, (200, 30, 30)), 16)
    return ClipDrawn(step=number, nickname="main", weights="ema" if "ema" in name else "model", path=path, seconds=1.0)


class Listening:
    """A tracker that keeps what it is told, and raises when it is told to."""

    def __init__(self):
        self.told = []
        self.error = None

    def _keep(self, *what):
        self.told.append(what)
        if self.error is not None:
            raise self.error

    def resume(self, step):
        self._keep("resume", step)

    def curves(self, step, values):
        self._keep("curves", step, values)

    def chart(self, step, name, chart):
        self._keep("chart", step, name, chart)

    def clip(self, step, name, path):
        self._keep("clip", step, name, path)

    def finish(self, *, well):
        self._keep("finish", well)

    def abandon(self):
        self._keep("abandon")


def listen(tracker, run_dir, events):
    warnings = []
    listener = TrackerListener("wandb", tracker, run_dir, warn=warnings.append)
    for event in events:
        listener(event)
    listener.close()
    return warnings


def test_a_tracker_hears_of_steps_clips_resumes_and_the_end(tmp_path):
    tracker = Listening()
    clip = draw(tmp_path, name="main-ema.mp4")

    assert (
        listen(tracker, tmp_path, [Resumed(step=1, path="x"), step(2), clip, ALIGNED, RunFinished(step=2, seconds=1.0)])
        == []
    )

    assert tracker.told[0] == ("resume", 1)
    assert tracker.told[1] == (
        "curves",
        2,
        {
            "train/epoch": 0.5,
            "train/loss": 1.0,
            "train/learning_rate": 1e-4,
            "train/grad_norm": 2.0,
            "train/sigma": 0.5,
            "train/seconds": 0.5,
            "train/data_seconds": 0.1,
        },
    )
    assert tracker.told[2] == ("clip", 2, "validation/main-ema", tmp_path / clip.path)
    assert tracker.told[3] == (
        "curves",
        2,
        {"crepa/loss": -0.1, "crepa/similarity": 0.2, "crepa/average_similarity": 0.25, "crepa/weight": 0.5},
    )
    assert tracker.told[4] == ("finish", True)


def test_a_tracker_hears_of_the_loss_on_other_clips_whole_by_parts_and_as_a_chart(tmp_path):
    tracker = Listening()

    listen(tracker, tmp_path, [EVALUATED])

    assert tracker.told[0] == (
        "curves",
        2,
        {
            "evaluation/discs-ema": 2.5,
            "evaluation/discs-ema/noise-0.00-0.25": 1.5,
            "evaluation/discs-ema/noise-0.50-0.75": 3.0,
            "evaluation/discs-ema/noise-0.75-1.00": 4.0,
        },
    )
    kind, step, name, chart = tracker.told[1]
    assert (kind, step, name) == ("chart", 2, "evaluation/discs-ema/by-noise")
    assert (chart.places, chart.values) == (EVALUATED.sigmas, EVALUATED.losses)


def test_full_noise_belongs_to_the_last_part():
    event = dataclasses.replace(EVALUATED, sigmas=(1.0,), losses=(7.0,))

    assert by_noise("x", event.sigmas, event.losses) == {"x/noise-0.75-1.00": 7.0}


def test_a_tracker_hears_of_scores(tmp_path):
    tracker = Listening()
    common = {"step": 3, "nickname": "cat", "weights": "ema", "least": 20.0, "frames": 8, "seconds": 1.0}
    names = ("cat", "cat-2", "cat-ema")  # several clips of a prompt have curves of their own

    listen(tracker, tmp_path, [ClipScored(path=f"validation/x/{name}.mp4", score=25.0, **common) for name in names])

    assert tracker.told[:3] == [("curves", 3, {f"clip-score/{name}": 25.0}) for name in names]


def test_a_chart_is_a_line_through_its_values():
    chart = Chart(across="noise level", along="loss", places=(0.0, 0.5, 1.0), values=(1.0, 2.0, 0.5))

    (width, height), png = drawn_chart(chart)

    image = np.asarray(Image.open(io.BytesIO(png)).convert("RGB")).astype(int)
    assert image.shape == (height, width, 3)
    blue = (image[..., 2] - image[..., 0] > 100).nonzero()
    rows = {column: blue[0][blue[1] == column].mean() for column in (56, 228, 398)}
    assert rows[228] < rows[56] < rows[398]
    assert (blue[1].min(), blue[1].max()) == (54, 402)
    one = Chart(across="noise level", along="loss", places=(0.5,), values=(0.0,))
    assert drawn_chart(one)[0] == (width, height)


@pytest.mark.parametrize("end", [Failed(message="x", exit_code=4), Interrupted(signal="SIGTERM", step=1)])
def test_a_tracker_learns_that_the_run_did_not_end_well(tmp_path, end):
    tracker = Listening()

    listen(tracker, tmp_path, [end])

    assert tracker.told == [("finish", False)]


def test_a_tracker_that_fails_is_told_nothing_more_and_warned_of_once(tmp_path):
    tracker = Listening()
    tracker.error = ValueError("no\nmore details")

    warnings = listen(tracker, tmp_path, [step(1), step(2)])

    assert [kind for kind, *_ in tracker.told] == ["curves", "abandon"]
    assert warnings == [
        "wandb failed and is told nothing any more (ValueError: no); events.jsonl has everything",
    ]


def test_what_a_tracker_is_told_of_the_settings_holds_no_addresses(tmp_path):
    webhooks = [{"url": "http://h/s3cret", "url_env": "HOOK", "level": "error"}]
    config = config_of(make_project(tmp_path, webhooks=webhooks).plan)

    assert config["optimizer.learning_rate"] == 1e-3
    assert config["tracking.webhooks.0.url_env"] == "HOOK"
    assert config["max_steps"] == 4
    assert config["plan_id"].startswith("sha256:")
    assert "s3cret" not in json.dumps(config)


def read(run_dir):
    accumulator = EventAccumulator(str(run_dir / "tensorboard"))
    accumulator.Reload()
    return accumulator


def board(run_dir):
    return TensorboardTracker(Journal(project="p", name="n", run_dir=run_dir, config={"optimizer.learning_rate": 1e-3}))


def test_losses_are_drawn_by_quarters_of_the_noise_level(tmp_path):
    tracker = Listening()
    sigmas, losses = (0.05, 0.31, 0.39, 1.0), (4.0, 1.0, 2.0, 8.0)

    listen(tracker, tmp_path, [step(1, sigmas=sigmas, losses=losses)])

    _, _, values = tracker.told[0]
    assert {name: value for name, value in values.items() if "noise-" in name} == {
        "train-loss/noise-0.00-0.25": 4.0,
        "train-loss/noise-0.25-0.50": 1.5,
        "train-loss/noise-0.75-1.00": 8.0,
    }


def test_tensorboard_shows_curves_settings_and_clips(tmp_path):
    told = [step(1, 2.0), step(2, 1.0), draw(tmp_path, frames=16), EVALUATED]
    warnings = listen(board(tmp_path), tmp_path, told)

    found = read(tmp_path)
    assert warnings == []
    assert [(point.step, point.value) for point in found.Scalars("train/loss")] == [(1, 2.0), (2, 1.0)]
    assert set(found.Tags()["scalars"]) >= {"train/learning_rate", "train/grad_norm", "train/sigma", "train/epoch"}
    (image,) = found.Images("validation/main")
    assert (image.step, image.width, image.height) == (2, 96, 64)
    gif = Image.open(io.BytesIO(image.encoded_image_string))
    assert (gif.format, gif.n_frames, gif.info["duration"]) == ("GIF", 8, 120)
    (point,) = found.Scalars("evaluation/discs-ema")
    assert (point.step, point.value) == (2, 2.5)
    (chart,) = found.Images("evaluation/discs-ema/by-noise")
    assert Image.open(io.BytesIO(chart.encoded_image_string)).size == (chart.width, chart.height)
    (text,) = found.Tensors("settings/text_summary")
    assert b"optimizer.learning_rate" in text.tensor_proto.string_val[0]


def test_a_run_that_goes_on_in_tensorboard_replaces_the_steps_after_its_checkpoint(tmp_path):
    listen(board(tmp_path), tmp_path, [step(1, 1.0), step(2, 2.0), draw(tmp_path), step(3, 3.0), step(4, 4.0)])
    listen(board(tmp_path), tmp_path, [Resumed(step=2, path="x"), step(3, 30.0)])

    found = read(tmp_path)
    assert [(point.step, point.value) for point in found.Scalars("train/loss")] == [(1, 1.0), (2, 2.0), (3, 30.0)]
    assert [image.step for image in found.Images("validation/main")] == [2]


def test_a_run_that_begins_anew_in_tensorboard_replaces_everything(tmp_path):
    listen(board(tmp_path), tmp_path, [step(1, 1.0)])
    listen(board(tmp_path), tmp_path, [step(1, 10.0)])

    assert [(point.step, point.value) for point in read(tmp_path).Scalars("train/loss")] == [(1, 10.0)]


def test_tensorboard_without_news_leaves_no_file(tmp_path):
    listen(board(tmp_path), tmp_path, [RunFinished(step=1, seconds=1.0)])

    assert list((tmp_path / "tensorboard").iterdir()) == []


def test_a_large_clip_is_scaled_down(tmp_path):
    event = draw(tmp_path, size=(832, 480), frames=5)

    (width, height), gif = moving_image(tmp_path / event.path)

    assert (width, height) == (416, 240)
    assert Image.open(io.BytesIO(gif)).size == (416, 240)


def test_wandb_offline_writes_a_run_that_keeps_its_id(tmp_path, monkeypatch):
    pytest.importorskip("wandb", exc_type=ImportError)
    from recipe_runtime.watch.tracker_wandb import WandbTracker, run_id

    monkeypatch.setenv("HOME", str(tmp_path))
    journal = Journal(project="p", name="n", run_dir=tmp_path, config={"optimizer.learning_rate": 1e-3})

    first = listen(WandbTracker(journal, "offline"), tmp_path, [step(1), draw(tmp_path), EVALUATED])
    second = listen(WandbTracker(journal, "offline"), tmp_path, [Resumed(step=1, path="x"), step(2)])

    assert first == second == []
    folders = sorted(path for path in (tmp_path / "wandb").glob("offline-run-*"))
    assert {path.name.rpartition("-")[2] for path in folders} == {run_id(tmp_path)}
    assert len(list((tmp_path / "wandb").glob("offline-run-*/files/media/videos/validation/main_*.mp4"))) == 1
    assert b"train/loss" in next(folders[0].glob("run-*.wandb")).read_bytes()
    (table,) = (tmp_path / "wandb").glob("offline-run-*/files/media/table/**/*by-noise*.json")
    assert json.loads(table.read_text())["data"] == [[0.1, 1.0], [0.2, 2.0], [0.5, 3.0], [0.9, 4.0]]


KILLED = """
import os, signal, sys, time
from pathlib import Path
from recipe_runtime.watch.tracker import Journal, TrackerListener
from recipe_runtime.watch.tracker_wandb import WandbTracker
from recipe_schema.events import RunFinished, StepDone

folder = Path(sys.argv[1])
journal = Journal(project="p", name="n", run_dir=folder, config={})
listener = TrackerListener("wandb", WandbTracker(journal, "offline"), folder, warn=print)
told = {"bucket": "b", "loss": 1.0, "learning_rate": 1.0, "grad_norm": 1.0, "sigma": 0.5, "seconds": 1.0, "data_seconds": 0.0}
listener(StepDone(step=1, epoch=0.1, **told))
core = None
while core is None:  # the list of children may leave one out while another ends
    for child in Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text().split():
        try:
            core = int(child) if "wandb-core" in Path(f"/proc/{child}/cmdline").read_text() else core
        except OSError:
            pass  # it ended
os.kill(core, signal.SIGKILL)
for step in range(2, 40):
    listener(StepDone(step=step, epoch=0.1, **told))
    time.sleep(0.02)
listener(RunFinished(step=39, seconds=1.0))
listener.close()
print("the end")
"""


@pytest.mark.timeout(300)
@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="there is no list of child processes")
def test_killing_wandbs_process_is_a_warning_and_nothing_else(tmp_path):
    pytest.importorskip("wandb", exc_type=ImportError)
    environment = {**os.environ, "HOME": str(tmp_path), "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}

    ended = subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )

    assert ended.returncode == 0, ended.stderr
    warning, end = ended.stdout.splitlines()
    assert warning.startswith("wandb failed and is told nothing any more")
    assert end == "the end"
    assert "Traceback" not in ended.stderr


def test_wandb_online_without_a_login_is_refused_before_training(tmp_path, monkeypatch):
    pytest.importorskip("wandb", exc_type=ImportError)
    from recipe_runtime.errors import RunError
    from recipe_runtime.watch import tracker_wandb

    monkeypatch.setattr(tracker_wandb.wandb, "login", lambda **_: False)
    journal = Journal(project="p", name="n", run_dir=tmp_path, config={})

    with pytest.raises(RunError, match=re.escape("set `tracking.wandb_mode: offline`")):
        tracker_wandb.WandbTracker(journal, "online")
