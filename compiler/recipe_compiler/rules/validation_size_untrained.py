"""Validation clips have a size or length that is not trained.

What it does: compares `validation.resolution` with `data.buckets`, and `validation.num_video_frames` with the
data sets' `num_frames`. Where data sets have a `resolution`, it compares with the sizes of the clips that were found.

Why it hurts: the clips then show how well the model generalizes to another size, and not how training goes. In
SimpleTuner, `resolution: 480` with `pixel_area` trains at 704x384, while its guide validates at 832x480.

Example:
    validation:
      resolution: 256x128

Use instead:
    validation:
      resolution: 64x48
"""

from collections import defaultdict
from collections.abc import Iterator

from recipe_compiler.data.geometry import parse_size
from recipe_compiler.rules.data_sets import in_use, videos_in_use
from recipe_compiler.rules.rule import Facts, Finding, Rule
from recipe_compiler.rules.wording import counted


SIZE, BUCKETS, FRAMES = "validation.resolution", "data.buckets", "validation.num_video_frames"
SHOWN = 12


def check(facts: Facts) -> Iterator[Finding]:
    """Compare validation with training."""
    settings = facts.settings
    if facts.survey is not None and not facts.survey.missing and not facts.survey.buckets:
        return  # nothing is trained, and another rule says why
    draws = bool(settings["validation.prompt"]) or bool(settings["validation.prompt_library"])
    sizes, own = _sizes(facts)
    if (settings.given(SIZE) or (own and draws)) and sizes and settings[SIZE] not in sizes and _legal(facts):
        yield Finding(
            at=SIZE,
            message=f"validation draws {settings[SIZE]}, a size that is not trained",
            help=f"trained are {', '.join(sizes[:SHOWN])}",
        )
    tables = [f"{t}.video" for t in videos_in_use(settings)]
    lengths = [(settings[f"{t}.min_frames"], settings[f"{t}.num_frames"]) for t in tables]
    lengths += [(1, 1) for t in in_use(settings) if settings[f"{t}.dataset_type"] == "image"]
    compared = [settings[FRAMES], *(longest for _, longest in lengths)]
    legal = all(frames == settings.family.legal_frames(frames) for frames in compared)  # if not, another rule says so
    trained = any(
        settings[FRAMES] == longest or shortest <= settings[FRAMES] < longest for shortest, longest in lengths
    )
    if lengths and not trained and (settings.given(FRAMES) or draws) and legal:
        usual = settings.family.default("num_frames")
        beyond = f", and longer than the {usual} of the model's own training" if settings[FRAMES] > usual else ""
        yield Finding(
            at=FRAMES,
            message=f"validation draws {counted(settings[FRAMES], 'frame')}, a length that is not trained{beyond}",
            help=_trained({longest for _, longest in lengths}),
            also=tuple((f"{t}.num_frames", "trained here") for t in tables if settings.given(f"{t}.num_frames")),
        )


def _trained(lengths: set[int]) -> str:
    if lengths == {1}:
        return "trained is 1 frame"
    return f"trained are {', '.join(map(str, sorted(lengths)))} frames"


def _sizes(facts: Facts) -> tuple[list[str], bool]:
    """Return the sizes that are trained, and whether data sets have sizes of their own.

    Where those are not known, since nobody could look at all clips, there are none to compare with.
    """
    settings, survey = facts.settings, facts.survey
    used = list(in_use(settings))
    own = [table for table in used if settings[f"{table}.resolution"] is not None]
    listed = list(settings[BUCKETS]) if len(own) < len(used) or not used else []
    if not own:
        return listed, False
    if survey is None or survey.missing or not set(own) <= set(survey.looked):
        return [], True
    counts: dict[str, float] = defaultdict(float)
    for bucket in survey.buckets:
        counts[f"{bucket.width}x{bucket.height}"] += bucket.samples
    return list(dict.fromkeys([*listed, *sorted(counts, key=lambda size: -counts[size])])), True


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
