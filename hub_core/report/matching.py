"""The report of tasks that say whether two texts match (text-matching): classes, and the score that decides."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hub_core.examples import Array
from hub_core.metrics import roc_auc
from hub_core.metrics.classes import scores_from
from hub_core.report.any_task import Record
from hub_core.report.classes import ClassReport
from hub_core.report.sections import Section, Table
from hub_core.report.spread import histogram


class MatchingReport(ClassReport):
    """`ClassReport`, and for two labels how the probability of the second is spread over the rows of each."""

    def scores(self, records: Sequence[Record], labels: Sequence[str]) -> dict[str, float]:
        """See `ClassReport.scores`; for two labels also the area under the ROC curve, where the rows have both."""
        found = super().scores(records, labels)
        if len(labels) != 2 or len({record["gold"] for record in records}) != 2:
            return found
        right = [record["gold"] == labels[1] for record in records]
        return {"roc_auc": roc_auc(right, _scores(records, labels[1]).tolist()), **found}

    def sections(self, records: Sequence[Record], labels: Sequence[str]) -> list[Section]:
        """See `TaskReport.sections`."""
        classes, *others = super().sections(records, labels)
        if len(labels) != 2:
            return [classes, *others]
        scores, gold = _scores(records, labels[1]), np.array([record["gold"] for record in records])
        about = (
            f"The probability of {labels[1]}, each gold label on a line of its own. The answer is {labels[1]} from 0.5 "
            "on; the table says which limit would have been best on these rows."
        )
        spread = {label: scores[gold == label] for label in labels}
        blocks = (histogram(f"probability of {labels[1]}", spread), limits(scores, gold == labels[1]))
        return [classes, Section("scores", "Scores", about, blocks), *others]


def limits(scores: Array, right: Array) -> Table:
    """What the best limit by accuracy, and the best by F1, would give: pairs match whose score is at least the limit.

    `scores` are numbers ``(pairs,)``, `right` says which pairs match. A limit lies in the middle between the scores of
    two pairs; of equally good ones the highest stands.
    """
    order = np.argsort(-scores, kind="stable")
    values, hits = scores[order], np.cumsum(right[order])
    last = np.append(values[1:] != values[:-1], True)  # equal scores lie on one side of every limit
    found, hits, values = np.flatnonzero(last) + 1, hits[last], values[last]
    between = (values + np.append(values[1:], values[-1])) / 2
    total = int(right.sum())
    accuracy = (hits + (len(scores) - total) - (found - hits)) / len(scores)
    f1 = 2 * hits / (found + total)
    rows = []
    for name, quality in (("accuracy", accuracy), ("f1", f1)):
        best = int(np.argmax(quality))
        one = scores_from(int(hits[best]), int(found[best]), total)
        rows.append((name, f"{between[best]:.8g}", float(accuracy[best]), one.precision, one.recall, one.f1))
    return Table(("best by", "limit", "accuracy", "precision", "recall", "f1"), rows, title="Best limits")


def _scores(records: Sequence[Record], label: str) -> Array:
    return np.array([record["probabilities"][label] for record in records])
