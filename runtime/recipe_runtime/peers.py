"""The first process's side of a team: starts the others, notices when one fails, and ends them with itself.

The others are children. Each says ``ready`` when its model is built, and ends when its standard input does, which is so
when the first process ends, however it ends.
"""

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import torch

from recipe_runtime.context import Context
from recipe_runtime.errors import PeerFailed, RunError
from recipe_runtime.machines import FirstMachine
from recipe_runtime.team import ALONE, Team, joined
from recipe_schema.events import Failed
from recipe_schema.exits import Exit
from recipe_schema.sections.hardware import processes_of


READY = "ready"
"""What a child writes when it can join."""

_FIRST_ALONE = 15.0
"""Seconds in which the first process may notice by itself that another one failed, before it is ended."""

_LAST_WORDS = 10.0
"""Seconds that a failing child gets to say why."""


@contextmanager
def assembled(ctx: Context, found: Path | None, *, size: int) -> Iterator[Team]:
    """Start the other processes of a run and join them; a run of one process is alone.

    Enter it when this process's model is built.

    Args:
        ctx: The run.
        found: Folder of the checkpoint that training goes on from.
        size: Processes, this one included.

    Raises:
        PeerFailed: Another process failed. The message is its own.
    """
    if size == 1:
        yield ALONE
        return
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="recipe-team-")))
        first = None if ctx.meeting is None else FirstMachine(ctx, ctx.meeting)
        meeting = f"file://{folder / 'meeting'}" if ctx.meeting is None else str(ctx.meeting)
        peers: list[Peer] = []
        for rank in range(1, ctx.settings.launch.processes):
            peers.append(Peer(ctx, rank, meeting, found, threads=torch.get_num_threads()))
            stack.callback(peers[-1].end)
        if first is not None:
            stack.callback(first.close)
            first.begin(found)
        for peer in peers:
            peer.wait_until_ready()
        store = None if first is None else first.store
        team = stack.enter_context(joined(meeting, rank=0, size=size, device=ctx.device, store=store))
        for peer in peers:
            peer.watch(ctx)
        try:
            yield team
        except RunError:
            raise
        except RuntimeError as error:  # what torch raises where a connection breaks
            failure = _who_failed(peers, first)
            if failure is not None:
                raise failure from error
            raise


def _who_failed(peers: "list[Peer]", first: FirstMachine | None) -> PeerFailed | None:
    """Return what another process failed with, or a process of another machine; None if none says so soon."""
    for peer in peers:
        if peer.failed_within(_LAST_WORDS / len(peers)):
            return peer.failure()
    return None if first is None else first.failure(_LAST_WORDS)


class Peer:
    """A child process.

    Args:
        ctx: The run.
        rank: The child's number.
        meeting: See `recipe_runtime.team.joined`.
        found: Folder of the checkpoint that training goes on from.
        threads: Processor threads, the same in all processes: other numbers of threads give other bits.
    """

    def __init__(self, ctx: Context, rank: int, meeting: str, found: Path | None, *, threads: int) -> None:
        self._name = f"process {rank} of {processes_of(ctx.settings.launch)}"
        self._over = False
        self._said: list[str] = []
        command = [sys.executable, "-m", "recipe_runtime.peer", str(ctx.plan_dir), "--run-dir", str(ctx.run_dir)]
        command += ["--root", str(ctx.root), "--rank", str(rank), "--meeting", meeting]
        command += ["--threads", str(threads)]
        command += ["--checkpoint", str(found)] if found is not None else []
        # Where torch is to be taken from, and what is on the path, is for the child as it is for this process.
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
        self._process = subprocess.Popen(  # noqa: S603 - our own module
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
            start_new_session=True,  # a terminal's Ctrl-C is for the first process, which saves
        )
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    def wait_until_ready(self) -> None:
        """Wait until the child has built its model.

        Raises:
            PeerFailed: It ended instead.
        """
        assert self._process.stdout is not None, "it is a pipe"
        if self._process.stdout.readline().strip() != READY:
            self._process.wait()
            raise self.failure()

    def watch(self, ctx: Context) -> None:
        """End this process if the child fails while it hangs in something that can't be interrupted."""
        threading.Thread(target=self._watch, args=(ctx,), daemon=True).start()

    def failed_within(self, seconds: float) -> bool:
        """Wait for the child's end, and return whether it failed."""
        try:
            return self._process.wait(timeout=seconds) != 0
        except subprocess.TimeoutExpired:
            return False

    def is_over(self) -> bool:
        """Return whether the child has ended."""
        return self._process.poll() is not None

    def succeeded(self) -> bool:
        """Return whether the child has ended well."""
        return self._process.poll() == 0

    def failure(self) -> PeerFailed:
        """Return what the child said before it failed."""
        self._listener.join(timeout=_LAST_WORDS)
        told = [line.removeprefix("recipe: ") for line in self._said if line.startswith("recipe: ")]
        reason = (
            told[-1] if told else f"it said nothing and {_end(self._process.returncode)}; run the same command again"
        )
        return PeerFailed(f"{self._name}: {reason}")

    def end(self) -> None:
        """Let the child end, and wait for that."""
        self._over = True
        assert self._process.stdin is not None, "it is a pipe"
        assert self._process.stdout is not None, "it is a pipe"
        self._process.stdin.close()
        try:
            self._process.wait(timeout=_LAST_WORDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._listener.join()
        self._process.stdout.close()

    def _listen(self) -> None:
        assert self._process.stderr is not None, "it is a pipe"
        with self._process.stderr as stream:
            for line in stream:
                self._said.append(line.rstrip())
                del self._said[:-50]

    def _watch(self, ctx: Context) -> None:
        if self._process.wait() == 0:
            return
        time.sleep(_FIRST_ALONE)
        if self._over:
            return
        failure = self.failure()
        ctx.recorder.emit(Failed(message=str(failure), exit_code=int(Exit.FAILED)))
        sys.stderr.write(f"recipe: {failure}\n")
        sys.stderr.flush()
        os._exit(Exit.FAILED)


def _end(code: int | None) -> str:
    """Say how a process ended that did not say why."""
    if code is not None and code < 0:
        return f"was ended by {signal.Signals(-code).name}, perhaps for want of memory"
    return f"ended with code {code}"
