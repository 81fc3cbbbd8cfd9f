"""Stage ``build-model``: a small model of the real classes with random weights, for trying things out.

The result is a function of the configuration and ``train.seed`` alone. It is written once, as a directory in
diffusers format with the marker ``random_weights.json``; a directory that is not ours is never touched.
"""

import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from diffusers.models.autoencoders.autoencoder_kl_wan import AutoencoderKLWan
from diffusers.models.transformers.transformer_sana_video import SanaVideoTransformer3DModel
from diffusers.pipelines.sana_video.pipeline_sana_video import SanaVideoPipeline
from diffusers.schedulers.scheduling_dpmsolver_multistep import DPMSolverMultistepScheduler
from safetensors import SafetensorError
from transformers import Gemma2Config, Gemma2Model, GemmaTokenizer

from recipe_runtime.context import Context
from recipe_runtime.errors import ModelError
from recipe_runtime.models.moving_shapes import moving_shapes
from recipe_runtime.models.small_tokenizer import train_tokenizer
from recipe_runtime.stage import report_stage
from recipe_runtime.stop import StopRequested
from recipe_schema.canonical import digest
from recipe_schema.files import sync_folder, write_atomically


MARKER = "random_weights.json"
"""Written last into a directory that this stage built."""

_BUILD_VERSION = 2
"""Raised when the same configuration and seed give another model."""


def run(ctx: Context, stop: StopRequested) -> None:
    """Build the model that the plan describes, unless the directory holds it already.

    Raises:
        ModelError: The directory holds something else.
    """
    target = ctx.resolve(ctx.settings.model.pretrained_model_name_or_path)
    configs: Mapping[str, Any] = ctx.facts["random_weights"]
    seed = ctx.settings.train.seed
    ready = is_built(target, configs, seed)
    with report_stage(ctx.recorder, "build-model", total=1, reused=int(ready), unit="models", stop=stop) as report:
        if not ready:
            build_directory(target, configs, seed)
            report.finish(1)


def is_built(target: Path, configs: Mapping[str, Any], seed: int) -> bool:
    """Tell whether ``target`` holds this very model.

    Raises:
        ModelError: It holds something else, which is left alone.
    """
    if not target.exists():
        return False
    try:
        stated = json.loads((target / MARKER).read_text(encoding="utf-8"))["digest"]
    except (FileNotFoundError, NotADirectoryError):
        raise ModelError(
            f"{target} exists and was not built by `model.random_weights`, so it is left alone; remove "
            "`model.random_weights` to train the model in it, or name a directory that does not exist yet in "
            "`model.pretrained_model_name_or_path`"
        ) from None
    except (ValueError, KeyError, TypeError):
        raise ModelError(f"{target / MARKER} is damaged; delete the directory {target} and run again") from None
    if stated != _digest(configs, seed):
        raise ModelError(
            f"{target} holds random weights of another configuration or another `train.seed`; delete the directory, "
            "or name another one in `model.pretrained_model_name_or_path`"
        )
    return True


def build_directory(target: Path, configs: Mapping[str, Any], seed: int) -> None:
    """Build the model in a temporary sibling directory, then rename it to ``target``.

    Args:
        target: A directory that does not exist.
        configs: Arguments of ``transformer``, ``vae``, ``text_encoder``, ``tokenizer`` and ``scheduler``.
        seed: Seed of all weights.

    Raises:
        ModelError: It can't be written.
    """
    try:
        _build(target, configs, seed)
    except (OSError, SafetensorError) as error:
        raise ModelError(
            f"{target} can't be written: {error}; make room or correct the rights, and run the same command again"
        ) from error


def _build(target: Path, configs: Mapping[str, Any], seed: int) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{target.name}.", dir=target.parent) as temporary:
        folder = Path(temporary) / "model"
        build_pipeline(configs, seed).save_pretrained(folder)
        marker = {"built_by": "model.random_weights", "digest": _digest(configs, seed), "seed": seed}
        write_atomically(folder / MARKER, json.dumps(marker, indent=2).encode() + b"\n")
        try:
            os.rename(folder, target)
        except OSError:
            # Another process was faster. That is fine if it built the same model.
            if not is_built(target, configs, seed):
                raise
    sync_folder(target.parent)


def build_pipeline(configs: Mapping[str, Any], seed: int) -> SanaVideoPipeline:
    """Build all components on the CPU, in fp32. The process's random state is left as it was."""
    tokenizer = train_tokenizer(configs["tokenizer"]["vocab_size"])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        transformer = SanaVideoTransformer3DModel(**configs["transformer"])
        text_encoder = _text_encoder(configs["text_encoder"], tokenizer)
        vae = _vae(configs["vae"])
    scheduler = DPMSolverMultistepScheduler(
        use_flow_sigmas=True, prediction_type="flow_prediction", **configs["scheduler"]
    )
    return SanaVideoPipeline(
        tokenizer=tokenizer, text_encoder=text_encoder, vae=vae, transformer=transformer, scheduler=scheduler
    )


def _vae(config: Mapping[str, Any]) -> AutoencoderKLWan:
    if "trained" not in config:
        vae = AutoencoderKLWan(**config).eval()
        _calibrate(vae)
        return vae
    return AutoencoderKLWan.from_pretrained(Path(__file__).parent / config["trained"], dtype=torch.float32).eval()


def _text_encoder(config: Mapping[str, Any], tokenizer: GemmaTokenizer) -> Gemma2Model:
    return Gemma2Model(
        Gemma2Config(
            **config,
            vocab_size=len(tokenizer),
            pad_token_id=tokenizer.pad_token_id,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
        )
    ).eval()


@torch.no_grad()
def _calibrate(vae: AutoencoderKLWan) -> None:
    """Set the VAE's latent mean and standard deviation per channel, so that normalized latents have about N(0, 1)."""
    latents = torch.cat([vae.encode(clip).latent_dist.mode() for clip in moving_shapes()])
    mean, std = latents.mean(dim=(0, 2, 3, 4)), latents.std(dim=(0, 2, 3, 4))
    if not bool((std > 0).all()):
        raise ModelError("the random VAE has a latent channel that never changes; take another `train.seed`")
    vae.register_to_config(
        latents_mean=[float(f"{value:.6g}") for value in mean.tolist()],
        latents_std=[float(f"{value:.6g}") for value in std.tolist()],
    )


def _digest(configs: Mapping[str, Any], seed: int) -> str:
    return digest({"version": _BUILD_VERSION, "configs": configs, "seed": seed})
