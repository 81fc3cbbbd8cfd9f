"""Slices of a state in files: each process writes its own, by torch's ``torch.distributed.checkpoint``.

A part of the state is a folder then, such as ``model/``, with safetensors files ``shard-00002-model-00001-of-00003`` of
each process. The header of a file says where its slices lie in the whole tensors. Nothing is pickled. Any number of processes
reads them, as slices of another number or as whole tensors.
"""

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.hf_storage import HuggingFaceStorageReader, HuggingFaceStorageWriter
from torch.distributed.checkpoint.metadata import TensorStorageMetadata
from torch.distributed.checkpoint.state_dict_loader import load
from torch.distributed.checkpoint.state_dict_saver import save
from torch.distributed.tensor import DTensor

from recipe_runtime.checksums import flushed_and_hashed
from recipe_runtime.state import Parts
from recipe_runtime.team import Team


_FILE_BYTES = 2**29
"""Bytes of slices in a file, about. A file is made in main memory before it is written, and its tensors beside it."""


def write_share(folder: Path, parts: Parts, team: Team) -> dict[str, str]:
    """Write this process's share of a state. All processes have to do so.

    Args:
        folder: A folder that is there, the same for all.
        parts: The state, slices as ``DTensor``. A part without any is the same in all processes, and the first one writes it.
        team: The processes.

    Returns:
        The checksums of all files, by their names in the folder.

    Raises:
        OSError: A process could not write its share. All processes raise it.
    """
    sums: dict[str, str] = {}
    problem = None
    try:
        for part, tensors in parts.items():
            if _is_sliced(tensors):
                _write_slices(folder / part, tensors, team.size)
        files = sorted(folder.rglob(f"shard-{team.rank + 1:05d}-*.safetensors"))
        if team.rank == 0:
            files += [_write_whole(folder, part, tensors) for part, tensors in parts.items() if not _is_sliced(tensors)]
        sums = dict(
            zip((file.relative_to(folder).as_posix() for file in files), flushed_and_hashed(files), strict=True)
        )
    except CheckpointException as error:  # the same in all processes
        problem = "; ".join(f"process {rank} of {team.size}: {cause}" for rank, (cause, _) in error.failures.items())
    except (OSError, SafetensorError) as error:
        problem = f"process {team.rank} of {team.size}: {error}"
    said = team.collect([sums, problem])
    problem = next((told for _, told in said if told is not None), None)
    if problem is not None:
        raise OSError(problem)
    return {name: value for told, _ in said for name, value in told.items()}


def shapes_of(folder: Path) -> dict[str, torch.Size]:
    """Return the shapes of the whole tensors whose slices a folder holds.

    Raises:
        SafetensorError: A file can't be read.
        OSError: Likewise.
    """
    return {name: facts.size for name, facts in _facts(folder).items()}


def read_whole(folder: Path) -> dict[str, Tensor]:
    """Put together the tensors whose slices a folder holds.

    Raises:
        SafetensorError: A file can't be read.
        OSError: Likewise.
    """
    tensors = {name: torch.empty(facts.size, dtype=facts.properties.dtype) for name, facts in _facts(folder).items()}
    fill(folder, tensors)
    return tensors


def fill(folder: Path, tensors: Mapping[str, Tensor]) -> None:
    """Read values from the slices in a folder, each process what it asks for.

    Args:
        folder: The folder.
        tensors: Takes the values: whole tensors, or as ``DTensor`` slices. Names and shapes of the whole have to fit.

    Raises:
        OSError: A file can't be read.
    """
    try:
        with _silent():
            load(dict(tensors), storage_reader=HuggingFaceStorageReader(str(folder)), no_dist=True)
    except CheckpointException as error:
        cause, _ = next(iter(error.failures.values()))
        raise OSError(str(cause)) from cause


def _write_slices(folder: Path, tensors: Mapping[str, Tensor], processes: int) -> None:
    writer = HuggingFaceStorageWriter(
        str(folder), fqn_to_index_mapping=_files(tensors, processes), save_distributed=True
    )
    save(dict(tensors), storage_writer=writer)


def _write_whole(folder: Path, part: str, tensors: Mapping[str, Tensor]) -> Path:
    file = folder / f"{part}.safetensors"
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, file)
    return file


def _files(tensors: Mapping[str, Tensor], processes: int) -> dict[str, int]:
    """Return the number of the file that holds a tensor's slice, from 1, the same in all processes."""
    numbers, number, size = {}, 1, 0
    for name, tensor in tensors.items():
        added = tensor.numel() * tensor.element_size() // processes
        if size and size + added > _FILE_BYTES:
            number, size = number + 1, 0
        numbers[name], size = number, size + added
    return numbers


def _is_sliced(tensors: Mapping[str, Tensor]) -> bool:
    return any(isinstance(tensor, DTensor) for tensor in tensors.values())


def _facts(folder: Path) -> dict[str, TensorStorageMetadata]:
    found = HuggingFaceStorageReader(str(folder)).read_metadata().state_dict_metadata
    return {name: facts for name, facts in found.items() if isinstance(facts, TensorStorageMetadata)}


@contextmanager
def _silent() -> Iterator[None]:
    """Let torch not say that one process reads alone."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="torch.distributed is disabled", category=UserWarning)
        yield
