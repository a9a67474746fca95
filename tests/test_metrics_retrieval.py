"""Scores of rankings, against trec_eval and scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
import pytrec_eval
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import ndcg_score

from hub_core.errors import SettingsError
from hub_core.metrics import mean_average_precision, mrr, ndcg, recall

IDS = [f"d{number}" for number in range(12)]
#: A ranking of some ids, and gains of some: 0 is not relevant.
queries = st.lists(
    st.tuples(
        st.lists(st.sampled_from(IDS), unique=True),
        st.dictionaries(st.sampled_from(IDS), st.integers(0, 3)).filter(lambda gains: any(gains.values())),
    ),
    min_size=1,
    max_size=6,
)


@given(queries)
def test_scores_are_those_of_trec_eval(rows: list[tuple[list[str], dict[str, int]]]) -> None:
    rows = [(ids or ["elsewhere"], gains) for ids, gains in rows]  # trec_eval passes over queries without answers
    ranked, relevant = [ids for ids, _ in rows], [gains for _, gains in rows]
    judged = {str(number): gains for number, gains in enumerate(relevant)}
    run = {str(n): {one: float(-rank) for rank, one in enumerate(ids)} for n, ids in enumerate(ranked)}
    measures = {"recall.5", "ndcg_cut.5", "map", "recip_rank"}
    theirs = pytrec_eval.RelevanceEvaluator(judged, measures).evaluate(run).values()

    def mean(name: str) -> float:
        return float(np.mean([row[name] for row in theirs]))

    assert recall(ranked, relevant, 5) == pytest.approx(mean("recall_5"), abs=1e-12)
    assert ndcg(ranked, relevant, 5) == pytest.approx(mean("ndcg_cut_5"), abs=1e-12)
    assert mean_average_precision(ranked, relevant) == pytest.approx(mean("map"), abs=1e-12)
    assert mrr(ranked, relevant, 99) == pytest.approx(mean("recip_rank"), abs=1e-12)


@given(st.permutations(IDS), st.lists(st.integers(0, 5), min_size=12, max_size=12).filter(any), st.integers(1, 12))
def test_ndcg_is_sklearns(ranking: list[str], gains: list[int], k: int) -> None:
    by_id = dict(zip(IDS, gains, strict=True))
    scores = [[-ranking.index(one) for one in IDS]]
    expected = ndcg_score([gains], scores, k=k)
    assert ndcg([ranking], [by_id], k) == pytest.approx(expected, abs=1e-12)


def test_by_hand() -> None:
    ranked, relevant = [["a", "b", "c"], [1, 2, 3]], [{"b", "z"}, {3}]
    assert recall(ranked, relevant, 2) == 0.25
    assert mrr(ranked, relevant, 2) == 0.25
    assert mrr(ranked, relevant, 3) == pytest.approx((1 / 2 + 1 / 3) / 2)
    assert mean_average_precision(ranked, relevant) == pytest.approx((0.25 + 1 / 3) / 2)
    assert ndcg([["a"]], [["a"]], 10) == 1.0


def test_what_has_no_score() -> None:
    with pytest.raises(SettingsError, match="query 1 has no relevant id"):
        recall([["a"], ["a"]], [["a"], {"a": 0}], 1)
    with pytest.raises(SettingsError, match="query 0 has an id twice"):
        mrr([["a", "a"]], [["a"]], 1)
    with pytest.raises(SettingsError, match="k must be at least 1"):
        ndcg([["a"]], [["a"]], 0)
    with pytest.raises(SettingsError, match="rankings of no rows"):
        mean_average_precision([], [])
    with pytest.raises(SettingsError, match="1 gold rows cannot be compared with 2"):
        recall([["a"], ["b"]], [["a"]], 1)
