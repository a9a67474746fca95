"""Collecting what is wrong with a file, so that its reader hears of everything at once."""

from __future__ import annotations

from collections.abc import Callable

from hub_core.errors import DataError


class Problems:
    """The problems of one file: the first `limit` in words, the others counted."""

    def __init__(self, limit: int = 20) -> None:
        self.limit = limit
        self.count = 0
        self._noted: list[tuple[str, str | Callable[[], str]]] = []

    def add(self, where: str, what: str | Callable[[], str]) -> None:
        """Note one problem at `where` (``file:line``). Give a function where the wording takes time, or what is yet to
        come belongs in it: it is called for `error`."""
        self.count += 1
        if self.count <= self.limit:
            self._noted.append((where, what))

    def error(self) -> DataError:
        """All problems as one error."""
        worded = [f"{where}: {what if isinstance(what, str) else what()}" for where, what in self._noted]
        return DataError(worded, more=self.count - len(worded))

    def raise_if_any(self) -> None:
        """Raise `error()` if anything was noted."""
        if self.count:
            raise self.error()


def shortened(text: str, limit: int = 40) -> str:
    """A text cut for a message: a row with its columns exchanged has a whole review where its label should be.

    >>> shortened("O" * 50, 5)
    'OOOOO…'
    """
    return text if len(text) <= limit else text[:limit] + "…"


def counted(number: int, noun: str) -> str:
    """A number with its noun.

    >>> counted(1, "column"), counted(0, "column")
    ('1 column', '0 columns')
    """
    return f"{number} {noun}{'' if number == 1 else 's'}"
