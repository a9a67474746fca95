"""The report of tasks that answer with a span of a context (question-answering)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from hub_core.examples import Answer, Example, Prediction
from hub_core.metrics import Measure, calibration_error, reliability
from hub_core.report.any_task import SHOWN, Record, TaskReport, length_chart
from hub_core.report.numbers import is_number
from hub_core.report.sections import Line, Passage, Piece, Reliability, Section, Table
from hub_core.tasks.question_answering import AnswerPrediction
from hub_core.tasks.task import Task

#: What stands for no answer.
NONE = "(none)"
#: What can be said of an answer, and what it means; all but the first are errors.
KINDS = {
    "right": "one of the right answers, as the judge compares them",
    "too long": "it holds a right answer",
    "too short": "it is a part of a right answer",
    "shifted": "it shares a part with a right answer",
    "elsewhere": "it shares no character with a right answer",
    "not answered": "there is an answer, and none was given",
    "invented": "there is no answer, and one was given",
}
#: How many characters of a context are shown before and after answers.
_AROUND = 60


class AnswerReport(TaskReport):
    """Kinds of errors, calibration, the lengths of answers and contexts, and the worst answers in their contexts."""

    def record(self, task: Task, example: Example, prediction: Prediction) -> dict[str, Any]:
        """With where the right answers and the given one stand, and how the judge scores it."""
        answers = example.label
        if not isinstance(prediction, AnswerPrediction) or not isinstance(answers, tuple):
            return super().record(task, example, prediction)
        return {
            **self.asked(task, example),
            "gold": [{"text": one.text, "start": one.start} for one in answers if isinstance(one, Answer)],
            "predicted": prediction.text,
            "start": prediction.start,
            "end": prediction.end,
            "probability": prediction.probability,
            **task.metrics([example], [prediction]),
            "truncated": prediction.truncated,
        }

    def fits(self, record: Record) -> bool:
        """See `TaskReport.fits`."""
        return "exact" in record and "f1" in record

    def fault(self, record: Record) -> str | None:
        """See `TaskReport.fault`."""
        if not isinstance(record["gold"], list) or not all(map(_is_answer, record["gold"])):
            return "gold must be a list of objects with text and start"
        if not isinstance(record["predicted"], str) or not isinstance(record.get("text_pair"), str):
            return "predicted must be the answer's text, and text_pair the context"
        for name in ("exact", "f1", "probability"):
            if not is_number(record.get(name)):
                return f"{name} must be a number, not {record.get(name)!r}"
        start, end = record.get("start"), record.get("end")
        if not isinstance(start, int) or not isinstance(end, int) or not 0 <= start <= end <= len(record["text_pair"]):
            return f"start and end must be places in the context, not {start!r} and {end!r}"
        return None

    def measures(self, records: Sequence[Record]) -> Sequence[Measure]:
        """F1 and exact match."""
        return [Measure.mean(name, [record[name] for record in records]) for name in ("f1", "exact")]

    def scores(self, records: Sequence[Record], labels: Sequence[str]) -> dict[str, float]:  # noqa: ARG002
        """The expected calibration error (15 bins) of the answers' probabilities."""
        return {"calibration_error": calibration_error(*_confidence(records))}

    def sections(self, records: Sequence[Record], labels: Sequence[str]) -> list[Section]:  # noqa: ARG002
        """See `TaskReport.sections`."""
        about = (
            f"The {SHOWN} answers with the lowest F1, of equal ones those of which the module was surest. The context "
            "around them is marked: what is right of the answer, what is wrong, and (underlined) what is missing."
        )
        return [
            *_answerable(records),
            _kinds(records),
            _calibration(records),
            _lengths(records, self.measures(records)[0]),
            self.worst(records, about),
        ]

    def errors(self, record: Record) -> float:
        """What is missing to an F1 of 1."""
        return 1 - float(record["f1"])

    def surprise(self, record: Record) -> float:
        """The probability of the answer."""
        return float(record["probability"])

    def right(self, record: Record) -> bool | None:
        """Whether it is an exact match."""
        return bool(record["exact"])

    def passage(self, record: Record, answers: Mapping[str, Record]) -> Passage:
        """See `TaskReport.passage`; a last line shows where the answers stand in the context."""
        gold = list(dict.fromkeys(one["text"] for one in record["gold"])) or [NONE]
        pieces = [piece for text in gold for piece in (Piece(" / "), Piece(text, "gold"))]
        lines = [Line("gold", tuple(pieces[1:]), " / ".join(gold))]
        for name, one in answers.items():
            said = one["predicted"] or NONE
            chance = f"{one['probability']:.4f}"
            piece = Piece(said, "right" if one["exact"] else "wrong", chance)
            lines.append(Line(name, (piece,), f"{said} {chance}"))
        lines.append(_context(record, list(answers.values())))
        note = f"F1 {record['f1']:.4f}, {kind_of(record)}" if len(answers) == 1 else ""
        return Passage(record["key"], note, record["text"], tuple(lines))


def kind_of(record: Record) -> str:
    """One of `KINDS`; of several right answers that which the given one shares most with counts."""
    if record["exact"]:
        return "right"
    if not record["gold"] or not record["predicted"]:
        return "not answered" if record["gold"] else "invented"
    start, end = record["start"], record["end"]
    spans = [(one["start"], one["start"] + len(one["text"])) for one in record["gold"]]
    first, last = max(spans, key=lambda span: min(end, span[1]) - max(start, span[0]))
    if min(end, last) <= max(start, first):
        return "elsewhere"
    if start <= first and last <= end:
        return "too long"
    return "too short" if first <= start and end <= last else "shifted"


def _is_answer(value: object) -> bool:
    return isinstance(value, dict) and isinstance(value.get("text"), str) and isinstance(value.get("start"), int)


def _confidence(records: Sequence[Record]) -> tuple[list[float], list[bool]]:
    return [record["probability"] for record in records], [bool(record["exact"]) for record in records]


def _answerable(records: Sequence[Record]) -> list[Section]:
    """Questions with and without an answer, where there are such."""
    if all(record["gold"] and record["predicted"] for record in records):
        return []
    rows = []
    for name, has in (("with an answer", True), ("without one", False)):
        part = [record for record in records if bool(record["gold"]) == has]
        if part:
            silent = sum(not record["predicted"] for record in part)
            f1, exact = (float(np.mean([record[name] for record in part])) for name in ("f1", "exact"))
            rows.append((name, len(part), silent, f1, exact))
    about = "Questions by whether their context answers them, and how many of them the module left unanswered."
    table = Table(("questions", "rows", "not answered", "f1", "exact"), rows, bars=("f1", "exact"))
    return [Section("answerable", "With and without an answer", about, (table,))]


def _kinds(records: Sequence[Record]) -> Section:
    count = Counter(map(kind_of, records))
    rows = [(kind, count[kind], count[kind] / len(records), meaning) for kind, meaning in KINDS.items()]
    about = "Answers by where they stand beside the right one."
    table = Table(("kind", "answers", "share", "meaning"), rows, bars=("share",))
    return Section("errors", "Kinds of errors", about, (table,))


def _calibration(records: Sequence[Record]) -> Section:
    confidence, right = _confidence(records)
    about = (
        "Answers by their probability among the candidates, and how many match exactly. Believable ones lie on the "
        f"diagonal: here they are given with {np.mean(confidence):.1%} on average and {np.mean(right):.1%} are right."
    )
    return Section("calibration", "Calibration", about, (Reliability(reliability(confidence, right), "answers"),))


def _lengths(records: Sequence[Record], measure: Measure) -> Section:
    """F1 by the length of the first right answer, and by that of the context."""
    answered = [at for at, record in enumerate(records) if record["gold"]]
    charts = []
    if answered:
        sizes = [len(records[at]["gold"][0]["text"]) for at in answered]
        unit = "characters of the answer"
        charts.append(length_chart(measure.of(np.array(answered)), sizes, unit=unit, title="Length of the answer"))
    sizes = [len(record["text_pair"]) for record in records]
    charts.append(length_chart(measure, sizes, unit="characters of the context", title="Length of the context"))
    about = "Rows in groups of about equal size by the length of the right answer and of the context."
    return Section("length", "By length", about, tuple(charts))


def _context(record: Record, answers: Sequence[Record]) -> Line:
    """The context around all answers: what is right of them, what is wrong, and what is missing."""
    context = record["text_pair"]
    wanted = {at for one in record["gold"] for at in range(one["start"], one["start"] + len(one["text"]))}
    given = {at for one in answers for at in range(one["start"], one["end"])}
    kinds = {(True, True): "right", (False, True): "wrong", (True, False): "missed", (False, False): ""}
    marks = [kinds[at in wanted, at in given] for at in range(len(context))]
    places = [f"{one['start']}-{one['end']}" for one in answers if one["predicted"]]
    rights = [f"{one['start']}-{one['start'] + len(one['text'])}" for one in record["gold"]]
    said = f"{', '.join(places) or NONE}; right {', '.join(dict.fromkeys(rights)) or NONE}; of {len(context)}"
    return Line("context", tuple(_excerpt(context, marks)), said)


def _excerpt(context: str, marks: Sequence[str]) -> list[Piece]:
    """Marked pieces with what stands around them; what is left out is shown as ``…``."""
    shown = np.zeros(len(context), dtype=bool)
    for at, mark in enumerate(marks):
        if mark:
            shown[max(0, at - _AROUND) : at + _AROUND + 1] = True
    if not shown.any():
        shown[: 2 * _AROUND] = True
    pieces: list[Piece] = []
    start = 0
    while start < len(context):
        end = start + 1
        while end < len(context) and (marks[end], shown[end]) == (marks[start], shown[start]):
            end += 1
        pieces.append(Piece(context[start:end], marks[start]) if shown[start] else Piece(" … "))
        start = end
    return pieces
