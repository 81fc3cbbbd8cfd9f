"""Previews: a clip as it would be if its drawing ended now, every so many sampling steps.

A sampling step knows the noisy latents x at noise level σ and the predicted velocity v, after guidance. With
x = (1 - σ) x₀ + σ n and v = n - x₀, the clip that the model has in mind is x̂₀ = x - σ v. That is what the solvers go on
from themselves (diffusers, ``DPMSolverMultistepScheduler.convert_model_output`` with ``flow_prediction``), and what
is decoded here. Drawing does not notice: no random number is drawn, and nothing that the sampler uses is changed.
"""

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from recipe_runtime.context import Context
from recipe_runtime.errors import MediaError, RunError
from recipe_runtime.latent_colors import color, latent_colors
from recipe_runtime.models.sampler import Scheduler
from recipe_runtime.models.tiny_decoder import find_tiny_decoder, load_tiny_decoder
from recipe_runtime.video_file import to_frames, write_mp4
from recipe_schema.events import ClipPreviewed, Warned
from recipe_schema.sections.evaluation import LINEAR


_FOLDER = "previews"
_ENLARGED = 4
"""Colors of latents are shown at half of the clip's size."""

_FAILURES = (RunError, RuntimeError, ValueError, OSError)


class Previews:
    """Shows clips while they are drawn. The first failure is a warning, and the last preview: the clip counts.

    Args:
        ctx: The run.
        step: Optimizer steps done.
    """

    def __init__(self, ctx: Context, step: int) -> None:
        self._ctx = ctx
        self._step = step
        self._works = ctx.settings.validation.preview.enabled
        self._decode: Callable[[Tensor], Tensor] | None = None

    @contextmanager
    def of(
        self, scheduler: Scheduler, path: Path, nickname: str, weights: str, *, given: Tensor | None = None
    ) -> Iterator[None]:
        """Show a clip that is drawn inside.

        Args:
            scheduler: Of the sampler.
            path: Where the clip itself will be. Its previews lie in a folder beside it.
            nickname: Name of its prompt.
            weights: Whose it is, ``model`` or ``ema``.
            given: Latents of the frames that the clip starts from, which the sampler leaves alone and keeps to itself.
        """
        if not self._works:
            yield
            return
        every, total = self._ctx.settings.validation.preview.steps, self._ctx.settings.validation.num_inference_steps

        def see(done: int, clean: Callable[[], Tensor]) -> None:
            if not self._works or done % every:
                return
            try:
                target = path.parent / _FOLDER / f"{path.stem}-{done:03d}.mp4"
                found = clean()
                self._write(target, (found if given is None else torch.cat([given.to(found), found], dim=2))[0])
                shown = target.relative_to(self._ctx.run_dir).as_posix()
            except _FAILURES as error:
                self._works = False
                self._ctx.recorder.emit(Warned(message=f"no more previews of step {self._step}: {error}"))
                return
            self._ctx.recorder.emit(
                ClipPreviewed(
                    step=self._step,
                    nickname=nickname,
                    weights=weights,
                    path=shown,
                    clip=path.relative_to(self._ctx.run_dir).as_posix(),
                    sampling_step=done,
                    sampling_steps=total,
                )
            )

        with watched(scheduler, see):
            yield

    def _write(self, path: Path, latents: Tensor) -> None:
        if not bool(torch.isfinite(latents).all()):
            raise MediaError("the clip has values that are not finite")
        linear = self._ctx.settings.validation.preview.decoder == LINEAR
        self._decode = self._decode or (self._linear() if linear else self._tiny())
        # Autocast would compute in bf16.
        with torch.autocast(latents.device.type, enabled=False):
            frames = to_frames(self._decode(latents.float()))
        path.parent.mkdir(parents=True, exist_ok=True)
        rate = self._ctx.settings.validation.framerate / (self._ctx.facts["vae"]["temporal"] if linear else 1)
        write_mp4(path, frames, fps=rate, note="preview")

    def _linear(self) -> Callable[[Tensor], Tensor]:
        weight, bias = latent_colors(self._ctx)

        def decode(latents: Tensor) -> Tensor:
            pixels = color(latents, weight, bias).permute(1, 0, 2, 3)
            return functional.interpolate(pixels, scale_factor=_ENLARGED, mode="bilinear").permute(1, 0, 2, 3)

        return decode

    def _tiny(self) -> Callable[[Tensor], Tensor]:
        name = self._ctx.settings.validation.preview.decoder
        return load_tiny_decoder(find_tiny_decoder(name, self._ctx.root), self._ctx.device)


@contextmanager
def watched(scheduler: Scheduler, see: Callable[[int, Callable[[], Tensor]], None]) -> Iterator[None]:
    """Show every sampling step that is taken inside.

    Args:
        scheduler: Of the sampler.
        see: Called after each step with the steps done, and with what computes the clean latents x̂₀ = x - σ v, fp32.
    """
    scheduler_of_any_kind: Any = scheduler
    step = scheduler_of_any_kind.step
    done = 0

    @functools.wraps(step)  # the pipeline asks for its signature
    def seen(model_output: Tensor, timestep: Any, sample: Tensor, *more: Any, **named: Any) -> Any:
        nonlocal done
        result = step(model_output, timestep, sample, *more, **named)
        done += 1
        sigma = float(scheduler_of_any_kind.sigmas[scheduler_of_any_kind.step_index - 1])
        see(done, lambda: sample.float() - sigma * model_output.float())
        return result

    scheduler_of_any_kind.step = seen
    try:
        yield
    finally:
        del scheduler_of_any_kind.step
