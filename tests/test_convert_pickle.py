"""The reader of Paddle's pickles: every layout that Paddle writes is read; what a pickle asks for is never run."""

from __future__ import annotations

import builtins
import collections
import copyreg
import functools
import os
import pickle
import struct
import subprocess
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from hub_core.convert import pickle_machine, read_paddle_words, read_pdparams
from hub_core.convert.paddle import read_paddle_state
from hub_core.convert.pickled_arrays import NumberType, PickledArray
from hub_core.errors import CheckpointError, ConvertError, HubError, UnsafePickleError

PROTOCOLS = range(6)
NAMED = r"model\.pdparams"
ARRAY = np.arange(6, dtype=np.float32).reshape(2, 3)
DTYPES = ("<f4", ">f4", "<f8", "<f2", "<i8", ">i4", "|u1", "|i1", "|b1", "<u4")


class Reduces:
    """An object that pickles as a call of `function` with `arguments`."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> Any:
        return self.call


def write(folder: Path, content: object, protocol: int = 4) -> Path:
    """A `.pdparams` file: bytes as they are, anything else pickled."""
    path = folder / "model.pdparams"
    path.write_bytes(content if isinstance(content, bytes) else pickle.dumps(content, protocol))
    return path


@pytest.fixture
def canary(tmp_path: Path) -> Path:
    """A file that exists only if a pickle's code was run."""
    return tmp_path / "canary"


# What Paddle writes


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_plain_arrays_and_the_table_of_names(tmp_path: Path, protocol: int) -> None:
    record = {
        "a.weight": ARRAY,
        "b": np.float32(2),
        "step": 3,
        "StructuredToParameterName@@": {"a.weight": "linear_0.w_0"},
    }
    path = write(tmp_path, record, protocol)
    state = read_paddle_state(path)
    assert list(state.arrays) == ["a.weight"] and state.parameter_names == {"a.weight": "linear_0.w_0"}
    np.testing.assert_array_equal(read_pdparams(path)["a.weight"], ARRAY)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_pairs_of_name_and_array(tmp_path: Path, protocol: int) -> None:
    """Paddle 2.1 and later: ``tuple((name, array))``."""
    path = write(tmp_path, collections.OrderedDict(x=Reduces(tuple, ("word_embedding", ARRAY))), protocol)
    state = read_paddle_state(path)
    np.testing.assert_array_equal(state.arrays["x"], ARRAY)
    assert state.parameter_names == {"x": "word_embedding"}


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_lod_tensors_are_an_eval_of_their_own_data(tmp_path: Path, protocol: int) -> None:
    path = write(tmp_path, {"x": Reduces(eval, "data", {"data": ARRAY})}, protocol)
    np.testing.assert_array_equal(read_pdparams(path)["x"], ARRAY)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_dense_tensors_of_the_newest_paddle(tmp_path: Path, protocol: int, monkeypatch: pytest.MonkeyPatch) -> None:
    module = types.ModuleType("paddle.framework.io_utils")

    def _reconstruct_dense_tensor_data(data: object) -> object:
        raise AssertionError("the file's function was called")

    _reconstruct_dense_tensor_data.__module__ = module.__name__
    _reconstruct_dense_tensor_data.__qualname__ = _reconstruct_dense_tensor_data.__name__
    module._reconstruct_dense_tensor_data = _reconstruct_dense_tensor_data  # type: ignore[attr-defined]
    for name in ("paddle", "paddle.framework", module.__name__):
        monkeypatch.setitem(sys.modules, name, module)
    path = write(tmp_path, {"x": Reduces(_reconstruct_dense_tensor_data, ARRAY)}, protocol)
    np.testing.assert_array_equal(read_pdparams(path)["x"], ARRAY)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_numpy_1_names_its_core_otherwise(tmp_path: Path, protocol: int) -> None:
    old, new = ("numpy.core.multiarray", "numpy._core.multiarray")
    content = pickle.dumps({"x": ARRAY}, protocol if protocol < 4 else 3).replace(new.encode(), old.encode())
    assert old.encode() in content
    np.testing.assert_array_equal(read_pdparams(write(tmp_path, content))["x"], ARRAY)


def test_python_2_writes_strings_and_pairs(tmp_path: Path) -> None:
    """Bytes were strings there (to be taken as latin1), and an OrderedDict a list of pairs."""

    def binary(text: bytes) -> bytes:
        return b"U" + bytes([len(text)]) + text

    new = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85" + binary(b"b") + b"\x87R"
    dtype = b"cnumpy\ndtype\n" + binary(b"f4") + b"K\x00K\x01\x87R(K\x03" + binary(b"<") + b"NNNJ\xff\xff\xff\xff"
    dtype += b"J\xff\xff\xff\xffK\x00tb"
    array = new + b"(K\x01K\x02K\x03\x86" + dtype + b"\x89" + binary(ARRAY.tobytes()) + b"tb"
    content = b"\x80\x02ccollections\nOrderedDict\n]](" + binary(b"x") + array + b"ea\x85R."
    np.testing.assert_array_equal(read_pdparams(write(tmp_path, content))["x"], ARRAY)


@pytest.mark.parametrize("protocol", [2, 3])
def test_arrays_in_parts_are_put_together(tmp_path: Path, protocol: int) -> None:
    whole = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    flat = whole.reshape(-1)
    record = {"x@@.0": flat[:10], "x@@.1": flat[10:20], "x@@.2": flat[20:], "y": ARRAY}
    table = {"x": {"OriginShape": whole.shape, "slices": ["x@@.0", "x@@.1", "x@@.2"]}}
    arrays = read_pdparams(write(tmp_path, {**record, "UnpackBigParamInfor@@": table}, protocol))
    assert sorted(arrays) == ["x", "y"]
    np.testing.assert_array_equal(arrays["x"], whole)


@pytest.mark.parametrize(
    "entry",
    [
        {"OriginShape": (5,), "slices": ["x@@.0", "x@@.1"]},
        {"OriginShape": (6,), "slices": ["x@@.0", "x@@.9"]},
        {"OriginShape": (6,), "slices": ["x@@.0", "x@@.0"]},
        {"OriginShape": (-1,), "slices": ["x@@.0"]},
        {"OriginShape": (6,), "slices": [("x@@.0",)]},
        {"slices": ["x@@.0"]},
        ["x@@.0"],
    ],
)
def test_parts_that_do_not_fit_are_damage(tmp_path: Path, entry: object) -> None:
    record = {"x@@.0": ARRAY[0], "x@@.1": ARRAY[1], "UnpackBigParamInfor@@": {"x": entry}}
    with pytest.raises(CheckpointError, match=NAMED):
        read_pdparams(write(tmp_path, record, 2))


def test_bfloat16_is_stored_as_uint16(tmp_path: Path) -> None:
    values = np.array([1.0, -2.5, 0.15625, 3.0e38, -0.0], dtype=np.float32)
    halves = (values.view(np.uint32) >> 16).astype(np.uint16)
    expected = (halves.astype(np.uint32) << 16).view(np.float32)
    found = read_pdparams(write(tmp_path, {"x": halves}))["x"]
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(found[:3], values[:3])  # these three have no more than bfloat16's bits


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), protocol=st.sampled_from(PROTOCOLS), dtype=st.sampled_from(DTYPES))
def test_any_array_reads_as_numpy_reads_it(tmp_path: Path, data: st.DataObject, protocol: int, dtype: str) -> None:
    shape = tuple(data.draw(st.lists(st.integers(0, 4), max_size=4)))
    size = int(np.prod(shape, dtype=int)) * np.dtype(dtype).itemsize
    array = np.frombuffer(data.draw(st.binary(min_size=size, max_size=size)), dtype=dtype).reshape(shape)
    if array.dtype.kind == "b":
        array = array.view(np.uint8) % 2 == 1
    array = data.draw(st.sampled_from([array, np.asfortranarray(array), array.T, array[..., ::-1] if shape else array]))
    if not array.size and protocol < 3:
        return  # Python writes no bytes there at all but a call of `bytes`, and no parameter is empty
    found = read_pdparams(write(tmp_path, {"x": array}, protocol))["x"]
    assert found.dtype == array.dtype.newbyteorder("=") and found.shape == array.shape
    assert found.tobytes() == array.astype(found.dtype).tobytes()


def test_words_as_paddle_has_them(fixtures_home: Path) -> None:
    words = read_paddle_words(fixtures_home / "tokenizers" / "dict.wordseg.pickle")
    assert words == (fixtures_home / "tokenizers" / "words.txt").read_text(encoding="utf-8").splitlines()


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("kind", [set, list])
def test_words_of_every_protocol(tmp_path: Path, protocol: int, kind: Any) -> None:
    assert read_paddle_words(write(tmp_path, kind(["中国", "一", "Ünï"]), protocol)) == ["Ünï", "一", "中国"]


@pytest.mark.parametrize("words", [{"a\nb"}, {""}, {"a\u2028b"}, {1}, {"a": 1}, "abc", {("a",)}])
def test_what_is_no_word_set(tmp_path: Path, words: object) -> None:
    with pytest.raises((ConvertError, CheckpointError), match=NAMED):
        read_paddle_words(write(tmp_path, words))


@pytest.mark.parametrize("content", [[ARRAY], {}, {"a": 1}, "text", None, {"model": {"a": ARRAY}}])
def test_what_is_no_state_dict(tmp_path: Path, content: object) -> None:
    with pytest.raises(ConvertError, match=NAMED):
        read_pdparams(write(tmp_path, content))


# What a pickle could ask for


def _shell(canary: Path) -> str:
    return f"{sys.executable} -c \"open({str(canary)!r}, 'w')\""


def _attacks(canary: Path) -> dict[str, Any]:
    """Objects whose pickle runs code in `pickle.load`, by what the message has to name."""
    code = f"open({str(canary)!r}, 'w').close()"
    return {
        "system": Reduces(os.system, _shell(canary)),
        "builtins.exec|__builtin__.exec": Reduces(exec, code),
        "eval": Reduces(eval, code),
        "eval ": Reduces(eval, "data", {"data": ARRAY, "__builtins__": {}}),
        "eval  ": Reduces(eval, "data.tofile", {"data": ARRAY}),
        "check_output": Reduces(subprocess.check_output, _shell(canary)),
        "getattr": Reduces(getattr, os, "system"),
        "partial": Reduces(functools.partial, os.system, _shell(canary)),
        "__newobj__|copyreg|Popen": Reduces(copyreg.__newobj__, subprocess.Popen, _shell(canary)),  # type: ignore[attr-defined]
        "__import__": Reduces(builtins.__import__, "os"),
        "open": Reduces(open, str(canary), "w"),
        "bytearray": Reduces(bytearray, 10**10),
        "np.load|numpy": Reduces(np.load, str(canary), None, True),
        "fromfile|numpy": Reduces(np.fromfile, str(canary)),
    }


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("read", [read_pdparams, read_paddle_words])
def test_code_is_refused_by_name_and_not_run(tmp_path: Path, canary: Path, protocol: int, read: Any) -> None:
    for name, attack in _attacks(canary).items():
        try:
            content = pickle.dumps({"a": ARRAY, "x": attack}, protocol)
        except (pickle.PicklingError, TypeError):  # some of these cannot be written in every protocol
            continue
        with pytest.raises(UnsafePickleError, match=name.strip()) as error:
            read(write(tmp_path, content))
        assert "Nothing was executed" in str(error.value) and "model.pdparams" in str(error.value)
        assert not canary.exists()


CONTAINERS = (
    lambda x: {"a": x},
    lambda x: [x],
    lambda x: (1, x),
    lambda x: collections.OrderedDict(a=ARRAY, b=x),
    lambda x: Reduces(tuple, ("name", x)),
    lambda x: Reduces(collections.OrderedDict, [["k", x]]),
    lambda x: Reduces(eval, "data", {"data": x}),
    lambda x: {"UnpackBigParamInfor@@": {"a": {"slices": [x], "OriginShape": (1,)}}},
    lambda x: {"StructuredToParameterName@@": x},
    lambda x: [x, x, ARRAY],
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    layers=st.lists(st.sampled_from(CONTAINERS), max_size=5),
    protocol=st.sampled_from(PROTOCOLS),
    call=st.sampled_from(["system", "exec", "builtin eval"]),
)
def test_code_is_refused_wherever_it_stands(tmp_path: Path, layers: list[Any], protocol: int, call: str) -> None:
    canary = tmp_path / "canary"
    code = f"open({str(canary)!r}, 'w').close()"
    attack: Any = {
        "system": Reduces(os.system, _shell(canary)),
        "exec": Reduces(exec, code),
        "builtin eval": Reduces(eval, code),
    }[call]
    for layer in layers:
        attack = layer(attack)
    with pytest.raises(UnsafePickleError):
        read_pdparams(write(tmp_path, attack, protocol))
    assert not canary.exists()


def _raw(*parts: bytes) -> bytes:
    return b"".join(parts) + b"."


_SYSTEM = b"cos\nsystem\n"
_TEXT = b"X\x04\x00\x00\x00true"


@pytest.mark.parametrize(
    ("content", "named"),
    [
        pytest.param(_raw(b"(", _TEXT, b"ios\nsystem\n"), "os.system", id="INST"),
        pytest.param(_raw(b"(", _SYSTEM, _TEXT, b"o"), "os.system", id="OBJ"),
        pytest.param(_raw(b"\x80\x02", _SYSTEM, _TEXT, b"\x85\x81"), "os.system", id="NEWOBJ"),
        pytest.param(
            _raw(b"\x80\x04", b"\x8c\x02os\x8c\x06system\x93", _TEXT, b"\x85R"), "os.system", id="STACK_GLOBAL"
        ),
        pytest.param(_raw(b"\x80\x02", _SYSTEM, b"q\x00", b"0", b"h\x00", _TEXT, b"\x85R"), "os.system", id="memo"),
        pytest.param(_raw(b"Pid\n"), "PERSID", id="PERSID"),
        pytest.param(_raw(_TEXT, b"Q"), "BINPERSID", id="BINPERSID"),
        pytest.param(_raw(b"\x80\x02\x82\x01"), "EXT1", id="EXT1"),
        pytest.param(_raw(b"\x80\x05\x97"), "NEXT_BUFFER", id="NEXT_BUFFER"),
        pytest.param(_raw(b"ccollections\nOrderedDict\n)\x81"), "NEWOBJ", id="NEWOBJ of a dict"),
        pytest.param(_raw(b"(icollections\nOrderedDict\n"), "OrderedDict", id="INST of a dict"),
        pytest.param(_raw(b"cnumpy\nndarray\n", b"K\x05\x85R"), "numpy.ndarray", id="a call of ndarray"),
        pytest.param(_raw(b"cnumpy\ndtype\n", b"X\x01\x00\x00\x00O\x89\x88\x87R"), "numpy.dtype", id="object arrays"),
        pytest.param(_raw(b"cnumpy\ndtype\n", b"X\x02\x00\x00\x00V8\x85R"), "numpy.dtype", id="structured arrays"),
        pytest.param(_raw(b"cnumpy\ndtype\n", b"}b"), "a state", id="BUILD on a function"),
        pytest.param(_raw(b"}}b"), "a state", id="BUILD on a dict"),
        pytest.param(_raw(b"ccollections\nOrderedDict\n)R}b"), "a state", id="BUILD on an OrderedDict"),
        pytest.param(_raw(b"]", b")R"), "a call", id="a call of a list"),
        pytest.param(_raw(b"cbuiltins\neval\n", _TEXT, b"}\x86R"), "eval", id="eval without data"),
        pytest.param(_raw(b"cbuiltins\nset\n", b"]\x85R"), "builtins.set", id="a set among arrays"),
        pytest.param(_raw(b"c_codecs\nencode\n", _TEXT, b"X\x05\x00\x00\x00rot13\x86R"), "encode", id="another codec"),
        pytest.param(_raw(b"cnumpy.core.multiarray\n_reconstruct.__globals__\n"), "__globals__", id="dotted name"),
    ],
)
def test_opcodes_and_tricks_that_arrays_do_not_need(tmp_path: Path, content: bytes, named: str) -> None:
    with pytest.raises(UnsafePickleError, match=named.replace(".", r"\.")):
        read_pdparams(write(tmp_path, content))


def test_a_dtype_with_a_crafted_state_reaches_no_numpy(tmp_path: Path) -> None:
    """A structured dtype without its reference-count flag makes NumPy follow pointers out of the file."""
    names = b"(X\x01\x00\x00\x00at"
    state = b"(K\x03X\x01\x00\x00\x00|N" + names + b"}K\x08K\x01K\x00t"
    content = b"\x80\x02cnumpy\ndtype\nX\x02\x00\x00\x00f8\x89\x88\x87R" + state + b"b."
    with pytest.raises(CheckpointError, match="state that no number type has"):
        read_pdparams(write(tmp_path, content))


# What would exhaust the machine


def test_a_deeply_nested_key_does_not_end_the_process(tmp_path: Path) -> None:
    """Hashing such a tuple overflows the C stack: `pickle.loads` of these bytes is a segmentation fault."""
    with pytest.raises(CheckpointError, match="no string"):
        read_pdparams(write(tmp_path, b"}N" + b"\x85" * 250_000 + b"Ns."))


def test_a_large_memo_index_costs_nothing(tmp_path: Path) -> None:
    """`pickle.loads` allots 32 GiB for these bytes."""
    with pytest.raises(ConvertError, match="no arrays"):
        read_pdparams(write(tmp_path, b"}r\xff\xff\xff\x7f."))


@pytest.mark.parametrize("length", [struct.pack("<Q", 2**62), struct.pack("<Q", 2**40)])
def test_a_stated_length_beyond_the_file_is_truncation(tmp_path: Path, length: bytes) -> None:
    with pytest.raises(CheckpointError, match="truncated"):
        read_pdparams(write(tmp_path, b"\x80\x04\x8e" + length + b"abc."))


def test_copies_of_a_long_list_are_counted(tmp_path: Path) -> None:
    """A list of 100,000, copied 100,000 times, would be 80 GB from 800 kB."""
    copies = b"cbuiltins\ntuple\nq\x01" + b"h\x01h\x00\x85R" * 100_000
    with pytest.raises(UnsafePickleError, match="more data than it holds"):
        read_pdparams(write(tmp_path, b"\x80\x02](" + b"N" * 100_000 + b"eq\x00" + copies + b"."))


def test_copies_of_long_bytes_are_counted(tmp_path: Path) -> None:
    text = b"X" + struct.pack("<I", 100_000) + b"a" * 100_000 + b"q\x00X\x06\x00\x00\x00latin1q\x01"
    copies = b"c_codecs\nencode\nq\x02" + b"h\x02h\x00h\x01\x86R" * 50_000
    with pytest.raises(UnsafePickleError, match="more data than it holds"):
        read_pdparams(write(tmp_path, b"\x80\x02" + text + copies + b"."))


def test_one_array_under_many_names_is_refused(tmp_path: Path) -> None:
    shared = np.zeros(1000, dtype=np.float32)
    assert len(read_pdparams(write(tmp_path, {"a": shared, "tied": shared}))) == 2
    with pytest.raises(CheckpointError, match="many times its own size"):
        read_pdparams(write(tmp_path, {f"a{i}": shared for i in range(50)}))


def test_operations_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pickle_machine, "MAX_OPERATIONS", 1000)
    with pytest.raises(CheckpointError, match="more than 1000 operations"):
        read_pdparams(write(tmp_path, b"}" * 1001 + b"."))


def test_an_array_must_have_just_its_bytes(tmp_path: Path) -> None:
    content = pickle.dumps({"x": ARRAY}, 2)
    wrong = content.replace(b"K\x02K\x03\x86", b"K\x02K\x04\x86")
    assert wrong != content
    with pytest.raises(CheckpointError, match=NAMED):
        read_pdparams(write(tmp_path, wrong))


def _f4() -> NumberType:
    return NumberType("f4")


@pytest.mark.parametrize(
    "parts",
    [
        ([0] * 8, _f4(), (2,), "C"),  # an object array has a list for its bytes
        (b"\0" * 8, "f4", (2,), "C"),
        (b"\0" * 8, _f4(), [2], "C"),
        (b"\0" * 8, _f4(), (-2,), "C"),
        (b"\0" * 8, _f4(), (True, 2), "C"),
        (b"\0" * 8, _f4(), (2,), "X"),
        (b"\0" * 8, _f4(), (2, *[1] * 40), "C"),
        (b"\0" * 8, _f4(), (1, 2), "K", (0, 0)),
        (b"\0" * 8, _f4(), (3,), "C"),
    ],
)
def test_parts_that_make_no_array(parts: tuple[Any, ...]) -> None:
    assert not PickledArray().fill(*parts)


@pytest.mark.parametrize(
    "state",
    [None, (3,), (3, "<", None, None, None, -1, -1, 0, "x")[:4], (3, "!", None, None, None), (3, 1, None, None, None)],
)
def test_states_of_no_number_type(state: object) -> None:
    assert not NumberType("f4").build(state) and not PickledArray().build(state)


@pytest.mark.parametrize(
    "call",
    [
        b"c_codecs\nencode\nN\x85R",
        b"cbuiltins\ntuple\nN\x85R",
        b"ccollections\nOrderedDict\nN\x85R",
        b"ccollections\nOrderedDict\n]Na\x85R",
        b"cnumpy.core.multiarray\n_reconstruct\n)R",
        b"cnumpy.core.multiarray\nscalar\n)R",
        b"cnumpy.core.numeric\n_frombuffer\nN\x85R",
        b"cpaddle.framework.io_utils\n_reconstruct_dense_tensor_data\nN\x85R",
        b"cbuiltins\nset\nN\x85R",
    ],
)
def test_calls_with_other_arguments_than_arrays_need(tmp_path: Path, call: bytes) -> None:
    with pytest.raises(UnsafePickleError, match="called with"):
        read_paddle_words(write(tmp_path, call + b"."))


# Damage


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_truncation_is_an_error_that_names_the_file(tmp_path: Path, protocol: int) -> None:
    content = pickle.dumps({"x": ARRAY}, protocol)
    for length in (*range(0, len(content), 7), *range(len(content) - 20, len(content))):
        with pytest.raises(CheckpointError, match=NAMED):
            read_pdparams(write(tmp_path, content[:length]))


@pytest.mark.parametrize("content", [b"<html>404</html>", b"PK\x03\x04zip", b"\x00" * 100, b"{}", b"\xff"])
def test_other_files_are_damage_or_unsafe(tmp_path: Path, content: bytes) -> None:
    with pytest.raises((CheckpointError, UnsafePickleError), match=NAMED):
        read_pdparams(write(tmp_path, content))


def test_a_missing_file_and_a_folder(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="nowhere"):
        read_pdparams(tmp_path / "nowhere.pdparams")
    with pytest.raises(CheckpointError, match="cannot be read"):
        read_pdparams(tmp_path)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=200))
@example(b"(lp0\n.")
def test_arbitrary_bytes_end_in_one_of_our_errors(tmp_path: Path, content: bytes) -> None:
    for read in (read_pdparams, read_paddle_words):
        try:
            found = read(write(tmp_path, content))
        except HubError as error:
            assert "model.pdparams" in str(error)
        else:
            assert isinstance(found, (dict, list))


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(protocol=st.sampled_from(PROTOCOLS), place=st.integers(0, 10_000), byte=st.integers(0, 255))
def test_one_changed_byte_ends_in_arrays_or_one_of_our_errors(
    tmp_path: Path, protocol: int, place: int, byte: int
) -> None:
    content = bytearray(
        pickle.dumps({"x": ARRAY, "y": ("name", ARRAY), "StructuredToParameterName@@": {"x": "n"}}, protocol)
    )
    content[place % len(content)] = byte
    try:
        found = read_pdparams(write(tmp_path, bytes(content)))
    except HubError as error:
        assert "model.pdparams" in str(error)
    else:
        assert all(isinstance(array, np.ndarray) and array.dtype != object for array in found.values())
