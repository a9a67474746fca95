"""How commands print: tables for people, JSON for programs, progress on stderr."""

from __future__ import annotations

import json
import sys
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Annotated, Any

import typer

JsonFlag = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]


def print_json(data: Any) -> None:
    """Print plain data as JSON, as UTF-8 whatever the terminal's encoding is."""
    sys.stdout.reconfigure(encoding="utf-8")  # type: ignore[union-attr]
    print(json.dumps(data, ensure_ascii=False, indent=1))


def print_table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print rows under a header. In a terminal the longest column wraps; in a pipe every row is one line."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    cells = [[printable(str(cell)) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    table = Table(box=SIMPLE_HEAD, pad_edge=False, header_style="bold")
    for name, width in zip(columns, widths, strict=True):
        table.add_column(name, overflow="fold", no_wrap=width < max(widths))
    for row in cells:
        table.add_row(*row)
    wide = None if sys.stdout.isatty() else max(80, 3 * sum(widths) + 40)
    Console(markup=False, highlight=False, emoji=False, width=wide).print(table)


def print_pairs(pairs: Mapping[str, object]) -> None:
    """Print names and values, aligned; names without a value are left out."""
    width = max((len(name) for name in pairs), default=0)
    for name, value in pairs.items():
        if value not in (None, "", (), {}):
            print(f"{name:<{width}}  {printable(str(value))}")


def printable(text: str) -> str:
    """Text without control characters, which could rewrite a terminal: they are shown as ``\\x1b``."""
    return "".join(c if unicodedata.category(c) not in ("Cc", "Cs") else repr(c)[1:-1] for c in text)


@contextmanager
def progress_bar(total: int | None, unit: str) -> Iterator[Any]:
    """A bar on stderr while it is a terminal; yields a function that is told how much more is done."""
    from tqdm import tqdm

    with tqdm(total=total, unit=unit, disable=None, leave=False, file=sys.stderr) as bar:
        yield bar.update


@contextmanager
def download_progress() -> Iterator[Any]:
    """A bar per file that is fetched; yields what `install` takes as `progress`."""
    from tqdm import tqdm

    bars: dict[str, Any] = {}

    def told(name: str, done: int, total: int | None) -> None:
        if name not in bars:
            bars[name] = tqdm(total=total, unit="B", unit_scale=True, desc=name, disable=None, file=sys.stderr)
        bars[name].update(done - bars[name].n)

    try:
        yield told
    finally:
        for bar in bars.values():
            bar.close()
