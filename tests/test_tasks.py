"""Tasks on numpy: windows, alignment, cutting, and what callers may hand in."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny import LABELS, tiny_tokenizer

from hub_core.errors import DataError, LabelError, SettingsError
from hub_core.examples import IGNORE, Example, join_units
from hub_core.labels import labels_from_map
from hub_core.tasks.seq_cls import SeqCls
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
    assert TASK.example(["你好"], split_char="\002").units == ("你", "好")


def test_units_join_as_a_reader_would_write_them() -> None:
    assert join_units(["Hello", "world", "你", "好", "GPU", "4"]) == "Hello world你好GPU4"


@pytest.mark.parametrize("item", [3.5, ["a", "b", "c"], [1], ("a", None)])
def test_rows_that_are_no_texts_are_named(item: object) -> None:
    with pytest.raises((DataError, TypeError), match=r"data\[4\]|not iterable"):
        SeqCls(("a", "b")).example(item, key="data[4]")


def test_an_empty_text_is_named() -> None:
    with pytest.raises(DataError, match=r"data\[2\]: the text is empty"):
        SeqCls(("a", "b")).example("", key="data[2]")


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
    ("label_map", "message"),
    [
        ({}, "label_map is empty"),
        ({0: "a", 2: "b"}, r"keys must be 0 to 1, each once, not \[0, 2\]"),
        ({"x": "a"}, "keys must be whole numbers"),
        ({0: "a", 1: "a"}, "has a label twice: a"),
        ({0: "a", 1: 7}, "labels must be non-empty strings, not 7"),
    ],
)
def test_malformed_label_maps_are_named(label_map: dict[object, object], message: str) -> None:
    with pytest.raises(LabelError, match=message):
        labels_from_map(label_map)  # type: ignore[arg-type]


def test_label_maps_are_read_in_the_order_of_their_numbers() -> None:
    labels = [f"label {number}" for number in range(12)]
    assert labels_from_map({str(number): label for number, label in enumerate(labels)}) == tuple(labels)
    assert labels_from_map(dict(reversed(list(enumerate(labels))))) == tuple(labels)
    assert labels_from_map(labels) == tuple(labels)
