"""``recipe doctor``: can this machine train, and what to do where it can't."""

import argparse
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from recipe_compiler.cli.findings import compile_from, print_json, wants_color
from recipe_compiler.doctor.codecs import look_at_codecs
from recipe_compiler.doctor.disk import DOWNLOADS, look_at_disks
from recipe_compiler.doctor.gpu import ask_torch, look_at_gpus
from recipe_compiler.doctor.network import ask_address, look_at_hub, look_at_logins
from recipe_compiler.doctor.packages import (
    look_at_extras,
    look_at_packages,
    look_at_python,
    pinned_versions,
    requirements,
)
from recipe_compiler.doctor.recipe import look_at_recipe
from recipe_compiler.doctor.verdict import Verdict
from recipe_compiler.graphics import cards
from recipe_compiler.machine import Machine, this_machine
from recipe_compiler.passes.figures import disk_gb
from recipe_compiler.pipeline import Compiled, make_plan
from recipe_schema.exits import Exit
from recipe_schema.torch_facts import TorchFacts


_COLORS = {"ok": "32", "note": "36", "warning": "33", "error": "31"}


def run(options: argparse.Namespace) -> int:
    """Look at everything, and tell it."""
    compiled = compile_from(options, options.file, must_run=True) if options.file is not None else None
    verdicts: list[Verdict] = []
    for verdict in examine(this_machine(os.environ), compiled, offline=options.offline):
        verdicts.append(verdict)
        if options.format == "text":
            _print(verdict)
    counts = {status: sum(v.status == status for v in verdicts) for status in _COLORS}
    if options.format == "json":
        print_json({"format_version": 1, "checks": [asdict(verdict) for verdict in verdicts], "summary": counts})
    else:
        print(f"\n{_sum(counts)}")
    return Exit.FINDINGS if counts["error"] else Exit.OK


def examine(machine: Machine, compiled: Compiled | None, *, offline: bool) -> Iterator[Verdict]:
    """Look at everything.

    Args:
        machine: The machine.
        compiled: A recipe that it is to train; None for no particular one.
        offline: Ask nobody in the network.
    """
    needed = requirements()
    yield look_at_python(machine.python)
    yield from look_at_packages(needed, pinned_versions(), machine.version)
    facts = None
    if machine.version("torch") is not None:
        told = ask_torch()
        if isinstance(told, TorchFacts):
            facts = told
            yield from look_at_gpus(cards(), facts)
        else:
            cure = "pip install --force-reinstall 'sana-recipes[train]'"
            yield Verdict(about="gpu", status="error", text=f"torch can't be used: {told}", cure=cure)
    else:
        for card in cards():
            yield Verdict(about="gpu", status="ok", text=f"{card.name}: {card.memory_gb:.1f} GB, driver {card.driver}")
    yield from look_at_disks(_folders(compiled, machine), machine, _written(compiled))
    yield from look_at_codecs()
    yield from look_at_extras(needed, machine.version)
    yield from look_at_logins(machine)
    if not offline:
        yield look_at_hub(machine, ask_address)
    if compiled is not None:
        yield from look_at_recipe(compiled, facts)


def _folders(compiled: Compiled | None, machine: Machine) -> Mapping[str, Path]:
    """Return where a run writes, by what it is."""
    models = Path(machine.variable("HF_HOME") or machine.home / ".cache" / "huggingface")
    if compiled is None or compiled.settings is None:
        return {"this folder": Path.cwd(), DOWNLOADS: models}
    settings = compiled.settings
    names: Sequence[tuple[str, str]] = (("run", "output_dir"), ("store", "data.store_dir"))
    own = {what: compiled.root / settings[path] for what, path in names if settings.fine(path)}
    fetched = settings.fine("model.random_weights") and settings["model.random_weights"] is None
    return {**own, DOWNLOADS: models} if fetched else own


def _written(compiled: Compiled | None) -> float | None:
    """Return how many bytes a run writes, by the estimate; None if there is no recipe, or one with errors."""
    if compiled is None or not compiled.ok:
        return None
    return disk_gb(make_plan(compiled).meta["estimate"]) * 1e9


def _print(verdict: Verdict) -> None:
    mark = f"{verdict.status:<8}"
    if wants_color(sys.stdout):
        mark = f"\x1b[{_COLORS[verdict.status]}m{mark}\x1b[0m"
    print(f"{mark}{verdict.about:<10}{verdict.text}", flush=True)
    if verdict.cure:
        print(f"{'':<18}→ {verdict.cure}", flush=True)


def _sum(counts: Mapping[str, int]) -> str:
    wrong = [
        f"{counts[status]} {status}{'s' * (counts[status] != 1)}" for status in ("error", "warning") if counts[status]
    ]
    return ", ".join(wrong) if wrong else "all that is needed is there"
