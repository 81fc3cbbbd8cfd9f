"""There are more or fewer weights than columns of captions.

What it does: compares the number of `caption_weights` with the number of columns, for data sets with several columns of
captions.

Why it hurts: weights belong to columns by their order. With a number too few or too many, it can't be said how often each
column is drawn.

Example:
    data:
      datasets:
        - id: clips
          instance_data_dir: clips
          caption_strategy: csv
          csv_file: captions.csv
          csv_url_column: file
          csv_caption_column: [caption, short]
          multiline: split
          caption_weights: [90, 5, 5]
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
          caption_weights: [95, 5]
          video:
            num_frames: 9
"""

from collections.abc import Iterator

from recipe_compiler.data.captions import COLUMNS, caption_columns
from recipe_compiler.rules.data_sets import in_use
from recipe_compiler.rules.rule import Facts, Finding, Rule
from recipe_compiler.rules.wording import counted


READS = ("caption_weights", "multiline", "caption_strategy", "only_instance_prompt", *COLUMNS.values())


def check(facts: Facts) -> Iterator[Finding]:
    """Compare weights and columns of each data set."""
    for table in in_use(facts.settings, *READS):
        weights, columns = facts.settings[f"{table}.caption_weights"], caption_columns(facts.settings, table)
        if weights is None or columns is None or facts.settings[f"{table}.multiline"] != "split":
            continue
        key, names = columns
        if len(names) > 1 and len(names) != len(weights):
            listed = ", ".join(f"`{name}`" for name in names)
            yield Finding(
                at=f"{table}.caption_weights",
                message=f"`caption_weights` has {counted(len(weights), 'number')}, and captions come from {len(names)} columns: "
                f"{listed}",
                help="write as many numbers as there are columns, in the same order",
                also=((key, "the columns"),),
            )


RULE = Rule(code="R780", name="caption-weights-of-columns", severity="error", reads=(), check=check, page=__doc__)
