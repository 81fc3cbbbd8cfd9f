"""Layers are to be offloaded, and all of them are trained.

What it does: finds `memory.group_offload.enabled` together with `model.type: full`, unless the text encoder or the VAE
is offloaded too.

Why it hurts: weights that are trained stay on the accelerator beside their gradients and moments, so nothing is
offloaded, and the run needs as much memory as without it. Frozen weights beside an adapter can be offloaded.

Example:
    memory:
      group_offload:
        enabled: true

Use instead:
    model:
      type: lora
    memory:
      group_offload:
        enabled: true
"""

from collections.abc import Iterator

from recipe_compiler.rules.rule import Facts, Finding, Rule


SECTION, TYPE = "memory.group_offload", "model.type"
ENABLED, TEXT, VAE = f"{SECTION}.enabled", f"{SECTION}.text_encoder", f"{SECTION}.vae"


def check(facts: Facts) -> Iterator[Finding]:
    """Look for something that is frozen."""
    settings = facts.settings
    if settings[ENABLED] and settings[TYPE] == "full" and not settings[TEXT] and not settings[VAE]:
        yield Finding(
            at=ENABLED,
            message="group_offload leaves trained weights on the accelerator, and `model.type: full` trains all of them",
            help="train an adapter with `model.type: lora`, or leave group_offload out",
            also=((TYPE, "all weights are trained"),),
        )


RULE = Rule(
    code="R503",
    name="offload-of-trained-weights",
    severity="warning",
    reads=(ENABLED, TYPE, TEXT, VAE),
    check=check,
    page=__doc__,
)
