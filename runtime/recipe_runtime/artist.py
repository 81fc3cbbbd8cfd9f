"""Draws one validation clip with the weights as they are."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from recipe_runtime.batches import pad_texts
from recipe_runtime.build import build_vae
from recipe_runtime.clip import read_first_frame, to_pixels
from recipe_runtime.clip_score import Judge
from recipe_runtime.contact_sheet import sheet_path, write_sheet
from recipe_runtime.context import Context
from recipe_runtime.errors import ModelError, RunError
from recipe_runtime.models.sampler import build_image_sampler, build_sampler, load_scheduler, told_by_frame
from recipe_runtime.models.source import component_dir, pipeline_dir
from recipe_runtime.models.vae import decode, encode
from recipe_runtime.planned_clips import PlannedClip
from recipe_runtime.preview import Previews
from recipe_runtime.state import TrainState
from recipe_runtime.video_file import to_frames, write_mp4
from recipe_schema.events import ClipDrawn, Warned
from recipe_schema.plan import FirstImage


FAILURES = (RunError, RuntimeError, ValueError, OSError)
"""What a clip may fail with, out of memory included, while training goes on."""


class Artist:
    """Draws one clip after the other. The VAE lives as long as it does, and waits elsewhere if models take turns."""

    def __init__(self, ctx: Context, state: TrainState, texts: Mapping[tuple[str, bool], str]) -> None:
        self._ctx = ctx
        self._state = state
        self._texts = texts
        self._rest = torch.device("cpu") if ctx.settings.memory.model_cpu_offload else ctx.device
        self._vae = build_vae(ctx, rests_on=self._rest)
        scheduler = load_scheduler(component_dir(pipeline_dir(ctx), "scheduler"))
        self._sampler = build_sampler(state.model, self._vae, scheduler)
        self._image_sampler = build_image_sampler(state.model, self._vae, scheduler)
        self._judge = Judge(ctx) if ctx.settings.evaluation.type == "clip" else None
        self._previews = Previews(ctx, state.step)

    def draw(self, clip: PlannedClip) -> None:
        """Draw a clip and write its file."""
        began = time.monotonic()
        average = self._state.average
        start = None if clip.image is None else self._start(clip.image, clip.seed)
        swapped = average.swapped() if clip.weights == "ema" and average is not None else self._state.result()
        sampler = self._sampler if start is None else self._image_sampler
        given = None if start is None else start["latents"][:, :, :1]
        previews = self._previews.of(sampler.scheduler, clip.path, clip.nickname, clip.weights, given=given)
        with swapped, previews:
            latents = self._sample(clip.text, clip.seed, start)
        with self._only_the_vae():
            pixels = decode(self._vae, latents)[0]
        if not bool(torch.isfinite(pixels).all()):
            raise ModelError(
                f"the {'VAE' if bool(torch.isfinite(latents).all()) else 'transformer'} gives values that are not finite"
            )
        frames = to_frames(pixels)
        clip.path.parent.mkdir(parents=True, exist_ok=True)
        sheet = sheet_path(clip.path)
        write_sheet(sheet, frames)
        write_mp4(clip.path, frames, fps=self._ctx.settings.validation.framerate, note=clip.note)
        self._ctx.recorder.emit(
            ClipDrawn(
                step=self._state.step,
                nickname=clip.nickname,
                weights=clip.weights,
                path=clip.path.relative_to(self._ctx.run_dir).as_posix(),
                seconds=time.monotonic() - began,
                sheet=sheet.relative_to(self._ctx.run_dir).as_posix(),
            )
        )
        self._score(clip, frames)

    def _score(self, clip: PlannedClip, frames: NDArray[np.uint8]) -> None:
        """Compare a clip with its prompt, if that is asked for. The clip is there whatever comes of it."""
        if self._judge is None:
            return
        path = clip.path.relative_to(self._ctx.run_dir).as_posix()
        try:
            self._judge.score(
                frames, clip.caption, step=self._state.step, nickname=clip.nickname, weights=clip.weights, path=path
            )
        except FAILURES as error:
            self._ctx.recorder.emit(Warned(message=f"{path} could not be scored by CLIP: {error}"))

    @contextmanager
    def _only_the_vae(self) -> Iterator[None]:
        """Where models take turns on the device, give it to the VAE and then back to the transformer."""
        if not self._ctx.settings.memory.model_cpu_offload:
            yield
            return
        self._state.model.to(self._rest)
        self._vae.to(self._ctx.device)  # type: ignore[arg-type]  # diffusers wraps `to` and loses its types
        try:
            yield
        finally:
            self._vae.to(self._rest)  # type: ignore[arg-type]  # likewise
            self._state.model.to(self._ctx.device)

    def _start(self, image: FirstImage, seed: int) -> dict[str, Tensor]:
        """Return what a clip starts from: its picture, and that followed by noise, as latents.

        The noise is that which `SanaImageToVideoPipeline` draws itself.
        """
        frame = read_first_frame(self._ctx.resolve(image.path), image)
        pixels = to_pixels(frame)[None].to(self._ctx.device)
        with self._only_the_vae():
            first = encode(self._vae, pixels)
        temporal: int = self._ctx.facts["vae"]["temporal"]
        frames = (self._ctx.settings.validation.num_video_frames - 1) // temporal + 1
        noise = torch.randn((*first.shape[:2], frames, *first.shape[3:]), generator=torch.Generator().manual_seed(seed))
        latents = torch.cat([first, noise[:, :, 1:].to(first.device)], dim=2)
        return {"image": frame.permute(0, 3, 1, 2) / 255, "latents": latents}

    def _sample(self, text: str, seed: int, start: Mapping[str, Tensor] | None) -> Tensor:
        """Return normalized latents, (1, channels, frames, height, width)."""
        looks, device = self._ctx.settings.validation, self._ctx.device
        negative = self._ctx.plan.execution.negative_prompt
        width, height = map(int, looks.resolution.split("x"))
        embeds, mask = pad_texts([self._read(text, instructed=True), self._read(negative, instructed=False)])
        embeds, mask = embeds.to(device), mask.to(device)
        mixed = self._ctx.settings.train.mixed_precision == "bf16"
        call: dict[str, Any] = {
            "prompt_embeds": embeds[:1],
            "prompt_attention_mask": mask[:1],
            "negative_prompt": None,
            "negative_prompt_embeds": embeds[1:],
            "negative_prompt_attention_mask": mask[1:],
            "guidance_scale": looks.guidance,
            "num_inference_steps": looks.num_inference_steps,
            "height": height,
            "width": width,
            "frames": looks.num_video_frames,
            "generator": torch.Generator().manual_seed(seed),
            "use_resolution_binning": False,
            "output_type": "latent",
            "return_dict": False,
        }
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=mixed):
            if start is None:
                latents: Tensor = self._sampler(**call)[0]
            else:
                with told_by_frame(self._state.model):
                    latents = self._image_sampler(**start, **call)[0]
        return latents

    def _read(self, text: str, *, instructed: bool) -> Tensor:
        return self._ctx.store.read("text", self._texts[text, instructed])["embeds"]
