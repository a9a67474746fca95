"""An exponential moving average of the weights: often better than the weights of any one step."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import nn


class WeightAverage:
    """Keeps ``average = decay * average + (1 - decay) * weights`` over steps, per floating tensor of a module.

    Early on the decay is at most ``(1 + steps) / (10 + steps)``, so that the random start is soon forgotten.
    """

    def __init__(self, module: nn.Module, decay: float) -> None:
        self._module = module
        self._decay = decay
        self._averages = {name: tensor.detach().clone() for name, tensor in self._weights().items()}

    @torch.no_grad()
    def update(self, steps: int) -> None:
        """Take in the weights after optimizer step number `steps` (counted from 1)."""
        decay = min(self._decay, (1 + steps) / (10 + steps))
        for name, tensor in self._weights().items():
            self._averages[name].lerp_(tensor, 1 - decay)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Let the module have the averages for the block, and its own weights again afterwards."""
        own = {name: tensor.detach().clone() for name, tensor in self._weights().items()}
        self.apply()
        try:
            yield
        finally:
            self._copy(own)

    def apply(self) -> None:
        """Let the module have the averages for good."""
        self._copy(self._averages)

    def state_dict(self) -> dict[str, torch.Tensor]:
        """The averages, by name."""
        return dict(self._averages)

    def load_state_dict(self, averages: Mapping[str, torch.Tensor]) -> None:
        """Put back what `state_dict` returned."""
        for name, tensor in averages.items():
            self._averages[name].copy_(tensor)

    @torch.no_grad()
    def _copy(self, tensors: Mapping[str, torch.Tensor]) -> None:
        for name, tensor in self._weights().items():
            tensor.copy_(tensors[name])

    def _weights(self) -> dict[str, torch.Tensor]:
        return {name: tensor for name, tensor in self._module.state_dict().items() if tensor.is_floating_point()}
