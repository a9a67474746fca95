"""Modules as pre-training needs them: with the heads that it learns by, and what a module knows already in them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from hub_core.errors import NotFoundError, SettingsError
from hub_core.nn.families import TransformersFamily
from hub_core.nn.weights import renamed
from hub_core.pretrain.scale import as_new
from hub_core.pretrain.task import Headless, PreTraining
from hub_core.spec import ModuleSpec
from hub_core.tasks.masked_lm import MaskedLm
from hub_core.torch_module import TorchModule

#: In the names of a head that judges the order of sentences, as `transformers` has them.
_ORDER_HEADS = ("seq_relationship", "sop_classifier")


class Learner(TorchModule):
    """A module while it is pre-trained: what it saves is to be fine-tuned."""

    def save(
        self, folder: str | Path, *, dtype: str = "float32", metrics: Mapping[str, Any] | None = None, card: str = ""
    ) -> ModuleSpec:
        """See `TorchModule.save`; embeddings are written in the scale of new ones (`hub_core.pretrain.scale`)."""
        with as_new(self.network):
            return super().save(folder, dtype=dtype, metrics=metrics, card=card)


def for_rows(module: TorchModule, network: Any = None) -> TorchModule:
    """The module with the task that makes batches of a corpus's rows, around `network` where one is given."""
    task = PreTraining((), _options(module))
    return Learner(module.spec, module.family, module.network if network is None else network, module.tokenizer, task)


def with_words(module: TorchModule) -> TorchModule:
    """A masked-lm module for a corpus's rows, its head as it is. Raises SettingsError where it was loaded without."""
    head = getattr(module.network, "get_output_embeddings", lambda: None)()
    if head is None:
        raise SettingsError(f"{module.spec.name} has no head for hidden words; load it with task='masked-lm'")
    return for_rows(module)


def with_order(module: TorchModule, stored: Mapping[str, torch.Tensor] | None = None) -> TorchModule:
    """A masked-lm module with a second head for the order of sentences, as BERT, ERNIE and ALBERT have one.

    `stored` are the tensors of the file that the module is from: a pooler and a head of the order in it are taken over,
    and what it lacks is new. Raises SettingsError where the architecture has no such head.
    """
    network = _network(module, "the order of sentences")
    named = any(head in name for name, _ in network.named_parameters() for head in _ORDER_HEADS)
    if network.get_output_embeddings() is None or not named:
        raise SettingsError(
            f"family {module.family.name!r} has no head for the order of sentences; choose --objective mlm"
        )
    _take_over(network, stored or {})
    _take_over(network, module.network.state_dict())
    return for_rows(module, network)


def with_detector(module: TorchModule, stored: Mapping[str, torch.Tensor] | None = None) -> TorchModule:
    """An ELECTRA module with the head that tells replaced tokens from others. Raises SettingsError for other families.

    `stored` are the tensors of the file that the module is from: its encoder, and such a head in it, are taken over.
    """
    if module.spec.family != "electra":
        raise SettingsError(
            f"family {module.spec.family!r} has no head that finds replaced tokens; that is for family 'electra'"
        )
    network = _network(module, "replaced tokens")
    _take_over(network, stored or {})
    _take_over(network, module.network.state_dict())
    task = Headless((), _options(module))
    return Learner(module.spec, module.family, network, module.tokenizer, task)


def _options(module: TorchModule) -> Mapping[str, Any] | None:
    """The task's options of a module that fills in words; those of another task say nothing here."""
    return module.task.options if module.task is not None and module.task.name == MaskedLm.name else None


def generator_for(module: TorchModule, *, share: float) -> nn.Module:
    """A small network that fills in what is hidden, for `with_detector`: `share` of the width, the same embeddings.

    Clark et al. 2020 found a quarter to a half best. Raises SettingsError for a share that leaves no whole heads.
    """
    config = dict(module.spec.config)
    heads = int(config.get("num_attention_heads", 4))
    width = int(config.get("hidden_size", 256))
    fewer = max(1, round(share * heads))
    if not 0 < share <= 1 or width % heads:
        raise SettingsError(f"a generator of {share} of the width cannot be built; give a share between 0 and 1")
    embedding = int(config.get("embedding_size", 128))
    small = {
        **config,
        "embedding_size": embedding,
        "num_attention_heads": fewer,
        "hidden_size": width // heads * fewer,
        "intermediate_size": max(1, round(share * int(config.get("intermediate_size", 4 * width)))),
    }
    network: Any = module.family.build(small, heads=MaskedLm(()).head_specs())
    detector: Any = module.network
    network.electra.embeddings = detector.electra.embeddings
    network.tie_weights()
    made: nn.Module = network.train()
    return made


def _network(module: TorchModule, what: str) -> Any:
    if not isinstance(module.family, TransformersFamily):
        raise SettingsError(f"family {module.family.name!r} has no network that learns {what}; choose --objective mlm")
    try:
        return module.family.pretraining(module.spec.config)
    except NotFoundError as error:
        raise SettingsError(
            f"family {module.family.name!r} has no network that learns {what}; choose --objective mlm"
        ) from error


def _take_over(network: Any, tensors: Mapping[str, torch.Tensor]) -> None:
    """Copy the tensors that a network has too; what it lacks is passed over, and its others stay as they are."""
    own = network.state_dict()
    found = renamed(tensors, own, str(network.base_model_prefix))
    fitting = {name: value for name, value in found.items() if name in own and own[name].shape == value.shape}
    network.load_state_dict(fitting, strict=False)
