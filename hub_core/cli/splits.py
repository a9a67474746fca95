"""A split to measure or train on, of a folder or of a named data set, with labels by better names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hub_core.errors import LabelError, SettingsError, unknown

if TYPE_CHECKING:
    from hub_core.data.dataset import Dataset
    from hub_core.data.tables import Columns


def read_split(
    data: str | Path,
    *,
    task: str,
    split: str,
    labels: Sequence[str] | None,
    renaming: Mapping[str, str],
    columns: Columns | None = None,
    split_char: str = "\002",
    options: Mapping[str, Any] | None = None,
) -> Dataset:
    """One split of a folder, or of a data set by its name where there is no such folder.

    `labels` are those after renaming, in target order; None: the data's own. Raises LabelError for a new name that is
    none of `labels`, and what `hub_core.datasets.folder_dataset` and `named_dataset` raise.
    """
    from hub_core.datasets import folder_dataset
    from hub_core.published.named import is_named, named_dataset

    if labels is not None:
        _check_renaming(renaming, labels)
    asked: dict[str, Any] = {"label_list": labels or None, "rename_labels": renaming, "task_options": options}
    if is_named(data):
        if columns is not None:
            raise SettingsError(f"--columns is for a folder of files; {data} is a data set that knows its own")
        if split_char != "\002":
            raise SettingsError(f"--split-char is for a folder of files; {data} is a data set that knows its own")
        dataset = named_dataset(str(data), task=task, mode=split, **asked)
    else:
        dataset = folder_dataset(data, task=task, mode=split, columns=columns, split_char=split_char, **asked)
    _check_renaming(renaming, dataset.label_list)
    return dataset


def _check_renaming(renaming: Mapping[str, str], labels: Sequence[str]) -> None:
    for old, new in renaming.items():
        if new not in labels:
            raise LabelError(unknown("label", new, labels, where=f"in --rename-labels {old}={new}"))
