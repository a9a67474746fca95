"""Families: how an architecture is built, loaded and saved. Most come from `transformers`, by data alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import nn

from hub_core.errors import NotFoundError, unknown
from hub_core.examples import Array, Batch
from hub_core.nn.weights import load_network, write_weights
from hub_core.plugins import Catalog
from hub_core.spec import WEIGHTS

if TYPE_CHECKING:
    from hub_core.tasks.task import Task


class Family(Protocol):
    """One architecture. `config` is the manifest's mapping, `labels` those of the head (empty without a task)."""

    name: str
    supports: tuple[str, ...]

    def build(self, config: Mapping[str, Any], *, task: str | None, labels: Sequence[str]) -> nn.Module:
        """A randomly initialised network with the task's head (None: the bare encoder)."""

    def load(
        self,
        tensors: Mapping[str, torch.Tensor],
        config: Mapping[str, Any],
        *,
        task: str | None,
        labels: Sequence[str],
        new_head: bool,
        where: str,
    ) -> nn.Module:
        """The network with these weights (`hub_core.nn.weights.read_weights`), in float32.

        Strict: a missing or unknown tensor, or another shape, is a CheckpointError that names it and `where`. With
        `new_head` the head is random and what is there of another head is passed over.
        """

    def save(self, network: nn.Module, folder: Path, *, dtype: str = "float32") -> None:
        """Write ``model.safetensors``."""

    def config_json(self, config: Mapping[str, Any], *, task: str | None, labels: Sequence[str]) -> dict[str, Any]:
        """What ``config.json`` says, for other libraries that open the folder."""

    def loss(self, network: nn.Module, logits: torch.Tensor, batch: Batch, task: Task) -> torch.Tensor:
        """The sum of the weighted losses of a batch, a scalar."""

    def loss_weight(self, network: nn.Module, batch: Batch, task: Task) -> float:
        """How much `loss` adds up: what a mean divides by."""

    def constants(self, network: nn.Module) -> dict[str, Array]:
        """Arrays that decoding needs beside the logits (a CRF's transitions); empty for most."""

    def max_length(self, config: Mapping[str, Any]) -> int | None:
        """The most tokens a row may have, None without a limit."""


def family_of(name: str, catalog: Catalog) -> Family:
    """The family registered under a name, else the architecture that `transformers` knows by it.

    Raises NotFoundError with near matches.
    """
    registered = catalog.entries("family")
    if name in registered:
        family: Family = registered[name].load()()
        return family
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING_NAMES  # type: ignore[attr-defined]

    if name not in CONFIG_MAPPING_NAMES:
        raise NotFoundError(unknown("family", name, [*registered, *CONFIG_MAPPING_NAMES]))
    return TransformersFamily(name)


class TransformersFamily:
    """Any encoder that `transformers` builds from its ``model_type`` and a mapping of numbers."""

    supports: tuple[str, ...] = ("seq-cls", "token-cls")

    def __init__(self, name: str) -> None:
        self.name = name

    def build(self, config: Mapping[str, Any], *, task: str | None, labels: Sequence[str]) -> nn.Module:
        """See `Family.build`."""
        network: nn.Module = self._auto_class(task).from_config(self._config(config, labels))
        return network.eval()

    def load(
        self,
        tensors: Mapping[str, torch.Tensor],
        config: Mapping[str, Any],
        *,
        task: str | None,
        labels: Sequence[str],
        new_head: bool,
        where: str,
    ) -> nn.Module:
        """See `Family.load`."""
        from transformers.initialization import no_init_weights

        with no_init_weights():  # initialising a 12-layer BERT takes seconds, and every value is overwritten
            network: nn.Module = self._auto_class(task).from_config(self._config(config, labels))
        load_network(
            network,
            tensors,
            prefix=str(network.base_model_prefix),
            new_head=new_head,
            known=lambda: self._known_heads(config),
            where=where,
        )
        return network.eval()

    def save(self, network: nn.Module, folder: Path, *, dtype: str = "float32") -> None:
        """See `Family.save`."""
        write_weights(network.state_dict(), folder / WEIGHTS, dtype=dtype)

    def config_json(self, config: Mapping[str, Any], *, task: str | None, labels: Sequence[str]) -> dict[str, Any]:
        """See `Family.config_json`."""
        record: dict[str, Any] = self._config(config, labels).to_dict()
        with torch.device("meta"):
            record["architectures"] = [type(self.build(config, task=task, labels=labels)).__name__]
        return record

    def loss(self, network: nn.Module, logits: torch.Tensor, batch: Batch, task: Task) -> torch.Tensor:  # noqa: ARG002
        """See `Family.loss`: the task's own."""
        return task.loss(logits, batch)

    def loss_weight(self, network: nn.Module, batch: Batch, task: Task) -> float:  # noqa: ARG002
        """See `Family.loss_weight`: the task's own."""
        return task.loss_weight(batch)

    def constants(self, network: nn.Module) -> dict[str, Array]:  # noqa: ARG002
        """See `Family.constants`: none."""
        return {}

    def max_length(self, config: Mapping[str, Any]) -> int | None:
        """The number of position embeddings; RoBERTa's start after the padding id."""
        positions = config.get("max_position_embeddings")
        if positions is None:
            return None
        return int(positions) - (int(config.get("pad_token_id", 1)) + 1 if self.name in _OFFSET_POSITIONS else 0)

    def _config(self, config: Mapping[str, Any], labels: Sequence[str]) -> Any:
        from transformers import AutoConfig

        named = {"id2label": dict(enumerate(labels)), "label2id": {label: i for i, label in enumerate(labels)}}
        return AutoConfig.for_model(self.name, **{**config, **(named if labels else {})})

    def _auto_class(self, task: str | None) -> Any:
        import transformers

        from hub_core.plugins import catalog

        return getattr(
            transformers, "AutoModel" if task is None else f"AutoModelFor{catalog().get('task', task).auto_class}"
        )

    def _known_heads(self, config: Mapping[str, Any]) -> set[str]:
        """Names of all tensors that any head of this architecture has, learnt from a one-layer copy without data."""
        import transformers

        small = self._config({**config, "num_hidden_layers": 1}, ())
        names: set[str] = set()
        for kind in _HEADS:
            auto = getattr(transformers, f"AutoModel{kind}")
            if type(small) in auto._model_mapping:
                with torch.device("meta"):
                    network = auto.from_config(small)
                names |= set(network.state_dict())
                names |= {f"{network.base_model_prefix}.{name}" for name in network.state_dict() if not kind}
        return names


#: Architectures whose position ids start at ``pad_token_id + 1``.
_OFFSET_POSITIONS = frozenset({"roberta", "xlm-roberta", "camembert", "longformer"})

_HEADS = (
    "",
    "ForPreTraining",
    "ForMaskedLM",
    "ForSequenceClassification",
    "ForTokenClassification",
    "ForQuestionAnswering",
    "ForMultipleChoice",
    "ForNextSentencePrediction",
)
