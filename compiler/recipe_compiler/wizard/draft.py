"""From answers to a recipe: drafted, linted, fitted to the GPU, and linted again."""

from dataclasses import dataclass, replace

from recipe_compiler.pipeline import Compiled, Options, compile_source
from recipe_compiler.source import Source
from recipe_compiler.wizard.answers import Answers
from recipe_compiler.wizard.fit import Fit, fit
from recipe_compiler.wizard.sizes import framerate, lengths, sizes
from recipe_compiler.wizard.text import Shape, recipe_text, usual_frames, usual_sizes
from recipe_schema.family import load_family


FAMILY = "sana-video-480p"


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A recipe that is ready to be written.

    Attributes:
        text: Its text.
        compiled: What a lint of it finds.
        fit: What was chosen for the GPU; None where there is none.
    """

    text: str
    compiled: Compiled
    fit: Fit | None


def draft(answers: Answers, options: Options) -> Draft:
    """Write a recipe, and lint it.

    Args:
        answers: What was asked for.
        options: How to look at clips.

    Raises:
        TooSmallError: What was asked for does not fit the GPU.
    """
    family, clips = load_family(FAMILY), answers.look.clips
    rate = framerate(clips, family)
    frames, least = lengths(clips, family, rate, usual_frames(answers, family))
    shape = Shape(sizes=sizes(clips, family, usual_sizes(answers, family)), rate=rate, frames=frames, least=least)
    text = recipe_text(answers, shape, None, family)
    compiled = _compiled(text, answers, options)
    if answers.tiny:
        return Draft(text=text, compiled=compiled, fit=None)
    assert compiled.settings is not None, "the text is YAML"
    assert compiled.survey is not None, "its data sets are in order"
    if not compiled.survey.buckets:  # a lint says why, and a fit would be of nothing
        return Draft(text=text, compiled=compiled, fit=None)
    values = compiled.settings.values()
    chosen = fit(values, family, compiled.survey.buckets, answers.goal, answers.gpu_gb)
    if chosen.frames is not None and chosen.frames < frames:
        shape = replace(shape, frames=chosen.frames, least=min(least, chosen.frames), cut=True)
    text = recipe_text(answers, shape, chosen, family)
    return Draft(text=text, compiled=_compiled(text, answers, options), fit=chosen)


def _compiled(text: str, answers: Answers, options: Options) -> Compiled:
    return compile_source(Source(str(answers.file), text), answers.file, options)
