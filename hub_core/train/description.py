"""What makes a run this run and no other: a saved state continues only under an equal description."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

import torch

from hub_core.examples import Example
from hub_core.torch_module import TorchModule
from hub_core.train.settings import TrainSettings

#: Settings that may change between two parts of a run: none of them changes what a step does.
_FREE = (
    *("resume", "save_dtype", "keep_epochs", "save_steps", "state_steps", "log_to", "recompute"),
    *("evaluate_every", "eval_interval", "metric", "patience", "min_delta"),
)


def fingerprint(dataset: Iterable[Example]) -> str:
    """A hash of rows and labels: the data set's own, or one of a plain sequence."""
    if hasattr(dataset, "fingerprint"):
        return str(dataset.fingerprint())
    digest = hashlib.sha256()
    for example in dataset:
        digest.update(repr((example.text, example.pair, example.units, example.label)).encode("utf-8", "surrogatepass"))
    return digest.hexdigest()[:16]


def describe_module(module: TorchModule) -> dict[str, Any]:
    """The architecture, the task and the tokenizer of a module; not its weights, which a state holds."""
    task = module.task
    return {
        "module": module.spec.title,
        "config": plain(module.spec.config),
        "task": task and {"name": task.name, "options": plain(task.options)},
        "labels": list(module.labels),
        "tokenizer": {**plain(module.tokenizer.manifest()), "vocabulary": module.tokenizer.vocabulary_hash()[:16]},
    }


def describe_settings(settings: TrainSettings) -> dict[str, Any]:
    """The settings that decide what a step does (the row length is the task's option)."""
    return {key: value for key, value in settings.to_json().items() if key not in (*_FREE, "max_seq_len")}


def describe_optimizer(optimizer: torch.optim.Optimizer, *, by_settings: bool = False) -> dict[str, Any]:
    """The optimizer's class, and per group its hyper-parameters and how many tensors it holds.

    Of one that was made `by_settings` these say the same, and only the numbers of tensors are left to tell.
    """
    groups = [{**({} if by_settings else group), "params": len(group["params"])} for group in optimizer.param_groups]
    return {"class": type(optimizer).__name__, "groups": plain(groups)}


def plain(value: Any) -> Any:
    """A value as JSON would give it back; tensors as numbers, and what JSON does not know as its text."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, torch.Tensor):
        return value.tolist()
    return value if isinstance(value, (str, int, float, bool)) or value is None else repr(value)
