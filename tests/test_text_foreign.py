"""Folders in Hugging Face's layout: the rows of transformers, mostly without it, and never any code of a folder's."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from test_text_contract import SAMPLES, VALID_TEXT, wordpiece_vocabulary

from hub_core.errors import CheckpointError, SettingsError, UntrustedCodeError
from hub_core.text.foreign import TransformersTokenizer
from hub_core.text.tokenizer import Tokenizer


def _bert(name: str, **options: Any) -> Any:
    import transformers

    vocabulary = {token: index for index, token in enumerate(wordpiece_vocabulary())}
    return getattr(transformers, name)(vocab=vocabulary, **options)


def _byte_level(name: str, specials: tuple[str, ...]) -> Any:
    import transformers
    from tokenizers import pre_tokenizers

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokens = [*specials, *alphabet, "he", "ll", "hell", "Ġw", "ä»", "ä»Ĭ"]
    merges = [("h", "e"), ("l", "l"), ("he", "ll"), ("Ġ", "w"), ("ä", "»"), ("ä»", "Ĭ")]
    return getattr(transformers, name)(vocab={token: index for index, token in enumerate(tokens)}, merges=merges)


def _unigram(name: str, specials: tuple[str, ...]) -> Any:
    import transformers

    pieces = [(piece, -float(index)) for index, piece in enumerate(["▁", *"今天气很好hellowrd,", "▁hello", "今天"])]
    return getattr(transformers, name)(vocab=[*((token, 0.0) for token in specials), *pieces])


MAKERS: dict[str, Callable[[], Any]] = {
    "bert": lambda: _bert("BertTokenizer"),
    "electra": lambda: _bert("ElectraTokenizer", do_lower_case=False),
    "distilbert": lambda: _bert("DistilBertTokenizer"),
    "roberta": lambda: _byte_level("RobertaTokenizer", ("<s>", "<pad>", "</s>", "<unk>", "<mask>")),
    "gpt2": lambda: _byte_level("GPT2Tokenizer", ("<|endoftext|>",)),
    "xlm-roberta": lambda: _unigram("XLMRobertaTokenizer", ("<s>", "<pad>", "</s>", "<unk>", "<mask>")),
    "albert": lambda: _unigram("AlbertTokenizer", ("<pad>", "<unk>", "[CLS]", "[SEP]", "[MASK]")),
}
#: transformers 5 leaves token types out for ALBERT, whose network has two and was trained with both.
_TYPES_ADDED = ("albert",)


@pytest.fixture(scope="module", params=MAKERS)
def both(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Tokenizer, Any]:
    folder = tmp_path_factory.mktemp(request.param)
    theirs = MAKERS[request.param]()
    theirs.save_pretrained(str(folder))
    (folder / "config.json").write_text(json.dumps({"model_type": request.param}), encoding="utf-8")
    return request.param, TransformersTokenizer.from_folder(folder, {"type": "transformers"}), theirs


@given(text=VALID_TEXT, pair=VALID_TEXT)
@settings(deadline=None, derandomize=True, max_examples=40)
def test_any_text_and_pair_give_the_rows_of_transformers(
    both: tuple[str, Tokenizer, Any], text: str, pair: str
) -> None:
    _, ours, theirs = both
    assert ours.tokenize(text) == theirs.tokenize(text)
    for second in [None, pair] if pair else [None]:
        row = dict(theirs(text, second, return_token_type_ids="token_type_ids" in ours.input_names))
        assert ours(text, second) == row


def test_special_tokens_and_inputs_are_those_of_the_files(both: tuple[str, Tokenizer, Any]) -> None:
    kind, ours, theirs = both
    assert ours.special_ids <= set(theirs.all_special_ids)
    if theirs.pad_token is not None:
        assert ours.pad_id == theirs.pad_token_id
    assert (ours.unk_id, ours.cls_id, ours.mask_id) == (theirs.unk_token_id, theirs.cls_token_id, theirs.mask_token_id)
    expected = {*theirs.model_input_names, *(["token_type_ids"] if kind in _TYPES_ADDED else [])}
    assert set(ours.input_names) == expected
    batch: dict[str, Any] = {"padding": True, "truncation": True, "max_length": 9}
    if theirs.pad_token is not None:
        types = "token_type_ids" in expected
        assert ours(list(SAMPLES), **batch) == dict(theirs(list(SAMPLES), return_token_type_ids=types, **batch))


def test_the_saved_folder_gives_auto_tokenizer_the_same_rows(both: tuple[str, Tokenizer, Any], tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    kind, ours, _ = both
    ours.save(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({"model_type": kind}), encoding="utf-8")
    theirs = AutoTokenizer.from_pretrained(str(tmp_path), local_files_only=True)
    for text in SAMPLES:
        assert dict(theirs(text, "今天")) == ours(text, "今天")
    again = TransformersTokenizer.from_folder(tmp_path, {"type": "transformers"})
    assert again.input_names == ours.input_names


def test_robertas_template_is_its_own(tmp_path: Path) -> None:
    MAKERS["roberta"]().save_pretrained(str(tmp_path))
    ours = TransformersTokenizer.from_folder(tmp_path, {})
    assert ours.with_specials([9], [8, 7]) == ([0, 9, 2, 2, 8, 7, 2], [0] * 7)
    assert ours.with_specials([9]) == ([0, 9, 2], [0] * 3)
    assert (ours.specials_count(), ours.specials_count(pair=True)) == (2, 4)
    assert ours.input_names == ("input_ids", "attention_mask")


def test_a_folder_with_only_a_vocabulary_goes_through_transformers(tmp_path: Path) -> None:
    (tmp_path / "vocab.txt").write_text("\n".join(wordpiece_vocabulary()) + "\n", encoding="utf-8")
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "bert"}), encoding="utf-8")
    (tmp_path / "tokenizer_config.json").write_text(
        json.dumps({"do_lower_case": False, "model_max_length": 77}), encoding="utf-8"
    )
    ours = TransformersTokenizer.from_folder(tmp_path, {"type": "transformers"})
    theirs = MAKERS["electra"]()
    assert [ours(text) for text in SAMPLES] == [dict(theirs(text)) for text in SAMPLES]
    assert ours.max_length == 77
    assert TransformersTokenizer.from_folder(tmp_path, {"max_length": 32}).max_length == 32


def test_without_any_configuration_the_usual_names_are_found(tmp_path: Path) -> None:
    MAKERS["bert"]().save_pretrained(str(tmp_path))
    (tmp_path / "tokenizer_config.json").unlink()
    ours = TransformersTokenizer.from_folder(tmp_path, {})
    assert (ours.pad_token, ours.cls_token, ours.mask_token) == ("[PAD]", "[CLS]", "[MASK]")
    assert ours.input_names == ("input_ids", "token_type_ids", "attention_mask")
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "x", "type_vocab_size": 1}), encoding="utf-8")
    assert TransformersTokenizer.from_folder(tmp_path, {}).input_names == ("input_ids", "attention_mask")


def test_special_tokens_may_stand_in_their_own_file_as_objects(tmp_path: Path) -> None:
    MAKERS["bert"]().save_pretrained(str(tmp_path))
    (tmp_path / "tokenizer_config.json").unlink()
    names = {"pad_token": {"content": "[unused1]"}, "unk_token": "[UNK]", "cls_token": "[nowhere]"}
    (tmp_path / "special_tokens_map.json").write_text(json.dumps(names), encoding="utf-8")
    ours = TransformersTokenizer.from_folder(tmp_path, {})
    assert (ours.pad_token, ours.cls_token, ours.mask_token) == ("[unused1]", None, None)


def test_a_stored_truncation_or_padding_is_switched_off(tmp_path: Path) -> None:
    theirs = MAKERS["bert"]()
    theirs.backend_tokenizer.enable_truncation(4)
    theirs.backend_tokenizer.enable_padding(length=10)
    theirs.backend_tokenizer.save(str(tmp_path / "tokenizer.json"))
    ours = TransformersTokenizer.from_folder(tmp_path, {})
    assert len(ours.encode_text("今天天气很好")) == 6


def test_code_of_a_folders_own_is_never_run(tmp_path: Path) -> None:
    MAKERS["bert"]().save_pretrained(str(tmp_path))
    path = tmp_path / "tokenizer_config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**config, "auto_map": {"AutoTokenizer": ["canary.T", None]}}), encoding="utf-8")
    (tmp_path / "canary.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')", encoding="utf-8")
    with pytest.raises(UntrustedCodeError, match=r"tokenizer_config\.json asks for a tokenizer with code of its own"):
        TransformersTokenizer.from_folder(tmp_path, {})
    (tmp_path / "tokenizer.json").unlink()
    with pytest.raises(UntrustedCodeError):
        TransformersTokenizer.from_folder(tmp_path, {})
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("tokenizer.json", "{}", r"tokenizer\.json is not a tokenizer of the tokenizers library"),
        ("tokenizer.json", "{", r"tokenizer\.json is not a tokenizer of the tokenizers library"),
        ("tokenizer_config.json", "{", r"tokenizer_config\.json is not valid JSON"),
        ("special_tokens_map.json", "[]", r"special_tokens_map\.json must hold a JSON object"),
    ],
)
def test_a_damaged_file_is_named(tmp_path: Path, name: str, content: str, message: str) -> None:
    (tmp_path / name).write_text(content, encoding="utf-8")
    with pytest.raises(CheckpointError, match=message):
        TransformersTokenizer.from_folder(tmp_path, {})


def test_a_folder_without_any_tokenizer_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="transformers finds no tokenizer in"):
        TransformersTokenizer.from_folder(tmp_path, {})
    with pytest.raises(SettingsError, match="unknown option 'lowercase' of tokenizer type 'transformers'"):
        TransformersTokenizer.from_folder(tmp_path, {"lowercase": True})


def test_a_python_only_tokenizer_and_a_vocabulary_of_no_text_are_refused(tmp_path: Path) -> None:
    import tokenizers
    import transformers

    (tmp_path / "vocab.txt").write_text("\n".join(wordpiece_vocabulary()) + "\n", encoding="utf-8")
    transformers.CanineTokenizer().save_pretrained(str(tmp_path))
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "canine"}), encoding="utf-8")
    with pytest.raises(CheckpointError, match=r"has no tokenizer\.json, and CanineTokenizer cannot be turned into one"):
        TransformersTokenizer.from_folder(tmp_path, {})
    silent = tokenizers.Tokenizer(tokenizers.models.WordLevel({"[UNK]": 0, "[PAD]": 1}, unk_token="[UNK]"))
    silent.normalizer = tokenizers.normalizers.Replace(tokenizers.Regex("."), "")
    silent.save(str(tmp_path / "tokenizer.json"))
    with pytest.raises(CheckpointError, match="cuts none of the usual characters"):
        TransformersTokenizer.from_folder(tmp_path, {})


def test_a_tokenizer_that_names_no_unknown_token_is_refused(tmp_path: Path) -> None:
    import tokenizers

    tokenizers.Tokenizer(tokenizers.models.WordLevel({"a": 0}, unk_token="a")).save(str(tmp_path / "tokenizer.json"))
    with pytest.raises(CheckpointError, match="name no pad_token that their vocabulary has"):
        TransformersTokenizer.from_folder(tmp_path, {})
