"""What an optimizer step is fed: latents and texts from the store, noise and its levels, ready as tensors.

Noise, noise level and caption dropout of a sample depend on the seed, its clip, pass and repeat alone, never on
the batch that it lands in.
"""

from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor

from recipe_runtime.context import Context
from recipe_runtime.noise import SCHEDULES
from recipe_runtime.order import Order, Sample
from recipe_runtime.randomness import generator


@dataclass(frozen=True, slots=True, kw_only=True)
class MicroBatch:
    """The samples of one forward pass.

    Attributes:
        latents: Normalized, (batch, channels, frames, height, width), fp32.
        noise: Standard normal, of the same shape.
        sigma: Share of noise, (batch,), fp32.
        timestep: What the transformer is told, (batch,), whole numbers from 0 to 1000.
        text: Embeddings, (batch, longest text, channels), fp32.
        mask: 1 for a token and 0 for padding, (batch, longest text).
    """

    latents: Tensor
    noise: Tensor
    sigma: Tensor
    timestep: Tensor
    text: Tensor
    mask: Tensor

    def to(self, device: torch.device) -> "MicroBatch":
        """Return the same on a device."""
        return self._each(lambda tensor: tensor.to(device, non_blocking=True))

    def pinned(self) -> "MicroBatch":
        """Return the same in memory that a CUDA device can read while the processor goes on."""
        return self._each(lambda tensor: tensor.pin_memory())

    def _each(self, change: Callable[[Tensor], Tensor]) -> "MicroBatch":
        return replace(self, **{field.name: change(getattr(self, field.name)) for field in fields(self)})


@dataclass(frozen=True, slots=True, kw_only=True)
class StepBatch:
    """All that one optimizer step is fed.

    Attributes:
        bucket: The bucket that its samples come from.
        samples: The samples, in order.
        sigmas: Their noise levels.
        parts: Micro-batches, which are consecutive slices of the samples.
    """

    bucket: str
    samples: tuple[Sample, ...]
    sigmas: tuple[float, ...]
    parts: tuple[MicroBatch, ...]

    def to(self, device: torch.device) -> "StepBatch":
        """Return the same on a device."""
        return replace(self, parts=tuple(part.to(device) for part in self.parts))


class BatchMaker:
    """Makes the batch of any step.

    Args:
        ctx: The run.
        order: Which samples make up a step.
        latents: Key in the store of each clip, by ``clip_id``.
        texts: Key in the store of each text, by text and whether the instruction comes before it.
    """

    def __init__(
        self, ctx: Context, order: Order, *, latents: Mapping[str, str], texts: Mapping[tuple[str, bool], str]
    ) -> None:
        self._train = ctx.settings.train
        self._schedule = SCHEDULES[self._train.noise_schedule](ctx.facts["noise_schedule"])
        self._store = ctx.store
        self._pins = ctx.device.type == "cuda"
        self._order = order
        self._latents = latents
        self._texts = texts
        self._null_caption = self._text(ctx.facts["null_caption"], instructed=False)

    def make(self, step: int) -> StepBatch:
        """Return the batch of a step.

        Args:
            step: Optimizer steps before this one: the first is 0.
        """
        chosen = self._order.step(step)
        size = self._train.batch_size
        slices = [chosen.samples[start : start + size] for start in range(0, len(chosen.samples), size)]
        parts = tuple(self._part(samples) for samples in slices)
        sigmas = tuple(sigma for part in parts for sigma in part.sigma.tolist())
        if self._pins:
            parts = tuple(part.pinned() for part in parts)
        return StepBatch(bucket=chosen.bucket, samples=chosen.samples, sigmas=sigmas, parts=parts)

    def _part(self, samples: Sequence[Sample]) -> MicroBatch:
        latents = torch.stack([self._store.read("latents", self._latents[s.row.clip_id])["latents"] for s in samples])
        levels = [self._schedule.draw(self._draws("noise-level", sample)) for sample in samples]
        noise = [torch.randn(latents.shape[1:], generator=self._draws("noise", sample)) for sample in samples]
        text, mask = pad_texts([self._caption(sample) for sample in samples])
        return MicroBatch(
            latents=latents.float(),
            noise=torch.stack(noise),
            sigma=torch.tensor([level.sigma for level in levels], dtype=torch.float32),
            timestep=torch.tensor([level.timestep for level in levels], dtype=torch.int64),
            text=text,
            mask=mask,
        )

    def _draws(self, purpose: str, sample: Sample) -> torch.Generator:
        return generator(self._train.seed, purpose, sample.epoch, sample.repeat, sample.row.clip_id)

    def _caption(self, sample: Sample) -> Tensor:
        chance = torch.rand((), generator=self._draws("caption-dropout", sample)).item()
        if chance < self._train.caption_dropout_probability:
            return self._null_caption
        return self._text(sample.row.text, instructed=True)

    def _text(self, text: str, *, instructed: bool) -> Tensor:
        return self._store.read("text", self._texts[text, instructed])["embeds"]


def pad_texts(embeds: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Pad texts on the right with zeros to the longest, in fp32.

    Args:
        embeds: Each (tokens, channels).

    Returns:
        Embeddings (texts, longest, channels), and their mask (texts, longest) with 1 for a token.
    """
    longest = max(len(text) for text in embeds)
    padded = torch.zeros(len(embeds), longest, embeds[0].shape[1])
    mask = torch.zeros(len(embeds), longest, dtype=torch.int64)
    for index, text in enumerate(embeds):
        padded[index, : len(text)] = text.float()
        mask[index, : len(text)] = 1
    return padded, mask


def prefetch(make: Callable[[int], StepBatch], steps: range) -> Generator[StepBatch, None, None]:
    """Yield the batch of each step, while a thread makes the next one."""
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="batches") as pool:
        pending: Future[StepBatch] | None = None
        for step in steps:
            batch = make(step) if pending is None else pending.result()
            following = step + steps.step
            pending = pool.submit(make, following) if following in steps else None
            yield batch
