"""The Bi-LSTM family: how its networks are built, loaded, saved and taught."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from torch import Tensor, nn

from hub_core.errors import SettingsError, unknown
from hub_core.examples import IGNORE, Array, Batch
from hub_core.nn.bilstm import (
    HEAD_PREFIXES,
    BiLstmConfig,
    BiLstmEncoder,
    BiLstmForSequenceClassification,
    BiLstmForTokenClassification,
)
from hub_core.nn.crf import Crf
from hub_core.nn.weights import check_fit, write_weights
from hub_core.spec import WEIGHTS

if TYPE_CHECKING:
    from hub_core.tasks.task import Task

_NETWORKS: Mapping[str, Callable[[BiLstmConfig, int], BiLstmEncoder]] = {
    "token-cls": BiLstmForTokenClassification,
    "seq-cls": BiLstmForSequenceClassification,
}


class BiLstmFamily:
    """Builds, reads and writes Bi-LSTM networks."""

    name: ClassVar[str] = "bilstm"
    supports: ClassVar[tuple[str, ...]] = ("seq-cls", "token-cls")
    lowers: ClassVar[bool] = False

    def build(self, config: Mapping[str, Any], *, task: str | None, labels: Sequence[str]) -> BiLstmEncoder:
        """A network with random weights: for a task, or (None) without a head. Raises SettingsError."""
        read = BiLstmConfig.from_mapping(config)
        if task is None:
            return BiLstmEncoder(read).eval()
        if task not in _NETWORKS:
            raise SettingsError(unknown("task", task, _NETWORKS, where="of family bilstm"))
        return _NETWORKS[task](read, len(labels)).eval()

    def load(
        self,
        tensors: Mapping[str, Tensor],
        config: Mapping[str, Any],
        *,
        task: str | None,
        labels: Sequence[str],
        new_head: bool,
        where: str,
    ) -> BiLstmEncoder:
        """A network with these weights, as float32 whatever they are stored as.

        With `new_head` (or without a task) the given head is passed over, and a new one is random. Otherwise
        strict: raises CheckpointError that names `where` and every tensor that is missing, unknown, or of another
        shape.
        """
        network = self.build(config, task=task, labels=labels)
        found, wanted = dict(tensors), network.state_dict()
        if new_head or task is None:
            found, wanted = _without_head(found), _without_head(wanted)
        check_fit(where, found, wanted)
        network.load_state_dict({**network.state_dict(), **found})
        return network

    def save(self, network: nn.Module, folder: Path, *, dtype: str = "float32") -> None:
        """Write ``folder/model.safetensors``; `dtype` is ``float32``, ``float16`` or ``bfloat16``."""
        write_weights(network.state_dict(), folder / WEIGHTS, dtype=dtype)

    def config_json(self, config: Mapping[str, Any], *, task: str | None, labels: Sequence[str]) -> dict[str, Any]:
        """The content of the generated ``config.json``: every size, and the labels as `transformers` names them."""
        heads = {"token-cls": "BiLstmForTokenClassification", "seq-cls": "BiLstmForSequenceClassification"}
        record: dict[str, Any] = {"model_type": self.name, **asdict(BiLstmConfig.from_mapping(config))}
        record["architectures"] = [heads[task] if task else "BiLstmEncoder"]
        if task:
            record["id2label"] = {str(target): label for target, label in enumerate(labels)}
            record["label2id"] = {label: target for target, label in enumerate(labels)}
        return record

    def loss(self, network: nn.Module, logits: Tensor, batch: Batch, task: Task) -> Tensor:
        """The summed, weighted loss of a batch of tensors, a scalar; `loss_weight` is what to divide by.

        With a CRF: the negative log likelihood of each row's labels (positions of target `IGNORE` are absent from
        its chain) times the row's weight. Otherwise the task's own loss.
        """
        crf = getattr(network, "crf", None)
        if not isinstance(crf, Crf):
            return task.loss(logits, batch)
        likelihoods = crf.log_likelihood(logits, batch.targets, batch.targets != IGNORE)
        total: Tensor = (likelihoods * batch.weights).sum()
        return -total

    def loss_weight(self, network: nn.Module, batch: Batch, task: Task) -> float:
        """What `loss` adds up: with a CRF the weighted number of rows, otherwise as the task counts."""
        if not isinstance(getattr(network, "crf", None), Crf):
            return task.loss_weight(batch)
        return float(batch.weights.sum())

    def constants(self, network: nn.Module) -> dict[str, Array]:
        """What decoding needs beside logits: float32 ``transitions``, ``start``, ``end`` of a CRF, else nothing."""
        crf = getattr(network, "crf", None)
        if not isinstance(crf, Crf):
            return {}
        return {name: value.detach().cpu().float().numpy() for name, value in crf.named_parameters()}

    def max_length(self, config: Mapping[str, Any]) -> int | None:  # noqa: ARG002  (other families have a limit)
        """The longest input the network can read: None, there is no limit."""
        return None

    def blocks(self, network: nn.Module) -> list[nn.Module]:  # noqa: ARG002  (the family's signature)
        """None: it is small, and a CRF's loss reads its weights outside of the forward pass."""
        return []


def _without_head(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor for name, tensor in tensors.items() if not name.startswith(HEAD_PREFIXES)}
