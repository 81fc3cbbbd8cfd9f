"""Facts of a model family: one data file each, so that a second family is a new file and not new code."""

import functools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from recipe_schema.record import record


_FOLDER = Path(__file__).parent / "families"

LayerKind = Literal["linear", "conv", "conv3d", "depthwise"]
"""What a layer of the transformer is. Depthwise convolutions have one filter for each channel: no rank to lower."""

MODEL_ENDINGS = (".safetensors", ".bin", ".model", ".json", ".txt", ".jinja")
"""How the names of the files end that a model in diffusers' format is made of."""


@record
class FamilyFacts:
    """The facts of one family, as its data file states them.

    Attributes:
        name: The family's name, as in ``model.family``.
        raw: The file's content. It is copied into every plan.
    """

    name: str
    raw: Mapping[str, Any]

    def default(self, name: str) -> Any:
        """Return the default that the family gives for a setting."""
        return self.raw["defaults"][name]

    def ignored(self) -> Mapping[str, str]:
        """Return the settings that this family never applies, each with the reason."""
        ignored: Mapping[str, str] = self.raw["ignored"]
        return ignored

    def legal_frames(self, frames: int) -> int:
        """Return the largest legal number of frames that is at most ``frames`` (at least 1).

        The Wan VAE packs the first frame alone and then groups of ``temporal`` frames: legal are 4k + 1.
        """
        stride: int = self.raw["vae"]["temporal"]
        return max((frames - 1) // stride * stride + 1, 1)

    def latent_shape(
        self, width: int, height: int, frames: int, preset: str | None = None
    ) -> tuple[int, int, int, int]:
        """Return the shape (channels, frames, height, width) of the latents of a clip.

        Args:
            width: Pixels.
            height: Pixels.
            frames: Frames of the clip.
            preset: As for `transformer`.
        """
        vae = self.vae(preset)
        spatial = vae["spatial"]
        return vae["channels"], (frames - 1) // vae["temporal"] + 1, height // spatial, width // spatial

    def vae(self, preset: str | None) -> Mapping[str, int]:
        """Return how many pixels and frames of a clip a latent stands for, and its channels: those the transformer takes.

        Args:
            preset: As for `transformer`.
        """
        return {**self.raw["vae"], "channels": self.transformer(preset)["in_channels"]}

    def transformer(self, preset: str | None) -> Mapping[str, Any]:
        """Return the configuration of the transformer: the published one, or that of a small model with random weights.

        Args:
            preset: The value of ``model.random_weights``.
        """
        config: Mapping[str, Any] = (self.raw if preset is None else self.raw["random_weights"][preset])["transformer"]
        return config

    def layers(self, preset: str | None) -> Mapping[str, LayerKind]:
        """Return every linear and convolution layer of the transformer by its name, in the order of the model.

        Args:
            preset: As for `transformer`.
        """
        blocks = range(self.transformer(preset)["num_layers"])
        return {
            name.format(block=block): kind
            for name, kind in self.raw["layers"].items()
            for block in (blocks if "{block}" in name else (0,))
        }

    def tokens(self, width: int, height: int, frames: int) -> int:
        """Return how many tokens the transformer sees for one clip, sizes in pixels."""
        _, t, h, w = self.latent_shape(width, height, frames)
        pt, ph, pw = self.raw["patch_size"]
        return int((t // pt) * (h // ph) * (w // pw))

    @property
    def size_multiple(self) -> int:
        """Both sides of a frame are multiples of this: VAE stride times patch."""
        return int(self.raw["vae"]["spatial"] * self.raw["patch_size"][1])


@functools.cache
def load_family(name: str) -> FamilyFacts:
    """Read the data file of a family.

    Args:
        name: A family that `recipe_schema.recipe.Model.family` allows.
    """
    return FamilyFacts(name=name, raw=json.loads((_FOLDER / f"{name}.json").read_text(encoding="utf-8")))
