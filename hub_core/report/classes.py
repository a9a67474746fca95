"""The report of tasks that choose one label of several (seq-cls)."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from hub_core.examples import Array, ClassPrediction, Example, Prediction
from hub_core.metrics import (
    Measure,
    brier,
    calibration_error,
    classification_f1,
    confusion,
    log_loss,
    matthews,
    reliability,
)
from hub_core.metrics.resampling import ratio
from hub_core.report.any_task import SHOWN, Record, TaskReport, by_length
from hub_core.report.sections import Line, Matrix, Passage, Piece, Reliability, Section, Table
from hub_core.tasks.task import Task

#: A matrix of more labels than this is no picture any more; the most frequent confusions are listed instead.
LARGEST_MATRIX = 30


class ClassReport(TaskReport):
    """Classes, confusions, calibration, lengths, and the errors that the module was surest of."""

    #: Of rows with one label micro F1 is accuracy.
    repeated: ClassVar[tuple[str, ...]] = ("micro_f1",)

    def record(self, task: Task, example: Example, prediction: Prediction) -> dict[str, Any]:
        """With the probability of every label."""
        if not isinstance(prediction, ClassPrediction):
            return super().record(task, example, prediction)
        return {
            **self.asked(task, example),
            "gold": example.label,
            "predicted": prediction.label,
            "probabilities": dict(zip(task.labels, prediction.probabilities.tolist(), strict=True)),
            "truncated": prediction.truncated,
        }

    def fits(self, record: Record) -> bool:
        """See `TaskReport.fits`."""
        return isinstance(record["predicted"], str)

    def fault(self, record: Record) -> str | None:
        """See `TaskReport.fault`."""
        for name in ("gold", "predicted"):
            if not isinstance(record[name], str):
                return f"{name} must be a label, not {record[name]!r}"
        return None

    def measures(self, records: Sequence[Record]) -> list[Measure]:
        """Accuracy and macro F1."""
        gold, predicted = _columns(records)
        right = np.array(gold) == np.array(predicted)
        labels = {*gold, *predicted}.union(*(record.get("probabilities", ()) for record in records[:1]))
        sides = [indicators([[one] for one in side], sorted(labels)) for side in (gold, predicted)]
        return [Measure.mean("accuracy", right), macro_f1(*sides)]

    def scores(self, records: Sequence[Record], labels: Sequence[str]) -> dict[str, float]:
        """Matthews correlation, expected calibration error (15 bins), Brier score and log loss."""
        gold, predicted = _columns(records)
        table, targets = _probabilities(records, labels)
        return {
            "matthews": matthews(gold, predicted),
            "calibration_error": calibration_error(*_confidence(records)),
            "brier": brier(table, targets),
            "log_loss": log_loss(table, targets),
        }

    def sections(self, records: Sequence[Record], labels: Sequence[str]) -> list[Section]:
        """See `TaskReport.sections`."""
        lengths = [self.length(record) for record in records]
        return [
            _classes(records, labels),
            _confusions(records, labels),
            _calibration(records),
            by_length(self.measures(records)[0], lengths),
            self.worst(
                records,
                f"Wrong answers by their loss, -ln p(gold), the {SHOWN} largest. Look for wrong gold labels first.",
            ),
        ]

    def errors(self, record: Record) -> float:
        """1 for a wrong answer, 0 for a right one."""
        return float(record["gold"] != record["predicted"])

    def surprise(self, record: Record) -> float:
        """The loss, -ln p(gold), in nats; 0 where the probability is not known."""
        return -math.log(max(record.get("probabilities", {}).get(record["gold"], 1.0), np.finfo(np.float64).tiny))

    def passage(self, record: Record, answers: Mapping[str, Record]) -> Passage:
        """See `TaskReport.passage`."""
        gold = record["gold"]
        lines = [Line("gold", (Piece(gold, "gold"),), gold)]
        for name, one in answers.items():
            said, chance = one["predicted"], one.get("probabilities", {}).get(one["predicted"])
            summary = said if chance is None else f"{said} {chance:.4f}"
            lines.append(Line(name, (Piece(summary, "right" if said == gold else "wrong"),), summary))
        note = f"loss {self.surprise(record):.2f}" if len(answers) == 1 else ""
        return Passage(record["key"], note, record["text"], tuple(lines), record.get("text_pair", ""))


def _columns(records: Sequence[Record]) -> tuple[list[str], list[str]]:
    return [record["gold"] for record in records], [record["predicted"] for record in records]


def _confidence(records: Sequence[Record]) -> tuple[list[float], list[bool]]:
    """The probability of each answer, and whether it is right."""
    return (
        [record["probabilities"][record["predicted"]] for record in records],
        [record["gold"] == record["predicted"] for record in records],
    )


def _probabilities(records: Sequence[Record], labels: Sequence[str]) -> tuple[Array, list[int]]:
    index = {label: number for number, label in enumerate(labels)}
    table = np.array([[record["probabilities"][label] for label in labels] for record in records])
    return table, [index[record["gold"]] for record in records]


def macro_f1(asked: Array, answered: Array) -> Measure:
    """Macro F1 of what was to be found and what was answered, 0 or 1 per row and label: ``(rows, labels)`` each."""

    def score(sums: Array) -> Array:
        hits, found, wanted = np.split(sums, 3, axis=-1)
        result: Array = ratio(2 * hits, found + wanted).mean(axis=-1)
        return result

    return Measure("macro_f1", np.concatenate([asked * answered, answered, asked], axis=1), score)


def indicators(rows: Sequence[Sequence[str]], labels: Sequence[str]) -> Array:
    """Which labels each row has, float64 ``(rows, labels)``."""
    index = {label: number for number, label in enumerate(labels)}
    table = np.zeros((len(rows), len(labels)))
    for at, names in enumerate(rows):
        table[at, [index[name] for name in names]] = 1
    return table


def _classes(records: Sequence[Record], labels: Sequence[str]) -> Section:
    gold, predicted = _columns(records)
    answered = Counter(predicted)
    rows = [
        (label, one.precision, one.recall, one.f1, one.support, answered[label])
        for label, one in classification_f1(gold, predicted, labels).per_class.items()
    ]
    columns = ("label", "precision", "recall", "f1", "gold", "predicted")
    about = "Precision: how many of the answers with a label are right. Recall: how many of its rows got it."
    return Section("classes", "Classes", about, (Table(columns, rows, bars=("precision", "recall", "f1")),))


def _confusions(records: Sequence[Record], labels: Sequence[str]) -> Section:
    gold, predicted = _columns(records)
    blocks: list[Matrix | Table] = []
    if len(labels) <= LARGEST_MATRIX:
        names = tuple(labels)
        blocks.append(Matrix(names, names, confusion(gold, predicted, labels).tolist()))
    if len(labels) > 2:
        pairs = Counter(pair for pair in zip(gold, predicted, strict=True) if pair[0] != pair[1])
        rows = [(*pair, count) for pair, count in sorted(pairs.items(), key=lambda item: (-item[1], item[0]))[:SHOWN]]
        blocks.append(Table(("gold", "predicted", "rows"), rows, title="Most frequent confusions"))
    about = "Gold labels down, answers across; each row is shaded by its shares."
    return Section("confusion", "Confusions", about, tuple(blocks))


def _calibration(records: Sequence[Record]) -> Section:
    confidence, right = _confidence(records)
    mass = calibration_error(confidence, right, spacing="mass")
    about = (
        f"Answers by their probability. Believable ones lie on the diagonal: here they are given with "
        f"{np.mean(confidence):.1%} on average and {np.mean(right):.1%} are right. The expected calibration error is "
        f"{calibration_error(confidence, right):.4f} over 15 bins of equal width, {mass:.4f} over bins of equally many."
    )
    return Section("calibration", "Calibration", about, (Reliability(reliability(confidence, right), "answers"),))
