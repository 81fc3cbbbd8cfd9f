"""What of a model is trained: its parameters that want a gradient, by name."""

from torch import nn


def trained_parameters(model: nn.Module) -> dict[str, nn.Parameter]:
    """Return the parameters that are trained: all of them in full fine-tuning, the adapter's otherwise."""
    return {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
