"""Readers of TSV, CSV, JSONL and CoNLL: round trips against the standard library, and every kind of bad file."""

from __future__ import annotations

import csv
import gzip
import io
import json
import lzma
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from hub_core.data.problems import Problems
from hub_core.data.tables import Row, read_conll, read_csv, read_jsonl, read_table, read_tsv, table_format
from hub_core.errors import DataError, NotFoundError, SettingsError

steady = settings(deadline=None, derandomize=True, max_examples=60)
COLUMNS = ["label", "text_a"]

any_text = st.text(st.characters(exclude_categories=["Cs"]))
tsv_field = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\t\n\r"))
token = st.text(st.characters(exclude_categories=["Cs", "Zs", "Zl", "Zp", "Cc"]), min_size=1).filter(
    lambda text: text.strip() and not text.startswith("-DOCSTART-")
)


def values(rows: Iterator[Row]) -> list[dict[str, Any]]:
    return [dict(row.columns) for row in rows]


def written(content: str | bytes, name: str, folder: Path) -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def problems_of(rows: Callable[[], Iterator[Row]], folder: Path) -> list[str]:
    """The problems that reading raises, without the folder's name."""
    with pytest.raises(DataError) as caught:
        list(rows())
    return [problem.removeprefix(f"{folder}/") for problem in caught.value.problems]


@steady
@given(st.lists(st.lists(tsv_field, min_size=2, max_size=2), min_size=1))
def test_tsv_round_trip(rows: list[list[str]]) -> None:
    content = "".join("\t".join(row) + "\n" for row in [COLUMNS, *rows])
    with tempfile.TemporaryDirectory() as folder:
        path = written(content, "a.tsv", Path(folder))
        assert values(read_tsv(path)) == [dict(zip(COLUMNS, row, strict=True)) for row in rows]


@steady
@given(st.lists(st.lists(any_text, min_size=2, max_size=2), min_size=1), st.sampled_from(["\n", "\r\n"]))
def test_csv_round_trip_with_the_standard_writer(rows: list[list[str]], end: str) -> None:
    buffer = io.StringIO()
    # Python 3.11's writer leaves a carriage return bare where the line end has none, and its reader refuses it.
    writer = csv.writer(buffer, lineterminator=end, quoting=csv.QUOTE_ALL if end == "\n" else csv.QUOTE_MINIMAL)
    writer.writerows([COLUMNS, *rows])
    with tempfile.TemporaryDirectory() as folder:
        path = written(buffer.getvalue(), "a.csv", Path(folder))
        assert values(read_csv(path)) == [dict(zip(COLUMNS, row, strict=True)) for row in rows]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | any_text, lambda inner: st.lists(inner, max_size=3), max_leaves=5
)


@steady
@given(st.lists(st.dictionaries(any_text, json_values), min_size=1), st.booleans())
def test_jsonl_round_trip_with_the_standard_writer(rows: list[dict[str, Any]], ascii_only: bool) -> None:
    content = "".join(json.dumps(row, ensure_ascii=ascii_only) + "\n" for row in rows)
    with tempfile.TemporaryDirectory() as folder:
        assert values(read_jsonl(written(content, "a.jsonl", Path(folder)))) == rows


@steady
@given(
    st.lists(st.lists(st.tuples(token, token), min_size=1), min_size=1),
    st.sampled_from(["{}\t{}\n", "{} {}\n", "{}   {}\r\n", "{}\tNN\t{}\n"]),
)
def test_conll_round_trip(sentences: list[list[tuple[str, str]]], form: str) -> None:
    content = "\n".join("".join(form.format(*pair) for pair in sentence) for sentence in sentences)
    with tempfile.TemporaryDirectory() as folder:
        path = written(content, "a.conll", Path(folder))
        rows = [tuple(zip(row.columns["tokens"], row.columns["labels"], strict=True)) for row in read_conll(path)]
    assert rows == [tuple(sentence) for sentence in sentences]


def test_rows_know_their_lines(tmp_path: Path) -> None:
    path = written('label,text_a\n1,"two\nlines"\n0,one\n', "a.csv", tmp_path)
    assert [row.where() for row in read_csv(path)] == [f"{path}:2", f"{path}:4"]
    path = written("-DOCSTART- O\n\na B-X\nb I-X\n\n\nc O\n", "a.conll", tmp_path)
    assert [row.where(len(row.columns["tokens"]) - 1) for row in read_conll(path)] == [f"{path}:4", f"{path}:7"]
    path = written('{"a": 1}\n{"a": 2}\n', "a.jsonl", tmp_path)
    assert [row.where(5) for row in read_jsonl(path)] == [f"{path}:1", f"{path}:2"]


def test_a_quote_is_a_character_in_tsv(tmp_path: Path) -> None:
    path = written('label\ttext_a\n1\t"好" 的\n0\t"半\n', "a.tsv", tmp_path)
    assert [row["text_a"] for row in values(read_tsv(path))] == ['"好" 的', '"半']


def test_line_ends_inside_a_text(tmp_path: Path) -> None:
    """Only a line feed ends a line; the other characters that Python's splitlines knows belong to the text."""
    path = written("label\ttext_a\r\n1\ta\u2028b\x0bc\x85d\re\r\n", "a.tsv", tmp_path)
    assert values(read_tsv(path)) == [{"label": "1", "text_a": "a\u2028b\x0bc\x85d\re"}]


@pytest.mark.parametrize("name", ["a.tsv", "a.csv", "a.jsonl", "a.conll"])
def test_a_byte_order_mark_is_left_out(name: str, tmp_path: Path) -> None:
    content = {"a.tsv": "x\ty\n1\t2\n", "a.csv": '"x",y\n1,2\n', "a.jsonl": '{"x": "1"}\n', "a.conll": "x y\n"}[name]
    path = written("\ufeff".encode() + content.encode(), name, tmp_path)
    (row,) = read_table(path)
    assert next(iter(row.columns)) in ("x", "tokens")
    assert row.columns.get("tokens", ("x",)) == ("x",)


PACKINGS = [("", bytes), (".gz", gzip.compress), (".xz", lzma.compress), (".zst", zstandard.compress)]


@pytest.mark.parametrize(("suffix", "pack"), PACKINGS)
@pytest.mark.parametrize("form", ["tsv", "csv"])
def test_packed_files(suffix: str, pack: Callable[[bytes], bytes], form: str, tmp_path: Path) -> None:
    content = "label\ttext_a\n1\t好\n".replace("\t", "\t" if form == "tsv" else ",")
    path = written(pack(content.encode()), f"a.{form}{suffix}", tmp_path)
    assert table_format(path) == form
    assert values(read_table(path)) == [{"label": "1", "text_a": "好"}]


def test_headerless_files(tmp_path: Path) -> None:
    path = written("1\t好\n0\t差\n", "a.tsv", tmp_path)
    assert values(read_tsv(path, columns=COLUMNS))[0] == {"label": "1", "text_a": "好"}
    with pytest.raises(SettingsError, match="has no header: name its columns in order"):
        read_tsv(path, header=False)
    with pytest.raises(SettingsError, match="all different"):
        read_tsv(path, columns=["a", "a"])


def test_a_header_that_is_taken_for_a_row(tmp_path: Path) -> None:
    path = written("text_a\tlabel\n好\t1\n", "a.tsv", tmp_path)
    found = problems_of(lambda: read_tsv(path, columns=COLUMNS), tmp_path)
    assert found == ["a.tsv:1: this line names the columns (text_a, label); say that the file has a header"]


def test_columns_in_place_of_a_header(tmp_path: Path) -> None:
    path = written("情感\t评论\n1\t好\n", "a.tsv", tmp_path)
    assert values(read_tsv(path, columns=COLUMNS, header=True)) == [{"label": "1", "text_a": "好"}]
    path = written("text_a\tlabel\n好\t1\n", "b.tsv", tmp_path)
    found = problems_of(lambda: read_tsv(path, columns=COLUMNS, header=True), tmp_path)
    assert found == ["b.tsv:1: the header names text_a, label; columns= says label, text_a"]


BAD_HEADER = "the header must have a name for each column, all different, not "


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("a.tsv", b"", ["a.tsv:1: the file is empty"]),
        ("a.csv", b"\n\n", ["a.csv:1: the file is empty"]),
        ("a.jsonl", b"\n", ["a.jsonl:1: the file is empty"]),
        ("a.conll", b"-DOCSTART- O\n\n", ["a.conll:1: the file is empty"]),
        ("a.tsv", b"label\ttext_a\n", ["a.tsv:2: no rows after the header"]),
        ("a.tsv", b"label\t\n1\tx\n", [f"a.tsv:1: {BAD_HEADER}'label', ''"]),
        ("a.csv", b"a,a\n1,x\n", [f"a.csv:1: {BAD_HEADER}'a', 'a'"]),
        (
            "a.tsv",
            b"label\ttext_a\n1\n1\tx\n1\ty\tz\n",
            ["a.tsv:2: 1 column, expected 2 (label, text_a)", "a.tsv:4: 3 columns, expected 2 (label, text_a)"],
        ),
        ("a.tsv", b"label\ttext_a\n1\tx\n\n0\ty\n\n\n", ["a.tsv:3: blank line"]),
        ("a.csv", b'a,b\n1,"x"y\n2,z\n', ["""a.csv:2: not CSV (',' expected after '"')"""]),
        ("a.csv", b'a,b\n1,x\n2,"z\n', ["a.csv:3: not CSV (unexpected end of data)"]),
        ("a.csv", b"a,b\n1\n", ["a.csv:2: 1 column, expected 2 (a, b)"]),
        ("a.jsonl", b'{"a": 1}\n[1]\n', ["a.jsonl:2: not a JSON object but [1]"]),
        ("a.jsonl", b'{"a": 1}\n\n{"a": 2}\n', ["a.jsonl:2: blank line"]),
        (
            "a.jsonl",
            b'{"a": 1\n{"a": 1}\n',
            ["a.jsonl:1: not JSON (Expecting ',' delimiter: line 2 column 1 (char 8))"],
        ),
        (
            "a.conll",
            b"a O\nb\n\nc O\nd NN O\n",
            [
                "a.conll:2: 1 column, expected 2 (token first, label last)",
                "a.conll:5: 3 columns, expected 2 (token first, label last)",
            ],
        ),
        ("a.conll", b"a\nb\n", [f"a.conll:{n}: 1 column, expected 2 (token first, label last)" for n in (1, 2)]),
        (
            "a.conll",
            b"a\x02b\tO\x02O\n",
            ["a.conll:1: holds U+0002, which joins the characters of a row in a .tsv file; this is read as CoNLL"],
        ),
    ],
)
def test_bad_files(name: str, content: bytes, expected: list[str], tmp_path: Path) -> None:
    path = written(content, name, tmp_path)
    assert problems_of(lambda: read_table(path), tmp_path) == expected


def test_missing_keys(tmp_path: Path) -> None:
    path = written('{"text": "a", "label": "1"}\n{"text": "b"}\n{}\n', "a.jsonl", tmp_path)
    assert problems_of(lambda: read_jsonl(path, columns=["text", "label"]), tmp_path) == [
        "a.jsonl:2: no 'label'; the row has text",
        "a.jsonl:3: no 'text', 'label'; the row has no keys",
    ]


def test_half_a_surrogate_pair_is_no_text(tmp_path: Path) -> None:
    path = written('{"text": "\\ud83d\\ude00"}\n{"text": "\\ud83d"}\n', "a.jsonl", tmp_path)
    (problem,) = problems_of(lambda: read_jsonl(path), tmp_path)
    assert problem.startswith("a.jsonl:2: not JSON ('utf-8' codec can't encode character")


@pytest.mark.parametrize(
    ("name", "content", "line"),
    [
        ("a.tsv", "label\ttext_a\n1\tok\n1\t", 3),
        ("a.csv", "label,text_a\n1,ok\n1,", 3),
        ("a.jsonl", '{"a": 1}\n{"a": "', 2),
        ("a.conll", "x O\ny ", 2),
    ],
)
def test_bad_utf8(name: str, content: str, line: int, tmp_path: Path) -> None:
    path = written(content.encode() + "好".encode("gb18030") + b"\n", name, tmp_path)
    (problem,) = problems_of(lambda: read_table(path), tmp_path)
    assert problem.startswith(f"{name}:{line}: not UTF-8 (byte 0xba, number ")
    assert "`iconv -f GB18030 -t UTF-8`" in problem


def test_a_bad_header_does_not_hide_bad_bytes_further_on(tmp_path: Path) -> None:
    path = written(b"label\t\xff\n1\tx\n0\t\xfe\n", "a.tsv", tmp_path)
    (found,) = problems_of(lambda: read_tsv(path), tmp_path)
    assert found.startswith("a.tsv:1: not UTF-8 (byte 0xff, number 7), like 1 more line (3); save the file as UTF-8")


@pytest.mark.parametrize("name", ["a.tsv", "a.csv", "a.jsonl", "a.conll"])
def test_another_encoding_is_named_once(name: str, tmp_path: Path) -> None:
    path = written(("a\tb\n" + "好\t坏\n" * 30).encode("gb18030"), name, tmp_path)
    found = [problem for problem in problems_of(lambda: read_table(path), tmp_path) if "UTF-8" in problem]
    assert len(found) == 1
    assert f"{name}:2: not UTF-8 (byte 0xba, number 1), like 29 more lines (3, 4, 5, 6, 7, ...); save" in found[0]
    path = written("a\tb\n好\t2\n".encode("utf-16"), name, tmp_path)
    (problem,) = problems_of(lambda: read_table(path), tmp_path)
    assert problem == f"{name}:1: the file is UTF-16; save it as UTF-8 (such as with `iconv -f UTF-16 -t UTF-8`)"


def test_all_problems_come_at_once_up_to_a_limit(tmp_path: Path) -> None:
    path = written("label\ttext_a\n" + "one\n" * 25, "a.tsv", tmp_path)
    with pytest.raises(DataError, match=r"(?s)a\.tsv:2: .*a\.tsv:21: .* and 5 more$") as caught:
        list(read_tsv(path))
    assert len(caught.value.problems) == 20


def test_good_rows_come_before_the_problems_are_raised(tmp_path: Path) -> None:
    path = written("a\tb\n1\t2\nx\n3\t4\n", "a.tsv", tmp_path)
    problems = Problems()
    assert [row["a"] for row in values(read_tsv(path, problems=problems))] == ["1", "3"]
    assert problems.count == 1


def test_streaming(tmp_path: Path) -> None:
    """The first row comes although what follows cannot even be unpacked."""
    packed = gzip.compress(b"a\tb\n" + b"1\t2\n" * 100_000)
    path = written(packed[:-200], "a.tsv.gz", tmp_path)
    rows = read_tsv(path)
    assert next(rows).columns == {"a": "1", "b": "2"}
    with pytest.raises(DataError, match=r"a\.tsv\.gz:\d+: cannot be read \(Compressed file ended"):
        list(rows)


@pytest.mark.parametrize("name", ["a.tsv.gz", "a.tsv.xz", "a.tsv.zst"])
def test_a_file_that_is_not_packed_as_its_name_says(name: str, tmp_path: Path) -> None:
    path = written("a\tb\n1\t2\n", name, tmp_path)
    assert problems_of(lambda: read_tsv(path), tmp_path)[0].startswith(f"{name}:1: cannot be read (")


def test_missing_and_unknown_files(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match=r"no file .*a\.tsv"):
        list(read_tsv(tmp_path / "a.tsv"))
    (tmp_path / "folder.tsv").mkdir()
    assert "cannot be read" in problems_of(lambda: read_tsv(tmp_path / "folder.tsv"), tmp_path)[0]
    with pytest.raises(NotFoundError, match=r"unknown table format 'a\.xls'; known: conll, csv, json"):
        read_table(tmp_path / "a.xls")
    with pytest.raises(NotFoundError, match="unknown table format 'cvs'; did you mean 'csv'"):
        read_table(tmp_path / "a.txt", format="cvs")


def test_options_that_a_format_does_not_have(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="header=True is for TSV and CSV"):
        read_jsonl(tmp_path / "a.jsonl", header=True)
    with pytest.raises(SettingsError, match="columns= is not for CoNLL"):
        read_conll(tmp_path / "a.conll", columns=["token", "label"])
