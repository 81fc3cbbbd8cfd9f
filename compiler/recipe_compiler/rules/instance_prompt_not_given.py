"""Captions are to begin with a prompt that is not given.

What it does: finds data sets with `prepend_instance_prompt` or `only_instance_prompt` and no `instance_prompt`.

Why it hurts: nothing would be put before the captions, or nothing would be left of them.

Example:
    data:
      datasets:
        - id: clips
          instance_data_dir: clips
          prepend_instance_prompt: true

Use instead:
    data:
      datasets:
        - id: clips
          instance_data_dir: clips
          prepend_instance_prompt: true
          instance_prompt: a short film of a red ball
"""

from collections.abc import Iterator

from recipe_compiler.rules.data_sets import in_use
from recipe_compiler.rules.rule import Facts, Finding, Rule


KEYS = ("only_instance_prompt", "prepend_instance_prompt")


def check(facts: Facts) -> Iterator[Finding]:
    """Find prompts that are asked for. With `caption_strategy: instanceprompt`, another rule does."""
    settings = facts.settings
    for table in in_use(settings, "caption_strategy", "instance_prompt", *KEYS):
        wanted = [key for key in KEYS if settings[f"{table}.{key}"]]
        given = bool((settings[f"{table}.instance_prompt"] or "").strip())
        if wanted and not given and settings[f"{table}.caption_strategy"] != "instanceprompt":
            yield Finding(
                at=f"{table}.{wanted[0]}",
                message=f"`{wanted[0]}` needs an `instance_prompt`",
                help="add `instance_prompt:` to the data set",
            )


RULE = Rule(code="R320", name="instance-prompt-not-given", severity="error", reads=(), check=check, page=__doc__)
