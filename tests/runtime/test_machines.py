"""Several machines, as two groups of processes on one that meet at an address of it and share its folders."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import torch

from fakes_runtime import make_context, make_project
from fakes_training import encoded_project, same_bits, saved_parts
from recipe_runtime import __main__ as runtime, train
from recipe_runtime.context import Meeting
from recipe_runtime.errors import RunError
from recipe_runtime.machines import FirstMachine, check_place, place_among, read_meeting
from recipe_runtime.stop import StopRequested


pytestmark = [
    pytest.mark.timeout(300),
    pytest.mark.skipif(not torch.distributed.is_available(), reason="this torch knows no other processes"),
]

ROOT = Path(__file__).parents[2]
TWO = {"prompts": (), "launch.machines": 2, "max_steps": 4, "ema.enabled": True}


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def start(project, machine, port, *more):
    command = [
        sys.executable,
        "-m",
        "recipe_runtime",
        str(project.plan_dir),
        "--run-dir",
        str(project.run_dir),
        "--quiet",
    ]
    paths = os.pathsep.join(str(ROOT / name) for name in ("schema", "runtime"))
    environment = {**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"}
    place = ["--machine", str(machine), "--meeting", f"127.0.0.1:{port}"]
    return subprocess.Popen([*command, *place, *more], env=environment, stderr=subprocess.PIPE, text=True)


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["ddp", "fsdp2"])
def test_two_machines_train_what_two_processes_of_one_do(tmp_path, strategy):
    settings = {"prompts": (), "max_steps": 4, "ema.enabled": True, "launch.strategy": strategy, "launch.processes": 2}
    whole, ctx, _ = encoded_project(tmp_path / "one", **settings)
    train.run(ctx, StopRequested())
    project, _, _ = encoded_project(tmp_path / "two", **TWO, **{"launch.strategy": strategy})
    port = free_port()

    second = start(project, 1, port)  # it comes first, and waits
    time.sleep(1)
    first = start(project, 0, port)
    told = [process.communicate(timeout=200)[1] for process in (first, second)]

    assert [first.returncode, second.returncode] == [0, 0], told
    assert same_bits(saved_parts(project.run_dir, 4), saved_parts(whole.run_dir, 4))


@pytest.mark.slow
def test_a_machine_that_fails_says_why_on_the_first_one(tmp_path):
    project, _, _ = encoded_project(tmp_path / "a", **TWO)
    other, _, _ = encoded_project(tmp_path / "b", **{**TWO, "train.seed": 7})
    port = free_port()

    first, second = start(project, 0, port), start(other, 1, port)
    told = [process.communicate(timeout=120)[1] for process in (first, second)]

    assert "machine 1 has another plan id (sha256:" in told[1]
    assert "machine 1 has another plan id (sha256:" in told[0]
    assert second.returncode == 3
    assert first.returncode == 4


@pytest.mark.slow
@pytest.mark.parametrize("victim", ["first", "second"])
def test_where_one_machine_dies_the_other_ends(tmp_path, victim):
    project, _, _ = encoded_project(tmp_path, **TWO | {"max_steps": 4000})
    port, events = free_port(), project.run_dir / "events.jsonl"
    processes = {"first": start(project, 0, port), "second": start(project, 1, port)}
    deadline = time.monotonic() + 120
    while '"event": "step"' not in (events.read_text() if events.exists() else ""):
        assert time.monotonic() < deadline
        time.sleep(0.05)

    killed = processes.pop(victim)
    killed.send_signal(signal.SIGKILL)
    killed.communicate()

    (rest,) = processes.values()
    told = rest.communicate(timeout=90)[1]
    assert rest.returncode == 4 if victim == "first" else rest.returncode in (4, 5)
    if victim == "first":
        assert "the first machine, at tcp://127.0.0.1" in told or "machine 1: process 1 of 2" in told
    if victim == "second":
        told = [json.loads(line)["event"] for line in events.read_text().splitlines()]
        assert told[-1] == "failed"


def test_no_thread_asks_the_others_anything_when_the_first_machine_is_done(tmp_path):
    first = FirstMachine(make_context(make_project(tmp_path, **TWO)), Meeting(host="127.0.0.1", port=free_port()))
    first.begin(None)
    (watcher,) = [thread for thread in threading.enumerate() if thread.name == "machines"]

    first.close()

    assert not watcher.is_alive()  # a thread inside of torch would end a process that ends with SIGABRT


def test_an_address_is_a_host_and_a_port():
    assert str(read_meeting("10.0.0.1:29500")) == "tcp://10.0.0.1:29500"
    assert read_meeting("tcp://[fe80::1]:80") == Meeting(host="fe80::1", port=80)
    for wrong in ("10.0.0.1", "host:0", "host:70000", "a b:1", ":1"):
        with pytest.raises(ValueError, match="is no address; write HOST:PORT"):
            read_meeting(wrong)


def test_arguments_come_before_the_variables_of_torchrun():
    variables = {"NODE_RANK": "1", "MASTER_ADDR": "a", "MASTER_PORT": "5"}

    assert place_among(None, None, variables) == (1, Meeting(host="a", port=5))
    assert place_among(0, Meeting(host="b", port=6), variables) == (0, Meeting(host="b", port=6))
    assert place_among(None, None, {}) == (0, None)
    with pytest.raises(RunError, match="don't say which machine this is"):
        place_among(None, None, {"NODE_RANK": "x"})


def test_a_machine_without_a_place_or_an_address_is_refused(tmp_path):
    plan = make_project(tmp_path, **TWO).plan

    check_place(plan, 1, Meeting(host="a", port=5))
    with pytest.raises(RunError, match=r"this is machine 2 .*`launch\.machines` is 2"):
        check_place(plan, 2, Meeting(host="a", port=5))
    with pytest.raises(RunError, match="needs an address of the first machine at which they meet"):
        check_place(plan, 0, None)


def test_variables_of_torchrun_mean_nothing_to_one_machine(tmp_path, monkeypatch, capsys):
    project, _, _ = encoded_project(tmp_path, prompts=(), max_steps=2)
    monkeypatch.setenv("NODE_RANK", "3")

    assert runtime.main([str(project.plan_dir), "--run-dir", str(project.run_dir), "--quiet"]) == 0
    assert make_context(project).meeting is None
    assert runtime.main([str(project.plan_dir), "--run-dir", str(project.run_dir), "--quiet", "--machine", "1"]) == 4
    assert "`launch.machines` is 1" in capsys.readouterr().err
