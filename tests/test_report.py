"""Reports: what they say equals what independent libraries find in their own predictions.jsonl."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from reports import LABELS, TAGS, class_rows, entity_rows, made, read_lines
from seqeval.metrics.sequence_labeling import classification_report
from sklearn import metrics as sklearn
from tiny import tiny_module

from hub_core.data.dataset import Dataset
from hub_core.errors import SettingsError
from hub_core.examples import ClassPrediction, Example, Prediction, TokenPrediction
from hub_core.metrics import mean_squared_error, pearson
from hub_core.report import Report, make_report, report_on
from hub_core.report.alignment import KINDS, Pair, align
from hub_core.report.any_task import SHOWN, as_plain
from hub_core.report.sections import Chart, Matrix, Passages, Reliability, Table
from hub_core.tagging import Span, spans
from hub_core.tasks.seq_cls import SeqCls
from hub_core.tasks.token_cls import TokenCls


def block(report: Report, section: str, at: int = 0) -> Any:
    """A block of a section."""
    return next(one for one in report.sections if one.name == section).blocks[at]


@pytest.fixture(scope="module")
def classes() -> Report:
    return made(*class_rows(300))


@pytest.fixture(scope="module")
def entities() -> Report:
    return made(*entity_rows(120))


class TestClasses:
    """The report of seq-cls."""

    def test_scores_are_those_of_sklearn_on_the_saved_rows(self, classes: Report, tmp_path: Path) -> None:
        classes.save(tmp_path)
        rows = read_lines(tmp_path / "predictions.jsonl")
        gold, predicted = [row["gold"] for row in rows], [row["predicted"] for row in rows]
        table = np.array([[row["probabilities"][label] for label in LABELS] for row in rows])
        targets = [LABELS.index(label) for label in gold]
        expected = {
            "accuracy": sklearn.accuracy_score(gold, predicted),
            "macro_f1": sklearn.f1_score(gold, predicted, average="macro"),
            "matthews": sklearn.matthews_corrcoef(gold, predicted),
            "brier": sklearn.brier_score_loss(targets, table, labels=[0, 1, 2], scale_by_half=False),
            "log_loss": sklearn.log_loss(targets, table, labels=[0, 1, 2]),
        }
        assert {name: classes.scores[name] for name in expected} == pytest.approx(expected, rel=1e-12)
        assert classes.figures[0].name == "accuracy"
        (low, high) = classes.figures[0].interval or (0, 0)
        assert low < classes.scores["accuracy"] < high

    def test_classes_and_confusions_are_sklearns(self, classes: Report) -> None:
        gold, predicted = ([row[name] for row in classes.records] for name in ("gold", "predicted"))
        expected = sklearn.precision_recall_fscore_support(gold, predicted, labels=LABELS)
        for at, row in enumerate(block(classes, "classes").rows):
            assert row[:5] == pytest.approx((LABELS[at], *(column[at] for column in expected)))
            assert row[5] == predicted.count(LABELS[at])
        matrix = block(classes, "confusion")
        assert isinstance(matrix, Matrix)
        assert matrix.counts == sklearn.confusion_matrix(gold, predicted, labels=LABELS).tolist()
        pairs = block(classes, "confusion", 1)
        assert sum(row[2] for row in pairs.rows) == sum(a != b for a, b in zip(gold, predicted, strict=True))
        assert [row[2] for row in pairs.rows] == sorted((row[2] for row in pairs.rows), reverse=True)

    def test_every_row_stands_in_one_bin_and_in_one_length(self, classes: Report) -> None:
        diagram, lengths = block(classes, "calibration"), block(classes, "length")
        assert isinstance(diagram, Reliability) and isinstance(lengths, Chart)
        assert sum(one.count for one in diagram.bins) == sum(one.count for one in lengths.points) == 300
        mean = sum(one.count * one.value for one in lengths.points) / 300
        assert mean == pytest.approx(classes.scores["accuracy"])
        assert all(one.low <= one.value <= one.high for one in lengths.points)

    def test_the_worst_rows_are_the_errors_with_the_highest_loss(self, classes: Report) -> None:
        wrong = [row for row in classes.records if row["gold"] != row["predicted"]]
        wrong.sort(key=lambda row: row["probabilities"][row["gold"]])
        shown = block(classes, "worst").passages
        assert [one.key for one in shown] == [row["key"] for row in wrong[:SHOWN]]
        loss = -np.log(wrong[0]["probabilities"][wrong[0]["gold"]])
        assert (shown[0].text, shown[0].note) == (wrong[0]["text"], f"loss {loss:.2f}")
        assert [line.name for line in shown[0].lines] == ["gold", "predicted"]
        assert shown[0].lines[1].pieces[0].mark == "wrong"

    def test_no_error_is_a_report_too(self) -> None:
        task, rows, answers = class_rows(20)
        right = [replace(row, label=answer.label) for row, answer in zip(rows, answers, strict=True)]
        report = made(task, right, answers)
        assert report.scores["accuracy"] == 1
        assert block(report, "worst").passages == []
        assert "answered wrong" in block(report, "worst").none

    def test_pairs_keep_both_texts_and_cut_texts_are_counted(self) -> None:
        task, rows, answers = class_rows(4)
        pairs = [replace(row, pair="second") for row in rows]
        report = made(task, pairs, [replace(answers[0], truncated=True), *answers[1:]])
        assert report.about["cut"] == "1 text"
        assert all(row["text_pair"] == "second" for row in report.records)
        assert sum(one.count for one in block(report, "length").points) == 4

    def test_many_labels_are_listed_and_not_drawn(self) -> None:
        labels = [f"label {number}" for number in range(40)]
        task, rows, answers = class_rows(80, labels)
        report = made(task, rows, answers)
        (only,) = next(one for one in report.sections if one.name == "confusion").blocks
        assert isinstance(only, Table) and only.columns == ("gold", "predicted", "rows")


class TestEntities:
    """The report of token-cls."""

    def test_scores_are_those_of_seqeval_on_the_saved_rows(self, entities: Report, tmp_path: Path) -> None:
        entities.save(tmp_path)
        rows = read_lines(tmp_path / "predictions.jsonl")
        gold, predicted = [row["gold"] for row in rows], [row["predicted"] for row in rows]
        expected = classification_report(gold, predicted, output_dict=True, zero_division=0)
        micro = expected["micro avg"]
        for name, theirs in (("f1", "f1-score"), ("precision", "precision"), ("recall", "recall")):
            assert entities.scores[name] == pytest.approx(micro[theirs], rel=1e-12)
        for kind, *row in block(entities, "types").rows:
            theirs = [expected[kind][name] for name in ("precision", "recall", "f1-score", "support")]
            assert row[:4] == pytest.approx(theirs)
        for row in rows:
            for side, labels in (("gold_entities", row["gold"]), ("entities", row["predicted"])):
                found = [(one["label"], one["start"], one["end"]) for one in row[side]]
                assert found == [(one.label, one.start, one.end) for one in spans(labels)]

    def test_tables_add_up(self, entities: Report) -> None:
        kinds = {row[0]: row[1] for row in block(entities, "errors").rows}
        types = block(entities, "types").rows
        assert list(kinds) == list(KINDS)
        assert sum(row[6] for row in types) == kinds["right"]
        assert sum(row[4] for row in types) == sum(kinds.values()) - kinds["invented"]
        assert sum(row[5] for row in types) == sum(kinds.values()) - kinds["missed"]
        matrix = block(entities, "confusion")
        assert sum(map(sum, matrix.counts)) == sum(kinds.values())
        assert matrix.down[-1] == "(none)"
        assert matrix.counts[-1][-1] == 0
        assert sum(row[-1] for row in matrix.counts) == kinds["missed"]
        found = sum(one.count for one in block(entities, "calibration").bins)
        assert found == sum(row[5] for row in types)

    def test_the_worst_rows_have_most_wrong_entities(self, entities: Report) -> None:
        shown = block(entities, "worst")
        assert isinstance(shown, Passages)
        wrong = [int(one.note.split()[0]) for one in shown.passages]
        assert wrong == sorted(wrong, reverse=True)
        by_key = {row["key"]: row for row in entities.records}
        for passage in shown.passages:
            record = by_key[passage.key]
            for line, side in zip(passage.lines, ("gold_entities", "entities"), strict=True):
                assert "".join(piece.text for piece in line.pieces) == record["text"]
                marked = [piece.label for piece in line.pieces if piece.mark]
                assert marked == [one["label"] for one in record[side]]

    def test_what_kinds_of_errors_mean(self) -> None:
        text = "张三在北京大学和上海见李四"
        gold = ["B-PER", "I-PER", "O", "B-ORG", "I-ORG", "I-ORG", "I-ORG", "O", "B-LOC", "I-LOC", "O", "B-PER", "I-PER"]
        said = ["B-PER", "I-PER", "O", "B-LOC", "I-LOC", "O", "O", "O", "B-ORG", "I-ORG", "B-LOC", "B-PER", "O"]
        task = TokenCls(TAGS)
        rows = [Example(text, units=tuple(text), label=tuple(gold))]
        chances = tuple([0.5] * len(said))
        answers = [TokenPrediction(tuple(text), tuple(said), chances, task._entities(tuple(text), said, chances))]
        report = made(task, rows, answers)
        kinds = {row[0]: row[1] for row in block(report, "errors").rows}
        assert kinds == {"right": 1, "bounds": 1, "type": 1, "type and bounds": 1, "missed": 0, "invented": 1}
        bounds = {row[0]: row[1:] for row in block(report, "bounds").rows}
        assert bounds == {"ORG": (0, 0, 1, 0), "LOC": (0, 0, 0, 0), "PER": (0, 0, 1, 0)}
        assert ("北京大学 ORG", "北京 LOC", 1) in block(report, "bounds", 1).rows
        assert report.records[0]["key"] == "rows:1"
        assert report.scores["whole_rows"] == 0
        mark = [(piece.text, piece.mark, piece.label) for piece in block(report, "worst").passages[0].lines[1].pieces]
        assert mark[0] == ("张三", "right", "PER")
        assert ("上海", "wrong", "ORG") in mark

    def test_words_keep_their_spaces(self) -> None:
        task, units, labels = TokenCls(TAGS), ("in", "New", "York", "City", "."), ["O", "B-LOC", "I-LOC", "O", "O"]
        answer = TokenPrediction(units, tuple(labels), (0.9,) * 5, task._entities(units, labels, [0.9] * 5))
        wanted = ("O", "B-LOC", "I-LOC", "I-LOC", "O")
        report = made(task, [Example("in New York City.", units=units, label=wanted)], [answer])
        (passage,) = block(report, "worst").passages
        assert [piece.text for piece in passage.lines[0].pieces] == ["in", " New York City", "."]
        assert passage.lines[1].summary == "New York LOC"

    def test_nothing_found_is_a_report_too(self) -> None:
        task = TokenCls(TAGS)
        answers = [TokenPrediction(("a",), ("O",), (0.9,), ())]
        report = made(task, [Example("a", units=("a",), label=("O",))], answers)
        assert "calibration_error" not in report.scores
        assert "calibration" not in {section.name for section in report.sections}
        assert report.as_data()["scores"]["whole_rows"] == 1


entity = st.builds(
    lambda label, start, size: Span(label, start, start + size),
    st.sampled_from(["PER", "ORG"]),
    st.integers(0, 12),
    st.integers(1, 4),
)


@given(st.sets(entity, max_size=5), st.sets(entity, max_size=5))
def test_every_entity_stands_in_one_pair(gold: set[Span], found: set[Span]) -> None:
    pairs = align(sorted(gold, key=repr), sorted(found, key=repr))
    assert sorted((one.gold for one in pairs if one.gold), key=repr) == sorted(gold, key=repr)
    assert sorted((one.found for one in pairs if one.found), key=repr) == sorted(found, key=repr)
    assert sum(one.kind == "right" for one in pairs) == len(gold & found)
    for one in pairs:
        assert (
            one.gold is None
            or one.found is None
            or min(one.gold.end, one.found.end) > max(one.gold.start, one.found.start)
        )
        assert one.kind in KINDS


def test_an_answer_belongs_to_the_entity_that_it_shares_most_with() -> None:
    long, short, answer = Span("ORG", 0, 6), Span("ORG", 6, 8), Span("ORG", 2, 8)
    assert align([short, long], [answer]) == [Pair(long, answer), Pair(short, None)]
    same, other = Span("LOC", 0, 2), Span("PER", 1, 3)
    assert Pair(Span("PER", 0, 3), other) in align([Span("PER", 0, 3)], [same, other])


class Guess(SeqCls):
    """A task of which the reports know nothing: numbers."""

    name = "guess"
    metric_names: ClassVar[tuple[str, ...]] = ("closeness", "pearson")
    main_metric: ClassVar[str] = "closeness"

    def as_data(self, prediction: Prediction) -> dict[str, Any]:
        assert isinstance(prediction, ClassPrediction)
        return {"number": prediction.probability}

    def metrics(self, examples: Sequence[Example], predictions: Sequence[Prediction]) -> dict[str, float]:
        gold = [float(str(one.label)) for one in examples]
        said = [one.probability for one in predictions if isinstance(one, ClassPrediction)]
        return {"closeness": 1 - mean_squared_error(gold, said)} | (
            {"pearson": pearson(gold, said)} if len(gold) > 1 else {}
        )


class Correlated(Guess):
    """One whose score needs several rows."""

    main_metric: ClassVar[str] = "pearson"

    def metrics(self, examples: Sequence[Example], predictions: Sequence[Prediction]) -> dict[str, float]:
        return {"pearson": super().metrics(examples, predictions).get("pearson") or pearson([1.0], [1.0])}


def numbered(task: type[Guess], count: int) -> Report:
    draw = np.random.default_rng(5)
    rows = [Example("x" * (at + 1), label=str(at % 2), key=f"t:{at}") for at in range(count)]
    answers = [ClassPrediction("a", float(draw.random()), np.zeros(1)) for _ in rows]
    return made(task(("a",)), rows, answers)


def test_a_task_that_reports_do_not_know_gets_scores_lengths_and_its_worst_rows() -> None:
    report = numbered(Guess, 60)
    assert [figure.name for figure in report.figures] == ["closeness", "pearson"]
    assert [section.name for section in report.sections] == ["length", "worst"]
    closeness = [1 - (float(row["gold"]) - row["predicted"]["number"]) ** 2 for row in report.records]
    assert [row["score"] for row in report.records] == pytest.approx(closeness)
    assert np.mean(closeness) == pytest.approx(report.scores["closeness"])
    worst = report.records[int(np.argmin(closeness))]
    passage = block(report, "worst").passages[0]
    assert (passage.key, passage.note) == (worst["key"], f"score {min(closeness):.4f}")
    assert passage.lines[1].summary == f"number: {worst['predicted']['number']:.4f}"


def test_a_score_that_one_row_does_not_have_is_left_out() -> None:
    report = numbered(Correlated, 20)
    assert all(row["score"] is None for row in report.records)
    assert [section.name for section in report.sections] == ["worst"]
    assert block(report, "worst").passages == []


class Several(SeqCls):
    """A task of a known name whose answers have a form that its report is not about."""

    def as_data(self, prediction: Prediction) -> dict[str, Any]:
        return {"labels": ["a", "b"]}


@dataclass(frozen=True)
class Labels:
    """That form."""

    labels: tuple[str, ...]


def test_answers_of_another_form_get_the_general_report() -> None:
    class Exact(Several):
        main_metric: ClassVar[str] = "exact"

        def metrics(self, examples: Sequence[Example], predictions: Sequence[Prediction]) -> dict[str, float]:
            return {"exact": 1.0}

    answers: list[Any] = [Labels(("a", "b"))]
    report = made(Exact(("a", "b")), [Example("x", label=("a", "b"))], answers)
    assert report.records[0]["predicted"] == {"labels": ["a", "b"]}
    assert report.scores == {"exact": 1.0}
    assert [section.name for section in report.sections] == ["length", "worst"]


def test_data_of_any_task_becomes_json() -> None:
    value = {"a": (1, np.float64(0.5)), 2: Span("PER", 0, 1), "c": np.arange(2), "d": None, "e": frozenset("x")}
    plain = {"a": [1, 0.5], "2": {"label": "PER", "start": 0, "end": 1}, "c": [0, 1], "d": None, "e": ["x"]}
    assert json.loads(json.dumps(as_plain(value))) == plain


def test_what_cannot_be_reported() -> None:
    task, rows, answers = class_rows(3)
    with pytest.raises(SettingsError, match="no row to report on"):
        made(task, [], [])
    with pytest.raises(SettingsError, match="1 row cannot be measured; the first is t.tsv:3: it has no label"):
        made(task, [rows[0], replace(rows[1], label=None), rows[2]], answers)


def test_a_folder_keeps_what_else_is_in_it(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine", encoding="utf-8")
    report = made(*class_rows(5))
    report.save(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "mine.txt",
        "predictions.jsonl",
        "report.html",
        "report.json",
    ]
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    report.save(tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    stored = json.loads(before["report.json"])
    assert stored == json.loads(json.dumps(report.as_data()))
    assert stored["rows"] == 5
    assert list(stored["sections"]) == [section.name for section in report.sections]


def test_a_module_answers_for_its_report(tmp_path: Path) -> None:
    module = tiny_module(tmp_path, task="seq-cls", labels=("bad", "good"))
    rows = Dataset.from_rows([("好的", "good"), ("不是", "bad"), ("我们都是中国人", "good")], task="seq-cls")
    report = report_on(module, rows, max_seq_len=5, about={"data": "three rows"})
    with pytest.warns(UserWarning, match="1 text"):
        expected = module.predict([row.text for row in rows], max_seq_len=5)
    assert [row["predicted"] for row in report.records] == [one["label"] for one in expected]
    assert report.about == {"module": "tiny 1.0.0", "data": "three rows", "cut": "1 text"}
    assert make_report(module.known_task(), rows, module.predictor(dtype="auto").predict(rows), about={}).about == {}
