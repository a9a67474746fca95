"""NumPy arrays as pickles spell them, without NumPy taking any of it in before it is checked.

The globals are those of PaddlePaddle's own files (`framework/io.py`, `io_utils.py`) in all pickle protocols:

- protocols 0 to 4: ``_reconstruct(ndarray, (0,), b'b')``, then a state (version, shape, dtype, fortran, bytes);
- protocol 5: ``_frombuffer(bytes, dtype, shape, order)``; with another memory layout, order ``K`` and the axes;
- below protocol 3 bytes are ``_codecs.encode(text, 'latin1')``;
- NumPy 1 writes ``numpy.core``, NumPy 2 ``numpy._core``; Python 2's builtins are ``__builtin__``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, TypeGuard

import numpy as np
from numpy.typing import NDArray

from hub_core.convert.pickle_machine import Buildable, Global, PickleMachine, strings

Array = NDArray[Any]
#: Number types that tensors have, in NumPy's spelling without the byte order.
_NUMBERS = frozenset(("b1", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8"))
_MAX_DIMENSIONS = 32


class NumberType(Buildable):
    """``numpy.dtype`` of a plain number."""

    __slots__ = ("code", "order")

    def __init__(self, code: str) -> None:
        self.code = code
        self.order = "="

    def build(self, state: object) -> bool:
        """Take in ``(version, byte order, subtype, names, fields, ...)``; a number has the first two only."""
        if not isinstance(state, tuple) or len(state) < 5 or any(item is not None for item in state[2:5]):
            return False
        if not isinstance(state[1], str) or state[1] not in ("<", ">", "=", "|"):
            return False
        self.order = state[1]
        return True


class PickledArray(Buildable):
    """An array as it stands in the file: its bytes, number type, shape and memory layout."""

    __slots__ = ("axes", "data", "layout", "shape", "type")

    def __init__(self) -> None:
        self.data: bytes | bytearray | str = b""
        self.type: NumberType | None = None
        self.shape: tuple[int, ...] = (0,)
        self.layout = "C"
        self.axes: tuple[int, ...] | None = None

    def build(self, state: object) -> bool:
        """Take in ``(version, shape, dtype, fortran, bytes)``."""
        if not isinstance(state, tuple) or len(state) != 5:
            return False
        return self.fill(state[4], state[2], state[1], "F" if state[3] else "C")

    def fill(self, data: object, number: object, shape: object, layout: object, axes: object = None) -> bool:
        """Take the parts in; False where they do not make an array of plain numbers of that many bytes."""
        if not isinstance(data, (bytes, bytearray, str)) or not isinstance(number, NumberType):
            return False
        if not is_shape(shape) or not isinstance(layout, str) or layout not in ("C", "F", "K"):
            return False
        if axes is not None and (not is_shape(axes) or sorted(axes) != list(range(len(shape)))):
            return False
        self.data, self.type, self.shape, self.layout, self.axes = data, number, shape, layout, axes
        return len(data) == self.size

    @property
    def size(self) -> int:
        """The number of bytes."""
        return math.prod(self.shape) * (int(self.type.code[1:]) if self.type else 0)

    def numpy(self) -> Array:
        """The array, native byte order, read-only where it is a view of the file's bytes."""
        if self.type is None:
            return np.zeros(self.shape, dtype=np.float32)
        data = self.data.encode("latin-1") if isinstance(self.data, str) else self.data
        dtype = np.dtype(self.type.order + self.type.code)
        array = np.frombuffer(data, dtype=dtype).reshape(self.shape, order="F" if self.layout == "F" else "C")
        if self.axes is not None:
            array = array.transpose(self.axes)
        return array.astype(dtype.newbyteorder("="), copy=False)


def is_shape(value: object) -> TypeGuard[tuple[int, ...]]:
    """Whether this is a tuple of sizes (or axes): few, whole, none negative."""
    return (
        isinstance(value, tuple)
        and len(value) <= _MAX_DIMENSIONS
        and all(type(item) is int and 0 <= item < 2**63 for item in value)
    )


def _reconstruct(_: PickleMachine, arguments: tuple[Any, ...]) -> Any:
    """An empty array, to be filled by its state; the arguments say only that (class, shape (0,), code b'b')."""
    return PickledArray() if len(arguments) == 3 else NotImplemented


def _frombuffer(_: PickleMachine, arguments: tuple[Any, ...]) -> Any:
    array = PickledArray()
    return array if len(arguments) in (4, 5) and array.fill(*arguments) else NotImplemented


def _dtype(_: PickleMachine, arguments: tuple[Any, ...]) -> Any:
    code = arguments[0] if arguments else None
    return NumberType(code) if isinstance(code, str) and code in _NUMBERS else NotImplemented


def _scalar(_: PickleMachine, arguments: tuple[Any, ...]) -> Any:
    """A single NumPy number (a step count beside the weights): no tensor, so its value is not needed."""
    return None if len(arguments) == 2 else NotImplemented


def _encode(machine: PickleMachine, arguments: tuple[Any, ...]) -> Any:
    if len(arguments) != 2 or not all(isinstance(item, str) for item in arguments) or arguments[1] != "latin1":
        return NotImplemented
    machine.spend(len(arguments[0]))
    return arguments[0].encode("latin-1")


def _tuple(machine: PickleMachine, arguments: tuple[Any, ...]) -> Any:
    """Paddle's own form of a tensor: ``tuple((name, array))``."""
    if len(arguments) != 1 or not isinstance(arguments[0], (tuple, list)):
        return NotImplemented
    machine.spend(len(arguments[0]))
    return tuple(arguments[0])


def _ordered_dict(machine: PickleMachine, arguments: tuple[Any, ...]) -> Any:
    """A plain dict, which keeps order too. Python 2 hands the items over as a list of pairs."""
    if not arguments:
        return {}
    pairs = arguments[0]
    if len(arguments) != 1 or not isinstance(pairs, list):
        return NotImplemented
    if any(not isinstance(pair, (list, tuple)) or len(pair) != 2 for pair in pairs):
        return NotImplemented
    machine.spend(len(pairs))
    return dict(zip(strings([pair[0] for pair in pairs]), [pair[1] for pair in pairs], strict=True))


def _evaluated(_: PickleMachine, arguments: tuple[Any, ...]) -> Any:
    """A LoDTensor reduces to ``eval('data', {'data': array})``: the array, and no other expression, is let through."""
    if len(arguments) != 2 or not isinstance(arguments[0], str) or arguments[0] != "data":
        return NotImplemented
    scope = arguments[1]
    good = isinstance(scope, dict) and list(scope) == ["data"] and isinstance(scope["data"], PickledArray)
    return scope["data"] if good else NotImplemented


def _dense_tensor(machine: PickleMachine, arguments: tuple[Any, ...]) -> Any:
    """The newest releases' replacement for that ``eval``: a function of the array alone."""
    if len(arguments) == 1 and isinstance(arguments[0], PickledArray):
        return arguments[0]
    return _evaluated(machine, arguments)


def _set(machine: PickleMachine, arguments: tuple[Any, ...]) -> Any:
    if len(arguments) != 1 or not isinstance(arguments[0], (list, tuple)):
        return NotImplemented
    machine.spend(len(arguments[0]))
    return set(strings(list(arguments[0])))


_Call = Callable[[PickleMachine, tuple[Any, ...]], Any]
_BUILTINS = ("builtins", "__builtin__")

#: Every global that a `.pdparams` file may name.
ARRAY_CALLS: Mapping[Global, _Call | None] = {
    ("numpy", "ndarray"): None,
    ("numpy", "dtype"): _dtype,
    **{(f"numpy.{core}.multiarray", "_reconstruct"): _reconstruct for core in ("core", "_core")},
    **{(f"numpy.{core}.multiarray", "scalar"): _scalar for core in ("core", "_core")},
    **{(f"numpy.{core}.numeric", "_frombuffer"): _frombuffer for core in ("core", "_core")},
    ("collections", "OrderedDict"): _ordered_dict,
    **{(module, "tuple"): _tuple for module in _BUILTINS},
    **{(module, "eval"): _evaluated for module in _BUILTINS},
    ("_codecs", "encode"): _encode,
    ("paddle.framework.io_utils", "_reconstruct_dense_tensor_data"): _dense_tensor,
}
#: Every global that a pickled word set may name.
WORD_CALLS: Mapping[Global, _Call | None] = {**ARRAY_CALLS, **{(module, "set"): _set for module in _BUILTINS}}
