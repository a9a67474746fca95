"""How much rows (or tokens) of a label count in the loss: as `torch.nn.CrossEntropyLoss(weight=...)` weights them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from hub_core.errors import SettingsError, unknown
from hub_core.examples import IGNORE, Array, Batch, Features

if TYPE_CHECKING:
    from hub_core.torch_module import TorchModule
    from hub_core.train.settings import TrainSettings


def weight_table(settings: TrainSettings, module: TorchModule, features: Sequence[Features]) -> Array | None:
    """The weight of every target, float32 ``(labels,)``; None where labels are not weighted.

    ``balanced`` gives a label ``rows / (labels that occur * rows of this label)``, so that all labels weigh the same
    in all (King and Zeng 2001; scikit-learn's ``compute_class_weight``); rows are tokens where tokens have labels.
    Raises SettingsError for a label that the task does not know, and for a task without one label per row or token.
    """
    wanted = settings.class_weights
    if wanted is None:
        return None
    task = module.known_task()
    if module.family.constants(module.network):
        raise SettingsError(f"class_weights: {module.spec.title} learns the labels of a row as a whole (a CRF)")
    if not all(_is_of_labels(row, len(task.labels)) for row in features):
        asked = f"{task.name} with problem={task.options['problem']}" if "problem" in task.options else task.name
        raise SettingsError(f"class_weights are for tasks with one label per row or per token, and not for {asked}")
    if isinstance(wanted, Mapping):
        return _given(wanted, task.labels)
    return _balanced(features, len(task.labels))


def weighted(batch: Batch, table: Array) -> Batch:
    """A batch (of numpy arrays) whose weights are those of its rows, times those of their targets.

    They become one per row ``(batch,)`` or one per token ``(batch, length)``, as the targets are.
    """
    own = table[np.where(batch.targets == IGNORE, 0, batch.targets)]
    rows = batch.weights if batch.targets.ndim == 1 else batch.weights[:, None]
    return replace(batch, weights=(own * rows).astype(np.float32))


def _given(wanted: Mapping[str, float], labels: Sequence[str]) -> Array:
    for label in wanted:
        if label not in labels:
            raise SettingsError(unknown("label", label, labels, where="in class_weights"))
    if not any(wanted.get(label, 1.0) for label in labels):
        raise SettingsError("class_weights: at least one label must count more than 0")
    return np.array([wanted.get(label, 1.0) for label in labels], dtype=np.float32)


def _balanced(features: Sequence[Features], labels: int) -> Array:
    targets = np.concatenate([np.atleast_1d(np.asarray(row.target)) for row in features])
    counts = np.bincount(targets[targets != IGNORE], minlength=labels)
    # A label that does not occur weighs nothing anywhere, whatever stands here.
    shares: Array = counts.sum() / (np.count_nonzero(counts) * np.maximum(counts, 1))
    return shares.astype(np.float32)


def _is_of_labels(row: Features, labels: int) -> bool:
    """Whether a row's target is the number of a label, or one such number per token."""
    target = np.asarray(row.target)
    if target.dtype.kind != "i" or target.shape not in ((), (row.length,)):
        return False
    known = target[target != IGNORE]
    return bool(((known >= 0) & (known < labels)).all())
