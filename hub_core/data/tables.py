"""Tables: TSV, CSV, JSONL and CoNLL files as rows, each with the line it stands on (JSON and Parquet: files beside).

Every reader streams, takes files packed with gzip or xz by their suffix, and reports all problems of a file in one
DataError after its last row (up to 20, and the number of others), unless it is given `problems` to collect them in:
then the caller adds what it finds itself, and raises.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain, groupby
from pathlib import Path
from typing import Any

from hub_core.data.lines import Line, read_lines
from hub_core.data.packing import plain_name
from hub_core.data.problems import Problems, counted, shortened
from hub_core.data.remote import local_file
from hub_core.errors import NotFoundError, SettingsError, unknown
from hub_core.plugins import catalog


@dataclass(frozen=True, slots=True)
class Row:
    """One row: its values by column name, and where it stands.

    Values are strings in TSV and CSV, whatever JSON or Parquet has there, and in CoNLL ``tokens`` and ``labels``,
    tuples of strings. `line` is counted from 1; in Parquet, which has no lines, it is the row's number. `header` is the
    line (in Parquet: the ``schema``) that names the columns of all rows, None where every row names its own.
    """

    columns: Mapping[str, Any]
    file: str
    line: int
    header: int | str | None = None
    line_per_unit: bool = False

    def where(self, unit: int = 0) -> str:
        """``file:line`` of the row, or of one of its units where each has a line of its own."""
        return f"{self.file}:{self.line + (unit if self.line_per_unit else 0)}"


#: Line number and fields of a record; no fields for a blank line, None where they could not be read (and are noted).
_Record = tuple[int, list[str] | None]
_Reader = Callable[[Problems], Iterator[Row]]

#: What a caller says of columns: names in order of position, or better names for those that the file has.
Columns = Sequence[str] | Mapping[str, str]


def read_table(
    path: str | Path,
    *,
    format: str | None = None,
    columns: Columns | None = None,
    header: bool | None = None,
    problems: Problems | None = None,
) -> Iterator[Row]:
    """Read a table with the reader that is registered for its suffix (``.tsv``, ``.json``, ``.parquet``, ...).

    `path` may be an address (`hub_core.data.remote`). `format` names the reader where the suffix does not say it.
    `columns`: names in order of position, as the readers take them, or a mapping from the file's names to others
    (``{"sentence": "text"}``). A plugin's reader (hook `hub_entries`, kind ``table``) takes a path and the keywords
    `columns`, `header`, `problems`, as the readers here do.
    """
    path = local_file(path)
    name = format or table_format(path)
    known = catalog().entries("table")
    if name is None or name not in known:
        raise NotFoundError(unknown("table format", name or path.name, known, remedy="name it with format="))
    read = known[name].load()
    if isinstance(columns, Mapping):
        names = columns
        return reporting(
            lambda found: renamed_columns(read(path, columns=None, header=header, problems=found), names, found),
            problems,
        )
    rows: Iterator[Row] = read(path, columns=columns, header=header, problems=problems)
    return rows


def renamed_columns(
    rows: Iterable[Row], names: Mapping[str, str], problems: Problems, *, required: bool = True
) -> Iterator[Row]:
    """Rows whose columns have other names; one that has such a name already gives way.

    A row that lacks one of the columns is a problem, where they are `required`: of all rows where a header names them.
    """
    for row in rows:
        missing = [name for name in names if name not in row.columns] if required else []
        if missing:
            there = ", ".join(map(shortened, row.columns)) or "none"
            where = row.where() if row.header is None else f"{row.file}:{row.header}"
            problems.add(where, f"no column {', '.join(map(repr, missing))}; there are: {there}")
            if row.header is not None:
                return
            continue
        given = {names[name]: value for name, value in row.columns.items() if name in names}
        kept = {name: value for name, value in row.columns.items() if name not in names and name not in given}
        yield replace(row, columns={**given, **kept})


def table_format(path: str | Path) -> str | None:
    """The format that a file's suffix names (``tsv`` for ``train.tsv.xz``), None where it names none."""
    name = plain_name(path).suffix.lower().removeprefix(".")
    return name if name in catalog().entries("table") else None


def read_tsv(
    path: str | Path,
    *,
    columns: Sequence[str] | None = None,
    header: bool | None = None,
    problems: Problems | None = None,
) -> Iterator[Row]:
    """Rows of fields separated by tabs. There is no quoting: ``"`` is a character like any other.

    The first line names the columns. A file without such a header needs `columns`, names in order of position;
    with ``header=True`` `columns` stand in for the names of the first line. Blank lines are accepted at the end of
    a file only. Raises DataError (``file:line``) for rows with another number of fields, bad UTF-8, no rows.
    """
    table = _Delimited(Path(path), columns, header)
    return reporting(lambda found: table.rows(_tsv_records(table.path, found), found), problems)


def read_csv(
    path: str | Path,
    *,
    columns: Sequence[str] | None = None,
    header: bool | None = None,
    problems: Problems | None = None,
) -> Iterator[Row]:
    """Rows of comma-separated fields, quoted with ``"`` where needed (RFC 4180); a field may hold line ends.

    Columns, blank lines and errors as for `read_tsv`; a row's line is the one it begins on.
    """
    table = _Delimited(Path(path), columns, header)
    return reporting(lambda found: table.rows(_csv_records(table.path, found), found), problems)


def read_jsonl(
    path: str | Path,
    *,
    columns: Sequence[str] | None = None,
    header: bool | None = None,
    problems: Problems | None = None,
) -> Iterator[Row]:
    """Rows of one JSON object per line. `columns` are keys that every row must have (others are kept).

    Raises DataError (``file:line``) for what is no JSON object, for a missing key, bad UTF-8, no rows.
    """
    refuse_header(path, header)
    return reporting(lambda found: jsonl_rows(Path(path), columns or (), found), problems)


def read_conll(
    path: str | Path,
    *,
    columns: Sequence[str] | None = None,
    header: bool | None = None,
    problems: Problems | None = None,
) -> Iterator[Row]:
    """Sentences of one token per line: the token first, its label last, a tab or spaces between; blank line between.

    ``-DOCSTART-`` lines are left out; columns in the middle are ignored. A row has ``tokens`` and ``labels``.
    Raises DataError (``file:line``) for lines with another number of columns, bad UTF-8, no sentences.
    """
    refuse_header(path, header)
    if columns is not None:
        raise SettingsError(f"columns= is not for CoNLL ({path}): the first column is the token, the last the label")
    return reporting(lambda found: _conll_rows(Path(path), found), problems)


def reporting(rows: _Reader, problems: Problems | None) -> Iterator[Row]:
    """The rows; after the last one the problems are raised, unless the caller collects them."""
    if problems is not None:
        yield from rows(problems)
        return
    own = Problems()
    yield from rows(own)
    own.raise_if_any()


def refuse_header(path: str | Path, header: bool | None) -> None:
    """Raise SettingsError where a format without a header was said to have one."""
    if header:
        raise SettingsError(f"header=True is for TSV and CSV; {path} has no line that names columns")


class _Delimited:
    """Names for the fields of TSV and CSV records."""

    def __init__(self, path: Path, columns: Sequence[str] | None, header: bool | None) -> None:
        if columns is None and header is False:
            raise SettingsError(f"{path} has no header: name its columns in order, such as columns=['label', 'text_a']")
        if columns is not None and (len(set(columns)) != len(columns) or not all(columns)):
            raise SettingsError(f"columns must have a name each, all different, not {list(columns)!r}")
        self.path = path
        self.names = None if columns is None else list(columns)
        self.has_header = columns is None if header is None else header

    def rows(self, records: Iterator[_Record], problems: Problems) -> Iterator[Row]:
        """Rows of the records that have as many fields as there are names."""
        records = _without_blank_lines(self.path, records, problems)
        first = next(records, None)
        if first is None:
            problems.add(f"{self.path}:1", "the file is empty")
            return
        names = self._column_names(first, problems)
        if names is None:
            for _ in records:  # nothing can be named, but bad UTF-8 further on is reported too
                pass
            return
        count = 0
        for line, fields in records if self.has_header else chain([first], records):
            count += 1
            if fields is None:
                continue
            if len(fields) == len(names):
                yield Row(dict(zip(names, fields, strict=True)), str(self.path), line, header=1)
            else:
                expected = f"expected {len(names)} ({', '.join(names)})"
                problems.add(f"{self.path}:{line}", f"{counted(len(fields), 'column')}, {expected}")
        if not count:
            problems.add(f"{self.path}:{first[0] + 1}", "no rows after the header")

    def _column_names(self, first: _Record, problems: Problems) -> list[str] | None:
        """The names of all columns; None (and a problem noted) where the header cannot be used."""
        line, fields = first
        found = [field.strip() for field in fields or ()]
        fault = None
        if not self.has_header:
            if self.names is not None and set(found) == set(self.names):
                fault = f"this line names the columns ({', '.join(found)}); say that the file has a header"
        elif fields is None:
            return None
        elif self.names is None:
            if len(set(found)) != len(found) or not all(found):
                shown = ", ".join(repr(shortened(name)) for name in found)
                fault = f"the header must have a name for each column, all different, not {shown}"
        elif len(found) != len(self.names) or any(name in self.names for name in _differing(found, self.names)):
            fault = f"the header names {', '.join(map(shortened, found))}; columns= says {', '.join(self.names)}"
        if fault:
            problems.add(f"{self.path}:{line}", fault)
            return None
        return self.names or found


def _differing(found: Sequence[str], named: Sequence[str]) -> list[str]:
    """The names of a header that are not those given for their positions."""
    return [name for name, given in zip(found, named, strict=True) if name != given]


def _without_blank_lines(path: Path, records: Iterable[_Record], problems: Problems) -> Iterator[_Record]:
    """Leave out blank lines; one that another line follows is a problem."""
    blank: list[int] = []
    for line, fields in records:
        if fields == []:
            blank.append(line)
            continue
        while blank:
            problems.add(f"{path}:{blank.pop(0)}", "blank line")
        yield line, fields


def _tsv_records(path: Path, problems: Problems) -> Iterator[_Record]:
    for line in read_lines(path, problems):
        content = line.content
        yield line.number, (content.split("\t") if content else []) if line.readable else None


def _csv_records(path: Path, problems: Problems) -> Iterator[_Record]:
    unreadable = 0  # the last line that was not UTF-8

    def texts() -> Iterator[str]:
        nonlocal unreadable
        for line in read_lines(path, problems):
            if not line.readable:
                unreadable = line.number
            yield line.text

    reader = csv.reader(texts(), strict=True)
    while True:
        begin = reader.line_num + 1
        try:
            fields = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            problems.add(f"{path}:{begin}", f"not CSV ({error})")
            yield begin, None
        else:
            yield begin, None if unreadable >= begin else fields


def jsonl_rows(path: Path, keys: Sequence[str], problems: Problems) -> Iterator[Row]:
    """One row per line; blank lines are accepted at the end of the file only."""
    blank: list[int] = []
    number = 0
    for number, line in enumerate(read_lines(path, problems), start=1):
        if not line.text.strip():
            blank.append(number)
            continue
        while blank:
            problems.add(f"{path}:{blank.pop(0)}", "blank line")
        value = _json_object(path, line, keys, problems) if line.readable else None
        if value is not None:
            yield Row(value, str(path), number)
    if number == len(blank):
        problems.add(f"{path}:1", "the file is empty")


def _json_object(path: Path, line: Line, keys: Sequence[str], problems: Problems) -> dict[str, Any] | None:
    """The object of one line; None (and a problem noted) where there is none, or it lacks a key."""
    try:
        value = json.loads(line.text)
        if "\\u" in line.text:  # half of a surrogate pair is JSON, but no text
            json.dumps(value, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        problems.add(f"{path}:{line.number}", f"not JSON ({error})")
        return None
    return checked_object(value, keys, f"{path}:{line.number}", problems)


def checked_object(value: Any, keys: Sequence[str], where: str, problems: Problems) -> dict[str, Any] | None:
    """A JSON value that is an object with these keys; None (and a problem noted) for another."""
    if not isinstance(value, dict):
        problems.add(where, f"not a JSON object but {shortened(json.dumps(value))}")
        return None
    missing = [key for key in keys if key not in value]
    if missing:
        problems.add(where, f"no {', '.join(map(repr, missing))}; the row has {_keys(value)}")
        return None
    return value


def _keys(value: Mapping[str, Any]) -> str:
    return ", ".join(map(shortened, value)) or "no keys"


def _conll_rows(path: Path, problems: Problems) -> Iterator[Row]:
    width: int | None = None
    before = problems.count
    for separates, group in groupby(read_lines(path, problems), _separates_sentences):
        if separates:
            continue
        lines = list(group)
        if width is None:
            width = len(_conll_fields(lines[0]))
        row = _sentence(path, lines, max(width, 2), problems)
        if row is not None:
            yield row
    if width is None and problems.count == before:
        problems.add(f"{path}:1", "the file is empty")


def _sentence(path: Path, lines: Sequence[Line], width: int, problems: Problems) -> Row | None:
    """The row of one sentence; None (and problems noted) where one of its lines cannot be used."""
    tokens, labels, usable = [], [], True
    for line in lines:
        fields = _conll_fields(line)
        fault = None
        if len(fields) != width:
            fault = f"{counted(len(fields), 'column')}, expected {width} (token first, label last)"
        elif "\x02" in line.text:
            fault = "holds U+0002, which joins the characters of a row in a .tsv file; this is read as CoNLL"
        if fault and line.readable:
            problems.add(f"{path}:{line.number}", fault)
        usable = usable and line.readable and not fault
        tokens.append(fields[0])
        labels.append(fields[-1])
    if not usable:
        return None
    return Row({"tokens": tuple(tokens), "labels": tuple(labels)}, str(path), lines[0].number, line_per_unit=True)


def _conll_fields(line: Line) -> list[str]:
    """Fields between tabs, or between runs of spaces; other white space (U+3000) may be a token."""
    content = line.content
    return content.split("\t") if "\t" in content else [field for field in content.split(" ") if field] or [""]


def _separates_sentences(line: Line) -> bool:
    return not line.text.strip() or line.text.startswith("-DOCSTART-")
