"""The report of tasks that make a vector of a text (embedding): how alike pairs are, and what searches find."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from hub_core.examples import Array, Example, Prediction
from hub_core.metrics import Measure, RankMeasure, Resampled, mrr, ndcg, recall, roc_auc
from hub_core.metrics.resampling import ratio
from hub_core.report.any_task import SHOWN, Record, TaskReport, by_length
from hub_core.report.matching import limits
from hub_core.report.numbers import is_number
from hub_core.report.sections import Block, Line, Passage, Passages, Piece, Section, Table
from hub_core.report.spread import histogram
from hub_core.tasks.embedding import VectorPrediction, searches
from hub_core.tasks.task import Task

#: The labels that stand on a line each; where there are more, so many ranges of them do.
_LABELS, _RANGES = 6, 5
#: How many of the texts that a search found are shown.
_FOUND = 3
#: The ranks that are counted together, each with the first after it.
_RANKS = {"1": 2, "2": 3, "3": 4, "4 to 5": 6, "6 to 10": 11}


class SimilarityReport(TaskReport):
    """Cosines by label, the limit from which pairs match, the ranks at which searches find, and the worst of both.

    Rows with numbers are pairs to be ordered; those that match (label above 0.5, or none) are also searches: their
    first text looks for the second among all second texts.
    """

    def records(
        self, task: Task, examples: Sequence[Example], predictions: Sequence[Prediction]
    ) -> list[dict[str, Any]]:
        """With what each search found, and how far the place of every cosine is from that of its label.

        ``nearest`` (the ten nearest texts) and ``matches`` (how many there are) stand in the first row that asks.
        ``displaced`` is the share of rows that the cosine passes (1: all) less the share that the label does.
        """
        made = super().records(task, examples, predictions)
        found, texts = searches(examples, predictions)
        for one in found:
            seen = zip(one.nearest, one.cosines, strict=True)
            made[one.row]["matches"] = len(one.matches)
            made[one.row]["nearest"] = [
                {"text": texts[at], "similarity": cosine, "right": at in one.matches} for at, cosine in seen
            ]
        if _is_labelled(made):
            moved = _places(_column(made, "predicted")) - _places(_column(made, "gold"))
            for record, place in zip(made, moved.tolist(), strict=True):
                record["displaced"] = place
        return made

    def record(self, task: Task, example: Example, prediction: Prediction) -> dict[str, Any]:
        """With the cosine of both texts."""
        if not isinstance(prediction, VectorPrediction) or len(prediction.vectors) < 2:
            return super().record(task, example, prediction)
        return {
            **self.asked(task, example),
            "gold": None if example.label is None else float(str(example.label)),
            "predicted": prediction.similarity,
            "truncated": prediction.truncated,
        }

    def fits(self, record: Record) -> bool:
        """See `TaskReport.fits`."""
        return is_number(record["predicted"])

    def fault(self, record: Record) -> str | None:
        """See `TaskReport.fault`."""
        if not is_number(record["predicted"]):
            return f"predicted must be a cosine, not {record['predicted']!r}"
        if record["gold"] is not None and not is_number(record["gold"]):
            return f"gold must be a number or null, not {record['gold']!r}"
        if not is_number(record.get("displaced", 0)):
            return f"displaced must be a number, not {record['displaced']!r}"
        if "nearest" in record:
            nearest, matches = record["nearest"], record.get("matches")
            if not isinstance(nearest, list) or not nearest or not all(map(_is_found, nearest)):
                return "nearest must be a list of objects with text, similarity and right"
            if not isinstance(matches, int) or matches < max(1, sum(one["right"] for one in nearest)):
                return f"matches must be how many texts match, not {matches!r}"
        return None

    def measures(self, records: Sequence[Record]) -> Sequence[Resampled]:
        """Spearman's correlation of cosines and labels, and the scores of searches, as far as the rows have them."""
        found: list[Resampled] = []
        if _is_labelled(records):
            found.append(RankMeasure("spearman", _column(records, "gold"), _column(records, "predicted")))
        scored = [(row, _search_scores(record)) for row, record in enumerate(records) if "nearest" in record]
        for name in scored[0][1] if scored else ():
            counts = np.zeros((len(records), 2))
            counts[[row for row, _ in scored]] = [(scores[name], 1) for _, scores in scored]
            found.append(Measure(name, counts, lambda sums: ratio(sums[..., 0], sums[..., 1])))
        return found

    def scores(self, records: Sequence[Record], labels: Sequence[str]) -> dict[str, float]:  # noqa: ARG002
        """Where the rows have two labels, the area under the ROC curve of telling them apart by the cosine."""
        values = _values(records)
        if len(values) != 2:
            return {}
        right = _column(records, "gold") == values[1]
        return {"roc_auc": roc_auc(right.tolist(), _column(records, "predicted").tolist())}

    def sections(self, records: Sequence[Record], labels: Sequence[str]) -> list[Section]:  # noqa: ARG002
        """See `TaskReport.sections`."""
        asking = [record for record in records if "nearest" in record]
        labelled = _is_labelled(records)
        sections = [_cosines(records, asking)]
        sections += [_ranks(asking)] if asking else []
        measured = records if labelled else asking
        if measured:
            sections.append(by_length(self.measures(measured)[0], [self.length(record) for record in measured]))
        if labelled:
            about = (
                f"The {SHOWN} pairs whose cosine stands furthest from where the label stands: for both, the share of "
                "rows that it passes. Look for wrong labels first."
            )
            sections.append(self.worst(records, about))
        if asking:
            sections.append(_searches(asking))
        return sections

    def errors(self, record: Record) -> float:
        """How far the cosine's place is from the label's; without labels, 1 less one through the rank."""
        if "displaced" in record:
            return abs(float(record["displaced"]))
        return 1 - _search_scores(record)["mrr@10"] if "nearest" in record else 0.0

    def right(self, record: Record) -> bool | None:
        """Whether a search finds a match first; None for pairs with a label, and rows that search for nothing new."""
        return None if "displaced" in record or "nearest" not in record else bool(record["nearest"][0]["right"])

    def answer(self, record: Record) -> Any:
        """The cosine; without labels the rank of the match."""
        return record["predicted"] if "displaced" in record else _rank(record)

    def passage(self, record: Record, answers: Mapping[str, Record]) -> Passage:
        """See `TaskReport.passage`."""
        if "displaced" not in record:
            return _search_passage(record, answers)
        gold = f"{record['gold']:g}"
        lines = [Line("gold", (Piece(gold, "gold"),), gold)]
        for name, one in answers.items():
            said = f"{one['predicted']:.4f}"
            off = f"{abs(one['displaced']):.1%} of the rows too {'high' if one['displaced'] > 0 else 'low'}"
            lines.append(Line(name, (Piece(said), Piece(f"  {off}")), f"{said} ({off})"))
        return Passage(record["key"], "", record["text"], tuple(lines), record.get("text_pair", ""))


def _is_found(value: object) -> bool:
    if not isinstance(value, dict) or not isinstance(value.get("text"), str):
        return False
    return is_number(value.get("similarity")) and isinstance(value.get("right"), bool)


def _column(records: Sequence[Record], name: str) -> Array:
    return np.array([record[name] for record in records], dtype=np.float64)


def _values(records: Sequence[Record]) -> list[float]:
    """The different labels, ascending; none where a row has none."""
    found = {record["gold"] for record in records}
    return [] if None in found else sorted(found)


def _is_labelled(records: Sequence[Record]) -> bool:
    """Whether the rows are pairs to be put in order."""
    return len(_values(records)) > 1


def _places(values: Array) -> Array:
    """For each number the share of all rows that it passes; equal ones pass half of each other."""
    _, group, size = np.unique(values, return_inverse=True, return_counts=True)
    share: Array = ((np.cumsum(size) - size / 2) / len(values))[group]
    return share


def _rank(record: Record) -> int | None:
    """The rank of the first match; None where it is not among the nearest, or the row searches nothing."""
    flags = [one["right"] for one in record.get("nearest", ())]
    return flags.index(True) + 1 if True in flags else None


def _search_scores(record: Record) -> dict[str, float]:
    """The scores of one search, by the names that the task has for them."""
    ranking = list(range(len(record["nearest"])))
    hits = {rank for rank, one in enumerate(record["nearest"]) if one["right"]}
    relevant = [hits | {-1 - at for at in range(record["matches"] - len(hits))}]  # and those that were not found
    return {
        "mrr@10": mrr([ranking], relevant, 10),
        "ndcg@10": ndcg([ranking], relevant, 10),
        "recall@1": recall([ranking], relevant, 1),
        "recall@10": recall([ranking], relevant, 10),
    }


def _cosines(records: Sequence[Record], asking: Sequence[Record]) -> Section:
    """How alike pairs are, by label; without labels beside the nearest text that does not match."""
    values, cosines = _values(records), _column(records, "predicted")
    if not values:
        others = [cosine for record in asking if (cosine := _best_wrong(record)) is not None]
        spread: dict[str, Sequence[float] | Array] = {"pairs that match": cosines, "nearest that do not match": others}
        about = "How alike the texts of a row are, and each searching text and the nearest that does not match it."
        return Section("similarities", "Similarities", about, (histogram("cosine", spread),))
    gold = _column(records, "gold")
    blocks: list[Block] = [histogram("cosine", _by_label(gold, cosines, values))]
    about = "The cosine of both texts, the rows of each label on a line of its own."
    if len(values) == 2:
        about += " The table says which limit tells them apart best on these rows."
        blocks.append(limits(cosines, gold == values[1]))
    return Section("similarities", "Similarities", about, tuple(blocks))


def _by_label(gold: Array, cosines: Array, values: Sequence[float]) -> dict[str, Sequence[float] | Array]:
    """Cosines by label, or by ranges of labels of equal width."""
    if len(values) <= _LABELS:
        return {f"label {value:g}": cosines[gold == value] for value in values}
    edges = np.linspace(values[0], values[-1], _RANGES + 1)
    group = np.clip(np.searchsorted(edges, gold, side="right") - 1, 0, _RANGES - 1)
    return {f"label {edges[at]:g} to {edges[at + 1]:g}": cosines[group == at] for at in range(_RANGES)}


def _ranks(asking: Sequence[Record]) -> Section:
    ranks = Counter(_rank(record) for record in asking)
    rows, first = [], 1
    for name, end in _RANKS.items():
        count = sum(ranks[rank] for rank in range(first, end))
        rows.append((name, count, count / len(asking)))
        first = end
    rows.append(("beyond", ranks[None], ranks[None] / len(asking)))
    about = (
        f"Each of {len(asking):,} different texts that have a match looks for it among all different second texts: at "
        "which rank the first match stands."
    )
    return Section("ranks", "Searches", about, (Table(("rank", "searches", "share"), rows, bars=("share",)),))


def _best_wrong(record: Record) -> float | None:
    """The cosine of the nearest text that does not match."""
    return next((float(one["similarity"]) for one in record["nearest"] if not one["right"]), None)


def _searches(asking: Sequence[Record]) -> Section:
    """The searches whose match stands lowest; of equal rank those with the surest wrong text first."""
    wrong = [record for record in asking if not record["nearest"][0]["right"]]
    wrong.sort(key=lambda record: (-(_rank(record) or np.inf), -record["nearest"][0]["similarity"]))
    passages = [_search_passage(record, {"nearest": record}) for record in wrong[:SHOWN]]
    about = f"The {SHOWN} searches whose match stands lowest, with the nearest texts. Look for matches without a label."
    return Section("searches", "Worst searches", about, (Passages(passages, "Every search finds a match first."),))


def _search_passage(record: Record, answers: Mapping[str, Record]) -> Passage:
    lines = [Line("match", (Piece(record.get("text_pair", ""), "gold"),), record.get("text_pair", ""))]
    for name, one in answers.items():
        pieces: list[Piece] = []
        for found in one.get("nearest", ())[:_FOUND]:
            mark = Piece(found["text"], "right" if found["right"] else "wrong", f"{found['similarity']:.4f}")
            pieces += [Piece("\n")] * bool(pieces) + [mark]
        said = "; ".join(f"{piece.text} {piece.label}" for piece in pieces if piece.mark)
        lines.append(Line(name, tuple(pieces), said))
    rank = _rank(record)
    note = "" if len(answers) > 1 else "no match among the nearest" if rank is None else f"match at rank {rank}"
    return Passage(record["key"], note, record["text"], tuple(lines))
