"""A process that looks at video files for another one: paths come in, probes go out, a line of JSON each.

A damaged file may crash the video library, or keep it busy for ever. Then it is this process that dies.
"""

import json
import os
import sys
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import TextIO

from recipe_compiler.data.probe import Probe, probe


MOST_MEMORY = 8 << 30
"""Bytes of address space."""


def serve(paths: Iterable[str], answers: TextIO) -> None:
    """Answer every path with its probe."""
    for line in paths:
        try:
            facts = probe(Path(json.loads(line)))
        except MemoryError:
            facts = Probe(problem=f"needs more than {MOST_MEMORY >> 30} GB of memory to be looked at")
        answers.write(json.dumps(asdict(facts)) + "\n")
        answers.flush()


def limit_memory() -> None:
    """Let the system refuse this process more memory than a clip can need. Windows knows no such limit."""
    with suppress(ImportError, ValueError, OSError):
        import resource  # noqa: PLC0415 - there is none on Windows

        _, most = resource.getrlimit(resource.RLIMIT_AS)
        resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY, most))


def main() -> None:
    """Serve standard input and output. What libraries print goes to standard error."""
    with (
        suppress(KeyboardInterrupt, BrokenPipeError),
        os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8") as answers,
    ):
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
        limit_memory()
        serve(sys.stdin, answers)


if __name__ == "__main__":
    main()
