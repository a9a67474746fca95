"""Two modules on the same rows, and the files that their answers are read from."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from reports import (
    answer_rows,
    class_rows,
    entity_rows,
    few_samples,
    label_set_rows,
    made,
    number_rows,
    pair_rows,
    place_rows,
    read_lines,
    vector_rows,
)
from scipy.stats import binomtest
from sklearn.metrics import f1_score

from hub_core.errors import DataError, NotFoundError, SettingsError
from hub_core.report import Report, compare, read_records


@pytest.fixture(scope="module")
def classes() -> tuple[Report, Report]:
    return made(*class_rows(300)), made(*class_rows(300, seed=1))


@pytest.fixture(scope="module")
def entities() -> tuple[Report, Report]:
    return made(*entity_rows(150)), made(*entity_rows(150, seed=1))


def write(path: Path, *rows: dict[str, Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


ROW = {"task": "seq-cls", "key": "a:1", "text": "x", "gold": "good", "predicted": "bad"}


def test_differences_are_those_of_the_reports(classes: tuple[Report, Report]) -> None:
    first, second = classes
    found = compare(first.records, second.records, names=("one", "two"))
    assert [one.score for one in found.differences] == ["accuracy", "macro_f1"]
    for one in found.differences:
        assert (one.first, one.second) == pytest.approx((first.scores[one.score], second.scores[one.score]))
        assert one.low < one.second - one.first < one.high
        assert one.clear == (one.low > 0 or one.high < 0)
    right = [[row["gold"] == row["predicted"] for row in side.records] for side in classes]
    only_first = sum(a and not b for a, b in zip(*right, strict=True))
    only_second = sum(b and not a for a, b in zip(*right, strict=True))
    assert (found.matched.only_first, found.matched.only_second) == (only_first, only_second)
    assert found.matched.p == pytest.approx(binomtest(only_first, only_first + only_second).pvalue)
    assert found.differing[:2] == (only_second, only_first)
    differing = sum(a["predicted"] != b["predicted"] for a, b in zip(first.records, second.records, strict=True))
    assert sum(found.differing) == differing


def test_entities_are_compared_by_sentence(entities: tuple[Report, Report]) -> None:
    first, second = entities
    found = compare(first.records, second.records)
    assert [one.score for one in found.differences] == ["f1", "precision", "recall", "accuracy"]
    for one in found.differences:
        assert (one.first, one.second) == pytest.approx((first.scores[one.score], second.scores[one.score]))
    assert found.matched.both + found.matched.only_first == round(first.scores["whole_rows"] * 150)
    passage = found.better[0]
    assert [line.name for line in passage.lines] == ["gold", "A", "B"]
    marks = [[piece.mark for piece in line.pieces].count("wrong") for line in passage.lines]
    assert marks[1] >= marks[2]


ROWS: Mapping[str, tuple[Callable[..., Any], list[str], bool]] = {
    "labels": (label_set_rows, ["micro_f1", "macro_f1", "subset_accuracy"], True),
    "numbers": (number_rows, ["spearman", "pearson", "r2"], False),
    "pairs": (pair_rows, ["accuracy", "macro_f1"], True),
    "graded vectors": (
        lambda count, seed: vector_rows(count, (0, 1, 2), seed=seed),
        ["spearman", "mrr@10", "ndcg@10", "recall@1", "recall@10"],
        False,
    ),
    "vectors": (vector_rows, ["mrr@10", "ndcg@10", "recall@1", "recall@10"], True),
    "answers": (answer_rows, ["f1", "exact"], True),
    "places": (place_rows, ["accuracy", "recall@k"], True),
}


@pytest.mark.parametrize("name", ROWS)
def test_every_task_is_compared_by_its_scores(name: str, tmp_path: Path) -> None:
    with few_samples():
        _compared(*ROWS[name], tmp_path)


def _compared(rows: Callable[..., Any], scores: list[str], has_right: bool, folder: Path) -> None:
    first, second = (made(*rows(60, seed=seed)) for seed in (0, 1))
    found = compare(first.records, second.records, names=("one", "two"))
    assert [one.score for one in found.differences] == scores
    assert scores[0] == first.figures[0].name
    for one in found.differences:
        assert (one.first, one.second) == pytest.approx((first.scores[one.score], second.scores[one.score]))
        assert one.low < one.second - one.first < one.high
    assert (found.matched is not None) == has_right
    assert found.better
    assert found.worse
    assert [line.name for line in found.better[0].lines if line.name in ("A", "B")] == ["A", "B"]
    for at, report in enumerate((first, second)):
        report.save(folder / str(at))
    again = compare(read_records(folder / "0"), read_records(folder / "1"), names=("one", "two"))
    assert again.as_data() == found.as_data()
    itself = compare(first.records, first.records)
    assert all((one.low, one.high) == (0, 0) for one in itself.differences)
    assert itself.differing == (0, 0, 0)


def test_searches_that_ask_twice_count_once() -> None:
    with few_samples():
        first, second = (made(*vector_rows(60, seed=seed)) for seed in (0, 1))
        found = compare(first.records, second.records).matched
    assert found is not None
    assert found.both + found.only_first + found.only_second + found.neither == 54
    assert found.both + found.only_first == sum(row["nearest"][0]["right"] for row in first.records if "nearest" in row)


def test_files_say_what_the_reports_said(classes: tuple[Report, Report], tmp_path: Path) -> None:
    for number, report in enumerate(classes):
        report.save(tmp_path / str(number))
    read = [read_records(tmp_path / "0"), read_records(tmp_path / "1" / "predictions.jsonl")]
    assert compare(*read).as_data() == compare(classes[0].records, classes[1].records).as_data()


def test_rows_need_no_probabilities_and_no_order(classes: tuple[Report, Report]) -> None:
    bare = [
        [{name: row[name] for name in ("task", "key", "text", "gold", "predicted")} for row in side.records]
        for side in classes
    ]
    found = compare(bare[0], bare[1][::-1])
    gold = [row["gold"] for row in bare[1]]
    expected = f1_score(gold, [row["predicted"] for row in bare[1]], average="macro")
    assert found.differences[1].second == pytest.approx(expected)
    assert found.better[0].lines[1].summary in ("bad", "good", "so so")


def test_a_folder_has_everything(entities: tuple[Report, Report], tmp_path: Path) -> None:
    found = compare(entities[0].records, entities[1].records, names=("one", "two"))
    found.save(tmp_path / "out")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "comparison.html",
        "comparison.json",
        "first.jsonl",
        "second.jsonl",
    ]
    assert json.loads((tmp_path / "out" / "comparison.json").read_text("utf-8")) == json.loads(
        json.dumps(found.as_data())
    )
    assert read_lines(tmp_path / "out" / "second.jsonl") == json.loads(json.dumps(list(entities[1].records)))
    again = compare(read_records(tmp_path / "out" / "first.jsonl"), read_records(tmp_path / "out" / "second.jsonl"))
    assert again.differences == found.differences


def test_half_a_character_survives(tmp_path: Path) -> None:
    task, rows, answers = class_rows(3)
    from dataclasses import replace

    report = made(task, [replace(row, text="a\ud800b") for row in rows], answers)
    report.save(tmp_path)
    assert {row["text"] for row in read_lines(tmp_path / "predictions.jsonl")} == {"a\ud800b"}
    json.loads((tmp_path / "report.json").read_text("utf-8"))


class TestBadFiles:
    """Everything wrong with a file, at once."""

    def test_all_bad_rows(self, tmp_path: Path) -> None:
        path = write(
            tmp_path / "p.jsonl",
            ROW,
            {**ROW, "key": "a:2", "gold": 3},
            {name: ROW[name] for name in ("task", "key", "text", "gold")},
            {**ROW, "text": None, "key": "a:4"},
            {**ROW, "task": "token-cls", "key": "a:5"},
            ROW,
        )
        with pytest.raises(DataError) as caught:
            read_records(path)
        said = [problem.removeprefix(f"{path}:") for problem in caught.value.problems]
        assert said == [
            "2: gold must be a label, not 3",
            "3: no 'predicted'; the row has task, key, text, gold",
            "4: text must be a string, not None",
            "5: task token-cls, but the rows before are of seq-cls",
            "6: row a:1 stands in line 1 already",
        ]

    @pytest.mark.parametrize(
        ("changes", "said"),
        [
            ({"units": "ab"}, "units must be a list of strings"),
            ({"gold": ["O"]}, "2 units, but 1 labels as gold"),
            ({"entities": [{"label": "PER", "start": 0, "end": 3}]}, "entities must be a list of objects with label"),
            ({"gold_entities": None}, "gold_entities must be a list of objects"),
        ],
    )
    def test_entities(self, tmp_path: Path, changes: dict[str, Any], said: str) -> None:
        row = {
            "task": "token-cls",
            "key": "a:1",
            "text": "ab",
            "units": ["a", "b"],
            "gold": ["O", "O"],
            "predicted": ["O", "O"],
            "gold_entities": [],
            "entities": [],
        }
        assert read_records(write(tmp_path / "good.jsonl", row))
        with pytest.raises(DataError, match=said):
            read_records(write(tmp_path / "bad.jsonl", {**row, **changes}))

    @pytest.mark.parametrize(
        ("rows", "changes", "said"),
        [
            (label_set_rows, {"gold": "bad"}, "gold must be a list of labels, not 'bad'"),
            (label_set_rows, {"predicted": ["bad", 1]}, r"predicted must be a list of labels, not \['bad', 1\]"),
            (number_rows, {"gold": "high"}, "gold must be a number, not 'high'"),
            (number_rows, {"predicted": True}, "predicted must be a number, not True"),
            (vector_rows, {"predicted": "near"}, "predicted must be a cosine, not 'near'"),
            (vector_rows, {"gold": "1"}, "gold must be a number or null, not '1'"),
            (vector_rows, {"displaced": None}, "displaced must be a number, not None"),
            (vector_rows, {"nearest": [{"text": "x"}]}, "nearest must be a list of objects with text, similarity and"),
            (vector_rows, {"matches": 0}, "matches must be how many texts match, not 0"),
            (answer_rows, {"gold": ["x"]}, "gold must be a list of objects with text and start"),
            (answer_rows, {"predicted": None}, "predicted must be the answer's text, and text_pair the context"),
            (answer_rows, {"f1": "1"}, "f1 must be a number, not '1'"),
            (answer_rows, {"end": 10_000}, "start and end must be places in the context, not .* and 10000"),
            (place_rows, {"gold": "的"}, "gold must be a list of tokens, not '的'"),
            (place_rows, {"predicted": []}, "2 places in the text, but 0 as predicted"),
            (place_rows, {"candidates": [[]]}, "candidates must be lists of objects with token and probability"),
        ],
    )
    def test_of_other_tasks(self, rows: Any, changes: dict[str, Any], said: str, tmp_path: Path) -> None:
        first, second = made(*rows(2)).records
        with pytest.raises(DataError, match=f"2: {said}"):
            read_records(write(tmp_path / "p.jsonl", dict(first), {**second, **changes}))

    def test_of_any_task(self, tmp_path: Path) -> None:
        row = {**ROW, "task": "guess", "gold": {"any": 1}, "predicted": [2], "score": 0.5}
        other = {**row, "predicted": [3], "score": 0.75}
        sides = [read_records(write(tmp_path / f"{at}.jsonl", one)) for at, one in enumerate((row, other))]
        (one,) = compare(*sides).differences
        assert (one.score, one.first, one.second) == ("score", 0.5, 0.75)
        with pytest.raises(DataError, match="score must be a number, not 'high'"):
            read_records(write(tmp_path / "x.jsonl", {**row, "score": "high"}))
        without = read_records(write(tmp_path / "y.jsonl", {**row, "score": None}))
        with pytest.raises(SettingsError, match="rows of task guess have no score of their own"):
            compare(without, without)

    def test_no_file(self, tmp_path: Path) -> None:
        with pytest.raises(NotFoundError, match="no file .*predictions.jsonl"):
            read_records(tmp_path)
        (tmp_path / "empty.jsonl").write_bytes(b"")
        with pytest.raises(DataError, match="the file is empty"):
            read_records(tmp_path / "empty.jsonl")


def test_rows_that_are_not_the_same(classes: tuple[Report, Report], entities: tuple[Report, Report]) -> None:
    first, second = list(classes[0].records), list(classes[1].records)
    changed = [{**second[0], "text": "another"}, {**second[1], "gold": "bad!"}, *second[3:], {**ROW, "key": "new"}]
    with pytest.raises(DataError) as caught:
        compare(first, changed, names=("one", "two"))
    assert list(caught.value.problems) == [
        "t.tsv:2: the two have another text",
        "t.tsv:3: the two have another gold",
        "t.tsv:4: two has no such row",
        "new: one has no such row",
    ]
    with pytest.raises(SettingsError, match="one answers seq-cls, two token-cls; only the same task"):
        compare(first, entities[0].records, names=("one", "two"))
    several = [{**row, "gold": [row["gold"]], "predicted": []} for row in first]
    said = "one answers seq-cls/single-label, two seq-cls/multi-label; only the same problem can be compared"
    with pytest.raises(SettingsError, match=said):
        compare(first, several, names=("one", "two"))
