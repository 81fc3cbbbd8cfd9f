"""Where the caption of a clip comes from."""

from collections.abc import Callable, Mapping
from pathlib import Path

from recipe_compiler.settings import Resolved


class CaptionError(Exception):
    """A caption that is there and can't be read."""


def caption_lines(clip: Path) -> tuple[str, ...]:
    """Return the lines with text of the caption file beside a clip; none without a file.

    Raises:
        CaptionError: The file can't be read.
    """
    file = clip.with_suffix(".txt")
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except FileNotFoundError:
        return ()
    except (OSError, UnicodeDecodeError) as error:
        raise CaptionError(f"`{file.name}` can't be read: {error}") from None
    return tuple(line.strip() for line in lines if line.strip())


def has_several_lines(clip: Path) -> bool:
    """Say whether the caption file beside a clip has more than one line with text."""
    try:
        return len(caption_lines(clip)) > 1
    except CaptionError:
        return False


def _from_textfile(clip: Path, prompt: str) -> str:
    del prompt
    return " ".join(caption_lines(clip))


def _from_filename(clip: Path, prompt: str) -> str:
    del prompt
    return " ".join(clip.stem.replace("_", " ").replace("-", " ").split())


def _from_prompt(clip: Path, prompt: str) -> str:
    del clip
    return prompt.strip()


STRATEGIES: Mapping[str, Callable[[Path, str], str]] = {
    "textfile": _from_textfile,
    "filename": _from_filename,
    "instanceprompt": _from_prompt,
}
"""The ways to caption, by the values of ``caption_strategy``: (clip, instance prompt) to caption."""


def motion_suffix(settings: Resolved) -> str:
    """Return what each text ends with, such as `` motion score: 30.``; empty without a motion score."""
    score = settings["data.motion_score"]
    suffix: str = settings.family.raw["text"]["motion_score_suffix"]
    return "" if score is None else suffix.format(score=score)
