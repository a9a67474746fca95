"""The page of `hub data check --report`: one file that loads nothing and runs nothing, with its pictures in it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from hub_core.data.check import PERCENTILES, Case, DataReport, Leak, SplitReport
from hub_core.paths import write_text
from hub_core.version import __version__

#: Widths of a picture's name column, its bars, and the numbers after them, in pixels; the height of a bar's row.
_NAMES, _BARS, _NUMBERS, _ROW = 230, 460, 190, 24
#: Labels that the picture of class balance shows, and broken rows that are listed.
_LABELS, _BROKEN = 60, 1000

_STYLE = """
:root { --ink: #1d2330; --soft: #5b6472; --line: #dde1e8; --paper: #fff; --panel: #f5f7fa;
  --bar: #3566c8; --bad: #c9501e }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e8ebf0; --soft: #9ba5b4; --line: #343b46; --paper: #15181d; --panel: #1e2229;
    --bar: #6f9dff; --bad: #ff9257 }
}
body { margin: 0; background: var(--paper); color: var(--ink); line-height: 1.5; font: 15px system-ui, "PingFang SC",
  "Microsoft YaHei", "Noto Sans CJK SC", sans-serif }
main { max-width: 1000px; margin: 0 auto; padding: 40px 24px }
h1 { margin: 0; overflow-wrap: anywhere } h2 { margin: 40px 0 4px } h3 { margin: 20px 0 4px; font-size: 15px }
p { margin: 4px 0 12px; color: var(--soft) }
.scroll { overflow-x: auto } table { border-collapse: collapse; font-variant-numeric: tabular-nums }
th, td { padding: 4px 12px 4px 0; border-bottom: 1px solid var(--line); text-align: right; white-space: nowrap }
th { color: var(--soft); font-weight: 600 } th:first-child, td:first-child { text-align: left }
svg { display: block; width: 100%; height: auto; margin: 8px 0 }
svg text { font-size: 13px; fill: var(--ink) } svg .soft { fill: var(--soft) }
.bar { fill: var(--bar) } .bad { fill: var(--bad) } .back { fill: var(--panel) }
article { background: var(--panel); border-radius: 8px; padding: 10px 14px; margin: 8px 0; overflow-wrap: anywhere }
article p { margin: 6px 0 0; display: flex; flex-wrap: wrap; gap: 0 20px } article b { color: var(--ink) }
code { font-size: 13px } .none { font-style: italic }
@media print { article { break-inside: avoid } }
"""


def write_report(found: DataReport, folder: Path) -> Path:
    """Write the page (``index.html``) and its figures (``report.json``) into a folder. Returns the page's path."""
    write_text(folder / "report.json", json.dumps(found.as_data(), ensure_ascii=False, indent=1) + "\n")
    page = folder / "index.html"
    write_text(page, check_page(found))
    return page


def check_page(found: DataReport) -> str:
    """The page as text."""
    parts = [
        *_heading(found),
        *_part("Splits", _SPLITS_ABOUT, _splits_table(found.splits)),
        *_leaks(found),
        *_part("Lengths", "Characters of a row; the last bar has the longest hundredth.", *_histograms(found.splits)),
        *_balance(found),
        *_cases("Contradicting labels", "Texts that have several labels within a split.", found.splits, "contradicted"),
        *_cases("Repeats", "Texts that a split has most often.", found.splits, "repeated"),
        *_broken(found.broken),
        _e("p", f"Made by hub_core {__version__}; report.json has the figures."),
    ]
    head = _e(
        "head",
        _e("meta", charset="utf-8"),
        _e("meta", name="viewport", content="width=device-width, initial-scale=1"),
        _e("title", f"{found.data} - data check"),
        _e("style", _STYLE),
    )
    root = _e("html", head, _e("body", _e("main", *parts)), lang="en")
    return "<!doctype html>\n" + ElementTree.tostring(root, encoding="unicode", method="html") + "\n"


_SPLITS_ABOUT = (
    "Repeats are rows that an earlier one says already; contradictions are texts with several labels. Texts count as "
    "the same whatever their white space, width (Ａ and A) and case. Lengths are in characters."
)


def _heading(found: DataReport) -> list[Element]:
    rows = sum(one.rows for one in found.splits)
    splits = f"{len(found.splits)} split{'' if len(found.splits) == 1 else 's'}"
    said = f"{rows:,} rows in {splits}, read for {found.read_for}; {len(found.broken):,} broken"
    return [_e("h1", found.data), _e("p", said)]


def _part(title: str, about: str, *content: Element) -> list[Element]:
    return [_e("h2", title), _e("p", about), *content]


def _splits_table(splits: Sequence[SplitReport]) -> Element:
    names = ("shortest", "median", *(f"{at}%" for at in PERCENTILES[2:-1]), "longest")
    head = ("split", "rows", "labelled", "repeats", "contradictions", *names)
    rows = [
        (one.name, one.rows, one.labelled, one.repeats, one.contradictions, *(one.lengths or [""] * len(names)))
        for one in splits
    ]
    return _table(head, rows)


def _table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> Element:
    body = [_e("tr", *(_e("td", f"{cell:,}" if isinstance(cell, int) else str(cell)) for cell in row)) for row in rows]
    titles = _e("thead", _e("tr", *(_e("th", name) for name in head)))
    return _e("div", _e("table", titles, _e("tbody", *body)), class_="scroll")


def _leaks(found: DataReport) -> list[Element]:
    about = "Rows of one split that stand in another; orange are those that have another label there."
    if not found.leaks:
        return _part("Leaks", about, _e("p", "No split has a row of another.", class_="none"))
    rows = [
        (f"{one.split} in {one.other}", one.same / one.of, one.relabelled / one.of, _said(one)) for one in found.leaks
    ]
    cases = [
        part
        for one in found.leaks
        if not one.split.startswith("train")  # seen from the other side they are the same
        for part in (_e("h3", f"{one.split} in {one.other}"), *map(_case, one.cases))
    ]
    return _part("Leaks", about, _bars("Shares of rows that stand in another split", rows), *cases)


def _said(one: Leak) -> str:
    return f"{one.same:,} of {one.of:,} ({one.same / one.of:.1%})"


def _balance(found: DataReport) -> list[Element]:
    about = "The share of each label in a split."
    pictures = [_e("p", str(one)) for one in found.misspelt]
    for one in found.splits:
        total = sum(count for _, count in one.labels)
        rows = [(label, n / total, 0.0, f"{n:,} ({n / total:.1%})") for label, n in one.labels[:_LABELS]]
        if rows:
            pictures += [_e("h3", one.name), _bars(f"Labels of {one.name}", rows)]
        if len(one.labels) > _LABELS:
            pictures.append(_e("p", f"... and {len(one.labels) - _LABELS} more labels in report.json"))
    return _part("Class balance", about, *pictures) if pictures else []


def _bars(title: str, rows: Sequence[tuple[str, float, float, str]]) -> Element:
    """Bars of a name, a share, the part of it that is drawn in the other colour, and what stands after it."""
    most = max((share for _, share, _, _ in rows), default=0.0) or 1.0
    marks = []
    for at, (name, share, part, said) in enumerate(rows):
        top = at * _ROW
        wide, bad = share / most * _BARS, part / most * _BARS
        marks += [
            _e("text", _short(name), x=_NAMES - 10, y=top + 16, text_anchor="end"),
            _e("rect", class_="back", x=_NAMES, y=top + 4, width=_BARS, height=_ROW - 8),
            _e("rect", class_="bar", x=_NAMES, y=top + 4, width=f"{wide:.1f}", height=_ROW - 8),
            _e("rect", class_="bad", x=_NAMES, y=top + 4, width=f"{bad:.1f}", height=_ROW - 8),
            _e("text", said, x=_NAMES + _BARS + 10, y=top + 16, class_="soft"),
        ]
    return _svg(title, _NAMES + _BARS + _NUMBERS, len(rows) * _ROW + 4, marks)


def _histograms(splits: Sequence[SplitReport]) -> list[Element]:
    return [part for one in splits if one.histogram for part in (_e("h3", one.name), _histogram(one))]


def _histogram(one: SplitReport) -> Element:
    wide, tall, foot = _NAMES + _BARS + _NUMBERS, 120, 22
    most = max(count for _, count in one.histogram)
    step = wide / len(one.histogram)
    marks = []
    for at, (bound, count) in enumerate(one.histogram):
        height = count / most * tall
        told = _e("title", f"up to {bound} characters: {count:,} rows")
        place = {"x": f"{at * step + 1:.1f}", "y": f"{tall - height:.1f}", "width": f"{step - 2:.1f}"}
        marks.append(_e("rect", told, class_="bar", height=f"{height:.1f}", **place))
        if at % 4 == 3:
            marks.append(
                _e("text", f"{bound}", x=f"{(at + 1) * step:.1f}", y=tall + 16, text_anchor="end", class_="soft")
            )
    return _svg(f"Lengths of {one.name}", wide, tall + foot, marks)


def _cases(title: str, about: str, splits: Sequence[SplitReport], field: str) -> list[Element]:
    parts = []
    for one in splits:
        cases = getattr(one, field)
        if cases:
            parts += [_e("h3", one.name), *map(_case, cases)]
    return _part(title, about, *parts) if parts else []


def _case(case: Case) -> Element:
    rows = [_e("span", _e("code", key), " ", _e("b", label)) for key, label in case.rows]
    return _e("article", _e("div", case.text, dir="auto"), _e("p", *rows))


def _broken(problems: Sequence[str]) -> list[Element]:
    if not problems:
        return []
    listed = [_e("div", _e("code", problem)) for problem in problems[:_BROKEN]]
    about = f"{len(problems):,} rows that cannot be used." + (
        f" The first {_BROKEN:,}; report.json has all." if len(problems) > _BROKEN else ""
    )
    return _part("Broken rows", about, _e("article", *listed))


def _svg(title: str, width: float, height: float, marks: Sequence[Element]) -> Element:
    return _e("svg", *marks, viewBox=f"0 0 {width:g} {height:g}", role="img", aria_label=title)


def _short(name: str) -> str:
    return name if len(name) <= 26 else name[:25] + "…"


def _e(tag: str, *children: Element | str, **attributes: object) -> Element:
    """An element; texts are escaped when the page is written, and nothing in them is run."""
    made = Element(tag, {name.rstrip("_").replace("_", "-"): str(value) for name, value in attributes.items()})
    for child in children:
        if isinstance(child, Element):
            made.append(child)
        elif len(made):
            made[-1].tail = (made[-1].tail or "") + _shown(child)
        else:
            made.text = (made.text or "") + _shown(child)
    return made


def _shown(text: str) -> str:
    """A text without control characters and lone surrogates, which a page must not hold."""
    return "".join(one if one.isprintable() or one in "\n\t\u3000\xa0" else ascii(one)[1:-1] for one in text)
