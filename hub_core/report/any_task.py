"""What a report says about any task; a task that has more to say registers a report of its own (kind ``report``)."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from hub_core.errors import HubError
from hub_core.examples import Example, Prediction
from hub_core.metrics import Measure, Resampled, interval
from hub_core.plugins import catalog
from hub_core.report.sections import Chart, Line, Passage, Passages, Piece, Point, Section
from hub_core.tasks.task import Task

#: A row of ``predictions.jsonl``: plain data, which says by itself what was asked, what is right and what was answered.
Record = Mapping[str, Any]

#: How many rows a report shows, and into how many groups it puts lengths.
SHOWN, LENGTHS = 25, 6


class TaskReport:
    """What a report says about any task: rows as records, measures over records, and sections.

    Everything after `records` works on records alone, so that saved predictions need no module. A subclass for a task
    overrides what it knows better; `hub_entries("report")` maps the task's name to it, and ``task/form`` to a further
    one where the task's answers have several forms.
    """

    #: Metrics of the task that only repeat others, and are left out.
    repeated: ClassVar[tuple[str, ...]] = ()

    def records(
        self, task: Task, examples: Sequence[Example], predictions: Sequence[Prediction]
    ) -> list[dict[str, Any]]:
        """The rows for ``predictions.jsonl``: a record of each; overridden where a row's needs the others."""
        return [self.record(task, *row) for row in zip(examples, predictions, strict=True)]

    def record(self, task: Task, example: Example, prediction: Prediction) -> dict[str, Any]:
        """A row for ``predictions.jsonl``; ``score`` is the task's metric of this row alone, where it has one."""
        return {
            **self.asked(task, example),
            "gold": as_plain(example.label),
            "predicted": as_plain(task.as_data(prediction)),
            "score": _own_score(task, example, prediction),
        }

    def asked(self, task: Task, example: Example) -> dict[str, Any]:
        """The part of a record that every task has."""
        pair = {} if example.pair is None else {"text_pair": example.pair}
        return {"task": task.name, "key": example.key, "text": example.text, **pair}

    def fits(self, record: Record) -> bool:  # noqa: ARG002
        """Whether rows of this form are what the report is about: a task may have answers of several forms."""
        return True

    def fault(self, record: Record) -> str | None:
        """What is wrong with a record that was read from a file, None where it can be used."""
        score = record.get("score")
        return None if score is None or isinstance(score, int | float) else f"score must be a number, not {score!r}"

    def measures(self, records: Sequence[Record]) -> Sequence[Resampled]:
        """What modules are compared by, the main one first; more is better. Empty where no row has a score."""
        if any(record.get("score") is None for record in records):
            return []
        return [Measure.mean("score", [record["score"] for record in records])]

    def scores(self, records: Sequence[Record], labels: Sequence[str]) -> dict[str, float]:  # noqa: ARG002
        """Scores beside the task's own metrics."""
        return {}

    def sections(self, records: Sequence[Record], labels: Sequence[str]) -> list[Section]:  # noqa: ARG002
        """The parts of the report after its scores."""
        found = [by_length(one, [self.length(record) for record in records]) for one in self.measures(records)[:1]]
        return [*found, self.worst(records, "The rows with the lowest score.")]

    def worst(self, records: Sequence[Record], about: str) -> Section:
        """The section of the rows that are answered worst, worst first; rows that are right are left out."""
        wrong = [record for record in records if self.errors(record) > 0]
        wrong.sort(key=lambda record: (-self.errors(record), -self.surprise(record)))
        passages = [self.passage(record, {"predicted": record}) for record in wrong[:SHOWN]]
        return Section("worst", "Worst rows", about, (Passages(passages, "No row is answered wrong."),))

    def length(self, record: Record) -> int:
        """How long a row is, in characters."""
        return len(record["text"]) + len(record.get("text_pair", ""))

    def errors(self, record: Record) -> float:
        """How much of a row is wrong, 0 for none of it: the order of the worst rows."""
        score = record.get("score")
        return 0.0 if score is None else 1 - float(score)

    def surprise(self, record: Record) -> float:  # noqa: ARG002
        """The order of rows of which as much is wrong, the most surprising first."""
        return 0.0

    def right(self, record: Record) -> bool | None:
        """Whether nothing of a row is wrong; None where that is not to be asked (of a number, say)."""
        return self.errors(record) == 0

    def answer(self, record: Record) -> Any:
        """What was answered, so that two answers can be told apart."""
        return record["predicted"]

    def passage(self, record: Record, answers: Mapping[str, Record]) -> Passage:
        """A row to read: `answers` are records of the same row by name, such as ``{"predicted": record}``."""
        lines = [Line("gold", (Piece(_shown(record["gold"]), "gold"),), _shown(record["gold"]))]
        for name, one in answers.items():
            said = _shown(one["predicted"])
            lines.append(Line(name, (Piece(said, "wrong" if self.errors(one) else "right"),), said))
        score = record.get("score")
        note = "" if score is None or len(answers) > 1 else f"score {score:.4f}"
        return Passage(record["key"], note, record["text"], tuple(lines), record.get("text_pair", ""))


def reports_of(task: str) -> Iterator[TaskReport]:
    """The reports that are registered for a task and the forms of its answers, then the general one."""
    return (report for _, report in _named_reports(task))


def _named_reports(task: str) -> Iterator[tuple[str, TaskReport]]:
    for name, entry in catalog().entries("report").items():
        if name == task or name.startswith(f"{task}/"):
            kind: type[TaskReport] = entry.load()
            yield name, kind()
    yield task, TaskReport()


def report_for(record: Record) -> TaskReport:
    """The report for rows like this one: the first of their task's that is about such, or the general one."""
    return next(one for one in reports_of(record["task"]) if one.fits(record))


def form_of(record: Record) -> str:
    """What rows like this one answer: the task, and the form of its answers where there are several."""
    return next(name for name, one in _named_reports(record["task"]) if one.fits(record))


def by_length(measure: Resampled, lengths: Sequence[int], *, unit: str = "characters") -> Section:
    """A score by the length of rows: groups of about equally many rows."""
    about = f"Rows in groups of about equal size by their length in {unit}; whiskers are 95% intervals."
    return Section("length", "By length", about, (length_chart(measure, lengths, unit=unit),))


def length_chart(measure: Resampled, lengths: Sequence[int], *, unit: str = "characters", title: str = "") -> Chart:
    """The picture of `by_length`."""
    sizes = np.asarray(lengths)
    limits = np.unique(np.quantile(sizes, np.arange(1, LENGTHS + 1) / LENGTHS, method="inverted_cdf"))
    group = np.searchsorted(limits, sizes)
    points = []
    for number, limit in enumerate(limits.tolist()):
        rows = np.flatnonzero(group == number)
        shortest = int(sizes[rows].min())
        label = str(limit) if shortest == limit else f"{shortest}-{limit}"
        part = measure.of(rows)
        points.append(Point(label, part.value, *interval(part, resamples=2000), len(rows)))
    return Chart(measure.name, unit, points, title)


def as_plain(value: Any) -> Any:
    """Data for JSON: dataclasses as objects, tuples as lists, numpy's numbers as Python's."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: as_plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): as_plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [as_plain(one) for one in value]
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else value


def _own_score(task: Task, example: Example, prediction: Prediction) -> float | None:
    """The task's main metric of one row; None for one that takes several (a correlation)."""
    try:
        return task.metrics([example], [prediction]).get(task.main_metric)
    except HubError:
        return None


def _shown(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name}: {_shown(one)}" for name, one in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(_shown(one) for one in value) or "(none)"
    return f"{value:.4f}" if isinstance(value, float) else str(value)
