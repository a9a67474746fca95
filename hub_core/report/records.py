"""``predictions.jsonl``: one record per row, so that any program can check the scores, or compare two modules."""

from __future__ import annotations

import json
from collections.abc import Sequence
from operator import itemgetter
from pathlib import Path

from hub_core.data.problems import Problems
from hub_core.data.tables import read_jsonl
from hub_core.errors import SettingsError
from hub_core.paths import atomic_file
from hub_core.report.any_task import Record, form_of, report_for

#: What a folder of results has beside its page.
PREDICTIONS = "predictions.jsonl"
#: What every record says.
KEYS = ("task", "key", "text", "gold", "predicted")


def write_records(path: Path, records: Sequence[Record]) -> None:
    """Write records as JSON lines; the file appears whole or not at all."""
    with atomic_file(path) as staged, staged.open("wb") as stream:
        for record in records:
            line = json.dumps(record, ensure_ascii=False) + "\n"
            stream.write(line.encode("utf-8", "backslashreplace"))  # half a surrogate pair becomes JSON's \udxxx


def read_records(path: Path) -> list[Record]:
    """The records of a file, or of the folder of a report.

    Raises DataError (``file:line``) for lines that are none, for a row that stands twice, and for records of several
    tasks; NotFoundError for a missing file.
    """
    file = path / PREDICTIONS if path.is_dir() else path
    problems = Problems()
    records: list[Record] = []
    seen: dict[str, int] = {}
    for row in read_jsonl(file, columns=KEYS, problems=problems):
        fault = _fault(row.columns, records[0] if records else row.columns)
        first = seen.setdefault(str(row.columns["key"]), row.line)
        if first != row.line:
            fault = f"row {row.columns['key']} stands in line {first} already"
        if fault:
            problems.add(row.where(), fault)
        records.append(row.columns)
    problems.raise_if_any()
    return records


def matched(
    first: Sequence[Record], second: Sequence[Record], *, names: tuple[str, str]
) -> list[tuple[Record, Record]]:
    """The same rows of two modules, in the order of the first.

    Raises DataError for rows that only one of them has, or whose text or gold differs; SettingsError for two tasks,
    or two problems of one.
    """
    for said, what in ("task", itemgetter("task")), ("problem", form_of):
        one, other = what(first[0]), what(second[0])
        if one != other:
            raise SettingsError(f"{names[0]} answers {one}, {names[1]} {other}; only the same {said} can be compared")
    problems = Problems()
    others = {record["key"]: record for record in second}
    for record in first:
        other = others.get(record["key"])
        if other is None:
            problems.add(record["key"], f"{names[1]} has no such row")
            continue
        for name in ("text", "text_pair", "units", "gold"):
            if record.get(name) != other.get(name):
                problems.add(record["key"], f"the two have another {name}")
                break
    keys = {record["key"] for record in first}
    for key in others:
        if key not in keys:
            problems.add(key, f"{names[0]} has no such row")
    problems.raise_if_any()
    return [(record, others[record["key"]]) for record in first]


def _fault(record: Record, first: Record) -> str | None:
    """What is wrong with a record, the first one of which says what the others must be like."""
    for name in ("task", "key", "text"):
        if not isinstance(record[name], str):
            return f"{name} must be a string, not {record[name]!r}"
    if record["task"] != first["task"]:
        return f"task {record['task']}, but the rows before are of {first['task']}"
    return report_for(first).fault(record)
