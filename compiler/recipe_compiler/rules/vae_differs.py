"""The VAE comes from another place than the model.

What it does: compares `model.pretrained_vae_model_name_or_path` with `model.pretrained_model_name_or_path`.

Why it hurts: the transformer knows the latents of one VAE. Latents of another one either fail to load or, worse,
train a model that draws noise. It is right only for a copy of the same VAE.

Example:
    model:
      pretrained_vae_model_name_or_path: Wan-AI/Wan2.2-TI2V-5B-Diffusers

Use instead:
    model:
      vae_dtype: fp32
"""

import posixpath
from collections.abc import Iterator

from recipe_compiler.rules.rule import Facts, Finding, Rule


VAE, MODEL = "model.pretrained_vae_model_name_or_path", "model.pretrained_model_name_or_path"


def check(facts: Facts) -> Iterator[Finding]:
    """Compare the two places."""
    vae, model = facts.settings[VAE], facts.settings[MODEL]
    if posixpath.normpath(vae) != posixpath.normpath(model):
        yield Finding(
            at=VAE,
            message=f"the VAE comes from `{vae}` and the model from `{model}`",
            help="leave the VAE's path out, unless it is a copy of the same VAE",
            also=((MODEL, "the model's place"),),
        )


RULE = Rule(
    code="R202", name="vae-differs-from-model", severity="warning", reads=(VAE, MODEL), check=check, page=__doc__
)
