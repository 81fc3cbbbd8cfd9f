"""A package is needed that is not installed.

What it does: looks for bitsandbytes where `optimizer.name` is `adamw8bit`, and for torchao where it begins with `ao-`, or
where `model.base_model_precision` or `model.text_encoder_precision` is one of its formats. It warns; `recipe run` refuses.

Why it hurts: both are extras, which the usual installation leaves out, and the run would stop when its model or its
optimizer is built.

Example:
    optimizer:
      name: adamw8bit

Use instead:
    optimizer:
      name: adamw_bf16
"""

from collections.abc import Iterator

from recipe_compiler.rules.rule import Facts, Finding, Rule
from recipe_schema.optimizers import EXTRAS, PACKAGES


NAME, BASE, ENCODER, TYPE = (
    "optimizer.name",
    "model.base_model_precision",
    "model.text_encoder_precision",
    "model.type",
)


def check(facts: Facts) -> Iterator[Finding]:
    """Look for packages."""
    for path, package in _needed(facts):
        if facts.machine.version(package) is None:
            yield Finding(
                at=path,
                message=f"`{facts.settings[path]}` needs the package {package}, which is not installed on this machine",
                help=f"pip install 'sana-recipes[{EXTRAS[package]}]'",
                severity="error" if facts.starts_here else "warning",
            )


def _needed(facts: Facts) -> Iterator[tuple[str, str]]:
    """Yield settings that need a package, with its name. Where all weights are trained, another rule speaks."""
    settings = facts.settings
    if settings.fine(NAME) and settings[NAME] in PACKAGES:
        yield NAME, PACKAGES[settings[NAME]]
    for path in (BASE, ENCODER):
        frozen = path == ENCODER or settings[TYPE] == "lora"
        if settings.fine(path) and settings[path].endswith("-torchao") and frozen:
            yield path, "torchao"


RULE = Rule(code="R218", name="package-missing", severity="warning", reads=(TYPE,), check=check, page=__doc__)
