"""GPUs: what the driver and torch say of them. Torch is asked in a process of the runtime."""

import subprocess
import sys
from collections.abc import Iterator, Sequence

from recipe_compiler.doctor.verdict import Verdict
from recipe_compiler.graphics import Card
from recipe_schema.torch_facts import TorchFacts, torch_facts


_PATIENCE = 120
"""Seconds. Torch alone takes ten of them on a cold disk."""

_BUSY = 0.1
"""A GPU of whose memory more than this share is taken is used by somebody."""


def ask_torch() -> TorchFacts | str:
    """Let the runtime measure this machine; the reason, if it can't."""
    command = [sys.executable, "-m", "recipe_runtime.torch_facts"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_PATIENCE, check=False)  # noqa: S603
        if done.returncode == 0:
            return torch_facts(done.stdout.strip().rpartition("\n")[2])
    except subprocess.TimeoutExpired:
        return f"it took more than {_PATIENCE} seconds"
    except ValueError as error:
        return str(error)
    lines = done.stderr.strip().splitlines()
    return lines[-1] if lines else f"it ended with exit code {done.returncode}"


def look_at_gpus(cards: Sequence[Card], facts: TorchFacts) -> Iterator[Verdict]:
    """Say what training would run on.

    Args:
        cards: What the driver says.
        facts: What torch says.
    """
    built = f"torch {facts.torch}, {'for CUDA ' + facts.cuda if facts.cuda else 'built without CUDA'}"
    driver = f", driver {cards[0].driver}" if cards else ""
    if not facts.devices:
        yield _none(cards, facts, built + driver)
    else:
        yield Verdict(about="gpu", status="ok", text=built + driver)
    for device in facts.devices:
        text = (
            f"{device.name}: {device.free_gb:.1f} of {device.memory_gb:.1f} GB free, {device.tflops:.3g} TFLOP/s in "
            f"{'bf16' if device.bf16 else 'fp32'}"
        )
        if not device.bf16:
            cure = "take a GPU from Ampere on, or `train.mixed_precision: no`, which needs twice the memory"
            yield Verdict(about="gpu", status="warning", text=f"{text}; it does not compute in bf16", cure=cure)
        elif device.free_gb < (1 - _BUSY) * device.memory_gb:
            cure = "`nvidia-smi` says whose processes these are"
            yield Verdict(about="gpu", status="warning", text=f"{text}; others use it", cure=cure)
        else:
            yield Verdict(about="gpu", status="ok", text=text)
    threads = f"{facts.threads} thread{'s' * (facts.threads != 1)}"
    yield Verdict(about="gpu", status="ok", text=f"processor: {facts.cpu_gflops:,.0f} GFLOP/s in fp32, {threads}")


def _none(cards: Sequence[Card], facts: TorchFacts, built: str) -> Verdict:
    """Say why there is no GPU for torch."""
    if not cards:
        cure = "small models with random weights train here; the 2B needs a GPU of 16 GB or more"
        return Verdict(about="gpu", status="warning", text=f"no GPU; {built}", cure=cure)
    names = ", ".join(card.name for card in cards)
    if facts.cuda is None:
        cure = "install torch from an index of CUDA builds: see https://pytorch.org/get-started/locally"
    else:
        cure = f"update the driver to one that knows CUDA {facts.cuda}; look at CUDA_VISIBLE_DEVICES"
    why = f": {facts.problem}" if facts.problem else ""
    return Verdict(about="gpu", status="error", text=f"torch does not see {names}{why}; {built}", cure=cure)
