import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from fakes_training import encoded_project, same_bits, saved_parts


ROOT = Path(__file__).parents[2]
SETTINGS = {
    "max_steps": 60,
    "prompts": (),
    "ema.enabled": True,
    "train.mixed_precision": "bf16",
    "checkpoints.step_interval": 5,
    "checkpoints.total_limit": 2,
}


def command(project):
    return [sys.executable, "-m", "recipe_runtime", str(project.plan_dir), "--run-dir", str(project.run_dir)]


def environment():
    paths = os.pathsep.join(str(ROOT / name) for name in ("schema", "compiler", "runtime"))
    return {**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"}


def steps_done(project):
    path = project.run_dir / "events.jsonl"
    records = [json.loads(line) for line in path.read_text().split("\n")[:-1]] if path.exists() else []
    return [record["step"] for record in records if record["event"] == "step"]


def start_and_signal(project, number, after):
    """Start a run, and send it a signal when it has done so many steps. Return its exit code."""
    process = subprocess.Popen(command(project), env=environment(), stderr=subprocess.PIPE)
    deadline = time.monotonic() + 120
    while process.poll() is None and (steps_done(project) or [0])[-1] < after:
        assert time.monotonic() < deadline, "the run takes too long"
        time.sleep(0.005)
    process.send_signal(number)
    process.communicate(timeout=60)
    return process.returncode


@pytest.mark.slow
def test_a_run_that_was_killed_and_stopped_ends_as_one_that_was_left_alone(tmp_path):
    straight, _, _ = encoded_project(tmp_path / "straight", **SETTINGS)
    project, _, _ = encoded_project(tmp_path / "killed", **SETTINGS)
    subprocess.run(command(straight), env=environment(), check=True, stderr=subprocess.PIPE)

    killed = start_and_signal(project, signal.SIGKILL, after=12)
    stopped = start_and_signal(project, signal.SIGTERM, after=31)
    subprocess.run(command(project), env=environment(), check=True, stderr=subprocess.PIPE)

    assert (killed, stopped) == (-signal.SIGKILL, 128 + signal.SIGTERM)
    done = steps_done(project)
    assert done[-1] == 60
    assert set(done) == set(range(1, 61))
    assert same_bits(saved_parts(project.run_dir, 60), saved_parts(straight.run_dir, 60))
    assert len(list((project.run_dir / "checkpoints").iterdir())) == 2
    exported = "export/transformer/diffusion_pytorch_model.safetensors"
    assert (project.run_dir / exported).read_bytes() == (straight.run_dir / exported).read_bytes()
