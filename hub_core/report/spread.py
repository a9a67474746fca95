"""How numbers are spread over rows: histograms over round steps, and rows as points."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from hub_core.examples import Array
from hub_core.report.sections import Bar, Histogram, Scatter, Table

#: A histogram has at most so many bars, a scatter so many points (of more rows every n-th) and ranges.
BARS, POINTS, RANGES = 30, 2000, 6


def histogram(axis: str, values: Mapping[str, Sequence[float] | Array], *, title: str = "") -> Histogram:
    """How the numbers of each series are spread, over bars of one round width; a number on an edge counts above it."""
    every = np.concatenate([np.asarray(one, dtype=np.float64) for one in values.values()])
    edges = _round_edges(float(every.min()), float(every.max()))
    inside = (np.clip(one, edges[0], edges[-1]) for one in values.values())  # the last edge may be a rounding short
    counts = [np.histogram(one, bins=edges)[0].tolist() for one in inside]
    bars = [
        Bar(*bounds) for bounds in zip(edges[:-1].tolist(), edges[1:].tolist(), zip(*counts, strict=True), strict=True)
    ]
    return Histogram(axis, tuple(values), bars, title)


def scatter(gold: Array, predicted: Array) -> Scatter:
    """Rows as points, and in ranges of the gold number what was answered on average."""
    chosen = np.argsort(gold, kind="stable")[:: math.ceil(len(gold) / POINTS)]
    points = [(float(gold[at]), float(predicted[at])) for at in np.sort(chosen)]
    limits = np.unique(np.quantile(gold, np.arange(1, RANGES + 1) / RANGES, method="inverted_cdf"))
    group = np.searchsorted(limits, gold)
    rows = []
    for number in range(len(limits)):
        wanted, answers = gold[group == number], predicted[group == number]
        low, high = f"{wanted.min():g}", f"{wanted.max():g}"
        named = low if low == high else f"{low} to {high}"
        distance = float(np.abs(answers - wanted).mean())
        rows.append((named, len(wanted), float(wanted.mean()), float(answers.mean()), distance))
    columns = ("gold", "rows", "mean gold", "mean predicted", "mean distance")
    return Scatter(points, Table(columns, rows))


def _round_edges(low: float, high: float) -> Array:
    """Edges around all numbers, multiples of the smallest step (1, 2 or 5 times a power of ten) that makes few bars."""
    # What is beyond an edge by a rounding (a cosine of 1) gets no bar of its own.
    if high - low < 1e-9 * max(1.0, abs(low)):
        low, high = low - 0.5, high + 0.5
    power = 10.0 ** math.floor(math.log10((high - low) / BARS))
    for step in (power * factor for factor in (1, 2, 5, 10, 20)):
        first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
        if last - first <= BARS:
            break
    return np.round(np.arange(first, last + 1) * step, 12)
