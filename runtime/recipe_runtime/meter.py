"""What people want to know of a training under way, averaged over its latest steps."""

from collections import deque

from recipe_schema.events import Aligned, StepDone


_LATEST = 50
"""Steps that are averaged. The loss of a single step says little: it depends on the noise level drawn."""


class TrainMeter:
    """Averages over the latest steps.

    Args:
        max_steps: Steps of the whole run.

    Attributes:
        similarity: Of features and those of a teacher, if they are aligned.
    """

    def __init__(self, max_steps: int) -> None:
        self.max_steps = max_steps
        self.similarity: float | None = None
        self._steps: deque[StepDone] = deque(maxlen=_LATEST)

    def add(self, event: StepDone) -> None:
        """Take a finished step."""
        self._steps.append(event)

    def align(self, event: Aligned) -> None:
        """Take how similar features are to those of the teacher."""
        self.similarity = event.average_similarity

    @property
    def loss(self) -> float:
        """Mean loss."""
        return sum(step.loss for step in self._steps) / len(self._steps)

    @property
    def seconds_per_step(self) -> float:
        """Mean wall time of a step, in seconds. The first step of a process, which warms up, counts only at first."""
        steps = list(self._steps)[1:] or list(self._steps)
        return sum(step.seconds for step in steps) / len(steps)

    @property
    def seconds_left(self) -> float:
        """Estimated time of the remaining steps, in seconds, without validation and checkpoints."""
        return (self.max_steps - self._steps[-1].step) * self.seconds_per_step
