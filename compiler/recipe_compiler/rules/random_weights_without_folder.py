"""A small model is to be built, and there is no folder for it.

What it does: finds `model.random_weights` without a local `model.pretrained_model_name_or_path`.

Why it hurts: the default is the published model on the Hugging Face hub; the small one would be built in a folder
of that name.

Example:
    model:
      random_weights: tiny
      pretrained_model_name_or_path: Efficient-Large-Model/SANA-Video_2B_480p_diffusers

Use instead:
    model:
      random_weights: tiny
      pretrained_model_name_or_path: models/tiny
"""

from collections.abc import Iterator

from recipe_compiler.rules.rule import Facts, Finding, Rule


MODEL, WEIGHTS = "model.pretrained_model_name_or_path", "model.random_weights"


def check(facts: Facts) -> Iterator[Finding]:
    """Look for a folder."""
    if facts.settings[WEIGHTS] is not None and facts.settings[MODEL] == facts.settings.family.default("model_id"):
        yield Finding(
            at=WEIGHTS,
            message="`model.random_weights` builds a model, and no folder is given for it",
            help="set `model.pretrained_model_name_or_path`, such as `models/tiny`",
            also=((MODEL, "this is the published model"),),
        )


RULE = Rule(
    code="R205",
    name="random-weights-without-folder",
    severity="error",
    reads=(MODEL, WEIGHTS),
    check=check,
    page=__doc__,
)
