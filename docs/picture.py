"""Draws docs/architecture.svg from the code: ``python docs/picture.py`` (``--check`` only compares).

The storeys are those that tests/test_house.py keeps, the arcs are the imports between them, and the way of the data
is looked up where it is defined. Nothing but the standard library is needed.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import escape

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "hub_core"

#: The forms that data takes, the steps between them, and the classes whose methods the steps are.
FORMS = ("Example", "Features", "Batch", "logits", "Prediction")
STEPS = (("Task", "example"), ("Task", "encode"), ("Task", "collate"), ("Engine", "run"), ("Task", "decode"))

#: The words of each picture: docs/architecture.svg, and the Chinese one.
WORDS: Mapping[str, Mapping[str, str]] = {
    "architecture.svg": {
        "title": "The storeys of hub_core, and the way of the data",
        "way": "The way of the data",
        "storeys": "The storeys",
        "imports": "imports point down",
        "start": "a row, as callers have it",
        "Example": "one row, as text",
        "Features": "one row, as numbers",
        "Batch": "padded rows",
        "logits": "the network's numbers",
        "Prediction": "the answer for a row",
        "made": "Made from the code by docs/picture.py. Numbered rooms are those that the data passes through.",
    },
    "zh/architecture.svg": {
        "title": "hub_core 的分层结构与数据流",
        "way": "数据流",
        "storeys": "分层",
        "imports": "只能向下导入",
        "start": "调用方给出的一行",
        "Example": "一条样本：文本",
        "Features": "一条样本：数字",
        "Batch": "补齐后的一批样本",
        "logits": "网络的输出",
        "Prediction": "一条样本的预测结果",
        "made": "由 docs/picture.py 根据代码生成；带编号的方框是数据流经之处。",
    },
}

#: Pixels: the picture's width and margin, the building's left and right edge, the left edge of the data's way.
_WIDTH, _MARGIN, _LEFT, _RIGHT, _WAY = 1200, 40, 170, 800, 870
_TOP, _CARD = 150, 62
_ROOM_HEIGHT, _SPACE, _LETTER, _BADGE = 28, 9, 7.3, 19


@dataclass(frozen=True)
class House:
    """What the code says: storeys from the ground up, imports between them, and the rooms of each step by number."""

    storeys: tuple[tuple[str, ...], ...]
    imports: frozenset[tuple[int, int]]
    steps: tuple[tuple[str, ...], ...]


def look() -> House:
    """Read the house from the code. Raises LookupError where something that is drawn is no longer there."""
    storeys = _storeys()
    level = {name: index for index, names in enumerate(storeys) for name in names}
    trees = {path: ast.parse(path.read_text(encoding="utf-8")) for path in sorted(PACKAGE.rglob("*.py"))}
    pairs = {
        (level[_room(path)], level[name])
        for path, tree in trees.items()
        if _room(path) in level
        for name in _imported(tree)
        if name in level
    }
    rooms: dict[str, dict[str, ast.ClassDef]] = {}
    for path, tree in trees.items():
        rooms.setdefault(_room(path), {}).update((n.name, n) for n in ast.walk(tree) if isinstance(n, ast.ClassDef))
    for form in FORMS[:3]:
        if form not in rooms["examples"]:
            raise LookupError(f"examples.py has no class {form}")
    steps = tuple(tuple(sorted(_rooms_of(rooms, *step), key=lambda name: level[name])) for step in STEPS)
    return House(storeys, frozenset(pair for pair in pairs if pair[0] > pair[1]), steps)


def draw(house: House, words: Mapping[str, str]) -> str:
    """The picture as the text of an SVG."""
    building, ground = _building(house, words)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {ground + 36:g}" role="img">',
        f"<title>{escape(words['title'])}</title>",
        f"<style>{_STYLE}</style>",
        f'<rect class="page" width="{_WIDTH}" height="{ground + 36:g}" rx="14"/>',
        _text("title", _MARGIN, 60, words["title"]),
        _text("small", _MARGIN, 84, words["made"]),
        *building,
        *_way(house, words, ground),
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str]) -> int:
    """Write the pictures, or (``--check``) only say which are out of date."""
    house, old = look(), 0
    for name, words in WORDS.items():
        path, text = ROOT / "docs" / name, draw(house, words)
        if path.is_file() and path.read_text(encoding="utf-8") == text:
            continue
        old += 1
        if "--check" not in arguments:
            path.write_text(text, encoding="utf-8", newline="\n")
        sys.stdout.write(f"{path} {'is out of date' if '--check' in arguments else 'written'}\n")
    return 1 if old and "--check" in arguments else 0


def _storeys() -> tuple[tuple[str, ...], ...]:
    """STOREYS as tests/test_house.py has them."""
    tree = ast.parse((ROOT / "tests" / "test_house.py").read_text(encoding="utf-8"))
    for node in tree.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "STOREYS":
            return tuple(tuple(names.split()) for names in ast.literal_eval(node.value))
    raise LookupError("tests/test_house.py has no STOREYS")


def _room(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def _imported(tree: ast.AST) -> Iterator[str]:
    """The rooms that a file imports from, those for type checkers included: they are ways too."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "hub_core":
            parts = node.module.split(".")
            yield from [parts[1]] if len(parts) > 1 else [alias.name for alias in node.names]


def _rooms_of(rooms: Mapping[str, Mapping[str, ast.ClassDef]], owner: str, method: str) -> set[str]:
    """The rooms in which a step happens: where its method is, and the classes that it works with or is done by."""
    found = set()
    for room, classes in rooms.items():
        for name, node in classes.items():
            own = {item.name: item for item in node.body if isinstance(item, ast.FunctionDef)}
            if method in own and (name == owner or (owner == "Engine" and name.endswith(owner))):
                found.add(room)
                if any(arg.arg == "tokenizer" for arg in own[method].args.args):
                    found.add("text")
    if not found:
        raise LookupError(f"no class {owner} has a method {method}")
    return found


def _text(kind: str, x: float, y: float, text: str) -> str:
    return f'<text class="{kind}" x="{x:g}" y="{y:g}">{escape(text)}</text>'


def _badge(x: float, y: float, number: int) -> Iterator[str]:
    yield f'<circle class="badge" cx="{x:g}" cy="{y:g}" r="8.5"/>'
    yield _text("number", x, y + 4, str(number))


def _building(house: House, words: Mapping[str, str]) -> tuple[list[str], float]:
    """The storeys, the highest first, with the imports as arcs beside them; and how far down they stand."""
    eaves, ridge = _TOP - 4, _TOP - 36
    drawn = [
        f'<path class="roof" d="M{_LEFT - 14} {eaves}L{_LEFT + 50} {ridge}H{_RIGHT - 50}L{_RIGHT + 14} {eaves}z"/>',
        _text("heading", (_LEFT + _RIGHT) / 2, _TOP - 15, words["storeys"]),
    ]
    middles, y = {}, float(_TOP)
    for level in reversed(range(len(house.storeys))):
        lines = list(_wrapped(house.storeys[level], house))
        height = len(lines) * (_ROOM_HEIGHT + _SPACE) + _SPACE
        drawn.append(f'<rect class="storey" x="{_LEFT}" y="{y:g}" width="{_RIGHT - _LEFT}" height="{height}"/>')
        for row, line in enumerate(lines):
            drawn += _rooms(line, house, y + _SPACE + row * (_ROOM_HEIGHT + _SPACE))
        middles[level] = y + height / 2
        y += height + 3
    drawn.append(f'<rect class="earth" x="{_MARGIN}" y="{y:g}" width="{_RIGHT + 14 - _MARGIN}" height="5" rx="2"/>')
    drawn += [_arc(middles[above], middles[below]) for above, below in sorted(house.imports)]
    turn = f"translate({_MARGIN + 4} {(_TOP + y) / 2:g}) rotate(-90)"
    drawn.append(f'<text class="caption middle" transform="{turn}">← {escape(words["imports"])}</text>')
    return drawn, y + 5


def _numbers(name: str, house: House) -> list[int]:
    """The numbers of the steps that happen in a room."""
    return [number for number, rooms in enumerate(house.steps, start=1) if name in rooms]


def _wrapped(names: Sequence[str], house: House) -> Iterator[list[tuple[str, float]]]:
    """Rooms with their widths, in lines that fit."""
    line: list[tuple[str, float]] = []
    used = 0.0
    for name in names:
        width = len(name) * _LETTER + 22 + _BADGE * len(_numbers(name, house))
        if line and used + width > _RIGHT - _LEFT - 2 * _SPACE:
            yield line
            line, used = [], 0.0
        line.append((name, width))
        used += width + _SPACE
    yield line


def _rooms(line: Sequence[tuple[str, float]], house: House, y: float) -> Iterator[str]:
    """A line of rooms; those that the data passes through have the numbers of the steps."""
    x = float(_LEFT + _SPACE)
    for name, width in line:
        numbers = _numbers(name, house)
        kind = "room passed" if numbers or name == "examples" else "room"
        yield f'<rect class="{kind}" x="{x:g}" y="{y:g}" width="{width:g}" height="{_ROOM_HEIGHT}" rx="7"/>'
        yield _text("room-name", x + 11, y + 18.5, name)
        for at, number in enumerate(numbers):
            yield from _badge(x + width - 12 - _BADGE * (len(numbers) - 1 - at), y + _ROOM_HEIGHT / 2, number)
        x += width + _SPACE


def _arc(above: float, below: float) -> str:
    """An import from one storey to a lower one."""
    reach, x = 20 + (below - above) * 0.15, _LEFT - 5
    return f'<path class="arc" d="M{x} {above:g}C{x - reach:g} {above:g} {x - reach:g} {below:g} {x} {below:g}"/>'


def _way(house: House, words: Mapping[str, str], ground: float) -> Iterator[str]:
    """Cards for the forms that data takes, one below the other, and between them the steps with their rooms."""
    middle, width = (_WAY + _WIDTH - _MARGIN) / 2, _WIDTH - _MARGIN - _WAY
    room = (ground - _TOP - len(FORMS) * _CARD) / len(FORMS)
    yield _text("heading", middle, _TOP - 15, words["way"])
    yield _text("caption middle", middle, _TOP + 12, words["start"])
    y = float(_TOP)
    for number, (form, (_, method), rooms) in enumerate(zip(FORMS, STEPS, house.steps, strict=True), start=1):
        begin = y + (20 if number == 1 else 4)
        yield f'<path class="arrow" d="M{middle:g} {begin:g}V{y + room - 10:g}"/>'
        yield f'<path class="head" d="M{middle:g} {y + room - 3:g}l-5.5 -10h11z"/>'
        center = (begin + y + room - 10) / 2
        yield from _badge(middle, center, number)
        yield _text("method", middle - 18, center + 4.5, method)
        for row, name in enumerate(rooms):
            yield _text("room-of", middle + 18, center + 4.5 + 16 * (row - (len(rooms) - 1) / 2), name)
        y += room
        yield f'<rect class="form" x="{_WAY}" y="{y:g}" width="{width}" height="{_CARD}" rx="12"/>'
        yield _text("name", middle, y + 27, form)
        yield _text("caption middle", middle, y + 47, words[form])
        y += _CARD


_STYLE = """
text {
  font-family: ui-sans-serif, system-ui, "Segoe UI", "Noto Sans", "Noto Sans CJK SC", "Microsoft YaHei", sans-serif;
  fill: #1f2937;
}
.name, .method, .room-of, .room-name {
  font-family: ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace;
}
.page { fill: #ffffff; }
.title { font-size: 24px; font-weight: 650; }
.heading { font-size: 14px; font-weight: 600; text-anchor: middle; }
.small { font-size: 13px; fill: #6b7280; }
.caption { font-size: 12.5px; fill: #6b7280; }
.middle, .name { text-anchor: middle; }
.name { font-size: 15px; font-weight: 600; }
.method { font-size: 13px; text-anchor: end; }
.room-of { font-size: 12px; fill: #0f766e; }
.room-name { font-size: 12px; }
.form { fill: #ecfdf5; stroke: #0d9488; stroke-width: 1.5; }
.arrow { stroke: #0d9488; stroke-width: 2; fill: none; }
.head { fill: #0d9488; }
.badge { fill: #0d9488; }
.number { font-size: 11px; font-weight: 700; fill: #ffffff; text-anchor: middle; }
.roof { fill: #e5e7eb; }
.storey { fill: #f3f4f6; }
.room { fill: #ffffff; stroke: #d1d5db; }
.passed { fill: #ecfdf5; stroke: #0d9488; }
.earth { fill: #9ca3af; }
.arc { fill: none; stroke: #64748b; stroke-opacity: 0.28; stroke-width: 1.2; }
@media (prefers-color-scheme: dark) {
  text { fill: #e5e7eb; }
  .page { fill: #0d1117; }
  .small, .caption { fill: #9ca3af; }
  .room-of { fill: #5eead4; }
  .form, .passed { fill: #0f2f2c; stroke: #2dd4bf; }
  .arrow { stroke: #2dd4bf; }
  .head, .badge { fill: #2dd4bf; }
  .number { fill: #042f2e; }
  .roof { fill: #2b323c; }
  .storey { fill: #161b22; }
  .room { fill: #21262d; stroke: #3d444d; }
  .passed { fill: #0f2f2c; stroke: #2dd4bf; }
  .earth { fill: #4b5563; }
  .arc { stroke: #94a3b8; stroke-opacity: 0.3; }
}
"""

if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
