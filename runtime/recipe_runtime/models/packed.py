"""Layers whose frozen weights are stored in 8 or 4 bits, by the numbers that torchao chooses.

torchao's own tensors take linear layers alone, which are two fifths of this model, can't be split or written to files, and
their 4-bit forms need CUDA. Here a layer keeps torchao's numbers, scales and shifts as plain tensors: convolutions too,
on any device, in files, and in several processes. A weight is unpacked to the precision that computes, for the forward
pass and again for the backward pass, so that autograd keeps the packed one.
"""

import importlib.util
from fnmatch import fnmatchcase
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - torch's own name for it
from torch.nn.grad import conv2d_input

from recipe_runtime.errors import ModelError


FORMATS = ("int8-torchao", "fp8-torchao", "int4-torchao")
"""The precisions whose numbers torchao chooses, by the names that settings use."""

_MOST_IN_A_GROUP = 128
"""Weights of four bits that share a scale and a shift, at most."""

Packed = tuple[Tensor, Tensor, Tensor | None]
"""Numbers (outputs, …), scales (outputs, groups), and shifts (outputs, groups) where there are any."""


def check_torchao(key: str, precision: str) -> None:
    """Check that the package is there.

    Args:
        key: The setting that asks for it.
        precision: Its value.

    Raises:
        ModelError: It is not.
    """
    if importlib.util.find_spec("torchao") is None:
        raise ModelError(
            f"`{key}: {precision}` needs the package torchao; install it with "
            "`pip install 'sana-recipes[torchao]'`, or take `int8-quanto`"
        )


def unpack(packed: Packed, dtype: torch.dtype) -> Tensor:
    """Return a weight, (outputs, inputs), as torchao would: (number - shift) × scale, in fp32, then rounded.

    Two numbers of four bits share a byte of the numbers; the first is in its lower half.
    """
    numbers, scale, shift = packed
    if numbers.dtype == torch.uint8:
        halves = torch.stack([numbers & 15, numbers >> 4], dim=-1).flatten(-2).to(torch.int8) - 8
        assert shift is not None, "four bits come with shifts"
        grouped = halves.unflatten(-1, (scale.shape[-1], -1))
        return ((grouped - shift.unsqueeze(-1)).float() * scale.unsqueeze(-1)).flatten(-2).to(dtype)
    return (numbers.float() * scale).to(dtype)


def group_size(inputs: int) -> int:
    """Return how many weights of four bits share a scale: the most that divide a row, but no more than 128."""
    return max(size for size in range(1, _MOST_IN_A_GROUP + 1) if inputs % size == 0)


class _PackedLinear(torch.autograd.Function):
    """x W with a packed W. Only x wants a gradient."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, numbers: Tensor, scale: Tensor, shift: Tensor | None) -> Tensor:
        ctx.save_for_backward(numbers, scale, shift)
        return F.linear(x, unpack((numbers, scale, shift), x.dtype))

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        (grad,) = grads
        return grad @ unpack(ctx.saved_tensors, grad.dtype), None, None, None


class _PackedConv2d(torch.autograd.Function):
    """A convolution with a packed kernel. Only its input wants a gradient."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        numbers: Tensor,
        scale: Tensor,
        shift: Tensor | None,
        kind: tuple[torch.Size, dict[str, Any]],
    ) -> Tensor:
        shape, options = kind
        ctx.save_for_backward(numbers, scale, shift)
        ctx.of_input, ctx.of_kernel, ctx.options = x.shape, shape, options
        return F.conv2d(x, unpack((numbers, scale, shift), x.dtype).view(shape), **options)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        (grad,) = grads
        kernel = unpack(ctx.saved_tensors, grad.dtype).view(ctx.of_kernel)
        return conv2d_input(ctx.of_input, kernel, grad, **ctx.options), None, None, None, None


class _PackedLayer(nn.Module):
    """What packed layers share. `weight` is unpacked each time that somebody asks for it."""

    _shape: torch.Size
    _dtype: torch.dtype

    def take(self, weight: Tensor, packed: Packed, bias: nn.Parameter | None) -> None:
        """Hold a packed weight in place of this one."""
        self._shape, self._dtype = weight.shape, weight.dtype
        del self.weight
        for name, part in zip(("numbers", "scale", "shift"), packed, strict=True):
            self.register_parameter(name, None if part is None else nn.Parameter(part, requires_grad=False))
        self.register_parameter("bias", bias)

    def packed(self) -> Packed:
        """Return what the layer holds."""
        held = self._parameters
        numbers, scale = held["numbers"], held["scale"]
        assert numbers is not None, "see `take`"
        assert scale is not None, "see `take`"
        return numbers, scale, held["shift"]

    def __getattr__(self, name: str) -> Any:
        if name == "weight" and "numbers" in self._parameters:
            return unpack(self.packed(), self._dtype).view(self._shape)
        return super().__getattr__(name)


class PackedLinear(_PackedLayer, nn.Linear):
    """A linear layer."""

    def forward(self, x: Tensor) -> Tensor:
        """Compute in the precision that the weight had, which autocast does not for packed weights."""
        made: Tensor = _PackedLinear.apply(x.to(self._dtype), *self.packed())
        bias = self._parameters["bias"]
        return made if bias is None else made + bias.to(made.dtype)


class PackedConv2d(_PackedLayer, nn.Conv2d):
    """A convolution of full width: each output sees all inputs."""

    def forward(self, x: Tensor) -> Tensor:
        """Compute in the precision that the weight had."""
        options = {name: getattr(self, name) for name in ("stride", "padding", "dilation", "groups")}
        made: Tensor = _PackedConv2d.apply(x.to(self._dtype), *self.packed(), (self._shape, options))
        bias = self._parameters["bias"]
        return made if bias is None else made + bias.to(made.dtype).view(-1, 1, 1)


def pack_layers(model: nn.Module, precision: str, *, layers: str) -> None:
    """Pack the weights of linear layers and convolutions, in place.

    Convolutions that take each channel alone stay as they are: a thousandth of this model.

    Args:
        model: The model. Its weights are frozen.
        precision: One of `FORMATS`.
        layers: Which layers, as a pattern of names in which ``*`` stands for anything.
    """
    for name, module in list(model.named_modules()):
        plain = isinstance(module, nn.Linear) or (isinstance(module, nn.Conv2d) and module.groups == 1)
        if plain and fnmatchcase(name, layers):
            parent, _, last = name.rpartition(".")
            setattr(model.get_submodule(parent), last, _packed(module, precision))


def _packed(module: nn.Module, precision: str) -> nn.Module:
    weight = module.weight
    assert isinstance(weight, nn.Parameter), "linear layers and convolutions have one"
    made: PackedLinear | PackedConv2d
    if isinstance(module, nn.Conv2d):
        sizes: Any = {name: getattr(module, name) for name in ("kernel_size", "stride", "padding", "dilation")}
        made = PackedConv2d(module.in_channels, module.out_channels, **sizes, bias=False, device="meta")
    else:
        assert isinstance(module, nn.Linear), "only these two are packed"
        made = PackedLinear(module.in_features, module.out_features, bias=False, device="meta")
    bias = module.bias
    assert bias is None or isinstance(bias, nn.Parameter), "a bias is a parameter"
    made.take(weight, pack(weight.detach().flatten(1).float(), precision), bias)
    return made.train(module.training)


def pack(weight: Tensor, precision: str) -> Packed:
    """Pack a weight of shape (outputs, inputs), in fp32, by torchao's own choice of scales and numbers.

    torchao is imported here, by those who ask for it: it adds half a second to a start.
    """
    from torchao.quantization import (  # noqa: PLC0415
        Float8Tensor,
        Int8Tensor,
        IntxUnpackedToInt8Tensor,
        PerRow,
    )
    from torchao.quantization.quant_primitives import MappingType  # noqa: PLC0415

    if precision == "int8-torchao":
        eight = Int8Tensor.from_hp(weight, PerRow())
        return eight.qdata, eight.scale, None
    if precision == "fp8-torchao":
        floats = Float8Tensor.from_hp(weight, granularity=PerRow())
        return floats.qdata, floats.scale, None
    block = (1, group_size(weight.shape[1]))
    four = IntxUnpackedToInt8Tensor.from_hp(weight, block, torch.int4, mapping_type=MappingType.ASYMMETRIC)  # type: ignore[attr-defined]
    halves = (four.qdata + 8).to(torch.uint8)
    return halves[:, 0::2] | halves[:, 1::2] << 4, four.scale, four.zero_point
