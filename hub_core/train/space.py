"""What `hub tune` searches: values or ranges by the name of a training setting, or of epochs or batch_size.

{"learning_rate": {"low": 1e-5, "high": 1e-4, "log": true}, "batch_size": [16, 32], "epochs": {"low": 2, "high": 5}}
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, TypeGuard

from hub_core.errors import SettingsError, unknown
from hub_core.paths import read_given_json
from hub_core.train.settings import TrainSettings

Value = str | int | float | bool | None

#: What is searched beside settings.
CALL = ("epochs", "batch_size")
#: Settings that are the same in all trials: what they are compared by, how they run, and what they leave where.
_FIXED = frozenset(
    {
        *("seed", "metric", "evaluate_every", "eval_interval", "patience", "min_delta", "class_weights"),
        *("compile", "sharding", "resume", "log_to", "save_dtype", "keep_epochs", "state_steps"),
    }
)


@dataclass(frozen=True)
class Choice:
    """One of several values."""

    values: tuple[Value, ...]

    @property
    def samples(self) -> tuple[Value, ...]:
        """What must be usable for all to be: every value."""
        return self.values


@dataclass(frozen=True)
class Range:
    """A number between two, both included; `log`: evenly by its logarithm. Whole numbers between two whole ones."""

    low: float
    high: float
    log: bool = False

    @property
    def whole(self) -> bool:
        """Whether only whole numbers are meant."""
        return isinstance(self.low, int) and isinstance(self.high, int)

    @property
    def samples(self) -> tuple[Value, ...]:
        """What must be usable for all to be: both ends."""
        return (self.low, self.high)


@dataclass(frozen=True)
class Space:
    """What is searched, by name."""

    dimensions: Mapping[str, Choice | Range]

    @classmethod
    def from_json(cls, path: Path) -> Space:
        """Read a space from a JSON object. Raises NotFoundError, SettingsError that lists all that is wrong."""
        record = read_given_json(path)
        return cls.of(record, where=str(path))

    @classmethod
    def of(cls, record: Any, *, where: str = "the space") -> Space:
        """A space from plain data: a list of values, or ``{"low", "high", "log"}``, by name.

        Raises SettingsError that lists all that is wrong.
        """
        if not isinstance(record, Mapping) or not record:
            raise SettingsError(f"{where} must hold a JSON object of lists and ranges by setting")
        dimensions, problems = {}, []
        for name, wanted in record.items():
            try:
                dimensions[str(name)] = _dimension(str(name), wanted)
            except SettingsError as error:
                problems.append(str(error))
        if problems:
            raise SettingsError(f"{where} is no space to search:\n" + "\n".join(f"  {problem}" for problem in problems))
        return cls(dimensions)

    def to_json(self) -> dict[str, Any]:
        """The space as plain data, as `of` takes it."""
        return {
            name: list(one.values) if isinstance(one, Choice) else {"low": one.low, "high": one.high, "log": one.log}
            for name, one in self.dimensions.items()
        }

    def grid(self) -> list[dict[str, Value]] | None:
        """All combinations, where everything is a list of values; None where something is a range."""
        columns = [one.values for one in self.dimensions.values() if isinstance(one, Choice)]
        if len(columns) < len(self.dimensions):
            return None
        return [dict(zip(self.dimensions, row, strict=True)) for row in itertools.product(*columns)]


def _dimension(name: str, wanted: Any) -> Choice | Range:
    known = [*CALL, *(item.name for item in fields(TrainSettings) if item.name not in _FIXED)]
    if name not in known:
        raise SettingsError(unknown("setting", name, known, where="to search"))
    if isinstance(wanted, list):
        found: Choice | Range = _choice(name, wanted)
    elif isinstance(wanted, Mapping):
        found = _range(name, wanted)
    else:
        raise SettingsError(f"{name}: expected a list of values, or low and high, not {wanted!r}; --config fixes one")
    for value in found.samples:
        _check(name, value)
    return found


def _choice(name: str, wanted: list[Any]) -> Choice:
    if not wanted or not all(isinstance(value, Value) for value in wanted):
        raise SettingsError(f"{name}: expected a list of at least one plain value, not {wanted!r}")
    if len(set(wanted)) < len(wanted):
        raise SettingsError(f"{name}: a value stands twice in {wanted!r}")
    return Choice(tuple(wanted))


def _range(name: str, wanted: Mapping[str, Any]) -> Range:
    for key in wanted.keys() - {"low", "high", "log"}:
        raise SettingsError(f"{name}: {unknown('key', key, ('low', 'high', 'log'))}")
    low, high, log = wanted.get("low"), wanted.get("high"), wanted.get("log", False)
    if _is_number(low) and _is_number(high) and isinstance(log, bool) and low < high and (low > 0 or not log):
        return Range(low, high, log)
    raise SettingsError(f"{name}: expected numbers low < high (with log: 0 < low), not {dict(wanted)!r}")


def _check(name: str, value: Value) -> None:
    """Raise SettingsError where a value cannot be used, whatever the others are."""
    if name in CALL:
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise SettingsError(f"{name} must be a whole number of at least 1, not {value!r}")
        return
    try:
        TrainSettings().replace(**{name: value})
    except SettingsError as error:
        said = [line.strip() for line in str(error).splitlines()[1:]]
        wrong = [line for line in said if line.startswith((f"{name} ", f"{name}=")) or f"of {name}" in line]
        if wrong:  # the others are about values that go together, which depends on the rest
            raise SettingsError(wrong[0]) from error


def _is_number(value: Any) -> TypeGuard[float]:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
