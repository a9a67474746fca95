"""Bytes to lines: packed or plain, UTF-8 or a problem that says where."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from hub_core.data.packing import SAVE_AS_UTF8, UTF16, UTF16_MARKS, decoded, opened
from hub_core.data.problems import Problems, counted
from hub_core.errors import NotFoundError


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
        with opened(path) as stream:
            for number, raw in enumerate(stream, start=1):
                wide = number == 1 and raw.startswith(UTF16_MARKS)
                text, why = decoded(raw, first=number == 1)
                if why is not None:
                    faults.append((number, why))
                    if len(faults) == 1:
                        problems.add(f"{path}:{number}", UTF16 if wide else lambda: _other_encoding(faults))
                yield Line(number, text, readable=why is None)
                if wide:
                    return
    except FileNotFoundError as error:
        raise NotFoundError(f"no file {path}") from error
    except OSError as error:
        problems.add(f"{path}:{number + 1}", f"cannot be read ({error})")
        raise problems.error() from error


def _other_encoding(faults: Sequence[tuple[int, str]]) -> str:
    """The wording for the first line, with the numbers of some others."""
    (_, why), *others = faults
    shown = ", ".join(str(number) for number, _ in others[:5]) + (", ..." if len(others) > 5 else "")
    like = f", like {counted(len(others), 'more line')} ({shown})" if others else ""
    return f"not UTF-8 ({why}){like}; {SAVE_AS_UTF8}"
