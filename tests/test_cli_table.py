"""Tables line up in a terminal, lose nothing, and cannot be used to rewrite it."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from hub_core.cli.table import NARROWEST, Group, display_width, fold, printable, table_lines

#: Scripts whose widths are settled: Latin, Chinese, Japanese, Korean, full-width forms, Cyrillic.
TEXT = st.text(st.sampled_from("abc 019,.-éßя中文新华社，。「」ひらカタ한국ＡＢ１"), max_size=40)


@given(TEXT)
def test_widths_are_those_of_rich(text: str) -> None:
    assert display_width(text) == cell_len(text)


@pytest.mark.parametrize(("text", "width"), [("é", 1), ("e\u0301", 1), ("\u200b", 0), ("😀", 2), ("", 0), ("Ａ", 2)])
def test_widths_of_single_characters(text: str, width: int) -> None:
    assert display_width(text) == width


@given(TEXT, st.integers(2, 20))
def test_folding_keeps_all_and_fits(text: str, width: int) -> None:
    lines = fold(text, width)
    assert "".join(lines) == text
    assert all(display_width(line) <= width for line in lines)
    assert all(lines) or text == ""


def test_folding_prefers_spaces() -> None:
    assert fold("one two three", 8) == ["one two ", "three"]
    assert fold("新华社北京", 5) == ["新华", "社北", "京"]


def test_a_table_lines_up() -> None:
    rows = [["新华社", "ORG"], ["Beijing", "LOC"], ["", "O"]]
    lines = list(table_lines(["entity", "label"], [Group("", rows)]))
    assert lines == [
        "entity   label",
        "-------  -----",
        "新华社   ORG",
        "Beijing  LOC",
        "         O",
    ]


def test_headings_stand_over_the_whole_width() -> None:
    groups = [Group("一句很长很长的话", [["a", "b"]]), Group("二", [["c", "d"]])]
    lines = list(table_lines(["x", "y"], groups, width=10))
    assert lines == ["  x  y", "  -  -", "一句很长很长的话", "  a  b", "二", "  c  d"]


@given(st.lists(st.tuples(TEXT, TEXT), min_size=1, max_size=4), st.integers(10, 60))
def test_a_table_in_a_terminal_loses_nothing(rows: list[tuple[str, str]], width: int) -> None:
    lines = list(table_lines(["first", "second"], [Group("", [list(row) for row in rows])], width=width))
    widths = [display_width(rule) for rule in lines[1].split()]
    for at in range(2):
        shown = "".join("".join(_cells(line, widths)[at] for line in lines[2:]).split())
        assert shown == "".join("".join(row[at] for row in rows).split())


def _cells(line: str, widths: list[int]) -> list[str]:
    """The cells of a line of a table, by the width of its columns."""
    cells, rest = [], line
    for width in widths:
        taken = 0
        while taken < len(rest) and display_width(rest[: taken + 1]) <= width:
            taken += 1
        cells.append(rest[:taken])
        rest = rest[taken:].removeprefix("  ") if taken < len(rest) else ""
    return cells


def test_text_folds_and_names_do_not() -> None:
    row = ["a-rather-long-module-name-1.0", "a long story of " + "many words " * 5, "短文" * 20]
    lines = list(table_lines(["name", "summary", "text"], [Group("", [row])], width=70))
    assert max(map(display_width, lines)) <= 70
    assert row[0] in lines[2]
    narrow = list(table_lines(["name", "summary", "text"], [Group("", [row])], width=20))
    assert narrow[1] == "  ".join(["-" * len(row[0]), "-" * NARROWEST, "-" * NARROWEST])


@given(st.text(max_size=60))
def test_nothing_unprintable_is_printed(text: str) -> None:
    shown = printable(text)
    assert not any(unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp") for c in shown)
    assert printable(shown) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("中文 abc", "中文 abc"),
        ("a\x1b[31mb", "a\\x1b[31mb"),
        ("a\nb\tc\x00", "a\\nb\\tc\\x00"),
        ("\u202egnp.exe", "\\u202egnp.exe"),
        ("\u2028\udc80", "\\u2028\\udc80"),
        ("👨\u200d👩", "👨\u200d👩"),
    ],
)
def test_what_could_rewrite_a_terminal_is_escaped(text: str, shown: str) -> None:
    assert printable(text) == shown
