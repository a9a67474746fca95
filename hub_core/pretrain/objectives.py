"""What pre-training learns from a batch: hidden words, the order of sentences, replaced tokens."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch.nn.functional import cross_entropy

from hub_core.examples import IGNORE, Batch
from hub_core.torch_module import TorchModule
from hub_core.train.objectives import Objective, Step


def places_of(targets: torch.Tensor) -> torch.Tensor:
    """Where something is asked, as indices into all tokens of a batch."""
    return (targets.flatten() != IGNORE).nonzero().squeeze(1)


class HiddenWords(Objective):
    """Masked language modelling: the cross-entropy of what is hidden, and of the order of halves where rows have it.

    Parts: ``mlm``, a mean over hidden tokens, and ``order``, one over rows that have two halves; the loss is their sum,
    as Devlin et al. 2019 and Lan et al. 2020 have it.
    """

    def __init__(self, *, order: bool = False) -> None:
        super().__init__()
        self._order = order

    def forward(self, module: Any, batch: Batch) -> Step:
        """See `Objective.forward`."""
        places = places_of(batch.targets)
        logits = module(batch.inputs, places=places).logits
        words, order = logits if self._order else (logits, None)
        asked = batch.targets.flatten()[places]
        weights = batch.weights[:, None].expand_as(batch.targets).flatten()[places]
        parts = {"mlm": (cross_entropy(words.float(), asked, reduction="none") * weights).sum()}
        if order is not None:
            wrong = batch.columns["order"]
            losses = cross_entropy(order.float(), wrong, reduction="none", ignore_index=IGNORE)
            parts["order"] = (losses * batch.weights).sum()
        return Step(None, words, parts)

    def weight(self, module: TorchModule, batch: Batch) -> Mapping[str, float]:  # noqa: ARG002
        """Hidden tokens, and rows with two halves."""
        hidden = float(((batch.targets != IGNORE).sum(-1) * batch.weights).sum())
        if not self._order:
            return {"mlm": hidden}
        return {"mlm": hidden, "order": float(((batch.columns["order"] != IGNORE) * batch.weights).sum())}
