"""A data set of images has settings of video.

What it does: looks for settings below `video` at data sets of `dataset_type: image`.

Why it hurts: an image is a clip of one frame. It has no length, no rate and no window, so that these settings do nothing.

Example:
    data:
      datasets:
        - id: clips
          instance_data_dir: clips
        - id: photos
          dataset_type: image
          instance_data_dir: photos
          video:
            num_frames: 17

Use instead:
    data:
      datasets:
        - id: clips
          instance_data_dir: clips
        - id: photos
          dataset_type: image
          instance_data_dir: photos
"""

from collections.abc import Iterator

from recipe_compiler.rules.data_set_roles import ROLE_KEYS, in_role
from recipe_compiler.rules.data_sets import told
from recipe_compiler.rules.rule import Facts, Finding, Rule


def check(facts: Facts) -> Iterator[Finding]:
    """Look at each data set of images."""
    settings = facts.settings
    for table in in_role(settings, "image"):
        given = [p for p in settings.settings if p.startswith(f"{table}.video.") and told(settings, p)]
        if given:
            names = ", ".join(f"`{path.removeprefix(f'{table}.')}`" for path in given)
            yield Finding(
                at=given[0],
                message=f"data set `{settings[f'{table}.id']}` is of images, and {names} "
                f"{'do' if len(given) > 1 else 'does'} nothing there",
                help=f"leave {'them' if len(given) > 1 else 'it'} out",
                also=((f"{table}.dataset_type", "images are clips of one frame"),),
            )


RULE = Rule(
    code="R342", name="video-settings-of-images", severity="warning", reads=ROLE_KEYS, check=check, page=__doc__
)
