"""WordPiece against transformers and PaddleNLP's reference, and what AutoTokenizer makes of a saved folder."""

from __future__ import annotations

import json
import unicodedata
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from test_text_contract import SAMPLES, SPECIALS, VALID_TEXT, make, steady, wordpiece_vocabulary

from hub_core.errors import CheckpointError, DataError
from hub_core.text.tokenizer import Tokenizer
from hub_core.text.wordpiece import ErnieTokenizer, WordPieceTokenizer


def _bert(**options: Any) -> Any:
    from transformers import BertTokenizer

    return BertTokenizer(vocab={token: index for index, token in enumerate(wordpiece_vocabulary())}, **options)


@pytest.fixture(scope="module", params=[True, False], ids=["lowercase", "cased"])
def both(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Tokenizer, Any]:
    """Ours without PaddleNLP's rule, and transformers' own."""
    options = {"lowercase": request.param, "symbols": "keep"}
    return make(tmp_path_factory.mktemp("bert"), "wordpiece", options), _bert(do_lower_case=request.param)


@given(text=VALID_TEXT)
@steady
def test_without_the_symbols_rule_any_text_gives_the_ids_of_transformers(
    both: tuple[Tokenizer, Any], text: str
) -> None:
    ours, theirs = both
    assert ours.tokenize(text) == theirs.tokenize(text)
    assert ours(text) == dict(theirs(text))


def test_symbols_are_words_of_their_own_as_in_paddlenlp(tmp_path: Path) -> None:
    tokenizer = make(tmp_path, "wordpiece")
    assert tokenizer.tokenize("￥8999") == ["￥", "8999"]
    assert make(tmp_path, "wordpiece", {"symbols": "keep"}).tokenize("￥8999") == ["￥8999"]


def test_exactly_the_stated_characters_are_isolated(tmp_path: Path) -> None:
    listed = {0x00B2, 0x00BA, 0x3007, 0x00B5, 0x014B}  # of PaddleNLP's list, those that lower-casing leaves
    vocabulary = tmp_path / "vocab.txt"
    for code in (*listed, 0x24, 0x2B, 0x5E, 0x20AC, 0x2192, 0x1F600, 0xFFE5, 0xBD, 0x3042, 0xE9, 0x661, 0x2161):
        char = chr(code)
        vocabulary.write_text("\n".join(dict.fromkeys([*SPECIALS, f"a{char}a", "a", char])) + "\n", encoding="utf-8")
        tokenizer = WordPieceTokenizer.from_files({"vocab": vocabulary}, {"lowercase": False})
        alone = unicodedata.category(char)[0] in "SP" or code in listed
        assert tokenizer.tokenize(f"a{char}a") == (["a", char, "a"] if alone else [f"a{char}a"]), hex(code)


def test_the_type_ernie_is_the_same_on_a_vocabulary_with_ids(tmp_path: Path) -> None:
    lines = [f"{token}\t{index}" for index, token in enumerate(wordpiece_vocabulary())]
    path = tmp_path / "vocab.with_ids.txt"
    path.write_text("\n".join(lines), encoding="utf-8")
    ernie = ErnieTokenizer.from_files({"vocab": path}, {})
    bert = make(tmp_path, "wordpiece")
    assert [ernie(text) for text in SAMPLES] == [bert(text) for text in SAMPLES]
    saved = tmp_path / "saved"
    assert ernie.save(saved) == {"type": "ernie", "lowercase": True, "symbols": "isolate"}
    assert (saved / "vocab.txt").read_text(encoding="utf-8").splitlines() == wordpiece_vocabulary()


@pytest.mark.parametrize("kind", ["wordpiece", "ernie"])
@pytest.mark.parametrize("config", [None, {"model_type": "bert"}, {"model_type": "ernie"}, {"model_type": "electra"}])
def test_auto_tokenizer_gives_identical_ids_on_the_saved_folder(
    tmp_path: Path, kind: str, config: dict[str, str] | None
) -> None:
    from transformers import AutoTokenizer, PreTrainedTokenizerFast

    tokenizer = make(tmp_path, kind, {"max_length": 64})
    tokenizer.save(tmp_path)
    if config is not None:
        (tmp_path / "config.json").write_text(json.dumps(config), encoding="utf-8")
        theirs = AutoTokenizer.from_pretrained(str(tmp_path), local_files_only=True)
    else:  # without a configuration transformers wants to know the class
        theirs = PreTrainedTokenizerFast.from_pretrained(str(tmp_path), local_files_only=True)
    assert dict(theirs(list(SAMPLES), list(SAMPLES[::-1]))) == tokenizer(list(SAMPLES), list(SAMPLES[::-1]))
    assert (theirs.model_max_length, theirs.cls_token, theirs.mask_token) == (64, "[CLS]", "[MASK]")
    assert theirs.model_input_names == list(tokenizer.input_names)


def test_a_vocabulary_without_cls_and_sep_adds_none(tmp_path: Path) -> None:
    path = tmp_path / "vocab.txt"
    path.write_text("[PAD]\n[UNK]\n今\n天\n", encoding="utf-8")
    tokenizer = WordPieceTokenizer.from_files({"vocab": path}, {})
    assert (tokenizer.cls_id, tokenizer.sep_id, tokenizer.mask_id) == (None, None, None)
    assert tokenizer("今天", "天")["input_ids"] == [2, 3, 3]
    assert tokenizer.specials_count(pair=True) == 0
    assert tokenizer.to_transformers()("今天", "天")["token_type_ids"] == tokenizer("今天", "天")["token_type_ids"]


def test_an_unusable_vocabulary_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"the vocabulary .*vocab\.txt does not exist"):
        WordPieceTokenizer.from_folder(tmp_path, {"type": "wordpiece"})
    (tmp_path / "vocab.txt").write_text("[PAD]\n今\n今\n", encoding="utf-8")
    with pytest.raises(DataError) as caught:
        WordPieceTokenizer.from_folder(tmp_path, {"type": "wordpiece"})
    assert [problem.rsplit("/")[-1].split(" already")[0] for problem in caught.value.problems] == [
        "vocab.txt:3: token '今' stands in line 2",
        "vocab.txt: the token [UNK] is missing",
    ]


@pytest.mark.parametrize(
    ("cls", "vocabulary", "key"),
    [
        (WordPieceTokenizer, "bert-base-chinese.vocab.txt", "bert_ids"),
        (ErnieTokenizer, "ernie-1.0.vocab.txt", "ernie_ids"),
        (ErnieTokenizer, "ernie-1.0.vocab.with_ids.txt", "ernie_ids"),
    ],
)
def test_real_vocabularies_give_paddlenlps_ids(
    data_home: Path, fixtures_home: Path, cls: type[WordPieceTokenizer], vocabulary: str, key: str
) -> None:
    cases = json.loads((fixtures_home / "tokenizers" / "cases.json").read_text(encoding="utf-8"))["cases"]
    tokenizer = cls.from_files({"vocab": data_home / "vocab" / vocabulary}, {})
    assert len(cases) == 58
    for case in cases:
        assert tokenizer(case["text"])["input_ids"] == case[key], case["text"]


def test_a_token_that_stands_twice_keeps_every_id_through_saving(tmp_path: Path) -> None:
    path = tmp_path / "twice.txt"
    path.write_text("".join(f"{t}\t{i}\n" for i, t in enumerate([*SPECIALS, "$", "今", "$", "天"])), encoding="utf-8")
    tokenizer = ErnieTokenizer.from_files({"vocab": path}, {})
    again = ErnieTokenizer.from_folder(tmp_path, tokenizer.save(tmp_path))
    for each in (tokenizer, again, tokenizer.to_transformers()):
        assert each("$今天")["input_ids"] == [2, 7, 6, 8, 3]
    assert tokenizer.vocab_size == again.vocab_size == 9


def test_ernie_3s_own_vocabulary_is_read(data_home: Path) -> None:
    tokenizer = ErnieTokenizer.from_files({"vocab": data_home / "vocab" / "ernie-3.0-base.vocab.with_ids.txt"}, {})
    assert (tokenizer.vocab_size, tokenizer.unk_id) == (39_980, 39_979)
    assert tokenizer.convert_ids_to_tokens(tokenizer.encode("$100")) == ["[CLS]", "$", "100", "[SEP]"]


def test_real_text_gives_the_ids_of_transformers(data_home: Path) -> None:
    from transformers import BertTokenizer

    path = data_home / "vocab" / "bert-base-chinese.vocab.txt"
    ours = WordPieceTokenizer.from_files({"vocab": path}, {"symbols": "keep"})
    theirs = BertTokenizer.from_pretrained(str(path.parent), vocab_file=str(path), local_files_only=True)
    lines = (data_home / "chnsenticorp" / "dev.tsv").read_text(encoding="utf-8").splitlines()[:400]
    assert ours(lines, padding=True, truncation=True, max_length=128) == dict(
        theirs(lines, padding=True, truncation=True, max_length=128)
    )
