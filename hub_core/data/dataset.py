"""What every data set is: a sequence of examples with its labels, and a fingerprint of what it says."""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, overload

from hub_core.data.folder import canonical_mode
from hub_core.data.problems import Problems
from hub_core.data.rows import RowReading, to_examples
from hub_core.data.tables import Row
from hub_core.errors import DataError, LabelError, unknown
from hub_core.examples import Answer, Example, Label
from hub_core.labels import labels_from_map
from hub_core.paths import sha256_file
from hub_core.plugins import catalog
from hub_core.tagging import OUTSIDE

if TYPE_CHECKING:
    from hub_core.text.tokenizer import Tokenizer


@dataclass(frozen=True)
class DataFile:
    """A file that examples were read from, and the sha256 of its bytes."""

    path: Path
    sha256: str

    @classmethod
    def at(cls, path: Path) -> DataFile:
        """The file as it is now."""
        return cls(path, sha256_file(path))


class Dataset(Sequence[Example]):
    """A sequence of labelled examples; a slice is a Dataset with the same labels.

    `label_list` holds the labels in target order. `tokenizer` and `max_seq_len` (in tokens) are what the user wants
    them read with, kept for the trainer (None: what the task usually takes). `task_options` say how labels are read.
    """

    task: str = ""
    label_list: list[str] = []  # noqa: RUF012  (a list, as in PaddleHub; every instance owns a copy)
    #: The splits that a class knows by name; ``val`` is ``dev``.
    modes: ClassVar[tuple[str, ...]] = ("train", "dev", "test")

    def __init__(
        self,
        examples: Iterable[Example],
        label_list: Sequence[str],
        *,
        task: str | None = None,
        mode: str = "train",
        tokenizer: Tokenizer | None = None,
        max_seq_len: int | None = None,
        task_options: Mapping[str, Any] | None = None,
        files: Sequence[DataFile] = (),
    ) -> None:
        self._examples = list(examples)
        self.task = task or self.task
        self.task_options = dict(task_options or {})
        named = bool(label_list) or not self.task or catalog().get("task", self.task).has_labels(self.task_options)
        self.label_list = list(labels_from_map(label_list)) if named else []
        self.mode = canonical_mode(mode)
        self.tokenizer = tokenizer
        self.max_seq_len = max_seq_len
        self.files = tuple(files)

    @staticmethod
    def from_rows(
        rows: Iterable[Mapping[str, Any] | Sequence[Any] | Example],
        *,
        task: str,
        label_list: Sequence[str] | None = None,
        mode: str = "train",
        tokenizer: Tokenizer | None = None,
        max_seq_len: int | None = None,
        split_char: str = "\002",
        rename_labels: Mapping[str, str] | None = None,
        task_options: Mapping[str, Any] | None = None,
    ) -> Dataset:
        """A data set from memory.

        Rows are mappings with the columns of a file (``text``, ``text_pair``, ``tokens``, ``label``), tuples
        ``(text, label)`` or ``(text, pair, label)``, or Examples. For token-cls a label is a list with one string
        per token (or per character of a text), or a string joined by `split_char`. Without `label_list` the labels
        are those of the rows (`labels_of`). Raises DataError that calls row n (from 1) ``rows:n``.
        """
        given = list(rows)
        labels = None if label_list is None else renamed_labels(label_list, rename_labels)
        known = None if labels is None else frozenset(labels)
        reading = RowReading(task, known, rename_labels or {}, split_char, options=task_options or {})
        problems = Problems()
        numbered = (Row(_as_columns(row, n), "rows", n) for n, row in enumerate(given, start=1))
        examples = list(to_examples(numbered, reading, problems))
        problems.raise_if_any()
        kept = [
            replace(example, key=row.key, columns=row.columns) if isinstance(row, Example) else example
            for example, row in zip(examples, given, strict=True)
        ]
        found = (labels_of(kept) if reading.has_labels else []) if labels is None else labels
        options: dict[str, Any] = {"tokenizer": tokenizer, "max_seq_len": max_seq_len, "task_options": task_options}
        return Dataset(kept, found, task=task, mode=mode, **options)

    @property
    def label_map(self) -> dict[str, int]:
        """Label to target, as in PaddleHub's data sets."""
        return {label: target for target, label in enumerate(self.label_list)}

    def get_labels(self) -> list[str]:
        """The labels in target order (PaddleHub's name for `label_list`)."""
        return list(self.label_list)

    def fingerprint(self) -> str:
        """The sha256 of what the examples say (texts, units, labels, and their order), as 64 hex digits.

        Where they were read from does not count: a file that was moved, packed or converted keeps its fingerprint.
        """
        return self._fingerprint

    @cached_property
    def _fingerprint(self) -> str:
        digest = hashlib.sha256()
        encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
        for one in self._examples:
            units = one.units if one.units is None or one.units != tuple(one.text) else "characters"
            label = (
                [vars(a) if isinstance(a, Answer) else a for a in one.label]
                if isinstance(one.label, tuple)
                else one.label
            )
            negatives = one.columns.get("negative")
            content = encode([one.text, one.pair, units, label, *([negatives] if negatives else [])]) + "\n"
            digest.update(content.encode("utf-8", errors="surrogatepass"))
        return digest.hexdigest()

    def __len__(self) -> int:
        return len(self._examples)

    @overload
    def __getitem__(self, index: int) -> Example: ...
    @overload
    def __getitem__(self, index: slice) -> Dataset: ...
    def __getitem__(self, index: int | slice) -> Example | Dataset:
        return self._of(self._examples[index]) if isinstance(index, slice) else self._examples[index]

    def pick(self, rows: Iterable[int]) -> Dataset:
        """The rows of these numbers (from 0), in this order, as a Dataset with the same labels."""
        return self._of([self._examples[row] for row in rows])

    def _of(self, examples: list[Example]) -> Dataset:
        part = copy.copy(self)
        part.__dict__.pop("_fingerprint", None)
        part._examples = examples
        return part

    def __repr__(self) -> str:
        return f"{type(self).__name__}(mode={self.mode!r}, {len(self)} rows, {len(self.label_list)} labels)"


def labels_of(*splits: Iterable[Example]) -> list[str]:
    """The labels that stand in these examples (of a train split, as a rule), each once, in an order that does not
    depend on theirs: ``O`` first, then by number where all are whole numbers, else alphabetically.

    The order becomes the targets, so it belongs with the weights: a module's manifest keeps it. Raises LabelError
    where no example has a label.
    """
    found: set[str] = set()
    for split in splits:
        for example in split:
            if example.label is not None:
                found.update((example.label,) if isinstance(example.label, str) else map(str, _several(example.label)))
    if not found:
        raise LabelError("no row has a label, so there is nothing to learn the labels from; pass label_list")
    numbers = all(label.isascii() and label.isdigit() for label in found)
    return sorted(found, key=lambda label: (label != OUTSIDE, int(label) if numbers else 0, label))


def _several(label: Label) -> tuple[object, ...]:
    """Labels that are several. Raises LabelError for a number, which is no label by name."""
    if not isinstance(label, tuple):
        raise LabelError(f"labels are needed to learn them, not {label!r}")
    return label


def renamed_labels(labels: Sequence[str], rename: Mapping[str, str] | None) -> list[str]:
    """Labels in target order under their new names; two that get the same name become one.

    Labels that have their new names already (those of a trained module) stay. Raises LabelError where `rename` speaks
    of a label that is there under neither name.
    """
    for label, name in (rename or {}).items():
        if label not in labels and name not in labels:
            raise LabelError(unknown("label", label, labels, where="in rename_labels"))
    return list(dict.fromkeys((rename or {}).get(label, label) for label in labels))


def _as_columns(row: Mapping[str, Any] | Sequence[Any] | Example, number: int) -> dict[str, Any]:
    """What a caller gives for a row, by column name."""
    match row:
        case Example(units=None):
            return {"text": row.text, "text_pair": row.pair, "label": row.label}
        case Example():
            return {"tokens": row.units, "label": row.label}
        case Mapping():
            return dict(row)
        case (text, label):
            return {"text": text, "label": label}
        case (text, pair, label):
            return {"text": text, "text_pair": pair, "label": label}
    raise DataError([f"rows:{number}: expected a mapping, (text, label) or (text, pair, label), not {row!r}"])
