"""A data set trains image to video, and its samples are the first frame alone.

What it does: counts the latent frames of samples of data sets with `video.is_i2v`, those of `video.num_frames` and of
shorter clips that `video.min_frames` lets in.

Why it hurts: the first latent frame is given and counts nothing in the loss. The VAE packs the first frame by itself and
the others in groups of four: a sample of fewer than five frames has nothing that could be learnt.

Example:
    data:
      datasets:
        - id: clips
          instance_data_dir: clips
          video:
            num_frames: 1
            is_i2v: true

Use instead:
    data:
      datasets:
        - id: clips
          instance_data_dir: clips
          video:
            num_frames: 9
            is_i2v: true
"""

from collections.abc import Iterator
from functools import partial

from recipe_compiler.rules.first_frame import image_to_video
from recipe_compiler.rules.rule import Facts, Finding, Rule
from recipe_compiler.rules.wording import counted
from recipe_compiler.settings import Resolved


def check(facts: Facts) -> Iterator[Finding]:
    """Look for samples of one latent frame."""
    settings, survey = facts.settings, facts.survey
    least = settings.family.raw["vae"]["temporal"] + 1
    for table in filter(partial(_gives, settings), image_to_video(settings)):
        rows = () if survey is None else survey.of(settings[f"{table}.id"])
        short = [row for row in rows if row.used and row.bucket_frames < least]
        frames = settings[f"{table}.video.num_frames"]
        if frames < least:
            if settings.family.legal_frames(frames) != frames:
                continue  # another rule says so
            yield Finding(
                at=f"{table}.video.num_frames",
                message=f"samples of {counted(frames, 'frame')} are one latent frame, which is given: nothing is left to learn",
                help=f"take at least {least} frames, or leave `is_i2v` out",
                also=((f"{table}.video.is_i2v", "the first frame is given"),),
            )
        elif short:
            yield Finding(
                at=f"{table}.video.min_frames",
                message=f"data set `{settings[f'{table}.id']}` has {counted(len(short), 'clip')} of which a sample is one "
                f"latent frame, which is given: nothing is left to learn of `{short[0].path}`",
                help=f"set `min_frames: {least}` or more, or leave `is_i2v` out",
                fix=str(least),
                also=((f"{table}.video.is_i2v", "the first frame is given"),),
            )


def _gives(settings: Resolved, table: str) -> bool:
    """Say whether first frames of a data set are ever given."""
    return bool(settings[f"{table}.dataset_type"] == "eval" or settings[f"{table}.video.i2v_probability"] > 0)


RULE = Rule(
    code="R424", name="nothing-after-first-frame", severity="error", reads=("data.datasets",), check=check, page=__doc__
)
