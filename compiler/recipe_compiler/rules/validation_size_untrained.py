"""Validation clips have a size or length that is not trained.

What it does: compares `validation.resolution` with `data.buckets`, or with the sizes that clips get where a data set
has a `resolution`, and `validation.num_video_frames` with the data sets' `num_frames`.

Why it hurts: the clips then show how well the model generalizes to another size, and not how training goes. In
SimpleTuner, `resolution: 480` with `pixel_area` trains at 704x384, while its guide validates at 832x480.

Example:
    validation:
      resolution: 256x128

Use instead:
    validation:
      resolution: 64x48
"""

from collections.abc import Iterator

from recipe_compiler.data.geometry import parse_size
from recipe_compiler.rules.data_sets import in_use
from recipe_compiler.rules.rule import Facts, Finding, Rule


SIZE, BUCKETS, FRAMES = "validation.resolution", "data.buckets", "validation.num_video_frames"
SHOWN = 12


def check(facts: Facts) -> Iterator[Finding]:
    """Compare validation with training."""
    settings = facts.settings
    known = _sizes(facts)
    if settings.given(SIZE) and known and settings[SIZE] not in known and _legal(facts):
        sizes = ", ".join(known[:SHOWN])
        yield Finding(
            at=SIZE,
            message=f"validation draws {settings[SIZE]}, a size that is not trained",
            help=f"trained are {sizes}",
        )
    trained = [settings[f"{t}.video.num_frames"] for t in in_use(settings)]
    legal = settings[FRAMES] == settings.family.legal_frames(settings[FRAMES])
    draws = bool(settings["validation.prompt"]) or bool(settings["validation.prompt_library"])
    if trained and settings[FRAMES] not in trained and (settings.given(FRAMES) or draws) and legal:
        yield Finding(
            at=FRAMES,
            message=f"validation draws {settings[FRAMES]} frames, a length that is not trained",
            help="trained are " + ", ".join(str(n) for n in sorted(set(trained))) + " frames",
        )


def _sizes(facts: Facts) -> tuple[str, ...]:
    """Return the sizes that are trained; none if they follow from clips that nobody looked at."""
    settings, survey = facts.settings, facts.survey
    listed = [settings[f"{table}.resolution"] is None for table in in_use(settings)]
    buckets: tuple[str, ...] = settings[BUCKETS]
    if all(listed):
        return buckets
    if survey is None or not survey.buckets:
        return ()
    found = dict.fromkeys(f"{bucket.width}x{bucket.height}" for bucket in survey.buckets)
    return tuple(dict.fromkeys((*(buckets if any(listed) else ()), *found)))


def _legal(facts: Facts) -> bool:
    """Say whether the size is one that the model can take; if not, another rule says so."""
    return not any(side % facts.settings.family.size_multiple for side in parse_size(facts.settings[SIZE]))


RULE = Rule(
    code="R601",
    name="validation-untrained-size",
    severity="warning",
    reads=(SIZE, BUCKETS, FRAMES, "data.datasets", "validation.prompt", "validation.prompt_library"),
    check=check,
    page=__doc__,
)
