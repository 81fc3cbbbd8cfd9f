"""Cross-frame representation alignment, CREPA (arXiv:2506.09229), built on REPA (arXiv:2410.06940).

A block's tokens, projected, are to point where a teacher's features of the same place point: in their own frame, and in
the frames at a distance d before and after it. With unit vectors p (projected) and y (the teacher's) of frame t, ⟨p, y⟩
averaged over the places of a frame, and w = exp(-d / τ),

    S_t = ⟨p_t, y_t⟩ + w ⟨p_t, y_(t-d)⟩ + w ⟨p_t, y_(t+d)⟩,

where frames that do not exist are left out, and the loss of a sample is -λ Σ_t S_t, divided by the number of frames.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager

import torch
from torch import Tensor, nn
from torch.nn import functional

from recipe_runtime.order import Sample
from recipe_runtime.randomness import generator
from recipe_runtime.store import Store
from recipe_runtime.team import ALONE, Team
from recipe_schema.events import Aligned
from recipe_schema.sections.regularizers import Crepa


Grid = tuple[int, int, int]
"""Frames, rows and columns of a sample's tokens."""


def weight_at(step: int, settings: Crepa, *, max_steps: int) -> float:
    """Return λ of the step after ``step`` optimizer steps, before any threshold ends alignment.

    It climbs from 0 over the warm-up and then is constant, or goes to ``weight_end`` until step ``decay_steps``; from
    ``cutoff_step`` on it is 0.
    """
    whole, end = settings.weight, settings.weight_end
    if 0 < settings.cutoff_step <= step:
        return 0.0
    if step < settings.warmup_steps:
        return whole * step / settings.warmup_steps
    if settings.schedule == "constant":
        return whole
    last = settings.decay_steps or max_steps
    progress = min((step - settings.warmup_steps) / max(last - settings.warmup_steps, 1), 1.0)
    if settings.schedule == "linear":
        return whole + (end - whole) * progress
    if settings.schedule == "cosine":
        return end + (whole - end) * (1 + math.cos(math.pi * progress)) / 2
    return float(end + (whole - end) * (1 - progress) ** settings.power)


def alignment(projected: Tensor, taught: Tensor, settings: Crepa) -> tuple[Tensor, Tensor]:
    """Return for each sample what is maximized, and the similarity of frames with themselves, (batch,) each.

    Args:
        projected: Features of the student, (batch, frames, places, channels).
        taught: Features of the teacher, of the same shape.
        settings: Neighbours and what is divided by.
    """
    student, teacher = functional.normalize(projected, dim=-1), functional.normalize(taught, dim=-1)
    own = _similarity(student, teacher)
    frames, far = own.shape[1], settings.adjacent_distance
    scores = own
    if 0 < far < frames:
        share = math.exp(-far / settings.adjacent_tau)
        after = functional.pad(_similarity(student[:, :-far], teacher[:, far:]), (0, far))
        before = functional.pad(_similarity(student[:, far:], teacher[:, :-far]), (far, 0))
        scores = own + share * after + share * before
        if settings.normalize_neighbour_sum:
            place = torch.arange(frames, device=own.device)
            neighbours = (place + far < frames).float() + (place >= far).float()
            scores = scores / (1 + share * neighbours)
    total = scores.sum(dim=1)
    return (total / frames if settings.normalize_by_frames else total), own.mean(dim=1)


def _similarity(student: Tensor, teacher: Tensor) -> Tensor:
    """Return the mean cosine of each frame's places, (batch, frames), of unit vectors."""
    return (student * teacher).sum(dim=-1).mean(dim=-1)


def on_grid(features: Tensor, grid: Grid) -> Tensor:
    """Resample square grids of features to the rows and columns of tokens, in two dimensions.

    It is the teacher that is resampled: each token then has a target, and nothing is differentiated.

    Args:
        features: (batch, frames, patches, channels), patches row by row.
        grid: Of the tokens.

    Returns:
        (batch, frames, rows × columns, channels).
    """
    batch, frames, patches, channels = features.shape
    side = math.isqrt(patches)
    assert side * side == patches, "the teacher sees squares"
    planes = features.flatten(0, 1).unflatten(1, (side, side)).permute(0, 3, 1, 2)
    planes = functional.interpolate(planes, grid[1:], mode="bilinear", antialias=True, align_corners=False)
    return planes.permute(0, 2, 3, 1).reshape(batch, frames, -1, channels)


class Projector(nn.Module):
    """Takes a block's tokens to the teacher's channels: a layer norm and a linear layer, in fp32.

    Args:
        width: Channels of tokens.
        taught: Channels of the teacher.
        seed: The run's seed.
    """

    def __init__(self, width: int, taught: int, *, seed: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.linear = nn.utils.skip_init(nn.Linear, width, taught)
        draw = generator(seed, "crepa-projector")
        bound = 1 / math.sqrt(width)  # as torch's own linear layers begin
        with torch.no_grad():
            self.linear.weight.uniform_(-bound, bound, generator=draw)
            self.linear.bias.uniform_(-bound, bound, generator=draw)

    def forward(self, tokens: Tensor) -> Tensor:
        """Project tokens (…, width) to (…, taught)."""
        projected: Tensor = self.linear(self.norm(tokens.float()))
        return projected


class Alignment:
    """Aligns one block of the transformer with its teacher, while its weight is above 0.

    A step begins with `begin` and ends with `finish`; in between, the forward pass of each micro-batch takes place
    within `listening`, followed by `losses`.

    Args:
        model: The transformer.
        settings: The settings.
        projector: Takes tokens to the teacher's channels. It is trained with the transformer.
        patch: Latent frames, rows and columns of a token.
        max_steps: Optimizer steps of the whole run.
        averaged: Puts the average of the weights into the model, where that is the teacher, and these back afterwards.
    """

    def __init__(
        self,
        model: nn.Module,
        settings: Crepa,
        *,
        projector: Projector,
        patch: Sequence[int],
        max_steps: int,
        averaged: Callable[[], AbstractContextManager[None]] | None,
    ) -> None:
        blocks = model.get_submodule("transformer_blocks")
        assert isinstance(blocks, nn.ModuleList), "a transformer is a list of blocks"
        self._settings = settings
        self._patch = tuple(patch)
        self._max_steps = max_steps
        self._inside = settings.feature_source != "encoder"
        self._average_teaches = settings.feature_source == "self_flow"
        self._averaged = averaged
        self._student = blocks[settings.block_index]
        deeper = settings.teacher_block_index if self._inside else None
        self._teacher = None if deeper is None else blocks[deeper]
        self.projector = projector
        self._step, self._weight = 0, 0.0
        self._average: float | None = None
        self._ended = False
        self._heard: dict[nn.Module, Tensor] = {}
        self._scores: list[Tensor] = []
        self._similarities: list[Tensor] = []

    @property
    def average_teaches(self) -> bool:
        """Whether the teacher is the average of the weights."""
        return self._average_teaches

    @property
    def active(self) -> bool:
        """Whether anything is computed in the present step."""
        return self._is_measured(self._step)

    def parameters(self) -> dict[str, nn.Parameter]:
        """Return what is trained beside the transformer, by name."""
        return {f"crepa_projector.{name}": parameter for name, parameter in self.projector.named_parameters()}

    def reads(self, step: int) -> bool:
        """Tell whether the samples of the step after ``step`` optimizer steps need stored features.

        It is asked ahead of time: where a threshold ends alignment, features may have been read that nobody needs.
        """
        return not self._inside and self._is_measured(step)

    def begin(self, step: int) -> None:
        """Begin the step after ``step`` optimizer steps."""
        self._step = step
        scheduled = weight_at(step, self._settings, max_steps=self._max_steps)
        self._weight = 0.0 if self._ended else scheduled
        self._scores, self._similarities = [], []

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Keep the outputs of the blocks in a forward pass. Recomputation in the backward pass is not listened to."""
        beside = None if self.average_teaches else self._teacher
        with self._hearing([block for block in (self._student, beside) if block is not None] if self.active else []):
            yield

    @contextmanager
    def teaching(self) -> Iterator[None]:
        """Keep the teacher's output in a forward pass of the average of the weights, which gets no gradient."""
        assert self._teacher is not None, "the teacher is a block"
        assert self._averaged is not None, "there is an average"
        with torch.no_grad(), self._averaged(), self._hearing([self._teacher]):
            yield

    @contextmanager
    def _hearing(self, blocks: Sequence[nn.Module]) -> Iterator[None]:
        hooks = [block.register_forward_hook(self._hear) for block in blocks]
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()

    def losses(self, latents: Tensor, features: Tensor | None) -> Tensor | None:
        """Return what is added to the loss of each sample, (batch,), or None where nothing is.

        Args:
            latents: Of the micro-batch, (batch, channels, frames, height, width).
            features: The teacher's, (batch, latent frames, patches, channels); None if a block is the teacher.
        """
        if not self.active:
            return None
        with torch.set_grad_enabled(self._weight > 0):
            grid = self._grid(latents)
            scores, similarities = alignment(*self._pair(grid, features), self._settings)
        self._heard.clear()
        self._scores.append(scores.detach())
        self._similarities.append(similarities.detach())
        return -self._weight * scores if self._weight > 0 else None

    def finish(self, team: Team = ALONE) -> Aligned | None:
        """Take note of the step that is done, and describe it; None if nothing was computed.

        Args:
            team: The processes that share the step's samples. Each follows the mean over all of them.
        """
        if not self._scores:
            return None
        figures = torch.stack([torch.cat(self._scores), torch.cat(self._similarities)], dim=1)
        scores, similarities = team.of_all_samples(figures).unbind(dim=1)
        score, similarity = scores.contiguous().mean().item(), similarities.contiguous().mean().item()
        keeps = self._settings.similarity_ema_decay
        before = similarity if self._average is None else self._average
        self._average = keeps * before + (1 - keeps) * similarity
        told = Aligned(
            step=self._step + 1,
            loss=-self._weight * score,
            similarity=similarity,
            average_similarity=self._average,
            weight=self._weight,
        )
        threshold = self._settings.similarity_threshold
        reached = threshold is not None and self._average >= threshold
        self._ended = reached or (self._ended and self._settings.threshold_mode == "permanent")
        return told

    def state(self) -> Mapping[str, Tensor]:
        """Return all that a checkpoint keeps: the projector, which is live, and where the threshold stands."""
        average = math.nan if self._average is None else self._average
        return {
            **{name: parameter.detach() for name, parameter in self.parameters().items()},
            "average_similarity": torch.tensor(average, dtype=torch.float64),
            "ended": torch.tensor(int(self._ended)),
        }

    @torch.no_grad()
    def load(self, state: Mapping[str, Tensor]) -> None:
        """Take over a saved state, whose names and shapes have been checked."""
        for name, parameter in self.parameters().items():
            parameter.copy_(state[name])
        average = float(state["average_similarity"].item())
        self._average = None if math.isnan(average) else average
        self._ended = bool(state["ended"].item())

    def _is_measured(self, step: int) -> bool:
        """Tell whether similarity matters: it has weight, or it may come to have weight again when it falls."""
        if weight_at(step, self._settings, max_steps=self._max_steps) <= 0:
            return False
        return not self._ended or self._settings.threshold_mode == "recoverable"

    def _hear(self, block: nn.Module, _inputs: object, output: Tensor) -> None:
        self._heard[block] = output.detach() if block is self._teacher else output

    def _grid(self, latents: Tensor) -> Grid:
        frames, rows, columns = (size // of for size, of in zip(latents.shape[2:], self._patch, strict=True))
        return frames, rows, columns

    def _pair(self, grid: Grid, features: Tensor | None) -> tuple[Tensor, Tensor]:
        """Return the projected tokens and their targets, (batch, frames, places, channels) each."""
        tokens = self._heard[self._student].unflatten(1, (grid[0], -1))
        if self._teacher is not None:
            taught = self._heard[self._teacher].float().unflatten(1, (grid[0], -1))
        else:
            assert features is not None, "they are read for every step that has weight"
            taught = features.float()
        if not self._settings.spatial_align:
            return self.projector(tokens).mean(dim=2, keepdim=True), taught.mean(dim=2, keepdim=True)
        return self.projector(tokens), taught if self._inside else on_grid(taught, grid)


class FeatureReader:
    """Reads the teacher's features of the samples of a step.

    Args:
        alignment: Says in which steps they are needed.
        store: Where they lie.
        index: Key in the store of each clip, by ``clip_id``.
    """

    def __init__(self, alignment: Alignment, store: Store, index: Mapping[str, str]) -> None:
        self._alignment = alignment
        self._store = store
        self._index = index

    def __call__(self, step: int, samples: Sequence[Sample]) -> Tensor | None:
        """Return them, (samples, latent frames, patches, channels), fp16; None if the step needs none."""
        if not self._alignment.reads(step):
            return None
        keys = [self._index[sample.row.clip_id] for sample in samples]
        return torch.stack([self._store.read("features", key)["features"] for key in keys])
