"""WoBERT's tokenizer: its ids are those of public definitions of it, with jieba's words as they are."""

from __future__ import annotations

import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_text_contract import ANY_TEXT, SAMPLES, SPECIALS, make, steady, wordpiece_vocabulary

from hub_core.errors import DataError, NotFoundError
from hub_core.text.segment import JiebaDictionarySegmenter
from hub_core.text.wobert import WoBertTokenizer

WORDS = ["今天", "天气", "我们", "公园", "北京", "中国", "房间", "环境", "很大", "作者", "ab", "hello"]
CHARACTERS = "".join(sorted({char for text in SAMPLES for char in text if "\u4e00" <= char <= "\u9fff"}))


def vocabulary() -> list[str]:
    return [*wordpiece_vocabulary(), *WORDS]


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WoBertTokenizer]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HUB_HOME", str(tmp_path_factory.mktemp("home")))
        folder = tmp_path_factory.mktemp("wobert")
        (folder / "vocab.txt").write_text("\n".join(vocabulary()) + "\n", encoding="utf-8")
        yield WoBertTokenizer.from_folder(folder, {"type": "wobert"})


@pytest.fixture(scope="module")
def theirs() -> Any:
    """RoFormer's tokenizer in transformers, which is WoBERT's; jieba stands in for its Rust port of the same rules."""
    import transformers

    def tokenize(text: str, *, hmm: bool) -> Iterator[tuple[str, int, int]]:
        assert not hmm
        start = 0
        for word in JiebaDictionarySegmenter().cut(text):
            yield word, start, start + len(word)
            start += len(word)

    port = types.ModuleType("rjieba")
    port.tokenize = tokenize  # type: ignore[attr-defined]
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "rjieba", port)
        make_theirs: Any = transformers.RoFormerTokenizer
        return make_theirs(vocab={token: index for index, token in enumerate(vocabulary())})


def test_words_of_the_vocabulary_are_tokens_and_others_are_cut(ours: WoBertTokenizer) -> None:
    assert ours.tokenize("今天很好，我们去公园玩。") == ["今天", "很", "好", "，", "我们", "去", "公园", "玩", "。"]
    # A word of jieba's, which the vocabulary lacks: transformers' documentation has the same line for RoFormer.
    assert ours.tokenize("今天天气很好") == ["今", "天", "天", "气", "很", "好"]
    assert ours.tokenize("我们今天去[MASK]北京") == ["我们", "今天", "去", "[MASK]", "北京"]
    assert ours.tokenize("Hello WORLD，AB酒店") == ["hello", "wor", "##ld", "，", "ab", "酒", "店"]
    assert ours.encode_unit("今") == [ours.get_vocab()["今"]]
    assert ours.decode(ours.encode("我们去公园 hello ab"), skip_special_tokens=True) == "我们去公园hello ab"


@given(text=st.text(st.sampled_from(CHARACTERS + "，。！？ ab"), max_size=40) | st.sampled_from(SAMPLES[:3]))
@steady
def test_chinese_text_gives_the_tokens_of_transformers(ours: WoBertTokenizer, theirs: Any, text: str) -> None:
    assert ours.tokenize(text) == theirs.tokenize(text)


def bert4keras_tokens(text: str, words: Any, known: dict[str, int]) -> list[str]:
    """What bert4keras 0.8.8 does (tokenizers.py, `Tokenizer._tokenize` with `pre_tokenize`), in other words: lower and
    take accents off, cut, keep the words that are known, and give BERT's own tokenizer the others."""
    import unicodedata

    from transformers.models.bert.tokenization_bert_legacy import BasicTokenizer, WordpieceTokenizer

    text = "".join(c for c in unicodedata.normalize("NFD", text.lower()) if unicodedata.category(c) != "Mn")
    basic, pieces = BasicTokenizer(do_lower_case=False), WordpieceTokenizer(known, unk_token="[UNK]")
    return [
        token
        for word in words(text)
        for token in ([word] if word in known else [p for w in basic.tokenize(word) for p in pieces.tokenize(w)])
    ]


@given(text=ANY_TEXT)
@steady
def test_any_text_gives_the_tokens_of_bert4keras(ours: WoBertTokenizer, text: str) -> None:
    import jieba

    if any(special in text for special in SPECIALS) or not text.isprintable():
        return  # there a special token in a text is none, and control characters are other ones
    expected = bert4keras_tokens(text, lambda t: jieba.lcut(t, HMM=False), ours.get_vocab())
    assert ours.tokenize(text) == expected


@given(text=ANY_TEXT)
@steady
def test_the_dictionary_alone_gives_jiebas_words(text: str) -> None:
    import jieba

    words = JiebaDictionarySegmenter().cut(text)
    assert "".join(words) == text
    assert words == jieba.lcut(text, HMM=False)


def test_capitals_may_be_told_apart(tmp_path: Path) -> None:
    tokenizer = make(tmp_path, "wobert", {"lowercase": False})
    assert "[UNK]" in tokenizer.tokenize("ABC")
    assert tokenizer.manifest() == {"type": "wobert", "lowercase": False, "segmenter": "jieba-dictionary"}


def test_what_cannot_be_used_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="unknown segmenter 'jeiba'"):
        make(tmp_path, "wobert", {"segmenter": "jeiba"})
    (tmp_path / "vocab.txt").write_text("[PAD]\n[UNK]\n今天\n今天\n", encoding="utf-8")
    with pytest.raises(DataError) as caught:
        WoBertTokenizer.from_files({"vocab": tmp_path / "vocab.txt"}, {})
    assert "vocab.txt:4: token '今天' stands in line 3 already" in str(caught.value)
    assert "the token [CLS] is missing" in str(caught.value)
