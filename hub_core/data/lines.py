"""Bytes to lines: packed or plain, UTF-8 or a problem that says where."""

from __future__ import annotations

import codecs
import gzip
import lzma
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from hub_core.data.problems import Problems, counted
from hub_core.errors import NotFoundError

#: Suffixes of packed files, which stand after the format's own (``train.tsv.xz``).
PACKED = (".gz", ".xz")


@dataclass(frozen=True, slots=True)
class Line:
    """One line with its number (from 1) and its line end. Where `readable` is False, `text` is only a stand-in."""

    number: int
    text: str
    readable: bool = True

    @property
    def content(self) -> str:
        """The text without its line end."""
        return self.text.removesuffix("\n").removesuffix("\r")


def read_lines(path: Path, problems: Problems) -> Iterator[Line]:
    r"""The lines of a UTF-8 file, a byte order mark at its start left out.

    Only line feeds end a line: U+2028, a form feed or a lone carriage return may stand in a text. The first line that
    is not UTF-8 is noted in `problems` with the count of others; each comes as unreadable, so that the count of lines
    stays right, but of UTF-16 only the first. Raises NotFoundError for a missing file, DataError (with all problems so
    far) where the disk or the packing fails.
    """
    number = 0
    faults: list[tuple[int, str]] = []
    try:
        with _open(path) as stream:
            for number, raw in enumerate(stream, start=1):
                wide = number == 1 and raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
                line = _decoded(number, raw, faults)
                if len(faults) == 1 and not line.readable:
                    problems.add(f"{path}:{number}", _UTF16 if wide else lambda: _other_encoding(faults))
                yield line
                if wide:
                    return
    except FileNotFoundError as error:
        raise NotFoundError(f"no file {path}") from error
    except (OSError, EOFError, zlib.error, lzma.LZMAError) as error:
        problems.add(f"{path}:{number + 1}", f"cannot be read ({error})")
        raise problems.error() from error


def _open(path: Path) -> AbstractContextManager[Iterable[bytes]]:
    match path.suffix.lower():
        case ".gz":
            return gzip.open(path)
        case ".xz":
            return lzma.open(path)
        case _:
            return path.open("rb")


def _decoded(number: int, raw: bytes, faults: list[tuple[int, str]]) -> Line:
    """The line of these bytes; where they are not UTF-8, its number and why are added to `faults`."""
    if number == 1:
        raw = raw.removeprefix(codecs.BOM_UTF8)
    try:
        return Line(number, raw.decode("utf-8"))
    except UnicodeDecodeError as error:
        faults.append((number, f"byte 0x{raw[error.start]:02x}, number {error.start + 1}"))
        return Line(number, raw.decode("utf-8", errors="replace"), readable=False)


_UTF16 = "the file is UTF-16; save it as UTF-8 (such as with `iconv -f UTF-16 -t UTF-8`)"


def _other_encoding(faults: Sequence[tuple[int, str]]) -> str:
    """The wording for the first line, with the numbers of some others."""
    (_, why), *others = faults
    shown = ", ".join(str(number) for number, _ in others[:5]) + (", ..." if len(others) > 5 else "")
    like = f", like {counted(len(others), 'more line')} ({shown})" if others else ""
    return f"not UTF-8 ({why}){like}; save the file as UTF-8 (such as with `iconv -f GB18030 -t UTF-8`)"
