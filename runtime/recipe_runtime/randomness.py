"""Random numbers by name: what is drawn depends on the seed and on what it is for, never on what ran before.

A run that stops and goes on, or that cuts its batches otherwise, therefore draws the same numbers.
"""

import hashlib

import torch

from recipe_schema.canonical import canonical_json


PROCESSOR = torch.device("cpu")


def generator(seed: int, purpose: str, *parts: str | int, device: torch.device = PROCESSOR) -> torch.Generator:
    """Return a generator for one purpose.

    torch's engine keeps the low 32 bits of a seed, so two names may share a stream once in 2**32 pairs: two
    samples then see the same noise, which does no harm.

    Args:
        seed: The run's seed.
        purpose: What is drawn, such as ``noise``.
        parts: What it is drawn for, such as epoch and clip.
        device: Where numbers are drawn. Other devices draw other numbers.
    """
    name = canonical_json([seed, purpose, *parts]).encode()
    return torch.Generator(device).manual_seed(int.from_bytes(hashlib.sha256(name).digest()[:8], "big"))
