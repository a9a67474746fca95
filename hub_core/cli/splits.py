"""Data for the commands: a split of a folder to measure or train on, or rows of a file to be answered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from hub_core.errors import LabelError, unknown

if TYPE_CHECKING:
    from hub_core.data.dataset import Dataset
    from hub_core.examples import Example
    from hub_core.tasks.task import Task


def read_split(
    folder: Path, *, task: str, split: str, labels: Sequence[str] | None, renaming: Mapping[str, str]
) -> Dataset:
    """One split of a folder. `labels` are those after renaming, in target order; None: the data's own.

    Raises LabelError for a new name that is none of `labels`, and what `hub_core.datasets.folder_dataset` raises.
    """
    from hub_core.datasets import folder_dataset

    if labels is not None:
        _check_renaming(renaming, labels)
    in_file = None if labels is None else _names_in_file(labels, renaming)
    dataset = folder_dataset(folder, task=task, mode=split, label_list=in_file, rename_labels=renaming)
    _check_renaming(renaming, dataset.label_list)
    return dataset


def read_unlabelled(path: Path, task: Task) -> list[Example]:
    """The rows of a table, or a text per line of any other file, to be answered by a task.

    Labels are passed over: they may be others than the task's. Where token-cls is given a text in one piece, it
    means the text's characters. Raises what `hub_core.data.texts.read_texts` raises.
    """
    from hub_core.data.texts import read_texts

    rows = [replace(row, label=None) for row in read_texts(path, task=task.name)]
    return [task.example(row.text, key=row.key) if row.units == (row.text,) else row for row in rows]


def _check_renaming(renaming: Mapping[str, str], labels: Sequence[str]) -> None:
    for old, new in renaming.items():
        if new not in labels:
            raise LabelError(unknown("label", new, labels, where=f"in --rename-labels {old}={new}"))


def _names_in_file(labels: Sequence[str], renaming: Mapping[str, str]) -> list[str]:
    """The labels as the data calls them, so that renaming these gives `labels`."""
    old_names = {label: [old for old, new in renaming.items() if new == label] for label in labels}
    return [name for label in labels for name in old_names[label] or [label]]
