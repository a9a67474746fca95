"""The reports of the tasks beside classes and entities, against scikit-learn, scipy and counts of the saved rows."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from reports import (
    LABELS,
    answer_rows,
    class_rows,
    label_set_rows,
    made,
    number_rows,
    pair_rows,
    place_rows,
    read_lines,
    vector_rows,
)
from scipy import stats
from sklearn import metrics as sklearn
from sklearn.calibration import calibration_curve

from hub_core.errors import SettingsError
from hub_core.examples import Answer, Example, LabelsPrediction, ScorePrediction
from hub_core.metrics import interval
from hub_core.report import Report, compare
from hub_core.report.answers import AnswerReport, kind_of
from hub_core.report.any_task import SHOWN, report_for
from hub_core.report.matching import limits
from hub_core.report.numbers import NumberReport
from hub_core.report.sections import Chart, Histogram, Scatter, Table
from hub_core.report.spread import BARS, POINTS, histogram, scatter
from hub_core.tasks.question_answering import AnswerPrediction, QuestionAnswering
from hub_core.tasks.text_matching import TextMatching

GRADES = [at / 2 for at in range(11)]


def block(report: Report, section: str, at: int = 0) -> Any:
    """A block of a section."""
    return next(one for one in report.sections if one.name == section).blocks[at]


def names(report: Report) -> list[str]:
    return [section.name for section in report.sections]


def columns(report: Report, *wanted: str) -> list[list[Any]]:
    return [[row[name] for row in report.records] for name in wanted]


@pytest.fixture(scope="module")
def label_sets() -> Report:
    return made(*label_set_rows(200))


@pytest.fixture(scope="module")
def numbers() -> Report:
    return made(*number_rows(200))


@pytest.fixture(scope="module")
def pairs() -> Report:
    return made(*pair_rows(200))


@pytest.fixture(scope="module")
def answers() -> Report:
    return made(*answer_rows(200))


@pytest.fixture(scope="module")
def places() -> Report:
    return made(*place_rows(200))


class TestLabelSets:
    """The report of seq-cls with several labels."""

    def test_scores_are_those_of_sklearn_on_the_saved_rows(self, label_sets: Report, tmp_path: Path) -> None:
        label_sets.save(tmp_path)
        rows = read_lines(tmp_path / "predictions.jsonl")
        gold, said = ([[name in row[side] for name in LABELS] for row in rows] for side in ("gold", "predicted"))
        chances = np.array([[row["probabilities"][name] for name in LABELS] for row in rows])
        expected = {
            "micro_f1": sklearn.f1_score(gold, said, average="micro"),
            "macro_f1": sklearn.f1_score(gold, said, average="macro"),
            "subset_accuracy": sklearn.accuracy_score(gold, said),
            "hamming": sklearn.hamming_loss(gold, said),
            "log_loss": sklearn.log_loss(np.ravel(gold), chances.ravel()),
        }
        assert {name: label_sets.scores[name] for name in expected} == pytest.approx(expected, rel=1e-12)
        assert names(label_sets) == ["classes", "counts", "calibration", "length", "worst"]
        for figure in label_sets.figures[:3]:
            low, high = figure.interval or (0, 0)
            assert low < figure.value < high

    def test_labels_one_by_one_are_sklearns(self, label_sets: Report) -> None:
        gold, said, chances = columns(label_sets, "gold", "predicted", "probabilities")
        table = [[[name in row for name in LABELS] for row in side] for side in (gold, said)]
        expected = sklearn.precision_recall_fscore_support(*table)
        for at, row in enumerate(block(label_sets, "classes").rows):
            assert row[:5] == pytest.approx((LABELS[at], *(column[at] for column in expected)))
            assert row[5] == sum(LABELS[at] in row for row in said)
        for name, mean, share, _ in block(label_sets, "calibration", 1).rows:
            assert mean == pytest.approx(np.mean([row[name] for row in chances]))
            assert share == pytest.approx(np.mean([name in row for row in gold]))

    def test_every_decision_stands_in_one_bin(self, label_sets: Report) -> None:
        gold, chances = columns(label_sets, "gold", "probabilities")
        right = [name in row for row in gold for name in LABELS]
        flat = [row[name] for row in chances for name in LABELS]
        bins = block(label_sets, "calibration").bins
        assert sum(one.count for one in bins) == 200 * len(LABELS)
        share, mean = calibration_curve(right, flat, n_bins=15)
        assert [one.accuracy for one in bins] == pytest.approx(share)
        assert [one.confidence for one in bins] == pytest.approx(mean)

    def test_missing_and_too_many_add_up(self, label_sets: Report) -> None:
        gold, said = columns(label_sets, "gold", "predicted")
        for column, taken in enumerate(
            (lambda a, b: set(a) - set(b), lambda a, b: set(b) - set(a), lambda a, b: set(a) ^ set(b)), start=1
        ):
            expected = Counter(str(len(taken(one, two))) for one, two in zip(gold, said, strict=True))
            rows = {row[0]: row[column] for row in block(label_sets, "counts").rows if row[column]}
            assert rows == dict(expected)
        pairs = sum(len(set(a) - set(b)) * len(set(b) - set(a)) for a, b in zip(gold, said, strict=True))
        assert sum(row[2] for row in block(label_sets, "counts", 1).rows) == pairs

    def test_the_worst_rows_have_most_wrong_labels(self, label_sets: Report) -> None:
        shown = block(label_sets, "worst").passages
        wrong = [int(one.note.split()[0]) for one in shown]
        assert wrong == sorted(wrong, reverse=True)
        assert len(shown) == SHOWN
        by_key = {row["key"]: row for row in label_sets.records}
        for passage in shown:
            row = by_key[passage.key]
            gold, said = ({piece.text: piece.mark for piece in line.pieces if piece.mark} for line in passage.lines)
            assert gold == {name: "gold" if name in row["predicted"] else "missed" for name in row["gold"]}
            assert said == {name: "right" if name in row["gold"] else "wrong" for name in row["predicted"]}

    def test_rows_without_labels_and_one_label_alone(self) -> None:
        task, rows, given = label_set_rows(3)
        rows = [replace(row, label=label) for row, label in zip(rows, ((), "bad", ("bad", "good")), strict=True)]
        nothing = [LabelsPrediction((), one.probabilities) for one in given]
        report = made(task, rows, nothing)
        assert [row["gold"] for row in report.records] == [[], ["bad"], ["bad", "good"]]
        assert block(report, "worst").passages[0].lines[1].summary == "(none)"
        assert report.scores["micro_f1"] == 0


class TestNumbers:
    """The report of seq-cls as regression."""

    def test_scores_are_those_of_scipy_and_sklearn_on_the_saved_rows(self, numbers: Report, tmp_path: Path) -> None:
        numbers.save(tmp_path)
        rows = read_lines(tmp_path / "predictions.jsonl")
        gold, said = ([row[side] for row in rows] for side in ("gold", "predicted"))
        expected = {
            "spearman": stats.spearmanr(gold, said).statistic,
            "pearson": stats.pearsonr(gold, said).statistic,
            "r2": sklearn.r2_score(gold, said),
            "mae": sklearn.mean_absolute_error(gold, said),
            "mse": sklearn.mean_squared_error(gold, said),
        }
        assert numbers.scores == pytest.approx(expected, rel=1e-12)
        assert numbers.figures[0].name == "spearman"
        for figure in numbers.figures[:3]:
            low, high = figure.interval or (0, 0)
            assert low < figure.value < high

    @pytest.mark.parametrize(("at", "name"), [(1, "pearson"), (2, "r2")])
    def test_an_interval_is_scipys(self, numbers: Report, at: int, name: str) -> None:
        gold, said = map(np.array, columns(numbers, "gold", "predicted"))

        def r2(gold: Any, said: Any, axis: int) -> Any:
            left = ((gold - said) ** 2).sum(axis)
            return 1 - left / ((gold - gold.mean(axis, keepdims=True)) ** 2).sum(axis)

        def pearson(gold: Any, said: Any, axis: int) -> Any:
            return stats.pearsonr(gold, said, axis=axis).statistic

        theirs = stats.bootstrap(
            (gold, said), {"r2": r2, "pearson": pearson}[name], paired=True, method="percentile", rng=1
        ).confidence_interval
        ours = numbers.figures[at].interval
        assert ours == pytest.approx(tuple(theirs), abs=0.05 * (theirs.high - theirs.low))

    def test_sections_say_what_the_rows_say(self, numbers: Report) -> None:
        gold, said = map(np.array, columns(numbers, "gold", "predicted"))
        points, ranges = block(numbers, "numbers"), block(numbers, "numbers").as_table()
        assert isinstance(points, Scatter)
        assert points.points == list(zip(gold.tolist(), said.tolist(), strict=True))
        assert sum(row[1] for row in ranges.rows) == 200
        assert sum(row[1] * row[3] for row in ranges.rows) / 200 == pytest.approx(said.mean())
        assert sum(row[1] * row[4] for row in ranges.rows) / 200 == pytest.approx(numbers.scores["mae"])
        (summary,) = block(numbers, "residuals", 1).rows
        assert summary[:2] == pytest.approx(((said - gold).mean(), (said - gold).std()))
        assert summary[4] == pytest.approx(np.median(said - gold))
        spread = block(numbers, "residuals")
        assert isinstance(spread, Histogram)
        assert sum(sum(one.counts) for one in spread.bars) == 200
        lengths = block(numbers, "length")
        assert isinstance(lengths, Chart)
        assert sum(one.count * one.value for one in lengths.points) / 200 == pytest.approx(numbers.scores["mae"])

    def test_the_worst_rows_are_furthest_off(self, numbers: Report) -> None:
        rows = sorted(numbers.records, key=lambda row: -abs(row["gold"] - row["predicted"]))
        shown = block(numbers, "worst").passages
        assert [one.key for one in shown] == [row["key"] for row in rows[:SHOWN]]
        assert (shown[0].text, shown[0].pair) == (rows[0]["text"], "对")
        off = rows[0]["predicted"] - rows[0]["gold"]
        assert shown[0].lines[1].summary == f"{rows[0]['predicted']:.4f} ({off:+.4f})"

    def test_scores_of_samples_without_variance(self) -> None:
        task, rows, _ = number_rows(3)
        same = [replace(row, label=2.0) for row in rows]
        report = made(task, same, [ScorePrediction(2.0) for _ in same])
        assert (report.scores["r2"], report.scores["pearson"], report.scores["mae"]) == (1, 0, 0)
        assert block(report, "worst").passages == []
        for measure in NumberReport().measures(report.records):
            assert measure.value == report.scores[measure.name]
        large = [replace(row, label=1e200 * (at + 1)) for at, row in enumerate(rows)]
        answers = [ScorePrediction(1e200 * (at + 1) ** 2) for at in range(3)]
        for measure in NumberReport().measures(NumberReport().records(task, large, answers)):
            assert measure.value <= 1
            assert all(np.isfinite(interval(measure, resamples=50)))

    def test_many_rows_are_thinned_out(self) -> None:
        gold = np.random.default_rng(1).normal(size=5 * POINTS)
        drawn = scatter(gold, gold)
        assert POINTS / 2 < len(drawn.points) <= POINTS
        assert sum(row[1] for row in drawn.ranges.rows) == 5 * POINTS

    @pytest.mark.parametrize(
        "values", [[0.1, 0.1], [-3e-7, 5e-7], [0, 1], [-1, 1, 0.3], [1e9, 3e9], [0.0] * 3, [7, 8], [0.99, 1 + 2e-16]]
    )
    def test_bars_are_round_and_hold_every_number(self, values: list[float]) -> None:
        drawn = histogram("x", {"a": values, "b": []})
        assert 1 <= len(drawn.bars) <= BARS
        assert sum(one.counts[0] for one in drawn.bars) == len(values)
        assert drawn.bars[0].low <= min(values) <= max(values) <= drawn.bars[-1].high + 1e-12
        for one, two in zip(drawn.bars, drawn.bars[1:], strict=False):
            assert one.high == two.low
        if len(set(values)) > 1:
            assert drawn.bars[0].counts[0]
            assert drawn.bars[-1].counts[0]


class TestPairs:
    """The report of text-matching."""

    def test_it_is_that_of_classes_with_the_score(self, pairs: Report) -> None:
        gold = [row["gold"] == "equal" for row in pairs.records]
        chances = [row["probabilities"]["equal"] for row in pairs.records]
        assert pairs.scores["roc_auc"] == pytest.approx(sklearn.roc_auc_score(gold, chances), rel=1e-12)
        assert names(pairs) == ["classes", "scores", "confusion", "calibration", "length", "worst"]
        drawn = block(pairs, "scores")
        assert drawn.series == ("different", "equal")
        assert [sum(column) for column in zip(*(one.counts for one in drawn.bars), strict=True)] == [
            len(gold) - sum(gold),
            sum(gold),
        ]

    def test_limits_are_the_best_that_sklearn_finds(self, pairs: Report) -> None:
        gold = np.array([row["gold"] == "equal" for row in pairs.records])
        chances = np.array([row["probabilities"]["equal"] for row in pairs.records])
        by_accuracy, by_f1 = block(pairs, "scores", 1).rows
        found = [chances >= limit for limit in chances]
        assert by_accuracy[2] == max(sklearn.accuracy_score(gold, one) for one in found)
        assert by_f1[5] == pytest.approx(max(sklearn.f1_score(gold, one) for one in found))
        for row in (by_accuracy, by_f1):
            said = chances >= float(row[1])
            scores = sklearn.precision_recall_fscore_support(gold, said, average="binary")[:3]
            assert row[2:] == pytest.approx((sklearn.accuracy_score(gold, said), *scores))

    def test_equal_scores_lie_on_one_side(self) -> None:
        table = limits(np.array([0.5, 0.5, 0.5, 0.9]), np.array([True, False, True, True]))
        assert isinstance(table, Table)
        assert [row[1] for row in table.rows] == ["0.5", "0.5"]
        table = limits(np.array([0.5, 0.5, 0.5, 0.9]), np.array([False, False, False, True]))
        assert [row[1] for row in table.rows] == ["0.7", "0.7"]

    def test_both_texts_of_the_worst_pairs_are_shown(self, pairs: Report) -> None:
        by_key = {row["key"]: row for row in pairs.records}
        shown = block(pairs, "worst")
        for passage in shown.passages:
            row = by_key[passage.key]
            assert (passage.text, passage.pair) == (row["text"], row["text_pair"])
        first = shown.passages[0]
        assert shown.as_table().rows[0][-1] == f"{first.text} ‖ {first.pair}"

    def test_several_labels_have_no_one_score(self) -> None:
        _, rows, answers = class_rows(60)
        report = made(TextMatching(LABELS), [replace(row, pair="x") for row in rows], answers)
        assert "scores" not in names(report)
        assert "roc_auc" not in report.scores

    def test_rows_of_one_label_have_no_curve(self) -> None:
        task, rows, answers = pair_rows(20)
        report = made(task, [replace(row, label="equal") for row in rows], answers)
        assert "roc_auc" not in report.scores


class TestVectors:
    """The report of embedding."""

    def test_scores_are_scipys_on_the_saved_rows(self, tmp_path: Path) -> None:
        report = made(*vector_rows(150, GRADES))
        report.save(tmp_path)
        rows = read_lines(tmp_path / "predictions.jsonl")
        gold, said = ([row[side] for row in rows] for side in ("gold", "predicted"))
        assert report.scores["spearman"] == pytest.approx(stats.spearmanr(gold, said).statistic, rel=1e-12)
        assert names(report) == ["similarities", "ranks", "length", "worst", "searches"]
        moved = (stats.rankdata(said) - stats.rankdata(gold)) / len(gold)
        assert [row["displaced"] for row in rows] == pytest.approx(moved.tolist())
        place = {row["key"]: abs(one) for row, one in zip(rows, moved, strict=True)}
        shown = [place[one.key] for one in block(report, "worst").passages]
        assert shown == pytest.approx(sorted(place.values(), reverse=True)[:SHOWN])
        drawn = block(report, "similarities")
        assert drawn.series == ("label 0 to 1", "label 1 to 2", "label 2 to 3", "label 3 to 4", "label 4 to 5")
        assert sum(sum(one.counts) for one in drawn.bars) == 150
        assert sum(one.counts[4] for one in drawn.bars) == sum(value >= 4 for value in gold)

    def test_two_labels_have_a_limit(self) -> None:
        report = made(*vector_rows(150, [0, 1]))
        gold, said = columns(report, "gold", "predicted")
        assert report.scores["roc_auc"] == pytest.approx(sklearn.roc_auc_score(gold, said), rel=1e-12)
        best = block(report, "similarities", 1).rows[1]
        precision, recall, _ = sklearn.precision_recall_curve(gold, said)
        assert best[5] == pytest.approx((2 * precision * recall / (precision + recall)).max())
        assert block(report, "similarities").series == ("label 0", "label 1")

    def test_searches_are_those_of_a_sort_over_all(self) -> None:
        task, rows, answers = vector_rows(120)
        report = made(task, rows, answers)
        assert names(report) == ["similarities", "ranks", "length", "searches"]
        vectors = np.stack([one.vectors for one in answers]).astype(np.float64)
        vectors /= np.linalg.norm(vectors, axis=2, keepdims=True)
        seen: dict[str, int] = {}
        for at, record in enumerate(report.records):
            if record["text"] in seen:
                assert "nearest" not in record
                continue
            seen[record["text"]] = at
            order = np.argsort(-(vectors[:, 1] @ vectors[at, 0]))[:10]
            assert [one["text"] for one in record["nearest"]] == [rows[n].pair for n in order]
            assert [one["right"] for one in record["nearest"]] == [rows[n].text == record["text"] for n in order]
            assert record["matches"] == sum(row.text == record["text"] for row in rows)
        measures = {one.name: one.value for one in report_for(report.records[0]).measures(report.records)}
        assert measures == pytest.approx({name: report.scores[name] for name in measures}, rel=1e-12)
        assert list(measures) == ["mrr@10", "ndcg@10", "recall@1", "recall@10"]
        assert report.figures[0].name == "mrr@10"

    def test_ranks_add_up_and_the_worst_searches_come_first(self) -> None:
        report = made(*vector_rows(120))
        ranks = {row[0]: row[1] for row in block(report, "ranks").rows}
        asked = [row for row in report.records if "nearest" in row]
        assert sum(ranks.values()) == len(asked)
        assert ranks["1"] == sum(row["nearest"][0]["right"] for row in asked)
        shown = block(report, "searches").passages
        assert shown[0].note == "no match among the nearest"
        marks = [piece.mark for piece in shown[0].lines[1].pieces if piece.mark]
        assert marks == ["wrong"] * 3
        drawn = block(report, "similarities")
        assert drawn.series == ("pairs that match", "nearest that do not match")
        assert sum(one.counts[1] for one in drawn.bars) == len(asked)

    def test_pairs_of_one_label_have_no_order(self) -> None:
        task, rows, answers = vector_rows(20)
        report = made(task, [replace(row, label=0.0) for row in rows], answers)
        assert names(report) == ["similarities"]
        assert report.scores == {}
        with pytest.raises(SettingsError, match="rows of task embedding have no score"):
            compare(report.records, report.records)

    def test_a_text_alone_cannot_be_measured(self) -> None:
        task, rows, answers = vector_rows(3)
        with pytest.raises(
            SettingsError, match="1 row cannot be measured; the first is t.tsv:3: it has no second text"
        ):
            made(task, [rows[0], replace(rows[1], pair=None), rows[2]], answers)


class TestAnswers:
    """The report of question-answering."""

    def test_scores_are_means_of_the_saved_rows(self, answers: Report, tmp_path: Path) -> None:
        answers.save(tmp_path)
        rows = read_lines(tmp_path / "predictions.jsonl")
        for name in ("f1", "exact"):
            assert answers.scores[name] == pytest.approx(np.mean([row[name] for row in rows]), rel=1e-12)
        for row in rows:
            assert row["text_pair"][row["start"] : row["end"]] == row["predicted"]
            texts = [one["text"] for one in row["gold"]] or [""]
            words = [Counter(text.split()) for text in (*texts, row["predicted"])]
            shared = (words[0] & words[1]).total()
            expected = 2 * shared / max(1, words[0].total() + words[1].total()) if any(words) else 1.0
            assert (row["f1"], row["exact"]) == pytest.approx((expected, float(row["predicted"] in texts)))
        assert names(answers) == ["answerable", "errors", "calibration", "length", "worst"]
        right, chances = zip(*((row["exact"], row["probability"]) for row in rows), strict=True)
        share, _ = calibration_curve(right, chances, n_bins=15)
        assert [one.accuracy for one in block(answers, "calibration").bins] == pytest.approx(share)

    def test_tables_add_up(self, answers: Report) -> None:
        kinds = {row[0]: row[1] for row in block(answers, "errors").rows}
        assert sum(kinds.values()) == 200
        assert kinds["right"] == sum(row["exact"] for row in answers.records)
        assert all(kinds.values())
        (asked, none), records = block(answers, "answerable").rows, answers.records
        assert (asked[1], none[1]) == (
            sum(bool(row["gold"]) for row in records),
            sum(not row["gold"] for row in records),
        )
        assert (asked[2], none[4]) == (kinds["not answered"], none[2] / none[1])
        first, second = (block(answers, "length", at) for at in (0, 1))
        assert sum(one.count for one in first.points) == asked[1]
        assert sum(one.count for one in second.points) == 200
        assert [first.axis, second.axis] == ["characters of the answer", "characters of the context"]

    @pytest.mark.parametrize(
        ("start", "end", "kind"),
        [
            (4, 8, "right"),
            (2, 8, "too long"),
            (4, 9, "too long"),
            (5, 8, "too short"),
            (2, 6, "shifted"),
            (0, 4, "elsewhere"),
        ],
    )
    def test_kinds_of_errors(self, start: int, end: int, kind: str) -> None:
        context = "0123甲乙丙丁8901"
        task, gold = QuestionAnswering(()), (Answer("甲乙丙丁", 4), Answer("丁", 7))
        answer = AnswerPrediction(context[start:end], start, end, 0.5, ())
        record = AnswerReport().record(task, Example("谁", context, label=gold), answer)
        assert kind_of(record) == kind
        nothing = AnswerReport().record(task, Example("谁", context, label=()), answer)
        assert kind_of(nothing) == "invented"

    def test_the_context_shows_what_is_right_wrong_and_missing(self) -> None:
        context = "前" * 300 + "李岚清今天" + "后" * 300
        task = QuestionAnswering(())
        rows = [Example("谁?", context, label=(Answer("李岚清", 300), Answer("李岚清", 300)), key="dev:1")]
        report = made(task, rows, [AnswerPrediction("岚清今", 301, 304, 0.5, ())])
        assert "answerable" not in names(report)
        (passage,) = block(report, "worst").passages
        gold, said, place = passage.lines
        assert (passage.text, gold.summary, said.summary) == ("谁?", "李岚清", "岚清今 0.5000")
        assert place.summary == "301-304; right 300-303; of 605"
        assert [(piece.text, piece.mark) for piece in place.pieces if piece.mark] == [
            ("李", "missed"),
            ("岚清", "right"),
            ("今", "wrong"),
        ]
        assert [piece.text for piece in place.pieces][::6] == [" … ", " … "]
        assert sum(len(piece.text) for piece in place.pieces) < 150
        assert passage.note == "F1 0.6667, shifted"

    def test_no_answer_at_all(self) -> None:
        rows = [Example("谁?", "甲" * 500, label=(), key=f"dev:{at}") for at in range(3)]
        given = [
            AnswerPrediction("", 0, 0, 0.5, ()),
            AnswerPrediction("甲", 9, 10, 0.5, ()),
            AnswerPrediction("", 0, 0, 1, ()),
        ]
        report = made(QuestionAnswering((), {"null_threshold": 0.0}), rows, given)
        (row,) = block(report, "answerable").rows
        assert row == ("without one", 3, 2, pytest.approx(2 / 3), pytest.approx(2 / 3))
        assert len(next(one for one in report.sections if one.name == "length").blocks) == 1


class TestPlaces:
    """The report of masked-lm."""

    def test_scores_are_those_of_the_saved_rows(self, places: Report, tmp_path: Path) -> None:
        places.save(tmp_path)
        rows = read_lines(tmp_path / "predictions.jsonl")
        gold = [token for row in rows for token in row["gold"]]
        said = [token for row in rows for token in row["predicted"]]
        assert places.scores["accuracy"] == pytest.approx(sklearn.accuracy_score(gold, said), rel=1e-12)
        among = [
            token in [one["token"] for one in seen]
            for row in rows
            for token, seen in zip(row["gold"], row["candidates"], strict=True)
        ]
        assert places.scores["recall@k"] == pytest.approx(np.mean(among))
        assert names(places) == ["ranks", "confusion", "calibration", "length", "worst"]
        for figure in places.figures[:2]:
            low, high = figure.interval or (0, 0)
            assert low < figure.value < high

    def test_ranks_and_confusions_add_up(self, places: Report) -> None:
        gold = [token for row in places.records for token in row["gold"]]
        said = [token for row in places.records for token in row["predicted"]]
        ranks = {row[0]: row[1] for row in block(places, "ranks").rows}
        assert list(ranks) == ["1", "2", "3", "none of them"]
        assert sum(ranks.values()) == len(gold)
        assert ranks["1"] / len(gold) == pytest.approx(places.scores["accuracy"])
        pairs = Counter(pair for pair in zip(gold, said, strict=True) if pair[0] != pair[1])
        table = block(places, "confusion").rows
        assert [row[2] for row in table] == [count for _, count in pairs.most_common(len(table))]
        assert all(pairs[row[0], row[1]] == row[2] for row in table)
        for token, count, wrong, share in block(places, "confusion", 1).rows:
            assert count == gold.count(token)
            assert wrong == sum(a == token != b for a, b in zip(gold, said, strict=True))
            assert share == pytest.approx(1 - wrong / count)
        assert sum(one.count for one in block(places, "calibration").bins) == len(gold)

    def test_the_worst_texts_are_filled_in(self, places: Report) -> None:
        shown = block(places, "worst").passages
        wrong = [int(one.note.split()[0]) for one in shown]
        assert wrong == sorted(wrong, reverse=True)
        by_key = {row["key"]: row for row in places.records}
        for passage in shown:
            row = by_key[passage.key]
            for line, tokens in zip(passage.lines, (row["gold"], row["predicted"]), strict=True):
                text = row["text"]
                for token in tokens:
                    text = text.replace("[MASK]", token, 1)
                assert "".join(piece.text for piece in line.pieces) == text
                assert [piece.text for piece in line.pieces if piece.mark] == tokens
