"""Reading a pickle without running anything: an interpreter for the few opcodes that a file of arrays needs.

`pickle.Unpickler` with an allow-list in `find_class` still calls what the list admits and hands it state of the
file's choice, sets attributes on it, hashes whatever is used as a key (a tuple nested 200,000 deep ends the
process) and sizes its memo by the largest index that a file names (32 GiB for seven bytes). `torch.load` has its own
interpreter for such reasons, and so have we: a global is a pair of strings here and is never looked up, a "call" is
one of our own functions on plain data, and everything that is made is counted. `pickletools`, of the standard
library, takes the bytes apart.
"""

from __future__ import annotations

import pickletools
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import IO, Any, Protocol, cast

from hub_core.errors import CheckpointError, UnsafePickleError

#: A state dict of a 24-layer network takes some 15,000 operations, ERNIE-Tiny's word set 60,000.
MAX_OPERATIONS = 2_000_000

Global = tuple[str, str]


class Buildable(ABC):
    """What a pickle may hand a state to (opcode BUILD)."""

    @abstractmethod
    def build(self, state: object) -> bool:
        """Take the state in; False where it is not the state of such a thing."""


class Stream(Protocol):
    """Bytes that end where they end, whatever length is asked for: a mapped file, a BytesIO (but no plain file)."""

    def read(self, n: int, /) -> bytes: ...
    def readline(self) -> bytes: ...
    def tell(self) -> int: ...


class PickleMachine:
    """Interprets one pickle.

    `size` is its length in bytes. `calls` maps the admitted globals to what stands in for calling them: a
    function of the machine and the arguments that returns the result, or NotImplemented for arguments it does not
    take; None for a global that may be named but not called. `where` names the file in messages.
    """

    def __init__(
        self,
        stream: Stream,
        *,
        size: int,
        calls: Mapping[Global, Callable[[PickleMachine, tuple[Any, ...]], Any] | None],
        where: str,
    ) -> None:
        self._stream = cast("IO[bytes]", stream)  # `genops` needs no more of it than `Stream` has
        self._calls = calls
        self._where = where
        self._stack: list[Any] = []
        self._marks: list[int] = []
        self._memo: dict[int, Any] = {}
        self._left = size

    def run(self) -> Any:
        """The object that the pickle describes.

        Raises UnsafePickleError for a global, call or opcode that files of arrays do not need, CheckpointError for
        a file that is truncated, damaged, or no pickle.
        """
        try:
            for count, (opcode, argument, _) in enumerate(pickletools.genops(self._stream)):
                if opcode.name == "STOP":
                    return self._pop()
                if count >= MAX_OPERATIONS:
                    raise ValueError(f"more than {MAX_OPERATIONS} operations")
                self._step(opcode.name, argument)
        except (ValueError, IndexError, KeyError) as error:
            raise CheckpointError(
                f"{self._where} cannot be read as arrays: {error}; it is truncated, damaged or of another kind"
            ) from error
        raise CheckpointError(f"{self._where} is truncated: it ends before its last instruction")

    def spend(self, amount: int) -> None:
        """Count items or bytes that a call copies: in all they cannot be more than the file has bytes.

        Without this, naming one long list a million times would fill the memory from a small file.
        """
        self._left -= amount
        if self._left < 0:
            raise self._unsafe("it makes more data than it holds")

    def _step(self, name: str, argument: Any) -> None:
        if name in _LITERALS:
            self._stack.append(argument)
        elif name in _EMPTY:
            self._stack.append(_EMPTY[name]())
        elif name in _STEPS:
            _STEPS[name](self, argument)
        else:
            raise self._unsafe(f"opcode {name}")

    def _unsafe(self, what: str) -> UnsafePickleError:
        return UnsafePickleError(
            f"{self._where} is a pickle with something else than arrays and plain containers: {what}. "
            "Nothing was executed. Fetch the weights as safetensors, or from a source you trust"
        )

    def _pop(self) -> Any:
        return self._stack.pop()

    def _pop_mark(self) -> list[Any]:
        """What was pushed since the last mark."""
        start = self._marks.pop()
        items = self._stack[start:]
        del self._stack[start:]
        return items

    def _top(self, kind: type) -> Any:
        if type(self._stack[-1]) is not kind:
            raise ValueError(f"an item for something that is no {kind.__name__}")
        return self._stack[-1]

    def _mark(self, _: Any) -> None:
        self._marks.append(len(self._stack))

    def _ignore(self, _: Any) -> None:
        """PROTO and FRAME say how the rest is written, which changes nothing here."""

    def _tuple_of(self, length: int) -> None:
        if len(self._stack) < length:
            raise ValueError("a tuple of more items than there are")
        items = tuple(self._stack[-length:])
        self._stack[-length:] = [items]

    def _tuple_from_mark(self, _: Any) -> None:
        self._stack.append(tuple(self._pop_mark()))

    def _list_from_mark(self, _: Any) -> None:
        self._stack.append(self._pop_mark())

    def _append(self, _: Any) -> None:
        item = self._pop()
        self._top(list).append(item)

    def _appends(self, _: Any) -> None:
        items = self._pop_mark()
        self._top(list).extend(items)

    def _additems(self, _: Any) -> None:
        items = self._pop_mark()
        self._top(set).update(strings(items))

    def _dict_from_mark(self, _: Any) -> None:
        items = self._pop_mark()
        self._stack.append({})
        self._update(items)

    def _setitem(self, _: Any) -> None:
        value, key = self._pop(), self._pop()
        self._update([key, value])

    def _setitems(self, _: Any) -> None:
        self._update(self._pop_mark())

    def _update(self, items: list[Any]) -> None:
        self._top(dict).update(zip(strings(items[::2]), items[1::2], strict=True))

    def _put(self, index: int) -> None:
        self._memo[index] = self._stack[-1]

    def _memoize(self, _: Any) -> None:
        self._memo[len(self._memo)] = self._stack[-1]

    def _get(self, index: int) -> None:
        self._stack.append(self._memo[index])

    def _global(self, argument: str) -> None:
        module, _, name = argument.partition(" ")
        self._name(module, name)

    def _stack_global(self, _: Any) -> None:
        name, module = strings([self._pop(), self._pop()])
        self._name(module, name)

    def _name(self, module: str, name: str) -> None:
        if (module, name) not in self._calls:
            raise self._unsafe(f"{module}.{name}"[:200])
        self._stack.append(_Named(module, name))

    def _inst(self, argument: str) -> None:
        self._global(argument)
        raise self._unsafe(f"an instance of {argument}")

    def _reduce(self, _: Any) -> None:
        arguments, target = self._pop(), self._pop()
        if not isinstance(target, _Named) or not isinstance(arguments, tuple):
            raise self._unsafe("a call of something that is no function")
        call = self._calls[target.key]
        result = NotImplemented if call is None else call(self, arguments)
        if result is NotImplemented:
            raise self._unsafe(f"{'.'.join(target.key)} called with what no array needs")
        self._stack.append(result)

    def _build(self, _: Any) -> None:
        state, target = self._pop(), self._stack[-1]
        if not isinstance(target, Buildable):
            raise self._unsafe("a state for something that has none")
        if not target.build(state):
            raise ValueError("an array or its type has a state that no number type has")


class _Named:
    """A global, by its name alone."""

    __slots__ = ("key",)

    def __init__(self, module: str, name: str) -> None:
        self.key: Global = (module, name)


def strings(items: list[Any]) -> list[str]:
    """The items, which must all be strings: keys and members of nothing else are ever hashed."""
    if any(type(item) is not str for item in items):
        raise ValueError("a key that is no string")
    return items


_NUMBERS = ("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT")
_TEXTS = ("STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8")
_BYTES = ("BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8")
#: Opcodes that push their argument.
_LITERALS = frozenset((*_NUMBERS, *_TEXTS, *_BYTES))
_EMPTY: Mapping[str, Callable[[], Any]] = {
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
    "EMPTY_TUPLE": tuple,
    "EMPTY_LIST": list,
    "EMPTY_DICT": dict,
    "EMPTY_SET": set,
}
_STEPS: Mapping[str, Callable[[PickleMachine, Any], None]] = {
    "PROTO": PickleMachine._ignore,
    "FRAME": PickleMachine._ignore,
    "MARK": PickleMachine._mark,
    "TUPLE": PickleMachine._tuple_from_mark,
    "TUPLE1": lambda machine, _: machine._tuple_of(1),
    "TUPLE2": lambda machine, _: machine._tuple_of(2),
    "TUPLE3": lambda machine, _: machine._tuple_of(3),
    "LIST": PickleMachine._list_from_mark,
    "APPEND": PickleMachine._append,
    "APPENDS": PickleMachine._appends,
    "ADDITEMS": PickleMachine._additems,
    "DICT": PickleMachine._dict_from_mark,
    "SETITEM": PickleMachine._setitem,
    "SETITEMS": PickleMachine._setitems,
    "PUT": PickleMachine._put,
    "BINPUT": PickleMachine._put,
    "LONG_BINPUT": PickleMachine._put,
    "MEMOIZE": PickleMachine._memoize,
    "GET": PickleMachine._get,
    "BINGET": PickleMachine._get,
    "LONG_BINGET": PickleMachine._get,
    "GLOBAL": PickleMachine._global,
    "STACK_GLOBAL": PickleMachine._stack_global,
    "INST": PickleMachine._inst,
    "REDUCE": PickleMachine._reduce,
    "BUILD": PickleMachine._build,
}
