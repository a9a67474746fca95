"""Reading comprehension: the span of a context that answers a question."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from hub_core.data.problems import shortened
from hub_core.data.rows import BadRowError, RowReading, column_of, other_columns, row_key, text_of
from hub_core.data.tables import Row
from hub_core.errors import DataError, LabelError, SettingsError
from hub_core.examples import Answer, Array, Batch, Example, Features, Prediction
from hub_core.metrics import answer_scores, cmrc2018, squad_v1, squad_v2
from hub_core.tasks.arrays import input_arrays, softmax
from hub_core.tasks.rows import read_columns, shown
from hub_core.tasks.task import Task, one_of, positive
from hub_core.text.tokenizer import Tokenizer

if TYPE_CHECKING:
    import torch

QUESTION = ("question",)
CONTEXT = ("context",)
ANSWERS = ("answers", "answer")
#: The most tokens of a question; longer ones are cut, so that there is room for the context.
_QUESTION_TOKENS = 64
_JUDGES = {"cmrc2018": cmrc2018, "squad_v1": squad_v1, "squad_v2": squad_v2}


@dataclass(frozen=True)
class Span:
    """A piece of the context with its probability among the candidates; `start` and `end` count characters."""

    text: str
    start: int
    end: int
    probability: float


@dataclass(frozen=True)
class AnswerPrediction(Prediction):
    """The best answer (an empty text where there is none), and the candidates, likeliest first."""

    text: str
    start: int
    end: int
    probability: float
    candidates: tuple[Span, ...]


@dataclass(frozen=True)
class Passage:
    """What one window holds: the tokens from position `first` on, and the characters that each stands for."""

    first: int
    offsets: Array
    truncated: bool


class QuestionAnswering(Task):
    """Extractive answers. A context that is too long is read in windows; the best span of all of them is the answer.

    Options: `doc_stride` (how many tokens neighbouring windows share), `n_best` (starts and ends looked at per window,
    and candidates kept), `max_answer_length` in tokens, `null_threshold` (how much likelier no answer must be than the
    best span, as a difference of logits, to be the answer; None: there always is one), `judge` (how answers are
    compared: ``cmrc2018``, ``squad_v1`` or ``squad_v2``).
    """

    name: ClassVar[str] = "question-answering"
    names_labels: ClassVar[bool] = False
    auto_class = "QuestionAnswering"
    option_defaults: ClassVar[Mapping[str, Any]] = {
        **Task.option_defaults,
        "max_seq_len": 384,
        "doc_stride": 128,
        "n_best": 20,
        "max_answer_length": 50,
        "null_threshold": None,
        "judge": "cmrc2018",
    }
    asked_names: ClassVar[tuple[str, ...]] = ("question", "context")
    metric_names = ("f1", "exact")
    main_metric = "f1"

    def check_options(self) -> None:
        """See `Task.check_options`."""
        super().check_options()
        for name in ("doc_stride", "n_best", "max_answer_length"):
            positive(name, self.options[name])
        one_of("judge", self.options["judge"], tuple(_JUDGES))
        threshold = self.options["null_threshold"]
        if threshold is not None and (not isinstance(threshold, int | float) or isinstance(threshold, bool)):
            raise SettingsError(f"option 'null_threshold' must be a number or None, not {threshold!r}")

    @classmethod
    def read(cls, row: Row, reading: RowReading, pool: dict[str, str]) -> Example:
        """A question, its context, and the answers that stand in it (none: the context does not say)."""
        question, context = text_of(row, column_of(row, QUESTION)), text_of(row, column_of(row, CONTEXT))
        column = column_of(row, ANSWERS, required=reading.labelled)
        answers = None if column is None else _answers(row.columns[column])
        for answer in answers or ():
            if context[answer.start : answer.start + len(answer.text)] != answer.text:
                raise BadRowError(
                    (0, f"answer {shortened(answer.text)!r} does not stand at {answer.start} of its context")
                )
        others = other_columns(row, {*QUESTION, *CONTEXT, *ANSWERS})
        return Example(question, pool.setdefault(context, context), None, answers, row_key(row), others)

    def example(self, item: Any, *, split_char: str | None = None, key: str = "") -> Example:  # noqa: ARG002
        """A pair ``(question, context)``, PaddleHub's list of both, or a dictionary of both."""
        if isinstance(item, Example):
            return item
        if isinstance(item, Mapping):
            columns = read_columns(item, ("question", "context"), key)
            missing = [name for name in ("question", "context") if name not in columns]
            if missing:
                raise DataError([f"{key}: a row needs a {' and a '.join(map(repr, missing))}, not {shown(item)}"])
            item = [columns["question"], columns["context"]]
        if not isinstance(item, (list, tuple)) or len(item) != 2 or not all(isinstance(text, str) for text in item):
            raise DataError([f"{key}: expected a question and its context, not {shown(item)}"])
        if not all(text.strip() for text in item):
            raise DataError([f"{key}: the {'question' if not item[0].strip() else 'context'} is empty"])
        return Example(item[0], item[1], key=key)

    def asked(self, example: Example) -> dict[str, str]:
        """See `Task.asked`."""
        return {"question": example.text, "context": example.pair or ""}

    def encode(self, example: Example, tokenizer: Tokenizer, max_seq_len: int) -> list[Features]:
        """One Features per window of the context, ``question context`` each.

        The target is the first and the last token of the first answer; the first token of the row where the window
        does not hold it whole.
        """
        question = tokenizer.encode_text(example.text)
        asked = (question or [tokenizer.unk_id])[:_QUESTION_TOKENS]
        context, offsets = tokenizer.encode_with_offsets(example.pair or "")
        room = max_seq_len - tokenizer.specials_count(pair=True) - len(asked)
        if room < 1:
            raise SettingsError(f"max_seq_len={max_seq_len} leaves no room for the context beside the question")
        answers = _labelled(example)
        span = None if not answers else _token_span(answers[0], offsets)
        cut = len(question) > len(asked)
        windows = []
        for first, last in _windows(len(context), room, self.options["doc_stride"]):
            ids, types = tokenizer.with_specials(asked, context[first:last])
            start = tokenizer.with_specials(asked, [-1])[0].index(-1)
            target = None
            if answers is not None:
                inside = span is not None and first <= span[0] and span[1] < last
                target = np.array([start + at - first for at in span] if span and inside else [0, 0])
            meta = Passage(start, offsets[first:last], truncated=cut)
            windows.append(Features(input_arrays(tokenizer, ids, types), target, example.key, meta=meta))
        return windows

    def decode(
        self,
        example: Example,
        windows: Sequence[Features],
        logits: Sequence[Array],
        constants: Mapping[str, Array],  # noqa: ARG002
    ) -> AnswerPrediction:
        """The best spans of all windows; an answer without text where none is likelier."""
        context, nothing = example.pair or "", np.inf
        scored: dict[tuple[int, int], float] = {}
        for window, scores in zip(windows, logits, strict=True):
            passage: Passage = window.meta
            nothing = min(nothing, float(scores[0].sum()))
            for score, (start, end) in self._spans(passage, scores[passage.first :][: len(passage.offsets)]):
                scored[start, end] = max(score, scored.get((start, end), -np.inf))
        best = sorted(scored.items(), key=lambda item: (-item[1], item[0]))[: self.options["n_best"]]
        threshold = self.options["null_threshold"]
        empty = not best or (threshold is not None and nothing - best[0][1] > threshold)
        values = [score for _, score in best] + ([nothing] if threshold is not None or not best else [])
        chances = softmax(np.array(values)).tolist()
        found = tuple(
            Span(context[start:end], start, end, chance)
            for ((start, end), _), chance in zip(best, chances, strict=False)
        )
        chosen = Span("", 0, 0, chances[-1]) if empty else found[0]
        cut = any(window.meta.truncated for window in windows)
        return AnswerPrediction(chosen.text, chosen.start, chosen.end, chosen.probability, found, truncated=cut)

    def _spans(self, passage: Passage, scores: Array) -> Iterator[tuple[float, tuple[int, int]]]:
        """Scores and character spans of the likeliest pairs of a start and an end in one window."""
        most = self.options["n_best"]
        starts, ends = (np.argsort(-scores[:, side], kind="stable")[:most] for side in (0, 1))
        for start in starts:
            for end in ends:
                if start <= end < start + self.options["max_answer_length"]:
                    characters = int(passage.offsets[start][0]), int(passage.offsets[end][1])
                    yield float(scores[start, 0] + scores[end, 1]), characters

    def metrics(self, examples: Sequence[Example], predictions: Sequence[Prediction]) -> dict[str, float]:
        """``f1`` and ``exact``, best over the answers of each question, as the `judge` compares them."""
        gold = [[answer.text for answer in _labelled(example) or ()] for example in examples]
        found = [_answer_prediction(prediction).text for prediction in predictions]
        scores = answer_scores(gold, found, judge=_JUDGES[self.options["judge"]])
        return {"f1": scores.f1, "exact": scores.exact}

    def loss(self, logits: torch.Tensor, batch: Batch) -> torch.Tensor:
        """The mean of the cross-entropies of start and end, times the row's weight, summed; padding has no part."""
        from torch.nn.functional import cross_entropy

        scores = logits.float()  # (batch, length, 2)
        if "attention_mask" in batch.inputs:
            scores = scores.masked_fill(batch.inputs["attention_mask"][:, :, None] == 0, -1e9)
        losses = sum(cross_entropy(scores[:, :, side], batch.targets[:, side], reduction="none") for side in (0, 1))
        total: torch.Tensor = (losses / 2 * batch.weights).sum()
        return total

    def loss_weight(self, batch: Batch) -> float:
        """The sum of the rows' weights."""
        return float(batch.weights.sum())

    def collate_targets(self, rows: Sequence[Features], length: int | None = None) -> Array:  # noqa: ARG002
        """Targets ``(batch, 2)``: first and last token of the answer."""
        return np.array([row.target for row in rows], dtype=np.int64)

    def as_data(self, prediction: Prediction) -> dict[str, Any]:
        """``{"answer", "start", "end", "probability", "candidates": [{"text", ...}, ...]}``."""
        found = _answer_prediction(prediction)
        return {
            "answer": found.text,
            "start": found.start,
            "end": found.end,
            "probability": found.probability,
            "candidates": [vars(span) for span in found.candidates],
        }

    def as_table(self, answer: Mapping[str, Any]) -> list[dict[str, object]]:
        """The answer, where it stands, and its probability."""
        where = f"{answer['start']}-{answer['end']}" if answer["answer"] else ""
        return [
            {
                "answer": answer["answer"] or "(none)",
                "characters": where,
                "probability": f"{answer['probability']:.4f}",
            }
        ]

    def as_paddlehub(self, prediction: Prediction) -> tuple[str, float]:
        """The answer's text and its probability."""
        found = _answer_prediction(prediction)
        return found.text, found.probability


def _answers(value: Any) -> tuple[Answer, ...]:
    """Answers as SQuAD's files have them, as `datasets` has them, or one alone. Raises BadRowError."""
    if isinstance(value, Mapping) and isinstance(value.get("text"), list | tuple):
        value = [{"text": text, "answer_start": start} for text, start in _paired(value)]
    rows = [value] if isinstance(value, Mapping) else value
    if not isinstance(rows, list | tuple):
        raise BadRowError((0, f"answers must be a list of texts and their starts, not {shortened(repr(value))}"))
    found = []
    for row in rows:
        text, start = (row.get("text"), row.get("answer_start")) if isinstance(row, Mapping) else (None, None)
        if not isinstance(text, str) or not text or type(start) is not int or start < 0:
            raise BadRowError((0, f"an answer needs a text and its answer_start, not {shortened(repr(row))}"))
        found.append(Answer(text, start))
    return tuple(found)


def _paired(value: Mapping[str, Any]) -> list[tuple[Any, Any]]:
    texts, starts = value["text"], value.get("answer_start")
    if not isinstance(starts, list | tuple) or len(starts) != len(texts):
        raise BadRowError((0, f"answers need as many starts as texts, not {shortened(repr(value))}"))
    return list(zip(texts, starts, strict=True))


def _labelled(example: Example) -> tuple[Answer, ...] | None:
    if example.label is None:
        return None
    if isinstance(example.label, tuple) and all(isinstance(answer, Answer) for answer in example.label):
        return tuple(answer for answer in example.label if isinstance(answer, Answer))
    raise LabelError(f"question-answering needs answers, not {shown(example.label)}")


def _token_span(answer: Answer, offsets: Array) -> tuple[int, int] | None:
    """First and last of the tokens that have characters of the answer; None where there are none."""
    touched = np.flatnonzero((offsets[:, 1] > answer.start) & (offsets[:, 0] < answer.start + len(answer.text)))
    return (int(touched[0]), int(touched[-1])) if len(touched) else None


def _windows(length: int, room: int, stride: int) -> Iterator[tuple[int, int]]:
    """First and last token (exclusive) of windows of at most `room` tokens that share `stride` (at most half)."""
    shared = min(stride, room // 2)
    first = 0
    while True:
        yield first, min(first + room, length)
        if first + room >= length:
            return
        first += room - shared


def _answer_prediction(prediction: Prediction) -> AnswerPrediction:
    if not isinstance(prediction, AnswerPrediction):
        raise TypeError(f"expected an AnswerPrediction, not {type(prediction).__name__}")
    return prediction
