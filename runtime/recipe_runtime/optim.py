"""The optimizers, by the names that the recipe language gives them. A library is imported only when it is used."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Adafactor, AdamW
from torch.optim.optimizer import Optimizer

from recipe_runtime.adamw_bf16 import AdamWBf16
from recipe_runtime.errors import PlanRefused
from recipe_schema.optimizers import EXTRAS, PACKAGES, STORAGE
from recipe_schema.recipe import Settings
from recipe_schema.sections.optimizer import Optimizer as OptimizerSettings


Groups = list[dict[str, Any]]
"""Weights with the weight decay that pulls at them."""

_FUSED = ("cpu", "cuda")
"""Devices on which torch has one kernel for the whole update."""

_ADAN_DIFFERENCE = 0.92
"""Adan's decay of the mean of gradients' differences (arXiv:2208.06677), for which the language has no key."""

_CAME = {"eps": (1e-30, 1e-16), "instability": 0.9999}
"""CAME's constants (arXiv:2307.02047) for which the language has no keys."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """An optimizer.

    Attributes:
        build: Makes it, from groups of weights, settings and the run's seed.
        group_memory: What it remembers of a group of weights, and not of each of them.
        alone: Whether a weight's update depends on that weight's gradients alone, so that it may come at once.
    """

    build: Callable[[Groups, OptimizerSettings, int], Optimizer]
    group_memory: tuple[str, ...] = ()
    alone: bool = True


def build_optimizer(parameters: Iterable[nn.Parameter], settings: OptimizerSettings, *, seed: int) -> Optimizer:
    """Build the optimizer. The learning rate is set anew for each step, see `recipe_runtime.schedule`.

    Args:
        parameters: The weights that are trained.
        settings: Which optimizer, and its constants.
        seed: The run's seed.

    Raises:
        PlanRefused: The settings contradict each other.
    """
    kind = KINDS[settings.name]
    if settings.release_gradients and not kind.alone:
        raise PlanRefused(
            f"`optimizer.name: {settings.name}` needs all gradients at once; leave `optimizer.release_gradients` out, or "
            "take another optimizer"
        )
    return kind.build(_groups(list(parameters), settings), settings, seed)


def store_weights(model: nn.Module, settings: Settings) -> None:
    """Bring the weights that are trained into the precision that the optimizer keeps them in.

    Raises:
        PlanRefused: The optimizer keeps them in bf16, and the model computes in fp32.
    """
    name = settings.optimizer.name
    if STORAGE[name].weight == torch.float32.itemsize:
        return
    if settings.train.mixed_precision != "bf16":
        raise PlanRefused(
            f"`optimizer.name: {name}` keeps weights in bf16, which `train.mixed_precision: {settings.train.mixed_precision}` "
            "can't compute with; set `train.mixed_precision: bf16`, or take another optimizer"
        )
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.to(torch.bfloat16)


def set_rate(optimizer: Optimizer, rate: float) -> None:
    """Set the learning rate of all groups."""
    for group in optimizer.param_groups:
        if isinstance(group["lr"], Tensor):
            group["lr"].fill_(rate)
        else:
            group["lr"] = rate


def _groups(parameters: list[nn.Parameter], settings: OptimizerSettings) -> Groups:
    """Cut the weights into those that decay and those that do not: biases and norms are all that has one axis.

    Where gradients are released, each weight is a group of its own, so that what is counted for a group is counted for it.
    """
    decay = {p: settings.weight_decay if settings.decay_all or p.ndim > 1 else 0.0 for p in parameters}
    if settings.release_gradients:
        return [{"params": [parameter], "weight_decay": decay[parameter]} for parameter in parameters]
    kinds = sorted(set(decay.values()), reverse=True)
    return [{"params": [p for p in parameters if decay[p] == kind], "weight_decay": kind} for kind in kinds]


def _adam_constants(settings: OptimizerSettings) -> dict[str, Any]:
    return {"lr": settings.learning_rate, "betas": (settings.beta1, settings.beta2), "eps": settings.eps}


def _adamw(groups: Groups, settings: OptimizerSettings, _seed: int) -> Optimizer:
    devices = {parameter.device.type for group in groups for parameter in group["params"]}
    return AdamW(groups, **_adam_constants(settings), fused=devices <= set(_FUSED))


def _adamw_bf16(groups: Groups, settings: OptimizerSettings, seed: int) -> Optimizer:
    return AdamWBf16(groups, **_adam_constants(settings), weight_decay=settings.weight_decay, seed=seed)


def _adamw8bit(groups: Groups, settings: OptimizerSettings, _seed: int) -> Optimizer:
    try:
        from bitsandbytes.optim.adamw import AdamW8bit  # noqa: PLC0415 - imported when it is used
    except ImportError as error:
        raise PlanRefused(missing_package(settings.name, str(error))) from error
    made: Optimizer = AdamW8bit(groups, **_adam_constants(settings))
    return made


def _torchao(class_name: str) -> Callable[[Groups, OptimizerSettings, int], Optimizer]:
    """Return what builds one of torchao's optimizers. Its updates are computed as they stand, and not compiled."""

    def build(groups: Groups, settings: OptimizerSettings, _seed: int) -> Optimizer:
        try:
            from torchao import optim  # noqa: PLC0415 - imported when it is used
        except ImportError as error:
            raise PlanRefused(missing_package(settings.name, str(error))) from error
        kind: Any = getattr(optim, class_name)

        class Plain(kind):
            def step(self, closure: Any = None) -> Any:
                with torch.compiler.set_stance("force_eager"):
                    return super().step(closure)

        made: Optimizer = Plain(groups, **_adam_constants(settings))
        return made

    return build


def missing_package(name: str, reason: str) -> str:
    """Say that the package of an optimizer is missing."""
    package = PACKAGES[name]
    return (
        f"`optimizer.name: {name}` needs the package {package} ({reason}); install it with "
        f"`pip install 'sana-recipes[{EXTRAS[package]}]'`, or take another optimizer"
    )


def _optimi(class_name: str) -> Callable[[Groups, OptimizerSettings, int], Optimizer]:
    """Return what builds one of optimi's optimizers (https://optimi.benjaminwarner.dev), with Kahan summation."""

    def build(groups: Groups, settings: OptimizerSettings, _seed: int) -> Optimizer:
        import optimi  # noqa: PLC0415 - imported when it is used

        constants = _adam_constants(settings)
        if class_name == "Lion":
            del constants["eps"]
        if class_name == "Adan":
            constants["betas"] = (settings.beta1, _ADAN_DIFFERENCE, settings.beta2)
        if class_name in ("RAdam", "Ranger"):
            constants["decouple_wd"] = True
        made: Optimizer = getattr(optimi, class_name)(groups, **constants, kahan_sum=True)
        return made

    return build


def _adafactor(groups: Groups, settings: OptimizerSettings, _seed: int) -> Optimizer:
    return Adafactor(groups, lr=settings.learning_rate)


def _came(groups: Groups, settings: OptimizerSettings, _seed: int) -> Optimizer:
    from came_pytorch import CAME  # noqa: PLC0415 - imported when it is used

    betas = (settings.beta1, settings.beta2, _CAME["instability"])
    made: Optimizer = CAME(groups, lr=settings.learning_rate, betas=betas, eps=_CAME["eps"])
    return made


def _prodigy(groups: Groups, settings: OptimizerSettings, _seed: int) -> Optimizer:
    from prodigyopt import Prodigy  # noqa: PLC0415 - imported when it is used

    made: Optimizer = Prodigy(groups, **_adam_constants(settings))
    return made


def _schedule_free(groups: Groups, settings: OptimizerSettings, _seed: int) -> Optimizer:
    from schedulefree import AdamWScheduleFree  # noqa: PLC0415 - imported when it is used

    if settings.beta1 == 0:
        raise PlanRefused("`optimizer.name: schedule-free` averages with `optimizer.beta1`, which must be above 0")
    made: Any = AdamWScheduleFree(groups, **_adam_constants(settings))
    # It stays in this mode: the averaged weights are made beside those that are trained, see `recipe_runtime.averaged`.
    made.train()
    return made


KINDS: Mapping[str, Kind] = {
    "adamw": Kind(build=_adamw),
    "adamw_bf16": Kind(build=_adamw_bf16),
    "adamw8bit": Kind(build=_adamw8bit),
    "ao-adamw8bit": Kind(build=_torchao("AdamW8bit")),
    "ao-adamw4bit": Kind(build=_torchao("AdamW4bit")),
    "ao-adamwfp8": Kind(build=_torchao("AdamWFp8")),
    "optimi-adamw": Kind(build=_optimi("AdamW"), group_memory=("step",)),
    "optimi-stableadamw": Kind(build=_optimi("StableAdamW"), group_memory=("step",)),
    "optimi-lion": Kind(build=_optimi("Lion")),
    "optimi-adan": Kind(build=_optimi("Adan"), group_memory=("step",)),
    "optimi-ranger": Kind(build=_optimi("Ranger"), group_memory=("step",)),
    "optimi-radam": Kind(build=_optimi("RAdam"), group_memory=("step",)),
    "adafactor": Kind(build=_adafactor),
    "came": Kind(build=_came),
    "prodigy": Kind(build=_prodigy, group_memory=("d", "d_max", "d_numerator", "k"), alone=False),
    "schedule-free": Kind(build=_schedule_free, group_memory=("k", "weight_sum", "lr_max")),
}
"""By the values of ``optimizer.name``."""
