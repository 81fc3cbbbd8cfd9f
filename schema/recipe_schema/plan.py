"""The plan: everything that the runtime needs to know, decided.

``body`` is what shapes the trained weights; its canonical JSON is hashed into the plan id. ``execution`` may
differ when a run is resumed (places, worker counts, validation, names). ``meta`` is for people: time, origins,
estimates. ``digest`` covers all three, so that a file that was edited by hand is noticed.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from recipe_schema.marks import Stage


PLAN_VERSION = 1
"""Version of the plan's format. The runtime refuses any other."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bucket:
    """Clips of one shape.

    Attributes:
        width: Pixels.
        height: Pixels.
        frames: Frames.
        clips: Different clips.
        samples: Clips with their repeats: samples of one epoch, in the mean over the run.
        batch_size: Samples of one forward pass, where data sets have a number of their own; None is that of all others.
    """

    width: int
    height: int
    frames: int
    clips: int
    samples: float
    batch_size: int | None = None

    @property
    def name(self) -> str:
        """The bucket's name, as in ``832x480@81``; with its batch size where that is its own, as in ``832x480@1/8``."""
        own = "" if self.batch_size is None else f"/{self.batch_size}"
        return f"{self.width}x{self.height}@{self.frames}{own}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """Consecutive steps that draw from the same data sets.

    Attributes:
        first_step: Steps before it.
        steps: Its own steps.
        first_epoch: Epochs before it. A phase begins with an epoch of its own.
        epochs: The epochs that it takes; a part of one, where its last epoch is cut short.
        datasets: Ids of the data sets that it draws from.
        first_pass: Number of its first pass through the data: no clip meets the noise of a pass twice.
        first_image_pass: The same of images, where they have steps of their own.
    """

    first_step: int
    steps: int
    first_epoch: int
    epochs: float
    datasets: tuple[str, ...]
    first_pass: int
    first_image_pass: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """How long training lasts.

    Attributes:
        max_steps: Optimizer steps.
        samples_per_step: Samples of one optimizer step: batch size times accumulation times processes; their mean, where
            data sets have batch sizes of their own.
        samples_per_epoch: Samples of one pass through the data; their mean, where data sets give a share of theirs. Where
            images have steps of their own, an epoch is a pass through the videos, with the images on its way.
        phases: In order; empty if all steps draw from all data sets.
    """

    max_steps: int
    samples_per_step: float
    samples_per_epoch: float
    phases: tuple[Phase, ...] = ()

    def epochs(self, step: int) -> Fraction:
        """Return how many epochs have passed after so many steps."""
        for phase in reversed(self.phases):
            if step > phase.first_step:
                return phase.first_epoch + _exact(phase.epochs) * (step - phase.first_step) / phase.steps
        return step * _exact(self.samples_per_step) / _exact(self.samples_per_epoch)

    def intervals(self, step: int, epochs: float) -> int:
        """Return how many times so many epochs have passed after so many steps."""
        return int(self.epochs(step) / _exact(epochs))


def _exact(number: float) -> Fraction:
    """Return the number that a decimal fraction of a plan stands for."""
    return Fraction(str(number))


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanStage:
    """One stage.

    Attributes:
        id: Its kind.
        needs: Stages that come before it.
        reads: The settings that it reads and that shape its result.
        inputs: Digests of what else goes in, by name.
        key: Digest of kind, reads, inputs and the keys of ``needs``.
    """

    id: Stage
    needs: tuple[Stage, ...]
    reads: Mapping[str, Any]
    inputs: Mapping[str, str]
    key: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Body:
    """What shapes the trained weights.

    Attributes:
        settings: Resolved settings of impact *result*, flat: ``{"train.seed": 42, …}``.
        facts: Facts of the family, reduced to what this plan uses: ``vae``, ``patch_size``, ``instruction``
            (text before each caption), ``max_sequence_length``, ``null_caption``, ``noise_schedule`` and
            ``random_weights`` (configurations of a small model, or None).
        buckets: In order of name.
        schedule: How long training lasts.
        ledger_digest: See `recipe_schema.ledger.ledger_digest`.
        stages: In order of execution.
    """

    settings: Mapping[str, Any]
    facts: Mapping[str, Any]
    buckets: tuple[Bucket, ...]
    schedule: Schedule
    ledger_digest: str
    stages: tuple[PlanStage, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class FirstImage:
    """The picture that a clip starts from, resized to cover the clip's size and cropped at the center.

    Attributes:
        path: Of a picture, or of a video whose first frame it is, as in the settings.
        sha256: Of the file's bytes, hexadecimal.
        size_bytes: Of the file.
        bucket_width: Width of the clip, in pixels.
        bucket_height: Its height.
        resize_width: Width before cropping.
        resize_height: Height before cropping.
        crop_left: Columns cut off at the left.
        crop_top: Rows cut off at the top.
    """

    path: str
    sha256: str
    size_bytes: int
    bucket_width: int
    bucket_height: int
    resize_width: int
    resize_height: int
    crop_left: int
    crop_top: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """A validation prompt.

    Attributes:
        nickname: The name of its file.
        text: What is encoded after the instruction, with the motion score.
        caption: The prompt as it was written; empty where that is the text.
        image: What its clips start from; None draws them from the text alone.
    """

    nickname: str
    text: str
    caption: str = ""
    image: FirstImage | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Execution:
    """What may differ when a run is resumed.

    Attributes:
        settings: Resolved settings of impact *runtime* and *cosmetic*, flat.
        root: Absolute folder at which relative paths of the settings start.
        prompts: Validation prompts, complete texts.
        negative_prompt: The text that guidance leads away from.
    """

    settings: Mapping[str, Any]
    root: str
    prompts: tuple[Prompt, ...]
    negative_prompt: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A plan. See the module's text for what goes where."""

    plan_id: str
    body: Body
    execution: Execution
    meta: Mapping[str, Any]

    @property
    def settings(self) -> Mapping[str, Any]:
        """All resolved settings, flat."""
        return {**self.body.settings, **self.execution.settings}

    @property
    def name(self) -> str:
        """The recipe's name."""
        return str(self.execution.settings["name"])
