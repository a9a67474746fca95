"""The losses of a training run as a picture: ``python -m benchmarks.curve CHECKPOINT_DIR curve.svg``.

Reads the history in the newest state of the run: the loss that was logged, and what was measured on held-out rows. Of
several folders each run goes on where the one before it ended.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Sequence
from pathlib import Path
from xml.sax.saxutils import escape

WIDTH, HEIGHT, LEFT, BOTTOM, TOP, RIGHT = 640, 320, 48, 40, 16, 16
Points = Sequence[tuple[float, float]]


def history(folder: Path) -> list[dict[str, float]]:
    """What was logged and measured, in order. Raises SystemExit where there is no state."""
    states = sorted((folder / "state").glob("step-*/run.json"))
    if not states:
        raise SystemExit(f"{folder} has no state of a run")
    rows: list[dict[str, float]] = json.loads(states[-1].read_text(encoding="utf-8"))["progress"]["history"]
    return rows


def histories(folders: Sequence[Path]) -> list[dict[str, float]]:
    """The histories of runs one after the other, with the steps counted on."""
    rows: list[dict[str, float]] = []
    for folder in folders:
        done = rows[-1]["step"] if rows else 0
        rows += [{**row, "step": done + row["step"]} for row in history(folder)]
    return rows


def curve(lines: dict[str, Points], *, across: str, down: str) -> str:
    """Lines over common axes, as SVG that brings its own colours."""
    xs = [x for points in lines.values() for x, _ in points]
    ys = [y for points in lines.values() for _, y in points]
    low, high, last = math.floor(min(ys)), math.ceil(max(ys)), max(xs)
    wide, tall = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM

    def at(x: float, y: float) -> tuple[float, float]:
        return LEFT + wide * x / last, TOP + tall * (high - y) / (high - low)

    marks = [f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>']
    for tick in range(low, high + 1):
        _, y = at(0, tick)
        marks.append(f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}" stroke="#ddd"/>')
        marks.append(f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{tick}</text>')
    for share in (0, 0.25, 0.5, 0.75, 1):
        x, _ = at(share * last, low)
        anchor = "middle" if share < 1 else "end"
        marks.append(f'<text x="{x:.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="{anchor}">{share * last:,.0f}</text>')
    for number, ((name, points), colour) in enumerate(zip(lines.items(), ("#8ab", "#c40"), strict=False)):
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in (at(*point) for point in points))
        marks.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.5"/>')
        marks.append(f'<text x="{WIDTH - RIGHT - 8}" y="{TOP + 16 + 16 * number}" text-anchor="end" fill="{colour}">')
        marks.append(f"{escape(name)}</text>")
    marks.append(f'<text x="{LEFT + wide / 2}" y="{HEIGHT - 6}" text-anchor="middle">{escape(across)}</text>')
    marks.append(f'<text x="12" y="{TOP + tall / 2}" transform="rotate(-90 12 {TOP + tall / 2})" text-anchor="middle">')
    marks.append(f"{escape(down)}</text>")
    style = 'font-family="sans-serif" font-size="12" fill="#333"'
    size = f'viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size} {style}>\n' + "\n".join(marks) + "\n</svg>\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", type=Path, nargs="+", metavar="folder")
    parser.add_argument("picture", type=Path)
    options = parser.parse_args()
    rows = histories(options.folders)
    lines: dict[str, Points] = {
        "training": [(row["step"], row["loss"]) for row in rows if "lr" in row],
        "held-out rows": [(row["step"], row["loss"]) for row in rows if "accuracy" in row],
    }
    lines = {name: points for name, points in lines.items() if len(points) > 1}
    options.picture.write_text(curve(lines, across="optimizer steps", down="loss"), encoding="utf-8")


if __name__ == "__main__":
    main()
