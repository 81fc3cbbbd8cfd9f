"""A column of captions is named twice.

What it does: looks for a name that stands twice in a list of columns of captions.

Why it hurts: the same text would be taken twice, where another column was meant. With `multiline: whole` each caption would
hold it twice.

Example:
    data:
      datasets:
        - id: clips
          instance_data_dir: clips
          caption_strategy: csv
          csv_file: captions.csv
          csv_url_column: file
          csv_caption_column: [caption, caption]
          multiline: split
          video:
            num_frames: 9

Use instead:
    data:
      datasets:
        - id: clips
          instance_data_dir: clips
          caption_strategy: csv
          csv_file: captions.csv
          csv_url_column: file
          csv_caption_column: [caption, short]
          multiline: split
          video:
            num_frames: 9
"""

from collections import Counter
from collections.abc import Iterator

from recipe_compiler.data.captions import COLUMNS, caption_columns
from recipe_compiler.rules.data_sets import in_use
from recipe_compiler.rules.rule import Facts, Finding, Rule


def check(facts: Facts) -> Iterator[Finding]:
    """Look at the columns of each data set."""
    for table in in_use(facts.settings, "caption_strategy", "only_instance_prompt", *COLUMNS.values()):
        columns = caption_columns(facts.settings, table)
        if columns is None:
            continue
        for name, count in Counter(columns[1]).items():
            if count > 1:
                yield Finding(
                    at=columns[0],
                    message=f"the column `{name}` is named {count} times, and its text would be taken as often",
                    help="name another column, or take one out",
                )


RULE = Rule(code="R781", name="caption-column-twice", severity="error", reads=(), check=check, page=__doc__)
