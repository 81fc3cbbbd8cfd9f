"""Clips are scored by a model that sees single images.

What it does: finds `evaluation.type: clip`.

Why it hurts: CLIP compares a text with one image. A clip whose frames all fit the prompt gets the same score whether it
moves well, flickers, or stands still. The loss on clips that are not trained is comparable between steps.

Example:
    evaluation:
      type: clip

Use instead:
    evaluation:
      type: none
"""

from collections.abc import Iterator

from recipe_compiler.rules.rule import Facts, Finding, Rule


TYPE = "evaluation.type"


def check(facts: Facts) -> Iterator[Finding]:
    """Find the score."""
    if facts.settings[TYPE] == "clip":
        yield Finding(
            at=TYPE,
            message="CLIP scores single images, so it says nothing of motion",
            help="measure the loss with `evaluation.step_interval`, and look at the clips of validation",
            fix="none",
        )


RULE = Rule(code="R608", name="clip-score-of-video", severity="warning", reads=(TYPE,), check=check, page=__doc__)
