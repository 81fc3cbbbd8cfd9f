"""Clips are to be scored by CLIP, and none is drawn.

What it does: finds `evaluation.type: clip` without `validation.prompt` or `validation.prompt_library`.

Why it hurts: the clips of validation are scored, each against its prompt. Without a prompt there is neither a clip nor a
score, and the model is loaded from the disk or the hub for nothing.

Example:
    evaluation:
      type: clip
      pretrained_model_name_or_path: openai/clip-vit-large-patch14
    validation:
      prompt: null

Use instead:
    evaluation:
      type: clip
      pretrained_model_name_or_path: openai/clip-vit-large-patch14
    validation:
      prompt: a red ball rolls over a table
"""

from collections.abc import Iterator

from recipe_compiler.rules.rule import Facts, Finding, Rule
from recipe_compiler.rules.wording import LIBRARY, PROMPT, draws_clips


TYPE = "evaluation.type"


def check(facts: Facts) -> Iterator[Finding]:
    """Look for prompts."""
    if facts.settings[TYPE] == "clip" and not draws_clips(facts.settings):
        yield Finding(
            at=TYPE,
            message="`evaluation.type: clip` scores the clips of validation, and none is drawn",
            help="add `validation.prompt`, or leave the score out",
        )


RULE = Rule(
    code="R619",
    name="clip-score-of-nothing",
    severity="warning",
    reads=(TYPE, PROMPT, LIBRARY),
    check=check,
    page=__doc__,
)
