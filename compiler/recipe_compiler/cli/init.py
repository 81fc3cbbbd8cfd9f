"""``recipe init``: questions, each with a default, and a recipe that fits the answers."""

import argparse
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar, cast

from recipe_compiler.cli.errors import UsageError
from recipe_compiler.cli.findings import looking, print_findings
from recipe_compiler.pipeline import Options
from recipe_compiler.wizard.answers import Answers, Goal
from recipe_compiler.wizard.clips import Look, NoClipsError, look_at
from recipe_compiler.wizard.draft import Draft, draft
from recipe_compiler.wizard.fit import TooSmallError
from recipe_schema.exits import Exit
from recipe_schema.files import write_atomically
from recipe_schema.sections.forms import MOST_STEPS


Value = TypeVar("Value")


_STEPS = {"lora": 2000, "full": 4000, "auto": 2000}
_TINY_STEPS = 240
_USUAL_GPU = 24.0
_PROMPT = "a short video with gentle camera motion"
_GOALS = ("auto", "full", "lora")


class _BadAnswerError(ValueError):
    """An answer that can't be used. The message says what would do."""


def run(options: argparse.Namespace) -> int:
    """Ask, write the recipe, and say the next command."""
    file = Path(options.file)
    if file.exists() and not options.force:
        raise UsageError(f"`{file}` is there already; name another file, or let --force replace it")
    if not file.absolute().parent.is_dir():
        raise UsageError(f"there is no folder `{file.absolute().parent}`")
    asker = _Asker(asks=not options.yes and sys.stdin is not None and sys.stdin.isatty())
    how = looking()
    look = asker.value("folder of clips", "--clips", options.clips, None, lambda text: _look(text, how))
    print(f"{look.folder}: {look.text}", file=sys.stderr)
    while True:
        answers = _answers(options, asker, file, look)
        try:
            made = draft(answers, how)
        except TooSmallError as error:
            if not asker.asks or options.gpu_memory is not None:
                raise UsageError(str(error)) from None
            print(f"  {error}", file=sys.stderr)
            options.type = None
            continue
        break
    write_atomically(file, made.text.encode())
    return _tell(file, answers, made)


def _answers(options: argparse.Namespace, asker: "_Asker", file: Path, look: Look) -> Answers:
    gpu = asker.value("memory of the GPU in GB, 0 for none", "--gpu-memory", options.gpu_memory, _gpu(), _memory)
    kind = "full" if gpu == 0 else None
    goal = cast(
        "Goal", kind or asker.value("train: full, lora, or auto for what fits", "--type", options.type, "auto", _goal)
    )
    usual = _TINY_STEPS if gpu == 0 else _STEPS[goal]
    steps = asker.value("optimizer steps", "--steps", options.steps, str(usual), _steps)
    caption = ""
    if look.captions.kind == "none" or options.caption is not None:
        caption = asker.value(
            "one caption for all clips, since they have none", "--caption", options.caption, None, _text
        )
    prompt = asker.value(
        "prompt to draw clips with on the way",
        "--prompt",
        options.prompt,
        caption or _as_prompt(look.captions.example),
        _text,
    )
    return Answers(file=file, look=look, goal=goal, gpu_gb=gpu, prompt=prompt, steps=steps, caption=caption)


def _as_prompt(caption: str) -> str:
    """Return a caption as a prompt, or a general one where it can't be."""
    try:
        return _text(caption)
    except _BadAnswerError:
        return _PROMPT


def _tell(file: Path, answers: Answers, made: Draft) -> int:
    print_findings(made.compiled, sys.stderr)
    if made.fit is not None:
        kind = "all weights" if made.fit.settings["model.type"] == "full" else "an adapter"
        print(f"trains {kind} for {answers.steps:,} steps, in about {made.fit.peak_gb:.1f} GB and CUDA's share")
    print(f"written to {file}")
    if not made.compiled.ok:
        print("next: put right what is said above, then `recipe lint " + str(file) + "`")
        return Exit.FINDINGS
    print(f"next: `recipe plan {file}` says what it costs, `recipe run {file}` trains")
    return Exit.OK


class _Asker:
    """Takes a value from an option, from the terminal, or its default."""

    def __init__(self, *, asks: bool) -> None:
        self.asks = asks

    def value(
        self, question: str, option: str, given: str | None, usual: str | None, read: Callable[[str], Value]
    ) -> Value:
        """Return what is known of something.

        Args:
            question: What is asked at the terminal.
            option: The option that answers it.
            given: What that option was given.
            usual: The default; None if there is none.
            read: Makes a value of an answer.

        Raises:
            UsageError: An option can't be used, or is needed and was not given.
        """
        if given is not None:
            try:
                return read(given)
            except _BadAnswerError as error:
                raise UsageError(f"{option}: {error}") from None
        if not self.asks:
            if usual is None:
                raise UsageError(f"{option} is needed: {question}")
            return read(usual)
        while True:
            try:
                answer = input(f"{question}{f' [{usual}]' if usual else ''}: ").strip() or usual
            except EOFError:
                print()  # the question has no end of its line
                raise UsageError("the answers ended before all was asked; nothing was written") from None
            if answer is None:
                continue
            try:
                return read(answer)
            except _BadAnswerError as error:
                print(f"  {error}", file=sys.stderr)


def _look(text: str, how: Options) -> Look:
    folder = Path(os.path.expanduser(text))
    if "{{" in str(folder.absolute()) or not str(folder).isprintable():
        raise _BadAnswerError("a recipe can't name a path with `{{` or with characters that can't be printed")
    try:
        return look_at(folder, how)
    except NoClipsError as error:
        raise _BadAnswerError(str(error)) from None


def _gpu() -> str:
    """Return the memory of the first GPU in this machine, or a usual one."""
    from recipe_compiler.graphics import cards

    found = cards()
    return f"{found[0].memory_gb if found else _USUAL_GPU:.4g}"


def _memory(text: str) -> float:
    try:
        memory = float(text.lower().removesuffix("gb").strip())
    except ValueError:
        memory = -1.0
    if not 0 <= memory <= 10_000:  # noqa: PLR2004 - beyond any machine
        raise _BadAnswerError(f"`{text}` is no memory in GB; say 24, 80, or 0 for none")
    return memory


def _goal(text: str) -> str:
    if text not in _GOALS:
        raise _BadAnswerError(f"`{text}` is none of full, lora and auto")
    return text


def _steps(text: str) -> int:
    plain = text.replace(",", "").replace("_", "")
    if not (plain.isascii() and plain.isdigit() and 1 <= int(plain) <= MOST_STEPS):
        raise _BadAnswerError(f"`{text}` is no number of steps; say 2000")
    return int(plain)


def _text(text: str) -> str:
    plain = " ".join(text.split())
    if not plain:
        raise _BadAnswerError("an empty text says nothing")
    if "{{" in plain or "}}" in plain:
        raise _BadAnswerError("`{{` would be read as a template")
    return plain
