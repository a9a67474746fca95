"""Scores of rankings: per query the ids that were found, best first, and those that are relevant."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Hashable, Mapping, Sequence

from hub_core.errors import SettingsError
from hub_core.metrics.rows import check_rows, check_some

Ranking = Sequence[Hashable]
#: Relevant ids, or how relevant each is (a gain of more than 0; ids that are not named have none).
Relevant = Collection[Hashable] | Mapping[Hashable, float]


def recall(ranked: Sequence[Ranking], relevant: Sequence[Relevant], k: int) -> float:
    """The share of the relevant ids that stand among the first `k`, mean over queries.

    `ranked` and `relevant` hold one entry per query. Raises SettingsError for a query without relevant ids, for an id
    that is ranked twice, and for `k` below 1.
    """
    return _mean(ranked, relevant, lambda ids, gains: sum(one in gains for one in ids[:k]) / len(gains), k)


def mrr(ranked: Sequence[Ranking], relevant: Sequence[Relevant], k: int) -> float:
    """One through the rank of the first relevant id, 0 where it is not among the first `k`; mean over queries."""

    def reciprocal(ids: Ranking, gains: Mapping[Hashable, float]) -> float:
        return next((1 / rank for rank, one in enumerate(ids[:k], start=1) if one in gains), 0.0)

    return _mean(ranked, relevant, reciprocal, k)


def ndcg(ranked: Sequence[Ranking], relevant: Sequence[Relevant], k: int) -> float:
    """Discounted gain of the first `k` ids, as a share of the best that is possible; mean over queries.

    An id of gain g at rank r counts ``g / log2(r + 1)`` (Järvelin and Kekäläinen 2002; trec_eval's ``ndcg_cut``). Ids
    that are given without a gain have 1.
    """

    def normalised(ids: Ranking, gains: Mapping[Hashable, float]) -> float:
        ideal = sorted(gains.values(), reverse=True)[:k]
        return _discounted([gains.get(one, 0.0) for one in ids[:k]]) / _discounted(ideal)

    return _mean(ranked, relevant, normalised, k)


def mean_average_precision(ranked: Sequence[Ranking], relevant: Sequence[Relevant]) -> float:
    """Precision at each relevant id's rank, summed, through the number of relevant ids; mean over queries.

    Relevant ids that were not found count 0, so a ranking that ends early is no better for it.
    """

    def precision(ids: Ranking, gains: Mapping[Hashable, float]) -> float:
        found, total = 0, 0.0
        for rank, one in enumerate(ids, start=1):
            if one in gains:
                found += 1
                total += found / rank
        return total / len(gains)

    return _mean(ranked, relevant, precision, 1)


def _mean(
    ranked: Sequence[Ranking],
    relevant: Sequence[Relevant],
    score: Callable[[Ranking, Mapping[Hashable, float]], float],
    k: int,
) -> float:
    check_rows(relevant, ranked)
    check_some(ranked, "a score of rankings")
    if k < 1:
        raise SettingsError(f"k must be at least 1, not {k}")
    scores = []
    for number, (ids, wanted) in enumerate(zip(ranked, relevant, strict=True)):
        gains = _gains(wanted)
        if not gains:
            raise SettingsError(f"query {number} has no relevant id; leave it out")
        if len(set(ids)) != len(ids):
            raise SettingsError(f"query {number} has an id twice in its ranking")
        scores.append(score(ids, gains))
    return math.fsum(scores) / len(scores)


def _gains(relevant: Relevant) -> Mapping[Hashable, float]:
    if not isinstance(relevant, Mapping):
        return dict.fromkeys(relevant, 1.0)
    return {one: gain for one, gain in relevant.items() if gain > 0}


def _discounted(gains: Sequence[float]) -> float:
    return math.fsum(gain / math.log2(rank + 1) for rank, gain in enumerate(gains, start=1))
