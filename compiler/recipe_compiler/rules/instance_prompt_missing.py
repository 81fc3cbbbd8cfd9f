"""Captions are to come from a prompt that is not given.

What it does: finds data sets with `caption_strategy: instanceprompt` and no `instance_prompt`, and the reverse.

Why it hurts: every clip would be without a caption; or a prompt would be written that nothing reads.

Example:
    data:
      datasets:
        - id: clips
          instance_data_dir: clips
          caption_strategy: instanceprompt

Use instead:
    data:
      datasets:
        - id: clips
          instance_data_dir: clips
          caption_strategy: instanceprompt
          instance_prompt: a short film of a red ball
"""

from collections.abc import Iterator

from recipe_compiler.rules.data_sets import in_use
from recipe_compiler.rules.rule import Facts, Finding, Rule


def check(facts: Facts) -> Iterator[Finding]:
    """Check strategy and prompt of each data set together."""
    keys = ("caption_strategy", "instance_prompt", "prepend_instance_prompt", "only_instance_prompt")
    for table in in_use(facts.settings, *keys):
        strategy, prompt, *others = (f"{table}.{key}" for key in keys)
        wanted = facts.settings[strategy] == "instanceprompt"
        given = bool((facts.settings[prompt] or "").strip())
        if wanted and not given:
            message = "`caption_strategy: instanceprompt` needs an `instance_prompt`"
            yield Finding(at=strategy, message=message, help="add `instance_prompt:` to the data set")
        if given and not wanted and not any(facts.settings[path] for path in others):
            message = f"`instance_prompt` has no effect: captions come from `{facts.settings[strategy]}`"
            yield Finding(
                at=prompt,
                message=message,
                help="set `caption_strategy: instanceprompt`, or leave it out",
                severity="warning",
            )


RULE = Rule(code="R311", name="instance-prompt-missing", severity="error", reads=(), check=check, page=__doc__)
