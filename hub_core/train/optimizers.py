"""Optimizers by name, with the parameter groups that fine-tuning uses."""

from __future__ import annotations

import math

import torch
from torch import nn

from hub_core.errors import SettingsError


def parameter_groups(module: nn.Module, *, weight_decay: float) -> list[dict[str, object]]:
    """Two groups: weights that decay, and biases and normalisation gains, which do not (as BERT's own recipe)."""
    decayed = [p for p in module.parameters() if p.requires_grad and p.ndim > 1]
    others = [p for p in module.parameters() if p.requires_grad and p.ndim <= 1]
    groups = [{"params": decayed, "weight_decay": weight_decay}, {"params": others, "weight_decay": 0.0}]
    return [group for group in groups if group["params"]]


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
