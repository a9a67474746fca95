"""Objectives: how a batch becomes a loss. Fine-tuning is one; distillation, prompting and pre-training are others."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import nn

from hub_core.examples import Batch

if TYPE_CHECKING:
    from hub_core.torch_module import TorchModule


@dataclass
class Step:
    """What an objective makes of a batch: `loss`, a sum over what `Objective.weight` counts.

    `parts` are further sums over the same (a distillation's two terms): their means go into the history and to
    TensorBoard under their names. Where `loss` is None, it is the sum of the parts' means, and `weight` counts each
    part by its name. Every batch must have the same names.
    """

    loss: torch.Tensor | None
    logits: torch.Tensor | None = None
    parts: Mapping[str, torch.Tensor] = field(default_factory=dict)


class Objective(nn.Module, ABC):
    """How a batch becomes a loss. Its own parameters are trained with the module's.

    `forward` gets the module that the trainer has prepared (it may be wrapped for several processes: call it, do
    not reach into it) and returns a **sum**; `weight` says, from the batch alone, how much it adds up. The trainer
    divides by the weight of the whole step over all micro-batches and processes, so that accumulation and several
    processes give exactly the gradient of one large batch.
    """

    #: Whether it asks the module for logits at some tokens only, at other ones in every step.
    asks_at_places: ClassVar[bool] = False

    @abstractmethod
    def forward(self, module: Any, batch: Batch) -> Step:
        """The loss of a batch of tensors, summed."""

    @abstractmethod
    def weight(self, module: TorchModule, batch: Batch) -> float | Mapping[str, float]:
        """How much the loss of this batch (of numpy arrays) adds up: rows, or labelled tokens; or of each part."""

    def start_epoch(self, module: TorchModule, epoch: int) -> None:
        """Called before every epoch (counted from 0), but not again when a run continues in the middle of one.

        What it decides for the epoch must therefore be in the objective's `state_dict` (such as a buffer).
        """


class Supervised(Objective):
    """The task's own loss against the labels."""

    def __init__(self, module: TorchModule) -> None:
        super().__init__()
        self._task = module.known_task()
        self._family = module.family
        # In a list, so that torch does not count the network as this objective's own submodule.
        self._network = [module.network]

    def forward(self, module: Any, batch: Batch) -> Step:
        """See `Objective.forward`."""
        logits = module(batch.inputs).logits
        return Step(self._family.loss(self._network[0], logits, batch, self._task), logits)

    def weight(self, module: TorchModule, batch: Batch) -> float:
        """See `Objective.weight`: the family's and the task's own count."""
        return self._family.loss_weight(module.network, batch, self._task)
