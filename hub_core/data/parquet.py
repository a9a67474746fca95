"""Parquet files as tables."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from hub_core.data.problems import Problems, shortened
from hub_core.data.tables import Row, refuse_header, reporting
from hub_core.errors import NotFoundError, SettingsError

#: Rows that are in memory at a time.
_ROWS = 1024


def read_parquet(
    path: str | Path,
    *,
    columns: Sequence[str] | None = None,
    header: bool | None = None,
    problems: Problems | None = None,
) -> Iterator[Row]:
    """Rows of a Parquet file, a block at a time. They are named by their number, from 1: ``train.parquet:17``.

    `columns` are columns that the file must have (others are kept). Raises DataError for a file that lacks one (with
    those there are), that is no Parquet or has no rows; SettingsError where pyarrow is not installed.
    """
    refuse_header(path, header)
    return reporting(lambda found: _parquet_rows(Path(path), columns or (), found), problems)


def _parquet_rows(path: Path, wanted: Sequence[str], problems: Problems) -> Iterator[Row]:
    try:
        import pyarrow
        from pyarrow.parquet import ParquetFile
    except ImportError as error:
        raise SettingsError(f"{path}: reading Parquet needs pyarrow; `pip install 'hub_core[parquet]'`") from error
    number = 0
    try:
        with ParquetFile(path) as file:
            if not _has_columns(path, file.schema_arrow.names, wanted, problems):
                return
            for batch in file.iter_batches(batch_size=_ROWS):
                for values in _values(batch):
                    number += 1
                    if isinstance(values, UnicodeDecodeError):
                        problems.add(f"{path}:{number}", "a text of this row is not UTF-8")
                    else:
                        yield Row(values, str(path), number, header="schema")
    except FileNotFoundError as error:
        raise NotFoundError(f"no file {path}") from error
    except (OSError, pyarrow.ArrowException) as error:
        problems.add(f"{path}:{number + 1}" if number else str(path), f"cannot be read as Parquet ({error})")
        raise problems.error() from error
    if not number:
        problems.add(f"{path}:1", "the file has no rows")


def _has_columns(path: Path, there: Sequence[str], wanted: Sequence[str], problems: Problems) -> bool:
    """Whether the file has the columns, each once; what is wrong is noted."""
    shown = ", ".join(map(shortened, there)) or "none"
    missing = [name for name in wanted if name not in there]
    twice = [name for name, count in Counter(there).items() if count > 1]
    if missing:
        problems.add(f"{path}:schema", f"no column {', '.join(map(repr, missing))}; there are: {shown}")
    if twice:
        problems.add(f"{path}:schema", f"several columns are called {', '.join(map(repr, twice))}")
    return not missing and not twice


def _values(batch: Any) -> list[Any]:
    """The rows of a block as dictionaries; the error in place of a row with bytes that are no text."""
    try:
        rows: list[Any] = batch.to_pylist()
        return rows
    except UnicodeDecodeError:
        return [_row(batch, at) for at in range(batch.num_rows)]


def _row(batch: Any, at: int) -> Any:
    try:
        return batch.slice(at, 1).to_pylist()[0]
    except UnicodeDecodeError as error:
        return error
