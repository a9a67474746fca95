"""Intervals and paired tests, against scipy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest, bootstrap, rankdata

from hub_core.errors import SettingsError
from hub_core.examples import Array
from hub_core.metrics import Measure, RankMeasure, difference, interval, mcnemar, spearman
from hub_core.metrics.resampling import ratio

DRAW = np.random.default_rng(7)
RIGHT, BETTER = DRAW.random(400) < 0.7, DRAW.random(400) < 0.8
#: hits, answers, and what was to be found, per sentence; of two modules.
ENTITIES = np.stack([DRAW.binomial(2, 0.7, 300), DRAW.integers(2, 4, 300), DRAW.integers(2, 4, 300)], axis=1)
OTHER = np.stack([DRAW.binomial(2, 0.5, 300), DRAW.integers(2, 4, 300), ENTITIES[:, 2]], axis=1)


def f1(sums: Array) -> Array:
    return ratio(2 * sums[..., 0], sums[..., 1] + sums[..., 2])


def scipy_f1(hits: Array, answered: Array, asked: Array, axis: int) -> Array:
    return 2 * hits.sum(axis) / (answered.sum(axis) + asked.sum(axis))


def width(bounds: tuple[float, float]) -> float:
    return bounds[1] - bounds[0]


@pytest.mark.parametrize("values", [RIGHT, DRAW.random(300)], ids=["few kinds of rows", "many"])
def test_an_interval_is_scipys(values: Array) -> None:
    ours = interval(Measure.mean("accuracy", values))
    theirs = bootstrap((values.astype(float),), np.mean, method="percentile", n_resamples=10_000, rng=1)
    assert ours == pytest.approx(tuple(theirs.confidence_interval), abs=0.05 * width(ours))


def test_the_interval_of_a_ratio_of_sums_is_scipys() -> None:
    measure = Measure("f1", ENTITIES, f1)
    assert measure.value == pytest.approx(scipy_f1(*ENTITIES.T, axis=0))
    ours = interval(measure, level=0.9)
    theirs = bootstrap(
        tuple(ENTITIES.T.astype(float)), scipy_f1, paired=True, method="percentile", confidence_level=0.9, rng=1
    )
    assert ours == pytest.approx(tuple(theirs.confidence_interval), abs=0.05 * width(ours))


def test_a_paired_difference_is_scipys() -> None:
    ours = difference(Measure.mean("a", RIGHT), Measure.mean("a", BETTER))
    theirs = bootstrap(
        (RIGHT.astype(float), BETTER.astype(float)),
        lambda one, two, axis: two.mean(axis) - one.mean(axis),
        paired=True,
        method="percentile",
        rng=1,
    )
    assert ours == pytest.approx(tuple(theirs.confidence_interval), abs=0.05 * width(ours))


def test_a_paired_difference_of_f1_is_scipys() -> None:
    ours = difference(Measure("f1", ENTITIES, f1), Measure("f1", OTHER, f1))
    columns = tuple(np.concatenate([ENTITIES, OTHER], axis=1).T.astype(float))
    theirs = bootstrap(
        columns,
        lambda *six, axis: scipy_f1(*six[3:], axis=axis) - scipy_f1(*six[:3], axis=axis),
        paired=True,
        method="percentile",
        rng=1,
    )
    assert ours == pytest.approx(tuple(theirs.confidence_interval), abs=0.05 * width(ours))


#: Gold numbers of few different values, and answers of two modules.
GOLD = DRAW.integers(0, 6, 120).astype(float)
CLOSE, FAR = GOLD + DRAW.normal(size=120), GOLD + 3 * DRAW.normal(size=120)


def ranked(gold: Array, predicted: Array, axis: int) -> Array:
    one, two = (rankdata(side, axis=axis) - (side.shape[axis] + 1) / 2 for side in (gold, predicted))
    return (one * two).sum(axis) / np.sqrt((one**2).sum(axis) * (two**2).sum(axis))


def test_the_interval_of_a_rank_correlation_is_scipys() -> None:
    measure = RankMeasure("spearman", GOLD, CLOSE)
    assert measure.value == pytest.approx(spearman(GOLD, CLOSE), rel=1e-12)
    theirs = bootstrap((GOLD, CLOSE), ranked, paired=True, method="percentile", rng=1)
    ours = interval(measure)
    assert ours == pytest.approx(tuple(theirs.confidence_interval), abs=0.05 * width(ours))


def test_a_paired_difference_of_rank_correlations_is_scipys() -> None:
    theirs = bootstrap(
        (GOLD, CLOSE, FAR),
        lambda gold, one, two, axis: ranked(gold, two, axis) - ranked(gold, one, axis),
        paired=True,
        method="percentile",
        rng=1,
    )
    ours = difference(RankMeasure("a", GOLD, CLOSE), RankMeasure("a", GOLD, FAR))
    assert ours == pytest.approx(tuple(theirs.confidence_interval), abs=0.05 * width(ours))


def test_a_sample_is_ranked_anew() -> None:
    measure, draw = RankMeasure("spearman", GOLD, FAR), np.random.default_rng(3)
    samples = [draw.integers(120, size=120) for _ in range(20)]
    expected = [spearman(GOLD[rows], FAR[rows]) for rows in samples]
    assert measure.resampled(20, seed=3) == pytest.approx(expected, rel=1e-12)
    assert measure.of(samples[0]).value == pytest.approx(expected[0], rel=1e-12)
    assert RankMeasure("spearman", GOLD, np.ones(120)).value == 0.0
    assert measure.of(np.array([4])).value == 0.0


def test_a_module_beside_itself_does_not_differ() -> None:
    measure = Measure("f1", ENTITIES, f1)
    assert difference(measure, measure) == (0.0, 0.0)


def test_chance_is_seldom_taken_for_more() -> None:
    draw, clear = np.random.default_rng(2), 0
    for _ in range(100):
        first, second = (Measure.mean("accuracy", draw.random(200) < 0.5) for _ in range(2))
        low, high = difference(first, second, resamples=500)
        clear += low > 0 or high < 0
    assert 1 <= clear <= 12  # 5 are expected; the bounds hold for 99 seeds of 100


def test_a_seed_makes_an_interval_repeatable() -> None:
    measure = Measure.mean("accuracy", RIGHT)
    assert interval(measure, seed=3, resamples=200) == interval(measure, seed=3, resamples=200)
    assert interval(measure, seed=3, resamples=200) != interval(measure, seed=4, resamples=200)


def test_a_measure_of_some_rows() -> None:
    measure = Measure.mean("accuracy", RIGHT)
    assert measure.of(RIGHT).value == 1.0
    assert measure.of(np.array([0, 1])).value == RIGHT[:2].mean()
    assert Measure.mean("none", []).value == 0.0


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=80))
def test_mcnemar_is_the_exact_binomial_test(rows: list[tuple[bool, bool]]) -> None:
    first, second = zip(*rows, strict=True)
    found = mcnemar(first, second)
    assert found.both + found.only_first + found.only_second + found.neither == len(rows)
    discordant = found.only_first + found.only_second
    expected = binomtest(found.only_first, discordant, 0.5).pvalue if discordant else 1.0
    assert found.p == pytest.approx(expected, rel=1e-12)


def test_mcnemar_of_many_rows_neither_overflows_nor_dawdles() -> None:
    first = np.arange(20_000) < 9_900
    found = mcnemar(first, ~first)
    assert (found.only_first, found.only_second) == (9_900, 10_100)
    assert found.p == pytest.approx(binomtest(9_900, 20_000, 0.5).pvalue, rel=1e-9)
    assert mcnemar(np.ones(5000), np.zeros(5000)).p == 0.0  # less than the smallest float


def test_what_cannot_be_resampled() -> None:
    with pytest.raises(SettingsError, match="an interval of no rows is not defined"):
        interval(Measure.mean("a", []))
    with pytest.raises(SettingsError, match="resamples must be at least 1, not 0"):
        interval(Measure.mean("a", [1]), resamples=0)
    with pytest.raises(SettingsError, match="level must be between 0 and 1, not 95"):
        interval(Measure.mean("a", [1]), level=95)
    with pytest.raises(SettingsError, match="2 gold rows cannot be compared with 1"):
        difference(Measure.mean("a", [1, 0]), Measure.mean("a", [1]))
    with pytest.raises(SettingsError, match="120 gold rows cannot be compared with 3"):
        difference(RankMeasure("a", GOLD, FAR), RankMeasure("a", GOLD[:3], FAR[:3]))
    with pytest.raises(SettingsError, match="a and b are scores of two kinds"):
        difference(RankMeasure("a", GOLD, FAR), Measure.mean("b", FAR))
    with pytest.raises(SettingsError, match="an interval of no rows"):
        interval(RankMeasure("a", GOLD[:0], FAR[:0]))
    with pytest.raises(SettingsError, match="McNemar's test of no rows"):
        mcnemar([], [])
