"""Captions are to come from a prompt that is not given.

What it does: finds data sets with `caption_strategy: instanceprompt`, `only_instance_prompt` or
`prepend_instance_prompt` and no `instance_prompt`, and an `instance_prompt` with none of them.

Why it hurts: every clip would be without a caption, or without its beginning; or a prompt would be written that nothing
reads.

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

from recipe_compiler.data.captions import prompt_reader
from recipe_compiler.rules.data_sets import in_use
from recipe_compiler.rules.rule import Facts, Finding, Rule


def check(facts: Facts) -> Iterator[Finding]:
    """Check strategy and prompt of each data set together."""
    keys = ("caption_strategy", "instance_prompt", "only_instance_prompt", "prepend_instance_prompt")
    for table in in_use(facts.settings, *keys):
        strategy, prompt = f"{table}.caption_strategy", f"{table}.instance_prompt"
        reader = prompt_reader(facts.settings, table)
        given = bool((facts.settings[prompt] or "").strip())
        if reader is not None and not given:
            asked = "caption_strategy: instanceprompt" if reader == "caption_strategy" else reader
            message = f"`{asked}` needs an `instance_prompt`"
            yield Finding(at=f"{table}.{reader}", message=message, help="add `instance_prompt:` to the data set")
        if given and reader is None:
            message = f"`instance_prompt` has no effect: captions come from `{facts.settings[strategy]}`"
            yield Finding(
                at=prompt,
                message=message,
                help="set `caption_strategy: instanceprompt` or `prepend_instance_prompt: true`, or leave it out",
                severity="warning",
            )


RULE = Rule(code="R311", name="instance-prompt-missing", severity="error", reads=(), check=check, page=__doc__)
