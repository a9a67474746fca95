"""Scores of classes and entities, against scikit-learn and seqeval."""

from __future__ import annotations

import random
import time
import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from seqeval.metrics.sequence_labeling import classification_report
from seqeval.metrics.sequence_labeling import precision_recall_fscore_support as seqeval_scores
from sklearn.metrics import (
    accuracy_score,
    confusion_matrix,
    hamming_loss,
    matthews_corrcoef,
    precision_recall_fscore_support,
)

from hub_core import metrics
from hub_core.errors import LabelError, SettingsError
from hub_core.metrics import (
    Scores,
    accuracy,
    classification_f1,
    confusion,
    entity_scores,
    matthews,
    multilabel_scores,
)

steady = settings(deadline=None, derandomize=True, max_examples=60)
LABELS = ["a", "b", "c", "d"]
TAGS = ["O", "B-PER", "I-PER", "B-ORG", "I-ORG", "E-PER", "S-LOC"]

pairs = st.lists(st.tuples(st.sampled_from(LABELS), st.sampled_from(LABELS)), min_size=1, max_size=40)
sentences = st.lists(st.lists(st.tuples(st.sampled_from(TAGS), st.sampled_from(TAGS)), min_size=1), min_size=1)


@steady
@given(pairs)
def test_accuracy_equals_sklearn(rows: list[tuple[str, str]]) -> None:
    gold, predicted = zip(*rows, strict=True)
    assert accuracy(gold, predicted) == pytest.approx(accuracy_score(gold, predicted))


@pytest.mark.parametrize("labels", [LABELS, LABELS[:2], [*LABELS, "never"]])
@steady
@given(rows=pairs)
def test_classification_f1_equals_sklearn(labels: list[str], rows: list[tuple[str, str]]) -> None:
    gold, predicted = zip(*rows, strict=True)

    def reference(average: str | None) -> Any:
        return precision_recall_fscore_support(gold, predicted, labels=labels, average=average, zero_division=0.0)

    ours = classification_f1(gold, predicted, labels)
    precision, recall, f1, support = reference(None)
    for number, label in enumerate(labels):
        one = ours.per_class[label]
        expected = (precision[number], recall[number], f1[number], support[number])
        assert (one.precision, one.recall, one.f1, one.support) == pytest.approx(expected)
    for average, mean in (("macro", ours.macro), ("micro", ours.micro)):
        assert (mean.precision, mean.recall, mean.f1) == pytest.approx(reference(average)[:3])


@steady
@given(pairs)
def test_matthews_and_confusion_equal_sklearn(rows: list[tuple[str, str]]) -> None:
    gold, predicted = zip(*rows, strict=True)
    if len({*gold, *predicted}) > 1:  # sklearn warns of one label
        assert matthews(gold, predicted) == pytest.approx(matthews_corrcoef(gold, predicted), abs=1e-12)
    else:
        assert matthews(gold, predicted) == 0
    assert confusion(gold, predicted, LABELS).tolist() == confusion_matrix(gold, predicted, labels=LABELS).tolist()


@steady
@given(st.lists(st.tuples(st.sets(st.sampled_from(LABELS)), st.sets(st.sampled_from(LABELS))), min_size=1, max_size=20))
def test_multilabel_scores_equal_sklearn(rows: list[tuple[set[str], set[str]]]) -> None:
    gold, predicted = zip(*rows, strict=True)
    wanted, answers = (
        np.array([[label in row for label in LABELS] for row in side], int) for side in (gold, predicted)
    )
    ours = multilabel_scores(gold, predicted, LABELS)
    assert ours.hamming == pytest.approx(hamming_loss(wanted, answers), abs=1e-12)
    assert ours.subset_accuracy == pytest.approx(accuracy_score(wanted, answers), abs=1e-12)
    for average, mean in (("macro", ours.classes.macro), ("micro", ours.classes.micro)):
        reference = precision_recall_fscore_support(wanted, answers, average=average, zero_division=0.0)
        assert (mean.precision, mean.recall, mean.f1) == pytest.approx(reference[:3], abs=1e-12)
    per_class = precision_recall_fscore_support(wanted, answers, average=None, zero_division=0.0)
    for number, one in enumerate(ours.classes.per_class.values()):
        assert (one.precision, one.recall, one.f1, one.support) == pytest.approx([row[number] for row in per_class])


def test_labels_that_nobody_declared() -> None:
    with pytest.raises(LabelError, match="unknown label 'e'; known: a, b, c, d"):
        confusion(["a"], ["e"], LABELS)
    with pytest.raises(LabelError, match="unknown label 'aa'"):
        multilabel_scores([["aa"]], [[]], LABELS)


@pytest.mark.parametrize("suffix", [False, True])
@steady
@given(rows=sentences)
def test_entity_scores_equal_seqeval(suffix: bool, rows: list[list[tuple[str, str]]]) -> None:
    def side(index: int) -> list[list[str]]:
        labels = [[pair[index] for pair in row] for row in rows]
        return [["-".join(reversed(label.split("-"))) for label in row] for row in labels] if suffix else labels

    gold, predicted = side(0), side(1)
    ours = entity_scores(gold, predicted, suffix=suffix)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # numpy's: seqeval means over no types
        micro = seqeval_scores(gold, predicted, average="micro", suffix=suffix, zero_division=0)
        assert (ours.precision, ours.recall, ours.f1, ours.support) == pytest.approx(micro)
        if not ours.per_type:  # seqeval's report fails where there is no entity at all
            return
        report = classification_report(gold, predicted, output_dict=True, suffix=suffix, zero_division=0)
    theirs = {kind: row for kind, row in report.items() if not kind.endswith(" avg")}
    assert list(ours.per_type) == sorted(theirs)
    for kind, row in theirs.items():
        one = ours.per_type[kind]
        expected = (row["precision"], row["recall"], row["f1-score"], row["support"])
        assert (one.precision, one.recall, one.f1, one.support) == pytest.approx(expected)


def test_entities_are_counted_over_the_corpus_not_averaged_over_sentences() -> None:
    gold = [["B-PER", "O"], ["B-PER", "B-PER", "B-PER"]]
    predicted = [["O", "O"], ["B-PER", "B-PER", "B-PER"]]
    scores = entity_scores(gold, predicted)
    assert (scores.precision, scores.recall, scores.support) == (1.0, 0.75, 4)
    assert scores.per_type == {"PER": Scores(1.0, 0.75, pytest.approx(6 / 7), 4)}


def test_a_scheme_is_handed_on() -> None:
    assert entity_scores([["B", "O"]], [["B", "O"]], scheme="IO").per_type.keys() == {"B"}


def test_no_entities_score_zero() -> None:
    scores = entity_scores([["O"], []], [["O"], []])
    assert (scores.precision, scores.recall, scores.f1, scores.support, scores.per_type) == (0.0, 0.0, 0.0, 0, {})


def test_the_time_grows_with_the_corpus_and_no_faster() -> None:
    draw = random.Random(3)
    gold = [draw.choices(TAGS, weights=[30, 2, 4, 2, 4, 1, 1], k=45) for _ in range(5000)]
    predicted = [[label if draw.random() < 0.9 else "O" for label in row] for row in gold]
    begun = time.process_time()
    scores = entity_scores(gold, predicted)
    assert time.process_time() - begun < 10  # a fifth of a second; much more under coverage, minutes if quadratic
    assert 0.5 < scores.f1 < 1


def test_rows_that_do_not_correspond() -> None:
    with pytest.raises(SettingsError, match="2 gold rows cannot be compared with 1 predicted"):
        accuracy(["a", "b"], ["a"])
    with pytest.raises(SettingsError, match="accuracy of no rows"):
        accuracy([], [])
    with pytest.raises(SettingsError, match="Matthews correlation of no rows"):
        matthews([], [])
    with pytest.raises(SettingsError, match="multi-label score of no rows"):
        multilabel_scores([], [], LABELS)
    with pytest.raises(SettingsError, match="sentence 1 has 2 gold labels and 1 predicted"):
        entity_scores([["O"], ["O", "O"]], [["O"], ["O"]])


@pytest.mark.parametrize("labels", [[], ["a", "a"]])
def test_labels_to_score_must_be_distinct(labels: list[str]) -> None:
    with pytest.raises(LabelError, match="each once"):
        classification_f1(["a"], ["a"], labels)


def test_every_public_name_is_there() -> None:
    assert sorted(metrics.__all__) == sorted(metrics._HOMES)
    assert all(getattr(metrics, name) is not None for name in metrics.__all__)
    with pytest.raises(AttributeError, match="no attribute 'accurracy'; public names: AnswerScores, "):
        metrics.accurracy  # noqa: B018
