import os
import signal
import subprocess
import sys

import pytest
import torch

from recipe_runtime.errors import RunError, StoppedBySignal
from recipe_runtime.launch import choose_device, describe_device, signals_request_stop
from recipe_runtime.process import run_lock
from recipe_schema.run_lock import LOCK_FILE, RunLockedError, check_free, take_lock


def test_the_processor_is_taken_when_asked_for():
    assert choose_device("cpu") == torch.device("cpu")
    assert describe_device(torch.device("cpu")) == "cpu"


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_a_missing_cuda_device_is_an_error_and_never_a_fallback():
    assert choose_device("auto") == torch.device("cpu")
    with pytest.raises(RunError, match="asks for a CUDA device"):
        choose_device("cuda")


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGUSR1", "SIGHUP"])
def test_a_signal_asks_to_stop_and_handlers_are_put_back(name):
    number = signal.Signals[name]
    before = signal.getsignal(number)

    with signals_request_stop() as stop:
        assert stop.requested is None
        os.kill(os.getpid(), number)
        assert stop.requested == name

    assert signal.getsignal(number) == before
    assert StoppedBySignal(name, 3).exit_code == 128 + number


def test_a_run_under_nohup_does_not_notice_that_the_terminal_is_closed():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with signals_request_stop() as stop:
            os.kill(os.getpid(), signal.SIGHUP)
            assert stop.requested is None
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_sigint_while_libraries_are_loaded_ends_the_process_without_a_trace(tmp_path):
    (tmp_path / "torch.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGINT)\n")
    variables = environment()
    variables["PYTHONPATH"] = os.pathsep.join([str(tmp_path), variables["PYTHONPATH"]])

    started = subprocess.Popen(
        [sys.executable, "-m", "recipe_runtime"],
        env=variables,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509 - background jobs ignore it
    )
    told = started.communicate()[1]

    assert (started.returncode, told) == (-signal.SIGINT, "")


def test_a_second_sigint_ends_the_process_at_once():
    script = (
        "import os, signal\n"
        "from recipe_runtime.launch import signals_request_stop\n"
        "with signals_request_stop() as stop:\n"
        "    os.kill(os.getpid(), signal.SIGINT)\n"
        "    assert stop.requested == 'SIGINT'\n"
        "    print('still here', flush=True)\n"
        "    os.kill(os.getpid(), signal.SIGINT)\n"
        "    print('never', flush=True)\n"
    )

    done = subprocess.run(
        [sys.executable, "-c", script], env=environment(), capture_output=True, text=True, check=False
    )

    assert done.returncode == -signal.SIGINT
    assert done.stdout == "still here\n"


def test_a_run_directory_belongs_to_one_process(tmp_path):
    with (
        run_lock(tmp_path),
        pytest.raises(RunError, match=rf"another process \(number {os.getpid()}\) works on"),
        run_lock(tmp_path),
    ):
        pass
    with run_lock(tmp_path):
        assert (tmp_path / LOCK_FILE).read_text() == f"{os.getpid()}\n"


def test_a_lock_that_the_process_has_already_is_kept_from_programs_that_it_starts(tmp_path):
    with take_lock(tmp_path) as lock:
        descriptor = os.dup(lock.fileno())
    os.set_inheritable(descriptor, True)

    with run_lock(tmp_path, held=descriptor):
        assert not os.get_inheritable(descriptor)
        with pytest.raises(RunLockedError):
            check_free(tmp_path)
    check_free(tmp_path)


def test_a_lock_that_can_not_be_written_is_named(tmp_path):
    (tmp_path / LOCK_FILE).mkdir()

    with pytest.raises(RunError, match=rf"{LOCK_FILE} can't be written: .*Is a directory"), run_lock(tmp_path):
        pass


def environment():
    return {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
