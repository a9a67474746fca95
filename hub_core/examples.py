"""The data that moves through training and prediction: example -> features -> batch -> logits -> prediction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


@dataclass(frozen=True)
class Answer:
    """A span of a context that answers a question; `start` counts its characters."""

    text: str
    start: int


#: What is known of a row: a label, labels (one per unit, or those that apply), a number, or answers in a context.
Label = str | tuple[str, ...] | float | tuple[Answer, ...]


@dataclass(frozen=True)
class Example:
    """One row as the caller knows it.

    `units` are what token labels belong to: the caller's tokens, or the characters of a plain string. `pair` is the
    second text, where there are two (for question-answering `text` is the question and `pair` the context). What
    `label` is depends on the task; None where it is not known. `key` names the row in messages and in saved
    predictions (``train.tsv:12``).
    """

    text: str
    pair: str | None = None
    units: tuple[str, ...] | None = None
    label: Label | None = None
    key: str = ""
    columns: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Features:
    """One row (or one window of a long row) as numbers.

    `inputs` holds int64 arrays by input name (``input_ids``, ...): of shape ``(length,)``, or ``(texts, length)`` where
    the texts of a row are read side by side. `target` is a number, an array (for tokens ``(length,)``, with `IGNORE`
    where nothing is asked), or None. `meta` is the task's own note that `decode` needs (which units a window covers).
    """

    inputs: Mapping[str, Array]
    target: int | float | Array | None = None
    key: str = ""
    weight: float = 1.0
    meta: Any = None

    @property
    def length(self) -> int:
        """Number of tokens, special ones included; of the longest text where several are read side by side."""
        return int(next(iter(self.inputs.values())).shape[-1])

    @property
    def texts(self) -> int:
        """How many texts are read side by side."""
        array = next(iter(self.inputs.values()))
        return int(array.shape[0]) if array.ndim == 2 else 1


#: The target id that losses and metrics pass over (torch's `ignore_index`).
IGNORE = -100


@dataclass(frozen=True)
class Batch:
    """Padded rows: named views, each a mapping of input name to an array ``(batch, length)``.

    Most batches have the one view ``main``; where teacher and student tokenise differently there is a second. Where the
    texts of a row are read side by side they follow each other: ``(batch * texts, length)``. `targets` has shape
    ``(batch,)`` or ``(batch, length)``, `weights` ``(batch,)`` or, where tokens of a row count unlike,
    ``(batch, length)``. Arrays are numpy's from `collate` to the engine; `to_torch` (hub_core.train.batches) turns them
    into tensors on a device.
    """

    views: Mapping[str, Mapping[str, Any]]
    targets: Any = None
    weights: Any = None
    keys: tuple[str, ...] = ()
    columns: Mapping[str, Any] = field(default_factory=dict)

    @property
    def inputs(self) -> Mapping[str, Any]:
        """The main view."""
        return self.views["main"]


def pad(rows: Sequence[Array], value: int, length: int | None = None) -> Array:
    """Stack arrays ``(length,)``, or ``(texts, length)``, into ``(batch, length)``, filled up on the right."""
    width = max((row.shape[-1] for row in rows), default=0) if length is None else length
    out = np.full((sum(len(row) if row.ndim == 2 else 1 for row in rows), width), value, dtype=np.int64)
    start = 0
    for row in rows:
        end = start + (len(row) if row.ndim == 2 else 1)
        out[start:end, : row.shape[-1]] = row
        start = end
    return out


def join_units(units: Sequence[str]) -> str:
    """Units as a text: a space only between two that would otherwise run together as Latin words.

    >>> join_units(["Hello", "world", "你", "好"]), join_units(tuple("B5"))
    ('Hello world你好', 'B5')
    """
    text = ""
    for unit in units:
        wordlike = len(unit) > 1 and unit[0].isascii() and unit[0].isalnum()
        text += f" {unit}" if text and wordlike and text[-1].isascii() and text[-1].isalnum() else unit
    return text


@dataclass(frozen=True)
class Prediction:
    """The answer for one row; every task has a form of its own. `truncated`: a part of the text was not read."""

    truncated: bool = field(default=False, kw_only=True)


@dataclass(frozen=True)
class ClassPrediction(Prediction):
    """One label of several: the label, its probability, and those of all labels ``(labels,)``."""

    label: str
    probability: float
    probabilities: Array


@dataclass(frozen=True)
class LabelsPrediction(Prediction):
    """The labels that apply (any number of them), and the probability of each label of the task ``(labels,)``."""

    labels: tuple[str, ...]
    probabilities: Array


@dataclass(frozen=True)
class ScorePrediction(Prediction):
    """A number."""

    score: float


@dataclass(frozen=True)
class Entity:
    """A labelled span of the caller's units; `start` and `end` (exclusive) count units, `score` is a probability."""

    text: str
    label: str
    start: int
    end: int
    score: float


@dataclass(frozen=True)
class TokenPrediction(Prediction):
    """The answer of token-cls: one label and probability per unit, and the entities they spell."""

    units: tuple[str, ...]
    labels: tuple[str, ...]
    probabilities: tuple[float, ...]
    entities: tuple[Entity, ...]
