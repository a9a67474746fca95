"""How sure a score is, and whether a difference between two is more than chance."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence, Sized
from dataclasses import dataclass

import numpy as np

from hub_core.errors import SettingsError
from hub_core.examples import Array
from hub_core.metrics.rows import check_rows, check_some


@dataclass(frozen=True)
class Measure:
    """A score that sums over rows decide, so that it can be taken of any sample of them.

    `counts` is ``(rows, columns)``: what each row adds up. `score` reads the score from sums ``(..., columns)`` as
    ``(...)``. Accuracy has two columns (right, and 1), F1 of entities three.
    """

    name: str
    counts: Array
    score: Callable[[Array], Array]

    @classmethod
    def mean(cls, name: str, values: Sequence[float] | Array) -> Measure:
        """The mean of one number per row."""
        column = np.asarray(values, dtype=np.float64)
        return cls(
            name, np.stack([column, np.ones(len(column))], axis=1), lambda sums: ratio(sums[..., 0], sums[..., 1])
        )

    @property
    def value(self) -> float:
        """The score of all rows."""
        return float(self.score(self.counts.sum(axis=0)))

    def of(self, rows: Array) -> Measure:
        """The same score of some rows, chosen by indices or by a mask ``(rows,)``."""
        return Measure(self.name, self.counts[rows], self.score)

    def resampled(self, resamples: int, seed: int) -> Array:
        """The score of so many samples of the rows, drawn with replacement: ``(resamples,)``."""
        return self.score(_sums(self.counts, resamples, seed))


@dataclass(frozen=True)
class RankMeasure:
    """Spearman's correlation of any sample of rows. No sums over rows decide it: every sample is ranked anew.

    `gold` and `predicted` are numbers ``(rows,)``. The score is 0.0 where one side of a sample is constant.
    """

    name: str
    gold: Array
    predicted: Array

    @property
    def value(self) -> float:
        """The score of all rows."""
        return _rank_correlation(np.ones(len(self.gold)), *self._groups())

    def of(self, rows: Array) -> RankMeasure:
        """See `Measure.of`."""
        return RankMeasure(self.name, self.gold[rows], self.predicted[rows])

    def resampled(self, resamples: int, seed: int) -> Array:
        """See `Measure.resampled`."""
        _check(self.gold, resamples)
        rows, draw, groups = len(self.gold), np.random.default_rng(seed), self._groups()
        drawn = (np.bincount(draw.integers(rows, size=rows), minlength=rows) for _ in range(resamples))
        return np.array([_rank_correlation(times, *groups) for times in drawn])

    def _groups(self) -> tuple[Array, Array]:
        """Of each side, which of its different values every row has, in ascending order."""
        gold, predicted = (np.unique(side, return_inverse=True)[1] for side in (self.gold, self.predicted))
        return gold, predicted


#: A score of which samples can be taken.
Resampled = Measure | RankMeasure


def ratio(over: Array, under: Array) -> Array:
    """``over / under``, 0 where `under` is 0."""
    result: Array = np.divide(over, under, out=np.zeros(np.broadcast(over, under).shape), where=np.asarray(under) != 0)
    return result


def interval(measure: Resampled, *, level: float = 0.95, resamples: int = 10_000, seed: int = 0) -> tuple[float, float]:
    """The percentile bootstrap interval of a score: low and high.

    The rows are drawn anew, with replacement, `resamples` times; the middle `level` of the scores stands (Efron 1979).
    The same `seed` gives the same interval.
    """
    return _middle(measure.resampled(resamples, seed), level)


def difference(
    first: Resampled, second: Resampled, *, level: float = 0.95, resamples: int = 10_000, seed: int = 0
) -> tuple[float, float]:
    """The paired bootstrap interval of ``second - first``: low and high.

    Both have been measured on the same rows, so each resample takes the same rows of both (Koehn 2004, "Statistical
    significance tests for machine translation evaluation"). Where 0 is outside, the difference is more than the choice
    of these rows.
    """
    if isinstance(first, Measure) and isinstance(second, Measure):
        check_rows(first.counts, second.counts)
        width = first.counts.shape[1]
        sums = _sums(np.concatenate([first.counts, second.counts], axis=1), resamples, seed)
        return _middle(second.score(sums[:, width:]) - first.score(sums[:, :width]), level)
    if isinstance(first, RankMeasure) and isinstance(second, RankMeasure):
        check_rows(first.gold, second.gold)
        return _middle(
            second.resampled(resamples, seed) - first.resampled(resamples, seed), level
        )  # one seed: same rows
    raise SettingsError(f"{first.name} and {second.name} are scores of two kinds, which have no difference")


@dataclass(frozen=True)
class Matched:
    """How the answers of two modules to the same rows fall together, and McNemar's p.

    `p` is the probability of so uneven a split of the rows that only one of them has right, or a more uneven one, if
    both were equally good.
    """

    both: int
    only_first: int
    only_second: int
    neither: int
    p: float


def mcnemar(first: Sequence[bool] | Array, second: Sequence[bool] | Array) -> Matched:
    """McNemar's exact test of two modules' right answers to the same rows (two-sided binomial; McNemar 1947)."""
    check_rows(first, second)
    check_some(first, "McNemar's test")
    one, two = np.asarray(first, dtype=bool), np.asarray(second, dtype=bool)
    only_first, only_second = int((one & ~two).sum()), int((two & ~one).sum())
    p = _two_sided(min(only_first, only_second), only_first + only_second)
    return Matched(int((one & two).sum()), only_first, only_second, int((~one & ~two).sum()), p)


def _two_sided(fewer: int, throws: int) -> float:
    """The probability that a fair coin, thrown so often, shows one of its sides at most `fewer` times; exact."""
    if 2 * fewer >= throws:  # an even split, or no throw at all
        return 1.0
    term = ways = 1
    for chosen in range(fewer):
        term = term * (throws - chosen) // (chosen + 1)
        ways += term
    chance: float = 2 * ways / 2**throws
    return min(1.0, chance)


def _sums(counts: Array, resamples: int, seed: int) -> Array:
    """The sums over each resample: ``(resamples, columns)``."""
    _check(counts, resamples)
    counts = np.asarray(counts, dtype=np.float64)
    rows, draw = len(counts), np.random.default_rng(seed)
    # Rows that add up alike are one kind: only how often each kind is drawn matters.
    kinds, kind, sizes = np.unique(counts, axis=0, return_inverse=True, return_counts=True)
    sums = np.empty((resamples, counts.shape[1]))
    for number in range(resamples):
        if 16 * len(kinds) < rows:  # about where drawing so many rows takes longer
            drawn = draw.multinomial(rows, sizes / rows)
        else:
            drawn = np.bincount(kind[draw.integers(rows, size=rows)], minlength=len(kinds))
        sums[number] = drawn @ kinds
    return sums


def _check(rows: Sized, resamples: int) -> None:
    check_some(rows, "an interval")
    if resamples < 1:
        raise SettingsError(f"resamples must be at least 1, not {resamples}")


def _rank_correlation(times: Array, *sides: Array) -> float:
    """Spearman's correlation of rows that stand in a sample so many times; `sides` say which value each row has."""
    deviations, spreads = [], []
    for group in sides:
        size = np.bincount(group, weights=times)
        rank = np.cumsum(size) - (size - 1) / 2  # equal values share the mean of their ranks
        rank -= (size.sum() + 1) / 2
        deviations.append(rank[group])
        spreads.append(float(size @ rank**2))
    spread = math.sqrt(spreads[0] * spreads[1])
    return float(times @ (deviations[0] * deviations[1])) / spread if spread else 0.0


def _middle(scores: Array, level: float) -> tuple[float, float]:
    if not 0 < level < 1:
        raise SettingsError(f"level must be between 0 and 1, not {level}")
    low, high = np.quantile(scores, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)
