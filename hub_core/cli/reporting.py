"""Reports and comparisons in a terminal: their tables, and of pictures the numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from hub_core.cli.output import print_pairs, print_table
from hub_core.data.problems import shortened
from hub_core.report import Comparison, Report
from hub_core.report.sections import Cell, Figure, Passage, Passages, Table

#: How many rows to read a terminal shows of each kind, and how much of their texts; the page has more.
SHOWN, TEXT = 10, 60


def print_report(report: Report) -> None:
    """Print the scores and every section of a report."""
    print_pairs({**report.about, "task": report.task, "rows": len(report.records)})
    print()
    print_table(("score", "value", "95% interval"), [_figure(figure) for figure in report.figures])
    for section in report.sections:
        for block in section.blocks:
            if isinstance(block, Passages):
                _print_passages(section.title, block.passages)
            else:
                _print_block(block.title or section.title, block.as_table())


def print_comparison(comparison: Comparison) -> None:
    """Print both scores, their differences, and the rows on which the answers differ."""
    print_pairs({"A": comparison.names[0], "B": comparison.names[1], "task": comparison.task, "rows": comparison.rows})
    print()
    columns = ("score", "A", "B", "B - A", "95% interval", "")
    rows = [
        (
            one.score,
            _shown(one.first),
            _shown(one.second),
            f"{one.second - one.first:+.4f}",
            f"{one.low:+.4f} to {one.high:+.4f}",
            "" if not one.clear else "B is better" if one.low > 0 else "A is better",
        )
        for one in comparison.differences
    ]
    print_table(columns, rows)
    if (found := comparison.matched) is not None:
        counts = Table(
            ("both", "only A", "only B", "neither", "McNemar's p"),
            [(found.both, found.only_first, found.only_second, found.neither, f"{found.p:.4g}")],
        )
        _print_block("Rows that are entirely right", counts)
    kinds = (("B is better", comparison.better), ("B is worse", comparison.worse), ("otherwise", comparison.other))
    for (title, passages), count in zip(kinds, comparison.differing, strict=True):
        if passages:
            _print_passages(f"{title}: {count} rows", passages)


def _figure(figure: Figure) -> tuple[str, str, str]:
    bounds = figure.interval
    return figure.name, _shown(figure.value), f"{bounds[0]:.4f} to {bounds[1]:.4f}" if bounds else ""


def _print_passages(title: str, passages: Sequence[Passage]) -> None:
    shown = passages[:SHOWN]
    if len(passages) > len(shown):
        title += f" (the first {len(shown)}; the page has {len(passages)})"
    table = Passages(shown, "").as_table()
    cut = [tuple(shortened(cell, TEXT) if isinstance(cell, str) else cell for cell in row) for row in table.rows]
    _print_block(title, replace(table, rows=cut))


def _print_block(title: str, table: Table) -> None:
    print(f"\n{title}\n")
    print_table(table.columns, [tuple(map(_shown, row)) for row in table.rows])


def _shown(value: Cell) -> str:
    return "" if value is None else f"{value:.4f}" if isinstance(value, float) else str(value)
