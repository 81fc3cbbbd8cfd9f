"""Several machines that train together: how they find each other, and how one learns that another has failed.

The first machine runs everything as if it were alone, and opens a port when training begins. The others wait for it,
compare plans, and start their processes, which are children as on the first machine. Nothing but numbers and sentences
goes through the port; tensors go from process to process.
"""

import json
import os
import re
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any, Protocol

import torch
from torch.distributed import DistError, TCPStore  # type: ignore[attr-defined]  # exported without saying so

from recipe_runtime.context import Context, Meeting
from recipe_runtime.errors import PeerFailed, PlanRefused, RunError
from recipe_schema.events import Failed
from recipe_schema.exits import Exit
from recipe_schema.plan import Plan


_PATIENCE = timedelta(days=30)
"""How long the other machines wait for the first one to encode and to begin."""

_LOOK = 0.5
"""Seconds between two looks at the others."""

_FIRST_ALONE = 15.0
"""Seconds in which the first process may notice by itself that another machine failed, before it is ended."""

_GO, _FAILED = "go", "failed"
_ADDRESS = re.compile(r"\[?([^\[\]\s]+?)\]?:(\d{1,5})")


class Child(Protocol):
    """A process of this machine, see `recipe_runtime.peers.Peer`."""

    def failed_within(self, seconds: float) -> bool:
        """Wait for its end, and return whether it failed."""

    def is_over(self) -> bool:
        """Return whether it has ended."""

    def succeeded(self) -> bool:
        """Return whether it has ended well."""

    def failure(self) -> PeerFailed:
        """Return what it said before it failed."""

    def end(self) -> None:
        """Let it end, and wait for that."""


def read_meeting(text: str) -> Meeting:
    """Read ``HOST:PORT``, also with ``tcp://`` before it.

    Raises:
        ValueError: It is something else.
    """
    match = _ADDRESS.fullmatch(text.removeprefix("tcp://"))
    if match is None or not 0 < int(match[2]) < 2**16:
        raise ValueError(f"`{text}` is no address; write HOST:PORT, as in 10.0.0.1:29500")
    return Meeting(host=match[1], port=int(match[2]))


def place_among(
    machine: int | None, meeting: Meeting | None, environment: Mapping[str, str]
) -> tuple[int, Meeting | None]:
    """Return which machine this is and where they meet: as was said, else as torchrun's variables say.

    Args:
        machine: Its number as an argument said it.
        meeting: The address as an argument said it.
        environment: ``NODE_RANK``, ``MASTER_ADDR`` and ``MASTER_PORT`` are read.

    Raises:
        RunError: A variable holds something else.
    """
    try:
        rank = int(environment.get("NODE_RANK", "0")) if machine is None else machine
        if meeting is None and "MASTER_ADDR" in environment and "MASTER_PORT" in environment:
            meeting = read_meeting(f"{environment['MASTER_ADDR']}:{environment['MASTER_PORT']}")
    except ValueError as error:
        raise RunError(
            f"NODE_RANK, MASTER_ADDR and MASTER_PORT of the environment don't say which machine this is ({error}); correct "
            "them, or give `--machine` and `--meeting`"
        ) from None
    return rank, meeting


def check_place(plan: Plan, machine: int, meeting: Meeting | None) -> None:
    """Check that this machine has a place in a run of several.

    Raises:
        RunError: It has none, or nobody said where they meet.
    """
    machines = int(plan.settings["launch.machines"])
    if not 0 <= machine < machines:
        raise RunError(
            f"this is machine {machine} (`--machine` or NODE_RANK, counted from 0), and `launch.machines` is {machines}; "
            "correct one of them"
        )
    if machines > 1 and meeting is None:
        raise RunError(
            f"`launch.machines: {machines}` needs an address of the first machine at which they meet; give `--meeting HOST:PORT` "
            "on each, or set MASTER_ADDR and MASTER_PORT"
        )


class FirstMachine:
    """The first machine's side: lets the others begin, and watches for a failure of theirs.

    Args:
        ctx: The run.
        meeting: Where they meet.

    Raises:
        RunError: The port can't be opened.
    """

    def __init__(self, ctx: Context, meeting: Meeting) -> None:
        self._ctx = ctx
        self._over = threading.Event()
        self._watcher = threading.Thread(target=self._watch, name="machines", daemon=True)
        try:
            self.store = TCPStore(
                meeting.host, meeting.port, None, is_master=True, timeout=_PATIENCE, wait_for_workers=False
            )
            # A second connection: who waits for something on the first one lets nobody else use it.
            self._ear = TCPStore(meeting.host, meeting.port, None, is_master=False, timeout=_PATIENCE)
        except (DistError, RuntimeError) as error:
            raise RunError(
                f"{meeting} can't be opened ({_first_line(error)}); `--meeting` has to name an address of this machine and a port "
                "that is free"
            ) from error

    def begin(self, found: Path | None) -> None:
        """Let the other machines begin.

        Args:
            found: Folder of the checkpoint that training goes on from.
        """
        inside = found is not None and found.is_relative_to(self._ctx.run_dir)
        place = found.relative_to(self._ctx.run_dir) if found is not None and inside else found
        said = {
            "plan_id": self._ctx.plan.plan_id,
            "strategy": self._ctx.settings.launch.strategy,
            "checkpoint": None if place is None else place.as_posix(),
            "threads": torch.get_num_threads(),
        }
        self.store.set(_GO, json.dumps(said))
        self._watcher.start()

    def close(self) -> None:
        """Stop watching. A thread that still asks torch something when the process ends would end it with SIGABRT."""
        self._over.set()
        if self._watcher.is_alive():
            self._watcher.join()

    def failure(self, seconds: float) -> PeerFailed | None:
        """Wait for another machine to say that it failed, and return what it said."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if self._ear.check([_FAILED]):
                return PeerFailed(self._ear.get(_FAILED).decode())
            time.sleep(_LOOK / 5)
        return None

    def _watch(self) -> None:
        try:
            while not self._ear.check([_FAILED]):
                if self._over.wait(_LOOK):
                    return
            message = self._ear.get(_FAILED).decode()
        except RuntimeError:  # the run is over, and the port closed
            return
        if self._over.wait(_FIRST_ALONE):
            return
        self._ctx.recorder.emit(Failed(message=message, exit_code=int(Exit.FAILED)))
        sys.stderr.write(f"recipe: {message}\n")
        sys.stderr.flush()
        os._exit(Exit.FAILED)


def join(ctx: Context, machine: int, meeting: Meeting, start: Callable[[int, Path | None, int], Child]) -> None:
    """Be one of the other machines: wait for the first one, start this machine's processes, and end with them.

    Args:
        ctx: The run. Nothing is written into its run directory.
        machine: This machine's number, from 1.
        meeting: Where they meet.
        start: Starts the process of a number, from a checkpoint, with so many threads.

    Raises:
        PlanRefused: The first machine has another plan.
        RunError: A process failed, or the first machine is gone.
    """
    try:
        store = TCPStore(meeting.host, meeting.port, None, is_master=False, timeout=_PATIENCE)
        said: dict[str, Any] = json.loads(store.get(_GO))
        _check_same(ctx, said, store, machine)
    except (DistError, ValueError) as error:
        raise _gone(meeting, error) from error
    found = None if said["checkpoint"] is None else ctx.run_dir / said["checkpoint"]
    with ExitStack() as stack:
        children: list[Child] = []
        for number in range(ctx.settings.launch.processes):
            rank = machine * ctx.settings.launch.processes + number
            children.append(start(rank, found, said["threads"]))
            stack.callback(children[-1].end)
        _wait(children, store, machine, meeting)


def _wait(children: Sequence[Child], store: TCPStore, machine: int, meeting: Meeting) -> None:
    """Wait for the end of this machine's processes."""
    while True:
        for child in children:
            if child.failed_within(_LOOK / len(children)):
                failure = f"machine {machine}: {child.failure()}"
                with suppress(DistError, RuntimeError):  # the first machine may have ended
                    store.set(_FAILED, failure)
                raise PeerFailed(failure)
        if all(child.is_over() for child in children):
            return
        try:
            store.check([_FAILED])
        except (DistError, RuntimeError) as error:
            end = time.monotonic() + _FIRST_ALONE
            while time.monotonic() < end and not all(child.is_over() for child in children):
                time.sleep(_LOOK)
            if not all(child.succeeded() for child in children):
                raise _gone(meeting, error) from error
            return


def _check_same(ctx: Context, said: Mapping[str, Any], store: TCPStore, machine: int) -> None:
    own = {"plan_id": ctx.plan.plan_id, "strategy": ctx.settings.launch.strategy}
    for name, value in own.items():
        if said[name] != value:
            message = (
                f"machine {machine} has another {name.replace('_', ' ')} ({value}) than the first ({said[name]}); run the same "
                "recipe on the same data on each"
            )
            store.set(_FAILED, message)
            raise PlanRefused(message)


def _gone(meeting: Meeting, error: Exception) -> RunError:
    return RunError(
        f"the first machine, at {meeting}, is gone ({_first_line(error)}); see what it said, and run the same command again "
        "on each"
    )


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
