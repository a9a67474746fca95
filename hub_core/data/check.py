"""What is wrong with a data set, before anybody trains on it: leaks, repeats, contradictions, broken rows.

report = check_folder("reviews")
report.leaks[0]  # Leak(split='dev', other='train', exact=338, same=340, relabelled=9, ...)
"""

from __future__ import annotations

import math
import re
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import chain, islice, permutations
from pathlib import Path
from typing import Any

import numpy as np

from hub_core.data.folder import canonical_mode, splits_in
from hub_core.data.lines import read_lines
from hub_core.data.misspelt import Misspelt, label_counts, misspelt
from hub_core.data.problems import Problems, shortened
from hub_core.data.remote import local_file, shown
from hub_core.data.rows import LABEL, TEXT, UNITS, RowReading, to_examples
from hub_core.data.same import exact_text, normalised_text
from hub_core.data.tables import Columns, Row, read_table, table_format
from hub_core.errors import DataError, NotFoundError
from hub_core.examples import Example

#: Percentiles that a report gives of the lengths of texts.
PERCENTILES = (0, 50, 90, 95, 99, 100)
#: How many cases a report shows of everything that it counts.
_SHOWN = 5
#: How many rows of a file say what it is for.
_LOOKED_AT = 100
#: Beginnings of the names of splits; where a folder has such files, its other tables are something else.
_SPLITS = ("train", "dev", "test", "trial", "unlabeled", "unlabelled")


@dataclass(frozen=True)
class Case:
    """Rows that say the same: the text (cut short), and of some of these rows the key and the label."""

    text: str
    rows: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Leak:
    """Rows of `split` whose text stands in `other` too.

    `exact` counts rows whose text is the same, `same` those whose text is the same but for white space, width and
    case; `relabelled` are those of the latter that have another label there. `of` is the number of rows of `split`.
    """

    split: str
    other: str
    of: int
    exact: int
    same: int
    relabelled: int
    cases: tuple[Case, ...]


@dataclass(frozen=True)
class SplitReport:
    """One split. All counts of texts leave white space, width and case out of account.

    - `repeats`: rows that repeat an earlier one (`exact_repeats`: to the letter).
    - `contradictions`: texts that have several labels, which `contradicting` rows say.
    - `lengths`: characters of a row, at the `PERCENTILES`; `histogram`: how many rows have up to so many characters.
    - `labels`: how often each label stands there, the most frequent first (for token-cls per unit).
    """

    name: str
    files: tuple[str, ...]
    rows: int
    labelled: int
    exact_repeats: int
    repeats: int
    contradictions: int
    contradicting: int
    lengths: tuple[int, ...]
    histogram: tuple[tuple[int, int], ...]
    labels: tuple[tuple[str, int], ...]
    repeated: tuple[Case, ...]
    contradicted: tuple[Case, ...]


@dataclass(frozen=True)
class DataReport:
    """What `check_folder` and `check_splits` find.

    `misspelt` are labels of the training splits that are most likely another one misspelt; `broken` has one
    ``file:line: what`` per row that cannot be used.
    """

    data: str
    task: str
    splits: tuple[SplitReport, ...]
    leaks: tuple[Leak, ...]
    misspelt: tuple[Misspelt, ...]
    broken: tuple[str, ...]
    task_options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def read_for(self) -> str:
        """The task with its options."""
        said = ", ".join(f"{name}={value}" for name, value in self.task_options.items())
        return f"{self.task} ({said})" if said else self.task

    def as_data(self) -> dict[str, Any]:
        """The report as plain data for JSON."""
        return asdict(self)


@dataclass(frozen=True)
class ReadSplit:
    """The rows of a split that can be used, where they were read, and what is wrong with the others."""

    rows: Sequence[Example]
    files: tuple[str, ...] = ()
    broken: tuple[str, ...] = ()


def check_folder(
    folder: str | Path,
    *,
    task: str | None = None,
    columns: Columns | None = None,
    split_char: str = "\002",
    task_options: Mapping[str, Any] | None = None,
) -> DataReport:
    """Look at all splits of a folder (or of an address), as `hub_core.datasets.folder_dataset` reads them.

    `task` and `task_options` say how rows are read; None: as the columns and labels of the first ones suggest. Raises
    NotFoundError where there is no such folder, or no table in it, and SettingsError for options that the task does
    not have.
    """
    places = _places(folder)
    paths = {name: local_file(place) for name, place in places.items()}
    first = next(iter(paths.values()))
    rows = _first_rows(first, columns)
    task = task or _guessed_task(first, columns, rows)
    options = task_options or _guessed_options(task, rows)
    reading = RowReading(task, split_char=split_char, options=options)
    splits = {name: _read(path, reading, columns) for name, path in paths.items()}
    return check_splits(splits, data=shown(folder), task=task, task_options=options)


def check_splits(
    splits: Mapping[str, ReadSplit], *, data: str, task: str, task_options: Mapping[str, Any] | None = None
) -> DataReport:
    """Look at splits that are read already, in this order; the rest is what the report is called by."""
    texts = {name: [normalised_text(row) for row in split.rows] for name, split in splits.items()}
    reports = tuple(_split(name, split, texts[name]) for name, split in splits.items())
    found = {name: _by_text(split.rows, texts[name]) for name, split in splits.items()}
    # Two training splits may well overlap (folds, a part); what may not is told from the held-out side first.
    pairs = sorted((pair for pair in permutations(splits, 2) if _kind(pair[0]) != _kind(pair[1])), key=_from_train)
    leaks = [_leak(one, other, splits[one].rows, texts[one], splits[other].rows, found[other]) for one, other in pairs]
    broken = tuple(problem for split in splits.values() for problem in split.broken)
    leaking = tuple(leak for leak in leaks if leak.same)
    return DataReport(data, task, reports, leaking, _misspelt(reports), broken, dict(task_options or {}))


def _places(folder: str | Path) -> dict[str, str | Path]:
    """The tables of a folder by the name of their split, train first."""
    splits = splits_in(folder)
    if not splits:
        raise NotFoundError(f"{shown(folder)} has no tables (train.tsv, dev.jsonl, test.parquet, ...)")
    named = {mode: places for mode, places in splits.items() if _rank(mode) < len(_SPLITS)}
    ordered = sorted((named or splits).items(), key=lambda item: (_rank(item[0]), item[0]))
    return {mode if len(places) == 1 else Path(str(place)).name: place for mode, places in ordered for place in places}


def _kind(mode: str) -> str:
    """What kind of split it is: ``train`` for ``train_0`` and ``train.clean``."""
    return canonical_mode(re.split(r"[._-]", mode, maxsplit=1)[0])


def _rank(mode: str) -> int:
    """Where a split stands in the usual order."""
    return _SPLITS.index(_kind(mode)) if _kind(mode) in _SPLITS else len(_SPLITS)


def _from_train(pair: tuple[str, str]) -> bool:
    return _kind(pair[0]) == "train"


def _format(path: Path, task: str) -> str:
    return table_format(path) or ("conll" if task == "token-cls" else "tsv")


def _first_rows(path: Path, columns: Columns | None) -> list[Mapping[str, Any]]:
    """The values of the first rows that can be read, from which the rest is guessed."""
    try:
        table = read_table(path, format=_format(path, ""), columns=columns, problems=Problems())
        return [row.columns for row in islice(table, _LOOKED_AT)]
    except DataError:
        return []


def _guessed_task(path: Path, columns: Columns | None, rows: Sequence[Mapping[str, Any]]) -> str:
    """The task that a file's columns and labels suggest; seq-cls where they suggest none."""
    if table_format(path) is None and columns is None:
        first = next((line.content for line in read_lines(path, Problems()) if line.content.strip()), "")
        if "\t" not in first:  # .txt: one token per line, or TSV
            return "token-cls"
    if table_format(path) == "conll":
        return "token-cls"
    names = {name for row in rows for name in row}
    if names & {"question", "answers"} and not names & {*TEXT}:
        return "question-answering"
    if UNITS in names or any("\x02" in value for row in rows for value in row.values() if isinstance(value, str)):
        return "token-cls"
    several = [(str(_value(row, TEXT)), label) for row in rows if isinstance(label := _value(row, LABEL), list | tuple)]
    if any("[MASK]" in text for text, _ in several):
        return "masked-lm"
    return "token-cls" if several and all(len(text) == len(label) for text, label in several) else "seq-cls"


def _guessed_options(task: str, rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The options of a task that the first labels suggest: lists are several labels, fractions are no classes."""
    labels = [label for row in rows if (label := _value(row, LABEL)) not in (None, "")]
    if task != "seq-cls":
        return {}
    if any(isinstance(label, list | tuple) for label in labels):
        return {"problem": "multi-label"}
    numbers = [_number(label) for label in labels]
    fractions = all(map(math.isfinite, numbers)) and not all(number.is_integer() for number in numbers)
    return {"problem": "regression"} if fractions else {}


def _value(row: Mapping[str, Any], names: Sequence[str]) -> Any:
    """What a row has under the first of these names that it has."""
    return next((row[name] for name in names if name in row), None)


def _number(label: Any) -> float:
    """A label as a number, not a number where it is none."""
    try:
        return float(label)
    except (TypeError, ValueError):
        return math.nan


def _read(path: Path, reading: RowReading, columns: Columns | None) -> ReadSplit:
    problems = Problems(limit=sys.maxsize)
    try:
        rows = read_table(path, format=_format(path, reading.task), columns=columns, problems=problems)
        return read_all(rows, reading, problems, file=path)
    except DataError as error:  # the disk or the packing fails; the problems so far are in it
        return ReadSplit((), (str(path),), error.problems)


def read_all(rows: Iterator[Row], reading: RowReading, problems: Problems, *, file: Path) -> ReadSplit:
    """The rows of a file that a task can use, and everything that is wrong with the others.

    Where the first row has a label (or answers) every row must; where it has none, those that lack one are wrong as
    soon as others have one.
    """
    first = next(rows, None)
    labelled = first is not None and says_label(first)
    rows = chain([] if first is None else [first], rows)
    examples = list(to_examples(rows, replace(reading, labelled=labelled), problems))
    count = sum(row.label is not None for row in examples)
    if count and not labelled:
        for row in examples:
            if row.label is None:
                problems.add(f"{file.parent / row.key}", f"no {LABEL[0]}, which {count} other rows have")
    return ReadSplit(examples, (str(file),), problems.error().problems)


def says_label(row: Row) -> bool:
    """Whether a row has a label, or answers."""
    return any(row.columns.get(name) not in (None, "") for name in (*LABEL, "answers"))


def _split(name: str, split: ReadSplit, texts: Sequence[str]) -> SplitReport:
    rows = split.rows
    groups = [group for group in _by_text(rows, texts).values() if len(group) > 1]
    several = [group for group in groups if len({rows[at].label for at in group} - {None}) > 1]
    lengths = [len(row.text) + len(row.pair or "") for row in rows]
    found = np.percentile(lengths, PERCENTILES, method="higher").tolist() if lengths else []
    return SplitReport(
        name=name,
        files=split.files,
        rows=len(rows),
        labelled=sum(row.label is not None for row in rows),
        exact_repeats=len(rows) - len({exact_text(row) for row in rows}),
        repeats=sum(len(group) - 1 for group in groups),
        contradictions=len(several),
        contradicting=sum(map(len, several)),
        lengths=tuple(map(int, found)),
        histogram=_histogram(lengths),
        labels=tuple(label_counts(rows).most_common()),
        repeated=_cases(rows, sorted(groups, key=len, reverse=True)),
        contradicted=_cases(rows, several),
    )


def _misspelt(splits: Iterable[SplitReport]) -> tuple[Misspelt, ...]:
    train, others = Counter[str](), set[str]()
    for one in splits:
        if _kind(one.name) == "train":
            train |= Counter(dict(one.labels))  # the largest count: splits of one kind may overlap
        else:
            others.update(label for label, _ in one.labels)
    return misspelt(train, others)


def _leak(
    name: str,
    other: str,
    rows: Sequence[Example],
    texts: Sequence[str],
    others: Sequence[Example],
    there: Mapping[str, Sequence[int]],
) -> Leak:
    exact = {exact_text(row) for row in others}
    same = [at for at, text in enumerate(texts) if text in there]
    relabelled = {at for at in same if _has_another_label(rows[at], [others[place] for place in there[texts[at]]])}
    chosen: dict[str, int] = {}
    for at in sorted(same, key=lambda at: at not in relabelled):  # those with another label are worth most to see
        if len(chosen) < _SHOWN:
            chosen.setdefault(texts[at], at)
    return Leak(
        split=name,
        other=other,
        of=len(rows),
        exact=sum(exact_text(row) in exact for row in rows),
        same=len(same),
        relabelled=len(relabelled),
        cases=tuple(_case([rows[at], *(others[place] for place in there[text])]) for text, at in chosen.items()),
    )


def _has_another_label(row: Example, others: Iterable[Example]) -> bool:
    return row.label is not None and any(one.label is not None and one.label != row.label for one in others)


def _by_text(rows: Sequence[Example], texts: Sequence[str]) -> dict[str, list[int]]:
    """The numbers of the rows that say the same, by text."""
    found: dict[str, list[int]] = defaultdict(list)
    for at in range(len(rows)):
        found[texts[at]].append(at)
    return found


def _cases(rows: Sequence[Example], groups: Sequence[Sequence[int]]) -> tuple[Case, ...]:
    return tuple(_case([rows[at] for at in group]) for group in groups[:_SHOWN])


def _case(rows: Sequence[Example]) -> Case:
    first = rows[0]
    text = first.text if first.pair is None else f"{first.text} | {first.pair}"
    return Case(shortened(text, 120), tuple((row.key, _label(row)) for row in rows[:_SHOWN]))


def _label(row: Example) -> str:
    """A row's label for people; that of token-cls is as long as its text."""
    if isinstance(row.label, tuple):
        return shortened(" ".join(map(str, row.label)))
    return "" if row.label is None else str(row.label)


def _histogram(lengths: Sequence[int]) -> tuple[tuple[int, int], ...]:
    """Upper bound and number of rows of up to 24 bins of equal width; the longest hundredth is in the last."""
    if not lengths:
        return ()
    most = max(1, int(np.percentile(lengths, 99, method="higher")))
    width = -(-most // 24)
    counts = Counter(min((max(1, length) - 1) // width, (most - 1) // width) for length in lengths)
    return tuple(((at + 1) * width, counts[at]) for at in range((most - 1) // width + 1))
