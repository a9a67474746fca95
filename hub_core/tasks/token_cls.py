"""Sequence labelling: one label for every unit of the caller, whatever the tokenizer makes of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from hub_core.errors import DataError, LabelError, SettingsError, unknown
from hub_core.examples import (
    IGNORE,
    Array,
    Batch,
    Entity,
    Example,
    Features,
    Prediction,
    TokenPrediction,
    join_units,
    pad,
)
from hub_core.metrics import entity_scores
from hub_core.tagging import SCHEMES, parse_label, spans
from hub_core.tasks.arrays import input_arrays, softmax
from hub_core.tasks.rows import read_columns, shown
from hub_core.tasks.task import Task
from hub_core.tasks.viterbi import marginals, viterbi
from hub_core.text.tokenizer import Tokenizer

if TYPE_CHECKING:
    import torch

    from hub_core.data.rows import RowReading
    from hub_core.data.tables import Row


@dataclass(frozen=True)
class Window:
    """Which units one window of a long row holds.

    Units ``first`` to ``first + len(positions)`` stand in it, their labelled tokens at `positions`; it answers for
    the units from `own_start` to `own_end` (exclusive), where it has more context than its neighbours.
    """

    first: int
    positions: Array
    own_start: int
    own_end: int


class TokenCls(Task):
    """Labels for units: the caller's tokens, or the characters of a string.

    Every unit is tokenised alone, so that its label never depends on a word that the tokenizer would have joined
    across it. Rows longer than `max_seq_len` are read in windows that overlap by a third.

    Options: `label_on` ("first" or "last" token of a unit carries its label), `suffix` (labels end, rather than
    start, with B/I/E/S), `scheme` (BIO, BIOES, BMES or IO; None: read leniently, as seqeval does).
    """

    name: ClassVar[str] = "token-cls"
    auto_class = "TokenClassification"
    metric_names = ("precision", "recall", "f1", "accuracy")
    main_metric = "f1"
    one_row = False
    option_defaults: ClassVar[Mapping[str, Any]] = {
        **Task.option_defaults,
        "label_on": "first",
        "suffix": False,
        "scheme": None,
    }

    def check_options(self) -> None:
        """See `Task.check_options`."""
        super().check_options()
        label_on, suffix, scheme = (self.options[name] for name in ("label_on", "suffix", "scheme"))
        if label_on not in ("first", "last"):
            raise SettingsError(unknown("value", label_on, ("first", "last"), where="of label_on"))
        if not isinstance(suffix, bool):
            raise SettingsError(f"option 'suffix' must be True or False, not {suffix!r}")
        if scheme is None:
            return
        if scheme not in tuple(SCHEMES):
            raise SettingsError(unknown("value", scheme, SCHEMES, where="of scheme"))
        for label in self.labels:
            parse_label(label, scheme, suffix)

    @classmethod
    def read(cls, row: Row, reading: RowReading, pool: dict[str, str]) -> Example:
        """Units (column ``tokens``, or the text's) with one label each."""
        # Here, since answering reads no tables and starts sooner without.
        from hub_core.data.rows import (
            LABEL,
            TEXT,
            UNITS,
            BadRowError,
            column_of,
            known_labels,
            label_value,
            other_columns,
            row_key,
            spaced,
            strings_of,
            unequal,
        )

        column = UNITS if UNITS in row.columns else column_of(row, TEXT)
        value, labels = row.columns[column], label_value(row, reading)
        if isinstance(value, str) and not isinstance(labels, list | tuple):
            value = value.split(reading.split_char)
        units = strings_of(value, column)  # beside a list of labels, the units of a string are its characters
        if not any(unit.strip() for unit in units):
            raise BadRowError((0, "the text is empty"))
        if "" in units:
            raise BadRowError(*((at, f"unit {at + 1} is empty") for at, unit in enumerate(units) if not unit))
        units = tuple(map(pool.setdefault, units, units))
        if labels is not None:
            labels = strings_of(labels.split(reading.split_char) if isinstance(labels, str) else labels, "labels")
            if len(labels) != len(units):
                raise BadRowError((0, unequal(units, labels, reading.split_char)))
            if fault := spaced(labels, reading.split_char):
                raise BadRowError((0, fault))
            joint = f"one label for a whole text: seq-cls reads that, {cls.name} needs a label for each unit"
            labels = known_labels(
                labels, row, reading, pool, other_data=joint if len(units) == 1 < len(units[0]) else None
            )
        text = "".join(units)
        if len(text) != len(units):  # words, not characters
            text = join_units(units)
        return Example(text, None, units, labels, row_key(row), other_columns(row, {UNITS, *TEXT, *LABEL}))

    def example(self, item: Any, *, split_char: str | None = None, key: str = "") -> Example:
        """A string (units are its characters), a list or tuple of units, a dictionary with ``text`` or ``tokens``.

        With `split_char` also PaddleHub's ``[string]``, which is cut there and nowhere else.
        """
        if isinstance(item, Example):
            return item
        if isinstance(item, Mapping):
            columns = read_columns(item, ("text", "tokens"), key)
            if len(columns) != 1:
                raise DataError([f"{key}: a row needs either 'text' or 'tokens', not {shown(item)}"])
            (item,) = columns.values()
        elif split_char is not None and isinstance(item, list) and len(item) == 1 and isinstance(item[0], str):
            item = item[0].split(split_char) if item[0] else []
        if isinstance(item, str):
            return Example(item, units=tuple(item), key=key)
        if not isinstance(item, (list, tuple)) or not all(isinstance(unit, str) for unit in item):
            raise DataError([f"{key}: expected a text or a list of tokens, not {shown(item)}"])
        return Example(join_units(item), units=tuple(item), key=key)

    def encode(self, example: Example, tokenizer: Tokenizer, max_seq_len: int) -> list[Features]:
        """One Features per window; none for a row without units."""
        room = max_seq_len - tokenizer.specials_count()
        if room < 1:
            raise SettingsError(f"max_seq_len={max_seq_len} leaves no room for text beside the special tokens")
        units = example.units if example.units is not None else tuple(example.text)
        pieces = [tokenizer.encode_unit(unit)[:room] for unit in units]
        targets = None if example.label is None else np.array([self.target(label) for label in unit_labels(example)])
        return [
            self._window(example, tokenizer, pieces, targets, *bounds)
            for bounds in _windows([len(p) for p in pieces], room)
        ]

    def _window(
        self,
        example: Example,
        tokenizer: Tokenizer,
        pieces: Sequence[Sequence[int]],
        targets: Array | None,
        first: int,
        last: int,
        own: tuple[int, int],
    ) -> Features:
        """The features of units ``first`` to ``last`` (exclusive), answering for those in `own`."""
        flat = [piece for unit in pieces[first:last] for piece in unit]
        ids, types = tokenizer.with_specials(flat)
        offset = tokenizer.with_specials([-1])[0].index(-1)  # how many special tokens come first
        lengths = np.array([len(unit) for unit in pieces[first:last]])
        starts = offset + np.cumsum(lengths) - lengths
        positions = starts if self.options["label_on"] == "first" else starts + lengths - 1
        target = None
        if targets is not None:
            # Each unit is learnt once, in the window that answers for it.
            target = np.full(len(ids), IGNORE, dtype=np.int64)
            target[positions[own[0] - first : own[1] - first]] = targets[own[0] : own[1]]
        meta = Window(first, positions, *own)
        return Features(input_arrays(tokenizer, ids, types), target, example.key, meta=meta)

    def decode(
        self, example: Example, windows: Sequence[Features], logits: Sequence[Array], constants: Mapping[str, Array]
    ) -> TokenPrediction:
        """Labels and probabilities per unit; with a CRF's ``transitions`` the best path and its marginals."""
        units = example.units if example.units is not None else tuple(example.text)
        labels: list[str] = []
        probabilities: list[float] = []
        for window, scores in zip(windows, logits, strict=True):
            meta: Window = window.meta
            emissions = scores[meta.positions]
            if constants:
                path = viterbi(emissions, constants["transitions"], constants["start"], constants["end"])
                chances = marginals(emissions, constants["transitions"], constants["start"], constants["end"])
            else:
                chances = softmax(emissions)
                path = emissions.argmax(axis=-1)
            own = slice(meta.own_start - meta.first, meta.own_end - meta.first)
            labels += [self.labels[target] for target in path[own]]
            probabilities += chances[np.arange(len(path)), path][own].tolist()
        return TokenPrediction(units, tuple(labels), tuple(probabilities), self._entities(units, labels, probabilities))

    def _entities(
        self, units: Sequence[str], labels: Sequence[str], probabilities: Sequence[float]
    ) -> tuple[Entity, ...]:
        """The spans that the labels spell; the score is the mean probability of their labels."""
        found = spans(labels, scheme=self.options["scheme"], suffix=self.options["suffix"])
        return tuple(
            Entity(
                join_units(units[span.start : span.end]),
                span.label,
                span.start,
                span.end,
                float(np.mean(probabilities[span.start : span.end])),
            )
            for span in found
        )

    def metrics(self, examples: Sequence[Example], predictions: Sequence[Prediction]) -> dict[str, float]:
        """Entity ``precision``, ``recall`` and ``f1`` (micro, as seqeval's), and ``accuracy`` per unit."""
        gold = [list(unit_labels(example)) for example in examples]
        predicted = [list(p.labels) for p in predictions if isinstance(p, TokenPrediction)]
        scores = entity_scores(gold, predicted, scheme=self.options["scheme"], suffix=self.options["suffix"])
        total = sum(map(len, gold))
        right = sum(a == b for x, y in zip(gold, predicted, strict=True) for a, b in zip(x, y, strict=True))
        return {
            "precision": scores.precision,
            "recall": scores.recall,
            "f1": scores.f1,
            "accuracy": right / total if total else 0.0,
        }

    def loss(self, logits: torch.Tensor, batch: Batch) -> torch.Tensor:
        """Cross-entropy per labelled token, times the weight of its row (or its own), summed."""
        from torch.nn.functional import cross_entropy

        losses = cross_entropy(
            logits.float().transpose(1, 2), batch.targets, reduction="none", ignore_index=IGNORE
        )  # (batch, length)
        weights = batch.weights if batch.weights.ndim == 2 else batch.weights[:, None]
        total: torch.Tensor = (losses * weights).sum()
        return total

    def loss_weight(self, batch: Batch) -> float:
        """The number of labelled tokens, each times the weight of its row (or its own)."""
        weights = batch.weights if batch.weights.ndim == 2 else batch.weights[:, None]
        return float(((batch.targets != IGNORE) * weights).sum(dtype=np.float64))

    def collate_targets(self, rows: Sequence[Features], length: int | None = None) -> Array:
        """Targets ``(batch, length)``, padded with `IGNORE`."""
        return pad([np.asarray(row.target) for row in rows], IGNORE, length)

    def as_data(self, prediction: Prediction) -> dict[str, Any]:
        """``{"labels": [...], "entities": [{"text", "label", "start", "end", "score"}, ...]}``."""
        answer = _token_prediction(prediction)
        return {"labels": list(answer.labels), "entities": [vars(entity) for entity in answer.entities]}

    def as_table(self, answer: Mapping[str, Any]) -> list[dict[str, object]]:
        """One row per entity; one that says so where there is none."""
        found: list[dict[str, object]] = [
            {
                "entity": entity["text"],
                "label": entity["label"],
                "characters": f"{entity['start']}-{entity['end']}",
                "score": f"{entity['score']:.4f}",
            }
            for entity in answer["entities"]
        ]
        return found or [{"entity": "(none)", "label": "", "characters": "", "score": ""}]

    def as_paddlehub(self, prediction: Prediction) -> tuple[list[str], list[float]]:
        """Labels with an ``O`` before and after, where PaddleHub has ``[CLS]`` and ``[SEP]``, and probabilities."""
        answer = _token_prediction(prediction)
        return ["O", *answer.labels, "O"], [1.0, *answer.probabilities, 1.0]


def unit_labels(example: Example) -> tuple[str, ...]:
    """The label of every unit; none where they are not known. Raises LabelError for labels of another task."""
    if example.label is None:
        return ()
    if isinstance(example.label, tuple) and all(isinstance(label, str) for label in example.label):
        return tuple(map(str, example.label))
    raise LabelError(f"token-cls needs one label per unit, not {shown(example.label)}")


def _windows(lengths: Sequence[int], room: int) -> Iterator[tuple[int, int, tuple[int, int]]]:
    """Cut units of these token lengths into windows of at most `room` tokens that overlap by about a third.

    Yields first unit, last unit (exclusive), and the units the window answers for: neighbours share their overlap
    in the middle, so that every unit has its answer from where it has most context.
    """
    bounds: list[tuple[int, int]] = []
    first, count = 0, len(lengths)
    while first < count:
        last, used = first, 0
        while last < count and used + lengths[last] <= room:
            used += lengths[last]
            last += 1
        bounds.append((first, last))
        if last == count:
            break
        # The next window must hold at least one new unit beside the overlap.
        step, overlap, most = last, 0, min(room // 3, room - lengths[last])
        while step > first + 1 and overlap + lengths[step - 1] <= most:
            step -= 1
            overlap += lengths[step]
        first = step
    for index, (start, end) in enumerate(bounds):
        own_start = start if index == 0 else (start + bounds[index - 1][1]) // 2
        own_end = end if index == len(bounds) - 1 else (bounds[index + 1][0] + end) // 2
        yield start, end, (own_start, own_end)


def _token_prediction(prediction: Prediction) -> TokenPrediction:
    if not isinstance(prediction, TokenPrediction):
        raise TypeError(f"expected a TokenPrediction, not {type(prediction).__name__}")
    return prediction
