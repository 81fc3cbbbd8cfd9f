"""A small tokenizer of Gemma's kind: byte-pair encoding with byte fallback, trained on a fixed text.

The text is fixed, and not the data's captions, so that a model with random weights depends on its configuration
and seed alone. Whatever the text does not cover falls back to bytes, so every caption can be encoded.
"""

import json
from typing import Any

from tokenizers import Tokenizer, normalizers, pre_tokenizers
from tokenizers.models import BPE
from tokenizers.trainers import BpeTrainer
from transformers import GemmaTokenizer


_SPECIAL = ("<pad>", "<eos>", "<bos>", "<unk>", "<mask>")
"""Gemma's special tokens, at Gemma's places."""

_TEXT = (
    "a user prompt describes the video in simple words, and an enhanced prompt provides detailed visual descriptions",
    "suitable for generation: colors, shapes, sizes, textures, motion and spatial relationships.",
    "a red disc moves slowly from the left to the right over a plain white background.",
    "a green square moves quickly from the top to the bottom over a dark blue gradient.",
    "a small white cat walks on the grass, and a large brown dog runs along the sandy beach at sunset.",
    "people walk across a busy city street while cars and buses pass by tall glass buildings.",
    "the camera pans over a calm lake with mountains, trees and clouds in the morning light.",
    "a close-up of a woman who smiles and talks, then turns her head and looks out of the window.",
    "a rabbit in a forest stretches its arms, sniffs a flower, and looks up at a yellow butterfly.",
    "cyclists ride bicycles on a road, seen from above, with shadows on the ground. motion score: 30.",
    "a cyan circle drifts up, a magenta triangle slides down, and a green ring travels right over a light gray background.",
    "on a black background, a yellow cross in the dark moves left, with a circle and a square that moves and slides and drifts.",
    "User Prompt: Enhanced: Given Evaluate Here are examples Please generate only 0123456789.",
)


def train_tokenizer(vocab_size: int) -> GemmaTokenizer:
    """Train the tokenizer. The same size gives the same tokenizer, always.

    Args:
        vocab_size: Most tokens it may have, of which 5 are special and 256 are bytes.
    """
    tokenizer = Tokenizer(BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True))  # noqa: S106 - no password
    tokenizer.normalizer = normalizers.Replace(" ", "▁")
    # Merges stay within words, each with the space before it.
    tokenizer.pre_tokenizer = pre_tokenizers.Split("▁", behavior="merged_with_next")
    reserved = [*_SPECIAL, *(f"<0x{byte:02X}>" for byte in range(256))]
    trainer = BpeTrainer(vocab_size=vocab_size, special_tokens=reserved, show_progress=False)
    tokenizer.train_from_iterator(_TEXT, trainer)
    model = json.loads(tokenizer.to_str())["model"]
    merges: Any = [tuple(pair) for pair in model["merges"]]  # pairs, though the signature says strings
    return GemmaTokenizer(
        vocab=model["vocab"],
        merges=merges,
        padding_side="right",
        add_bos_token=True,
    )
