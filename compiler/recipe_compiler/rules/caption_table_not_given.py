"""Captions are to come from a table that is not named.

What it does: finds data sets with `caption_strategy: parquet` and no `parquet.path`, or `caption_strategy: csv` and no
`csv_file`.

Why it hurts: every clip would be without a caption.

Example:
    data:
      datasets:
        - id: clips
          instance_data_dir: clips
          caption_strategy: parquet
          video:
            num_frames: 9

Use instead:
    data:
      datasets:
        - id: clips
          instance_data_dir: clips
          caption_strategy: parquet
          parquet:
            path: captions.csv
            filename_column: file
          video:
            num_frames: 9
"""

from collections.abc import Iterator

from recipe_compiler.data.captions import TABLES, caption_source
from recipe_compiler.rules.rule import Facts, Finding, Rule


def check(facts: Facts) -> Iterator[Finding]:
    """Look for the table of each data set that needs one."""
    settings = facts.settings
    for table in settings.tables("data.datasets"):
        strategy, only = f"{table}.caption_strategy", f"{table}.only_instance_prompt"
        if not settings.fine(strategy, only) or not settings.in_use(table):
            continue
        source = caption_source(settings, table)
        file = TABLES.get(source)
        if file is not None and settings.fine(f"{table}.{file}") and settings[f"{table}.{file}"] is None:
            yield Finding(
                at=strategy,
                message=f"`caption_strategy: {source}` needs a table, and `{file}` names none",
                help=f"set `{file}` to the table of captions; a relative path starts at the recipe",
            )


RULE = Rule(code="R342", name="caption-table-not-given", severity="error", reads=(), check=check, page=__doc__)
