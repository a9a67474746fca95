"""Vocabulary files are read strictly: a shifted id would be silent."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hub_core.errors import CheckpointError, DataError
from hub_core.text.characters import CharacterRules, well_formed
from hub_core.text.vocabulary import read_lines, read_vocabulary, vocabulary_bytes


def _write(folder: Path, content: bytes) -> Path:
    path = folder / "vocab.txt"
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    "content",
    [
        "[PAD]\n[UNK]\n的\n##s\n",
        "[PAD]\r\n[UNK]\r\n的\r\n##s",
        "\ufeff[PAD]\n[UNK]\n的\n##s\n",
        "[PAD]\t0\n[UNK]\t1\n的\t2\n##s\t3\n",
        "[PAD]\t0\r\n[UNK]\t1\r\n的\t2\r\n##s\t3",
    ],
)
def test_every_usual_form_gives_line_indices_as_ids(tmp_path: Path, content: str) -> None:
    path = _write(tmp_path, content.encode())
    assert read_vocabulary(path) == {"[PAD]": 0, "[UNK]": 1, "的": 2, "##s": 3}


@given(
    st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\n\r\t\ufeff"), min_size=1), unique=True).map(
        lambda tokens: [token for token in tokens if token not in ("[PAD]", "[UNK]")]
    )
)
@settings(deadline=None, derandomize=True, max_examples=60)
def test_what_is_written_is_read_back_also_odd_line_breaks(
    tmp_path_factory: pytest.TempPathFactory, tokens: list[str]
) -> None:
    path = _write(
        tmp_path_factory.getbasetemp(), vocabulary_bytes({t: i for i, t in enumerate(["[PAD]", "[UNK]", *tokens])})
    )
    assert list(read_vocabulary(path)) == ["[PAD]", "[UNK]", *tokens]


@pytest.mark.parametrize(
    ("content", "problems"),
    [
        (
            "[PAD]\n[UNK]\n的\n了\n的\n了\n".encode(),
            [
                "vocab.txt:5: token '的' stands in line 3 already, which may have shifted ids; state them",
                "vocab.txt:6: token '了' stands in line 4 already, which may have shifted ids; state them",
            ],
        ),
        (b"[PAD]\n\n[UNK]\n", ["vocab.txt:2: an empty line; every line must hold a token"]),
        ("[PAD]\n的\n".encode(), ["vocab.txt: the token [UNK] is missing"]),
        (b"", ["vocab.txt: the token [PAD] is missing", "vocab.txt: the token [UNK] is missing"]),
        (b"[PAD]\n\xff\n[UNK]\na\xc3(\n", ["vocab.txt:2: not UTF-8 at byte 0", "vocab.txt:4: not UTF-8 at byte 1"]),
        (
            b"[PAD]\t0\n[UNK]\t2\na\n",
            ["vocab.txt:2: '[UNK]\\t2' should end in a tab and the line's index 1", ":3: 'a'"],
        ),
    ],
)
def test_all_problems_are_named_with_file_and_line(tmp_path: Path, content: bytes, problems: list[str]) -> None:
    with pytest.raises(DataError) as caught:
        read_vocabulary(_write(tmp_path, content))
    assert len(caught.value.problems) == len(problems)
    for found, expected in zip(caught.value.problems, problems, strict=True):
        assert expected in found


def test_with_stated_ids_a_later_line_counts(tmp_path: Path) -> None:
    path = _write(tmp_path, b"[PAD]\t0\n$\t1\n[UNK]\t2\n$\t3\n")
    vocabulary = read_vocabulary(path)
    assert vocabulary == {"[PAD]": 0, "[UNK]": 2, "$": 3}
    path.write_bytes(vocabulary_bytes(vocabulary))
    assert read_vocabulary(path) == vocabulary


def test_many_problems_are_counted(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"\.\.\. and 30 more"):
        read_vocabulary(_write(tmp_path, b"[PAD]\n[UNK]\n" + b"\xff\n" * 50))


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"the vocabulary .*vocab\.txt does not exist"):
        read_vocabulary(tmp_path / "vocab.txt")
    with pytest.raises(CheckpointError, match=r"the word list .* cannot be read: Is a directory"):
        read_lines(tmp_path, what="word list")


@given(st.text(st.characters(codec=None)))
@settings(deadline=None, derandomize=True)
def test_any_text_becomes_valid_unicode_and_valid_text_stays(text: str) -> None:
    valid = well_formed(text)
    assert valid.encode("utf-8").decode("utf-8") == valid
    assert well_formed(valid) == valid
    if not any(0xD800 <= ord(char) < 0xE000 for char in text):
        assert valid == text


def test_halves_of_a_character_are_joined() -> None:
    assert well_formed("a\ud83d\ude00b") == "a😀b"
    assert well_formed("a\ud83db") == "a\ufffdb"


def test_character_rules_narrow_lower_and_zero() -> None:
    assert CharacterRules(lowercase=True, digits="zero", width="half").apply("ＡＢc１２3四～\u3000") == "abc000四~ "
    assert CharacterRules(lowercase=False, digits="keep", width="keep").apply("ＡＢc１２3") == "ＡＢc１２3"
    assert CharacterRules(lowercase=False, digits="zero", width="keep").apply("１2²٣") == "00²0"
