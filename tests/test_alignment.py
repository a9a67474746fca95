"""The characters that tokens stand for: those that `tokenizers` names, and for other tokenizers none is lost."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny import small_module_folder, write_vocabulary

import hub_core as hub
from hub_core.registry import bundled_registry
from hub_core.text.alignment import align
from hub_core.text.files import tokenizer_from_files
from hub_core.text.tokenizer import Tokenizer

ALPHABET = "新华社北京电我们ab1２Ａé ，。\u3000\n😀龘"


@pytest.fixture(scope="module")
def wordpiece(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    return tokenizer_from_files("wordpiece", vocab=write_vocabulary(tmp_path_factory.mktemp("vocabulary")))


@settings(max_examples=200, deadline=None)
@given(text=st.text(alphabet=ALPHABET, max_size=40))
def test_as_the_library_says(wordpiece: Tokenizer, text: str) -> None:
    """Tokens that are known have the library's offsets, and unknown ones hold theirs."""
    ids, offsets = wordpiece.encode_with_offsets(text)
    found_ids, found = Tokenizer.encode_with_offsets(wordpiece, text)
    assert found_ids == ids
    for number, ours, theirs in zip(ids, found.tolist(), offsets.tolist(), strict=True):
        if number != wordpiece.unk_id:
            assert ours == theirs
        else:
            assert ours[0] <= theirs[0]
            assert ours[1] >= theirs[1]


def test_real_text(data_home: Path) -> None:
    tokenizer = tokenizer_from_files("wordpiece", vocab=data_home / "vocab" / "bert-base-chinese.vocab.txt")
    texts = [row.text for row in hub.datasets.ChnSentiCorp(mode="dev", data_dir=data_home / "chnsenticorp")][:300]
    for text in texts:
        ids, offsets = tokenizer.encode_with_offsets(text)
        _, found = Tokenizer.encode_with_offsets(tokenizer, text)
        known = [number != tokenizer.unk_id for number in ids]
        assert found[known].tolist() == offsets[known].tolist()


@pytest.mark.parametrize(
    ("tokens", "text", "spans"),
    [
        (["▁Hello", "▁wor", "ld"], "Hello  world", [(0, 5), (7, 10), (10, 12)]),
        (["▁", "北京", "▁", "的"], "北京的", [(0, 2), (0, 2), (2, 3), (2, 3)]),
        (["cafe", "##s"], "Cafés", [(0, 4), (4, 5)]),
        ([None, "的"], "龘龘的", [(0, 2), (2, 3)]),
        (["a", None], "a 龘", [(0, 1), (2, 3)]),
        ([None, None], "龘", [(0, 1), (0, 1)]),
        (["##"], "##", [(0, 2)]),
        ([], "", []),
        ([None], " ", [(0, 1)]),
    ],
)
def test_by_hand(tokens: list[str | None], text: str, spans: list[tuple[int, int]]) -> None:
    assert [tuple(span) for span in align(tokens, text).tolist()] == spans


@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_a_tokenizer_of_pieces(ernie_tiny: Tokenizer, data: st.DataObject) -> None:
    """Its ids are those of the whole text, and what its tokens stand for goes from left to right."""
    text = data.draw(st.text(alphabet=ALPHABET, max_size=40))
    ids, offsets = ernie_tiny.encode_with_offsets(text)
    assert ids == ernie_tiny.encode_text(text)
    assert all(0 <= start < end <= len(text) for start, end in offsets.tolist())
    assert all(before[0] <= after[0] for before, after in pairwise(offsets.tolist()))


@pytest.fixture(scope="module")
def ernie_tiny(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    (spec,) = bundled_registry().versions("ernie_tiny")
    folder = small_module_folder(spec, tmp_path_factory.mktemp("modules") / "ernie_tiny")
    return hub.Module(directory=folder).get_tokenizer()
