"""What ``recipe init`` was told."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from recipe_compiler.wizard.clips import Look


Goal = Literal["auto", "full", "lora"]
"""What is to be trained; ``auto`` is all weights where they fit, else an adapter."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """Everything that a recipe is written from.

    Attributes:
        file: The recipe.
        look: What is in the folder of clips.
        goal: What is to be trained.
        gpu_gb: Memory of the GPU in 10⁹ bytes; 0 for none.
        prompt: What is drawn while training goes on.
        steps: Optimizer steps.
        caption: One caption for all clips, for those that have none.
    """

    file: Path
    look: Look
    goal: Goal
    gpu_gb: float
    prompt: str
    steps: int
    caption: str = ""

    @property
    def tiny(self) -> bool:
        """There is no GPU: a small model with random weights is trained, to try things out."""
        return self.gpu_gb == 0
