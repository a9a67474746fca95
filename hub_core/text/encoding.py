"""What happens to ids between a tokenizer and a network: cutting to a length, padding, arrays.

The arguments and their meaning are those of `transformers`' tokenizers, so that code written for them runs here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hub_core.errors import SettingsError, unknown

_PADDINGS = {"longest": "longest", "max_length": "max_length", "do_not_pad": "none"}
_TRUNCATIONS = ("longest_first", "only_first", "only_second")
_ARRAYS = ("np", "pt")

Text = str | Sequence[str]


@dataclass(frozen=True)
class EncodingPlan:
    """The validated arguments of one call of a tokenizer."""

    max_length: int | None
    #: ``none``, ``longest`` (of this call's rows) or ``max_length``
    padding: str
    #: ``none``, ``longest_first``, ``only_first`` or ``only_second``
    truncation: str
    #: None for lists, ``np`` for numpy's arrays, ``pt`` for torch's tensors
    arrays: str | None


def make_plan(
    *, max_length: int | None, padding: object, truncation: object, return_tensors: object, longest: int | None
) -> EncodingPlan:
    """Check a call's arguments; `longest` is the tokenizer's own `max_length`, used where the call gives none.

    `truncation` None means: cut if `max_length` is given and no padding is asked for. Raises SettingsError.
    """
    pad = _choice("padding", padding, {True: "longest", False: "none"}, _PADDINGS)
    if truncation is None:
        truncation = max_length is not None and pad == "none"
    cuts = {name: name for name in _TRUNCATIONS} | {"do_not_truncate": "none"}
    cut = _choice("truncation", truncation, {True: "longest_first", False: "none"}, cuts)
    if return_tensors is not None and return_tensors not in _ARRAYS:
        raise SettingsError(unknown("return_tensors", return_tensors, _ARRAYS))
    if max_length is not None and (not isinstance(max_length, int) or isinstance(max_length, bool) or max_length < 1):
        raise SettingsError(f"max_length must be a positive whole number, not {max_length!r}")
    length = longest if max_length is None else max_length
    if length is None and (cut != "none" or pad == "max_length"):
        what = "truncation" if cut != "none" else "padding='max_length'"
        raise SettingsError(f"{what} needs max_length: this tokenizer does not state one")
    return EncodingPlan(length, pad, cut, None if return_tensors is None else str(return_tensors))


def _choice(name: str, value: object, flags: Mapping[bool, str], names: Mapping[str, str]) -> str:
    if isinstance(value, bool):
        return flags[value]
    if isinstance(value, str) and value in names:
        return names[value]
    raise SettingsError(unknown(name, value, [*names, "True", "False"]))


def rows_of(text: Any, text_pair: Any, *, words: bool) -> tuple[bool, list[tuple[Text, Text | None]]]:
    """Read what a caller passed as rows of (first, second or None), and say whether it was a batch.

    A text is a string, or a list of strings where `words` (is_split_into_words) is set. Raises SettingsError.
    """
    if _is_text(text, words):
        if text_pair is not None and not _is_text(text_pair, words):
            raise SettingsError(f"text_pair must be one text as text is, not {type(text_pair).__name__}")
        return False, [(text, text_pair)]
    firsts = _texts("text", text, words)
    if text_pair is None:
        return True, [(first, None) for first in firsts]
    seconds = _texts("text_pair", text_pair, words)
    if len(firsts) != len(seconds):
        raise SettingsError(f"text has {len(firsts)} rows and text_pair {len(seconds)}; they must be as many")
    return True, list(zip(firsts, seconds, strict=True))


def _is_text(value: Any, words: bool) -> bool:
    if not words:
        return isinstance(value, str)
    return isinstance(value, (list, tuple)) and all(isinstance(word, str) for word in value)


def _texts(name: str, value: Any, words: bool) -> list[Text]:
    one = "a list of strings" if words else "a string"
    if not isinstance(value, (list, tuple)):
        raise SettingsError(f"{name} must be {one} or a list of such, not {type(value).__name__}")
    for index, item in enumerate(value):
        if not _is_text(item, words):
            raise SettingsError(f"{name}[{index}] must be {one}, not {type(item).__name__}")
    return list(value)


def truncate(
    first: list[int], second: list[int] | None, room: int, strategy: str
) -> tuple[list[int], list[int] | None]:
    """Cut ids on the right until both together are at most `room`, as the `tokenizers` library does.

    ``longest_first`` shortens the longer part down to the shorter one, then shares the room (the longer, or the
    second of two equal ones, gets the odd token). Raises SettingsError where the strategy cannot make enough room.
    """
    lengths = [len(first), len(second or ())]
    if sum(lengths) <= room:
        return first, second
    if second is None or strategy == "only_first":
        keep = (room - lengths[1], lengths[1])
    elif strategy == "only_second":
        keep = (lengths[0], room - lengths[0])
    else:
        shorter = min(lengths)
        longer = max(shorter, room - shorter)
        if shorter + longer > room:
            shorter, longer = room // 2, room - room // 2
        keep = (shorter, longer) if lengths[0] <= lengths[1] else (longer, shorter)
    if min(keep) < 0 or (second is None and strategy == "only_second"):
        raise SettingsError(f"truncation={strategy!r} cannot cut texts of {lengths} tokens to {room} tokens")
    return first[: keep[0]], None if second is None else second[: keep[1]]


def pad_rows(rows: Sequence[Sequence[int]], value: int, plan: EncodingPlan) -> list[list[int]]:
    """Fill rows up on the right with `value`, as the plan says."""
    width = 0
    if plan.padding == "longest":
        width = max(map(len, rows), default=0)
    elif plan.padding == "max_length" and plan.max_length is not None:
        width = plan.max_length
    return [[*row, *[value] * (width - len(row))] for row in rows]


def as_arrays(columns: Mapping[str, list[list[int]]], kind: str) -> dict[str, Any]:
    """Columns of equally long rows as int64 arrays of shape ``(rows, length)``, numpy's or torch's."""
    widths = {len(row) for rows in columns.values() for row in rows}
    if len(widths) > 1:
        raise SettingsError(f"rows of {min(widths)} to {max(widths)} tokens do not make an array; ask for padding=True")
    width = widths.pop() if widths else 0
    arrays = {name: np.array(rows, dtype=np.int64).reshape(len(rows), width) for name, rows in columns.items()}
    if kind == "np":
        return dict(arrays)
    import torch

    return {name: torch.from_numpy(array) for name, array in arrays.items()}
