"""Tables in plain text whose columns line up, whatever mix of scripts stands in them."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest

#: What stands between two columns.
GAP = "  "
#: No column is folded to less than this to fit a terminal (in cells): nobody could read it.
NARROWEST = 12

#: Characters that change how the text around them is shown: bidirectional embeddings, overrides and isolates (UAX #9).
_BIDIRECTIONAL = frozenset(("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"))
#: Controls, lone surrogates, and line and paragraph separators.
_UNSAFE = frozenset(("Cc", "Cs", "Zl", "Zp"))


@dataclass(frozen=True)
class Group:
    """Rows of a table that belong together; `heading` stands above them over the whole width, "" for none."""

    heading: str
    rows: Sequence[Sequence[str]]


def printable(text: str) -> str:
    r"""Text without characters that could rewrite a terminal; they are shown as Python writes them.

    >>> printable("a\x1b[2Jb")
    'a\\x1b[2Jb'
    """
    if text.isprintable():
        return text
    return "".join(_escaped(character) for character in text)


def display_width(text: str) -> int:
    """How many cells of a terminal a text takes: two for wide and full-width characters, none for combining marks.

    Source: Unicode Standard Annex #11, East Asian Width; ambiguous characters count as narrow, as terminals draw
    them unless they are told otherwise.

    >>> display_width("abc"), display_width("新华社")
    (3, 6)
    """
    return len(text) if text.isascii() else sum(map(_cells, text))


def fold(text: str, width: int) -> list[str]:
    """Cut a text into lines of at most `width` cells, after a space where there is one; nothing is left out.

    >>> fold("新华社北京 today", 8)
    ['新华社北', '京 today']
    """
    lines: list[str] = []
    start = used = space = 0  # where the line starts, its cells so far, and the place after its last space
    for index, character in enumerate(text):
        cells = _cells(character)
        while used + cells > width and index > start:
            cut = space if space > start else index
            lines.append(text[start:cut])
            start, used = cut, display_width(text[cut:index])
        used += cells
        if character == " ":
            space = index + 1
    return [*lines, text[start:]]


def table_lines(columns: Sequence[str], groups: Sequence[Group], *, width: int | None = None) -> Iterator[str]:
    """The lines of a table. With a `width` (in cells) columns of running text are folded until it fits, if it can."""
    safe = [Group(printable(g.heading), [[printable(cell) for cell in row] for row in g.rows]) for g in groups]
    indent = GAP if any(group.heading for group in safe) else ""
    cells = list(zip(columns, *(row for group in safe for row in group.rows), strict=True))
    widths = [max(map(display_width, column)) for column in cells]
    if width is not None:
        running = [at for at, column in enumerate(cells) if any(map(_is_running_text, column))]
        _shrink(widths, running, width - len(indent) - len(GAP) * (len(widths) - 1))
    yield from _row_lines(columns, widths, indent)
    yield from _row_lines(["-" * cells for cells in widths], widths, indent)
    for group in safe:
        if group.heading:
            yield group.heading
        for row in group.rows:
            yield from _row_lines(row, widths, indent)


def _row_lines(row: Sequence[str], widths: Sequence[int], indent: str) -> Iterator[str]:
    """One row, over several lines where a cell is folded."""
    folded = [fold(cell, width) for cell, width in zip(row, widths, strict=True)]
    for parts in zip_longest(*folded, fillvalue=""):
        padded = (part + " " * (width - display_width(part)) for part, width in zip(parts, widths, strict=True))
        yield (indent + GAP.join(padded)).rstrip()


def _shrink(widths: list[int], columns: Sequence[int], room: int) -> None:
    """Take from the widest of some columns, in place, until all have room."""
    while columns and sum(widths) > room:
        widest = max(columns, key=lambda at: widths[at])
        if widths[widest] <= NARROWEST:
            return
        widths[widest] -= 1


def _is_running_text(cell: str) -> bool:
    """Whether a cell can be read in two lines; a name or a path, which somebody will copy, cannot."""
    return " " in cell or not cell.isascii()


def _cells(character: str) -> int:
    if unicodedata.category(character) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in ("W", "F") else 1


def _escaped(character: str) -> str:
    unsafe = unicodedata.category(character) in _UNSAFE or unicodedata.bidirectional(character) in _BIDIRECTIONAL
    return character.encode("unicode_escape", "surrogatepass").decode("ascii") if unsafe else character
