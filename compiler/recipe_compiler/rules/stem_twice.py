"""Two clips share one caption file.

What it does: finds clips of one folder that differ in their ending only, such as `a.mp4` and `a.mov`, where captions
come from files.

Why it hurts: both get the caption of `a.txt`. Often one is a converted copy of the other, and is trained twice.

Example:
    data:
      datasets:
        - id: clips
          instance_data_dir: twins
          video:
            num_frames: 9

Use instead:
    data:
      datasets:
        - id: clips
          instance_data_dir: clips
          video:
            num_frames: 9
"""

from collections import defaultdict
from collections.abc import Iterator
from pathlib import PurePosixPath

from recipe_compiler.data.captions import caption_source
from recipe_compiler.rules.rule import Facts, Finding, Rule
from recipe_compiler.rules.wording import SHOWN, with_clips


def check(facts: Facts) -> Iterator[Finding]:
    """Find clips of the same stem, one finding for each data set."""
    assert facts.survey is not None
    for table in with_clips(facts):
        name = facts.settings[f"{table}.id"]
        stems: dict[PurePosixPath, list[str]] = defaultdict(list)
        for row in facts.survey.of(name):
            if row.used:
                stems[PurePosixPath(row.path).with_suffix("")].append(row.path)
        twins = [" and ".join(paths) for paths in stems.values() if len(paths) > 1]
        if twins and caption_source(facts.settings, table) == "textfile":
            rest = f"; and {len(twins) - SHOWN} more" if len(twins) > SHOWN else ""
            yield Finding(
                at=f"{table}.instance_data_dir",
                message=f"clips of data set `{name}` share a caption file: {'; '.join(twins[:SHOWN])}{rest}",
                help="rename one of each, or take it out of the folder",
            )


RULE = Rule(code="R315", name="stem-twice", severity="warning", reads=(), check=check, page=__doc__)
