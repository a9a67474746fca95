from __future__ import annotations

import json
import struct
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from folders import safetensors
from hypothesis import given
from hypothesis import strategies as st
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from hub_core import safetensors_header
from hub_core.errors import CheckpointError
from hub_core.safetensors_header import check_safetensors


def encode(header: Any, data: bytes = b"", *, length: int | None = None) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def entry(start: int, stop: int, shape: list[int] | None = None, dtype: str = "U8") -> dict[str, Any]:
    return {"dtype": dtype, "shape": [stop - start] if shape is None else shape, "data_offsets": [start, stop]}


def test_whole_files(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(save({"a": np.ones((2, 3), np.float32), "b": np.zeros(0, np.int64), "c": np.ones(5, np.float16)}))
    assert sorted(check_safetensors(path)) == ["a", "b", "c"]
    path.write_bytes(encode({"__metadata__": {"format": "pt"}, "x": entry(0, 4, [], "F32")}, bytes(4)))
    assert check_safetensors(path) == ("x",)


DAMAGED = {
    "empty": b"",
    "short": b"1234567",
    "html": b"<!DOCTYPE html><html><body>404 Not Found</body></html>",
    "pickle": b"\x80\x04\x95" + bytes(100),
    "cut off": safetensors()[:-1],
    "cut off in the header": safetensors()[:30],
    "polyglot": safetensors() + b"PK\x03\x04",
    "header of 2^40 bytes": encode({"x": entry(0, 1)}, b"x", length=1 << 40),
    "no json": encode(b"{x}"),
    "no utf-8": encode(b"\xff\xff"),
    "no object": encode([]),
    "deep": encode(b'{"a":' * 100_000),
    "no tensors": encode({}),
    "no entry": encode({"x": 3}),
    "no offsets": encode({"x": {"dtype": "U8", "shape": [1]}}, b"x"),
    "unknown type": encode({"x": entry(0, 1, dtype="U7")}, b"x"),
    "twice": encode(b'{"x": %b, "x": %b}' % ((json.dumps(entry(0, 1)).encode(),) * 2), b"x"),
    "gap": encode({"x": entry(0, 1), "y": entry(2, 3)}, b"xyz"),
    "overlap": encode({"x": entry(0, 2), "y": entry(1, 3)}, b"xyz"),
    "negative": encode({"x": entry(0, 1, [-1])}, b"x"),
    "wrong shape": encode({"x": entry(0, 4, [5])}, b"wxyz"),
    "huge shape": encode({"x": entry(0, 1, [1 << 40, 1 << 40])}, b"x"),
    "no numbers": encode({"x": entry(0, 1, [True])}, b"x"),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_damaged_files(tmp_path: Path, name: str) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(DAMAGED[name])
    with pytest.raises(CheckpointError, match=r"model.safetensors"):
        check_safetensors(path)


def test_headers_that_would_take_seconds_are_refused_in_no_time(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    many = {f"t{n}": entry(n, n + 1) for n in range(safetensors_header.MOST_TENSORS + 1)}
    path.write_bytes(encode(many, bytes(len(many))))
    began = time.perf_counter()
    with pytest.raises(CheckpointError, match="20001 tensors"):
        check_safetensors(path)
    path.write_bytes(encode(b" " * (safetensors_header.LARGEST_HEADER + 1)))
    with pytest.raises(CheckpointError, match="no safetensors file"):
        check_safetensors(path)
    assert time.perf_counter() - began < 2


@given(st.data())
def test_nothing_passes_that_the_library_refuses(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    """One byte of a good file changed at random: what is taken here, the library reads."""
    path = tmp_path_factory.getbasetemp() / "mutated.safetensors"
    content = bytearray(safetensors(size=4))
    position = data.draw(st.integers(0, len(content) - 17))
    content[position] = data.draw(st.integers(0, 255))
    path.write_bytes(content)
    try:
        names = check_safetensors(path)
    except CheckpointError:
        return
    try:
        with safe_open(path, framework="np") as opened:
            assert sorted(opened.keys()) == sorted(names)
    except SafetensorError as error:
        raise AssertionError(f"taken, but unreadable: {bytes(content)!r}") from error
