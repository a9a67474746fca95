"""Rows with answers, as a module would have given them, for the tests of reports."""

from __future__ import annotations

import json
import random
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hub_core.examples import ClassPrediction, Example, Prediction, TokenPrediction
from hub_core.report import Report, make_report
from hub_core.tasks.seq_cls import SeqCls
from hub_core.tasks.task import Task
from hub_core.tasks.token_cls import TokenCls

LABELS = ["bad", "good", "so so"]
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


def made(task: Task, rows: Sequence[Example], answers: Iterable[Prediction]) -> Report:
    """The report on these answers."""
    return make_report(task, rows, answers, about={"module": "toy 1.0.0", "data": "rows", "split": "test"})


def read_lines(path: Path) -> list[Any]:
    """The rows of a file of JSON lines, read by nothing of ours."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def _labels(kind: str, draw: random.Random) -> list[str]:
    size = draw.randint(1, 4)
    return ["O"] * size if kind == "O" else [f"B-{kind}"] + [f"I-{kind}"] * (size - 1)
