"""Rows with answers, as a module would have given them, for the tests of reports."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hub_core.examples import (
    Answer,
    ClassPrediction,
    Example,
    LabelsPrediction,
    Prediction,
    ScorePrediction,
    TokenPrediction,
)
from hub_core.metrics import resampling
from hub_core.report import Report, any_task, comparison, make_report, making
from hub_core.tasks.embedding import Embedding, VectorPrediction
from hub_core.tasks.masked_lm import Candidate, MaskedLm, MaskPrediction
from hub_core.tasks.question_answering import AnswerPrediction, QuestionAnswering
from hub_core.tasks.seq_cls import SeqCls
from hub_core.tasks.task import Task
from hub_core.tasks.text_matching import TextMatching
from hub_core.tasks.token_cls import TokenCls

LABELS = ["bad", "good", "so so"]
WORDS = [
    "one",
    "river",
    "runs",
    "past",
    "four",
    "green",
    "hills",
    "while",
    "nine",
    "small",
    "boats",
    "carry",
    "stones",
    "under",
    "old",
    "bridges",
]
TAGS = ["B-PER", "I-PER", "B-ORG", "I-ORG", "B-LOC", "I-LOC", "O"]


def class_rows(
    count: int, labels: Sequence[str] = LABELS, *, seed: int = 0
) -> tuple[SeqCls, list[Example], list[ClassPrediction]]:
    """Rows of seq-cls, about three in four of which are answered right; the rows are those of every seed."""
    draw, answers, rows = np.random.default_rng(seed), [], []
    for at in range(count):
        target = at * 7 % len(labels)
        rows.append(Example("好" * (1 + at % 40) + str(at), label=labels[target], key=f"t.tsv:{at + 2}"))
        logits = draw.normal(size=len(labels))
        logits[target] += 1.5
        chances = np.exp(logits) / np.exp(logits).sum()
        best = int(chances.argmax())
        answers.append(ClassPrediction(labels[best], float(chances[best]), chances))
    return SeqCls(labels), rows, answers


def entity_rows(count: int, *, seed: int = 0) -> tuple[TokenCls, list[Example], list[TokenPrediction]]:
    """Rows of token-cls, one label in ten of which is wrong; the rows are those of every seed."""
    task, same, draw = TokenCls(TAGS), random.Random(11), random.Random(seed)
    rows, answers = [], []
    for at in range(count):
        gold = [label for kind in same.choices(["PER", "ORG", "LOC", "O"], k=6) for label in _labels(kind, same)]
        units = tuple(same.choices("的一是不了在人有我他", k=len(gold)))
        said = [draw.choice(TAGS) if draw.random() < 0.1 else label for label in gold]
        chances = [draw.uniform(0.4, 1) for _ in gold]
        rows.append(Example("".join(units), units=units, label=tuple(gold), key=f"t.tsv:{at + 2}"))
        answers.append(TokenPrediction(units, tuple(said), tuple(chances), task._entities(units, said, chances)))
    return task, rows, answers


def label_set_rows(count: int, *, seed: int = 0) -> tuple[SeqCls, list[Example], list[LabelsPrediction]]:
    """Rows of seq-cls with several labels, of which one decision in six is wrong; the rows are those of every seed."""
    task, same, draw = (
        SeqCls(LABELS, {"problem": "multi-label"}),
        np.random.default_rng(11),
        np.random.default_rng(seed),
    )
    rows, answers = [], []
    for at in range(count):
        applies = same.random(len(LABELS)) < (0.2, 0.5, 0.7)
        logits = draw.normal(size=len(LABELS)) + np.where(applies, 1, -1)
        chances = 1 / (1 + np.exp(-logits))
        gold = tuple(label for label, one in zip(LABELS, applies, strict=True) if one)
        rows.append(Example("好" * (1 + at % 40) + str(at), label=gold, key=f"t.tsv:{at + 2}"))
        said = tuple(label for label, chance in zip(LABELS, chances, strict=True) if chance >= 0.5)
        answers.append(LabelsPrediction(said, chances))
    return task, rows, answers


def number_rows(count: int, *, seed: int = 0) -> tuple[SeqCls, list[Example], list[ScorePrediction]]:
    """Rows of seq-cls with numbers from 0 to 5, answered within about 1; the rows are those of every seed."""
    task, same, draw = SeqCls(("score",), {"problem": "regression"}), random.Random(11), random.Random(seed)
    gold = [same.randint(0, 25) / 5 for _ in range(count)]
    rows = [Example("好" * (1 + at % 40), "对", label=one, key=f"t.tsv:{at + 2}") for at, one in enumerate(gold)]
    return task, rows, [ScorePrediction(0.8 * one + draw.gauss(0.3, 0.7)) for one in gold]


def pair_rows(count: int, *, seed: int = 0) -> tuple[TextMatching, list[Example], list[ClassPrediction]]:
    """Rows of text-matching by cosines, about three in four of which are answered right."""
    _, rows, answers = class_rows(count, ("different", "equal"), seed=seed)
    pairs = [Example(row.text, f"{row.text}吗", label=row.label, key=row.key) for row in rows]
    return TextMatching(("different", "equal"), {"form": "cosine"}), pairs, answers


def vector_rows(
    count: int, labels: Sequence[float] | None = None, *, seed: int = 0
) -> tuple[Embedding, list[Example], list[VectorPrediction]]:
    """Rows of embedding whose vectors are the more alike the larger the label; without `labels` all pairs match.

    One text in ten asks twice. The rows are those of every seed.
    """
    same, draw = random.Random(11), np.random.default_rng(seed)
    rows, answers, asked = [], [], draw.normal(size=(count, 8))
    for at in range(count):
        label = None if labels is None else same.choice(labels)
        first = at - 1 if at % 10 == 9 else at
        closeness = 0.5 if label is None or labels is None else 0.2 + label / max(labels) * 0.5
        second = closeness * asked[first] + (1 - closeness) * draw.normal(size=8)
        vectors = np.stack([asked[first], second]).astype(np.float32)
        rows.append(Example(f"问{first}", f"答{at}" + "好" * (at % 7), label=label, key=f"t.tsv:{at + 2}"))
        answers.append(VectorPrediction(vectors))
    return Embedding(()), rows, answers


def answer_rows(count: int, *, seed: int = 0) -> tuple[QuestionAnswering, list[Example], list[AnswerPrediction]]:
    """Rows of question-answering, some without an answer, answered in all the ways that reports tell apart."""
    task, same, draw = QuestionAnswering((), {"judge": "squad_v2"}), random.Random(11), random.Random(seed)
    rows, answers = [], []
    for at in range(count):
        words = same.sample(WORDS, k=same.randint(8, len(WORDS)))
        context = " ".join(words)
        start = same.randrange(len(words) - 3)
        first, text = len(" ".join(words[:start])) + (start > 0), " ".join(words[start : start + 2])
        gold = (Answer(text, first),) if same.random() < 0.8 else ()
        rows.append(Example(f"Question {at}?", context, label=gold, key=f"dev.json:{at}"))
        shift, size = draw.choice([(0, 2), (0, 2), (0, 2), (0, 3), (0, 1), (1, 1), (1, 2), (2, 1), (0, 0)])
        said = " ".join(words[start + shift : start + shift + size])
        place = context.index(said) if said else 0
        answers.append(AnswerPrediction(said, place, place + len(said), draw.uniform(0.2, 1), ()))
    return task, rows, answers


def place_rows(count: int, *, seed: int = 0) -> tuple[MaskedLm, list[Example], list[MaskPrediction]]:
    """Rows of masked-lm with one to three places, of which about two in three are right."""
    same, draw = random.Random(11), random.Random(seed)
    rows, answers = [], []
    for at in range(count):
        gold = tuple(same.choices("的一是不了", k=1 + at % 3))
        text = "好".join(["人" * (1 + at % 9), *["[MASK]"] * len(gold)])
        places = []
        for token in gold:
            others = draw.sample([one for one in "的一是不了" if one != token], k=2)
            tokens = draw.choice([[token, *others], [token, *others], [others[0], token, others[1]], [*others, "好"]])
            places.append(tuple(map(Candidate, tokens, sorted([draw.random() / 2 for _ in tokens], reverse=True))))
        rows.append(Example(text, label=gold, key=f"t.tsv:{at + 2}"))
        answers.append(MaskPrediction("", tuple(places)))
    return MaskedLm((), {"top_k": 3}), rows, answers


@contextmanager
def few_samples() -> Iterator[None]:
    """Intervals from 100 samples in place of 10,000, for what is not about them."""
    with pytest.MonkeyPatch.context() as patch:
        for file, name in ((making, "interval"), (any_task, "interval"), (comparison, "difference")):
            patch.setattr(file, name, partial(_quick, getattr(resampling, name)))
        yield


def made(task: Task, rows: Sequence[Example], answers: Iterable[Prediction]) -> Report:
    """The report on these answers."""
    return make_report(task, rows, answers, about={"module": "toy 1.0.0", "data": "rows", "split": "test"})


def read_lines(path: Path) -> list[Any]:
    """The rows of a file of JSON lines, read by nothing of ours."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def _quick(slow: Callable[..., Any], *scores: Any, resamples: int = 0) -> Any:
    return slow(*scores, resamples=100)


def _labels(kind: str, draw: random.Random) -> list[str]:
    size = draw.randint(1, 4)
    return ["O"] * size if kind == "O" else [f"B-{kind}"] + [f"I-{kind}"] * (size - 1)
