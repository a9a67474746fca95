"""Pictures of a report, as SVG. Colours are the page's (report/page.css), so that they follow light, dark and print."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING
from xml.etree.ElementTree import Element

from hub_core.report.elements import element
from hub_core.report.sections import Chart, Histogram, Reliability, Scatter

if TYPE_CHECKING:
    from hub_core.report.comparison import Difference


def reliability_picture(block: Reliability) -> Element:
    """Accuracy by confidence, the gap to the diagonal shaded, and below how many answers each bin has."""
    left, top, side, gap, below, foot = 46, 12, 340, 30, 60, 34
    width, height = left + side + 12, top + side + gap + below + foot

    def x(value: float) -> float:
        return left + value * side

    def y(value: float) -> float:
        return top + (1 - value) * side

    marks = [_grid(left, top, side, side)]
    base = top + side + gap + below
    most = max(one.count for one in block.bins)
    for one in block.bins:
        told = f"{one.count} {block.what} with {one.confidence:.1%} on average, {one.accuracy:.1%} right"
        start, wide = x(one.low) + 0.75, max(1.0, (one.high - one.low) * side - 1.5)
        upper, lower = max(one.accuracy, one.confidence), min(one.accuracy, one.confidence)
        bars = [_rect(start, y(lower), wide, lower * side, "bar")]
        bars.append(_rect(start, y(upper), wide, (upper - lower) * side, "gap"))
        bars.append(element("circle", class_="dot", cx=x(one.confidence), cy=y(one.accuracy), r=3.2))
        tall = max(1.0, one.count / most * below)
        bars.append(_rect(start, base - tall, wide, tall, "count"))
        marks.append(element("g", element("title", told), *bars))
    marks.append(element("line", class_="diagonal", x1=x(0), y1=y(0), x2=x(1), y2=y(1)))
    marks.append(element("line", class_="axis", x1=left, y1=base, x2=left + side, y2=base))
    for step in range(6):
        marks.append(_text(x(step / 5), base + 15, f"{step * 20}%", "middle"))
        marks.append(_text(left - 7, y(step / 5) + 4, f"{step * 20}%", "end"))
    marks.append(_text(left + side / 2, base + 30, f"probability of {block.what}", "middle"))
    marks.append(_text(left + 8, top + 16, "share that is right", "start"))
    marks.append(_text(left + 8, base - below - 6, f"number of {block.what}", "start"))
    return _svg(width, height, f"Reliability diagram: {block.what} by probability and how many are right", marks)


def chart_picture(block: Chart) -> Element:
    """Points with whiskers, and below how many rows each stands on."""
    left, top, wide, tall, below, foot = 52, 32, 640, 210, 44, 36
    low, high = _range([one.low for one in block.points], [one.high for one in block.points])

    def y(value: float) -> float:
        return top + (high - value) / (high - low) * tall

    marks: list[Element] = [_text(8, top - 20, block.score, "start")]
    for value in _ticks(low, high):
        marks.append(element("line", class_="grid", x1=left, x2=left + wide, y1=y(value), y2=y(value)))
        marks.append(_text(left - 8, y(value) + 4, f"{value:.2f}", "end"))
    base, most = top + tall + 14 + below, max(one.count for one in block.points)
    step = wide / len(block.points)
    places = [left + step * (at + 0.5) for at in range(len(block.points))]
    path = " ".join(f"{x:.2f},{y(one.value):.2f}" for x, one in zip(places, block.points, strict=True))
    marks.append(element("polyline", class_="trend", points=path))
    for x, one in zip(places, block.points, strict=True):
        told = f"{one.label} {block.axis}, {one.count} rows: {one.value:.4f} ({one.low:.4f} to {one.high:.4f})"
        height = max(1.0, one.count / most * below)
        parts = [
            element("line", class_="whisker", x1=x, x2=x, y1=y(one.low), y2=y(one.high)),
            *(element("line", class_="whisker", x1=x - 6, x2=x + 6, y1=y(at), y2=y(at)) for at in (one.low, one.high)),
            element("circle", class_="dot", cx=x, cy=y(one.value), r=4.5),
            _text(x, y(one.high) - 7, f"{one.value:.3f}", "middle", "value"),
            _rect(x - step * 0.3, base - height, step * 0.6, height, "count"),
            _text(x, base + 15, one.label, "middle"),
        ]
        marks.append(element("g", element("title", told), *parts))
    marks.append(element("line", class_="axis", x1=left, x2=left + wide, y1=base, y2=base))
    marks.append(_text(left + wide / 2, base + 31, block.axis, "middle"))
    marks.append(_text(left - 8, base - below + 8, "rows", "end"))
    return _svg(left + wide + 16, base + foot, f"{block.score} by {block.axis}", marks)


def histogram_picture(block: Histogram) -> Element:
    """Each series on a line of its own over one axis, as shares of its rows, so that series of unlike size compare."""
    left, top, wide, tall, gap, foot = 52, 22, 640, 96, 30, 40
    low, high = block.bars[0].low, block.bars[-1].high
    totals = [max(1, sum(column)) for column in zip(*(one.counts for one in block.bars), strict=True)]
    most = max(count / total for one in block.bars for count, total in zip(one.counts, totals, strict=True))

    def x(value: float) -> float:
        return left + (value - low) / (high - low) * wide

    base = top + (tall + gap) * len(block.series) - gap
    marks = [element("line", class_="grid", x1=x(one), x2=x(one), y1=top, y2=base) for one in _ticks(low, high)]
    for at, (name, total) in enumerate(zip(block.series, totals, strict=True)):
        floor = top + tall + (tall + gap) * at
        marks.append(
            _text(left + 4, floor - tall - 7, f"{name}: {sum(one.counts[at] for one in block.bars):,}", "start")
        )
        for one in block.bars:
            share = one.counts[at] / total
            if share:
                told = f"{name}, {one.low:.12g} to {one.high:.12g}: {one.counts[at]:,} ({share:.1%})"
                start, size = x(one.low) + 0.5, max(1.0, x(one.high) - x(one.low) - 1)
                bar = _rect(start, floor - share / most * tall, size, share / most * tall, "bar")
                marks.append(element("g", element("title", told), bar))
        marks.append(element("line", class_="axis", x1=left, x2=left + wide, y1=floor, y2=floor))
        marks.append(_text(left - 8, floor - tall + 8, f"{most:.0%}", "end"))
    marks += [_text(x(one), base + 16, f"{one:.9g}", "middle") for one in _ticks(low, high)]
    marks.append(_text(left + wide / 2, base + 34, block.axis, "middle"))
    return _svg(left + wide + 16, base + foot, f"How {block.axis} is spread over {', '.join(block.series)}", marks)


def scatter_picture(block: Scatter) -> Element:
    """A point per row: the gold number across, the predicted one up, and the diagonal."""
    left, top, side, foot = 52, 14, 380, 40
    values = [value for point in block.points for value in point]
    low, high = min(values), max(values)
    margin = (high - low) * 0.04 or 0.5
    low, high = low - margin, high + margin

    def place(value: float) -> float:
        return (value - low) / (high - low) * side

    marks: list[Element] = []
    for value in _ticks(low, high):
        across, up = left + place(value), top + side - place(value)
        marks.append(element("line", class_="grid", x1=across, x2=across, y1=top, y2=top + side))
        marks.append(element("line", class_="grid", x1=left, x2=left + side, y1=up, y2=up))
        marks.append(_text(across, top + side + 16, f"{value:g}", "middle"))
        marks.append(_text(left - 8, up + 4, f"{value:g}", "end"))
    marks.append(element("line", class_="diagonal", x1=left, y1=top + side, x2=left + side, y2=top))
    for gold, predicted in block.points:
        marks.append(element("circle", class_="point", cx=left + place(gold), cy=top + side - place(predicted), r=2.6))
    marks.append(_text(left + side / 2, top + side + 34, "gold", "middle"))
    marks.append(_text(left + 8, top + 14, "predicted", "start"))
    return _svg(left + side + 12, top + side + foot, "Predicted numbers by gold ones", marks)


def differences_picture(differences: Sequence[Difference]) -> Element:
    """The intervals of all differences around 0."""
    left, top, wide, row = 110, 14, 560, 44
    reach = max(max(abs(one.low), abs(one.high)) for one in differences) * 1.15 or 0.01
    height = top + row * len(differences)

    def x(value: float) -> float:
        return left + (value + reach) / (2 * reach) * wide

    marks = []
    for value in _ticks(-reach, reach):
        marks.append(element("line", class_="grid", x1=x(value), x2=x(value), y1=top, y2=height))
        marks.append(_text(x(value), height + 18, f"{value:+.3f}" if round(value, 9) else "0", "middle"))
    marks.append(element("line", class_="zero", x1=x(0), x2=x(0), y1=top - 6, y2=height))
    for at, one in enumerate(differences):
        middle = top + row * (at + 0.5)
        point = one.second - one.first
        side = "" if not one.clear else " better" if point > 0 else " worse"
        told = f"{one.score}: {point:+.4f} ({one.low:+.4f} to {one.high:+.4f})"
        parts = [
            element("line", class_="range" + side, x1=x(one.low), x2=x(one.high), y1=middle, y2=middle),
            element("circle", class_="dot" + side, cx=x(point), cy=middle, r=5.5),
            _text(left - 14, middle + 4, one.score, "end"),
            _text(x(point), middle - 10, f"{point:+.4f}", "middle", "value"),
        ]
        marks.append(element("g", element("title", told), *parts))
    return _svg(left + wide + 16, height + 28, "Differences with their 95% intervals", marks)


def _svg(width: float, height: float, label: str, marks: Sequence[Element]) -> Element:
    box = f"0 0 {width:g} {height:g}"
    style = f"max-width:{width:g}px"
    return element("svg", *marks, viewBox=box, role="img", aria_label=label, style=style)


def _grid(left: float, top: float, wide: float, tall: float) -> Element:
    lines = []
    for step in range(6):
        across, down = left + wide * step / 5, top + tall * step / 5
        lines.append(element("line", class_="grid", x1=across, x2=across, y1=top, y2=top + tall))
        lines.append(element("line", class_="grid", x1=left, x2=left + wide, y1=down, y2=down))
    return element("g", *lines)


def _rect(x: float, y: float, width: float, height: float, kind: str) -> Element:
    return element("rect", class_=kind, x=x, y=y, width=width, height=max(0.0, height))


def _text(x: float, y: float, text: str, anchor: str, kind: str | None = None) -> Element:
    return element("text", text, x=x, y=y, text_anchor=anchor, class_=kind)


def _range(lows: Sequence[float], highs: Sequence[float]) -> tuple[float, float]:
    """What an axis of shares shows: whole tenths around all values."""
    low, high = min(lows), max(highs)
    return max(0.0, int(low * 10 - 0.2) / 10) if low > 0 else low, min(
        1.0, int(high * 10 + 1) / 10
    ) if high <= 1 else high


def _ticks(low: float, high: float) -> list[float]:
    """Round numbers between two, five or so."""
    step = 10.0**-6
    while (high - low) / step > 6:
        for factor in (2, 2.5, 2):
            step *= factor
            if (high - low) / step <= 6:
                break
    first = math.ceil(low / step - 1e-9)
    return [round(number * step, 9) for number in range(first, math.floor(high / step + 1e-9) + 1)]
