"""What every tokenizer promises, on small self-made vocabularies; `make` and `SAMPLES` serve the other tests too."""

from __future__ import annotations

import io
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hub_core.errors import SettingsError
from hub_core.paths import bundled
from hub_core.plugins import catalog
from hub_core.text.tokenizer import Tokenizer
from hub_core.text.words import build_char_vocabulary, build_word_vocabulary

SAMPLES = (
    "今天天气很好，我们去公园玩。",
    "我们今天去中国北京，明天去上海。",
    "酒店的环境很好，房间很大，价格￥8999元。",
    "hello world, the hotel is very good. 2023年1月1日",
    "这本书很好看，作者的文笔很好。This book is good.",
    "ＡＢＣ１２３全角 和 half width abc123",
    "COVID-19 疫情😀 期间 iPhone15 Pro 售价￥8999.00",
    "  前后 空格\t和制表 ",
    "한국어 日本語 русский",
    "[MASK]天天气[SEP]很好",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    "",
)
SPECIALS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
TYPES = ("wordpiece", "ernie", "wobert", "sentencepiece", "ernie-tiny", "char", "word", "transformers")

#: Any text that Python can hold: every plane, control characters, NUL, lone surrogates, and what comes up in reviews.
ANY_TEXT = st.text(max_size=30) | st.text(st.characters(codec=None), max_size=12) | st.sampled_from(SAMPLES)
#: The same without lone surrogates, for comparison with libraries that take none.
VALID_TEXT = st.text(st.characters(codec="utf-8"), max_size=30) | st.sampled_from(SAMPLES)
steady = settings(deadline=None, derandomize=True, max_examples=80)


def wordpiece_vocabulary() -> list[str]:
    characters = sorted({char for text in SAMPLES for char in text.lower() if not char.isspace()})
    pieces = ["hel", "##lo", "wor", "##ld", "8999", "##9", "￥8999", "good", "hotel", "covid", "[unused1]"]
    return [*SPECIALS, *characters, *(f"##{char}" for char in "abcdefghijklmnopqrstuvwxyz0123"), *pieces]


def train_pieces(texts: tuple[str, ...] = SAMPLES, *, controls: tuple[str, ...] = SPECIALS[2:]) -> bytes:
    """A tiny SentencePiece model, ALBERT's layout of special pieces."""
    import sentencepiece

    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([*texts, "the numbers 1,000 and 2,500 are good!!!!!!!!"] * 4),
        model_writer=model,
        vocab_size=220,
        hard_vocab_limit=False,
        character_coverage=0.98,
        control_symbols=list(controls),
        pad_id=0,
        unk_id=1,
        bos_id=-1,
        eos_id=-1,
        pad_piece="<pad>",
        num_threads=1,
        minloglevel=2,
    )
    return model.getvalue()


def write_files(folder: Path, kind: str) -> dict[str, Path]:
    """The files of one tokenizer type, by role."""
    import sentencepiece

    files = {"vocab": folder / "vocab.txt", "model": folder / "pieces.model", "words": folder / "words.txt"}
    if kind in ("wordpiece", "ernie", "wobert"):
        files["vocab"].write_text("\n".join(wordpiece_vocabulary()) + "\n", encoding="utf-8")
        return {"vocab": files["vocab"]}
    if kind == "sentencepiece":
        files["model"].write_bytes(train_pieces())
        return {"model": files["model"]}
    if kind == "ernie-tiny":
        words = ["今天", "天气", "我们", "公园", "中国", "北京", "酒店", "这本书", "环境", "很好"]
        content = train_pieces((*SAMPLES, " ".join(words)), controls=())
        processor = sentencepiece.SentencePieceProcessor(model_proto=content)
        pieces = [processor.id_to_piece(index) for index in range(2, len(processor))]
        files["model"].write_bytes(content)
        files["vocab"].write_text("\n".join([*SPECIALS, *pieces]) + "\n", encoding="utf-8")
        files["words"].write_text("\n".join(words) + "\n", encoding="utf-8")
        return files
    raise AssertionError(kind)


def tokenizer_class(kind: str) -> Any:
    shared = catalog()
    if kind == "ernie-tiny":
        shared = shared.with_module("ernie_tiny", "2.0.2", bundled("modules") / "ernie_tiny")
    return shared.get("tokenizer", kind)


def make(folder: Path, kind: str, options: Mapping[str, Any] | None = None) -> Tokenizer:
    """A small tokenizer of a type."""
    if kind == "char":
        return build_char_vocabulary(SAMPLES, min_count=1, options=options)
    if kind == "word":
        return build_word_vocabulary(SAMPLES, min_count=1, options=options)
    if kind == "transformers":
        make(folder, "wordpiece", {"symbols": "keep"}).save(folder)
        return tokenizer_class(kind).from_folder(folder, {"type": kind, **(options or {})})
    return tokenizer_class(kind).from_files(write_files(folder, kind), options or {})


@pytest.fixture(scope="module", params=TYPES)
def tokenizer(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HUB_HOME", str(tmp_path_factory.mktemp("home")))
        return make(tmp_path_factory.mktemp(request.param), request.param)


@pytest.fixture(scope="module")
def theirs(tokenizer: Tokenizer) -> Any:
    """The same tokenizer as an object of transformers."""
    return tokenizer.to_transformers()


@given(unit=ANY_TEXT)
@steady
def test_a_unit_has_at_least_one_id_and_is_never_changed_by_the_caller(tokenizer: Tokenizer, unit: str) -> None:
    ids = tokenizer.encode_unit(unit)
    assert ids
    assert all(0 <= i < len(tokenizer) for i in ids)
    ids.append(-1)
    assert tokenizer.encode_unit(unit) == ids[:-1]


@given(text=ANY_TEXT)
@steady
def test_tokens_and_ids_of_any_text_agree(tokenizer: Tokenizer, text: str) -> None:
    ids = tokenizer.encode_text(text)
    assert tokenizer.convert_tokens_to_ids(tokenizer.tokenize(text)) == ids
    assert isinstance(tokenizer.decode(ids), str)


@given(first=st.lists(st.integers(5, 9)), second=st.none() | st.lists(st.integers(5, 9)))
@steady
def test_special_tokens_are_as_many_as_stated_and_lose_nothing(
    tokenizer: Tokenizer, first: list[int], second: list[int] | None
) -> None:
    ids, types = tokenizer.with_specials(first, second)
    rest = [i for i in ids if i not in tokenizer.special_ids]
    assert len(ids) == len(types) == len(rest) + tokenizer.specials_count(pair=second is not None)
    assert rest == [*first, *(second or [])]
    assert sorted(types) == types
    assert set(types) <= ({0} if second is None else {0, 1})


def test_saved_and_loaded_it_gives_the_same_ids_and_manifest(tokenizer: Tokenizer, tmp_path: Path) -> None:
    manifest = tokenizer.save(tmp_path)
    again = type(tokenizer).from_folder(tmp_path, manifest)
    assert manifest["type"] == tokenizer.type
    assert again.get_vocab() == tokenizer.get_vocab()
    assert [again(text) for text in SAMPLES] == [tokenizer(text) for text in SAMPLES]
    assert again.save(tmp_path) == manifest
    assert again.special_ids == tokenizer.special_ids


def test_it_survives_pickling_as_data_loaders_need(tokenizer: Tokenizer) -> None:
    again = pickle.loads(pickle.dumps(tokenizer))
    assert again(list(SAMPLES)) == tokenizer(list(SAMPLES))


@given(text=VALID_TEXT)
@settings(deadline=None, derandomize=True, max_examples=40)
def test_the_object_of_transformers_gives_identical_ids(tokenizer: Tokenizer, theirs: Any, text: str) -> None:
    assert theirs(text)["input_ids"] == tokenizer(text)["input_ids"]
    assert theirs.tokenize(text) == tokenizer.tokenize(text)


def test_the_object_of_transformers_has_the_same_specials_and_inputs(tokenizer: Tokenizer, theirs: Any) -> None:
    assert theirs.pad_token_id == tokenizer.pad_id
    assert theirs.unk_token_id == tokenizer.unk_id
    assert (theirs.cls_token, theirs.sep_token, theirs.mask_token) == (
        tokenizer.cls_token,
        tokenizer.sep_token,
        tokenizer.mask_token,
    )
    assert sorted(theirs.model_input_names) == sorted(tokenizer.input_names)
    assert theirs.get_vocab() == tokenizer.get_vocab()
    ours = tokenizer(list(SAMPLES), list(SAMPLES[::-1]), padding=True)
    assert ours == dict(theirs(list(SAMPLES), list(SAMPLES[::-1]), padding=True))


@pytest.mark.parametrize("length", [8, 9, 11])
@pytest.mark.parametrize("strategy", ["longest_first", "only_first", "only_second"])
def test_the_object_of_transformers_cuts_pairs_at_the_same_place(
    tokenizer: Tokenizer, theirs: Any, strategy: str, length: int
) -> None:
    long, short = "今天天气很好我们去公园玩", "天气"
    pairs = {"longest_first": ((long, short), (short, long), (long, long)), "only_first": ((long, short),)}
    for first, second in pairs.get(strategy, ((short, long),)):
        arguments: dict[str, Any] = {"truncation": strategy, "max_length": length}
        assert tokenizer(first, second, **arguments) == dict(theirs(first, second, **arguments))
        assert tokenizer(long, max_length=length) == dict(theirs(long, max_length=length))


def test_the_object_of_transformers_decodes_and_pickles(tokenizer: Tokenizer, theirs: Any) -> None:
    again = pickle.loads(pickle.dumps(theirs))
    for text in SAMPLES:
        ids = tokenizer.encode(text)
        assert theirs.decode(ids) == again.decode(ids) == tokenizer.decode(ids)
        assert theirs.decode(ids, skip_special_tokens=True) == tokenizer.decode(ids, skip_special_tokens=True)


@pytest.mark.parametrize("kind", ["sentencepiece", "char"])
def test_the_object_of_transformers_knows_the_longest_row(kind: str, tmp_path: Path) -> None:
    tokenizer = make(tmp_path, kind, {"max_length": 7})
    theirs = tokenizer.to_transformers()
    assert theirs.model_max_length == 7
    row = theirs(SAMPLES[0], truncation=True)["input_ids"]
    assert row == tokenizer(SAMPLES[0], truncation=True)["input_ids"]
    assert len(row) == 7


@pytest.mark.parametrize("kind", TYPES)
def test_an_unknown_option_is_named_with_near_matches(kind: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=f"unknown option 'max_lenght' of tokenizer type '{kind}'; did you mean"):
        make(tmp_path, kind, {"max_lenght": 128})
    with pytest.raises(SettingsError, match="'max_length' must be a positive whole number, not 0"):
        make(tmp_path, kind, {"max_length": 0})
