"""One recipe: what a lint for a run on this machine says, and whether it fits the GPU."""

from collections.abc import Iterator

from recipe_compiler.doctor.verdict import Verdict
from recipe_compiler.pipeline import Compiled, make_plan
from recipe_schema.torch_facts import TorchFacts


CONTEXT_GB = 2.0
"""What the estimate leaves out: CUDA's own share, and workspaces."""


def look_at_recipe(compiled: Compiled, facts: TorchFacts | None) -> Iterator[Verdict]:
    """Say what keeps a recipe from being trained here.

    Args:
        compiled: The recipe, compiled for a run that starts on this machine.
        facts: What torch says of the machine; None if it says nothing.
    """
    for found in compiled.found:
        text = f"{found.span}: {found.code} {found.message}"
        yield Verdict(about="recipe", status=found.severity, text=text, cure=found.help)
    if not compiled.ok:
        return
    plan = make_plan(compiled)
    takes, device = float(plan.meta["estimate"]["memory_gb"]), plan.settings["hardware.device"]
    if facts is None:
        return
    if not facts.devices and device == "cuda":
        text = "`hardware.device: cuda`, and torch sees no GPU here"
        yield Verdict(about="recipe", status="error", text=text, cure="write `hardware.device: auto`, or see above")
    elif not facts.devices or device == "cpu":
        yield Verdict(about="recipe", status="ok", text=f"{plan.name} trains on the processor, in {takes:.3g} GB")
    else:
        yield _on_gpu(plan.name, takes, facts, plan.meta["memory"]["cures"])


def _on_gpu(name: str, takes: float, facts: TorchFacts, cures: list[dict[str, object]]) -> Verdict:
    """Compare what a recipe takes with the smallest GPU: with several, each process has one."""
    smallest = min(facts.devices, key=lambda device: device.memory_gb)
    text = f"{name} takes about {takes + CONTEXT_GB:.1f} of {smallest.memory_gb:.1f} GB ({smallest.name})"
    if takes + CONTEXT_GB <= smallest.memory_gb:
        return Verdict(about="recipe", status="ok", text=text)
    best = [f"{_settings(cure)} ({cure['memory_gb']} GB; {cure['cost']})" for cure in cures]
    return Verdict(about="recipe", status="error", text=text, cure="; or ".join(best) or "take a larger GPU")


def _settings(cure: dict[str, object]) -> str:
    settings = cure["settings"]
    assert isinstance(settings, dict), "as `memory_facts` writes it"
    return " ".join(
        f"--set {path}={str(value).lower() if isinstance(value, bool) else value}" for path, value in settings.items()
    )
