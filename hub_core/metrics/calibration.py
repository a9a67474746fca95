"""Whether probabilities can be believed: of the answers given with 80%, are four in five right?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hub_core.errors import SettingsError, unknown
from hub_core.examples import Array
from hub_core.metrics.rows import check_rows, check_some, numbers


@dataclass(frozen=True)
class Bin:
    """Rows whose confidence is above `low` (or equal to the lowest) and at most `high`.

    `confidence` is their mean, `accuracy` the share of them that is right, `count` how many they are.
    """

    low: float
    high: float
    confidence: float
    accuracy: float
    count: int


def reliability(
    confidence: Sequence[float], right: Sequence[bool], *, bins: int = 15, spacing: str = "width"
) -> list[Bin]:
    """Rows by confidence, the bins that hold any: what a reliability diagram shows.

    `confidence` is the probability of the answer given, `right` whether it was right. `spacing` is ``width`` (bins
    of equal width, from 0 to 1) or ``mass`` (of equally many rows, as far as equal confidences allow, since they share
    a bin). As scikit-learn's `calibration_curve` with the strategies ``uniform`` and ``quantile``.
    """
    check_rows(right, confidence)
    check_some(right, "calibration")
    if spacing not in ("width", "mass"):
        raise SettingsError(unknown("spacing of bins", spacing, ("width", "mass")))
    if bins < 1:
        raise SettingsError(f"bins must be at least 1, not {bins}")
    values, hits = _probabilities(numbers(confidence, "confidences"), "confidences"), np.asarray(right, dtype=bool)
    steps = np.linspace(0, 1, bins + 1)
    edges = steps if spacing == "width" else np.percentile(values, steps * 100)
    place = np.searchsorted(edges[1:-1], values)
    found = []
    for number in np.unique(place):
        chosen = place == number
        low, high = float(edges[number]), float(edges[number + 1])
        count = int(chosen.sum())
        found.append(Bin(low, high, float(values[chosen].mean()), float(hits[chosen].mean()), count))
    return found


def calibration_error(
    confidence: Sequence[float], right: Sequence[bool], *, bins: int = 15, spacing: str = "width"
) -> float:
    """The expected calibration error: the mean distance of accuracy and confidence over bins, weighted by their rows.

    Guo et al. 2017, "On Calibration of Modern Neural Networks", with `spacing` ``width``; with ``mass`` it is the
    adaptive one of Nixon et al. 2019, "Measuring Calibration in Deep Learning". Arguments as for `reliability`.
    """
    found = reliability(confidence, right, bins=bins, spacing=spacing)
    return sum(one.count * abs(one.accuracy - one.confidence) for one in found) / sum(one.count for one in found)


def brier(probabilities: Array, targets: Sequence[int]) -> float:
    """The Brier score, 0 to 2; less is better. `probabilities` is ``(rows, labels)``, `targets` the right labels' ids.

    The squared distance to certainty of the right label, summed over labels, mean over rows (Brier 1950).
    """
    table = _table(probabilities, targets, "the Brier score")
    table[np.arange(len(table)), targets] -= 1
    return float((table**2).sum(axis=1).mean())


def log_loss(probabilities: Array, targets: Sequence[int]) -> float:
    """The mean of ``-ln p`` of the right label, in nats; less is better. Arguments as for `brier`.

    A probability of 0 counts as 2.2e-16 (float64's epsilon), as scikit-learn has it.
    """
    table = _table(probabilities, targets, "log loss")
    return float(-np.log(np.maximum(table[np.arange(len(table)), targets], np.finfo(np.float64).eps)).mean())


def _table(probabilities: Array, targets: Sequence[int], what: str) -> Array:
    """A copy of the probabilities as float64. Raises SettingsError where shapes or targets do not fit."""
    table = np.array(probabilities, dtype=np.float64)
    check_rows(targets, table)
    check_some(table, what)
    if table.ndim != 2:
        raise SettingsError(f"probabilities must be of shape (rows, labels), not {table.shape}")
    places = np.asarray(targets)
    if places.min() < 0 or places.max() >= table.shape[1]:
        raise SettingsError(f"targets must be 0 to {table.shape[1] - 1}, not {places.min()} to {places.max()}")
    return _probabilities(table, "probabilities")


def _probabilities(values: Array, what: str) -> Array:
    if not ((values >= 0) & (values <= 1 + 1e-6)).all():  # softmax rounds
        raise SettingsError(f"{what} must be 0 to 1, not {values.min()} to {values.max()}")
    return values
