"""Shells in a terminal of their own, in which keys are pressed."""

import os
import pty
import select
import subprocess
import time


class Shell:
    """An interactive shell.

    Args:
        command: The shell with its arguments.
        environment: Its variables.
    """

    def __init__(self, command, environment, folder):
        self._keys, terminal = pty.openpty()
        self._process = subprocess.Popen(
            command,
            stdin=terminal,
            stdout=terminal,
            stderr=terminal,
            env=environment,
            cwd=folder,
            start_new_session=True,
        )
        os.close(terminal)

    def close(self):
        self._process.kill()
        self._process.wait()
        os.close(self._keys)

    def press(self, keys):
        os.write(self._keys, keys.encode())

    def wait_for(self, text, seconds=120):
        """Return what the terminal shows, up to a text."""
        shown, end = "", time.monotonic() + seconds
        while text not in shown:
            assert time.monotonic() < end, f"{text!r} never came: {shown!r}"
            if select.select([self._keys], [], [], 0.1)[0]:
                shown += os.read(self._keys, 65536).decode(errors="replace")
        return shown
