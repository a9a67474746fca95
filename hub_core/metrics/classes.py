"""Scores of classes: accuracy, precision, recall, F1, confusion, Matthews correlation; one label a row or several."""

from __future__ import annotations

import math
import operator
from collections.abc import Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from hub_core.errors import LabelError, unknown
from hub_core.examples import Array
from hub_core.metrics.rows import check_rows, check_some


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


def accuracy(gold: Sequence[Hashable], predicted: Sequence[Hashable]) -> float:
    """The share of rows whose label is right. Raises SettingsError for no rows, or unequal numbers of them."""
    check_rows(gold, predicted)
    check_some(gold, "accuracy")
    right: int = sum(map(operator.eq, gold, predicted))
    return right / len(gold)


def classification_f1(gold: Sequence[str], predicted: Sequence[str], labels: Sequence[str]) -> ClassificationScores:
    """Precision, recall and F1 of single-label classification over `labels`.

    As scikit-learn's `precision_recall_fscore_support(..., labels=labels, zero_division=0)`: a label that stands in
    no row has scores of 0 and counts in the macro mean; rows with labels outside `labels` count only where the
    other side is one of them. Raises LabelError where `labels` is empty or has one twice.
    """
    check_rows(gold, predicted)
    index = _indices(labels)
    elsewhere = len(index)
    wanted = np.fromiter((index.get(label, elsewhere) for label in gold), dtype=np.int64, count=len(gold))
    answers = np.fromiter((index.get(label, elsewhere) for label in predicted), dtype=np.int64, count=len(gold))
    hits = _count(wanted[wanted == answers], elsewhere)
    return _classification(labels, hits, _count(answers, elsewhere), _count(wanted, elsewhere))


def confusion(gold: Sequence[str], predicted: Sequence[str], labels: Sequence[str]) -> Array:
    """How often each gold label got each answer: int64 ``(labels, labels)``, gold down, predicted across.

    Raises LabelError for labels outside `labels`.
    """
    check_rows(gold, predicted)
    index = _indices(labels)
    answers = zip(gold, predicted, strict=True)
    cells = [index[_known(one, index)] * len(index) + index[_known(two, index)] for one, two in answers]
    return np.bincount(np.array(cells, dtype=np.int64), minlength=len(index) ** 2).reshape(len(index), len(index))


def matthews(gold: Sequence[Hashable], predicted: Sequence[Hashable]) -> float:
    """The Matthews correlation of two or more classes, -1 to 1; 0.0 where either side has one class only.

    Gorodkin 2004, "Comparing two K-category assignments by a K-category correlation coefficient".
    """
    check_rows(gold, predicted)
    check_some(gold, "Matthews correlation")
    labels = {label: number for number, label in enumerate(dict.fromkeys([*gold, *predicted]))}
    asked = np.bincount([labels[label] for label in gold], minlength=len(labels))
    answered = np.bincount([labels[label] for label in predicted], minlength=len(labels))
    rows, right = len(gold), sum(map(operator.eq, gold, predicted))
    together = right * rows - int(asked @ answered)
    spread = (rows**2 - int(asked @ asked)) * (rows**2 - int(answered @ answered))
    return together / math.sqrt(spread) if spread else 0.0


@dataclass(frozen=True)
class MultiLabelScores:
    """Scores where any number of labels apply to a row.

    `classes` are precision, recall and F1 over single decisions; `subset_accuracy` is the share of rows whose labels
    are right as a set, `hamming` the share of wrong decisions (one per row and label; less is better).
    """

    classes: ClassificationScores
    subset_accuracy: float
    hamming: float


def multilabel_scores(
    gold: Sequence[Collection[str]], predicted: Sequence[Collection[str]], labels: Sequence[str]
) -> MultiLabelScores:
    """Scores of rows with any number of labels (none included); their order does not matter.

    As scikit-learn's `precision_recall_fscore_support`, `accuracy_score` and `hamming_loss` of indicator matrices.
    Raises LabelError for labels outside `labels`, SettingsError for no rows.
    """
    check_rows(gold, predicted)
    check_some(gold, "a multi-label score")
    wanted, answers = _indicators(gold, labels), _indicators(predicted, labels)
    wrong = wanted != answers
    classes = _classification(labels, (wanted & answers).sum(0), answers.sum(0), wanted.sum(0))
    return MultiLabelScores(classes, float((~wrong.any(axis=1)).mean()), float(wrong.mean()))


def _indicators(rows: Sequence[Collection[str]], labels: Sequence[str]) -> Array:
    """Which labels apply: bool ``(rows, labels)``."""
    index = _indices(labels)
    table = np.zeros((len(rows), len(index)), dtype=bool)
    for number, row in enumerate(rows):
        for label in row:
            table[number, index[_known(label, index)]] = True
    return table


def _classification(labels: Sequence[str], hits: Array, answered: Array, asked: Array) -> ClassificationScores:
    """Scores from counts ``(labels,)``: right answers, answers, and what was to be found."""
    counts = zip(labels, hits.tolist(), answered.tolist(), asked.tolist(), strict=True)
    per_class = {label: scores_from(*row) for label, *row in counts}
    columns = [(one.precision, one.recall, one.f1) for one in per_class.values()]
    precision, recall, f1 = (float(mean) for mean in np.mean(columns, axis=0))
    micro = scores_from(int(hits.sum()), int(answered.sum()), int(asked.sum()))
    return ClassificationScores(per_class, Scores(precision, recall, f1, micro.support), micro)


def _indices(labels: Sequence[str]) -> dict[str, int]:
    index = {label: number for number, label in enumerate(labels)}
    if len(index) != len(labels) or not index:
        raise LabelError(f"labels to score must be given, each once, not {list(labels)!r}")
    return index


def _known(label: str, index: Mapping[str, int]) -> str:
    if label not in index:
        raise LabelError(unknown("label", label, index))
    return label


def _count(targets: Array, classes: int) -> Array:
    """How often each class occurs; the bucket after the last one (labels outside) is dropped."""
    return np.bincount(targets, minlength=classes + 1)[:classes]


def scores_from(hits: int, answered: int, asked: int) -> Scores:
    """Scores from counts: right answers, answers, and what was to be found."""
    precision = hits / answered if answered else 0.0
    recall = hits / asked if asked else 0.0
    f1 = 2 * hits / (answered + asked) if answered + asked else 0.0
    return Scores(precision, recall, f1, asked)
