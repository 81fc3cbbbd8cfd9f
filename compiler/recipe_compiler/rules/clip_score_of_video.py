"""Clips are scored by a model that sees single images, and by nothing else.

What it does: finds `evaluation.type: clip` where the loss on clips that are not trained is never measured.

Why it hurts: CLIP compares a text with one image. A clip whose frames all fit the prompt gets the same score whether it
moves well, flickers, or stands still. So a model that unlearns to move may have the best score.

Example:
    evaluation:
      type: clip
      pretrained_model_name_or_path: openai/clip-vit-large-patch14

Use instead:
    evaluation:
      type: clip
      pretrained_model_name_or_path: openai/clip-vit-large-patch14
      step_interval: 5
      fraction: 0.25
"""

from collections.abc import Iterator

from recipe_compiler.rules.rule import Facts, Finding, Rule


TYPE, STEPS, EPOCHS = (f"evaluation.{key}" for key in ("type", "step_interval", "epoch_interval"))


def check(facts: Facts) -> Iterator[Finding]:
    """Look for a score that stands alone."""
    settings = facts.settings
    if settings[TYPE] == "clip" and settings[STEPS] is None and settings[EPOCHS] is None:
        yield Finding(
            at=TYPE,
            message="CLIP scores single images, so it says nothing of motion, and nothing else is measured",
            help="measure the loss too, with `evaluation.step_interval` and `fraction`, and look at the clips of validation",
        )


RULE = Rule(
    code="R608",
    name="clip-score-of-video",
    severity="warning",
    reads=(TYPE, STEPS, EPOCHS),
    check=check,
    page=__doc__,
)
