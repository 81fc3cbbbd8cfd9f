"""Clips are to be scored by CLIP, and nobody says by which.

What it does: finds `evaluation.type: clip` without `evaluation.pretrained_model_name_or_path`.

Why it hurts: scores of two CLIP models can't be compared, so there is no usual one to fall back on. The run would end
before its first step.

Example:
    evaluation:
      type: clip

Use instead:
    evaluation:
      type: clip
      pretrained_model_name_or_path: openai/clip-vit-large-patch14
"""

from collections.abc import Iterator

from recipe_compiler.rules.rule import Facts, Finding, Rule


TYPE, MODEL = "evaluation.type", "evaluation.pretrained_model_name_or_path"


def check(facts: Facts) -> Iterator[Finding]:
    """Look for the model."""
    if facts.settings[TYPE] == "clip" and facts.settings[MODEL] is None:
        yield Finding(
            at=TYPE,
            message="`evaluation.type: clip` needs a CLIP model, and none is named",
            help="set `evaluation.pretrained_model_name_or_path`, such as to `openai/clip-vit-large-patch14`",
        )


RULE = Rule(
    code="R618", name="clip-score-without-model", severity="error", reads=(TYPE, MODEL), check=check, page=__doc__
)
