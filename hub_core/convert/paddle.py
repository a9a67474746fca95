"""PaddlePaddle's files: ``.pdparams`` (weights) and ERNIE-Tiny's pickled word set, read without running anything."""

from __future__ import annotations

import mmap
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hub_core.convert.pickle_machine import Global, PickleMachine, strings
from hub_core.convert.pickled_arrays import ARRAY_CALLS, WORD_CALLS, Array, PickledArray, is_shape
from hub_core.errors import CheckpointError, ConvertError

#: Paddle's tables inside a state dict (`python/paddle/framework/io.py`): of parameter names, and of arrays that
#: protocols 2 and 3 store in parts because they exceed 1 GiB.
_PARAMETER_NAMES = "StructuredToParameterName@@"
_SPLIT = "UnpackBigParamInfor@@"
#: Entries of a file may share bytes (tied weights stored once), but not so that a small file fills the memory.
_MOST_SHARING = 4


@dataclass(frozen=True)
class PaddleState:
    """A state dict: arrays by structured name, and the static-graph name of each as far as the file gives it."""

    arrays: dict[str, Array]
    parameter_names: Mapping[str, str]


def read_pdparams(path: Path) -> dict[str, Array]:
    """Read a ``.pdparams`` file into arrays by name. Nothing in the file is executed.

    All layouts that PaddlePaddle 1.8 to 3.x write are understood (pickle protocols 0 to 5): plain arrays,
    ``(name, array)`` pairs, LoDTensors, and arrays split into parts. Paddle stores bfloat16 as uint16, which no
    parameter has otherwise: such arrays come as float32. Matrices are as in the file, ``(inputs, outputs)`` for
    linear layers. Entries that are no arrays (a step count, the table of parameter names) are left out.

    Raises UnsafePickleError, naming the global, for a file with anything else than arrays and plain containers;
    CheckpointError for one that is missing, truncated or damaged; ConvertError for one that holds no state dict.
    """
    return read_paddle_state(path).arrays


def read_paddle_state(path: Path) -> PaddleState:
    """As `read_pdparams`, with the file's table of parameter names."""
    record = _unpickle(path, ARRAY_CALLS)
    if not isinstance(record, dict):
        raise ConvertError(f"{path} holds a {type(record).__name__}, not a state dict (names with arrays)")
    names = record.pop(_PARAMETER_NAMES, {})
    parameter_names = {k: v for k, v in names.items() if isinstance(v, str)} if isinstance(names, dict) else {}
    split = record.pop(_SPLIT, {})
    pickled: dict[str, PickledArray] = {}
    for name, value in record.items():
        if isinstance(value, tuple) and len(value) == 2 and isinstance(value[0], str):
            parameter_names.setdefault(name, value[0])
            value = value[1]
        if isinstance(value, PickledArray):
            pickled[name] = value
    _check_size(path, pickled)
    try:
        arrays = {name: _as_float(array.numpy()) for name, array in pickled.items()}
        _join_parts(arrays, split)
    except ValueError as error:
        raise CheckpointError(f"{path} is damaged: {error}") from error
    if not arrays:
        raise ConvertError(f"{path} holds no arrays; found: {', '.join(sorted(record)[:8]) or 'nothing'}")
    return PaddleState(arrays, parameter_names)


def read_paddle_words(path: Path) -> list[str]:
    """Read a pickled set of words (ERNIE-Tiny's ``dict.wordseg.pickle``), sorted. Nothing in it is executed.

    Raises as `read_pdparams` does; ConvertError also for a word with a line break, which a word list cannot hold.
    """
    words = _unpickle(path, WORD_CALLS)
    if not isinstance(words, (set, list)) or not all(isinstance(word, str) for word in words):
        raise ConvertError(f"{path} holds a {type(words).__name__}, not a set of words")
    for word in words:
        if word.splitlines() != [word]:
            raise ConvertError(f"{path} has a word that is empty or has a line break: {word[:40]!r}")
    return sorted(set(words))


def _unpickle(path: Path, calls: Mapping[Global, Any]) -> Any:
    try:
        with path.open("rb") as file:
            size = path.stat().st_size
            if size == 0:
                raise CheckpointError(f"{path} is empty; fetch it again")
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as view:
                return PickleMachine(view, size=size, calls=calls, where=str(path)).run()
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error}") from error


def _check_size(path: Path, arrays: Mapping[str, PickledArray]) -> None:
    total = sum(array.size for array in arrays.values())
    if total > _MOST_SHARING * path.stat().st_size:
        raise CheckpointError(f"{path} names {total} bytes of arrays, many times its own size; it is not used")


def _as_float(array: Array) -> Array:
    """Paddle's uint16 is bfloat16: the upper half of a float32."""
    if array.dtype != np.uint16:
        return array
    widened: Array = (array.astype(np.uint32) << 16).view(np.float32)
    return widened


def _join_parts(arrays: dict[str, Array], split: object) -> None:
    """Put arrays together that were stored in parts: ``{name: {"OriginShape": shape, "slices": [part names]}}``."""
    for name, entry in split.items() if isinstance(split, dict) else ():
        parts, shape = (entry.get("slices"), entry.get("OriginShape")) if isinstance(entry, dict) else (None, None)
        names = strings(parts) if isinstance(parts, list) else []
        if not is_shape(shape) or not names or len(set(names)) != len(names) or not set(names) <= arrays.keys():
            raise ValueError(f"the parts of {name[:200]!r} are not all there")
        arrays[name] = np.concatenate([arrays.pop(part).reshape(-1) for part in names]).reshape(shape)
