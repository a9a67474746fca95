"""Rows to examples: what all tasks read of a table's columns; the rest says each task itself."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import lru_cache
from pathlib import Path
from typing import Any, overload

from hub_core.data.problems import Problems, counted, shortened
from hub_core.data.tables import Row, read_table
from hub_core.errors import NotFoundError, SettingsError, unknown
from hub_core.examples import Example
from hub_core.plugins import catalog

#: The names a column may have, PaddleHub's first.
TEXT = ("text_a", "text")
PAIR = ("text_b", "text_pair")
UNITS = "tokens"
LABEL = ("label", "labels")
#: What may well be the name of a column, rather than the first row of a file without a header.
_NAME = re.compile(r"[\w.-]{1,20}")


@dataclass(frozen=True)
class RowReading:
    """How rows become examples of a task.

    `labels` are the known ones, after renaming (None: any); `rename` maps the file's labels to others; `split_char`
    joins units, and labels, where they are one string; `labelled` says whether every row must have a label; `options`
    are the task's.
    """

    task: str
    labels: frozenset[str] | None = None
    rename: Mapping[str, str] = field(default_factory=dict)
    split_char: str = "\002"
    labelled: bool = True
    options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        known = catalog().entries("task")
        if self.task not in known:
            raise NotFoundError(unknown("task", self.task, known, where="to read data for"))
        if not self.split_char:
            raise SettingsError("split_char (--split-char) is what joins units, and cannot be empty")
        defaults = known[self.task].load().option_defaults if self.options else {}
        for option in self.options.keys() - defaults.keys():
            raise SettingsError(unknown("option", option, defaults, where=f"of task {self.task}"))

    @property
    def has_labels(self) -> bool:
        """Whether rows carry labels by name, which a data set can be asked for."""
        has: bool = catalog().get("task", self.task).has_labels(self.options)
        return has


class BadRowError(Exception):
    """What is wrong with a row, per unit (0 where it is the row as a whole); `to_examples` makes a problem of it.

    `remedy` is what may help a caller who can give columns other names. `other_data` is said instead, once, where no
    row before could be used: that the file is for another task.
    """

    def __init__(
        self,
        *faults: tuple[int, str | Callable[[], str]],
        in_header: bool = False,
        remedy: str = "",
        other_data: str | None = None,
    ) -> None:
        self.faults = faults
        self.in_header = in_header
        self.remedy = remedy
        self.other_data = other_data


@dataclass
class UnknownLabel:
    """A label that a task does not know. It is worded when all rows are read: how often it stands there is then known,
    and finding near matches takes longer than reading a row."""

    label: str
    at: int | None
    known: frozenset[str]
    times: int = 0
    remedy: str = ""

    def __call__(self) -> str:
        """The wording."""
        place = [] if self.at is None else [f"at unit {self.at + 1}"]
        often = [f"({self.times} times)"] if self.times > 1 else []
        return unknown("label", shortened(self.label), self.known, where=" ".join(place + often), remedy=self.remedy)


def read_examples(
    path: str | Path,
    reading: RowReading,
    *,
    format: str | None = None,
    columns: Sequence[str] | None = None,
    header: bool | None = None,
) -> list[Example]:
    """The examples of a table, each with its ``file:line`` as `key` (the file's name without folders).

    Which columns there are is the task's affair: ``text_a`` or ``text``; ``text_b`` or ``text_pair``; ``tokens``;
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
    """The examples of a table's rows that can be used; what is wrong with the others is added to `problems`.

    An unknown label is one problem, however often it stands there. Where some rows have a second text, those that lack
    it are a problem too, which is added after the last row.
    """
    read = catalog().get("task", reading.task).read
    pool: dict[str, str] = {}  # equal units and labels of all rows are one object: a third of the memory
    faults, texts = _Faults(reading, problems), _SecondTexts()
    for row in rows:
        try:
            example = read(row, reading, pool)
        except BadRowError as bad:
            if faults.add(row, bad):
                return
        else:
            faults.usable = True
            texts.note(row, example)
            yield example
    texts.report(problems)
    faults.suggest()


class _Faults:
    """What is wrong with the rows of a table, as its problems say it; `usable`: nothing is with some of them."""

    def __init__(self, reading: RowReading, problems: Problems) -> None:
        self._reading, self._problems = reading, problems
        self._strange: dict[str, UnknownLabel] = {}
        self.usable = False

    def add(self, row: Row, bad: BadRowError) -> bool:
        """Take in what is wrong with a row; whether there is no use in reading on."""
        if bad.other_data and not self.usable and not self._strange:
            self._problems.add(row.where(), bad.other_data)
            return True
        for unit, fault in bad.faults:
            if isinstance(fault, UnknownLabel):
                first = self._strange.setdefault(fault.label, fault)
                first.times += 1
                if first is not fault:
                    continue
            elif isinstance(fault, str):
                fault += bad.remedy
            self._problems.add(row.where(unit) if not bad.in_header else f"{row.file}:{row.header}", fault)
        return bad.in_header

    def suggest(self) -> None:
        """Where no row has a label that is known, say how labels get other names."""
        if self._strange and not self.usable:
            next(iter(self._strange.values())).remedy = renaming_remedy(self._strange, self._reading.labels or ())


class _SecondTexts:
    """Which rows of a table have a second text, and which have none."""

    def __init__(self) -> None:
        self._file, self._pairs, self._single = "", 0, list[int]()

    def note(self, row: Row, example: Example) -> None:
        """Take in a row."""
        if example.pair is None:
            self._file = row.file
            self._single.append(row.line)
        else:
            self._pairs += 1

    def report(self, problems: Problems) -> None:
        """Add the rows without a second text to the problems, where others have one."""
        for line in self._single if self._pairs else ():
            problems.add(f"{self._file}:{line}", f"no second text, unlike {counted(self._pairs, 'other row')}")


def renaming_remedy(found: Iterable[str], known: Iterable[str]) -> str:
    """How labels get the names that are known, as an example that needs not be right; "" where they look like some of
    them misspelt, or like no labels at all."""
    found, known = sorted(found), sorted(known)
    if any(get_close_matches(label, known) or len(label) > 20 for label in found):
        return ""
    pairs = [f"{old}={new}" for old, new in zip(found, known, strict=False)]
    named = ",".join(pairs if len(pairs) <= 3 else [*pairs[:3], "..."])
    return f"rename_labels (such as --rename-labels {named}) gives labels other names"


@overload
def column_of(row: Row, names: Sequence[str]) -> str: ...
@overload
def column_of(row: Row, names: Sequence[str], *, required: bool) -> str | None: ...
def column_of(row: Row, names: Sequence[str], *, required: bool = True) -> str | None:
    """The one of `names` that the row has."""
    found = [name for name in names if name in row.columns]
    if len(found) == 1:
        return found[0]
    if not found and not required:
        return None
    wanted = " or ".join(repr(name) for name in names)
    there = ", ".join(shortened(str(name)) for name in row.columns) or "none"
    fault = f"both columns {' and '.join(found)}; keep one" if found else f"no column {wanted}; there are: {there}"
    remedy = "" if found else _columns_remedy(row, names)
    raise BadRowError((0, fault), in_header=row.header is not None, remedy=remedy)


def _columns_remedy(row: Row, names: Sequence[str]) -> str:
    """How a text or a label under another name is found, with what is most likely meant; "" where nothing is."""
    known = {*TEXT, *PAIR, *LABEL, UNITS}
    others = [name for name in row.columns if name not in known]
    others.sort(key=lambda name: len(str(row.columns[name]).encode()))  # in bytes: a few Chinese characters are a text
    meant = {others[-1]: "text"} if names == TEXT and others else {}
    if others and others[0] not in meant and not any(name in row.columns for name in LABEL):
        meant[others[0]] = "label"
    if not meant or names not in (TEXT, LABEL):
        return ""
    remedies = []
    if all(_NAME.fullmatch(str(name)) for name in meant):
        remedies.append(f"--columns {','.join(f'{name}={new}' for name, new in meant.items())} gives other names")
    if row.header == 1 and names == TEXT and len(row.columns) == len(meant) == 2:
        remedies.append(f"a file without a header needs --columns {','.join(meant[name] for name in row.columns)}")
    return "".join(f"; {remedy}" for remedy in remedies)


def text_of(row: Row, column: str) -> str:
    """A text that says something."""
    value = row.columns[column]
    if not isinstance(value, str):
        raise BadRowError((0, f"{column} must be a text, not {shortened(repr(value))}"))
    if not value.strip():
        raise BadRowError((0, "the text is empty" if column in TEXT else f"{column} is empty"))
    return value


def label_value(row: Row, reading: RowReading, *, empty: bool = False) -> Any:
    """What stands in the label column; None where the row has no label and needs none.

    `empty`: an empty string is a label too, which says that none applies.
    """
    column = column_of(row, LABEL, required=reading.labelled)
    value = None if column is None else row.columns[column]
    if reading.labelled and (value is None or (value == "" and not empty)):
        raise BadRowError((0, "the label is empty"))
    return None if value == "" and not empty else value


def strings_of(value: Any, column: str) -> tuple[str, ...]:
    """A list of strings, or the characters of one."""
    if not isinstance(value, str | list | tuple):
        raise BadRowError((0, f"{column} must be a list of strings, not {shortened(repr(value))}"))
    if set(map(type, value)) <= {str}:
        return tuple(value)
    for at, item in enumerate(value):
        if not isinstance(item, str):
            raise BadRowError((at, f"{column} must be strings, not {shortened(repr(item))} (number {at + 1})"))
    return tuple(map(str, value))  # numpy's strings are strings too


def unequal(units: Sequence[str], labels: Sequence[str], split_char: str) -> str:
    """The wording; a text that is one unit was most likely joined by something else."""
    what = "character" if all(len(unit) == 1 for unit in units) else "unit"
    hint = (
        f" (what joins units here is {split_char!r}; see split_char=, --split-char)"
        if len(units) == 1 and what == "unit"
        else ""
    )
    return f"{counted(len(units), what)}{hint}, but {counted(len(labels), 'label')}"


def spaced(labels: Sequence[str], split_char: str) -> str | None:
    """What is wrong with labels of units that have white space, which most likely joins them; None: nothing."""
    found = next((label for label in dict.fromkeys(labels) if label and label.split() != [label]), None)
    if found is None:
        return None
    return (
        f"label {shortened(found)!r} has white space in it (what joins units and labels here is {split_char!r}; "
        "split_char=, --split-char says what else does)"
    )


def known_labels(
    labels: tuple[str, ...], row: Row, reading: RowReading, pool: dict[str, str], *, other_data: str | None = None
) -> tuple[str, ...]:
    """The labels after renaming; those that the task does not know are reported, each once per line.

    `other_data`: what to say instead where the first row has such labels (see `BadRowError`).
    """
    renamed = tuple(reading.rename.get(label, label) for label in labels) if reading.rename else labels
    if "" in renamed:
        raise BadRowError((renamed.index(""), f"label {renamed.index('') + 1} is empty"))
    if reading.labels is not None and not reading.labels.issuperset(renamed):
        strange: dict[tuple[str, str], int] = {}
        for at, label in enumerate(renamed):
            if label not in reading.labels:
                strange.setdefault((row.where(at), label), at)
        single = row.line_per_unit or len(renamed) == 1
        known = reading.labels
        raise BadRowError(
            *((at, UnknownLabel(label, None if single else at, known)) for (_, label), at in strange.items()),
            other_data=other_data,
        )
    return tuple(map(pool.setdefault, renamed, renamed))


def number_of(value: Any, what: str) -> float:
    """A finite number, or the text of one."""
    try:
        number = float(value) if isinstance(value, int | float | str) and not isinstance(value, bool) else math.nan
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise BadRowError((0, f"{what} must be a number, not {shortened(repr(value))}"))
    return number


def other_columns(row: Row, used: set[str]) -> dict[str, Any]:
    """The columns that a task does not read."""
    return {name: value for name, value in row.columns.items() if name not in used}


def row_key(row: Row) -> str:
    """How messages and saved predictions name a row: ``train.tsv:12``."""
    return f"{_file_name(row.file)}:{row.line}"


@lru_cache(maxsize=64)
def _file_name(file: str) -> str:
    return Path(file).name
