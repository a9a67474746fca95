"""Rows as callers hand them to `predict`: their columns, and how a row that is none is shown."""

from __future__ import annotations

import reprlib
from collections.abc import Mapping, Sequence
from typing import Any

from hub_core.errors import DataError, unknown


def read_columns(row: Mapping[str, Any], known: Sequence[str], key: str) -> dict[str, Any]:
    """The columns that are filled (not None). Raises DataError naming the row (`key`) and every unknown column."""
    strange = [column for column in row if column not in known]
    if strange:
        raise DataError([f"{key}: {unknown('column', column, known)}" for column in strange])
    return {column: value for column, value in row.items() if value is not None}


def told(value: object) -> str:
    """A value for a table: numbers with four decimals."""
    return f"{value:.4f}" if isinstance(value, float) else str(value)


def shown(row: object) -> str:
    """A row for a message, shortened where it is long."""
    return reprlib.repr(row)
