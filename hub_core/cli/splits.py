"""A split of a folder to measure or train on, with labels by better names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hub_core.errors import LabelError, unknown

if TYPE_CHECKING:
    from hub_core.data.dataset import Dataset


def read_split(
    folder: Path,
    *,
    task: str,
    split: str,
    labels: Sequence[str] | None,
    renaming: Mapping[str, str],
    options: Mapping[str, Any] | None = None,
) -> Dataset:
    """One split of a folder. `labels` are those after renaming, in target order; None: the data's own.

    Raises LabelError for a new name that is none of `labels`, and what `hub_core.datasets.folder_dataset` raises.
    """
    from hub_core.datasets import folder_dataset

    if labels is not None:
        _check_renaming(renaming, labels)
    dataset = folder_dataset(
        folder, task=task, mode=split, label_list=labels or None, rename_labels=renaming, task_options=options
    )
    _check_renaming(renaming, dataset.label_list)
    return dataset


def _check_renaming(renaming: Mapping[str, str], labels: Sequence[str]) -> None:
    for old, new in renaming.items():
        if new not in labels:
            raise LabelError(unknown("label", new, labels, where=f"in --rename-labels {old}={new}"))
