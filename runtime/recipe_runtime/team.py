"""Several processes that train together, each on its part of every step's samples: what they tell each other.

All hold the same weights and optimizer memory. Gradients are summed once a step, after the last micro-batch, so each
process makes the same update. Everything else goes through the processor (gloo), where waiting has no limit.
"""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import Any, Literal, get_args

import torch
from torch import Tensor, distributed as dist
from torch.distributed import PrefixStore, Store, TCPStore  # type: ignore[attr-defined]  # exported without saying so


_PATIENCE = timedelta(days=365)
"""How long a process waits for the others, one of which may draw a clip or write a checkpoint. That one died is noticed otherwise."""

_FAREWELL = timedelta(seconds=60)
"""How long a process that is done waits for the others to be done too."""


Order = Literal["step", "stop", "gather", "save", "measure", "draw"]
"""What the first process asks of the others: take a step, end, help to put the state together, save their slices of it,
measure a part of the clips that are not trained, or draw a part of the validation clips."""

_ORDERS: tuple[Order, ...] = get_args(Order)


class Team:
    """One process alone: there is nobody to tell anything.

    Attributes:
        rank: This process's number, from 0.
        size: Processes in all.
    """

    rank = 0
    size = 1

    def sum_gradients(self, gradients: Sequence[Tensor]) -> None:
        """Add up gradients over all processes, in place."""

    def of_all_samples(self, values: Tensor) -> Tensor:
        """Return a figure of all samples of a step, in their order, from those of this process: (samples, …)."""
        return values

    def sum_figures(self, figures: Tensor) -> None:
        """Add up figures that lie on the processor over all processes, in place."""

    def give(self, order: Order) -> None:
        """Tell the others what comes next. The first process alone does so."""

    def take(self) -> Order:
        """Wait for the first process to say what comes next. All others do so."""
        raise AssertionError("there are no others")

    def share_weights(self, weights: Sequence[Tensor]) -> None:
        """Give all processes the weights of the first one."""

    def agree(self, value: Any) -> Any:
        """Return what the first process says, to all of them. It has to be JSON."""
        return value

    def collect(self, value: Any) -> list[Any]:
        """Return what each process says, in order, to all of them. It has to be JSON."""
        return [value]


ALONE = Team()
"""One process alone."""


class JoinedTeam(Team):
    """This process's place among several. See `joined`."""

    def __init__(self) -> None:
        self.rank, self.size = dist.get_rank(), dist.get_world_size()

    def sum_gradients(self, gradients: Sequence[Tensor]) -> None:
        """Add up gradients over all processes, in place."""
        dense = [gradient.contiguous() for gradient in gradients]
        works = [dist.all_reduce(gradient, async_op=True) for gradient in dense]
        for gradient, summed, work in zip(gradients, dense, works, strict=True):
            assert work is not None, "the process is in the group"
            work.wait()
            if summed is not gradient:
                gradient.copy_(summed)

    def of_all_samples(self, values: Tensor) -> Tensor:
        """Return a figure of all samples of a step, in their order, from those of this process: (samples, …)."""
        mine = values.cpu()
        found = [torch.empty_like(mine) for _ in range(self.size)]
        dist.all_gather(found, mine)
        return torch.cat(found).to(values.device)

    def sum_figures(self, figures: Tensor) -> None:
        """Add up figures that lie on the processor over all processes, in place."""
        dist.all_reduce(figures)

    def give(self, order: Order) -> None:
        """Tell the others what comes next. The first process alone does so."""
        dist.broadcast(torch.tensor([_ORDERS.index(order)]), src=0)

    def take(self) -> Order:
        """Wait for the first process to say what comes next. All others do so."""
        told = torch.zeros(1, dtype=torch.int64)
        dist.broadcast(told, src=0)
        return _ORDERS[int(told.item())]

    def share_weights(self, weights: Sequence[Tensor]) -> None:
        """Give all processes the weights of the first one."""
        for weight in weights:
            same = weight.contiguous()
            dist.broadcast(same.view(-1).view(torch.uint8), src=0)  # not all number formats can be sent as such
            if same is not weight:
                weight.copy_(same)

    def agree(self, value: Any) -> Any:
        """Return what the first process says, to all of them. It has to be JSON."""
        told = _written(value)
        length = torch.tensor([len(told)])
        dist.broadcast(length, src=0)
        if self.rank:
            told = torch.empty(int(length.item()), dtype=torch.uint8)
        dist.broadcast(told, src=0)
        return _read(told)

    def collect(self, value: Any) -> list[Any]:
        """Return what each process says, in order, to all of them. It has to be JSON."""
        told = _written(value)
        lengths = [torch.empty(1, dtype=torch.int64) for _ in range(self.size)]
        dist.all_gather(lengths, torch.tensor([len(told)]))
        longest = max(int(length.item()) for length in lengths)
        mine = torch.cat([told, torch.zeros(longest - len(told), dtype=torch.uint8)])
        found = [torch.empty_like(mine) for _ in range(self.size)]
        dist.all_gather(found, mine)
        return [_read(each[: int(length.item())]) for each, length in zip(found, lengths, strict=True)]


def _written(value: Any) -> Tensor:
    return torch.frombuffer(bytearray(json.dumps(value).encode()), dtype=torch.uint8)


def _read(told: Tensor) -> Any:
    return json.loads(told.numpy().tobytes())


@contextmanager
def joined(
    meeting: str, *, rank: int, size: int, device: torch.device, store: Store | None = None
) -> Iterator[JoinedTeam]:
    """Join the other processes, and leave them at the end.

    Args:
        meeting: ``file://PATH`` of a file that is not there yet, or was made by the others, or ``tcp://HOST:PORT`` of the
            first machine: through it they find each other.
        rank: This process's number.
        size: Processes in all.
        device: Where this process trains.
        store: The other side of a ``tcp`` address, where it is open in this process already.
    """
    backend = "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo"
    if meeting.startswith("tcp://"):
        host, _, port = meeting.removeprefix("tcp://").rpartition(":")
        store = store or TCPStore(host, int(port), None, is_master=False, timeout=_PATIENCE)
        found = PrefixStore("team", store)
        dist.init_process_group(backend, store=found, rank=rank, world_size=size, timeout=_PATIENCE)
    else:
        dist.init_process_group(backend, init_method=meeting, rank=rank, world_size=size, timeout=_PATIENCE)
    try:
        yield JoinedTeam()
        _wait_for_all()
    finally:
        dist.destroy_process_group()


def _wait_for_all() -> None:
    """Wait until all are about to leave, so that nobody closes a connection that another one still uses.

    One that is gone already, or does not come, is not waited for: there is nothing left to do together.
    """
    with suppress(RuntimeError):
        work = dist.all_reduce(torch.zeros(1), async_op=True)
        assert work is not None, "the process is in the group"
        work.wait(timeout=_FAREWELL)
