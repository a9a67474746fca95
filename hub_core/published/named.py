"""Data sets by name, for those who have no Python at hand: the command line's ``--data tnews``."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from hub_core.data.check import DataReport, ReadSplit, check_splits
from hub_core.data.dataset import Dataset, labels_of
from hub_core.data.remote import is_address, shown
from hub_core.data.rows import RowReading, renaming_remedy
from hub_core.errors import LabelError, NotFoundError, SettingsError, unknown
from hub_core.examples import Example
from hub_core.plugins import Entry, catalog
from hub_core.published.dataset import CLEAN, PublishedDataset


def is_named(data: str | Path) -> bool:
    """Whether this names a data set rather than a folder: no folder of that name is here. Raises NotFoundError where
    it is neither."""
    if is_address(data) or Path(data).is_dir():
        return False
    if _entry(str(data)) is not None:
        return True
    raise NotFoundError(f"no folder {shown(data)}" + ("" if "/" in str(data) else f"; {_unknown(str(data))}"))


def is_spelt_like_a_set(name: str) -> bool:
    """Whether there is a data set of this name, in any spelling."""
    return _entry(name) is not None


def named_class(name: str) -> Any:
    """The class of a data set by its name, in any spelling: ``tnews``, ``FewCLUE-TNEWS``, ``sst_2``."""
    entry = _entry(name)
    if entry is None:
        raise NotFoundError(_unknown(name))
    return entry.load()


def named_dataset(
    name: str,
    *,
    task: str,
    mode: str = "train",
    label_list: Sequence[str] | None = None,
    rename_labels: Mapping[str, str] | None = None,
    task_options: Mapping[str, Any] | None = None,
) -> Dataset:
    """One split of a data set by its name, every row with its label.

    `label_list`: the labels in target order (those of a trained module), instead of the set's own. Raises
    NotFoundError (name, mode), SettingsError (a plugin's set of another task), LabelError (a label of a row that is not
    in `label_list`), DataError (rows, such as those of a split that is published without labels).
    """
    made = named_class(name)
    if issubclass(made, PublishedDataset):
        rows: Dataset = made(
            mode=mode, task=task, labelled=True, rename_labels=rename_labels, task_options=task_options
        )
    else:
        rows = _renamed(made(mode=mode), rename_labels or {})
        if rows.task != task:
            raise SettingsError(f"data set {name} is for {rows.task}, not for {task}")
    if label_list is not None and rows.label_list:
        strange = [label for label in labels_of(rows) if label not in label_list]
        if strange:
            remedy = renaming_remedy(strange, label_list) if len(strange) == len(rows.label_list) else ""
            raise LabelError(unknown("label", strange[0], label_list, where=f"in data set {name}", remedy=remedy))
        rows.label_list = list(label_list)
    return rows


def check_named(name: str, *, task: str | None = None, task_options: Mapping[str, Any] | None = None) -> DataReport:
    """Look at all splits of a data set that are there, as `hub_core.data.check.check_folder` looks at a folder's."""
    made = named_class(name)
    if issubclass(made, PublishedDataset):
        reading = RowReading(task or made.task, options=task_options or {})
        folder = made.folder()
        modes = [mode for mode in made.modes_in(folder) if not mode.endswith(CLEAN)]
        splits = {mode: made.read_split(made.path(folder, mode), reading) for mode in modes}
    else:
        splits = {mode: ReadSplit(made(mode=mode)) for mode in made.modes}
    return check_splits(splits, data=made.__name__, task=task or made.task, task_options=task_options)


def _entry(name: str) -> Entry | None:
    wanted = _plain(name)
    return next((entry for known, entry in catalog().entries("dataset").items() if _plain(known) == wanted), None)


def _unknown(name: str) -> str:
    return unknown("data set", name.lower(), map(str.lower, catalog().entries("dataset")))


def _plain(name: str) -> str:
    return re.sub(r"[\W_]", "", name).lower()


def _renamed(rows: Dataset, names: Mapping[str, str]) -> Dataset:
    """A data set with other names for its labels."""
    if not names:
        return rows

    def renamed(row: Example) -> Example:
        if isinstance(row.label, str):
            return replace(row, label=names.get(row.label, row.label))
        if isinstance(row.label, tuple):
            labels = tuple(map(str, row.label))
            return replace(row, label=tuple(names.get(label, label) for label in labels))
        return row

    labels = list(dict.fromkeys(names.get(label, label) for label in rows.label_list))
    return Dataset(map(renamed, rows), labels, task=rows.task, mode=rows.mode, files=rows.files)
