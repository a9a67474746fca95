"""Activations that are computed again in the backward pass, in place of being kept (Chen et al. 2016)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from torch import nn

from hub_core.errors import SettingsError
from hub_core.torch_module import TorchModule
from hub_core.train.dropout import QuickDropout
from hub_core.train.settings import TrainSettings


@contextmanager
def recomputing(module: TorchModule, settings: TrainSettings, device: torch.device) -> Iterator[None]:
    """For the block, keep no activations inside of the network's blocks where ``settings.recompute`` asks for that.

    What is learnt stays the same: random numbers are drawn again as they were, and (torch leaves its contexts before
    the backward pass) by the same hand. Raises SettingsError for a network that cannot do so.
    """
    networks = _networks(module.network) if settings.recompute else []
    if settings.recompute and not networks:
        raise SettingsError(f"recompute: networks of family {module.spec.family!r} keep what they compute")
    again = QuickDropout if device.type == "cpu" and not settings.compile else nullcontext
    options = {"use_reentrant": False, "context_fn": lambda: (nullcontext(), again())}
    for network in networks:
        network.activation_checkpointing_enable(activation_checkpointing_kwargs=options)
    try:
        yield
    finally:
        for network in networks:
            network.activation_checkpointing_disable()


def _networks(network: nn.Module) -> list[Any]:
    """The outermost networks of `transformers` in a network that can recompute."""
    if getattr(network, "supports_gradient_checkpointing", False):
        return [network]
    return [found for child in network.children() for found in _networks(child)]
