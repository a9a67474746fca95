"""Data sets of Hugging Face's `datasets` library."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from hub_core.data.dataset import Dataset, labels_of, renamed_labels
from hub_core.data.problems import Problems
from hub_core.data.rows import LABEL, RowReading, to_examples
from hub_core.data.tables import Row, renamed_columns
from hub_core.errors import SettingsError, unknown

if TYPE_CHECKING:
    from hub_core.text.tokenizer import Tokenizer


def from_hf(
    dataset: Any,
    *,
    task: str,
    columns: Mapping[str, str] | None = None,
    label_list: Sequence[str] | None = None,
    mode: str = "train",
    tokenizer: Tokenizer | None = None,
    max_seq_len: int | None = None,
    rename_labels: Mapping[str, str] | None = None,
    task_options: Mapping[str, Any] | None = None,
) -> Dataset:
    """A split of Hugging Face's `datasets` (a ``datasets.Dataset`` or ``IterableDataset``) as a data set of ours.

        from_hf(load_dataset("clue", "tnews")["train"], task="seq-cls", columns={"sentence": "text"})

    - `columns` gives its columns the names that tasks read (``text``, ``text_pair``, ``tokens``, ``label``, ...).
    - Classes that are numbers there (its feature ``ClassLabel``, also in a list) become labels by their names, in the
      feature's order; -1, which stands for a class that nobody knows, becomes no label.
    - `label_list`, `rename_labels` and the other arguments as for `Dataset.from_rows`.

    Raises SettingsError for a whole ``DatasetDict`` (its splits are named) and for a column that is not there,
    DataError that calls row n (from 1) ``rows:n``.
    """
    if isinstance(dataset, Mapping):
        raise SettingsError(
            f"from_hf takes one split, such as dataset[{next(iter(dataset), 'train')!r}]; there are: "
            + ", ".join(map(str, dataset))
        )
    features = dict(getattr(dataset, "features", None) or {})
    for name in columns or ():
        if features and name not in features:
            raise SettingsError(unknown("column", name, features, where="in columns="))
    classes = {name: found for name, feature in features.items() if (found := _class_names(feature)) is not None}
    reading = RowReading(task, rename=rename_labels or {}, options=task_options or {})
    named = _label_column(features, columns or {})
    if label_list is None and named in classes and reading.has_labels:
        label_list = classes[named]
    labels = None if label_list is None else renamed_labels(label_list, rename_labels)
    reading = replace(reading, labels=None if labels is None else frozenset(labels))
    problems = Problems()
    rows = renamed_columns(_rows(dataset, classes), columns or {}, problems)
    examples = list(to_examples(rows, reading, problems))
    problems.raise_if_any()
    if labels is None:
        labels = labels_of(examples) if reading.has_labels else []
    options: dict[str, Any] = {"tokenizer": tokenizer, "max_seq_len": max_seq_len, "task_options": task_options}
    return Dataset(examples, labels, task=task, mode=mode, **options)


def _rows(dataset: Any, classes: Mapping[str, Sequence[str]]) -> Iterator[Row]:
    for number, row in enumerate(dataset, start=1):
        values = {name: _named(value, classes[name]) if name in classes else value for name, value in row.items()}
        yield Row(values, "rows", number, header="columns")


def _named(value: Any, names: Sequence[str]) -> Any:
    """A class (or a list of them) by name; None for -1."""
    if isinstance(value, list | tuple):
        return [_named(item, names) for item in value]
    if isinstance(value, int) and not isinstance(value, bool):
        return names[value] if 0 <= value < len(names) else None
    return value


def _class_names(feature: Any) -> list[str] | None:
    """The names of a ``ClassLabel``, or of one inside a list; None for any other feature."""
    inner = getattr(feature, "feature", None)  # of datasets.List and Sequence
    if isinstance(feature, list) and len(feature) == 1:
        inner = feature[0]
    if inner is not None:
        return _class_names(inner)
    names = getattr(feature, "names", None)
    return list(names) if names is not None and hasattr(feature, "int2str") else None


def _label_column(features: Mapping[str, Any], columns: Mapping[str, str]) -> str | None:
    """The column that a task will read labels from."""
    for name, called in columns.items():
        if called in LABEL:
            return name
    return next((name for name in LABEL if name in features), None)
