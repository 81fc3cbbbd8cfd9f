"""Motion scores are asked for from a place that the recipe does not name.

What it does: looks whether `motion.source` finds what it reads: a table of captions for `column`, `motion.path` for
`file`. It warns of keys of `motion` that the source does not read, and of scores for clips where `data.motion_score: null`
leaves prompts without one.

Why it hurts: captions would end with no score or the same for all, and nobody would notice before the clips that the
model draws all move alike. A prompt without a score is none that a model has seen whose captions all had one.

Example:
    data:
      datasets:
        - id: clips
          instance_data_dir: clips
          motion:
            source: file
          video:
            num_frames: 9

Use instead:
    data:
      datasets:
        - id: clips
          instance_data_dir: clips
          motion:
            source: file
            path: motion.csv
          video:
            num_frames: 9
"""

from collections.abc import Iterator

from recipe_compiler.rules.data_sets import in_use, scores_lack, told
from recipe_compiler.rules.rule import Facts, Finding, Rule
from recipe_compiler.rules.wording import draws_clips
from recipe_compiler.settings import Resolved


CONSTANT = "data.motion_score"

_READ = {
    "constant": (),
    "column": ("score_column",),
    "file": ("path", "filename_column", "score_column", "identifier_includes_extension"),
    "flow": (),
}
"""The keys that each source reads."""


def check(facts: Facts) -> Iterator[Finding]:
    """Look at the source of each data set, and at what it does not read."""
    settings = facts.settings
    for table in in_use(settings, "motion", "caption_strategy", "only_instance_prompt", "type"):
        motion = f"{table}.motion"
        source = settings[f"{motion}.source"]
        problem = scores_lack(settings, table, source)
        if problem is not None:
            yield Finding(at=f"{motion}.source", message=problem[0], help=problem[1])
        yield from _not_read(settings, motion, source)
        if source != "constant" and problem is None and settings[CONSTANT] is None and draws_clips(settings):
            yield Finding(
                at=CONSTANT,
                message=f"captions of data set `{settings[f'{table}.id']}` end with a motion score, and prompts with none",
                help=f"give `{CONSTANT}` a number: prompts end with it",
                also=((f"{motion}.source", "gives each clip its score"),),
                severity="warning",
            )


def _not_read(settings: Resolved, motion: str, source: str) -> Iterator[Finding]:
    for name in ("path", "filename_column", "score_column", "identifier_includes_extension"):
        path = f"{motion}.{name}"
        if name not in _READ[source] and told(settings, path):
            yield Finding(
                at=path,
                message=f"`motion.{name}` has no effect: scores come from `{source}`",
                help="set `source: file`, or leave it out",
                also=((f"{motion}.source", "does not read it"),) if settings.given(f"{motion}.source") else (),
                severity="warning",
            )


RULE = Rule(code="R329", name="motion-source-unclear", severity="error", reads=(CONSTANT,), check=check, page=__doc__)
