"""The Bi-LSTM family: how its networks are built and taught."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, ClassVar

from torch import Tensor, nn

from hub_core.examples import IGNORE, Array, Batch
from hub_core.nn.bilstm import (
    HEAD_PREFIXES,
    BiLstmConfig,
    BiLstmEncoder,
    BiLstmForSequenceClassification,
    BiLstmForTokenClassification,
)
from hub_core.nn.crf import Crf
from hub_core.nn.own_family import OwnFamily

if TYPE_CHECKING:
    from hub_core.tasks.task import Task

_NETWORKS: Mapping[str, Callable[[BiLstmConfig, int], BiLstmEncoder]] = {
    "TokenClassification": BiLstmForTokenClassification,
    "SequenceClassification": BiLstmForSequenceClassification,
}


class BiLstmFamily(OwnFamily):
    """Bi-LSTM networks; see `BiLstmConfig` for their sizes."""

    name: ClassVar[str] = "bilstm"
    supports: ClassVar[tuple[str, ...]] = ("seq-cls", "token-cls", "text-matching", "embedding")
    head_prefixes: ClassVar[tuple[str, ...]] = (*OwnFamily.head_prefixes, *HEAD_PREFIXES)

    def make(self, config: Mapping[str, Any], task: Task | None) -> BiLstmEncoder:
        """See `OwnFamily.make`."""
        read = BiLstmConfig.from_mapping(config)
        return BiLstmEncoder(read) if task is None else _NETWORKS[str(task.auto_class)](read, len(task.labels))

    def described(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """See `OwnFamily.described`."""
        return asdict(BiLstmConfig.from_mapping(config))

    def loss(self, network: nn.Module, logits: Tensor, batch: Batch, task: Task) -> Tensor:
        """The summed, weighted loss of a batch of tensors, a scalar; `loss_weight` is what to divide by.

        With a CRF: the negative log likelihood of each row's labels (positions of target `IGNORE` are absent from
        its chain) times the row's weight. Otherwise the task's own loss.
        """
        crf = getattr(network, "crf", None)
        if not isinstance(crf, Crf):
            return super().loss(network, logits, batch, task)
        likelihoods = crf.log_likelihood(logits, batch.targets, batch.targets != IGNORE)
        total: Tensor = (likelihoods * batch.weights).sum()
        return -total

    def loss_weight(self, network: nn.Module, batch: Batch, task: Task) -> float:
        """What `loss` adds up: with a CRF the weighted number of rows, otherwise as the task counts."""
        if not isinstance(getattr(network, "crf", None), Crf):
            return super().loss_weight(network, batch, task)
        return float(batch.weights.sum())

    def constants(self, network: nn.Module) -> dict[str, Array]:
        """What decoding needs beside logits: float32 ``transitions``, ``start``, ``end`` of a CRF, else nothing."""
        crf = getattr(network, "crf", None)
        if not isinstance(crf, Crf):
            return {}
        return {name: value.detach().cpu().float().numpy() for name, value in crf.named_parameters()}
