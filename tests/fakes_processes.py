"""Runs as processes of their own, which signals can end."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

from fakes_runtime import Project


ROOT = Path(__file__).parents[1]


def command(project: Project) -> list[str]:
    """Return what starts a run, or goes on with it."""
    return [sys.executable, "-m", "recipe_runtime", str(project.plan_dir), "--run-dir", str(project.run_dir)]


def environment() -> dict[str, str]:
    """Return what such a process finds around it: this code, and one thread."""
    paths = os.pathsep.join(str(ROOT / name) for name in ("schema", "compiler", "runtime"))
    return {**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"}


def run_to_its_end(project: Project) -> None:
    """Run, or go on, to the last step."""
    done = subprocess.run(command(project), env=environment(), check=False, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 0, done.stderr


def steps_done(project: Project) -> list[int]:
    """Return the steps that a run has told of so far."""
    path = project.run_dir / "events.jsonl"
    records = [json.loads(line) for line in path.read_text().split("\n")[:-1]] if path.exists() else []
    return [record["step"] for record in records if record["event"] == "step"]


def start_and_signal(project: Project, number: int, after: int) -> int:
    """Start a run, and send it a signal when it has done so many steps. Return its exit code."""
    process = subprocess.Popen(command(project), env=environment(), stderr=subprocess.PIPE)
    deadline = time.monotonic() + 300
    while process.poll() is None and (steps_done(project) or [0])[-1] < after:
        assert time.monotonic() < deadline, "the run takes too long"
        time.sleep(0.005)
    process.send_signal(number)
    process.communicate(timeout=180)
    return process.returncode
