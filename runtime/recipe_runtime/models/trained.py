"""What of a model is trained: its parameters that want a gradient, by name."""

from torch import nn


_BIAS = ".bias"


def trained_parameters(model: nn.Module) -> dict[str, nn.Parameter]:
    """Return the parameters that are trained: all of them in full fine-tuning, else the adapter's or the biases."""
    return {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}


def train_biases(model: nn.Module) -> None:
    """Freeze all weights but the biases of layers (BitFit, arXiv:2106.10199)."""
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name.endswith(_BIAS))
