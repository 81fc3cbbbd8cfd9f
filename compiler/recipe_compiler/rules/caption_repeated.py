"""Many clips of a data set have the same caption.

What it does: counts captions that came from files or file names, and finds one that more than half of the clips share.

Why it hurts: what differs between the clips then can't be asked for by a prompt. Often it is a slip of the script
that wrote the captions. If one caption for all is meant, `caption_strategy: instanceprompt` says so.

Example:
    data:
      datasets:
        - id: clips
          instance_data_dir: repeated
          video:
            num_frames: 9

Use instead:
    data:
      datasets:
        - id: clips
          instance_data_dir: repeated
          caption_strategy: instanceprompt
          instance_prompt: a bar moves
          video:
            num_frames: 9
"""

from collections import Counter
from collections.abc import Iterator
from pathlib import PurePosixPath

from recipe_compiler.data.captions import caption_source
from recipe_compiler.rules.rule import Facts, Finding, Rule
from recipe_compiler.rules.wording import with_clips


FEWEST = 3  # of two clips with one caption nothing can be said


def check(facts: Facts) -> Iterator[Finding]:
    """Find a caption that most clips of a data set share."""
    assert facts.survey is not None
    for table in with_clips(facts):
        name = facts.settings[f"{table}.id"]
        used = [row for row in facts.survey.of(name) if row.used]
        if caption_source(facts.settings, table) == "textfile":  # clips that share a file are told by another rule
            used = list({PurePosixPath(row.path).with_suffix(""): row for row in used}.values())
        captions = Counter((row.texts, row.caption) for row in used)
        ((_, caption), count), *_ = captions.most_common(1)
        total = captions.total()
        if caption_source(facts.settings, table) != "instanceprompt" and total >= FEWEST and count > total / 2:
            yield Finding(
                at=f"{table}.caption_strategy" if facts.settings.given(f"{table}.caption_strategy") else table,
                message=f"{count} of {total} clips of data set `{name}` have the same caption: `{caption[:60]}`",
                help="give each clip its own caption, or say `caption_strategy: instanceprompt`",
            )


RULE = Rule(code="R313", name="caption-repeated", severity="warning", reads=(), check=check, page=__doc__)
