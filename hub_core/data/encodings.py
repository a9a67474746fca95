"""Encoded rows that are kept, so that the same rows are tokenized once: arrays on the disk, mapped into memory.

A data set's features lie in ``HUB_HOME/cache/encodings`` under a hash of everything that they depend on: what the rows
say, the tokenizer's files, the task with its labels and options, the row length, and the versions of the code. Nothing
is trusted because it has the right name: a folder that is not whole, or whose first row is not what encoding that row
gives, is made anew. ``HUB_CACHE_ENCODINGS=0`` switches it off.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, is_dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from hub_core.errors import HubError
from hub_core.examples import Array, Example, Features
from hub_core.paths import atomic_folder, hub_home
from hub_core.text.tokenizer import Tokenizer
from hub_core.version import __version__

#: Fewer rows are encoded in less time than it takes to ask for them.
LEAST_ROWS = 2000
VARIABLE = "HUB_CACHE_ENCODINGS"
#: Raise this where the form of the files changes.
_FORM = 1
#: Libraries whose version may change what tokens a text has.
_LIBRARIES = ("tokenizers", "jieba", "sentencepiece")

_logger = logging.getLogger("hub_core")
Encode = Callable[[Example], list[Features]]


class Encoder(Protocol):
    """What is needed of a task here."""

    labels: tuple[str, ...]
    options: Mapping[str, Any]

    def encode(self, example: Example, tokenizer: Tokenizer, max_seq_len: int) -> list[Features]:
        """The features of a row."""


def keep_encodings(
    examples: Sequence[Example],
    task: Encoder,
    tokenizer: Tokenizer,
    max_seq_len: int,
    encode_all: Callable[[], list[list[Features]]],
) -> list[list[Features]]:
    """What `encode_all` gives for these rows, kept where they are `LEAST_ROWS` or more, and taken from there if it can.

    A disk that is full or cannot be written is no error: a line of the log says that nothing is kept. Neither are
    features in a form that arrays do not hold (a task's note of its own kind); they are made every time.
    """
    if len(examples) < LEAST_ROWS or os.environ.get(VARIABLE, "") == "0":
        return encode_all()
    folder = _home() / _key(examples, task, tokenizer, max_seq_len)
    kept = _load(folder, examples, lambda row: task.encode(row, tokenizer, max_seq_len))
    if kept is not None:
        return kept
    encoded = encode_all()
    _store(folder, encoded)
    return encoded


def clear_encodings() -> int:
    """Forget all kept encodings. Returns the bytes freed."""
    freed = sum(path.stat().st_size for path in _home().rglob("*") if path.is_file())
    shutil.rmtree(_home(), ignore_errors=True)
    return freed


def _home() -> Path:
    return hub_home() / "cache" / "encodings"


def _key(examples: Sequence[Example], task: Encoder, tokenizer: Tokenizer, max_seq_len: int) -> str:
    """A hash of everything that features depend on."""
    digest = hashlib.sha256()
    about = {
        "form": _FORM,
        "versions": {"hub_core": __version__, **{name: _version(name) for name in _LIBRARIES}},
        "task": [type(task).__module__, type(task).__qualname__, task.labels, dict(task.options)],
        "tokenizer": [type(tokenizer).__module__, type(tokenizer).__qualname__, _files_hash(tokenizer)],
        "max_seq_len": max_seq_len,
    }
    encode = json.JSONEncoder(ensure_ascii=False, sort_keys=True, default=repr).encode
    digest.update(encode(about).encode("utf-8", "surrogatepass"))
    named = [field.name for field in fields(Example) if field.name not in ("key", "columns")]
    for row in examples:  # all that a task may look at; where a row was read does not count
        said = encode([*(getattr(row, name) for name in named), repr(row.columns)])
        digest.update(b"\n" + said.encode("utf-8", "surrogatepass"))
    return digest.hexdigest()[:40]


def _files_hash(tokenizer: Tokenizer) -> str:
    """A hash of the files that the tokenizer would be saved as: what they say is what it does."""
    digest = hashlib.sha256()
    with tempfile.TemporaryDirectory(prefix="hub-tokenizer-") as temporary:
        manifest = tokenizer.save(Path(temporary))
        digest.update(json.dumps(manifest, sort_keys=True, default=repr).encode())
        for path in sorted(Path(temporary).rglob("*")):
            if path.is_file():
                digest.update(path.name.encode() + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def _store(folder: Path, encoded: Sequence[Sequence[Features]]) -> None:
    """Write features as arrays, whole or not at all; nothing where arrays cannot hold them."""
    rows = [window for windows in encoded for window in windows]
    try:
        columns = _columns(rows)
    except _OtherFormError:
        return
    columns["windows"] = np.array([len(windows) for windows in encoded], dtype=np.int64)
    try:
        with atomic_folder(folder) as staged:
            for name, array in columns.items():
                np.save(staged / f"{name}.npy", array, allow_pickle=False)
    except OSError as error:
        _logger.warning("encodings are not kept: %s; %s=0 switches keeping off", error.strerror or error, VARIABLE)


class _OtherFormError(Exception):
    """Features that arrays do not hold; nobody outside this file sees it."""


def _columns(rows: Sequence[Features]) -> dict[str, Array]:
    """The arrays of all rows one after the other, by name: inputs, targets, weights, and the fields of notes."""
    if not rows:
        raise _OtherFormError
    columns: dict[str, Array] = {"weight": np.array([row.weight for row in rows], dtype=np.float64)}
    for name in rows[0].inputs:
        columns |= _column(f"input.{name}", [row.inputs.get(name) for row in rows])
    if {tuple(row.inputs) for row in rows} != {tuple(rows[0].inputs)}:
        raise _OtherFormError
    columns |= _column("target", [row.target for row in rows])
    return columns | _notes([row.meta for row in rows])


def _notes(notes: Sequence[Any]) -> dict[str, Array]:
    """A task's notes: plain values, or dataclasses of one kind with such fields."""
    kind = type(notes[0])
    if not is_dataclass(kind):
        return _column("note", notes)
    if {type(note) for note in notes} != {kind}:
        raise _OtherFormError
    columns: dict[str, Array] = {}
    for field in fields(kind):
        columns |= _column(f"note.{field.name}", [getattr(note, field.name) for note in notes])
    return columns


def _column(name: str, values: Sequence[Any]) -> dict[str, Array]:
    """Values of one kind as one array: numbers, truths, or arrays one after the other (with the shape of each)."""
    kinds = {type(value) for value in values}
    if kinds == {type(None)}:
        return {}
    if kinds in ({bool}, {int}, {float}):
        return {name: np.array(values)}
    if kinds != {np.ndarray} or len({(value.dtype, value.ndim) for value in values}) != 1 or values[0].dtype == object:
        raise _OtherFormError
    shapes = np.array([value.shape for value in values], dtype=np.int64)
    return {name: np.concatenate([value.ravel() for value in values]), f"{name}.shape": shapes}


def _load(folder: Path, examples: Sequence[Example], encode: Encode) -> list[list[Features]] | None:
    """Kept features; None where there are none, or they are not whole, or not those of these rows."""
    if not folder.is_dir():
        return None
    try:
        columns = {path.name.removesuffix(".npy"): _mapped(path) for path in folder.glob("*.npy")}
        first = encode(examples[0])
        made = _features(columns, first[0], examples)
        return made if _equal(made[0], first) else None
    except (OSError, ValueError, KeyError, IndexError, EOFError, HubError):
        return None


def _mapped(path: Path) -> Array:
    # As a plain array: slices of numpy's memmap class take several times as long.
    mapped: Array = np.load(path, mmap_mode="r", allow_pickle=False).view(np.ndarray)
    return mapped


def _features(columns: Mapping[str, Array], like: Features, examples: Sequence[Example]) -> list[list[Features]]:
    """Features out of their arrays. Those of each row are views of the file: the system reads them when they are used.

    `like` is a row's features made anew, which has the form of all: the names of inputs, the kind of the notes.
    """
    windows = columns["windows"].tolist()
    count = sum(windows)
    if len(windows) != len(examples):
        raise ValueError("another number of rows")
    names = (name for name in columns if name != "windows" and not name.endswith(".shape"))
    values = {name: _values(columns, name, count) for name in names}
    weights, targets = values["weight"], values.get("target", [None] * count)
    inputs = [values[f"input.{name}"] for name in like.inputs]
    notes = _made_notes(values, like.meta, count)
    owners = (example for example, number in zip(examples, windows, strict=True) for _ in range(number))
    rows = iter(
        [
            Features(dict(zip(like.inputs, arrays, strict=True)), target, owner.key, weight, note)
            for *arrays, target, weight, note, owner in zip(*inputs, targets, weights, notes, owners, strict=True)
        ]
    )
    return [[next(rows) for _ in range(number)] for number in windows]


def _values(columns: Mapping[str, Array], name: str, count: int) -> list[Any]:
    """One value per row: an array cut out of the long one, or a plain number."""
    column, shapes = columns[name], columns.get(f"{name}.shape")
    if len(column if shapes is None else shapes) != count:
        raise ValueError(f"{name}: another number of values")
    if shapes is None:
        return list(column.tolist())
    ends = np.cumsum(shapes.prod(axis=1)).tolist()
    if ends[-1] != len(column):
        raise ValueError(f"{name}: another number of values")
    pieces = (column[start:end] for start, end in zip([0, *ends], ends, strict=False))
    if shapes.shape[1] == 1:
        return list(pieces)
    return [piece.reshape(shape) for piece, shape in zip(pieces, shapes.tolist(), strict=True)]


def _made_notes(values: Mapping[str, list[Any]], like: Any, count: int) -> list[Any]:
    if not is_dataclass(like):
        return values.get("note", [None] * count)
    names = [field.name for field in fields(like)]
    columns = [values.get(f"note.{name}", [None] * count) for name in names]
    return [replace(like, **dict(zip(names, row, strict=True))) for row in zip(*columns, strict=True)]  # type: ignore[type-var]


def _equal(kept: Sequence[Features], made: Sequence[Features]) -> bool:
    """Whether two encodings of a row are the same."""
    if len(kept) != len(made):
        return False
    try:
        ours, theirs = _columns(kept), _columns(made)
    except _OtherFormError:
        return False
    return ours.keys() == theirs.keys() and all(np.array_equal(ours[name], theirs[name]) for name in ours)
