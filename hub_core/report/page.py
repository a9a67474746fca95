"""The pages of reports and comparisons: one file each, which loads nothing, runs nothing, and prints."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any
from xml.etree.ElementTree import Element

from hub_core.report.elements import element, html
from hub_core.report.pictures import (
    chart_picture,
    differences_picture,
    histogram_picture,
    reliability_picture,
    scatter_picture,
)
from hub_core.report.sections import (
    Cell,
    Chart,
    Figure,
    Histogram,
    Line,
    Matrix,
    Passage,
    Passages,
    Reliability,
    Scatter,
    Section,
    Table,
)
from hub_core.version import __version__

if TYPE_CHECKING:
    from hub_core.metrics import Matched
    from hub_core.report.comparison import Comparison
    from hub_core.report.making import Report

#: Nothing but the page's own style is allowed, so that even a flaw in this file could load and run nothing.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'"
#: A matrix of more columns is drawn smaller, its names turned, so that it fits the page.
_ROOMY = 7


def report_page(report: Report) -> str:
    """A report as one HTML file."""
    module = report.about.get("module", report.task)
    about = {name: value for name, value in report.about.items() if name != "module"}
    parts = [
        _header("Evaluation", module, {**about, "rows": f"{len(report.records):,}", "task": report.task}),
        _figures(report.figures),
        _contents(report.sections),
        *(_section(section) for section in report.sections),
        _footer("report.json has the figures of this page, predictions.jsonl every row and its answer."),
    ]
    return _page(f"{module} - evaluation", parts)


def comparison_page(comparison: Comparison) -> str:
    """A comparison as one HTML file."""
    first, second = comparison.names
    about = {"A": first, "B": second, "rows": f"{comparison.rows:,}", "task": comparison.task}
    sections = [
        _part(
            "differences", "Differences", _DIFFERENCES, differences_picture(comparison.differences), _scores(comparison)
        ),
    ]
    if comparison.matched is not None:
        sections.append(_part("rows", "Row by row", _MCNEMAR, *_rows(comparison.matched)))
    kinds = (("better", "Where B is better"), ("worse", "Where B is worse"), ("other", "Answered otherwise"))
    for (name, title), count in zip(kinds, comparison.differing, strict=True):
        passages: Sequence[Passage] = getattr(comparison, name)
        said = f"{count:,} of {comparison.rows:,} rows" + (f", {len(passages)} shown." if passages else ".")
        sections.append(_part(name, title, said, _passages(Passages(passages, "There is none."))))
    parts = [
        _header("Comparison", f"{first} and {second}", about),
        _verdict(comparison),
        *sections,
        _footer("comparison.json has the figures of this page, first.jsonl and second.jsonl every row."),
    ]
    return _page(f"{first} and {second} - comparison", parts)


_DIFFERENCES = (
    "B - A, with the 95% interval of a paired bootstrap: 10,000 times as many rows are drawn anew, the same of both. "
    "A difference whose interval leaves out 0 is more than the choice of these rows."
)
_MCNEMAR = (
    "Rows that each module has entirely right. p is the probability of so uneven a split between those that only A and "
    "those that only B has right, if both were equally good (McNemar's exact test)."
)


def _page(title: str, parts: Sequence[Element]) -> str:
    style = Path(__file__).with_name("page.css").read_text(encoding="utf-8")
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=_POLICY),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("title", title),
        element("style", style),
    )
    return html(element("html", head, element("body", element("main", *parts)), lang="en"))


def _header(kind: str, title: str, about: Mapping[str, str]) -> Element:
    facts = [element("div", element("dt", name), element("dd", value)) for name, value in about.items()]
    return element("header", element("p", kind, class_="kind"), element("h1", title), element("dl", *facts))


def _footer(text: str) -> Element:
    return element("footer", element("p", text), element("p", f"Made by hub_core {__version__}"))


def _figures(figures: Sequence[Figure]) -> Element:
    tiles = []
    for figure in figures:
        bounds = figure.interval and f"{figure.interval[0]:.4f} to {figure.interval[1]:.4f}"
        whiskers = _whisker(figure) if figure.interval and figure.interval[0] >= 0 and figure.interval[1] <= 1 else None
        about = element("p", bounds, class_="bounds", title="95% bootstrap interval") if bounds else None
        name, value = element("h2", figure.name), element("p", f"{figure.value:.4f}", class_="value")
        tiles.append(element("div", *(part for part in (name, value, whiskers, about) if part is not None)))
    return element("section", *tiles, class_="figures")


def _whisker(figure: Figure) -> Element:
    """The interval on a line from 0 to 1."""
    low, high = figure.interval or (figure.value, figure.value)
    span = element("i", style=f"left:{low:.2%};width:{high - low:.2%}")
    return element("div", span, element("b", style=f"left:{figure.value:.2%}"), class_="interval")


def _contents(sections: Sequence[Section]) -> Element:
    return element("nav", *(element("a", section.title, href=f"#{section.name}") for section in sections))


def _section(section: Section) -> Element:
    return _part(section.name, section.title, section.about, *(_block(block) for block in section.blocks))


def _part(name: str, title: str, about: str, *blocks: Element) -> Element:
    head = element("div", element("h2", title), element("p", about, class_="about"))
    return element("section", head, element("div", *blocks, class_="blocks"), id=name)


def _block(block: Any) -> Element:
    drawn = _DRAWN[type(block)](block)
    return element("figure", element("figcaption", block.title), drawn) if block.title else drawn


def _table(table: Table) -> Element:
    numeric = [all(not isinstance(row[at], str) for row in table.rows) for at in range(len(table.columns))]
    heads = [
        element("th", name, class_="n" if right else None) for name, right in zip(table.columns, numeric, strict=True)
    ]
    rows = [element("tr", *map(_cell, row, table.columns, [table.bars] * len(row))) for row in table.rows]
    return _scrolling(element("table", element("thead", element("tr", *heads)), element("tbody", *rows)))


def _cell(value: Cell, column: str, bars: Sequence[str]) -> Element:
    if isinstance(value, str):
        return element("td", value)
    text = "" if value is None else f"{value:,}" if isinstance(value, int) else f"{value:.4f}"
    if column not in bars or value is None:
        return element("td", text, class_="n")
    bar = element("span", element("i", style=f"width:{min(1.0, value):.2%}"), class_="share")
    return element("td", text, bar, class_="n barred")


def _matrix(matrix: Matrix) -> Element:
    head = [element("th", "gold \\ answer"), *(element("th", name, class_="n") for name in matrix.across)]
    rows = []
    for label, counts in zip(matrix.down, matrix.counts, strict=True):
        total = max(1, sum(counts))
        cells = []
        for name, count in zip(matrix.across, counts, strict=True):
            kind = ("hit" if name == label else "miss") + (" dark" if count / total > 0.55 else "")
            told = f"{label} answered with {name}: {count} of {sum(counts)} ({count / total:.1%})"
            share = element("small", f"{count / total:.1%}" if count else "")
            cells.append(
                element("td", f"{count:,}", share, class_=f"n {kind}", title=told, style=f"--share:{count / total:.3f}")
            )
        rows.append(element("tr", element("th", label), *cells))
    size = "matrix dense" if len(matrix.across) > _ROOMY else "matrix"
    return _scrolling(element("table", element("thead", element("tr", *head)), element("tbody", *rows), class_=size))


def _scatter(block: Scatter) -> Element:
    return element("div", scatter_picture(block), _table(block.ranges), class_="blocks")


def _passages(block: Passages) -> Element:
    if not block.passages:
        return element("p", block.none, class_="none")
    return element("div", *map(_passage, block.passages), class_="passages")


def _passage(passage: Passage) -> Element:
    head = element("header", element("code", passage.key), element("span", passage.note) if passage.note else None)
    texts = [element("p", text, dir="auto") for text in (passage.text, passage.pair) if text]
    lines = element("dl", *(part for line in passage.lines for part in (element("dt", line.name), _line(line))))
    return element("article", head, *texts, lines)


def _line(line: Line) -> Element:
    pieces: list[Element | str] = []
    for piece in line.pieces:
        label = element("small", piece.label) if piece.label else None
        pieces.append(element("mark", piece.text, label, class_=piece.mark) if piece.mark else piece.text)
    return element("dd", *pieces, dir="auto")


def _verdict(comparison: Comparison) -> Element:
    """The main score of both, and whether they differ."""
    main = comparison.differences[0]
    said = (
        "B is better"
        if main.clear and main.second > main.first
        else "A is better"
        if main.clear
        else "no clear difference"
    )
    side = "" if not main.clear else "better" if main.second > main.first else "worse"
    bounds = f"{main.low:+.4f} to {main.high:+.4f}"
    tiles = [
        element("div", element("h2", f"{main.score}, A"), element("p", f"{main.first:.4f}", class_="value")),
        element("div", element("h2", f"{main.score}, B"), element("p", f"{main.second:.4f}", class_="value")),
        element(
            "div",
            element("h2", "B - A"),
            element("p", f"{main.second - main.first:+.4f}", class_=f"value {side}".strip()),
            element("p", bounds, class_="bounds", title="paired 95% bootstrap interval"),
        ),
        element("div", element("h2", "verdict"), element("p", said, class_="said")),
    ]
    return element("section", *tiles, class_="figures verdict")


def _scores(comparison: Comparison) -> Element:
    rows = [
        (one.score, one.first, one.second, f"{one.second - one.first:+.4f}", f"{one.low:+.4f} to {one.high:+.4f}")
        for one in comparison.differences
    ]
    return _table(Table(("score", "A", "B", "B - A", "95% interval"), rows))


def _rows(found: Matched) -> list[Element]:
    table = Matrix(
        ("A right", "A wrong"),
        ("B right", "B wrong"),
        ((found.both, found.only_first), (found.only_second, found.neither)),
    )
    return [_crossed(table), element("p", f"p = {found.p:.4g}", class_="none")]


def _crossed(matrix: Matrix) -> Element:
    head = [element("th", ""), *(element("th", name, class_="n") for name in matrix.across)]
    rows = [
        element("tr", element("th", label), *(element("td", f"{count:,}", class_="n") for count in counts))
        for label, counts in zip(matrix.down, matrix.counts, strict=True)
    ]
    return _scrolling(element("table", element("thead", element("tr", *head)), element("tbody", *rows)))


def _scrolling(table: Element) -> Element:
    return element("div", table, class_="scroll")


_DRAWN: Mapping[type, Callable[[Any], Element]] = MappingProxyType(
    {
        Table: _table,
        Matrix: _matrix,
        Chart: chart_picture,
        Histogram: histogram_picture,
        Scatter: _scatter,
        Reliability: reliability_picture,
        Passages: _passages,
    }
)
