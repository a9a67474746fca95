"""What every public data set has: PaddleHub's constructor in front of a reader of the files as they are published."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar

from hub_core.data.check import ReadSplit, read_all, says_label
from hub_core.data.dataset import DataFile, Dataset, renamed_labels
from hub_core.data.folder import canonical_mode, find_split, splits_in
from hub_core.data.lines import read_lines
from hub_core.data.location import locate
from hub_core.data.problems import Problems
from hub_core.data.remote import files_in, is_address, local_file
from hub_core.data.rows import LABEL, PAIR, TEXT, UNITS, RowReading, to_examples
from hub_core.data.same import without_repeats
from hub_core.data.tables import Row, read_table, renamed_columns, table_format
from hub_core.errors import DataError, NotFoundError, unknown
from hub_core.examples import Example

if TYPE_CHECKING:
    from hub_core.text.tokenizer import Tokenizer

#: A mode of this ending leaves out what the held-out splits know, and what the split says twice.
CLEAN = ".clean"
_KNOWN = frozenset((*TEXT, *PAIR, *LABEL, UNITS))


class PublishedDataset(Dataset):
    """A public data set.

    - `mode`: one of the class's `modes`; a mode such as ``train.clean`` is the file of that name, or else computed:
      the split without the rows whose text (white space, width and case apart) stands in a held-out split, and
      without its own repeats.
    - `data_dir`: see `hub_core.data.location.locate`; may be an address.
    - `task`: another task to read the rows for than the class's own (pairs serve several).
    - `labelled`: whether every row must have its label; None: as the split is published (most test splits of CLUE
      have none).
    - `rename_labels` gives labels other names: ``{"0": "negative", "1": "positive"}``; `task_options` are the task's.

    Raises NotFoundError (mode, folder, file), SourceError (download), DataError (rows, ``file:line`` each).
    """

    #: Its folder under ``HUB_DATA_HOME`` and under ``HUB_HOME/datasets``.
    folder_name: ClassVar[str]
    #: The archive it is fetched from; upstream states no hash. None: there is no address.
    url: ClassVar[str | None] = None
    #: Where in the archive its files are.
    inside: ClassVar[str] = ""
    #: The files that a mode may have, where they are not called as the mode is.
    file_names: ClassVar[Mapping[str, Sequence[str]]] = MappingProxyType({})
    #: The files' names for the columns that tasks read.
    columns: ClassVar[Mapping[str, str]] = MappingProxyType({})
    #: The columns of a TSV file that has no header.
    positions: ClassVar[Sequence[str]] = ()
    #: What a mode that ends in ``.clean`` must not share a row with.
    held_out: ClassVar[Sequence[str]] = ("dev", "test")

    def __init__(
        self,
        tokenizer: Tokenizer | None = None,
        max_seq_len: int | None = None,
        mode: str = "train",
        data_dir: str | Path | None = None,
        *,
        task: str | None = None,
        labelled: bool | None = None,
        rename_labels: Mapping[str, str] | None = None,
        task_options: Mapping[str, Any] | None = None,
    ) -> None:
        if canonical_mode(mode) not in self.modes:  # before anything is downloaded
            raise NotFoundError(unknown("mode", mode, (*self.modes, "val"), where=f"of {type(self).__name__}"))
        reading = RowReading(task or self.task, rename=rename_labels or {}, options=task_options or {})
        labels = renamed_labels(self.label_list, rename_labels) if reading.has_labels else []
        reading = replace(reading, labels=frozenset(labels) or None)
        folder = self.folder(data_dir)
        examples, files = self._read(folder, canonical_mode(mode), reading, labelled)
        super().__init__(
            examples,
            labels,
            task=reading.task,
            mode=mode,
            tokenizer=tokenizer,
            max_seq_len=max_seq_len,
            task_options=task_options,
            files=files,
        )

    @classmethod
    def folder(cls, data_dir: str | Path | None = None) -> str | Path:
        """Where the files are; they are fetched where they are not there yet."""
        place = locate(cls.folder_name, data_dir=data_dir, url=cls.url)
        if cls.inside and not is_address(place) and (Path(place) / cls.inside).is_dir():
            return Path(place) / cls.inside
        return place

    @classmethod
    def modes_in(cls, folder: str | Path) -> list[str]:
        """The modes that have a file in a folder, in the class's order."""
        there, splits = files_in(folder), splits_in(folder)
        return [
            mode for mode in cls.modes if any(name in there for name in cls.file_names.get(mode, ())) or mode in splits
        ]

    @classmethod
    def path(cls, folder: str | Path, mode: str) -> Path:
        """The file of a mode. Raises NotFoundError where there is none."""
        there = files_in(folder)
        for name in cls.file_names.get(mode, ()):
            if name in there:
                return local_file(there[name])
        return find_split(folder, mode)

    @classmethod
    def rows(cls, path: Path, problems: Problems) -> Iterator[Row]:
        """The rows of a file, columns by the names that tasks read; what is wrong with others goes to `problems`."""
        format = table_format(path) or "tsv"
        names = cls._positions(path) if format == "tsv" else None
        table = read_table(path, format=format, columns=names, problems=problems)
        for row in renamed_columns(table, cls.columns, problems, required=False):
            try:
                values = cls.read_row(dict(row.columns))
            except (LookupError, TypeError, ValueError) as error:
                problems.add(row.where(), f"not a row of {cls.__name__}: {error}")
            else:
                if values is not None:
                    yield replace(row, columns=values)

    @classmethod
    def read_row(cls, values: dict[str, Any]) -> dict[str, Any] | None:
        """What a row says, for sets that write it in a way of their own; None leaves the row out.

        LookupError, TypeError and ValueError say what is wrong with it.
        """
        return values

    @classmethod
    def read_split(cls, path: Path, reading: RowReading) -> ReadSplit:
        """A file's rows, and everything that is wrong with the others."""
        problems = Problems(limit=sys.maxsize)
        return read_all(cls.rows(path, problems), reading, problems, file=path)

    @classmethod
    def _read(
        cls, folder: str | Path, mode: str, reading: RowReading, labelled: bool | None
    ) -> tuple[list[Example], list[DataFile]]:
        plain = mode.removesuffix(CLEAN)
        if plain == mode or mode in cls.modes_in(folder):
            path = cls.path(folder, mode)
            return cls._usable(path, reading, labelled), [DataFile.at(path)]
        held_out = [other for other in cls.held_out if other in cls.modes_in(folder)]
        paths = [cls.path(folder, other) for other in (plain, *held_out)]
        rows, *others = (cls._usable(path, reading, labelled if path is paths[0] else None) for path in paths)
        return without_repeats(rows, others), [DataFile.at(path) for path in paths]

    @classmethod
    def _usable(cls, path: Path, reading: RowReading, labelled: bool | None) -> list[Example]:
        problems = Problems()
        rows = cls.rows(path, problems)
        first = next(rows, None)
        has_labels = first is None or says_label(first)
        reading = replace(reading, labelled=has_labels if labelled is None else labelled)
        examples = list(to_examples(chain(() if first is None else [first], rows), reading, problems))
        if problems.count and reading.labelled and not has_labels:
            raise DataError(
                [f"{path}: this split is published without labels; of {', '.join(cls.modes)} some have them"]
            )
        problems.raise_if_any()
        return examples

    @classmethod
    def _positions(cls, path: Path) -> Sequence[str] | None:
        """The names of a TSV file's columns by position; None where its first line names them."""
        first = next(iter(read_lines(path, Problems())), None)
        fields = [] if first is None else first.content.split("\t")
        if not cls.positions or _KNOWN.union(cls.columns).intersection(fields):
            return None
        return cls.positions[: len(fields)] if len(fields) < len(cls.positions) else cls.positions
