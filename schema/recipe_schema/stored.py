"""What the store says of a value: strings in the metadata of a safetensors file, for people and tools.

The runtime writes them; ``recipe explain --clip`` and ``recipe store`` read them without torch. They are not all that
shapes a value: weights are known to the key alone.
"""

import hashlib
from pathlib import Path

from recipe_schema.ledger import ClipRow
from recipe_schema.shards import read_header


MAX_HEADER = 1 << 24
"""Bytes of a header of one value that is believed. Ours have a few thousand."""


def shapes_pixels(row: ClipRow) -> dict[str, str | int | float]:
    """Return what of a clip's row shapes its pixels, by the names that the store has for it."""
    return {
        "sha256": row.sha256,
        "start_seconds": row.start_seconds,
        "framerate": row.framerate,
        "frames": row.bucket_frames,
        "resize": f"{row.resize_width}x{row.resize_height}",
        "crop": f"{row.bucket_width}x{row.bucket_height}+{row.crop_left}+{row.crop_top}",
    }


def latent_facts(row: ClipRow, *, dtype: str, tiling: bool) -> dict[str, str]:
    """Return what is said of a clip's latents.

    Args:
        row: The clip.
        dtype: ``model.vae_dtype``.
        tiling: ``memory.vae_tiling``.
    """
    pixels = {name: str(value) for name, value in shapes_pixels(row).items()}
    content = pixels.pop("sha256")  # in the file, that is the value's own checksum
    return {"clip": row.clip_id, "clip_sha256": content, **pixels, "dtype": dtype, "tiling": str(tiling).lower()}


def text_facts(text: str, *, instruction: str | None, dtype: str, precision: str) -> dict[str, str]:
    """Return what is said of a text's embedding.

    Args:
        text: The text, without the instruction.
        instruction: What is put before it; None if nothing is.
        dtype: ``model.text_encoder_dtype``.
        precision: ``model.text_encoder_precision``.
    """
    facts = {"text": text, "with_instruction": str(instruction is not None).lower()}
    if instruction is not None:
        facts["instruction"] = hashlib.sha256(instruction.encode()).hexdigest()[:16]
    return {**facts, "dtype": dtype, "precision": precision}


def read_facts(path: Path) -> dict[str, str] | None:
    """Read what a file of the store says of its value, from its header alone.

    Returns:
        None if it is not such a file.

    Raises:
        OSError: It can't be read.
    """
    header, _ = read_header(path, MAX_HEADER)
    try:
        return None if header is None else dict(header["__metadata__"])
    except (ValueError, KeyError, TypeError):
        return None
