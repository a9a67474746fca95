"""How commands print: tables for people and JSON for programs on stdout; notes and progress on stderr."""

from __future__ import annotations

import json
import logging
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from io import TextIOWrapper
from typing import TYPE_CHECKING, Any

from hub_core.cli.table import Group, display_width, printable, table_lines

if TYPE_CHECKING:
    from hub_core.transfer import Progress


def print_json(data: Any) -> None:
    """Print plain data as JSON, as UTF-8 whatever the terminal's encoding is."""
    _as_utf8()
    print(json.dumps(data, ensure_ascii=False, indent=1))


def print_json_lines(rows: Iterator[Mapping[str, Any]]) -> None:
    """Print one JSON object per line, each as soon as it is there."""
    _as_utf8()
    for row in rows:
        print(json.dumps(row, ensure_ascii=False), flush=True)


def print_table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print rows under a header. In a terminal wide columns are folded to fit; in a pipe every row is one line."""
    print_groups(columns, [("", rows)])


def print_groups(columns: Sequence[str], groups: Sequence[tuple[str, Sequence[Sequence[object]]]]) -> None:
    """Print one table of several groups of rows, each under a heading over the whole width."""
    texts = [Group(heading, [[str(cell) for cell in row] for row in rows]) for heading, rows in groups]
    for line in table_lines(columns, texts, width=_terminal_width()):
        print(line)


def print_pairs(pairs: Mapping[str, object]) -> None:
    """Print names and values, aligned; names without a value are left out."""
    names = {name: printable(name) for name in pairs}
    width = max(map(display_width, names.values()), default=0)
    for name, value in pairs.items():
        if value not in (None, "", (), {}):
            print(names[name] + " " * (width - display_width(names[name])) + "  " + printable(str(value)))


def print_record(record: Mapping[str, object], *, as_json: bool) -> None:
    """Print one record of results: as JSON, or as pairs with numbers of four decimals."""
    if as_json:
        print_json(record)
    else:
        print_pairs({name: f"{value:.4f}" if isinstance(value, float) else value for name, value in record.items()})


def note(text: str) -> None:
    """Write to stderr for the person at the terminal, above a progress bar where one is shown."""
    shown = "\n".join(printable(line) for line in text.split("\n"))
    # Only where tqdm is loaded can there be a bar, and loading it takes longer than `hub list`.
    tqdm = sys.modules.get("tqdm")
    if tqdm is None:
        print(shown, file=sys.stderr)
    else:
        tqdm.tqdm.write(shown, file=sys.stderr)


@contextmanager
def plain_notes(level: str | None = None) -> Iterator[None]:
    """For the length of the block, warnings and the log lines of hub_core are notes: without file names and source.

    With a `level` (``error``, ...) only what is at least as grave.
    """
    logger, handler = logging.getLogger("hub_core"), _Notes()
    before = logger.level
    logger.addHandler(handler)
    if level is not None:
        logger.setLevel(level.upper())
    try:
        with warnings.catch_warnings():
            warnings.showwarning = lambda message, *_, **__: None if level == "error" else note(f"warning: {message}")
            yield
    finally:
        logger.setLevel(before)
        logger.removeHandler(handler)


@contextmanager
def progress_bar(total: int | None, unit: str) -> Iterator[Callable[[int], None]]:
    """A bar on stderr while it is a terminal; yields a function that is told how much more is done."""
    if not sys.stderr.isatty():
        yield lambda more: None  # noqa: ARG005
        return
    from tqdm import tqdm

    with tqdm(total=total, unit=unit, unit_scale=total is None, leave=False, file=sys.stderr) as bar:

        def advance(more: int) -> None:
            bar.update(more)

        yield advance


@contextmanager
def download_progress() -> Iterator[Progress | None]:
    """A bar per file that is fetched, on stderr while it is a terminal; yields what `install` takes as `progress`."""
    if not sys.stderr.isatty():
        yield None
        return
    from tqdm import tqdm

    bars: dict[str, Any] = {}

    def told(what: str, done: int, total: int | None) -> None:
        if what not in bars:
            bars[what] = tqdm(total=total, unit="B", unit_scale=True, desc=what, leave=False, file=sys.stderr)
        bars[what].update(done - bars[what].n)

    try:
        yield told
    finally:
        for bar in bars.values():
            bar.close()


class _Notes(logging.Handler):
    """Log records as notes; from warnings on with the name of their level."""

    def emit(self, record: logging.LogRecord) -> None:
        prefix = f"{record.levelname.lower()}: " if record.levelno >= logging.WARNING else ""
        note(prefix + record.getMessage())


def _as_utf8() -> None:
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8")


def _terminal_width() -> int | None:
    """The cells of a line on stdout, None where it is no terminal."""
    if not sys.stdout.isatty():
        return None
    from shutil import get_terminal_size

    return get_terminal_size().columns
