"""The VAE is to be freed, and clips are to be drawn with it.

What it does: finds `regularizers.crepa.drop_vae_encoder` together with a validation prompt.

Why it hurts: drawing a clip ends with the VAE. It is freed for good once the training clips are encoded.

Example:
    regularizers:
      crepa:
        enabled: true
        drop_vae_encoder: true
    validation:
      prompt: a red ball

Use instead:
    regularizers:
      crepa:
        enabled: true
    validation:
      prompt: a red ball
"""

from collections.abc import Iterator

from recipe_compiler.rules.rule import Facts, Finding, Rule
from recipe_compiler.rules.wording import LIBRARY, PROMPT, draws_clips


ENABLED, DROP = "regularizers.crepa.enabled", "regularizers.crepa.drop_vae_encoder"


def check(facts: Facts) -> Iterator[Finding]:
    """Look for a use of the VAE after training has begun."""
    settings = facts.settings
    if settings[ENABLED] and settings[DROP] and draws_clips(settings):
        yield Finding(
            at=DROP,
            message="`drop_vae_encoder` frees the VAE, and validation draws clips with it",
            help="leave drop_vae_encoder out, or the validation prompts",
            also=((PROMPT, "drawn here"), (LIBRARY, "drawn here")),
        )


RULE = Rule(
    code="R507",
    name="vae-dropped-and-needed",
    severity="error",
    reads=(ENABLED, DROP, PROMPT, LIBRARY),
    check=check,
    page=__doc__,
)
