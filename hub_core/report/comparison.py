"""Two modules on the same rows: is the difference more than chance, and on which rows do they differ?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from hub_core.errors import SettingsError
from hub_core.metrics import Matched, difference, mcnemar
from hub_core.paths import write_text
from hub_core.report.any_task import Record, TaskReport, report_for
from hub_core.report.making import as_json
from hub_core.report.records import matched, write_records
from hub_core.report.sections import Passage

#: How many rows are shown of each kind.
SHOWN = 25


@dataclass(frozen=True)
class Difference:
    """One score of both, and the paired 95% interval of ``second - first``."""

    score: str
    first: float
    second: float
    low: float
    high: float

    @property
    def clear(self) -> bool:
        """Whether 0 lies outside the interval."""
        return self.low > 0 or self.high < 0


@dataclass(frozen=True)
class Comparison:
    """Two modules on the same rows.

    `differences` begin with the task's main score. `matched` counts rows (of which a module has all right) and tests
    them; None where no row is simply right (of numbers). `better`, `worse` and `other` are rows on which the answers
    differ: the second has less wrong, more, or as much; `differing` counts them in that order.
    """

    task: str
    names: tuple[str, str]
    rows: int
    differences: Sequence[Difference]
    matched: Matched | None
    differing: tuple[int, int, int]
    better: Sequence[Passage]
    worse: Sequence[Passage]
    other: Sequence[Passage]
    records: tuple[Sequence[Record], Sequence[Record]] = field(repr=False)

    #: The file of the page in the folder that `save` writes.
    page: ClassVar[str] = "comparison.html"

    def as_data(self) -> dict[str, Any]:
        """The comparison as plain data, without its rows."""
        return {
            "task": self.task,
            "first": self.names[0],
            "second": self.names[1],
            "rows": self.rows,
            "differences": [{**asdict(one), "clear": one.clear} for one in self.differences],
            "mcnemar": self.matched and asdict(self.matched),
            "differing": dict(zip(("second_better", "second_worse", "as_wrong"), self.differing, strict=True)),
        }

    def save(self, folder: str | Path) -> None:
        """Write ``comparison.html``, ``comparison.json`` and both records into a folder; other files in it stay."""
        from hub_core.report.page import comparison_page

        place = Path(folder)
        for name, records in zip(("first", "second"), self.records, strict=True):
            write_records(place / f"{name}.jsonl", records)
        write_text(place / "comparison.json", as_json(self.as_data()))
        write_text(place / self.page, comparison_page(self))


def compare(first: Sequence[Record], second: Sequence[Record], *, names: tuple[str, str] = ("A", "B")) -> Comparison:
    """Compare the records of two modules (`Report.records`, or `read_records` of a file) row by row.

    Intervals come from 10,000 resamples of the rows, the same of both, with a fixed seed. Raises DataError where the
    rows are not the same, SettingsError for another task, or one whose rows have no score of their own.
    """
    pairs = matched(first, second, names=names)
    left, right = [one for one, _ in pairs], [two for _, two in pairs]
    task = left[0]["task"]
    kind = report_for(left[0])
    others = {one.name: one for one in kind.measures(right)}
    measures = [(one, others[one.name]) for one in kind.measures(left) if one.name in others]
    if not measures:
        raise SettingsError(f"rows of task {task} have no score of their own, so that there is nothing to compare")
    changed = _Changed.of(kind, pairs)
    return Comparison(
        task,
        names,
        len(pairs),
        [Difference(one.name, one.value, two.value, *difference(one, two)) for one, two in measures],
        _row_by_row(kind, pairs),
        (len(changed.better), len(changed.worse), len(changed.other)),
        changed.shown(changed.better),
        changed.shown(changed.worse),
        changed.shown(changed.other),
        (left, right),
    )


def _row_by_row(kind: TaskReport, pairs: Sequence[tuple[Record, Record]]) -> Matched | None:
    """McNemar's test of the rows that can be right."""
    right = [(kind.right(one), kind.right(two)) for one, two in pairs]
    asked = [(one, two) for one, two in right if one is not None and two is not None]
    return mcnemar(*map(list, zip(*asked, strict=True))) if asked else None


@dataclass(frozen=True)
class _Changed:
    """The rows that are answered in two ways, those that differ most first."""

    kind: TaskReport
    better: list[tuple[Record, Record]]
    worse: list[tuple[Record, Record]]
    other: list[tuple[Record, Record]]

    @classmethod
    def of(cls, kind: TaskReport, pairs: Sequence[tuple[Record, Record]]) -> _Changed:
        found = cls(kind, [], [], [])
        gains = []
        for at, (one, two) in enumerate(pairs):
            if kind.answer(one) != kind.answer(two):
                gains.append((kind.errors(one) - kind.errors(two), kind.surprise(one) - kind.surprise(two), at))
        for gain, _, at in sorted(gains, key=lambda row: (-abs(row[0]), -abs(row[1]), row[2])):
            side = found.better if gain > 0 else found.worse if gain < 0 else found.other
            side.append(pairs[at])
        return found

    def shown(self, rows: Sequence[tuple[Record, Record]]) -> list[Passage]:
        """The first rows, with both answers."""
        return [self.kind.passage(one, {"A": one, "B": two}) for one, two in rows[:SHOWN]]
