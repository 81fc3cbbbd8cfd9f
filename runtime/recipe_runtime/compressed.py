"""Tensors made smaller for the store, without loss: Zstandard over their bytes, sorted by place.

A latent's sign and exponent repeat and the end of its mantissa is noise, so the first bytes of all values are put
together, then the second, and so on; each place is compressed for itself. Without that, latents shrink half as much.
"""

import json
from collections.abc import Mapping
from itertools import accumulate
from math import prod

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor


LAYOUT = "zstd"
"""In the metadata of a file that is compressed: the type and shape of each tensor, by name, as JSON."""

_CODEC = "zstd"
_LEVEL = 1
"""Higher levels take several times as long and gain nothing on latents."""

_TYPES = {
    str(dtype).removeprefix("torch."): dtype
    for dtype in (torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.int32, torch.uint8, torch.bool)
}


def compress(tensors: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], str]:
    """Compress tensors on the CPU.

    Returns:
        By name the compressed bytes, uint8; and what `decompress` needs to know besides.
    """
    codec = pa.Codec(_CODEC, compression_level=_LEVEL)
    packed, layout = {}, {}
    for name, tensor in tensors.items():
        values = tensor.contiguous().view(-1).view(torch.uint8).view(-1, tensor.element_size())
        places = [codec.compress(place.numpy(), asbytes=True) for place in values.T.contiguous()]
        packed[name] = torch.from_numpy(np.frombuffer(b"".join(places), dtype=np.uint8).copy())
        layout[name] = [str(tensor.dtype).removeprefix("torch."), list(tensor.shape), [len(place) for place in places]]
    return packed, json.dumps(layout, sort_keys=True)


def decompress(packed: Mapping[str, Tensor], layout: str) -> dict[str, Tensor]:
    """Undo `compress`.

    Raises:
        ValueError: It is not what `compress` made.
    """
    tensors = {}
    for name, (type_name, shape, lengths) in json.loads(layout).items():
        if type_name not in _TYPES or name not in packed:
            raise ValueError(f"there is no tensor {name} of type {type_name}")
        dtype = _TYPES[type_name]
        if len(lengths) != dtype.itemsize:
            raise ValueError(f"the tensor {name} has {len(lengths)} parts where its type has {dtype.itemsize}")
        values = torch.empty((prod(shape), dtype.itemsize), dtype=torch.uint8)
        ends = list(accumulate(lengths))
        for place, (end, length) in enumerate(zip(ends, lengths, strict=True)):
            content = _expanded(packed[name][end - length : end], prod(shape))
            values[:, place] = torch.from_numpy(np.frombuffer(content, dtype=np.uint8).copy())
        tensors[name] = values.view(-1).view(dtype).view(shape)
    return tensors


def _expanded(content: Tensor, size: int) -> bytes:
    try:
        expanded: bytes = pa.decompress(content.numpy(), size, codec=_CODEC, asbytes=True)
    except (pa.ArrowException, OSError) as error:
        raise ValueError(f"it can't be decompressed: {error}") from error
    return expanded
