"""A data set holds no clip that can be trained.

What it does: counts the clips of each data set that are left after everything that may leave one out.

Why it hurts: a run without clips would end at once, after loading the model.

Example:
    data:
      datasets:
        - id: clips
          instance_data_dir: clips
          video:
            num_frames: 4001

Use instead:
    data:
      datasets:
        - id: clips
          instance_data_dir: clips
          video:
            num_frames: 9
"""

from collections import Counter
from collections.abc import Iterator

from recipe_compiler.rules.rule import Facts, Finding, Rule
from recipe_compiler.rules.wording import reasons, unread_lists


_VIDEOS = "clips end in .mp4, .mov, .mkv, .webm, .avi, .mpg and the like"


def check(facts: Facts) -> Iterator[Finding]:
    """Find data sets of which nothing is trained."""
    assert facts.survey is not None
    for table in facts.survey.looked:
        if not facts.settings.in_use(table) or table in facts.survey.missing:
            continue
        name = facts.settings[f"{table}.id"]
        rows = facts.survey.of(name)
        if any(row.used for row in rows):
            continue
        if not rows:
            images = facts.settings[f"{table}.dataset_type"] == "image"
            message = f"data set `{name}` holds no {'picture' if images else 'video file'}"
            kinds = "images end in .jpg, .jpeg, .png or .webp" if images else _VIDEOS
            advice = f"{kinds}; subfolders are searched too"
        else:
            fates = ", ".join(f"{count} {fate}" for fate, count in sorted(Counter(row.fate for row in rows).items()))
            which = "the only clip" if len(rows) == 1 else f"none of the {len(rows)} clips"
            verb = "can't" if len(rows) == 1 else "can"
            message = f"{which} of data set `{name}` {verb} be used ({fates})"
            lists = unread_lists(facts, table) if all(row.fate == "missing-caption" for row in rows) else ""
            advice = reasons(rows) + (f"; {lists}" if lists else "")
        yield Finding(at=f"{table}.instance_data_dir", message=message, help=advice)


RULE = Rule(
    code="R302",
    name="no-clips",
    severity="error",
    reads=(),
    check=check,
    page=__doc__,
)
