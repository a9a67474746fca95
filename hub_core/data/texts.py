"""Texts without labels: what is handed to a module to be answered."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, Protocol

from hub_core.data.folder import splits_in
from hub_core.data.lines import read_lines
from hub_core.data.problems import Problems
from hub_core.data.remote import local_file
from hub_core.data.rows import LABEL, RowReading, to_examples
from hub_core.data.tables import Columns, Row, read_table, table_format
from hub_core.errors import DataError, SettingsError
from hub_core.examples import Example


class Asked(Protocol):
    """What is needed of the task that will answer."""

    name: ClassVar[str]
    options: Mapping[str, Any]

    @property
    def reader(self) -> Asked:
        """The task that reads rows for it."""

    def example(self, item: Any, *, split_char: str | None = None, key: str = "") -> Example:
        """A text as an Example."""


def read_texts(path: str | Path, *, task: Asked, columns: Columns | None = None) -> list[Example]:
    """The rows of a table (columns as in `read_examples`), or a text per line of any other file.

    `path` may be an address (`hub_core.data.remote`). `columns` as for `read_table`; a file with columns whose suffix
    names no format is TSV. Labels are passed over: they may be others than a module's. For
    token-cls a text in one piece means its characters. Blank lines of a text file are passed over. Raises DataError
    with every problem of the file, and where it has no text at all; SettingsError for a folder.
    """
    path, problems = local_file(path), Problems()
    if path.is_dir():
        splits = splits_in(path)
        there = next((str(files[0]) for files in (splits.get("test"), *splits.values()) if files), path / "test.tsv")
        raise SettingsError(f"{path} is a folder; give a file, such as {there}")
    if table_format(path) is not None or columns is not None:
        reading = RowReading(task.reader.name, labelled=False, options=task.reader.options)
        table = read_table(path, format=table_format(path) or "tsv", columns=columns, problems=problems)
        rows = to_examples(map(_unlabelled, table), reading, problems)
        asked = [replace(row, label=None, units=_units(row)) for row in rows]
        problems.raise_if_any()
        return asked
    examples = []
    for line in read_lines(path, problems):
        text = line.text.strip()
        if text:
            try:
                examples.append(task.example(text, key=f"{path.name}:{line.number}"))
            except DataError as error:  # a task of two texts needs a table
                raise DataError(
                    [*error.problems, "a text per line is not enough: give a table with columns"]
                ) from error
    if not examples:
        problems.add(f"{path.name}:1", "the file has no text")
    problems.raise_if_any()
    return examples


def _unlabelled(row: Row) -> Row:
    return replace(row, columns={name: value for name, value in row.columns.items() if name not in LABEL})


def _units(row: Example) -> tuple[str, ...] | None:
    """The units of a row; a text that nobody cut stands for its characters."""
    return tuple(row.text) if row.units == (row.text,) else row.units
