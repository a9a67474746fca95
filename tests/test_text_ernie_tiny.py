"""ERNIE-Tiny's tokenizer, which its module brings along: PaddleNLP's reference, the longest words, the files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_text_contract import SAMPLES, make, steady, tokenizer_class, write_files

from hub_core.errors import CheckpointError, DataError
from hub_core.text.tokenizer import Tokenizer

FILES = {
    "vocab": "vocab/ernie-tiny.vocab.txt",
    "model": "vocab/ernie-tiny.spm_cased_simp_sampled.model",
    "words": "tokenizers/words.txt",
}


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    return make(tmp_path_factory.mktemp("tiny"), "ernie-tiny")


@pytest.fixture
def real(data_home: Path, fixtures_home: Path) -> Tokenizer:
    files = {role: (fixtures_home if role == "words" else data_home) / name for role, name in FILES.items()}
    made: Tokenizer = tokenizer_class("ernie-tiny").from_files(files, {})
    return made


def test_the_reference_gives_these_tokens_and_ids(real: Tokenizer, fixtures_home: Path) -> None:
    cases = json.loads((fixtures_home / "tokenizers" / "cases.json").read_text(encoding="utf-8"))["cases"]
    assert len(cases) == 58
    for case in cases:
        assert real.tokenize(case["text"]) == case["ernie_tiny_tokens"], case["text"]
        assert real(case["text"])["input_ids"] == case["ernie_tiny_ids"], case["text"]
    names = ("[PAD]", "[UNK]", "[MASK]", "[CLS]", "[SEP]")
    assert real.convert_tokens_to_ids(list(names)) == [0, 1, 2, 3, 5]


def test_the_object_of_transformers_agrees_on_the_reference(real: Tokenizer, fixtures_home: Path) -> None:
    cases = json.loads((fixtures_home / "tokenizers" / "cases.json").read_text(encoding="utf-8"))["cases"]
    theirs = real.to_transformers()
    texts = [case["text"] for case in cases]
    ours = real(texts, padding=True, return_tensors="np")
    for name, array in theirs(texts, padding=True, return_tensors="np").items():
        assert (array == ours[name]).all()


@given(text=st.text("今天气们我公园中国北京很好这本书a ", max_size=30))
@steady
def test_words_are_the_longest_from_left_to_right(tiny: Any, text: str) -> None:
    parts = list(tiny._cut(text))
    assert "".join(parts) == text
    start = 0
    for part in parts:
        assert part in tiny._words or len(part) == 1
        longer = (text[start : start + size] for size in range(len(part) + 1, 6))
        assert not any(word in tiny._words for word in longer if len(word) > len(part))
        start += len(part)


def test_letters_are_lowered_only_if_the_option_says_so(tmp_path: Path, tiny: Tokenizer) -> None:
    cased = make(tmp_path, "ernie-tiny", {"lowercase": False})
    assert tiny.encode_text("COVID") == tiny.encode_text("covid")
    assert cased.encode_text("covid") == tiny.encode_text("covid")
    assert cased.encode_text("COVID") != tiny.encode_text("covid")


def test_special_tokens_in_a_text_keep_their_ids(tiny: Tokenizer) -> None:
    ids = tiny.encode_text("今天[MASK]很好")
    assert ids == [*tiny.encode_text("今天"), tiny.mask_id, *tiny.encode_text("很好")]
    assert tiny.decode(tiny.encode("今天很好"), skip_special_tokens=True) == "今天 很好"


def test_the_files_are_saved_as_they_were_read(tmp_path: Path) -> None:
    files = write_files(tmp_path, "ernie-tiny")
    tokenizer = tokenizer_class("ernie-tiny").from_files(files, {})
    saved = tmp_path / "saved"
    assert tokenizer.save(saved) == {"type": "ernie-tiny", "lowercase": True}
    assert (saved / "vocab.txt").read_bytes() == files["vocab"].read_bytes()
    assert (saved / "words.txt").read_bytes() == files["words"].read_bytes()
    assert (saved / "spm_cased_simp_sampled.model").read_bytes() == files["model"].read_bytes()


def test_auto_tokenizer_refuses_the_folder_instead_of_taking_it_for_berts(tiny: Tokenizer, tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    tiny.save(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "ernie"}), encoding="utf-8")
    with pytest.raises(ValueError, match="Couldn't instantiate the backend tokenizer"):
        AutoTokenizer.from_pretrained(str(tmp_path), local_files_only=True)


def test_save_pretrained_writes_a_folder_that_this_library_loads(tiny: Tokenizer, tmp_path: Path) -> None:
    written = tiny.to_transformers().save_pretrained(str(tmp_path))
    assert {"vocab.txt", "words.txt", "spm_cased_simp_sampled.model"} <= {Path(path).name for path in written}
    again = tokenizer_class("ernie-tiny").from_folder(tmp_path, {"type": "ernie-tiny"})
    assert again(list(SAMPLES)) == tiny(list(SAMPLES))
    with pytest.raises(ValueError, match="leave filename_prefix out"):
        tiny.to_transformers().save_pretrained(str(tmp_path), filename_prefix="a")


def test_missing_and_unusable_files_are_named(tmp_path: Path) -> None:
    cls = tokenizer_class("ernie-tiny")
    files = write_files(tmp_path, "ernie-tiny")
    with pytest.raises(CheckpointError, match=r"the word list .*none\.txt does not exist"):
        cls.from_files({**files, "words": tmp_path / "none.txt"}, {})
    files["words"].write_bytes(b"\xb5\xc4\n")
    with pytest.raises(DataError, match=r"words\.txt:1: not UTF-8"):
        cls.from_files(files, {})
    files["vocab"].write_text("[PAD]\n[UNK]\n[CLS]\n", encoding="utf-8")
    with pytest.raises(DataError) as caught:
        cls.from_files(files, {})
    assert [problem.split(": ")[1] for problem in caught.value.problems] == [
        "the token [SEP] is missing",
        "the token [MASK] is missing",
    ]
