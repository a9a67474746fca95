"""Rows to examples: what the columns of a table mean for a task."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, overload

from hub_core.data.problems import Problems, counted, shortened
from hub_core.data.tables import Row, read_table
from hub_core.errors import NotFoundError, unknown
from hub_core.examples import Example, join_units

#: The names a column may have, PaddleHub's first.
TEXT = ("text_a", "text")
PAIR = ("text_b", "text_pair")
UNITS = "tokens"
LABEL = ("label", "labels")


@dataclass(frozen=True)
class RowReading:
    """How rows become examples of a task.

    `labels` are the known ones, after renaming (None: any); `rename` maps the file's labels to others; `split_char`
    joins units, and labels, where they are one string; `labelled` says whether every row must have a label.
    """

    task: str
    labels: frozenset[str] | None = None
    rename: Mapping[str, str] = field(default_factory=dict)
    split_char: str = "\002"
    labelled: bool = True

    def __post_init__(self) -> None:
        if self.task not in _READERS:
            raise NotFoundError(unknown("task", self.task, _READERS, where="to read data for"))


class _BadRowError(Exception):
    """What is wrong with a row, per unit (0 where it is the row as a whole); nobody outside this file sees it."""

    def __init__(self, *faults: tuple[int, str | Callable[[], str]], in_header: bool = False) -> None:
        self.faults = faults
        self.in_header = in_header


def read_examples(
    path: str | Path,
    reading: RowReading,
    *,
    format: str | None = None,
    columns: Sequence[str] | None = None,
    header: bool | None = None,
) -> list[Example]:
    """The examples of a table, each with its ``file:line`` as `key` (the file's name without folders).

    Columns by name: ``text_a`` or ``text``; ``text_b`` or ``text_pair`` (seq-cls); ``tokens`` (token-cls);
    ``label`` or ``labels``. Others are kept in `Example.columns`. Raises DataError with every problem of the file,
    up to 20: those of `hub_core.data.tables`, missing columns, empty texts, unequal numbers of units and labels,
    and unknown labels with near matches.
    """
    problems = Problems()
    rows = read_table(path, format=format, columns=columns, header=header, problems=problems)
    examples = list(to_examples(rows, reading, problems))
    problems.raise_if_any()
    return examples


def to_examples(rows: Iterable[Row], reading: RowReading, problems: Problems) -> Iterator[Example]:
    """The examples of rows that can be used; what is wrong with the others is added to `problems`."""
    read = _READERS[reading.task]
    pool: dict[str, str] = {}  # equal units and labels of all rows are one object: a third of the memory
    for row in rows:
        try:
            yield read(row, reading, pool)
        except _BadRowError as bad:
            for unit, fault in bad.faults:
                problems.add(row.where(unit) if not bad.in_header else f"{row.file}:{row.header}", fault)
            if bad.in_header:
                return


def _classified(row: Row, reading: RowReading, pool: dict[str, str]) -> Example:
    """seq-cls: a text or a pair, with one label."""
    text = _text(row, _column(row, TEXT))
    pair_column = _column(row, PAIR, required=False)
    pair = None if pair_column is None or row.columns[pair_column] is None else _text(row, pair_column)
    label = None
    value = _label_value(row, reading)
    if value is not None:
        if isinstance(value, int) and not isinstance(value, bool):
            value = str(value)  # JSON and Python rows may number their classes
        if not isinstance(value, str) or not value:
            raise _BadRowError((0, f"the label must be a name, not {shortened(repr(value))}"))
        (label,) = _known((value,), row, reading, pool)
    return Example(text, pair, None, label, _key(row), _others(row, {*TEXT, *PAIR, *LABEL}))


def _labelled_units(row: Row, reading: RowReading, pool: dict[str, str]) -> Example:
    """token-cls: units with one label each."""
    column = UNITS if UNITS in row.columns else _column(row, TEXT)
    value, labels = row.columns[column], _label_value(row, reading)
    if isinstance(value, str) and not isinstance(labels, list | tuple):
        value = value.split(reading.split_char)
    units = _strings(value, column)  # beside a list of labels, the units of a string are its characters
    if not any(unit.strip() for unit in units):
        raise _BadRowError((0, "the text is empty"))
    if "" in units:
        raise _BadRowError(*((at, f"unit {at + 1} is empty") for at, unit in enumerate(units) if not unit))
    units = tuple(map(pool.setdefault, units, units))
    if labels is not None:
        labels = _strings(labels.split(reading.split_char) if isinstance(labels, str) else labels, "labels")
        if len(labels) != len(units):
            raise _BadRowError((0, _unequal(units, labels, reading.split_char)))
        labels = _known(labels, row, reading, pool)
    text = "".join(units)
    if len(text) != len(units):  # words, not characters
        text = join_units(units)
    return Example(text, None, units, labels, _key(row), _others(row, {UNITS, *TEXT, *LABEL}))


#: How a row is read, per task.
_READERS: Mapping[str, Callable[[Row, RowReading, dict[str, str]], Example]] = MappingProxyType(
    {"seq-cls": _classified, "token-cls": _labelled_units}
)


@overload
def _column(row: Row, names: Sequence[str]) -> str: ...
@overload
def _column(row: Row, names: Sequence[str], *, required: bool) -> str | None: ...
def _column(row: Row, names: Sequence[str], *, required: bool = True) -> str | None:
    """The one of `names` that the row has."""
    found = [name for name in names if name in row.columns]
    if len(found) == 1:
        return found[0]
    if not found and not required:
        return None
    wanted = " or ".join(repr(name) for name in names)
    there = ", ".join(shortened(str(name)) for name in row.columns) or "none"
    fault = f"both columns {' and '.join(found)}; keep one" if found else f"no column {wanted}; there are: {there}"
    raise _BadRowError((0, fault), in_header=row.header is not None)


def _text(row: Row, column: str) -> str:
    """A text that says something."""
    value = row.columns[column]
    if not isinstance(value, str):
        raise _BadRowError((0, f"{column} must be a text, not {shortened(repr(value))}"))
    if not value.strip():
        raise _BadRowError((0, "the text is empty" if column in TEXT else f"{column} is empty"))
    return value


def _label_value(row: Row, reading: RowReading) -> Any:
    """What stands in the label column; None where the row has no label and needs none."""
    column = _column(row, LABEL, required=reading.labelled)
    value = None if column is None else row.columns[column]
    if value in (None, "") and reading.labelled:
        raise _BadRowError((0, "the label is empty"))
    return None if value == "" else value


def _strings(value: Any, column: str) -> tuple[str, ...]:
    """A list of strings, or the characters of one."""
    if not isinstance(value, str | list | tuple):
        raise _BadRowError((0, f"{column} must be a list of strings, not {shortened(repr(value))}"))
    if set(map(type, value)) <= {str}:
        return tuple(value)
    for at, item in enumerate(value):
        if not isinstance(item, str):
            raise _BadRowError((at, f"{column} must be strings, not {shortened(repr(item))} (number {at + 1})"))
    return tuple(map(str, value))  # numpy's strings are strings too


def _unequal(units: Sequence[str], labels: Sequence[str], split_char: str) -> str:
    """The wording; a text that is one unit was most likely joined by something else."""
    what = "character" if all(len(unit) == 1 for unit in units) else "unit"
    hint = f" (what joins units here is {split_char!r})" if len(units) == 1 and what == "unit" else ""
    return f"{counted(len(units), what)}{hint}, but {counted(len(labels), 'label')}"


def _known(labels: tuple[str, ...], row: Row, reading: RowReading, pool: dict[str, str]) -> tuple[str, ...]:
    """The labels after renaming; those that the task does not know are reported, each once per line."""
    renamed = tuple(reading.rename.get(label, label) for label in labels) if reading.rename else labels
    if "" in renamed:
        raise _BadRowError((renamed.index(""), f"label {renamed.index('') + 1} is empty"))
    if reading.labels is not None and not reading.labels.issuperset(renamed):
        strange: dict[tuple[str, str], int] = {}
        for at, label in enumerate(renamed):
            if label not in reading.labels:
                strange.setdefault((row.where(at), label), at)
        single = row.line_per_unit or len(renamed) == 1
        raise _BadRowError(
            *((at, _unknown_label(label, None if single else at, reading.labels)) for (_, label), at in strange.items())
        )
    return tuple(map(pool.setdefault, renamed, renamed))


def _unknown_label(label: str, at: int | None, known: frozenset[str]) -> Callable[[], str]:
    """The wording, put off: finding near matches takes longer than reading the row."""
    where = "" if at is None else f"at unit {at + 1}"
    return lambda: unknown("label", shortened(label), known, where=where)


def _others(row: Row, used: set[str]) -> dict[str, Any]:
    return {name: value for name, value in row.columns.items() if name not in used}


def _key(row: Row) -> str:
    return f"{_file_name(row.file)}:{row.line}"


@lru_cache(maxsize=64)
def _file_name(file: str) -> str:
    return Path(file).name
