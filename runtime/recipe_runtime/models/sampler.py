"""Draws clips with the transformer that is being trained, through diffusers' own pipelines."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias

from diffusers.pipelines.sana_video.pipeline_sana_video import SanaVideoPipeline
from diffusers.pipelines.sana_video.pipeline_sana_video_i2v import SanaImageToVideoPipeline
from diffusers.schedulers.scheduling_dpmsolver_multistep import DPMSolverMultistepScheduler
from diffusers.schedulers.scheduling_flow_match_euler_discrete import FlowMatchEulerDiscreteScheduler
from diffusers.schedulers.scheduling_unipc_multistep import UniPCMultistepScheduler
from torch import Tensor, nn

from recipe_runtime.errors import ModelError


Scheduler: TypeAlias = DPMSolverMultistepScheduler | FlowMatchEulerDiscreteScheduler | UniPCMultistepScheduler

SCHEDULERS: Mapping[str, type[Scheduler]] = {
    "DPMSolverMultistepScheduler": DPMSolverMultistepScheduler,
    "FlowMatchEulerDiscreteScheduler": FlowMatchEulerDiscreteScheduler,
    "UniPCMultistepScheduler": UniPCMultistepScheduler,
}
"""The schedulers that Sana Video's pipelines are published with, by the names in their configuration."""

_CONFIG = "scheduler_config.json"
_STOCK_MULTIPLE = 32


class SanaVideoSampler(SanaVideoPipeline):
    """diffusers' pipeline, which also takes sizes that are multiples of 16.

    The stock pipeline insists on multiples of 32 and so refuses seven of its own eleven 480p sizes, though VAE
    and transformer need 16 only. Everything else is the stock pipeline.
    """

    def check_inputs(self, prompt: Any, height: int, width: int, *args: Any, **kwargs: Any) -> None:
        """Check the arguments of a call, sizes in pixels.

        Raises:
            ValueError: They do not fit together, or a side is no multiple of 16.
        """
        _check_size(self, height, width)
        super().check_inputs(prompt, _STOCK_MULTIPLE, _STOCK_MULTIPLE, *args, **kwargs)


class SanaImageSampler(SanaImageToVideoPipeline):
    """diffusers' pipeline from image to video, which also takes sizes that are multiples of 16.

    The first frame is encoded by whoever calls, where the VAE is, and lies in the ``latents``; the rest is the stock
    pipeline. It hands the transformer a timestep for each token; see `told_by_frame`.
    """

    def check_inputs(self, prompt: Any, image: Any, height: int, width: int, *args: Any, **kwargs: Any) -> None:
        """Check the arguments of a call, sizes in pixels.

        Raises:
            ValueError: They do not fit together, or a side is no multiple of 16.
        """
        _check_size(self, height, width)
        super().check_inputs(prompt, image, _STOCK_MULTIPLE, _STOCK_MULTIPLE, *args, **kwargs)

    def prepare_latents(self, image: Any, *rest: Any) -> Tensor:  # noqa: ARG002 - diffusers' signature
        """Return the latents that were handed in: they come last."""
        latents: Tensor = rest[-1]
        return latents


def _check_size(pipeline: Any, height: int, width: int) -> None:
    multiple = pipeline.vae_scale_factor_spatial * pipeline.transformer.config.patch_size[1]
    if height % multiple or width % multiple:
        raise ValueError(f"a clip of {width}x{height} can't be drawn: both sides must be multiples of {multiple}")


def build_image_sampler(transformer: nn.Module, vae: nn.Module, scheduler: Scheduler) -> SanaImageSampler:
    """Build a sampler from image to video around live models.

    Args:
        transformer: The model.
        vae: Its VAE; only its constants are used.
        scheduler: The one that the model is published with. Its shift counts: with a given frame, the pipeline steps
            through Euler's.
    """
    components: dict[str, Any] = {
        "tokenizer": None,
        "text_encoder": None,
        "vae": vae,
        "transformer": transformer,
        "scheduler": FlowMatchEulerDiscreteScheduler(shift=shift_of(scheduler)),
    }
    sampler = SanaImageSampler(**components)
    sampler.set_progress_bar_config(disable=True)
    return sampler


def shift_of(scheduler: Scheduler) -> float:
    """Return the shift of a scheduler's noise levels, which goes by two names."""
    config: Any = scheduler.config
    return float(config["shift"] if isinstance(scheduler, FlowMatchEulerDiscreteScheduler) else config["flow_shift"])


@contextmanager
def told_by_frame(transformer: nn.Module) -> Iterator[None]:
    """Tell a transformer one timestep for each frame where it is called with one for each token, (batch, 1, frames, rows, columns)."""

    def by_frame(
        _: nn.Module, arguments: tuple[Any, ...], named: dict[str, Any]
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        return arguments, {**named, "timestep": named["timestep"][:, 0, :, 0, 0]}

    hook = transformer.register_forward_pre_hook(by_frame, with_kwargs=True)
    try:
        yield
    finally:
        hook.remove()


def build_sampler(transformer: nn.Module, vae: nn.Module, scheduler: Scheduler) -> SanaVideoSampler:
    """Build a sampler around live models. It encodes no text: embeddings are handed in."""
    # A mapping, because the pipeline's types are narrower than what it takes.
    components: dict[str, Any] = {
        "tokenizer": None,
        "text_encoder": None,
        "vae": vae,
        "transformer": transformer,
        "scheduler": scheduler,
    }
    sampler = SanaVideoSampler(**components)
    sampler.set_progress_bar_config(disable=True)
    return sampler


def load_scheduler(folder: Path) -> Scheduler:
    """Load the scheduler that a model is published with.

    Args:
        folder: The component's folder, in diffusers format.

    Raises:
        ModelError: It is missing, or one that Sana Video does not sample with.
    """
    try:
        name = json.loads((folder / _CONFIG).read_text(encoding="utf-8"))["_class_name"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{folder / _CONFIG} can't be read ({error!r}); download the model again") from error
    if name not in SCHEDULERS:
        raise ModelError(
            f"{folder / _CONFIG} names {name}, and Sana Video samples with one of {', '.join(SCHEDULERS)}; take the "
            "scheduler of the published model"
        )
    scheduler: Any = SCHEDULERS[name].from_pretrained(folder, local_files_only=True)
    return scheduler
