"""The data that moves through training and prediction: example -> features -> batch -> logits -> prediction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


@dataclass(frozen=True)
class Example:
    """One row as the caller knows it.

    `units` are what token labels belong to: the caller's tokens, or the characters of a plain string. `label` is
    one string (seq-cls) or one string per unit (token-cls), None where unknown. `key` names the row in messages
    and in saved predictions (``train.tsv:12``).
    """

    text: str
    pair: str | None = None
    units: tuple[str, ...] | None = None
    label: str | tuple[str, ...] | None = None
    key: str = ""
    columns: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Features:
    """One row (or one window of a long row) as numbers.

    `inputs` holds int64 arrays of shape ``(length,)`` by input name (``input_ids``, ...). `target` is a number, an
    array of shape ``(length,)`` with `IGNORE` where nothing is asked, or None. `meta` is the task's own note
    that `decode` needs (which units a window covers).
    """

    inputs: Mapping[str, Array]
    target: int | float | Array | None = None
    key: str = ""
    weight: float = 1.0
    meta: Any = None

    @property
    def length(self) -> int:
        """Number of tokens, special ones included."""
        return int(next(iter(self.inputs.values())).shape[0])


#: The target id that losses and metrics pass over (torch's `ignore_index`).
IGNORE = -100


@dataclass(frozen=True)
class Batch:
    """Padded rows: named views, each a mapping of input name to an array ``(batch, length)``.

    Most batches have the one view ``main``; where teacher and student tokenise differently there is a second.
    `targets` has shape ``(batch,)`` or ``(batch, length)``, `weights` ``(batch,)`` or, where tokens of a row count
    unlike, ``(batch, length)``. Arrays are numpy's from
    `collate` to the engine; `to_torch` (hub_core.train.batches) turns them into tensors on a device.
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
    """Stack 1-D arrays into ``(batch, length)``, filled up on the right with `value`."""
    width = max((row.shape[0] for row in rows), default=0) if length is None else length
    out = np.full((len(rows), width), value, dtype=np.int64)
    for index, row in enumerate(rows):
        out[index, : row.shape[0]] = row
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
class ClassPrediction:
    """The answer of seq-cls: the label, its probability, all probabilities ``(labels,)``, and whether text was cut."""

    label: str
    probability: float
    probabilities: Array
    truncated: bool = False


@dataclass(frozen=True)
class Entity:
    """A labelled span of the caller's units; `start` and `end` (exclusive) count units, `score` is a probability."""

    text: str
    label: str
    start: int
    end: int
    score: float


@dataclass(frozen=True)
class TokenPrediction:
    """The answer of token-cls: one label and probability per unit, and the entities they spell."""

    units: tuple[str, ...]
    labels: tuple[str, ...]
    probabilities: tuple[float, ...]
    entities: tuple[Entity, ...]


Prediction = ClassPrediction | TokenPrediction
