"""Tasks on numpy: windows, alignment, cutting, and what callers may hand in."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny import LABELS, tiny_tokenizer

from hub_core.errors import DataError, HubError, LabelError, SettingsError
from hub_core.examples import IGNORE, Example, join_units
from hub_core.labels import labels_from_map
from hub_core.tasks.seq_cls import SeqCls
from hub_core.tasks.task import Task
from hub_core.tasks.token_cls import TokenCls, _windows
from hub_core.text.tokenizer import Tokenizer

TASK = TokenCls(LABELS)


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    return tiny_tokenizer(tmp_path_factory.mktemp("vocabulary"))


@given(st.lists(st.integers(1, 6), max_size=60), st.integers(6, 20))
def test_windows_hold_every_unit_and_answer_once(lengths: list[int], room: int) -> None:
    windows = list(_windows(lengths, room))
    answered = [unit for _, _, (start, end) in windows for unit in range(start, end)]
    assert answered == list(range(len(lengths)))
    for first, last, (start, end) in windows:
        assert sum(lengths[first:last]) <= room
        assert first <= start <= end <= last
    assert all(earlier[1] < later[1] for earlier, later in itertools.pairwise(windows))


def test_a_row_that_fits_is_one_window() -> None:
    assert list(_windows([1] * 10, 10)) == [(0, 10, (0, 10))]


def test_a_unit_answers_where_it_has_context() -> None:
    windows = list(_windows([1] * 30, 12))
    for (_, end, _), (start, _, _), (_, _, (_, own_end)) in zip(windows, windows[1:], windows, strict=False):
        assert start < end
        assert start < own_end < end


@settings(max_examples=60, deadline=None)
@given(text=st.text(max_size=80), room=st.integers(3, 40), label_on=st.sampled_from(["first", "last"]))
def test_every_character_has_one_target(tokenizer: Tokenizer, text: str, room: int, label_on: str) -> None:
    units = tuple(text)
    labels = tuple(LABELS[index % len(LABELS)] for index in range(len(units)))
    task = TokenCls(LABELS, {"label_on": label_on})
    windows = task.encode(Example(text, units=units, label=labels), tokenizer, room)
    learnt = []
    for window in windows:
        assert window.length <= room
        assert isinstance(window.target, np.ndarray)
        own = slice(window.meta.own_start - window.meta.first, window.meta.own_end - window.meta.first)
        learnt += [LABELS[target] for target in window.target[window.meta.positions[own]]]
        assert (window.target != IGNORE).sum() == own.stop - own.start
    assert tuple(learnt) == labels


def test_a_string_is_its_characters_and_a_list_its_tokens() -> None:
    assert TASK.example("a 你").units == ("a", " ", "你")
    assert TASK.example(("New", "York")).units == ("New", "York")
    assert TASK.example({"tokens": ["New", "York"]}).text == "New York"
    assert TASK.example(["你\002好"], split_char="\002").units == ("你", "好")
    assert TASK.example(["Hello"], split_char="\002").units == ("Hello",)
    assert TASK.example([""], split_char="\002").units == ()
    assert TASK.example("  ").units == (" ", " ")


def test_units_join_as_a_reader_would_write_them() -> None:
    assert join_units(["Hello", "world", "你", "好", "GPU", "4"]) == "Hello world你好GPU4"


@pytest.mark.parametrize("task", [SeqCls(("a", "b")), TASK], ids=lambda task: task.name)
@pytest.mark.parametrize(
    ("item", "message"),
    [
        (3.5, "expected a text or a"),
        (None, "expected a text or a"),
        (b"a", "expected a text or a"),
        ({"a"}, "expected a text or a"),
        ([1], "expected a text or a"),
        (("a", None), "expected a text or a"),
        ({"text": 3}, "expected a text or a"),
        ({}, "a row needs"),
        ({"text": None}, "a row needs"),
        ({"text": "a", "txt_pair": "b"}, "unknown column 'txt_pair'"),
    ],
)
def test_rows_that_are_no_texts_are_named(task: Task, item: object, message: str) -> None:
    with pytest.raises(DataError, match=rf"data\[4\]: {message}"):
        task.example(item, key="data[4]")


def test_rows_of_the_other_task_are_named() -> None:
    for item in (["a", "b", "c"], {"text_pair": "b"}, {"tokens": ["a"]}):
        with pytest.raises(DataError, match=r"data\[4\]: "):
            SeqCls(("a", "b")).example(item, key="data[4]")
    with pytest.raises(DataError, match=r"data\[4\]: a row needs either 'text' or 'tokens'"):
        TASK.example({"text": "ab", "tokens": ["a", "b"]}, key="data[4]")


@pytest.mark.parametrize("item", ["", "  ", "\u3000", ("a", " "), [""]])
def test_an_empty_text_is_named(item: object) -> None:
    with pytest.raises(DataError, match=r"data\[2\]: the text is empty"):
        SeqCls(("a", "b")).example(item, key="data[2]")


@given(first=st.integers(1, 30), second=st.integers(1, 30), room=st.integers(4, 30))
def test_pairs_are_cut_as_transformers_cuts_them(tokenizer: Tokenizer, first: int, second: int, room: int) -> None:
    example = Example("中" * first, "国" * second)
    (features,) = SeqCls(("a", "b")).encode(example, tokenizer, room)
    oracle = tokenizer.to_transformers()(example.text, example.pair, truncation="longest_first", max_length=room)
    assert features.inputs["input_ids"].tolist() == oracle["input_ids"]
    assert features.inputs["token_type_ids"].tolist() == oracle["token_type_ids"]
    assert features.meta == (first + second + 3 > room)


def test_no_room_for_text_is_an_error(tokenizer: Tokenizer) -> None:
    with pytest.raises(SettingsError, match="max_seq_len=2 leaves no room"):
        SeqCls(("a", "b")).encode(Example("中"), tokenizer, 2)
    with pytest.raises(SettingsError, match="max_seq_len=2 leaves no room"):
        TASK.encode(TASK.example("中"), tokenizer, 2)


def test_unknown_labels_and_options_have_near_matches() -> None:
    with pytest.raises(LabelError, match="unknown label 'B-PRE'; did you mean 'B-PER'"):
        TASK.target("B-PRE")
    with pytest.raises(SettingsError, match="did you mean 'suffix'"):
        TokenCls(LABELS, {"sufix": True})
    with pytest.raises(SettingsError, match="unknown value 'middle' of label_on"):
        TokenCls(LABELS, {"label_on": "middle"})


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"suffix": "yes"}, SettingsError, "'suffix' must be True or False, not 'yes'"),
        ({"scheme": "BIOE"}, SettingsError, "unknown value 'BIOE' of scheme; did you mean 'BIO"),
        ({"scheme": ["BIO"]}, SettingsError, "of scheme"),
        ({"scheme": "BIO", "suffix": True}, LabelError, "label 'B-ORG' is not one of scheme BIO|label 'B-PER'"),
        ({"scheme": "BMES"}, LabelError, "label 'I-PER' is not one of scheme BMES"),
        ({"max_seq_len": 0}, SettingsError, "max_seq_len must be at least 1, not 0"),
        ({"max_seq_len": "64"}, SettingsError, "max_seq_len must be a whole number, not '64'"),
        ({"max_seq_len": True}, SettingsError, "max_seq_len must be a whole number, not True"),
    ],
)
def test_options_are_checked_when_a_task_is_made(
    options: dict[str, object], error: type[HubError], message: str
) -> None:
    with pytest.raises(error, match=message):
        TokenCls(LABELS, options)
    assert TokenCls(LABELS, {"scheme": "BIOES", "max_seq_len": 8}).options["scheme"] == "BIOES"


@pytest.mark.parametrize(
    ("label_map", "message"),
    [
        ({}, "label_map is empty"),
        ({0: "a", 2: "b"}, r"keys must be 0 to 1, each once, not \[0, 2\]"),
        ({"x": "a"}, "keys must be whole numbers"),
        ({0: "a", 1: "a"}, "has a label twice: a"),
        ({0: "a", 1: 7}, "labels must be non-empty strings, not 7"),
        ({0: "a", "0": 7}, r"keys must be 0 to 1, each once, not \[0, 0\]"),
        ({0.0: "a", 1.0: "b"}, "keys must be whole numbers, such as 0 or '0', not 0.0"),
        ({False: "a", True: "b"}, "keys must be whole numbers, such as 0 or '0', not False"),
        ({" 0": "a"}, "keys must be whole numbers"),
        ({"a", "b"}, "or a list of labels in order, not {"),
        ("ab", "or a list of labels in order, not 'ab'"),
        (2, "or a list of labels in order, not 2"),
        (None, "or a list of labels in order, not None"),
    ],
)
def test_malformed_label_maps_are_named(label_map: object, message: str) -> None:
    with pytest.raises(LabelError, match=message):
        labels_from_map(label_map)  # type: ignore[arg-type]


def test_label_maps_are_read_in_the_order_of_their_numbers() -> None:
    labels = [f"label {number}" for number in range(12)]
    assert labels_from_map({str(number): label for number, label in enumerate(labels)}) == tuple(labels)
    assert labels_from_map(dict(reversed(list(enumerate(labels))))) == tuple(labels)
    assert labels_from_map(labels) == tuple(labels)
