"""What a report is made of: sections of tables, matrices, charts and passages, as data that any form can show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from hub_core.metrics import Bin

Cell = str | int | float | None


@dataclass(frozen=True)
class Figure:
    """One score, and where it is known its 95% interval."""

    name: str
    value: float
    interval: tuple[float, float] | None = None


@dataclass(frozen=True)
class Table:
    """Rows under a header. `bars` are the columns (of shares, 0 to 1) that pictures draw as bars too."""

    columns: tuple[str, ...]
    rows: Sequence[tuple[Cell, ...]]
    bars: tuple[str, ...] = ()
    title: str = ""

    def as_table(self) -> Table:
        """This table."""
        return self


@dataclass(frozen=True)
class Matrix:
    """How often each row's label met each column's; `counts` is rows of whole numbers."""

    down: tuple[str, ...]
    across: tuple[str, ...]
    counts: Sequence[Sequence[int]]
    title: str = ""

    def as_table(self) -> Table:
        """The counts, gold down, predicted across."""
        rows: list[tuple[Cell, ...]] = [(label, *row) for label, row in zip(self.down, self.counts, strict=True)]
        return Table(("gold \\ predicted", *self.across), rows, title=self.title)


@dataclass(frozen=True)
class Point:
    """A score of some rows, with its interval, and how many rows they are."""

    label: str
    value: float
    low: float
    high: float
    count: int


@dataclass(frozen=True)
class Chart:
    """A score along something: `points` from left to right, `axis` names what they go along."""

    score: str
    axis: str
    points: Sequence[Point]
    title: str = ""

    def as_table(self) -> Table:
        """One row per point."""
        rows = [(one.label, one.count, one.value, one.low, one.high) for one in self.points]
        return Table((self.axis, "rows", self.score, "low", "high"), rows, title=self.title)


@dataclass(frozen=True)
class Reliability:
    """Answers by confidence: how many of each bin are right. `what` names what is counted."""

    bins: Sequence[Bin]
    what: str
    title: str = ""

    def as_table(self) -> Table:
        """One row per bin."""
        rows = [(f"{one.low:.2f}-{one.high:.2f}", one.count, one.confidence, one.accuracy) for one in self.bins]
        return Table(("probability", self.what, "mean", "right"), rows, title=self.title)


@dataclass(frozen=True)
class Bar:
    """How many rows of each series have a number from `low` to `high`."""

    low: float
    high: float
    counts: tuple[int, ...]


@dataclass(frozen=True)
class Histogram:
    """How a number, named by `axis`, is spread over the rows of each series; `bars` from left to right."""

    axis: str
    series: tuple[str, ...]
    bars: Sequence[Bar]
    title: str = ""

    def as_table(self) -> Table:
        """One row per bar."""
        rows: list[tuple[Cell, ...]] = [(f"{one.low:.12g} to {one.high:.12g}", *one.counts) for one in self.bars]
        return Table((self.axis, *self.series), rows, title=self.title)


@dataclass(frozen=True)
class Scatter:
    """Rows as points ``(gold, predicted)``, right ones on the diagonal; `ranges` says the same in numbers."""

    points: Sequence[tuple[float, float]]
    ranges: Table
    title: str = ""

    def as_table(self) -> Table:
        """The numbers."""
        return self.ranges


@dataclass(frozen=True)
class Piece:
    """A piece of a line. `mark` says what it is (``right``, ``wrong``, ``gold``, ``missed``), "" for plain text."""

    text: str
    mark: str = ""
    label: str = ""


@dataclass(frozen=True)
class Line:
    """One answer to a row, or what is right: `pieces` for pictures, `summary` for a cell of a table."""

    name: str
    pieces: tuple[Piece, ...]
    summary: str


@dataclass(frozen=True)
class Passage:
    """One row with its text, what is right, and what was answered; `note` says why it is shown.

    `text` is empty where the lines hold the text themselves; `pair` is the second text of a pair.
    """

    key: str
    note: str
    text: str
    lines: tuple[Line, ...]
    pair: str = ""


@dataclass(frozen=True)
class Passages:
    """Rows to read; `none` is said where there are none."""

    passages: Sequence[Passage]
    none: str
    title: str = ""

    def as_table(self) -> Table:
        """One row per passage."""
        names = tuple(line.name for line in self.passages[0].lines) if self.passages else ()
        noted = any(one.note for one in self.passages)
        rows: list[tuple[Cell, ...]] = [
            (one.key, *([one.note] if noted else []), *(line.summary for line in one.lines), plain(one))
            for one in self.passages
        ]
        return Table(("row", *(["note"] if noted else []), *names, "text"), rows, title=self.title)


def plain(passage: Passage) -> str:
    """The text of a passage, or both."""
    return " ‖ ".join(filter(None, (passage.text, passage.pair))) or "".join(
        piece.text for piece in passage.lines[0].pieces
    )


Block = Table | Matrix | Chart | Reliability | Histogram | Scatter | Passages


@dataclass(frozen=True)
class Section:
    """A part of a report. `name` is its key in report.json, `about` says in a sentence or two how to read it."""

    name: str
    title: str
    about: str
    blocks: tuple[Block, ...]
