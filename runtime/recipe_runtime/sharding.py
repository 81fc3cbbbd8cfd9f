"""Weights that are spread over processes: FSDP2, torch's ``fully_shard`` (https://docs.pytorch.org/docs/stable/fsdp.html).

Each process keeps a slice of every weight, cut along its first axis, and of its gradient, the optimizer's memory and the
average. A block's weights are gathered before it computes, forward and backward, and dropped after it; its gradients are
summed and sliced. The optimizer and the average see plain tensors, the slices, which share their memory with the model's.
Any number of processes goes on from a checkpoint, be it of whole tensors or of slices.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from diffusers.models.transformers.transformer_sana_video import SanaVideoTransformer3DModel
from torch import Tensor, distributed as dist, nn
from torch.distributed.device_mesh import DeviceMesh, init_device_mesh
from torch.distributed.fsdp import FSDPModule, fully_shard
from torch.distributed.tensor import DTensor

from recipe_runtime.models.trained import trained_parameters
from recipe_runtime.team import Team
from recipe_schema.recipe import Settings


Parts = Mapping[str, Mapping[str, Tensor]]


def is_sharded(settings: Settings, team: Team) -> bool:
    """Tell whether the weights of a run are spread over its processes."""
    return settings.launch.strategy == "fsdp2" and team.size > 1


class Shards:
    """This process's slices of what is trained.

    Args:
        model: The transformer, the same in all processes. Its weights become slices on the device.
        team: The processes.
        device: Where this process trains.
    """

    def __init__(self, model: SanaVideoTransformer3DModel, team: Team, device: torch.device) -> None:
        self._team = team
        self._model = model
        self._mesh = init_device_mesh(device.type, (team.size,))
        # For slices in main memory, such as an average that waits there.
        self._beside = self._mesh if device.type == "cpu" else init_device_mesh("cpu", (team.size,))
        for block in model.transformer_blocks:
            fully_shard(block, mesh=self._mesh)
        model.register_forward_hook(_copied)
        fully_shard(model, mesh=self._mesh)
        for module in model.modules():
            if isinstance(module, FSDPModule):
                # Each sample weighs 1 / samples of the step already, so that gradients are summed and not averaged.
                module.set_gradient_divide_factor(1.0)
                module.set_force_sum_reduction_for_comms(True)
        self._whole: dict[str, DTensor] = {}
        self.weights: dict[str, nn.Parameter] = {}
        for name, parameter in trained_parameters(model).items():
            assert isinstance(parameter, DTensor), "all of the model is sharded"
            self._whole[name] = parameter
            self.weights[name] = nn.Parameter(parameter.to_local().detach())

    def forget_gradients(self) -> None:
        """Drop the gradients of the step before."""
        for parameter in self._whole.values():
            parameter.grad = None

    def gradients_ready(self) -> list[nn.Parameter]:
        """Give the slices their gradients, which are summed over all processes, and return those that have one."""
        for name, parameter in self._whole.items():
            gradient = parameter.grad
            self.weights[name].grad = gradient.to_local() if isinstance(gradient, DTensor) else None
        return [weight for weight in self.weights.values() if weight.grad is not None]

    def total_norm(self, own: Tensor, whole: Tensor) -> Tensor:
        """Return the norm of all gradients, from that of this process's slices and that of what every process has whole."""
        squared = own.double().square()
        dist.all_reduce(squared)
        return (squared + whole.to(own.device).double().square()).sqrt().to(own.dtype)

    @contextmanager
    def replaced(self, others: Mapping[str, Tensor]) -> Iterator[None]:
        """Compute with other weights, of which this process has its slices, and with its own afterwards, bit for bit.

        Values are copied, since FSDP2 gathers from the memory that it knows.
        """
        own = {name: weight.detach().clone() for name, weight in self.weights.items()}
        self._take(others)
        try:
            yield
        finally:
            self._take(own)

    @torch.no_grad()
    def _take(self, values: Mapping[str, Tensor]) -> None:
        for module in self._model.modules():
            if isinstance(module, FSDPModule):
                module.reshard()  # what is gathered still has the values before
        for name, weight in self.weights.items():
            weight.copy_(values[name])

    def gathered(self, parts: Parts, *, everywhere: bool = False) -> dict[str, dict[str, Tensor]]:
        """Put slices together. All processes have to do this; the first one gets whole tensors, in main memory.

        Args:
            parts: Tensors by name for each part of a state. Those of the optimizer are named ``KIND.WEIGHT``.
            everywhere: Let all processes have them.
        """
        found: dict[str, dict[str, Tensor]] = {}
        for part, tensors in parts.items():
            found[part] = {}
            for name, tensor in tensors.items():
                cut = self._cut(name, tensor, self._mesh)
                whole = cut.full_tensor() if isinstance(cut, DTensor) else cut
                if everywhere or self._team.rank == 0:
                    found[part][name] = whole.detach().to("cpu", copy=True)
        return found

    def cut(self, parts: Parts) -> dict[str, dict[str, Tensor]]:
        """Let slices know their place in the whole: they are a ``DTensor`` each, in the same memory. Other tensors stay."""
        return {
            part: {
                name: self._cut(
                    name, tensor, self._mesh if tensor.device.type == self._mesh.device_type else self._beside
                )
                for name, tensor in tensors.items()
            }
            for part, tensors in parts.items()
        }

    def room(self, parts: Parts) -> dict[str, dict[str, Tensor]]:
        """Make room in main memory for others of the same shapes, slices as ``DTensor`` again."""
        return self.cut(
            {
                part: {name: torch.empty_like(tensor, device="cpu") for name, tensor in tensors.items()}
                for part, tensors in parts.items()
            }
        )

    def _cut(self, name: str, tensor: Tensor, mesh: DeviceMesh) -> Tensor:
        like = self._like(name)
        if like is None or tensor.shape != like.to_local().shape:
            return tensor
        return DTensor.from_local(
            tensor.to(mesh.device_type).contiguous(),
            mesh,
            like.placements,
            run_check=False,
            shape=like.shape,
            stride=like.stride(),
        )

    def sliced(self, parts: Parts) -> dict[str, dict[str, Tensor]]:
        """Return this process's slices of whole tensors."""
        return {
            part: {name: self._slice(name, tensor) for name, tensor in tensors.items()}
            for part, tensors in parts.items()
        }

    def _slice(self, name: str, tensor: Tensor) -> Tensor:
        like = self._like(name)
        if like is None or tensor.shape != like.shape:
            return tensor
        slices = torch.chunk(tensor, self._team.size)
        return slices[self._team.rank] if self._team.rank < len(slices) else tensor[:0]

    def _like(self, name: str) -> DTensor | None:
        """Return the weight that a tensor of a state belongs to."""
        return self._whole.get(name, self._whole.get(name.partition(".")[2]))


def local(tensor: Tensor) -> Tensor:
    """Return a slice without its place in the whole; any other tensor as it is."""
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


def _copied(_model: nn.Module, _inputs: Any, output: tuple[Tensor]) -> tuple[Tensor]:
    """Copy the prediction, which is a view: FSDP2 can't follow a view that somebody changes."""
    return (output[0].clone(),)
