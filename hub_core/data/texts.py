"""Texts without labels: what is handed to a module to be answered."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from hub_core.data.lines import read_lines
from hub_core.data.problems import Problems
from hub_core.data.remote import local_file
from hub_core.data.rows import RowReading, read_examples
from hub_core.data.tables import table_format
from hub_core.examples import Example


def read_texts(path: str | Path, *, task: str) -> list[Example]:
    """The rows of a table (columns as in `read_examples`), or a text per line of any other file.

    `path` may be an address (`hub_core.data.remote`). Labels are passed over: they may be others than a module's. For
    token-cls a text in one piece means its characters. Blank lines of a text file are passed over. Raises DataError
    with every problem of the file, and where it has no text at all.
    """
    path = local_file(path)
    if table_format(path) is not None:
        rows = read_examples(path, RowReading(task, labelled=False))
        return [replace(row, label=None, units=_units(row)) for row in rows]
    problems = Problems()
    examples = []
    for line in read_lines(path, problems):
        text = line.text.strip()
        if text:
            units = tuple(text) if task == "token-cls" else None
            examples.append(Example(text, units=units, key=f"{path.name}:{line.number}"))
    if not examples:
        problems.add(f"{path.name}:1", "the file has no text")
    problems.raise_if_any()
    return examples


def _units(row: Example) -> tuple[str, ...] | None:
    """The units of a row; a text that nobody cut stands for its characters."""
    return tuple(row.text) if row.units == (row.text,) else row.units
