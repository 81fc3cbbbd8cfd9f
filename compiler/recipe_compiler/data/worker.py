"""A process that looks at video files for another one: questions come in, answers go out, a line of JSON each.

A question is the path of a file to probe, or an object of a path and a window whose motion is measured.

A damaged file may crash the video library, or keep it busy for ever. Then it is this process that dies.
"""

import json
import os
import sys
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any, TextIO

from recipe_compiler.data.probe import probe


MOST_MEMORY = 8 << 30
"""Bytes of address space."""


def serve(questions: Iterable[str], answers: TextIO) -> None:
    """Answer every question."""
    for line in questions:
        question = json.loads(line)
        try:
            facts = asdict(probe(Path(question))) if isinstance(question, str) else _motion(**question)
        except MemoryError:
            facts = {"problem": f"needs more than {MOST_MEMORY >> 30} GB of memory to be looked at"}
        answers.write(json.dumps(facts) + "\n")
        answers.flush()


def _motion(path: str, window: dict[str, Any]) -> dict[str, Any]:
    # OpenCV is there only for those who ask for motion.
    from recipe_compiler.data.flow import FlowError, Window, motion_of  # noqa: PLC0415

    try:
        return {"pixels": motion_of(Path(path), Window(**window))}
    except FlowError as error:
        return {"problem": str(error)}


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
