"""Calling a tokenizer: the same arguments and answers as transformers' own, and clear errors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_text_contract import SAMPLES, make, wordpiece_vocabulary

from hub_core.errors import SettingsError
from hub_core.text.tokenizer import Tokenizer
from hub_core.text.wordpiece import WordPieceTokenizer

TEXT = st.sampled_from([text for text in SAMPLES if text]) | st.text(st.sampled_from("今天hello 8999，.[]"), min_size=1)


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    return make(tmp_path_factory.mktemp("bert"), "wordpiece", {"symbols": "keep"})


@pytest.fixture(scope="module")
def theirs() -> Any:
    from transformers import BertTokenizer

    return BertTokenizer(vocab={token: index for index, token in enumerate(wordpiece_vocabulary())})


@given(
    text=TEXT | st.lists(TEXT, min_size=1, max_size=4),
    pair=TEXT | st.none(),
    arguments=st.fixed_dictionaries(
        {
            "padding": st.sampled_from([True, False, "max_length", "longest", "do_not_pad"]),
            "truncation": st.sampled_from([True, False, "longest_first", "do_not_truncate"]),
            "max_length": st.integers(3, 20),
            "add_special_tokens": st.booleans(),
        },
        optional={"return_token_type_ids": st.booleans(), "return_attention_mask": st.booleans()},
    ),
)
@settings(deadline=None, derandomize=True, max_examples=150)
@pytest.mark.filterwarnings("ignore:`max_length` is ignored")
def test_a_call_is_what_transformers_gives(
    ours: Tokenizer, theirs: Any, text: Any, pair: str | None, arguments: dict[str, Any]
) -> None:
    pairs = pair if pair is None or isinstance(text, str) else [pair] * len(text)
    assert ours(text, pairs, **arguments) == dict(theirs(text, pairs, **arguments))


@given(words=st.lists(st.lists(TEXT, max_size=4), min_size=1, max_size=3), length=st.integers(4, 12))
@settings(deadline=None, derandomize=True, max_examples=50)
def test_lists_of_words_are_what_transformers_gives(
    ours: Tokenizer, theirs: Any, words: list[list[str]], length: int
) -> None:
    arguments: dict[str, Any] = {"is_split_into_words": True, "max_length": length, "truncation": True, "padding": True}
    assert ours(words, **arguments) == dict(theirs(words, **arguments))
    assert ours(words[0], **arguments) == dict(theirs(words[0], **arguments))


@pytest.mark.parametrize("strategy", ["only_first", "only_second", "longest_first"])
@pytest.mark.parametrize("length", [9, 12, 30])
def test_every_truncation_strategy_is_what_transformers_does(
    ours: Tokenizer, theirs: Any, strategy: str, length: int
) -> None:
    first, second = ("今天天气很好", "酒店") if strategy == "only_first" else ("酒店", "今天天气很好")
    assert ours(first, second, truncation=strategy, max_length=length) == dict(
        theirs(first, second, truncation=strategy, max_length=length)
    )


@pytest.mark.parametrize("kind", ["np", "pt"])
def test_arrays_are_int64_with_a_batch_axis_also_for_one_text(ours: Tokenizer, theirs: Any, kind: str) -> None:
    for text in ("今天", list(SAMPLES)):
        mine, other = (tokenizer(text, padding=True, return_tensors=kind) for tokenizer in (ours, theirs))
        assert mine.keys() == other.keys()
        for name, array in mine.items():
            assert type(array) is type(other[name])
            assert str(array.dtype).endswith("int64")
            np.testing.assert_array_equal(np.asarray(array), np.asarray(other[name]))


def test_no_rows_give_empty_columns(ours: Tokenizer) -> None:
    assert ours([]) == {"input_ids": [], "token_type_ids": [], "attention_mask": []}
    assert ours([], return_tensors="np")["input_ids"].shape == (0, 0)


def test_max_length_alone_cuts_and_has_two_names(ours: Tokenizer, theirs: Any) -> None:
    cut = ours("今天天气很好", max_length=5)
    assert cut == dict(theirs("今天天气很好", max_length=5))
    assert cut == ours("今天天气很好", max_seq_len=5)
    with pytest.raises(SettingsError, match="max_seq_len=4 and max_length=5 are two names"):
        ours("今天", max_seq_len=4, max_length=5)


def test_the_manifests_length_is_used_where_a_call_gives_none(tmp_path: Path) -> None:
    tokenizer = make(tmp_path, "wordpiece", {"max_length": 6})
    assert tokenizer.max_length == 6
    assert len(tokenizer("今天天气很好", truncation=True)["input_ids"]) == 6
    assert len(tokenizer("今天", padding="max_length")["input_ids"]) == 6
    assert tokenizer.to_transformers().model_max_length == 6
    assert tokenizer.save(tmp_path)["max_length"] == 6


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"padding": "maxlength"}, "unknown padding 'maxlength'; did you mean 'max_length'"),
        ({"padding": 3}, "unknown padding 3"),
        ({"truncation": "longest"}, "unknown truncation 'longest'; did you mean 'longest_first'"),
        ({"return_tensors": "tf"}, "unknown return_tensors 'tf'; known: np, pt"),
        ({"max_length": 0}, "max_length must be a positive whole number, not 0"),
        ({"max_length": True}, "max_length must be a positive whole number, not True"),
        ({"max_length": 1}, "max_length=1 leaves no room: special tokens alone are 2"),
        ({"truncation": True}, "truncation needs max_length"),
        ({"padding": "max_length"}, "padding='max_length' needs max_length"),
        ({"truncation": "only_second", "max_length": 3}, "'only_second' cannot cut texts of"),
        ({"text_pair": ["b"]}, "text_pair must be one text as text is, not list"),
    ],
)
def test_a_wrong_argument_is_named(ours: Tokenizer, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        ours("今天天气很好", **arguments)


@pytest.mark.parametrize(
    ("text", "pair", "message"),
    [
        (7, None, "text must be a string or a list of such, not int"),
        (["a", None], None, r"text\[1\] must be a string, not NoneType"),
        (["a", "b"], ["c"], "text has 2 rows and text_pair 1"),
        (["a"], "c", "text_pair must be a string or a list of such, not str"),
        (["a", "酒店的环境"], None, "rows of 3 to 7 tokens do not make an array; ask for padding=True"),
    ],
)
def test_a_wrong_text_is_named(ours: Tokenizer, text: Any, pair: Any, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        ours(text, pair, return_tensors="np")


def test_tokens_ids_and_text_convert_as_in_transformers(ours: Tokenizer, theirs: Any) -> None:
    ids = ours.encode("hello world 今天", "hello")
    assert ids == theirs.encode("hello world 今天", "hello")
    assert ours.convert_ids_to_tokens(ids) == theirs.convert_ids_to_tokens(ids)
    assert ours.convert_ids_to_tokens(np.array(ids)) == theirs.convert_ids_to_tokens(ids)
    assert ours.convert_ids_to_tokens(ids[1]) == theirs.convert_ids_to_tokens(ids[1])
    assert ours.convert_tokens_to_ids(["今", "nothing"]) == theirs.convert_tokens_to_ids(["今", "nothing"])
    assert ours.convert_tokens_to_ids("今") == theirs.convert_tokens_to_ids("今")
    for skip in (False, True):
        assert ours.decode(ids, skip_special_tokens=skip) == theirs.decode(ids, skip_special_tokens=skip)
    with pytest.raises(SettingsError, match=f"no token has id 99999: ids go from 0 to {len(ours) - 1}"):
        ours.convert_ids_to_tokens([99999])


def test_special_tokens_have_names(ours: Tokenizer) -> None:
    names = (ours.pad_token, ours.unk_token, ours.cls_token, ours.sep_token, ours.mask_token)
    assert names == ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
    assert ours.vocab_size == len(ours) == len(wordpiece_vocabulary())
    assert ours.special_ids == {0, 1, 2, 3, 4}


def test_units_are_remembered_up_to_a_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hub_core.text.tokenizer._UNITS_KEPT", 2)
    tokenizer = make(tmp_path, "wordpiece")
    assert [tokenizer.encode_unit(unit) for unit in "今天今气"] == [tokenizer.encode_text(unit) for unit in "今天今气"]
    assert list(tokenizer._units) == ["今", "天"]


@pytest.mark.parametrize("name", ["../vocab.txt", "/etc/passwd", "a\\b", 7])
def test_a_manifest_cannot_name_a_file_outside_its_folder(tmp_path: Path, name: Any) -> None:
    with pytest.raises(SettingsError, match="is not a plain relative path inside"):
        WordPieceTokenizer.from_folder(tmp_path, {"type": "wordpiece", "vocab": name})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"symbols": "isolated"}, "unknown value of tokenizer option 'symbols': 'isolated'; did you mean 'isolate'"),
        ({"lowercase": "yes"}, "tokenizer option 'lowercase' must be true or false, not 'yes'"),
        ({"max_length": "12"}, "tokenizer option 'max_length' must be a positive whole number, not '12'"),
    ],
)
def test_an_unusable_option_is_named(options: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        WordPieceTokenizer.read_options(options)


def test_a_tokenizer_needs_only_the_abstract_methods() -> None:
    class Ordinals(Tokenizer):
        type = "ordinals"
        pad_id, unk_id = 0, 1

        def save(self, folder: Path) -> dict[str, Any]:
            return self.manifest()

        def get_vocab(self) -> dict[str, int]:
            return {"pad": 0, "unk": 1, "a": 2}

        def tokenize(self, text: str) -> list[str]:
            return list(text)

        def encode_text(self, text: str) -> list[int]:
            return self.convert_tokens_to_ids(self.tokenize(text))

        def to_transformers(self) -> Any:
            raise NotImplementedError

    tokenizer = Ordinals()
    assert tokenizer("ab", "a")["input_ids"] == [2, 1, 2]
    assert tokenizer("ab", "a")["token_type_ids"] == [0, 0, 1]
    assert tokenizer.decode([2, 1]) == "a unk"
    assert tokenizer.save(Path()) == {"type": "ordinals"}
    with pytest.raises(SettingsError, match="tokenizer type 'ordinals' is read from a whole folder"):
        Ordinals.from_files({}, {})


def test_neither_torch_nor_transformers_is_imported_for_tokenizing(tmp_path: Path) -> None:
    import subprocess
    import sys

    make(tmp_path, "wordpiece").save(tmp_path)
    program = (
        "import sys; from pathlib import Path; from hub_core.plugins import catalog\n"
        "make = catalog().get('tokenizer', 'transformers').from_folder\n"
        "print(make(Path(sys.argv[1]), {})('今天')['input_ids'])\n"
        "print([name for name in ('torch', 'transformers', 'jieba') if name in sys.modules])"
    )
    root = Path(__file__).parent.parent
    run = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, cwd=root, check=True
    )
    assert run.stdout.splitlines()[1] == "[]"
