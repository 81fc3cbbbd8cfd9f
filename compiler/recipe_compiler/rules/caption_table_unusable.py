"""A table of captions can't be read, lacks a column, or has a weight that is none.

What it does: opens the table of each data set with `caption_strategy: parquet` or `csv`, whose ending says what it is
(.parquet, .csv, .tsv, .jsonl, .ndjson), and looks for the columns that the recipe names. A weight is a number of at least 0;
`caption_weights` are for columns, or for the texts of one field, and not for rows. With `caption_strategy: lists` it opens
`videos.txt` and `prompt.txt` or `prompts.txt`, which need the same number of lines.

Why it hurts: no clip of the data set would have a caption. Other trainers notice it after the model is loaded, or read
captions by position, so that one row too many gives every clip the caption of its neighbour.

Example:
    data:
      datasets:
        - id: clips
          instance_data_dir: clips
          caption_strategy: csv
          csv_file: captions.csv
          csv_url_column: file
          csv_caption_column: captoin
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
          csv_caption_column: caption
          video:
            num_frames: 9
"""

from collections.abc import Iterator

from recipe_compiler.rules.rule import Facts, Finding, Rule


def check(facts: Facts) -> Iterator[Finding]:
    """Pass on what the look at the data found."""
    assert facts.survey is not None
    for problem in facts.survey.problems:
        yield Finding(at=problem.at, message=problem.message, help=problem.help, fix=problem.fix)


RULE = Rule(code="R340", name="caption-table-unusable", severity="error", reads=(), check=check, page=__doc__)
