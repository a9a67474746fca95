"""SentencePiece models against the sentencepiece library, and ALBERT's way to prepare text."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import pytest
import sentencepiece
from hypothesis import given
from hypothesis import strategies as st
from test_text_contract import SAMPLES, VALID_TEXT, make, steady, train_pieces

from hub_core.errors import CheckpointError, SettingsError
from hub_core.text.pieces import PieceModel, SpecialSplitter
from hub_core.text.sentencepiece import SentencePieceTokenizer


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("pieces") / "spiece.model"
    path.write_bytes(train_pieces())
    return path


@given(text=VALID_TEXT | st.text("！1,0今天hello ", max_size=30))
@steady
def test_the_plain_style_gives_the_ids_of_the_library(model: Path, text: str) -> None:
    tokenizer = SentencePieceTokenizer.from_files({"model": model}, {})
    processor = sentencepiece.SentencePieceProcessor(model_file=str(model))
    for special in ("[MASK]", "[CLS]", "[SEP]"):  # ours reads these as special tokens, the library as text
        text = text.replace(special, "")
    assert tokenizer.encode_text(text) == processor.encode(text)


def test_special_pieces_and_pairs_are_alberts(model: Path) -> None:
    tokenizer = SentencePieceTokenizer.from_folder(model.parent, {"type": "sentencepiece"})
    names = (tokenizer.pad_token, tokenizer.unk_token, tokenizer.cls_token, tokenizer.sep_token, tokenizer.mask_token)
    assert names == ("<pad>", "<unk>", "[CLS]", "[SEP]", "[MASK]")
    row = tokenizer("今天[MASK]", "good")
    tokens = tokenizer.convert_ids_to_tokens(row["input_ids"])
    assert tokens[0] == "[CLS]"
    assert tokens[-1] == "[SEP]"
    assert tokens.count("[SEP]") == 2
    assert tokens.count("[MASK]") == 1
    assert row["token_type_ids"] == sorted(row["token_type_ids"])
    assert tokenizer.decode(tokenizer.encode("hello hotel"), skip_special_tokens=True) == "hello hotel"


def test_alberts_style_prepares_text_and_sets_commas_apart(tmp_path: Path) -> None:
    model = tmp_path / "spiece.model"
    model.write_bytes(train_pieces((*SAMPLES, *["1, 2, 10, x2,y x2,y x2,z"] * 30)))
    albert = SentencePieceTokenizer.from_files({"model": model}, {"style": "albert", "lowercase": True})
    assert albert.encode_text("HÉLLO \u3000 ``good''") == albert.encode_text('hello "good"')
    for text in ("2, 3", "1,500 and 2,500,", "x2,b", "好2,y"):
        assert not [token for token in albert.tokenize(text) if len(token) > 1 and token.endswith(",")]
        assert "".join(albert.tokenize(text)).replace("▁", "") == text.replace(" ", "")
    plain = SentencePieceTokenizer.from_files({"model": model}, {})
    assert "2," in plain.tokenize("好2,y")  # what the model itself does with such a comma


def test_a_model_without_special_pieces_pads_with_unknown(tmp_path: Path) -> None:
    content = train_pieces(controls=())
    path = tmp_path / "m.model"
    path.write_bytes(content)
    processor = sentencepiece.SentencePieceProcessor(model_proto=content)
    tokenizer = SentencePieceTokenizer.from_files({"model": path}, {})
    assert tokenizer.cls_id is tokenizer.mask_id is None
    assert tokenizer("今天", "很好")["input_ids"] == processor.encode("今天") + processor.encode("很好")


def test_auto_tokenizer_takes_the_saved_folder_for_alberts(model: Path, tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    albert = SentencePieceTokenizer.from_files({"model": model}, {"style": "albert", "lowercase": True})
    assert albert.save(tmp_path) == {"type": "sentencepiece", "style": "albert", "lowercase": True}
    assert (tmp_path / "spiece.model").read_bytes() == model.read_bytes()
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "albert"}), encoding="utf-8")
    theirs = AutoTokenizer.from_pretrained(str(tmp_path), local_files_only=True)
    for text in SAMPLES[:4]:
        assert theirs(text)["input_ids"] == albert(text)["input_ids"]
    assert (theirs.pad_token_id, theirs.mask_token_id) == (albert.pad_id, albert.mask_id)


@pytest.mark.parametrize("content", [b"", b"not a model", b"\x00" * 100])
def test_a_damaged_model_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "spiece.model"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"spiece\.model is not a SentencePiece model"):
        SentencePieceTokenizer.from_files({"model": path}, {})


def test_a_truncated_model_is_refused(model: Path, tmp_path: Path) -> None:
    path = tmp_path / "spiece.model"
    path.write_bytes(model.read_bytes()[:-1000])
    with pytest.raises(CheckpointError, match=r"spiece\.model is not a SentencePiece model"):
        SentencePieceTokenizer.from_files({"model": path}, {})


def test_a_missing_model_and_an_unknown_style_are_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"the SentencePiece model .*spiece\.model does not exist"):
        SentencePieceTokenizer.from_folder(tmp_path, {"type": "sentencepiece"})
    with pytest.raises(SettingsError, match="'style': 'alberta'; did you mean 'albert'"):
        make(tmp_path, "sentencepiece", {"style": "alberta"})


def test_pieces_survive_pickling_and_take_half_characters(model: Path) -> None:
    pieces = PieceModel.read(model)
    again = pickle.loads(pickle.dumps(pieces))
    assert again.pieces("今天\ud83d很好") == pieces.pieces("今天\ufffd很好")
    assert again.vocabulary() == pieces.vocabulary()


def test_special_tokens_in_a_text_are_cut_out_longest_first() -> None:
    splitter = SpecialSplitter(["[M]", "[M]]", "<s>"])
    assert list(splitter.split("a[M]]b[M]<s>")) == [
        ("a", False),
        ("[M]]", True),
        ("b", False),
        ("[M]", True),
        ("<s>", True),
    ]
    assert list(splitter.split("")) == []


def test_a_real_model_gives_the_ids_of_the_library(data_home: Path) -> None:
    path = data_home / "vocab" / "ernie-tiny.spm_cased_simp_sampled.model"
    tokenizer = SentencePieceTokenizer.from_files({"model": path}, {})
    processor = sentencepiece.SentencePieceProcessor(model_file=str(path))
    lines = (data_home / "chnsenticorp" / "dev.tsv").read_text(encoding="utf-8").splitlines()[:400]
    assert [tokenizer.encode_text(line) for line in lines] == processor.encode(lines)
