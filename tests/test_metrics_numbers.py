"""Correlations, errors and calibration, against scipy and scikit-learn."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import pearsonr, spearmanr
from sklearn import metrics as sklearn
from sklearn.calibration import calibration_curve

from hub_core.errors import SettingsError
from hub_core.metrics import (
    brier,
    calibration_error,
    log_loss,
    mean_absolute_error,
    mean_squared_error,
    pearson,
    r2,
    reliability,
    roc_auc,
    spearman,
)

EXACT = {"rel": 1e-12, "abs": 1e-12}
numbers = st.floats(-1e3, 1e3).map(lambda value: round(value, 3))
columns = st.lists(st.tuples(numbers, numbers), min_size=2, max_size=40)
#: Few different values, so that many are equal.
ties = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=2, max_size=40)


def split(rows: list[tuple[Any, Any]]) -> tuple[list[Any], list[Any]]:
    first, second = zip(*rows, strict=True)
    return list(first), list(second)


@given(st.one_of(columns, ties))
def test_correlations_equal_scipy(rows: list[tuple[float, float]]) -> None:
    gold, predicted = split(rows)
    if len(set(gold)) == 1 or len(set(predicted)) == 1:
        assert pearson(gold, predicted) == spearman(gold, predicted) == 0.0
        return
    assert pearson(gold, predicted) == pytest.approx(pearsonr(gold, predicted).statistic, rel=1e-9, abs=1e-12)
    assert spearman(gold, predicted) == pytest.approx(spearmanr(gold, predicted).statistic, **EXACT)


@given(st.lists(st.tuples(st.booleans(), st.one_of(numbers, st.integers(0, 3))), min_size=1, max_size=40))
def test_the_area_under_the_curve_equals_sklearn(rows: list[tuple[bool, float]]) -> None:
    right, scores = split(rows)
    if len(set(right)) == 1:
        with pytest.raises(SettingsError, match="rows that are right and rows that are not"):
            roc_auc(right, scores)
        return
    assert roc_auc(right, scores) == pytest.approx(sklearn.roc_auc_score(right, scores), **EXACT)


def test_correlations_do_not_depend_on_scale_or_place() -> None:
    draw = np.random.default_rng(1)
    gold, predicted = draw.normal(size=100), draw.normal(size=100)
    for factor in (1e-200, 1e200):
        assert pearson(gold * factor, predicted) == pytest.approx(pearson(gold, predicted), **EXACT)
    assert pearson(gold + 3, -predicted) == pytest.approx(-pearson(gold, predicted), **EXACT)
    assert spearman(np.exp(gold), predicted) == pytest.approx(spearman(gold, predicted), **EXACT)


@given(columns)
def test_errors_equal_sklearn(rows: list[tuple[float, float]]) -> None:
    gold, predicted = split(rows)
    assert mean_absolute_error(gold, predicted) == pytest.approx(sklearn.mean_absolute_error(gold, predicted), **EXACT)
    assert mean_squared_error(gold, predicted) == pytest.approx(sklearn.mean_squared_error(gold, predicted), **EXACT)
    assert r2(gold, predicted) == pytest.approx(sklearn.r2_score(gold, predicted), rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("spacing", ["width", "mass"])
@given(
    rows=st.lists(st.tuples(st.floats(0, 1).map(lambda p: round(p, 2)), st.booleans()), min_size=1, max_size=60),
    bins=st.integers(1, 20),
)
def test_reliability_equals_sklearn(spacing: str, rows: list[tuple[float, bool]], bins: int) -> None:
    confidence, right = split(rows)
    found = reliability(confidence, right, bins=bins, spacing=spacing)
    strategy = {"width": "uniform", "mass": "quantile"}[spacing]
    accuracies, confidences = calibration_curve(right, confidence, n_bins=bins, strategy=strategy, pos_label=True)
    assert [one.accuracy for one in found] == pytest.approx(accuracies, **EXACT)
    assert [one.confidence for one in found] == pytest.approx(confidences, **EXACT)
    assert sum(one.count for one in found) == len(rows)
    assert all(one.low - 1e-12 <= one.confidence <= one.high + 1e-12 for one in found)
    weights = np.array([one.count for one in found]) / len(rows)
    expected = float(weights @ np.abs(accuracies - confidences))
    assert calibration_error(confidence, right, bins=bins, spacing=spacing) == pytest.approx(expected, **EXACT)


def test_a_calibrated_forecast_has_no_error_and_a_boastful_one_has() -> None:
    right = [True] * 8 + [False] * 2
    assert calibration_error([0.8] * 10, right) == pytest.approx(0, abs=1e-12)
    assert calibration_error([1.0] * 10, right) == pytest.approx(0.2)


@given(st.lists(st.tuples(st.lists(st.integers(0, 9), min_size=3, max_size=3), st.integers(0, 2)), min_size=1))
def test_brier_and_log_loss_equal_sklearn(rows: list[tuple[list[int], int]]) -> None:
    weights, targets = split(rows)
    powers = np.exp(np.array(weights, dtype=np.float64))
    table = powers / powers.sum(axis=1, keepdims=True)
    expected = sklearn.brier_score_loss(targets, table, labels=[0, 1, 2], scale_by_half=False)
    assert brier(table, targets) == pytest.approx(expected, **EXACT)
    assert log_loss(table, targets) == pytest.approx(sklearn.log_loss(targets, table, labels=[0, 1, 2]), **EXACT)
    assert np.array_equal(table, powers / powers.sum(axis=1, keepdims=True))  # the caller's array is left alone


def test_certainty_that_was_wrong_costs_no_infinity() -> None:
    assert brier(np.array([[1.0, 0.0]]), [1]) == 2
    assert log_loss(np.array([[1.0, 0.0]]), [1]) == pytest.approx(sklearn.log_loss([1], [[1.0, 0.0]], labels=[0, 1]))


@pytest.mark.parametrize(
    ("score", "arguments", "said"),
    [
        (pearson, ([1.0], [1.0]), "Pearson correlation of fewer than 2 rows is not defined"),
        (r2, ([1.0], [1.0]), "R2 of fewer than 2 rows"),
        (mean_squared_error, ([], []), "mean squared error of no rows"),
        (spearman, ([1.0, 2.0], [1.0]), "2 gold rows cannot be compared with 1 predicted"),
        (pearson, ([1.0, 2.0], [1.0, float("nan")]), "predicted values must be finite numbers; row 1 is nan"),
        (pearson, ([[1.0], [2.0]], [1.0, 2.0]), "gold values must be one number per row, not of shape"),
        (calibration_error, ([1.5], [True]), "confidences must be 0 to 1, not 1.5 to 1.5"),
        (brier, (np.array([0.5]), [0]), r"probabilities must be of shape \(rows, labels\), not \(1,\)"),
        (brier, (np.array([[0.5, 0.5]]), [2]), "targets must be 0 to 1, not 2 to 2"),
        (log_loss, (np.zeros((0, 2)), []), "log loss of no rows"),
    ],
)
def test_what_has_no_score(score: Any, arguments: Any, said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        score(*arguments)


def test_bins_that_cannot_be() -> None:
    with pytest.raises(SettingsError, match="unknown spacing of bins 'widht'; did you mean 'width'"):
        reliability([0.5], [True], spacing="widht")
    with pytest.raises(SettingsError, match="bins must be at least 1, not 0"):
        reliability([0.5], [True], bins=0)
