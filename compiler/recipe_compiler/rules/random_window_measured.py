"""Random windows of clips that are only measured.

What it does: finds `video.window: random` in a data set of `dataset_type: eval`.

Why it hurts: the loss is measured on the same frames each time, as else its curve would move by chance. So nothing is
drawn, and each clip has the window of `middle`.

Example:
    data:
      datasets:
        - id: clips
          instance_data_dir: clips
          video:
            num_frames: 9
        - id: held-out
          instance_data_dir: mixed
          dataset_type: eval
          video:
            num_frames: 9
            min_frames: 1
            window: random
    evaluation:
      step_interval: 5

Use instead:
    data:
      datasets:
        - id: clips
          instance_data_dir: clips
          video:
            num_frames: 9
        - id: held-out
          instance_data_dir: mixed
          dataset_type: eval
          video:
            num_frames: 9
            min_frames: 1
            window: middle
    evaluation:
      step_interval: 5
"""

from collections.abc import Iterator

from recipe_compiler.rules.data_sets import in_use
from recipe_compiler.rules.rule import Facts, Finding, Rule
from recipe_compiler.rules.windows import WINDOW


def check(facts: Facts) -> Iterator[Finding]:
    """Find windows that would be drawn and are not."""
    settings = facts.settings
    for table in in_use(settings, WINDOW):
        if settings[f"{table}.dataset_type"] == "eval" and settings[f"{table}.{WINDOW}"] == "random":
            yield Finding(
                at=f"{table}.{WINDOW}",
                message="`window: random` draws nothing here: clips that are only measured have the same frames each time",
                help="set `window: middle`, which is what they get, or `window: uniform` to measure more of each",
                fix="middle",
                also=((f"{table}.dataset_type", ""),),
            )


RULE = Rule(code="R337", name="random-window-measured", severity="warning", reads=(), check=check, page=__doc__)
