"""Scores of numbers: correlations, errors, and how well they tell two kinds apart."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hub_core.errors import SettingsError
from hub_core.examples import Array
from hub_core.metrics.rows import check_rows, check_some, numbers


def pearson(gold: Sequence[float], predicted: Sequence[float]) -> float:
    """Pearson's correlation, -1 to 1; 0.0 where one side is constant. Raises SettingsError for fewer than two rows."""
    wanted, answers = _columns(gold, predicted, "Pearson correlation", at_least=2)
    return _correlation(wanted, answers)


def spearman(gold: Sequence[float], predicted: Sequence[float]) -> float:
    """Spearman's rank correlation, -1 to 1; equal values share the mean of their ranks. Else as `pearson`."""
    wanted, answers = _columns(gold, predicted, "Spearman correlation", at_least=2)
    return _correlation(_ranks(wanted), _ranks(answers))


def mean_absolute_error(gold: Sequence[float], predicted: Sequence[float]) -> float:
    """The mean distance, in the unit of the numbers; less is better."""
    wanted, answers = _columns(gold, predicted, "mean absolute error")
    return float(np.abs(answers - wanted).mean())


def mean_squared_error(gold: Sequence[float], predicted: Sequence[float]) -> float:
    """The mean squared distance, in the unit of the numbers squared; less is better."""
    wanted, answers = _columns(gold, predicted, "mean squared error")
    return float(((answers - wanted) ** 2).mean())


def r2(gold: Sequence[float], predicted: Sequence[float]) -> float:
    """The share of the gold numbers' variance that the answers explain: at most 1, below 0 where their mean is better.

    Where the gold numbers are all equal: 1.0 for exact answers, else 0.0. Raises SettingsError for fewer than two rows.
    """
    wanted, answers = _columns(gold, predicted, "R2", at_least=2)
    unexplained = float(((wanted - answers) ** 2).sum())
    total = float(((wanted - wanted.mean()) ** 2).sum())
    if total == 0:
        return 0.0 if unexplained else 1.0
    return 1 - unexplained / total


def roc_auc(right: Sequence[bool], scores: Sequence[float]) -> float:
    """The share of pairs of a right and a wrong row in which the right one has the higher score; equal ones count half.

    The area under the receiver operating characteristic. Raises SettingsError where all rows are right, or none is.
    """
    check_rows(right, scores)
    chosen, ranks = np.asarray(right, dtype=bool), _ranks(numbers(scores, "scores"))
    hits = int(chosen.sum())
    if not 0 < hits < len(chosen):
        raise SettingsError("the area under the ROC curve needs rows that are right and rows that are not")
    return float(ranks[chosen].sum() - hits * (hits + 1) / 2) / (hits * (len(chosen) - hits))


def _columns(gold: Sequence[float], predicted: Sequence[float], what: str, *, at_least: int = 1) -> tuple[Array, Array]:
    check_rows(gold, predicted)
    check_some(gold, what, at_least=at_least)
    return numbers(gold, "gold values"), numbers(predicted, "predicted values")


def _correlation(first: Array, second: Array) -> float:
    if (first == first[0]).all() or (second == second[0]).all():
        return 0.0
    one, two = _direction(first), _direction(second)
    return float(np.clip(one @ two, -1, 1))


def _direction(values: Array) -> Array:
    """Deviations from the mean as a vector of length 1; scaled first, so that no square overflows or vanishes."""
    centred = values - values.mean()
    centred /= np.abs(centred).max()
    result: Array = centred / np.linalg.norm(centred)
    return result


def _ranks(values: Array) -> Array:
    """Ranks from 1; equal values get the mean of the ranks that they take together."""
    _, group, size = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(size)
    result: Array = (last - (size - 1) / 2)[group]
    return result
