"""Scores over a whole corpus: accuracy, precision/recall/F1 of classes, and of entities. numpy only.

A score whose denominator is zero is 0.0 (`zero_division=0` of scikit-learn and seqeval, whose figures these equal).
"""

from __future__ import annotations

import operator
from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from hub_core.errors import LabelError, SettingsError
from hub_core.examples import Array
from hub_core.tagging import Span, spans


@dataclass(frozen=True)
class Scores:
    """Precision, recall and F1 (each 0 to 1), and `support`: how many gold rows (or entities) they stand on."""

    precision: float
    recall: float
    f1: float
    support: int


@dataclass(frozen=True)
class ClassificationScores:
    """Scores per class, their unweighted mean (`macro`), and those of all decisions counted together (`micro`)."""

    per_class: Mapping[str, Scores]
    macro: Scores
    micro: Scores


@dataclass(frozen=True)
class EntityScores:
    """Micro-averaged scores of all entities, and scores per entity type, types in alphabetical order."""

    precision: float
    recall: float
    f1: float
    support: int
    per_type: Mapping[str, Scores]


def accuracy(gold: Sequence[Hashable], predicted: Sequence[Hashable]) -> float:
    """The share of rows whose label is right. Raises SettingsError for no rows, or unequal numbers of them."""
    _check_rows(gold, predicted)
    if not len(gold):
        raise SettingsError("accuracy of no rows is not defined")
    right: int = sum(map(operator.eq, gold, predicted))
    return right / len(gold)


def classification_f1(gold: Sequence[str], predicted: Sequence[str], labels: Sequence[str]) -> ClassificationScores:
    """Precision, recall and F1 of single-label classification over `labels`.

    As scikit-learn's `precision_recall_fscore_support(..., labels=labels, zero_division=0)`: a label that stands in
    no row has scores of 0 and counts in the macro mean; rows with labels outside `labels` count only where the
    other side is one of them. Raises LabelError where `labels` is empty or has one twice.
    """
    _check_rows(gold, predicted)
    index = {label: number for number, label in enumerate(labels)}
    if len(index) != len(labels) or not index:
        raise LabelError(f"labels to score must be given, each once, not {list(labels)!r}")
    elsewhere = len(index)
    wanted = np.fromiter((index.get(label, elsewhere) for label in gold), dtype=np.int64, count=len(gold))
    answers = np.fromiter((index.get(label, elsewhere) for label in predicted), dtype=np.int64, count=len(gold))
    hits = _count(wanted[wanted == answers], elsewhere)
    asked, answered = _count(wanted, elsewhere), _count(answers, elsewhere)
    per_class = {label: _scores(int(hits[i]), int(answered[i]), int(asked[i])) for label, i in index.items()}
    columns = [(one.precision, one.recall, one.f1) for one in per_class.values()]
    precision, recall, f1 = (float(mean) for mean in np.mean(columns, axis=0))
    micro = _scores(int(hits.sum()), int(answered.sum()), int(asked.sum()))
    return ClassificationScores(per_class, Scores(precision, recall, f1, micro.support), micro)


def entity_scores(
    gold: Sequence[Sequence[str]],
    predicted: Sequence[Sequence[str]],
    *,
    scheme: str | None = None,
    suffix: bool = False,
) -> EntityScores:
    """Precision, recall and F1 of entities, exact in type, start and end, over all sentences together.

    `gold` and `predicted` hold one label per unit of each sentence; see `hub_core.tagging.spans` for `scheme`
    and `suffix`. Equals seqeval's (default mode) micro average, and its `classification_report` per type.
    Raises SettingsError where sentences or their lengths do not correspond.
    """
    _check_rows(gold, predicted)
    hits, asked, answered = Counter[str](), Counter[str](), Counter[str]()
    for number, (wanted, answer) in enumerate(zip(gold, predicted, strict=True)):
        if len(wanted) != len(answer):
            raise SettingsError(f"sentence {number} has {len(wanted)} gold labels and {len(answer)} predicted ones")
        expected = spans(wanted, scheme=scheme, suffix=suffix)
        found = spans(answer, scheme=scheme, suffix=suffix)
        _tally(asked, expected)
        _tally(answered, found)
        if expected and found:
            _tally(hits, set(expected).intersection(found))
    kinds = sorted(asked.keys() | answered.keys())
    per_type = {kind: _scores(hits[kind], answered[kind], asked[kind]) for kind in kinds}
    total = _scores(hits.total(), answered.total(), asked.total())
    return EntityScores(total.precision, total.recall, total.f1, total.support, per_type)


def _tally(counts: Counter[str], found: Sequence[Span] | set[Span]) -> None:
    for span in found:
        counts[span.label] += 1


def _count(targets: Array, classes: int) -> Array:
    """How often each class occurs; the bucket after the last one (labels outside) is dropped."""
    return np.bincount(targets, minlength=classes + 1)[:classes]


def _scores(hits: int, answered: int, asked: int) -> Scores:
    """Scores from counts: right answers, answers, and what was to be found."""
    precision = hits / answered if answered else 0.0
    recall = hits / asked if asked else 0.0
    f1 = 2 * hits / (answered + asked) if answered + asked else 0.0
    return Scores(precision, recall, f1, asked)


def _check_rows(gold: Sequence[object], predicted: Sequence[object]) -> None:
    if len(gold) != len(predicted):
        raise SettingsError(f"{len(gold)} gold rows cannot be compared with {len(predicted)} predicted ones")
