"""What pre-training learns from a batch: hidden words, the order of sentences, replaced tokens."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy, gumbel_softmax

from hub_core.examples import IGNORE, Batch
from hub_core.nn.places import only_at
from hub_core.torch_module import TorchModule
from hub_core.train.objectives import Objective, Step

#: What is measured of a batch: by name, a sum and how much it adds up.
Measures = Mapping[str, tuple[float, float]]


def places_of(targets: torch.Tensor) -> torch.Tensor:
    """Where something is asked, as indices into all tokens of a batch."""
    return (targets.flatten() != IGNORE).nonzero().squeeze(1)


class HiddenWords(Objective):
    """Masked language modelling: the cross-entropy of what is hidden, and of the order of halves where rows have it.

    Parts: ``mlm``, a mean over hidden tokens, and ``order``, one over rows that have two halves; the loss is their sum,
    as Devlin et al. 2019 and Lan et al. 2020 have it.
    """

    asks_at_places: ClassVar[bool] = True
    #: What `measure` gives beside the parts.
    scores: ClassVar[tuple[str, ...]] = ("accuracy",)

    def __init__(self, *, order: bool = False) -> None:
        super().__init__()
        self._order = order
        self.parts = ("mlm", "order") if order else ("mlm",)

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

    def measure(self, module: TorchModule, batch: Batch, moved: Batch) -> Measures:
        """The parts, and how many hidden words are found; `moved` is the batch with tensors."""
        step, weights = self(module, moved), self.weight(module, batch)
        parts = {name: (float(part), weights[name]) for name, part in step.parts.items()}
        return {**parts, "accuracy": _found(step.logits, moved)}


class ReplacedTokens(Objective):
    """Replaced-token detection (Clark et al. 2020, ELECTRA): a small generator fills in what is hidden, by chance as
    likely as it finds it, and the module says of every token whether it is the one that stood there.

    Parts: ``mlm``, the generator's mean loss over hidden tokens, and ``replaced``, the module's mean loss over all
    tokens times `factor` (the paper's 50). The generator shares the module's embeddings, is trained with it, and is
    kept in the state of the run.
    """

    parts: ClassVar[tuple[str, ...]] = ("mlm", "replaced")
    #: What `measure` gives beside the parts.
    scores: ClassVar[tuple[str, ...]] = ("accuracy", "replaced_f1")

    def __init__(self, generator: nn.Module, *, factor: float = 50.0) -> None:
        super().__init__()
        self.generator = generator
        self._factor = factor

    def forward(self, module: Any, batch: Batch) -> Step:
        """See `Objective.forward`; the logits are the generator's."""
        return self._look(module, batch)[0]

    def _look(self, module: Any, batch: Batch) -> tuple[Step, torch.Tensor, torch.Tensor]:
        """The step, and of every token what the module says of it (logits), and whether it was replaced."""
        places = places_of(batch.targets)
        asked = batch.targets.flatten()[places]
        with only_at(self.generator, places):
            words = self.generator(**batch.inputs).logits.float()
        weights = batch.weights[:, None].expand_as(batch.targets).flatten()
        ids = batch.inputs["input_ids"]
        with torch.no_grad():
            filled = ids.flatten().scatter(0, places, gumbel_softmax(words).argmax(-1))
            true = ids.flatten().scatter(0, places, asked)
        found = module({**batch.inputs, "input_ids": filled.view_as(ids)}).logits.float().flatten()
        replaced = filled != true
        losses = binary_cross_entropy_with_logits(found, replaced.float(), reduction="none") * weights
        parts = {
            "mlm": (cross_entropy(words, asked, reduction="none") * weights[places]).sum(),
            "replaced": (losses * batch.inputs["attention_mask"].flatten()).sum() * self._factor,
        }
        return Step(None, words, parts), found, replaced

    def weight(self, module: TorchModule, batch: Batch) -> Mapping[str, float]:  # noqa: ARG002
        """Hidden tokens, and all tokens that are no padding."""
        return {
            "mlm": float(((batch.targets != IGNORE).sum(-1) * batch.weights).sum()),
            "replaced": float((batch.inputs["attention_mask"].sum(-1) * batch.weights).sum()),
        }

    def measure(self, module: TorchModule, batch: Batch, moved: Batch) -> Measures:
        """The parts, how many hidden words the generator finds, and the F1 of the module's replaced tokens."""
        (step, logits, replaced), weights = self._look(module, moved), self.weight(module, batch)
        told = (logits > 0) & moved.inputs["attention_mask"].flatten().bool()
        return {
            **{name: (float(part), weights[name]) for name, part in step.parts.items()},
            "accuracy": _found(step.logits, moved),
            "replaced_f1": (2.0 * float((told & replaced).sum()), float(told.sum() + replaced.sum())),
        }


def _found(logits: torch.Tensor | None, batch: Batch) -> tuple[float, float]:
    """How many hidden words have the highest logit ``(hidden, vocabulary)``, and how many there are."""
    asked = batch.targets.flatten()[places_of(batch.targets)]
    assert logits is not None, "hidden words have logits"
    return float((logits.argmax(-1) == asked).sum()), float(len(asked))
