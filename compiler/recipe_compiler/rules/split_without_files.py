"""Captions are to be split, and come from neither files nor a table.

What it does: finds `multiline: split` in a data set whose captions are file names or an `instance_prompt`.

Why it hurts: lines of a caption file are captions of their own, and columns, rows and lists of a table. A file's name or an
`instance_prompt` is one caption, whatever `multiline` says.

Example:
    data:
      datasets:
        - id: clips
          instance_data_dir: clips
          multiline: split
          caption_strategy: filename
          video:
            num_frames: 9

Use instead:
    data:
      datasets:
        - id: clips
          instance_data_dir: clips
          multiline: split
          video:
            num_frames: 9
"""

from collections.abc import Iterator

from recipe_compiler.data.captions import LISTS, TABLES, caption_source
from recipe_compiler.rules.data_sets import in_use
from recipe_compiler.rules.rule import Facts, Finding, Rule


def check(facts: Facts) -> Iterator[Finding]:
    """Find data sets that split what has no parts."""
    for table in in_use(facts.settings, "multiline", "type", "caption_strategy", "only_instance_prompt"):
        only = facts.settings[f"{table}.only_instance_prompt"]
        source = caption_source(facts.settings, table)
        if facts.settings[f"{table}.multiline"] == "split" and source not in ("textfile", "fetched", LISTS, *TABLES):
            key = "only_instance_prompt" if only else "caption_strategy"
            value = "true" if only else source
            yield Finding(
                at=f"{table}.multiline",
                message=f"`multiline: split` without effect: with `{key}: {value}`, each clip has one caption",
                help="leave it out",
                also=((f"{table}.{key}", "captions come from here"),),
            )


RULE = Rule(code="R350", name="split-without-files", severity="warning", reads=(), check=check, page=__doc__)
