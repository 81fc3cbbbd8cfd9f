"""One timestep for each latent frame, as image to video needs it: the first frame is given, the others are noisy.

diffusers' transformer takes one timestep for each sample or one for each token. All tokens of a frame have the same one,
so that modulation by tokens computes and keeps the same values rows × columns times: for the 2B model at 832x480x81 that
are 2.3 GB for each block under bf16 autocast, and 1.2 GB where all is bf16. Here shift, scale and gate of a frame are computed once, and broadcast. With one timestep for each
sample, and with one for each token, the modules are diffusers' own.
"""

from typing import Any

from diffusers.models.transformers.transformer_sana_video import (
    SanaModulatedNorm,
    SanaVideoTransformer3DModel,
    SanaVideoTransformerBlock,
)
from torch import Tensor


class FrameModulatedBlock(SanaVideoTransformerBlock):
    """A block that also takes embeddings of one timestep for each frame."""

    def forward(  # noqa: PLR0913, PLR0917 - diffusers' signature, and its transformer gives all by place
        self,
        hidden_states: Tensor,
        attention_mask: Tensor | None = None,
        encoder_hidden_states: Tensor | None = None,
        encoder_attention_mask: Tensor | None = None,
        timestep: Any = None,
        frames: Any = None,
        height: Any = None,
        width: Any = None,
        rotary_emb: Any = None,
    ) -> Tensor:
        """Compute the block.

        Args:
            hidden_states: Tokens, (batch, frames × rows × columns, channels).
            attention_mask: Not used, as in diffusers.
            encoder_hidden_states: Text, (batch, length, channels).
            encoder_attention_mask: What is added to the scores of text, (batch, 1, length).
            timestep: Embeddings, (batch, n, 6 × channels), with n 1, the number of frames, or that of tokens.
            frames: Latent frames.
            height: Rows of tokens.
            width: Columns of tokens.
            rotary_emb: Cosines and sines of the positions.
        """
        if not _by_frame(timestep, hidden_states, frames):
            result: Tensor = super().forward(
                hidden_states,
                attention_mask,
                encoder_hidden_states,
                encoder_attention_mask,
                timestep,
                frames,
                height,
                width,
                rotary_emb,
            )
            return result
        modulation = self.scale_shift_table[None, None] + timestep.unflatten(2, (6, -1))
        shift_msa, scale_msa, gate_msa, shift_mlp, scale_mlp, gate_mlp = modulation.unbind(dim=2)

        normed = _modulated(self.norm1(hidden_states), shift_msa, scale_msa)
        attended = self.attn1(normed.to(hidden_states.dtype), rotary_emb=rotary_emb)
        hidden_states = hidden_states + _gated(attended, gate_msa)
        if self.attn2 is not None:
            told = self.attn2(
                hidden_states, encoder_hidden_states=encoder_hidden_states, attention_mask=encoder_attention_mask
            )
            hidden_states = told + hidden_states
        normed = _modulated(self.norm2(hidden_states), shift_mlp, scale_mlp)
        fed = self.ff(normed.unflatten(1, (frames, height, width))).flatten(1, 3)
        return hidden_states + _gated(fed, gate_mlp)


class FrameModulatedNorm(SanaModulatedNorm):
    """The last norm, which also takes embeddings of one timestep for each frame."""

    def forward(self, hidden_states: Tensor, temb: Tensor, scale_shift_table: Tensor) -> Tensor:
        """Compute the norm.

        Args:
            hidden_states: Tokens, (batch, tokens, channels).
            temb: Embeddings, (batch, n, channels), with n 1, the number of frames, or that of tokens.
            scale_shift_table: (2, channels).
        """
        if temb.shape[1] in (1, hidden_states.shape[1]):
            result: Tensor = super().forward(hidden_states, temb, scale_shift_table)
            return result
        shift, scale = (scale_shift_table[None, None] + temb[:, :, None].to(scale_shift_table.device)).unbind(dim=2)
        return _modulated(self.norm(hidden_states), shift, scale)


def take_frames(model: SanaVideoTransformer3DModel) -> None:
    """Let a transformer take one timestep for each latent frame, (batch, frames), besides what diffusers' takes."""
    blocks: Any = model.transformer_blocks
    for block in blocks:
        block.__class__ = FrameModulatedBlock
    model.norm_out.__class__ = FrameModulatedNorm


def _by_frame(timestep: Tensor, hidden_states: Tensor, frames: int) -> bool:
    count = timestep.shape[1]
    return count == frames and count not in (1, hidden_states.shape[1])


def _modulated(states: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
    """Scale and shift the tokens of each frame.

    Args:
        states: (batch, tokens, channels).
        shift: (batch, frames, channels).
        scale: Likewise.
    """
    of_frames = states.unflatten(1, (shift.shape[1], -1))
    return (of_frames * (1 + scale[:, :, None]) + shift[:, :, None]).flatten(1, 2)


def _gated(states: Tensor, gate: Tensor) -> Tensor:
    """Multiply the tokens of each frame, (batch, tokens, channels), by its gate, (batch, frames, channels)."""
    return (states.unflatten(1, (gate.shape[1], -1)) * gate[:, :, None]).flatten(1, 2)
