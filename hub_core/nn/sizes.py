"""Reading a manifest's ``config`` into the frozen sizes of a network of the hub's own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, Field, fields
from typing import Any, TypeVar

from hub_core.errors import SettingsError, unknown

S = TypeVar("S")


def read_sizes(kind: type[S], config: Mapping[str, Any], *, family: str) -> S:
    """The sizes that a ``config`` states: `kind` is a dataclass whose fields are its keys.

    By the field's type: ``int`` (at least 1, or 0 where that is its default), ``float`` (a share from 0 to below 1),
    ``bool``, ``str`` (one of ``metadata['choices']``), ``tuple[int, ...]`` (at least one number). Raises SettingsError
    for an unknown or missing key, or an unusable value.
    """
    known: dict[str, Field[Any]] = {item.name: item for item in fields(kind)}  # type: ignore[arg-type]
    for key in config.keys() - known.keys():
        raise SettingsError(unknown("key", key, known, where=f"of the config of family {family}"))
    needed = [key for key, item in known.items() if item.default is MISSING and key not in config]
    if needed:
        raise SettingsError(f"the config of family {family} lacks {', '.join(needed)}")
    for key, value in config.items():
        good, wanted = _checked(known[key], value)
        if not good:
            raise SettingsError(f"config key {key!r} of family {family} must be {wanted}, not {value!r}")
    return kind(**{key: tuple(value) if isinstance(value, list) else value for key, value in config.items()})


def _checked(item: Field[Any], value: object) -> tuple[bool, str]:
    """Whether a value is one of its field's, and the wording of what is."""
    least = 0 if item.default == 0 else 1
    match str(item.type):
        case "int":
            return type(value) is int and value >= least, f"a whole number of at least {least}"
        case "float":
            return type(value) in (int, float) and 0 <= float(str(value)) < 1, "a share from 0 to below 1"
        case "bool":
            return type(value) is bool, "true or false"
        case "str":
            choices = item.metadata["choices"]
            return value in choices, "one of " + ", ".join(choices)
        case _:
            numbers = list(value) if isinstance(value, list | tuple) else []
            good = bool(numbers) and all(type(number) is int and number >= 1 for number in numbers)
            return good, "a list of whole numbers of at least 1"
