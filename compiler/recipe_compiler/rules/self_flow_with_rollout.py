"""Samples are to be rolled out, and to have two noise levels.

What it does: finds `regularizers.crepa.feature_source: self_flow` together with rollouts, a
`regularizers.rollout.max_step_offset` above 0.

Why it hurts: a rollout takes a whole sample from one noise level to another. With self_flow some tokens have a second
level, and there is no way for a sample with two. The trainer would have to leave one of them out.

Example:
    ema:
      enabled: true
    regularizers:
      crepa:
        enabled: true
        block_index: 1
        feature_source: self_flow
        teacher_block_index: 2
      rollout:
        max_step_offset: 20
        probability: 0.25

Use instead:
    regularizers:
      crepa:
        enabled: true
        block_index: 1
        feature_source: backbone
        teacher_block_index: 2
      rollout:
        max_step_offset: 20
        probability: 0.25
"""

from collections.abc import Iterator

from recipe_compiler.rules.rule import Facts, Finding, Rule


ENABLED, SOURCE = "regularizers.crepa.enabled", "regularizers.crepa.feature_source"
OFFSET = "regularizers.rollout.max_step_offset"


def check(facts: Facts) -> Iterator[Finding]:
    """Look for both."""
    settings = facts.settings
    if settings[ENABLED] and settings[SOURCE] == "self_flow" and settings[OFFSET]:
        yield Finding(
            at=SOURCE,
            message="`self_flow` gives a sample two noise levels, and a rollout takes it from one level to another",
            help="take `feature_source: backbone` or `encoder`, or leave the rollout out",
            also=((OFFSET, "samples are rolled out here"),),
        )


RULE = Rule(
    code="R429",
    name="self-flow-with-rollout",
    severity="error",
    reads=(ENABLED, SOURCE, OFFSET),
    check=check,
    page=__doc__,
)
