"""Character and word vocabularies: built the same way every time, normalised the same way in training and in use."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_text_contract import ANY_TEXT, SAMPLES, steady

from hub_core.errors import CheckpointError, DataError, NotFoundError, SettingsError
from hub_core.text.words import (
    CharTokenizer,
    WordTokenizer,
    build_char_vocabulary,
    build_word_vocabulary,
    read_word_list,
)

TEXTS = ["酒店很好，很大", "酒店好", "好酒 ABC", "ａｂｃ 2023 ２０２４"]


def test_characters_are_in_falling_frequency_then_code_points() -> None:
    tokenizer = build_char_vocabulary(TEXTS, min_count=2)
    assert list(tokenizer.get_vocab()) == ["[PAD]", "[UNK]", "2", "好", "酒", "0", "a", "b", "c", "店", "很"]
    assert tokenizer.encode_text("好酒!") == [3, 4, 1]
    assert tokenizer.tokenize("Ｂ！") == ["b", "[UNK]"]


@pytest.mark.parametrize("build", [build_char_vocabulary, build_word_vocabulary])
def test_the_order_of_texts_does_not_change_a_vocabulary(build: Any) -> None:
    shuffled = list(SAMPLES)
    random.Random(0).shuffle(shuffled)
    for options in ({}, {"digits": "zero", "lowercase": False}):
        first = build(SAMPLES, min_count=1, options=options)
        assert list(build(iter(shuffled), min_count=1, options=options).get_vocab()) == list(first.get_vocab())


def test_a_vocabulary_is_bounded_in_count_and_size() -> None:
    assert len(build_char_vocabulary(TEXTS, min_count=1)) > len(build_char_vocabulary(TEXTS, min_count=2))
    assert list(build_char_vocabulary(TEXTS, min_count=1, max_size=4).get_vocab()) == ["[PAD]", "[UNK]", "2", "好"]
    assert list(build_char_vocabulary([], min_count=1).get_vocab()) == ["[PAD]", "[UNK]"]
    with pytest.raises(SettingsError, match="min_count must be at least 1, not 0"):
        build_char_vocabulary(TEXTS, min_count=0)
    with pytest.raises(SettingsError, match="max_size must be at least 3"):
        build_char_vocabulary(TEXTS, max_size=2)


def test_rules_are_the_same_in_training_and_in_use() -> None:
    zero = build_char_vocabulary(["a1 Ｂ２"], min_count=1, options={"digits": "zero"})
    assert sorted(zero.get_vocab()) == ["0", "[PAD]", "[UNK]", "a", "b"]
    assert zero.encode_text("A9b٣") == zero.encode_text("a0B０")
    keep = build_char_vocabulary(["Ｂ２b"], min_count=1, options={"width": "keep", "lowercase": False})
    assert sorted(keep.get_vocab()) == ["[PAD]", "[UNK]", "b", "２", "Ｂ"]


@given(texts=st.lists(ANY_TEXT, max_size=5))
@steady
def test_every_character_of_the_training_texts_is_known(texts: list[str]) -> None:
    tokenizer = build_char_vocabulary(texts, min_count=1)
    for text in texts:
        assert tokenizer.unk_id not in tokenizer.encode_text(text)


@given(text=ANY_TEXT)
@steady
def test_a_vocabulary_of_any_text_is_saved_and_read_back(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    folder = tmp_path_factory.getbasetemp() / "any"
    tokenizer = build_char_vocabulary([text], min_count=1)
    again = CharTokenizer.from_folder(folder, tokenizer.save(folder))
    assert again.get_vocab() == tokenizer.get_vocab()


def test_no_special_tokens_are_added_and_white_space_is_no_unit() -> None:
    tokenizer = build_char_vocabulary(TEXTS, min_count=1)
    assert tokenizer("酒 店\n", "好")["input_ids"] == tokenizer.encode_text("酒店好")
    assert tokenizer("酒店").keys() == {"input_ids", "attention_mask"}
    assert tokenizer.encode_unit(" ") == [tokenizer.unk_id]
    assert tokenizer.specials_count(pair=True) == 0
    assert tokenizer.decode(tokenizer.encode("酒店很好")) == "酒店很好"


def test_words_are_units_and_unknown_ones_one_id() -> None:
    tokenizer = build_word_vocabulary(["我来到北京清华大学", "北京很大"], min_count=1)
    assert {"北京", "清华大学", "来到"} <= tokenizer.get_vocab().keys()
    assert tokenizer.tokenize("我来到上海") == ["我", "来到", "[UNK]"]
    assert tokenizer.encode_unit("清华大学") == [tokenizer.get_vocab()["清华大学"]]
    assert tokenizer.encode_unit("😀") == [tokenizer.unk_id]


def test_unknown_words_fall_back_to_characters_if_asked() -> None:
    texts = ["北京大学", "北京大学", "清华大学"]
    tokenizer = build_word_vocabulary(texts, min_count=2, options={"oov": "char"})
    assert list(tokenizer.get_vocab()) == ["[PAD]", "[UNK]", "北京大学"]
    tokenizer = build_word_vocabulary([*texts, "清泉石上流"], min_count=2, options={"oov": "char"})
    assert tokenizer.tokenize("北京大学清华") == ["北京大学", "清", "[UNK]"]
    unknown = build_word_vocabulary([*texts, "清泉石上流"], min_count=2)
    assert unknown.tokenize("北京大学清华") == ["北京大学", "[UNK]"]


def test_words_are_cut_as_written_and_normalised_afterwards() -> None:
    tokenizer = build_word_vocabulary(["T恤很好 iPhone15 ＡＢＣ"], min_count=1, options={"digits": "zero"})
    assert {"t恤", "iphone00", "abc"} <= tokenizer.get_vocab().keys()
    assert tokenizer.unk_id not in tokenizer.encode_text("T恤 iphone99 abc")


def test_a_word_list_in_any_order_becomes_a_vocabulary(tmp_path: Path) -> None:
    path = tmp_path / "words.txt"
    path.write_text("北京\n[UNK]\nＡbc\n\nabc\n天安门\n[PAD]\n", encoding="utf-8")
    tokenizer = read_word_list(path)
    assert list(tokenizer.get_vocab()) == ["[PAD]", "[UNK]", "北京", "abc", "天安门"]
    assert tokenizer.tokenize("北京天安门ABC") == ["北京", "天安门", "abc"]
    with pytest.raises(CheckpointError, match=r"the word list .*none\.txt does not exist"):
        read_word_list(tmp_path / "none.txt")


def test_user_words_travel_with_the_tokenizer(tmp_path: Path) -> None:
    text = "李小福是创新办主任"
    plain = build_word_vocabulary([text], min_count=1)
    taught = build_word_vocabulary([text], min_count=1, user_words=["创新办 3 i"])
    assert "创新办" not in plain.get_vocab()
    manifest = taught.save(tmp_path)
    assert manifest["words"] == "words.txt"
    assert "words" not in plain.save(tmp_path / "plain")
    again = WordTokenizer.from_folder(tmp_path, manifest)
    assert again.tokenize(text) == taught.tokenize(text)
    assert "创新办" in again.tokenize(text)


def test_unusable_vocabularies_and_segmenters_are_named(tmp_path: Path) -> None:
    path = tmp_path / "vocab.txt"
    path.write_text("[UNK]\n[PAD]\n的\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"vocab\.txt:1: the file must start with \[PAD\] and \[UNK\]"):
        CharTokenizer.from_folder(tmp_path, {"type": "char"})
    with pytest.raises(NotFoundError, match="unknown segmenter 'jeiba'; did you mean 'jieba'"):
        WordTokenizer((), {"segmenter": "jeiba"})
    with pytest.raises(SettingsError, match="'digits': 'zeros'; did you mean 'zero'"):
        CharTokenizer((), {"digits": "zeros"})
