"""What an optimizer step is fed: latents and texts from the store, noise and its levels, ready as tensors.

Noise, noise level, caption and its dropout of a sample depend on the seed, its clip, pass and repeat alone, never on
the batch that it lands in.
"""

from bisect import bisect_right
from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, fields, replace
from itertools import accumulate
from typing import Any

import torch
from torch import Tensor

from recipe_runtime.context import Context
from recipe_runtime.course import Course
from recipe_runtime.first_frame import CLEAN, FirstFrames, first_frames, image_to_video, learnt_weights
from recipe_runtime.masks import mask_index, sample_weights, without_first
from recipe_runtime.noise import SCHEDULES, NoiseLevel
from recipe_runtime.order import Sample
from recipe_runtime.randomness import generator
from recipe_runtime.rollout import draw_offset
from recipe_runtime.self_flow import SelfFlow
from recipe_schema.sections.hardware import processes_of
from recipe_schema.sections.regularizers import Rollout


@dataclass(frozen=True, slots=True, kw_only=True)
class MicroBatch:
    """The samples of one forward pass.

    Attributes:
        latents: Normalized, (batch, channels, frames, height, width), fp32.
        noise: Standard normal, of the same shape.
        sigma: Share of noise, (batch,), fp32.
        timestep: What the transformer is told, (batch,), from 0 to 1000: whole numbers, or fp32 if they are exact.
        text: Embeddings, (batch, longest text, channels), fp32.
        mask: 1 for a token and 0 for padding, (batch, longest text).
        extra_noise: Added to the noise that the transformer sees and not to that of its target; None if there is none.
        weights: How much each place counts in the loss, (batch, 1, frames, height, width), fp32; None if all are alike.
        offsets: For how many timesteps each sample is rolled out, (batch,), whole numbers; None if none is.
        rollout: How that is done.
        longest: For how many timesteps passes are taken, where slices of weights are gathered in each pass, so that all
            processes take as many; 0 where each takes its own.
        features: The teacher's, (batch, latent frames, patches, channels), fp16; None where none are needed.
        first: The first frames, where some of them are given; None where none is.
        second_sigma: A second share of noise for some tokens (self-flow), (batch,), fp32; None where there is none.
        second_timestep: What the transformer is told of it, (batch,).
        second_tokens: Which tokens have it, (batch, frames, rows, columns), bool.
    """

    latents: Tensor
    noise: Tensor
    sigma: Tensor
    timestep: Tensor
    text: Tensor
    mask: Tensor
    extra_noise: Tensor | None
    offsets: Tensor | None
    rollout: Rollout
    weights: Tensor | None
    longest: int = 0
    features: Tensor | None = None
    first: FirstFrames | None = None
    second_sigma: Tensor | None = None
    second_timestep: Tensor | None = None
    second_tokens: Tensor | None = None

    def to(self, device: torch.device) -> "MicroBatch":
        """Return the same on a device."""
        moved = self._each(lambda tensor: tensor.to(device, non_blocking=True))
        return moved if self.first is None else replace(moved, first=self.first.to(device))

    def pinned(self) -> "MicroBatch":
        """Return the same in memory that a CUDA device can read while the processor goes on."""
        pinned = self._each(lambda tensor: tensor.pin_memory())
        return pinned if self.first is None else replace(pinned, first=self.first.pinned())

    def _each(self, change: Callable[[Tensor], Tensor]) -> "MicroBatch":
        values: dict[str, Any] = {field.name: getattr(self, field.name) for field in fields(self)}
        changed: dict[str, Any] = {name: change(v) for name, v in values.items() if isinstance(v, Tensor)}
        return replace(self, **changed)


@dataclass(frozen=True, slots=True, kw_only=True)
class StepBatch:
    """All that one optimizer step is fed.

    Attributes:
        bucket: The bucket that its samples come from.
        samples: The samples, in order.
        texts: Their captions, before any of them is dropped.
        sigmas: Their noise levels.
        parts: This process's micro-batches, which are consecutive slices of the samples: all of them, unless several
            processes share a step.
    """

    bucket: str
    samples: tuple[Sample, ...]
    texts: tuple[str, ...]
    sigmas: tuple[float, ...]
    parts: tuple[MicroBatch, ...]

    def to(self, device: torch.device) -> "StepBatch":
        """Return the same on a device."""
        return replace(self, parts=tuple(part.to(device) for part in self.parts))


class BatchMaker:
    """Makes the batch of any step.

    Args:
        ctx: The run.
        course: Which samples make up a step.
        latents: Key in the store of each clip, by ``clip_id``.
        texts: Key in the store of each text, by text and whether the instruction comes before it.
        features: Gives the teacher's features of samples of a step.
    """

    def __init__(
        self,
        ctx: Context,
        course: Course,
        *,
        latents: Mapping[str, str],
        texts: Mapping[tuple[str, bool], str],
        features: Callable[[int, Sequence[Sample]], Tensor | None] | None = None,
    ) -> None:
        self._train = ctx.settings.train
        self._rollout = ctx.settings.regularizers.rollout
        self._schedule = SCHEDULES[self._train.noise_schedule](ctx.facts["noise_schedule"])
        self._store = ctx.store
        self._pins = ctx.device.type == "cuda"
        self._course = course
        self._rank, self._processes = ctx.rank, processes_of(ctx.settings.launch)
        self._sharded = ctx.settings.launch.strategy == "fsdp2"
        self._latents = latents
        self._texts = texts
        self._masked_loss = ctx.settings.regularizers.masked_loss
        self._masks = mask_index(ctx)
        self._features = features
        self._image_to_video = image_to_video(ctx.settings.data.datasets)
        self._self_flow = SelfFlow(ctx)
        # A compiled model is compiled for each shape.
        self._text_length = 0 if ctx.settings.hardware.compile == "no" else int(ctx.facts["max_sequence_length"])
        self._null_caption = self._text(ctx.facts["null_caption"], instructed=False)

    def make(self, step: int) -> StepBatch:
        """Return the batch of a step.

        Args:
            step: Optimizer steps before this one: the first is 0.
        """
        return self._make(step, self._rank, self._processes)

    def whole(self, step: int) -> StepBatch:
        """Return the batch of a step with the micro-batches of all processes."""
        return self._make(step, 0, 1)

    def first_of(self, bucket: str, batch_size: int, steps: range) -> int | None:
        """Return the first of some steps that has samples of a bucket, so many at once; None if none does."""
        wanted = bucket, batch_size
        each = ((step, self._course.step(step)) for step in steps)
        return next((step for step, found in each if (found.bucket, found.batch_size) == wanted), None)

    def _make(self, step: int, rank: int, processes: int) -> StepBatch:
        chosen = self._course.step(step)
        size, mine = chosen.batch_size, len(chosen.samples) // processes
        slices = [chosen.samples[start : start + size] for start in range(rank * mine, (rank + 1) * mine, size)]
        parts = tuple(self._part(samples, step) for samples in slices)
        if self._sharded and processes > 1:
            parts = tuple(
                self._in_step(
                    part,
                    [chosen.samples[start : start + size] for start in range(first, len(chosen.samples), mine)],
                    step,
                )
                for first, part in zip(range(0, mine, size), parts, strict=True)
            )
        levels = [self._level(sample).sigma for sample in chosen.samples]
        sigmas = tuple(torch.tensor(levels, dtype=torch.float32).tolist())
        if self._pins:
            parts = tuple(part.pinned() for part in parts)
        texts = tuple(map(self._caption_of, chosen.samples))
        return StepBatch(bucket=chosen.bucket, samples=chosen.samples, texts=texts, sigmas=sigmas, parts=parts)

    def _in_step(self, part: MicroBatch, together: Sequence[Sequence[Sample]], step: int) -> MicroBatch:
        """Say how many passes a rollout takes in the processes that train together, by the samples of each of them."""
        each = [self._offsets(samples, [self._level(s).sigma for s in samples], step) for samples in together]
        longest = max((int(offsets.max()) for offsets in each if offsets is not None), default=0)
        if longest == 0 or part.offsets is not None:
            return replace(part, longest=longest)
        return replace(part, longest=longest, offsets=torch.zeros(len(part.sigma), dtype=torch.int64))

    def _level(self, sample: Sample, purpose: str = "noise-level") -> NoiseLevel:
        return self._schedule.draw(self._draws(purpose, sample), exact=self._train.timesteps == "exact")

    def _part(self, samples: Sequence[Sample], step: int) -> MicroBatch:
        latents = torch.stack([self._store.read("latents", self._latents[s.row.clip_id])["latents"] for s in samples])
        exact = self._train.timesteps == "exact"
        levels = [self._level(sample) for sample in samples]
        noise = [self._noise(latents.shape[1:], sample) for sample in samples]
        perturbation = self._perturbation(step)
        extra = [self._normal(latents.shape[1:], "perturbation", s) * perturbation for s in samples if perturbation > 0]
        given = [self._given(sample) for sample in samples]
        text, mask = pad_texts([self._caption(sample) for sample in samples], length=self._text_length)
        return MicroBatch(
            latents=latents.float(),
            noise=torch.stack(noise),
            sigma=torch.tensor([level.sigma for level in levels], dtype=torch.float32),
            timestep=torch.tensor([level.timestep for level in levels], dtype=torch.float32 if exact else torch.int64),
            text=text,
            mask=mask,
            extra_noise=torch.stack(extra) if extra else None,
            weights=self._weights(samples, given, latents.shape[2:]),
            rollout=self._rollout,
            offsets=self._offsets(samples, [level.sigma for level in levels], step),
            features=None if self._features is None else self._features(step, samples),
            first=first_frames(given, exact=exact),
            **self._second(samples, given, latents.shape[2:], step),
        )

    def _second(
        self, samples: Sequence[Sample], given: Sequence[NoiseLevel | None], shape: torch.Size, step: int
    ) -> dict[str, Any]:
        """Return the second noise level of each sample and the tokens that have it; nothing in steps without self-flow."""
        if not self._self_flow.reads(step):
            return {}
        whole = torch.float32 if self._train.timesteps == "exact" else torch.int64
        levels = [self._level(sample, "self-flow-level") for sample in samples]
        chosen = [
            self._self_flow.draw_tokens(
                shape, self._draws("self-flow-tokens", sample), first_is_given=level is not None
            )
            for sample, level in zip(samples, given, strict=True)
        ]
        return {
            "second_sigma": torch.tensor([level.sigma for level in levels], dtype=torch.float32),
            "second_timestep": torch.tensor([level.timestep for level in levels], dtype=whole),
            "second_tokens": torch.stack(chosen),
        }

    def _given(self, sample: Sample) -> NoiseLevel | None:
        """Return the level of a sample's first frame; None if that is learnt as all others are."""
        video = self._image_to_video.get(sample.row.dataset)
        if video is None:
            return None
        chance = torch.rand((), generator=self._draws("first-frame", sample)).item()
        if chance >= video.i2v_probability:
            return None
        if video.i2v_noise == 0:
            return CLEAN
        draw = self._draws("first-frame-noise", sample)
        return self._schedule.draw_low(draw, video.i2v_noise, exact=self._train.timesteps == "exact")

    def _weights(
        self, samples: Sequence[Sample], given: Sequence[NoiseLevel | None], shape: torch.Size
    ) -> Tensor | None:
        """Return how much each place counts; None if all count alike: no mask is used, and no first frame given."""
        masks = [self._mask(sample) for sample in samples]
        if all(mask is None for mask in masks) and all(level is None for level in given):
            return None
        pairs = zip(masks, given, strict=True)
        each = [self._places(mask, shape, first_is_given=level is not None) for mask, level in pairs]
        return torch.stack(each)[:, None]

    def _places(self, mask: Tensor | None, shape: torch.Size, *, first_is_given: bool) -> Tensor:
        """Return the weights of one sample, (frames, height, width). Of a given frame the mask doesn't matter."""
        if not first_is_given:
            return torch.ones(shape) if mask is None else sample_weights(mask, self._masked_loss).expand(shape)
        learnt = torch.Size((shape[0] - 1, *shape[1:]))
        if mask is None:
            return learnt_weights(torch.ones(learnt))
        return learnt_weights(sample_weights(without_first(mask), self._masked_loss).expand(learnt))

    def _mask(self, sample: Sample) -> Tensor | None:
        key = self._masks.get(sample.row.clip_id)
        if key is None:
            return None
        chance = torch.rand((), generator=self._draws("mask", sample)).item()
        return self._store.read("masks", key)["mask"] if chance < self._masked_loss.probability else None

    def _offsets(self, samples: Sequence[Sample], sigmas: Sequence[float], step: int) -> Tensor | None:
        if self._rollout.max_step_offset == 0:
            return None
        offsets = [
            draw_offset(self._rollout, step, sigma, self._draws("rollout", sample))
            for sample, sigma in zip(samples, sigmas, strict=True)
        ]
        return torch.tensor(offsets) if any(offsets) else None

    def _noise(self, shape: torch.Size, sample: Sample) -> Tensor:
        """Return a sample's noise, with the same value added to a whole channel where its turn has come.

        Source: https://www.crosslabs.org/blog/diffusion-with-offset-noise.
        """
        noise, offset = self._normal(shape, "noise", sample), self._train.noise_offset
        if offset == 0:
            return noise
        chance = torch.rand((), generator=self._draws("noise-offset-chance", sample)).item()
        if chance >= self._train.noise_offset_probability:
            return noise
        channels = torch.Size((shape[0], *[1] * (len(shape) - 1)))
        return noise + offset * self._normal(channels, "noise-offset", sample)

    def _perturbation(self, step: int) -> float:
        """Return how much noise is added to the input alone (arXiv:2301.11706): all of it, or falling to none."""
        whole, steps = self._train.input_perturbation, self._train.input_perturbation_steps
        return whole * max(1 - step / steps, 0.0) if steps else whole

    def _normal(self, shape: torch.Size, purpose: str, sample: Sample) -> Tensor:
        return torch.randn(shape, generator=self._draws(purpose, sample))

    def _draws(self, purpose: str, sample: Sample) -> torch.Generator:
        return generator(self._train.seed, purpose, sample.epoch, sample.repeat, sample.row.clip_id)

    def _caption(self, sample: Sample) -> Tensor:
        chance = torch.rand((), generator=self._draws("caption-dropout", sample)).item()
        if chance < self._train.caption_dropout_probability:
            return self._null_caption
        return self._text(self._caption_of(sample), instructed=True)

    def _caption_of(self, sample: Sample) -> str:
        """Return the text of a sample: one of its clip's, by their shares, drawn anew in each pass and repeat."""
        texts, shares = sample.row.texts, sample.row.shares
        if len(texts) == 1:
            return texts[0]
        draws = self._draws("caption", sample)
        if not shares:
            return texts[int(torch.randint(len(texts), (), generator=draws))]
        chance = torch.rand((), generator=draws, dtype=torch.float64).item()
        # The last border is left out: the sum of shares may be a rounding error below 1.
        return texts[bisect_right(tuple(accumulate(shares))[:-1], chance)]

    def _text(self, text: str, *, instructed: bool) -> Tensor:
        return self._store.read("text", self._texts[text, instructed])["embeds"]


def pad_texts(embeds: Sequence[Tensor], *, length: int = 0) -> tuple[Tensor, Tensor]:
    """Pad texts on the right with zeros to the longest, in fp32.

    Args:
        embeds: Each (tokens, channels).
        length: The least length that they get.

    Returns:
        Embeddings (texts, longest, channels), and their mask (texts, longest) with 1 for a token.
    """
    longest = max(length, *(len(text) for text in embeds))
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
