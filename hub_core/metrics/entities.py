"""Scores of entities: spans of units with a type."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hub_core.errors import SettingsError
from hub_core.metrics.classes import Scores, scores_from
from hub_core.metrics.rows import check_rows
from hub_core.tagging import Span, spans


@dataclass(frozen=True)
class EntityScores:
    """Micro-averaged scores of all entities, and scores per entity type, types in alphabetical order."""

    precision: float
    recall: float
    f1: float
    support: int
    per_type: Mapping[str, Scores]


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
    check_rows(gold, predicted)
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
    per_type = {kind: scores_from(hits[kind], answered[kind], asked[kind]) for kind in kinds}
    total = scores_from(hits.total(), answered.total(), asked.total())
    return EntityScores(total.precision, total.recall, total.f1, total.support, per_type)


def _tally(counts: Counter[str], found: Sequence[Span] | set[Span]) -> None:
    for span in found:
        counts[span.label] += 1
