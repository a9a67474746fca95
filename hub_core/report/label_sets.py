"""The report of tasks that answer with all the labels that apply (seq-cls with several labels)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any

import numpy as np

from hub_core.examples import Array, Example, LabelsPrediction, Prediction
from hub_core.metrics import Measure, Resampled, calibration_error, log_loss, multilabel_scores, reliability
from hub_core.metrics.resampling import ratio
from hub_core.report.any_task import SHOWN, Record, TaskReport, by_length
from hub_core.report.classes import indicators, macro_f1
from hub_core.report.sections import Cell, Line, Passage, Piece, Reliability, Section, Table
from hub_core.tasks.task import Task

#: What stands for no label at all.
NONE = "(none)"


class LabelSetReport(TaskReport):
    """Labels one by one, how many are missing or too many, calibration, lengths, and the rows with most wrong ones."""

    def record(self, task: Task, example: Example, prediction: Prediction) -> dict[str, Any]:
        """With the labels on both sides, and the probability of every label."""
        if not isinstance(prediction, LabelsPrediction) or not isinstance(example.label, str | tuple):
            return super().record(task, example, prediction)
        return {
            **self.asked(task, example),
            "gold": [example.label] if isinstance(example.label, str) else [str(name) for name in example.label],
            "predicted": list(prediction.labels),
            "probabilities": dict(zip(task.labels, prediction.probabilities.tolist(), strict=True)),
            "truncated": prediction.truncated,
        }

    def fits(self, record: Record) -> bool:
        """See `TaskReport.fits`."""
        return isinstance(record["predicted"], list)

    def fault(self, record: Record) -> str | None:
        """See `TaskReport.fault`."""
        for name in ("gold", "predicted"):
            if not isinstance(record[name], list) or not all(isinstance(one, str) for one in record[name]):
                return f"{name} must be a list of labels, not {record[name]!r}"
        return None

    def measures(self, records: Sequence[Record]) -> Sequence[Resampled]:
        """Micro F1, macro F1, and the share of rows with exactly the right labels."""
        labels = sorted({name for one in records for name in (*one["gold"], *one["predicted"], *_chances(one))})
        asked, answered = (indicators([one[side] for one in records], labels) for side in ("gold", "predicted"))
        counts = np.stack([(asked * answered).sum(1), answered.sum(1) + asked.sum(1)], axis=1)
        return [
            Measure("micro_f1", counts, lambda sums: ratio(2 * sums[..., 0], sums[..., 1])),
            *([macro_f1(asked, answered)] if labels else []),
            Measure.mean("subset_accuracy", (asked == answered).all(axis=1)),
        ]

    def scores(self, records: Sequence[Record], labels: Sequence[str]) -> dict[str, float]:
        """Expected calibration error (15 bins) and log loss over every decision on a label."""
        chances, applies = _decisions(records, labels)
        flat, right = chances.ravel(), applies.ravel()
        return {
            "calibration_error": calibration_error(flat.tolist(), right.tolist()),
            "log_loss": log_loss(np.stack([1 - flat, flat], axis=1), right.astype(int).tolist()),
        }

    def sections(self, records: Sequence[Record], labels: Sequence[str]) -> list[Section]:
        """See `TaskReport.sections`."""
        return [
            _classes(records, labels),
            _counts(records),
            _calibration(records, labels),
            by_length(self.measures(records)[0], [self.length(record) for record in records]),
            self.worst(
                records,
                f"The {SHOWN} rows with most wrong labels, of equally many those of which the module was surest. "
                "Underlined: gold labels that are missing, answers that do not apply.",
            ),
        ]

    def errors(self, record: Record) -> float:
        """How many labels are missing or too many."""
        return float(len(set(record["gold"]) ^ set(record["predicted"])))

    def surprise(self, record: Record) -> float:
        """How sure the module was of its wrong decisions, the sum of their distances from 0.5."""
        chances = _chances(record)
        return sum(abs(chances.get(name, 0.5) - 0.5) for name in set(record["gold"]) ^ set(record["predicted"]))

    def answer(self, record: Record) -> Any:
        """The labels, whatever their order."""
        return set(record["predicted"])

    def passage(self, record: Record, answers: Mapping[str, Record]) -> Passage:
        """See `TaskReport.passage`; wrong answers, and gold labels that one of the answers lacks, are marked."""
        gold = record["gold"]
        found = set(gold).intersection(*(one["predicted"] for one in answers.values()))
        lines = [_line("gold", gold, {name: "gold" if name in found else "missed" for name in gold}, {})]
        for name, one in answers.items():
            marks = {label: "right" if label in gold else "wrong" for label in one["predicted"]}
            lines.append(_line(name, one["predicted"], marks, _chances(one)))
        note = f"{int(self.errors(record))} wrong" if len(answers) == 1 else ""
        return Passage(record["key"], note, record["text"], tuple(lines), record.get("text_pair", ""))


def _chances(record: Record) -> Mapping[str, float]:
    found: Mapping[str, float] = record.get("probabilities", {})
    return found


def _decisions(records: Sequence[Record], labels: Sequence[str]) -> tuple[Array, Array]:
    """The probability of every label of every row, and whether it applies: ``(rows, labels)`` each."""
    chances = np.array([[record["probabilities"][label] for label in labels] for record in records])
    return chances, indicators([one["gold"] for one in records], labels).astype(bool)


def _line(name: str, labels: Sequence[str], marks: Mapping[str, str], chances: Mapping[str, float]) -> Line:
    pieces: list[Piece] = []
    for label in labels:
        chance = f"{chances[label]:.4f}" if label in chances else ""
        pieces += [Piece(" ")] * bool(pieces) + [Piece(label, marks[label], chance)]
    said = ", ".join(f"{one.text} {one.label}".strip() for one in pieces if one.mark)
    return Line(name, tuple(pieces) or (Piece(NONE),), said or NONE)


def _classes(records: Sequence[Record], labels: Sequence[str]) -> Section:
    gold, predicted = ([record[side] for record in records] for side in ("gold", "predicted"))
    answered = Counter(name for row in predicted for name in row)
    rows = [
        (label, one.precision, one.recall, one.f1, one.support, answered[label])
        for label, one in multilabel_scores(gold, predicted, labels).classes.per_class.items()
    ]
    columns = ("label", "precision", "recall", "f1", "gold", "predicted")
    about = (
        "Precision: how many of the answers with a label are right. Recall: how many of its rows got it. A label whose "
        "two differ much has a threshold that does not suit it (hub calibrate finds one per label)."
    )
    return Section("classes", "Labels", about, (Table(columns, rows, bars=("precision", "recall", "f1")),))


def _counts(records: Sequence[Record]) -> Section:
    """How many labels rows lack and have too many, and which of them stand in each other's place."""
    lacking, extra, wrong, instead = (Counter[int](), Counter[int](), Counter[int](), Counter[tuple[str, str]]())
    for record in records:
        gold, said = set(record["gold"]), set(record["predicted"])
        lacking[len(gold - said)] += 1
        extra[len(said - gold)] += 1
        wrong[len(gold ^ said)] += 1
        instead.update(product(gold - said, said - gold))
    rows: list[tuple[Cell, ...]] = [
        (str(count), lacking[count], extra[count], wrong[count]) for count in sorted({*lacking, *extra, *wrong})
    ]
    pairs = sorted(instead.items(), key=lambda item: (-item[1], item[0]))[:SHOWN]
    most = Table(
        ("missing", "too many", "rows"), [(*both, count) for both, count in pairs], title="Instead of each other"
    )
    about = (
        "Rows by how many labels are missing, are too many, and both together: many missing ask for a lower threshold, "
        "many too many for a higher one."
    )
    table = Table(("labels", "missing", "too many", "wrong"), rows)
    return Section("counts", "Missing and too many", about, (table, *([most] if pairs else [])))


def _calibration(records: Sequence[Record], labels: Sequence[str]) -> Section:
    chances, applies = _decisions(records, labels)
    flat, right = chances.ravel().tolist(), applies.ravel().tolist()
    rows: list[tuple[Cell, ...]] = []
    for label, chance, holds in zip(labels, chances.T, applies.T, strict=True):
        error = calibration_error(chance.tolist(), holds.tolist())
        rows.append((label, float(chance.mean()), float(holds.mean()), error))
    about = (
        f"Every label of every row by its probability, whether it is answered or not. Believable ones lie on the "
        f"diagonal: here they have {chances.mean():.1%} on average and {applies.mean():.1%} apply. The expected "
        f"calibration error is {calibration_error(flat, right):.4f} over 15 bins."
    )
    table = Table(("label", "mean probability", "share of rows", "calibration error"), rows, title="By label")
    return Section("calibration", "Calibration", about, (Reliability(reliability(flat, right), "labels"), table))
