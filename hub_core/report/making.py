"""From a module and labelled rows to a report: scores, sections, and the records that they are computed from."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from hub_core.data.problems import counted
from hub_core.errors import LabelError, SettingsError
from hub_core.examples import Example, Prediction
from hub_core.metrics import interval
from hub_core.paths import write_text
from hub_core.report.any_task import Record, report_for, reports_of
from hub_core.report.records import PREDICTIONS, write_records
from hub_core.report.sections import Figure, Section
from hub_core.tasks.task import Task

if TYPE_CHECKING:
    from hub_core.infer.answers import Answering


@dataclass(frozen=True)
class Report:
    """What is to be said about a module on a set of rows.

    `about` says of what it is (module, data, ...), in the order to show it; `figures` are the scores, the main one
    first; `records` are the rows (`hub_core.report.records`), from which everything else can be computed anew.
    """

    task: str
    about: Mapping[str, str]
    figures: Sequence[Figure]
    sections: Sequence[Section]
    records: Sequence[Record] = field(repr=False)

    #: The file of the page in the folder that `save` writes.
    page: ClassVar[str] = "report.html"

    @property
    def scores(self) -> dict[str, float]:
        """The scores by name."""
        return {figure.name: figure.value for figure in self.figures}

    def as_data(self) -> dict[str, Any]:
        """The report without its rows, as plain data."""
        intervals = {figure.name: figure.interval for figure in self.figures if figure.interval}
        return {
            "task": self.task,
            "about": dict(self.about),
            "rows": len(self.records),
            "scores": self.scores,
            "intervals": intervals,
            "sections": {section.name: _blocks(section) for section in self.sections},
        }

    def save(self, folder: str | Path) -> None:
        """Write ``report.html``, ``report.json`` and ``predictions.jsonl`` into a folder; other files in it stay."""
        from hub_core.report.page import report_page

        place = Path(folder)
        write_records(place / PREDICTIONS, self.records)
        write_text(place / "report.json", as_json(self.as_data()))
        write_text(place / self.page, report_page(self))


def report_on(
    module: Answering,
    examples: Sequence[Example],
    *,
    max_seq_len: int | None = None,
    batch_size: int | None = None,
    dtype: str = "auto",
    about: Mapping[str, str] | None = None,
) -> Report:
    """Let a module answer labelled rows (a Dataset, say) and report on its answers.

    `max_seq_len`, `batch_size` and `dtype` as for `predict`; `about` is added to what the report says of itself. Raises
    as `predict` does, and SettingsError for rows without a label.
    """
    predictor = module.predictor(dtype=dtype)
    predictions = predictor.predict(examples, max_seq_len=max_seq_len, batch_size=batch_size)
    said = {"module": module.spec.title, **(about or {})}
    return make_report(predictor.task, examples, predictions, about=said)


def make_report(
    task: Task, examples: Sequence[Example], predictions: Iterable[Prediction], *, about: Mapping[str, str]
) -> Report:
    """The report on predictions for labelled rows; rows without a key are called ``rows:n``, from 1."""
    rows, answers = _labelled(task, examples), list(predictions)
    records = _records(task, rows, answers)
    kind = report_for(records[0])
    bounds = {one.name: interval(one) for one in kind.measures(records)}
    scores = {**task.metrics(rows, answers), **kind.scores(records, task.labels)}
    order = sorted(
        scores.keys() - set(kind.repeated), key=lambda name: (name != task.main_metric, [*scores].index(name))
    )
    figures = [Figure(name, scores[name], bounds.get(name)) for name in order]
    cut = sum(bool(getattr(answer, "truncated", False)) for answer in answers)
    said = {**about, **({"cut": counted(cut, "text")} if cut else {})}
    return Report(task.name, said, figures, kind.sections(records, task.labels), records)


def make_records(task: Task, examples: Sequence[Example], predictions: Iterable[Prediction]) -> Sequence[Record]:
    """The records of `make_report` alone, which is what `compare` needs."""
    return _records(task, _labelled(task, examples), list(predictions))


def _records(task: Task, rows: Sequence[Example], answers: Sequence[Prediction]) -> Sequence[Record]:
    """Records by the first report of the task that is about answers of this form."""
    kind = next(one for one in reports_of(task.name) if one.fits(one.record(task, rows[0], answers[0])))
    return kind.records(task, rows, answers)


def _labelled(task: Task, examples: Sequence[Example]) -> list[Example]:
    """The rows, each with a key. Raises SettingsError where there are none, or some that cannot be measured."""
    if not examples:
        raise SettingsError("there is no row to report on")
    rows = [replace(one, key=one.key or f"rows:{number}") for number, one in enumerate(examples, start=1)]
    faults = []
    for row in rows:
        try:
            task.check_labelled(row)
        except LabelError as error:
            faults.append(f"{row.key}: {error}")
    if faults:
        raise SettingsError(f"{counted(len(faults), 'row')} cannot be measured; the first is {faults[0]}")
    return rows


def as_json(data: Any) -> str:
    """Data as indented JSON that UTF-8 can hold, whatever its texts are."""
    text = json.dumps(data, ensure_ascii=False, indent=1) + "\n"
    return text.encode("utf-8", "backslashreplace").decode("utf-8")  # half a surrogate pair becomes JSON's \\udxxx


def _blocks(section: Section) -> list[dict[str, Any]]:
    return [{"kind": type(block).__name__.lower(), **asdict(block)} for block in section.blocks]
