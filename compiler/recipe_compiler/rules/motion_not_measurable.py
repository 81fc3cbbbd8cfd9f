"""Motion is to be measured, and OpenCV is not installed.

What it does: looks for OpenCV where a data set has `motion.source: flow`. Scores are a part of the captions, so without it
clips can't be looked at.

Why it hurts: there would be no captions to train with.

Example:
    data:
      datasets:
        - id: clips
          instance_data_dir: clips
          motion:
            source: flow
          video:
            num_frames: 9

Use instead:
    data:
      motion_score: 12
      datasets:
        - id: clips
          instance_data_dir: clips
          motion:
            source: constant
          video:
            num_frames: 9
"""

from collections.abc import Iterator

from recipe_compiler.rules.data_sets import in_use
from recipe_compiler.rules.rule import Facts, Finding, Rule


_PACKAGES = tuple(
    f"opencv-{kind}" for kind in ("python-headless", "python", "contrib-python-headless", "contrib-python")
)
"""All of them bring the same module."""


def check(facts: Facts) -> Iterator[Finding]:
    """Look for the package where it is needed."""
    for table in in_use(facts.settings, "motion"):
        source = f"{table}.motion.source"
        if facts.settings[source] == "flow" and not any(map(facts.machine.version, _PACKAGES)):
            yield Finding(
                at=source,
                message="`motion.source: flow` needs OpenCV, and it is not installed on this machine",
                help="pip install 'sana-recipes[motion]'",
            )


RULE = Rule(code="R331", name="motion-not-measurable", severity="error", reads=(), check=check, page=__doc__)
