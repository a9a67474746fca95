"""The report of tasks that answer with a number (seq-cls as regression)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from hub_core.examples import Array, Example, Prediction, ScorePrediction
from hub_core.metrics import Measure, RankMeasure, Resampled
from hub_core.metrics.resampling import ratio
from hub_core.report.any_task import SHOWN, Record, TaskReport, by_length
from hub_core.report.sections import Line, Passage, Piece, Section, Table
from hub_core.report.spread import histogram, scatter
from hub_core.tasks.task import Task

#: The percentiles of the residuals that are shown.
_PERCENTILES = (5, 25, 50, 75, 95)


class NumberReport(TaskReport):
    """Predicted numbers against gold ones, residuals, lengths, and the rows that are furthest off."""

    def record(self, task: Task, example: Example, prediction: Prediction) -> dict[str, Any]:
        """With both numbers."""
        if not isinstance(prediction, ScorePrediction) or not isinstance(example.label, int | float | str):
            return super().record(task, example, prediction)
        return {
            **self.asked(task, example),
            "gold": float(example.label),
            "predicted": prediction.score,
            "truncated": prediction.truncated,
        }

    def fits(self, record: Record) -> bool:
        """See `TaskReport.fits`."""
        return is_number(record["predicted"])

    def fault(self, record: Record) -> str | None:
        """See `TaskReport.fault`."""
        for name in ("gold", "predicted"):
            if not is_number(record[name]):
                return f"{name} must be a number, not {record[name]!r}"
        return None

    def measures(self, records: Sequence[Record]) -> Sequence[Resampled]:
        """Spearman's and Pearson's correlation, and R2."""
        gold, predicted = _columns(records)
        return [RankMeasure("spearman", gold, predicted), _pearson(gold, predicted), _r2(gold, predicted)]

    def sections(self, records: Sequence[Record], labels: Sequence[str]) -> list[Section]:  # noqa: ARG002
        """See `TaskReport.sections`."""
        gold, predicted = _columns(records)
        distances = Measure.mean("mae", np.abs(predicted - gold))
        against = "A point per row. Where answers shrink towards the middle, the points lie flatter than the diagonal."
        return [
            Section("numbers", "Predicted and gold", against, (scatter(gold, predicted),)),
            _residuals(predicted - gold),
            by_length(distances, [self.length(record) for record in records]),
            self.worst(records, f"The {SHOWN} rows that are furthest off. Look for wrong gold numbers first."),
        ]

    def errors(self, record: Record) -> float:
        """How far off the answer is."""
        return abs(float(record["predicted"]) - float(record["gold"]))

    def right(self, record: Record) -> bool | None:  # noqa: ARG002
        """No number is simply right."""
        return None

    def passage(self, record: Record, answers: Mapping[str, Record]) -> Passage:
        """See `TaskReport.passage`."""
        gold = f"{record['gold']:g}"
        lines = [Line("gold", (Piece(gold, "gold"),), gold)]
        for name, one in answers.items():
            said = f"{one['predicted']:.4f}"
            off = f"{one['predicted'] - one['gold']:+.4f}"
            lines.append(Line(name, (Piece(said), Piece(f"  {off}")), f"{said} ({off})"))
        return Passage(record["key"], "", record["text"], tuple(lines), record.get("text_pair", ""))


def is_number(value: object) -> bool:
    """Whether a value that JSON held is a finite number."""
    return isinstance(value, int | float) and not isinstance(value, bool) and bool(np.isfinite(value))


def _columns(records: Sequence[Record]) -> tuple[Array, Array]:
    gold, predicted = (np.array([record[name] for record in records], np.float64) for name in ("gold", "predicted"))
    return gold, predicted


def _pearson(gold: Array, predicted: Array) -> Measure:
    """Pearson's correlation from six columns: both numbers, their squares, their product, and 1."""
    one, two = _centred(gold), _centred(predicted)

    def score(sums: Array) -> Array:
        first, second, squares, others, products, rows = np.moveaxis(sums, -1, 0)
        spread = (rows * squares - first**2) * (rows * others - second**2)
        constant = spread <= 1e-12 * squares * others * rows**2  # nothing but rounding is left
        return ratio(rows * products - first * second, np.sqrt(np.where(constant, 0, spread)))

    return Measure("pearson", np.stack([one, two, one**2, two**2, one * two, np.ones(len(one))], axis=1), score)


def _r2(gold: Array, predicted: Array) -> Measure:
    """R2 from four columns: the gold number, its square, the squared residual, and 1."""
    size = float(np.abs(gold - gold.mean()).max()) or 1.0
    wanted, missed = (gold - gold.mean()) / size, (predicted - gold) / size

    def score(sums: Array) -> Array:
        total, squares, unexplained, rows = np.moveaxis(sums, -1, 0)
        spread = squares - ratio(total**2, rows)
        # Where the gold numbers of a sample are all equal: as `hub_core.metrics.r2`.
        result: Array = np.where(spread > 1e-12 * squares, 1 - ratio(unexplained, spread), unexplained == 0)
        return result

    return Measure("r2", np.stack([wanted, wanted**2, missed**2, np.ones(len(gold))], axis=1), score)


def _centred(values: Array) -> Array:
    """Deviations from the mean, scaled so that no square overflows."""
    centred = values - values.mean()
    result: Array = centred / (float(np.abs(centred).max()) or 1.0)
    return result


def _residuals(residuals: Array) -> Section:
    spread = [float(value) for value in np.percentile(residuals, _PERCENTILES)]
    columns = ("mean", "deviation", *(f"{percent}%" for percent in _PERCENTILES))
    about = (
        "Predicted less gold. A mean beside 0 is a bias that a constant would mend; the percentiles say between what "
        "most rows lie."
    )
    summary = Table(columns, [(float(residuals.mean()), float(residuals.std()), *spread)])
    return Section("residuals", "Residuals", about, (histogram("predicted - gold", {"rows": residuals}), summary))
