"""What every score asks of its rows."""

from __future__ import annotations

from collections.abc import Sequence, Sized
from typing import Any

import numpy as np

from hub_core.errors import SettingsError
from hub_core.examples import Array


def check_rows(gold: Sized, predicted: Sized) -> None:
    """Raise SettingsError unless there is one answer for every row."""
    if len(gold) != len(predicted):
        raise SettingsError(f"{len(gold)} gold rows cannot be compared with {len(predicted)} predicted ones")


def check_some(rows: Sized, what: str, *, at_least: int = 1) -> None:
    """Raise SettingsError where a score, named `what`, has too few rows to be defined."""
    if len(rows) < at_least:
        count = "no rows" if at_least == 1 else f"fewer than {at_least} rows"
        raise SettingsError(f"{what} of {count} is not defined")


def numbers(values: Sequence[Any] | Array, what: str) -> Array:
    """Values as float64 ``(rows,)``. Raises SettingsError, naming the first row (from 0) that is no finite number."""
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1:
        raise SettingsError(f"{what} must be one number per row, not of shape {array.shape}")
    strange = np.flatnonzero(~np.isfinite(array))
    if strange.size:
        raise SettingsError(f"{what} must be finite numbers; row {strange[0]} is {array[strange[0]]}")
    return array
