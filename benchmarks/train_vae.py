"""Trains a small VAE: the architecture of Wan 2.1's, with a hundredth of its weights.

    python benchmarks/train_vae.py DIR [--compile]

It learns from the drawn world of `builtin:shapes` and from `builtin:sample-clips` (`recipe fetch recipes/quickstart.yaml` gets
them), first single frames, which are many times cheaper, then clips of 9 frames. DIR keeps a checkpoint, and the same command goes on
from it. When all steps are done, the reconstruction of clips that were not trained is measured, and the model is written to
DIR/vae in diffusers' format, in bf16, with the mean and the standard deviation of its latents. It takes 75 minutes of one core, if
compiled.
"""

import argparse
import itertools
import math
import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np
import torch
from diffusers.models.autoencoders.autoencoder_kl_wan import AutoencoderKLWan, WanCausalConv3d
from torch import Tensor
from torch.nn import functional

from recipe_compiler.fetch.shapes import BACKGROUNDS, FRAMES, NEW_SHAPE, SHAPES, SIZE, Frames, Scene, draw, scenes


CONFIG = {
    "base_dim": 16,
    "z_dim": 4,
    "dim_mult": [1, 2, 2, 3],
    "num_res_blocks": 1,
    "attn_scales": [],
    "temperal_downsample": [False, True, True],
}
BATCH = {1: 16, FRAMES: 4}
"""Clips a step, by their frames."""
LOWEST_RATE, WARM_UP = 2e-5, 50
"""The learning rate goes up to its peak in the first steps of a phase, and down by a cosine."""
FOREGROUND = 4.0
"""Weight of the pixels of the box around a shape: its own, and those of holes and corners, which tell shapes apart."""
REAL_SHARE = 0.35
"""Share of the sample clips among all that is shown."""
UNSEEN = ("bunny-portrait", "city-curved", "disc-up")
"""Sample clips that are kept for the measurement."""
PULL = 1e-4
"""Weight of the latents' divergence from a normal distribution."""
TAKES = 4
"""Drawings of each scene."""
SAVED_EVERY = 100
MEASURED = 64
SAMPLES = Path(__file__).resolve().parent.parent / "data" / "sample-clips"


class Phase(NamedTuple):
    """A part of the training."""

    frames: int
    steps: int
    peak_rate: float


PHASES = (Phase(1, 4000, 2e-3), Phase(FRAMES, 2400, 1e-3), Phase(FRAMES, 1800, 8e-4), Phase(FRAMES, 2400, 8e-4))

Shown = tuple[Tensor, Tensor]
"""Clips (batch, 3, frames, height, width), -1 to 1, and the weights of their pixels, with one channel."""


class World:
    """What is shown: drawn clips, and pieces of real ones."""

    def __init__(self) -> None:
        """Draw and read all of it."""
        known = [*scenes(held_out=False), *(scene for scene in scenes(held_out=False, shapes=(*SHAPES, NEW_SHAPE)))]
        self.drawn = [(draw(scene, 1_000_000 + take), scene) for scene in known for take in range(TAKES)]
        self.real = [read(path) for path in sorted(SAMPLES.glob("*.mp4")) if path.stem not in UNSEEN]

    def batch(self, chance: random.Random, *, frames: int) -> Shown:
        """Choose clips and their frames."""
        made = [self.piece(chance, frames) for _ in range(BATCH[frames])]
        return torch.stack([clip for clip, _ in made]), torch.stack([weight for _, weight in made])

    def piece(self, chance: random.Random, frames: int) -> Shown:
        """Choose one clip, (3, frames, height, width), and the weights of its pixels."""
        if self.real and chance.random() < REAL_SHARE:
            clip = cut(chance.choice(self.real), chance, frames)
            return clip, torch.ones(1, *clip.shape[1:])
        picture, scene = chance.choice(self.drawn)
        start = chance.randrange(FRAMES - frames + 1)
        picture = picture[start : start + frames]
        return to_tensor(picture), weights(picture, scene)


def read(path: Path) -> Frames:
    """Read a clip, its shorter side brought to 128 pixels."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        scale = 128 / min(stream.width, stream.height)
        width, height = round(stream.width * scale), round(stream.height * scale)
        frames = [frame.to_ndarray(format="rgb24", width=width, height=height) for frame in container.decode(stream)]
    return np.stack(frames)


def cut(clip: Frames, chance: random.Random, frames: int) -> Tensor:
    """Cut a square piece out of a clip, at any place and scale, and every first or second of its frames."""
    _, height, width, _ = clip.shape
    side, stride = chance.randint(SIZE, min(height, width)), chance.choice((1, 2))
    start = chance.randrange(len(clip) - (frames - 1) * stride)
    top, left = chance.randint(0, height - side), chance.randint(0, width - side)
    piece = clip[start : start + (frames - 1) * stride + 1 : stride, top : top + side, left : left + side]
    if chance.random() < 0.5:
        piece = piece[:, :, ::-1]
    shown = functional.interpolate(to_tensor(piece).transpose(0, 1), size=(SIZE, SIZE), mode="area")
    return shown.transpose(0, 1)


def to_tensor(picture: Frames) -> Tensor:
    """Turn a clip (frames, height, width, 3), 0 to 255, into (3, frames, height, width), -1 to 1."""
    return torch.from_numpy(picture.copy()).permute(3, 0, 1, 2).float() / 127.5 - 1


def weights(picture: Frames, scene: Scene) -> Tensor:
    """Return how much each pixel of a drawn clip counts, (1, frames, height, width)."""
    away = np.abs(picture.astype(np.int16) - BACKGROUNDS[scene.background]).max(axis=-1) > 8
    box = away.any(axis=1, keepdims=True) & away.any(axis=2, keepdims=True)
    return torch.from_numpy(1 + (FOREGROUND - 1) * box).float()[None]


class FlatConvolutions:
    """Makes a causal convolution of one frame a flat one: before it are zeros, so two thirds of the work are not needed."""

    def __enter__(self) -> None:
        """Take the place of the convolution's own method."""
        self._forward = plain = WanCausalConv3d.forward

        def forward(layer: WanCausalConv3d, x: Tensor, cache_x: Tensor | None = None) -> Tensor:
            if x.shape[2] != 1 or cache_x is not None or layer.stride[0] != 1:
                return plain(layer, x, cache_x)
            left, right, top, bottom, _, _ = layer._padding  # noqa: SLF001 - what it pads with zeros
            flat = functional.pad(x[:, :, 0], (left, right, top, bottom))
            return functional.conv2d(flat, layer.weight[:, :, -1], layer.bias, layer.stride[1:])[:, :, None]

        WanCausalConv3d.forward = forward

    def __exit__(self, *_: object) -> None:
        """Put it back."""
        WanCausalConv3d.forward = self._forward


def begin_frame_by_frame(vae: AutoencoderKLWan) -> None:
    """Let each frame stand for itself at first: what single frames teach is then true for clips, too.

    Weights of earlier frames are zero. What halves the frames keeps the last of each pair, what doubles them says each twice.
    """
    for name, layer in vae.named_modules():
        if not isinstance(layer, WanCausalConv3d) or layer.kernel_size[0] == 1:
            continue
        with torch.no_grad():
            layer.weight[:, :, :-1].zero_()
            if name.endswith("time_conv"):
                width = layer.in_channels
                layer.weight[:, :, -1, 0, 0] = torch.eye(width).repeat(layer.out_channels // width, 1)
                layer.bias.zero_()


def loss_of(vae: AutoencoderKLWan, clip: Tensor, weight: Tensor) -> Tensor:
    """Return the loss of a reconstruction: absolute and squared errors, and a slight pull of latents towards a normal distribution."""
    if clip.shape[2] == 1:
        mean, log_variance = vae.quant_conv(vae.encoder(clip)).float().chunk(2, dim=1)
    else:
        posterior = vae.encode(clip).latent_dist
        mean, log_variance = posterior.mean.float(), posterior.logvar.float()
    log_variance = log_variance.clamp(-20, 10)
    latents = mean + torch.randn_like(mean) * (log_variance / 2).exp()
    made = vae.decoder(vae.post_quant_conv(latents)) if clip.shape[2] == 1 else vae.decode(latents).sample
    error = (made.float() - clip) * weight.sqrt()
    return error.abs().mean() + 2 * (error**2).mean() + PULL * (mean**2 + log_variance.exp() - 1 - log_variance).mean()


def rate_at(step: int, steps: int, peak: float) -> float:
    """Return the learning rate of a step."""
    if step < WARM_UP:
        return peak * (step + 1) / WARM_UP
    return LOWEST_RATE + (peak - LOWEST_RATE) * (1 + math.cos(math.pi * step / steps)) / 2


def train(vae: AutoencoderKLWan, folder: Path, *, compiled: bool) -> None:
    """Train all phases, going on from the folder's checkpoint."""
    world, kept = World(), folder / "checkpoint.pt"
    optimizer = torch.optim.AdamW(vae.parameters(), lr=LOWEST_RATE, betas=(0.9, 0.99), weight_decay=0.0)
    done = 0
    if kept.exists():
        state = torch.load(kept, map_location=vae.device, weights_only=True)
        vae.load_state_dict(state["vae"])
        optimizer.load_state_dict(state["optimizer"])
        done = state["step"]
    if compiled:
        vae.encoder.forward, vae.decoder.forward = (
            torch.compile(vae.encoder.forward),
            torch.compile(vae.decoder.forward),
        )
    began, average, before = time.monotonic(), None, 0
    for frames, steps, peak in PHASES:
        for step in range(max(done - before, 0), steps):
            loss = take_step(
                vae, optimizer, world, number=before + step, frames=frames, rate=rate_at(step, steps, peak)
            )
            average = loss if average is None else 0.98 * average + 0.02 * loss
            if (step + 1) % SAVED_EVERY == 0 or step + 1 == steps:
                state = {"vae": vae.state_dict(), "optimizer": optimizer.state_dict(), "step": before + step + 1}
                torch.save(state, kept.with_suffix(".new"))
                kept.with_suffix(".new").replace(kept)
                took = time.monotonic() - began
                print(f"{frames} frames, step {step + 1}/{steps}: loss {average:.4f}, {took:.0f} s", flush=True)
        before += steps


def take_step(
    vae: AutoencoderKLWan, optimizer: torch.optim.Optimizer, world: World, *, number: int, frames: int, rate: float
) -> float:
    """Take one step and return its loss."""
    torch.manual_seed(number)
    for group in optimizer.param_groups:
        group["lr"] = rate
    clip, weight = (part.to(vae.device) for part in world.batch(random.Random(number), frames=frames))
    with torch.autocast(vae.device.type, torch.bfloat16):
        loss = loss_of(vae, clip, weight)
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(vae.parameters(), 1.0)
    optimizer.step()
    return loss.item()


@torch.no_grad()
def reconstruct(vae: AutoencoderKLWan, clips: Iterator[Tensor]) -> tuple[float, Tensor]:
    """Return the PSNR of all pixels of clips, in dB, and their latents, (clips, channels, frames, height, width)."""
    errors, latents = [], []
    for clip in clips:
        shown = clip[None].to(vae.device)
        mode = vae.encode(shown).latent_dist.mode()
        errors.append(functional.mse_loss(vae.decode(mode).sample.clamp(-1, 1), shown).item())
        latents.append(mode)
    return -10 * math.log10(sum(errors) / len(errors) / 4), torch.cat(latents)


def measure(vae: AutoencoderKLWan) -> tuple[dict[str, float], Tensor]:
    """Return the PSNR of clips that were not trained, by their kind, and the latents of the drawn ones."""
    drawn = (to_tensor(draw(scene, 0)) for scene in itertools.islice(scenes(held_out=True), MEASURED))
    chance = random.Random(0)
    real = (cut(read(SAMPLES / f"{name}.mp4"), chance, FRAMES) for name in UNSEEN for _ in range(MEASURED // 8))
    (psnr_drawn, latents), (psnr_real, more) = reconstruct(vae, drawn), reconstruct(vae, real)
    return {"drawn": psnr_drawn, "real": psnr_real}, torch.cat([latents, more])


def main() -> None:
    """Train, measure and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, metavar="DIR", help="keeps the checkpoint and gets the result")
    parser.add_argument(
        "--compile", action="store_true", help="compile the model: minutes at first, then twice as fast"
    )
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    missing = [name for name in UNSEEN if not (SAMPLES / f"{name}.mp4").is_file()]
    if missing:
        parser.error(f"{SAMPLES} lacks {', '.join(missing)}: `recipe fetch recipes/quickstart.yaml` gets them")
    options.folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(options.seed)
    vae = AutoencoderKLWan(**CONFIG)
    begin_frame_by_frame(vae)
    vae.to("cuda" if torch.cuda.is_available() else "cpu")
    with FlatConvolutions():
        train(vae, options.folder, compiled=options.compile)
    done = AutoencoderKLWan(**CONFIG)
    done.load_state_dict(vae.state_dict())
    done.to(torch.bfloat16).float()
    psnr, latents = measure(done)
    mean, deviation = (figure(dim=(0, 2, 3, 4)).tolist() for figure in (latents.mean, latents.std))
    done.register_to_config(latents_mean=mean, latents_std=deviation)
    done.to(torch.bfloat16).save_pretrained(options.folder / "vae")
    for kind, figure in psnr.items():
        print(f"{figure:.2f} dB on {kind} clips that were not trained")


if __name__ == "__main__":
    main()
