"""Optimizers by name, with the parameter groups that fine-tuning uses."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from hub_core.errors import SettingsError
from hub_core.plugins import catalog
from hub_core.train.layers import Layers

if TYPE_CHECKING:
    from hub_core.torch_module import TorchModule
    from hub_core.train.settings import TrainSettings

#: What fine-tuning usually takes with Adam and its kin, whose own default would forget what was pre-trained.
_FINE_TUNING_RATE = 5e-5
#: The settings that say how an optimizer is made; the caller's own is made already.
MAKING = ("optimizer", "learning_rate", "weight_decay", "layer_decay")


def with_rates(settings: TrainSettings) -> TrainSettings:
    """The settings with the defaults of `learning_rate` and `weight_decay` filled in from the optimizer's class.

    Raises NotFoundError for an unknown optimizer, SettingsError for one that has no learning rate of its own.
    """
    make = _optimizer_class(settings.optimizer)
    defaults = {name: item.default for name, item in inspect.signature(make).parameters.items()}
    like_adam = isinstance(make, type) and issubclass(make, (torch.optim.Adam, torch.optim.AdamW, torch.optim.Adamax))
    rate = _FINE_TUNING_RATE if like_adam else defaults.get("lr")
    filled: dict[str, Any] = {
        "optimizer": settings.optimizer.lower(),
        "learning_rate": _number(rate) if settings.learning_rate is None else settings.learning_rate,
        "weight_decay": (_number(defaults.get("weight_decay")) or 0.0)
        if settings.weight_decay is None
        else settings.weight_decay,
    }
    if filled["learning_rate"] is None:
        raise SettingsError(f"optimizer {settings.optimizer!r} has no default learning rate: give learning_rate")
    return settings.replace(**filled)


def optimizer_of(settings: TrainSettings, module: TorchModule, extra: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
    """The optimizer that complete settings (`with_rates`) ask for: for the module's trainable parameters, and others.

    The groups are those of `layer_groups`. Raises SettingsError where the optimizer refuses them.
    """
    make = _optimizer_class(settings.optimizer)
    groups = layer_groups(settings, module, extra)
    try:
        return make(groups, lr=settings.learning_rate)
    except (TypeError, ValueError) as error:
        raise SettingsError(f"optimizer {settings.optimizer!r} cannot be made: {error}") from error


def layer_groups(
    settings: TrainSettings, module: TorchModule, extra: Iterable[nn.Parameter] = ()
) -> list[dict[str, Any]]:
    """Parameter groups from the head down, each depth's learning rate `layer_decay` times that of the one above it.

    With n blocks the head (and what is `extra`) has the full rate, the top block ``layer_decay`` of it, the first
    block ``layer_decay ** n`` and the embeddings ``layer_decay ** (n + 1)`` (as Bao et al. 2021, BEiT). Without
    decay there is one depth. Each depth has a group of weights and one of biases and norms, which do not decay.
    """
    trained = dict.fromkeys(p for p in [*module.parameters(), *extra] if p.requires_grad)
    layers = None if settings.layer_decay == 1 else Layers(module)
    depths: dict[int, list[nn.Parameter]] = {}
    for parameter in trained:
        depth = 0 if layers is None else layers.top - layers.depth(parameter)
        depths.setdefault(depth, []).append(parameter)
    return [
        {**group, "lr": (settings.learning_rate or 0.0) * settings.layer_decay**depth}
        for depth, parameters in sorted(depths.items())
        for group in _decaying(parameters, settings.weight_decay or 0.0)
    ]


def parameter_groups(module: nn.Module, *, weight_decay: float) -> list[dict[str, object]]:
    """Two groups: weights that decay, and biases and normalisation gains, which do not (as BERT's own recipe)."""
    return _decaying([p for p in module.parameters() if p.requires_grad], weight_decay)


def _decaying(parameters: Iterable[nn.Parameter], weight_decay: float) -> list[dict[str, object]]:
    both: tuple[list[nn.Parameter], list[nn.Parameter]] = ([], [])
    for parameter in parameters:
        both[parameter.ndim <= 1].append(parameter)
    return [
        {"params": group, "weight_decay": decay}
        for group, decay in zip(both, (weight_decay, 0.0), strict=True)
        if group
    ]


def _optimizer_class(name: str) -> Callable[..., torch.optim.Optimizer]:
    """What makes an optimizer of this name, as torch's classes do: ``(groups, lr=...)``. Raises NotFoundError."""
    make: Callable[..., torch.optim.Optimizer] = catalog().get("optimizer", name.lower())
    return make


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, (int, float)) else None


def fuse(optimizer: torch.optim.Optimizer) -> None:
    """Choose torch's fused implementation for a fresh optimizer that has one and whose maker left the choice to torch.

    It reads and writes every weight once per step, where the others pass over them a dozen times. The updates are the
    same up to rounding; ``fused=False`` or ``foreach=True`` at its making keeps another.
    """
    if optimizer.state:
        return
    for group in optimizer.param_groups:
        undecided = all(group.get(name, False) is None for name in ("fused", "foreach"))
        plain = all(p.is_floating_point() and p.device.type in ("cpu", "cuda") for p in group["params"])
        if undecided and plain and not group.get("differentiable"):
            group["fused"] = True


def adamw(module: nn.Module, *, learning_rate: float, weight_decay: float = 0.01) -> torch.optim.Optimizer:
    """AdamW (Loshchilov and Hutter 2019) with betas 0.9 and 0.999, epsilon 1e-8.

    Raises SettingsError for a learning rate or a weight decay that is negative or not finite.
    """
    for name, value in (("learning_rate", learning_rate), ("weight_decay", weight_decay)):
        if not 0 <= value < math.inf:
            raise SettingsError(f"{name}={value} must be a finite number, and not below 0")
    return torch.optim.AdamW(parameter_groups(module, weight_decay=weight_decay), lr=learning_rate)
