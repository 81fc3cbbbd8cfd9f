"""Sana's linear attention with its sums in fp32, also under autocast.

diffusers' processor turns queries, keys and values into fp32 for the sums over all tokens, but under autocast the
matrix products that follow turn them back into bf16. The authors leave autocast there and note that training
meets NaN otherwise (github.com/NVlabs/Sana, ``diffusion/model/nets/sana_blocks.py``, ``LiteLA.attn_matmul`` with
``fp32_attention``).
"""

import torch
from diffusers.models.attention_processor import Attention
from torch import Tensor, nn
from torch.nn import functional


_EPSILON = 1e-15
"""Keeps the division finite where all scores are zero. The value is diffusers'."""


def rotate(states: Tensor, cosines: Tensor, sines: Tensor) -> Tensor:
    """Turn each pair of channels by the angle of its position (RoPE, arXiv:2104.09864, equation 34).

    Args:
        states: (batch, tokens, heads, channels).
        cosines: (1, tokens, 1, channels), each value twice in a row.
        sines: Likewise.
    """
    even, odd = states[..., 0::2], states[..., 1::2]
    cosine, sine = cosines[..., 0::2], sines[..., 1::2]
    return torch.stack((even * cosine - odd * sine, even * sine + odd * cosine), dim=-1).flatten(-2)


def linear_attention(query: Tensor, key: Tensor, value: Tensor, rotary: tuple[Tensor, Tensor]) -> Tensor:
    """Return attention with the kernel φ(q)·φ(k), where φ is ReLU (arXiv:2410.10629, section 2.2).

    As in SANA-Video (arXiv:2509.24695), positions turn queries and keys in the numerator alone, so that the
    denominator stays positive.

    Args:
        query: After ReLU, (batch, tokens, heads, channels).
        key: Likewise.
        value: (batch, tokens, heads, channels).
        rotary: Cosines and sines of the positions, see `rotate`.
    """
    turned_query, turned_key = rotate(query, *rotary), rotate(key, *rotary)
    memory = torch.einsum("bnhc,bnhd->bhcd", turned_key, value)
    numerator = torch.einsum("bnhc,bhcd->bnhd", turned_query, memory)
    denominator = torch.einsum("bnhc,bhc->bnh", query, key.sum(dim=1)) + _EPSILON
    return numerator / denominator.unsqueeze(-1)


class Fp32LinearAttention:
    """Attention processor for ``attn1`` of `diffusers.SanaVideoTransformer3DModel`'s blocks."""

    def __call__(
        self,
        attn: Attention,
        hidden_states: Tensor,
        encoder_hidden_states: None = None,  # noqa: ARG002 - diffusers' signature
        attention_mask: None = None,  # noqa: ARG002 - likewise
        *,
        rotary_emb: tuple[Tensor, Tensor],
    ) -> Tensor:
        """Attend.

        Args:
            attn: The layer, with its projections and norms.
            hidden_states: (batch, tokens, channels).
            encoder_hidden_states: Always None: tokens attend to themselves.
            attention_mask: Always None: every token of a clip counts.
            rotary_emb: Cosines and sines of the positions.
        """
        query = functional.relu(_normed(attn.norm_q, attn.to_q(hidden_states)))
        key = functional.relu(_normed(attn.norm_k, attn.to_k(hidden_states)))
        value = attn.to_v(hidden_states)
        with torch.autocast(hidden_states.device.type, enabled=False):
            query, key, value = (x.float().unflatten(2, (attn.heads, -1)) for x in (query, key, value))
            attended = linear_attention(query, key, value, rotary_emb)
        projection, dropout = attn.to_out
        return dropout(projection(attended.flatten(2).to(hidden_states.dtype)))


def _normed(norm: nn.Module | None, states: Tensor) -> Tensor:
    """Apply a layer's norm of queries or keys, which a configuration may leave out (``qk_norm: null``)."""
    return states if norm is None else norm(states)
