"""Families: how an architecture is built, loaded and saved. Most come from `transformers`, by data alone."""

from __future__ import annotations

import difflib
import inspect
import logging
import threading
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import torch
from torch import nn

from hub_core.errors import ManifestError, NotFoundError, unknown
from hub_core.examples import Array, Batch
from hub_core.nn.joint import JointNetwork
from hub_core.nn.weights import distinct_tensors, holds_head, load_network, write_weights
from hub_core.plugins import BROUGHT, Catalog
from hub_core.spec import WEIGHTS, HeadSpec

if TYPE_CHECKING:
    from hub_core.tasks.task import Task

logger = logging.getLogger("hub_core")


class Family(Protocol):
    """One architecture. `config` is the manifest's mapping, `heads` those of the network (none: the bare encoder)."""

    name: str
    supports: tuple[str, ...]
    #: Whether answering gains from a lower precision where the device has one.
    lowers: bool

    def build(self, config: Mapping[str, Any], *, heads: Sequence[HeadSpec]) -> nn.Module:
        """A randomly initialised network with these heads."""

    def load(
        self,
        tensors: Mapping[str, torch.Tensor],
        config: Mapping[str, Any],
        *,
        heads: Sequence[HeadSpec],
        new_head: bool,
        where: str,
    ) -> nn.Module:
        """The network with these weights (`hub_core.nn.weights.read_weights`), in float32.

        Strict: a missing or unknown tensor, or another shape, is a CheckpointError that names it and `where`. With
        `new_head` the head is random and what is there of another head is passed over.
        """

    def holds(self, tensors: Collection[str], config: Mapping[str, Any], head: HeadSpec) -> bool:
        """Whether tensors of these names make up the whole of a head."""

    def save(self, network: nn.Module, folder: Path, *, dtype: str = "float32") -> None:
        """Write ``model.safetensors``."""

    def config_json(self, config: Mapping[str, Any], *, heads: Sequence[HeadSpec]) -> dict[str, Any]:
        """What ``config.json`` says, for other libraries that open the folder."""

    def encoder(self, network: nn.Module) -> nn.Module:
        """The bare encoder of a network, which gives ``last_hidden_state``."""

    def loss(self, network: nn.Module, logits: torch.Tensor, batch: Batch, task: Task) -> torch.Tensor:
        """The sum of the weighted losses of a batch, a scalar."""

    def loss_weight(self, network: nn.Module, batch: Batch, task: Task) -> float:
        """How much `loss` adds up: what a mean divides by."""

    def constants(self, network: nn.Module) -> dict[str, Array]:
        """Arrays that decoding needs beside the logits (a CRF's transitions); empty for most."""

    def max_length(self, config: Mapping[str, Any]) -> int | None:
        """The most tokens a row may have, None without a limit."""

    def blocks(self, network: nn.Module) -> list[nn.Module]:
        """The repeated layers, which sharded training cuts one by one; empty where a network is not to be cut."""


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
        raise NotFoundError(unknown("family", name, [*registered, *CONFIG_MAPPING_NAMES], remedy=BROUGHT))
    return TransformersFamily(name)


class TransformersFamily:
    """Any encoder that `transformers` builds from its ``model_type`` and a mapping of numbers."""

    supports: tuple[str, ...] = (
        *("seq-cls", "token-cls", "text-matching"),
        *("embedding", "masked-lm", "question-answering"),
    )
    lowers = True
    #: Held while a network is made: `no_init_weights` patches torch for the whole process.
    _building: ClassVar[threading.RLock] = threading.RLock()

    def __init__(self, name: str) -> None:
        self.name = name

    def build(self, config: Mapping[str, Any], *, heads: Sequence[HeadSpec]) -> nn.Module:
        """See `Family.build`."""
        with self._building:
            return self._network(config, heads).eval()

    def load(
        self,
        tensors: Mapping[str, torch.Tensor],
        config: Mapping[str, Any],
        *,
        heads: Sequence[HeadSpec],
        new_head: bool,
        where: str,
    ) -> nn.Module:
        """See `Family.load`."""
        from transformers.initialization import no_init_weights

        with self._building:
            with no_init_weights():  # initialising a 12-layer BERT takes seconds, and every value is overwritten
                network = self._network(config, heads)
            load_network(
                network,
                tensors,
                prefix=str(network.base_model_prefix),
                # Where no head has weights only the pooler may be missing, which few files of pre-training have.
                new_head=new_head or not any(task_of(head).has_weights for head in heads),
                known=lambda: self._known_heads(config),
                where=where,
            )
        return network.eval()

    def save(self, network: nn.Module, folder: Path, *, dtype: str = "float32") -> None:
        """See `Family.save`."""
        write_weights(distinct_tensors(network), folder / WEIGHTS, dtype=dtype)

    def pretraining(self, config: Mapping[str, Any]) -> nn.Module:
        """The network that this architecture is pre-trained with, random. Raises NotFoundError where it has none."""
        with self._building:
            return self._made("AutoModelForPreTraining", config, None).eval()

    def holds(self, tensors: Collection[str], config: Mapping[str, Any], head: HeadSpec) -> bool:
        """See `Family.holds`."""
        with torch.device("meta"):
            return holds_head(self.build(config, heads=[head]), tensors)

    def config_json(self, config: Mapping[str, Any], *, heads: Sequence[HeadSpec]) -> dict[str, Any]:
        """See `Family.config_json`; a head that `transformers` does not have is left out: it opens the encoder."""
        head = heads[0] if len(heads) == 1 and task_of(heads[0]).auto_class else None
        record: dict[str, Any] = self._config(config, head).to_dict()
        with torch.device("meta"):
            record["architectures"] = [type(self.build(config, heads=[head] if head else [])).__name__]
        return record

    def encoder(self, network: nn.Module) -> nn.Module:
        """See `Family.encoder`."""
        found: nn.Module = getattr(network, str(network.base_model_prefix), network)
        return found

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
        """The number of positions, the architecture's own default included; RoBERTa's start after the padding id."""
        full = self._config(config, None)
        positions = getattr(full, "max_position_embeddings", None) or getattr(full, "n_positions", None)
        if not isinstance(positions, int) or positions < 1:  # XLNet says -1: no limit
            return None
        padding = 1 if self.name == "mpnet" else full.pad_token_id  # MPNet's is fixed in its code
        return positions - (padding + 1 if self.name in _OFFSET_POSITIONS and padding is not None else 0)

    def blocks(self, network: nn.Module) -> list[nn.Module]:
        """See `Family.blocks`: what stands in the outermost lists of layers."""
        found: list[nn.Module] = []
        for child in network.children():
            found += child if isinstance(child, nn.ModuleList) else self.blocks(child)
        return found

    def _network(self, config: Mapping[str, Any], heads: Sequence[HeadSpec]) -> nn.Module:
        """The network with its heads: as `transformers` makes it where it has such a class."""
        if not heads:
            return self._made("AutoModel", config, None)
        if len(heads) > 1:
            return JointNetwork({head.name: self._network(config, [head]) for head in heads})
        task = task_of(heads[0])
        self._check_padding(task.name)
        if task.auto_class is not None:
            return self._made(f"AutoModelFor{task.auto_class}", config, heads[0])
        encoder: Any = self._made("AutoModel", config, None)
        return task.network(encoder, str(encoder.base_model_prefix))

    def _made(self, auto_class: str, config: Mapping[str, Any], head: HeadSpec | None) -> nn.Module:
        """The network that a class of `transformers` makes. Raises ManifestError where it cannot make one of this."""
        import transformers

        auto, full = getattr(transformers, auto_class), self._config(config, head)
        if type(full) not in auto._model_mapping:
            raise NotFoundError(
                f"family {self.name!r} has no network for task {head.task if head else None!r} in transformers"
            )
        try:
            network: nn.Module = auto.from_config(full)
        except Exception as error:  # of many kinds, whatever an architecture's constructor trips over
            raise ManifestError(f"config of family {self.name}", [f"no network can be built: {error}"]) from error
        return network

    def _config(self, config: Mapping[str, Any], head: HeadSpec | None) -> Any:
        from transformers import AutoConfig
        from transformers.models.auto.configuration_auto import CONFIG_MAPPING

        kind = CONFIG_MAPPING[self.name]
        misspelt = _misspelt(config, [*inspect.signature(kind).parameters, *kind.attribute_map])
        if misspelt:
            raise ManifestError(f"config of family {self.name}", misspelt)
        named = {} if head is None else task_of(head).network_config()
        try:
            return AutoConfig.for_model(self.name, **{**config, **named})
        except Exception as error:  # of many kinds: each architecture checks its numbers in its own way
            raise ManifestError(f"config of family {self.name}", [str(error)]) from error

    def _check_padding(self, task: str) -> None:
        """Raise NotFoundError where an architecture's answers would be unsound."""
        from transformers.models.auto import modeling_auto

        causal = modeling_auto.MODEL_FOR_CAUSAL_LM_MAPPING_NAMES.keys()
        decoder = self.name in causal - modeling_auto.MODEL_FOR_MASKED_LM_MAPPING_NAMES.keys()
        if self.name in _MIXES_PADDING or (decoder and task == "seq-cls"):
            raise NotFoundError(f"family {self.name!r} is not supported for {task}: its answers depend on padding")

    def _known_heads(self, config: Mapping[str, Any]) -> set[str]:
        """Names of all tensors that any head of this architecture has, learnt from networks without data."""
        import transformers
        from transformers.initialization import no_init_weights

        full = self._config(config, None)
        names = {"classifier.log_scale", "classifier.threshold"}  # `hub_core.nn.sentence.Cosine`
        for kind in _HEADS:
            auto = getattr(transformers, f"AutoModel{kind}")
            if type(full) in auto._model_mapping:
                try:
                    with torch.device("meta"), no_init_weights():
                        network = auto.from_config(full)
                except _UNBUILDABLE as error:
                    logger.debug("family %s: %s cannot be built: %s", self.name, auto.__name__, error)
                    continue
                names |= set(network.state_dict())
                names |= {f"{network.base_model_prefix}.{name}" for name in network.state_dict() if not kind}
        return names


def task_of(head: HeadSpec) -> Task:
    """The task that a row of the manifest describes. Raises NotFoundError for an unknown one."""
    from hub_core.plugins import catalog

    task: Task = catalog().get("task", head.task)(head.labels, head.options)
    return task


def _misspelt(config: Mapping[str, Any], known: Iterable[str]) -> list[str]:
    """Keys that the architecture does not know, and that are almost one which is not given.

    Others are let be: config.json of many a repository has keys that no network reads.
    """
    free = sorted(set(known) - config.keys())
    strange = [(key, difflib.get_close_matches(key, free, n=1, cutoff=0.85)) for key in config if key not in known]
    return [f"unknown key {key!r}; did you mean {near[0]!r}?" for key, near in strange if near]


#: What a head's constructor raises where it wants more of a config than the others do.
_UNBUILDABLE = (ArithmeticError, AssertionError, AttributeError, LookupError, RuntimeError, TypeError, ValueError)

#: Architectures whose position ids start at ``pad_token_id + 1``.
_OFFSET_POSITIONS = frozenset(
    {
        *("camembert", "data2vec-text", "esm", "ibert", "layoutlmv3", "lilt", "longformer", "luke", "markuplm"),
        *("mpnet", "roberta", "roberta-prelayernorm", "xlm-roberta", "xlm-roberta-xl", "xmod"),
    }
)
#: Architectures in which padding reaches a row's answer whatever the mask says: they convolve, pool or transform along
#: the padded length.
_MIXES_PADDING = frozenset({"canine", "convbert", "fnet", "funnel", "nystromformer", "reformer", "yoso"})

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
