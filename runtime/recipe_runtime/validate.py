"""Draws validation clips with the weights as they are, and leaves training as it found it, bit for bit.

The processes of a team share the clips: in each round every process draws one, whole and by itself, and the first one
tells of them all. A clip is a function of weights, prompt and seed alone, so whoever draws it draws the same bits.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from recipe_runtime.artist import FAILURES, Artist
from recipe_runtime.contact_sheet import write_steps_sheet
from recipe_runtime.context import Context
from recipe_runtime.errors import MediaError
from recipe_runtime.interlude import interlude
from recipe_runtime.planned_clips import CLIPS_FOLDER, PlannedClip, is_missing, planned_clips
from recipe_runtime.record import Kept
from recipe_runtime.state import TrainState
from recipe_runtime.stop import StopRequested
from recipe_schema.events import (
    SheetDrawn,
    StageFinished,
    StageProgress,
    StageStarted,
    Warned,
    from_record,
    to_record,
)


_NOTHING: Mapping[str, Any] = {"events": [], "failures": []}
"""What a process tells that had no clip to draw in a round."""


def draw_clips(
    ctx: Context, state: TrainState, texts: Mapping[tuple[str, bool], str], stop: StopRequested
) -> tuple[str, ...]:
    """Draw what is missing of a step's clips. All processes of the team have to come here at the same step.

    Args:
        ctx: The run.
        state: Weights, in one piece, and step. They are the same afterwards.
        texts: Key in the store of each text, by text and whether the instruction comes before it.
        stop: Whether someone asked the run to stop; the first process's counts. Clips that are not drawn then are drawn
            on resuming.

    Returns:
        What went wrong, one sentence for each clip of any process; to the first process alone.
    """
    team, planned = state.team, planned_clips(ctx, state.step)
    wanted: list[int] = team.agree([place for place, clip in enumerate(planned) if is_missing(clip)])
    if not wanted:
        return ()
    began, total = time.monotonic(), len(planned)
    done = reused = total - len(wanted)
    ctx.recorder.emit(StageStarted(stage="validate", total=total, reused=reused, unit="clips"))
    failures: list[str] = []
    with interlude(ctx, state):
        share = _Share(ctx, state, texts)
        for first in range(0, len(wanted), team.size):
            if team.agree(stop.requested is not None):
                return tuple(failures)
            dealt = [planned[place] for place in wanted[first : first + team.size]]
            told = team.collect(share.draw(dealt[team.rank]) if team.rank < len(dealt) else _NOTHING)
            if team.rank:
                continue
            for other in told[1:]:
                for record in other["events"]:
                    ctx.recorder.emit(from_record(record))
            failures += [sentence for each in told for sentence in each["failures"]]
            _update_sheets(ctx, state.step, dealt)
            done += len(dealt)
            ctx.recorder.emit(StageProgress(stage="validate", done=done, total=total))
    seconds = time.monotonic() - began
    ctx.recorder.emit(StageFinished(stage="validate", total=total, reused=reused, seconds=seconds))
    return tuple(failures)


class _Share:
    """This process's share of a step's clips. What it draws with is made with the first one."""

    def __init__(self, ctx: Context, state: TrainState, texts: Mapping[tuple[str, bool], str]) -> None:
        self._kept = Kept()
        self._ctx = ctx if state.team.rank == 0 else replace(ctx, recorder=self._kept)
        self._state = state
        self._texts = texts
        self._artist: Artist | None = None

    def draw(self, clip: PlannedClip) -> Mapping[str, Any]:
        """Draw a clip, and return what the first process does not know yet, as JSON: events of others, and failures."""
        failures: list[str] = []
        try:
            self._artist = self._artist or Artist(self._ctx, self._state, self._texts)
            self._artist.draw(clip)
        except FAILURES as error:
            failures.append(f"validation clip {clip.path.name} of step {self._state.step} failed: {error}")
            self._ctx.recorder.emit(Warned(message=failures[-1]))
        return {"events": [to_record(event, "") for event in self._kept.taken()], "failures": failures}


def _update_sheets(ctx: Context, step: int, clips: Sequence[PlannedClip]) -> None:
    """Bring the pictures that put steps below each other up to a step. Clips and training do without them."""
    folder = ctx.run_dir / CLIPS_FOLDER
    for clip in clips:
        try:
            written = write_steps_sheet(folder, clip.path.stem, until=step)
        except MediaError as error:
            ctx.recorder.emit(Warned(message=str(error)))
            continue
        if written is not None:
            path, steps = written
            shown = path.relative_to(ctx.run_dir).as_posix()
            ctx.recorder.emit(SheetDrawn(step=step, name=clip.path.stem, path=shown, steps=steps))
