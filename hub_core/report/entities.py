"""The report of tasks that label units (token-cls): what is right and wrong about entities."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from hub_core.examples import Example, Prediction, TokenPrediction, join_units
from hub_core.metrics import Measure, calibration_error, reliability
from hub_core.metrics.classes import scores_from
from hub_core.metrics.resampling import ratio
from hub_core.report.alignment import KINDS, Pair, align
from hub_core.report.any_task import SHOWN, Record, TaskReport, by_length
from hub_core.report.sections import Line, Matrix, Passage, Piece, Reliability, Section, Table
from hub_core.tagging import Span, spans
from hub_core.tasks.task import Task
from hub_core.tasks.token_cls import unit_labels

#: What stands for the other half of an entity that has none.
NONE = "(none)"
#: How many of the most frequent wrong answers are listed.
FREQUENT = 12


class EntityReport(TaskReport):
    """Types, kinds of errors, calibration of entities, lengths, and the sentences with most wrong entities."""

    def record(self, task: Task, example: Example, prediction: Prediction) -> dict[str, Any]:
        """With units, the label and probability of each, and the entities on both sides."""
        if not isinstance(prediction, TokenPrediction):
            return super().record(task, example, prediction)
        gold = unit_labels(example)
        read = {name: task.options[name] for name in ("scheme", "suffix")}
        return {
            **self.asked(task, example),
            "units": list(prediction.units),
            "gold": list(gold),
            "predicted": list(prediction.labels),
            "probabilities": list(prediction.probabilities),
            "gold_entities": [_entity(span) for span in spans(gold, **read)],
            "entities": [{**_entity(one), "score": one.score} for one in prediction.entities],
        }

    def fits(self, record: Record) -> bool:
        """See `TaskReport.fits`."""
        return "entities" in record

    def fault(self, record: Record) -> str | None:
        """See `TaskReport.fault`."""
        for name in ("units", "gold", "predicted"):
            if not isinstance(record.get(name), list) or not all(isinstance(one, str) for one in record[name]):
                return f"{name} must be a list of strings"
            if len(record[name]) != len(record["units"]):
                return f"{len(record['units'])} units, but {len(record[name])} labels as {name}"
        for name in ("gold_entities", "entities"):
            found = record.get(name)
            if not isinstance(found, list) or not all(_is_entity(one, len(record["units"])) for one in found):
                return f"{name} must be a list of objects with label, start and end (in units)"
        return None

    def measures(self, records: Sequence[Record]) -> list[Measure]:
        """F1, precision and recall of entities, and accuracy of units."""
        counts = np.array([_counts(record) for record in records], dtype=np.float64)
        units = [[sum(map(str.__eq__, record["gold"], record["predicted"])), len(record["gold"])] for record in records]
        return [
            Measure("f1", counts, lambda sums: ratio(2 * sums[..., 0], sums[..., 1] + sums[..., 2])),
            Measure("precision", counts, lambda sums: ratio(sums[..., 0], sums[..., 1])),
            Measure("recall", counts, lambda sums: ratio(sums[..., 0], sums[..., 2])),
            Measure("accuracy", np.array(units, dtype=np.float64), lambda sums: ratio(sums[..., 0], sums[..., 1])),
        ]

    def scores(self, records: Sequence[Record], labels: Sequence[str]) -> dict[str, float]:  # noqa: ARG002
        """The share of rows without a wrong entity, and the calibration error of the entities that were found."""
        whole = float(np.mean([self.errors(record) == 0 for record in records]))
        confidence, right = _confidence(records)
        return {"whole_rows": whole, **({"calibration_error": calibration_error(confidence, right)} if right else {})}

    def sections(self, records: Sequence[Record], labels: Sequence[str]) -> list[Section]:  # noqa: ARG002
        """See `TaskReport.sections`."""
        aligned = [align(_spans(record, "gold_entities"), _spans(record, "entities")) for record in records]
        pairs = [pair for row in aligned for pair in row]
        return [
            _types(pairs),
            _kinds(pairs),
            _confusions(pairs),
            _bounds(records, aligned),
            *_calibration(records),
            by_length(self.measures(records)[0], [self.length(record) for record in records], unit="units"),
            self.worst(
                records,
                f"The {SHOWN} rows with most wrong entities. Underlined: gold ones that were not found, wrong answers.",
            ),
        ]

    def length(self, record: Record) -> int:
        """How many units a row has."""
        return len(record["units"])

    def errors(self, record: Record) -> float:
        """How many entities are wrong; a gold one and the answer that overlaps it count once."""
        pairs = align(_spans(record, "gold_entities"), _spans(record, "entities"))
        return float(sum(pair.kind != "right" for pair in pairs))

    def surprise(self, record: Record) -> float:
        """How sure the answers are, as the mean probability of their labels."""
        return float(np.mean(record.get("probabilities") or [0.0]))

    def answer(self, record: Record) -> Any:
        """The entities."""
        return set(_spans(record, "entities"))

    def passage(self, record: Record, answers: Mapping[str, Record]) -> Passage:
        """See `TaskReport.passage`; each line is the text with its entities."""
        gold = _spans(record, "gold_entities")
        everywhere = set(gold).intersection(*(_spans(one, "entities") for one in answers.values()))
        lines = [_line("gold", record["units"], {span: "gold" if span in everywhere else "missed" for span in gold})]
        for name, one in answers.items():
            marks = {span: "right" if span in gold else "wrong" for span in _spans(one, "entities")}
            lines.append(_line(name, record["units"], marks))
        wrong = int(self.errors(record))
        note = f"{wrong} wrong" if len(answers) == 1 else ""
        return Passage(record["key"], note, "", tuple(lines))


def _entity(span: Any) -> dict[str, Any]:
    return {"label": span.label, "start": span.start, "end": span.end}


def _is_entity(value: Any, units: int) -> bool:
    if not isinstance(value, dict) or not isinstance(value.get("label"), str):
        return False
    start, end = value.get("start"), value.get("end")
    return isinstance(start, int) and isinstance(end, int) and 0 <= start < end <= units


def _spans(record: Record, side: str) -> list[Span]:
    return [Span(one["label"], one["start"], one["end"]) for one in record[side]]


def _counts(record: Record) -> tuple[int, int, int]:
    """How many entities are right, were answered, and were to be found."""
    gold, found = _spans(record, "gold_entities"), _spans(record, "entities")
    return len(set(gold) & set(found)), len(found), len(gold)


def _confidence(records: Sequence[Record]) -> tuple[list[float], list[bool]]:
    """The score of each entity that was found, and whether it is right."""
    confidence, right = [], []
    for record in records:
        gold = _spans(record, "gold_entities")
        for one, span in zip(record["entities"], _spans(record, "entities"), strict=True):
            confidence.append(one["score"])
            right.append(span in gold)
    return confidence, right


def _types(pairs: Sequence[Pair]) -> Section:
    asked, answered = Counter[str](), Counter[str]()
    hits = Counter(pair.gold.label for pair in pairs if pair.gold and pair.kind == "right")
    for pair in pairs:
        asked.update([pair.gold.label] if pair.gold else [])
        answered.update([pair.found.label] if pair.found else [])
    rows = []
    for kind in sorted(asked | answered):
        one = scores_from(hits[kind], answered[kind], asked[kind])
        rows.append((kind, one.precision, one.recall, one.f1, asked[kind], answered[kind], hits[kind]))
    columns = ("type", "precision", "recall", "f1", "gold", "predicted", "right")
    about = "An entity is right where its type, its start and its end are."
    return Section("types", "Types", about, (Table(columns, rows, bars=("precision", "recall", "f1")),))


def _kinds(pairs: Sequence[Pair]) -> Section:
    count = Counter(pair.kind for pair in pairs)
    total = max(1, len(pairs))
    rows = [(kind, count[kind], count[kind] / total, meaning) for kind, meaning in KINDS.items()]
    about = "Gold entities and answers, each pair that overlaps counted once."
    return Section(
        "errors", "Kinds of errors", about, (Table(("kind", "entities", "share", "meaning"), rows, ("share",)),)
    )


def _confusions(pairs: Sequence[Pair]) -> Section:
    met = Counter((pair.gold.label if pair.gold else NONE, pair.found.label if pair.found else NONE) for pair in pairs)
    names = (*sorted({name for both in met for name in both} - {NONE}), NONE)
    counts = [[met[down, across] for across in names] for down in names]
    about = f"Gold types down, answers across, whatever their bounds; {NONE} stands for missed and invented entities."
    return Section("confusion", "Confused types", about, (Matrix(names, names, counts),))


def _bounds(records: Sequence[Record], aligned: Sequence[Sequence[Pair]]) -> Section:
    sides = {"starts early": 0, "starts late": 0, "ends early": 0, "ends late": 0}
    by_type: dict[str, dict[str, int]] = {}
    confused: Counter[tuple[str, str]] = Counter()
    for record, pairs in zip(records, aligned, strict=True):
        for pair in pairs:
            if pair.gold is None or pair.found is None or pair.kind == "right":
                continue
            confused[_shown(record, pair.gold), _shown(record, pair.found)] += 1
            row = by_type.setdefault(pair.gold.label, dict(sides))
            row["starts early"] += pair.found.start < pair.gold.start
            row["starts late"] += pair.found.start > pair.gold.start
            row["ends early"] += pair.found.end < pair.gold.end
            row["ends late"] += pair.found.end > pair.gold.end
    frequent = sorted(confused.items(), key=lambda item: (-item[1], item[0]))[:FREQUENT]
    blocks = (
        Table(("type", *sides), [(kind, *row.values()) for kind, row in sorted(by_type.items())]),
        Table(("gold", "predicted", "entities"), [(*both, count) for both, count in frequent], title="Most frequent"),
    )
    about = "Answers that overlap a gold entity and are not right: where they begin and end, compared with it."
    return Section("bounds", "Bounds", about, blocks)


def _calibration(records: Sequence[Record]) -> list[Section]:
    confidence, right = _confidence(records)
    if not right:
        return []
    about = (
        "Entities by their score, the mean probability of their labels. Believable ones lie on the diagonal: here the "
        f"mean score is {np.mean(confidence):.1%} and {np.mean(right):.1%} are right. The expected calibration error "
        f"is {calibration_error(confidence, right):.4f} over 15 bins."
    )
    return [Section("calibration", "Calibration", about, (Reliability(reliability(confidence, right), "entities"),))]


def _shown(record: Record, span: Span) -> str:
    return f"{join_units(record['units'][span.start : span.end])} {span.label}"


def _line(name: str, units: Sequence[str], entities: Mapping[Span, str]) -> Line:
    """The text with its entities, each with its mark."""
    pieces, done = [], 0
    for span, mark in sorted(entities.items(), key=lambda one: one[0].start):
        start = max(done, span.start)  # what overlaps cannot be drawn twice
        pieces.append(Piece(_between(units, done, start)))
        pieces.append(Piece(_between(units, start, span.end), mark, span.label))
        done = max(done, span.end)
    pieces.append(Piece(_between(units, done, len(units))))
    named = [f"{join_units(units[one.start : one.end])} {one.label}" for one in entities]
    return Line(name, tuple(piece for piece in pieces if piece.text), ", ".join(named) or NONE)


def _between(units: Sequence[str], start: int, end: int) -> str:
    """The text of some units as it stands in the whole, the space before them included."""
    return join_units(units[:end])[len(join_units(units[:start])) :]
