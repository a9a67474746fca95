"""A vector per text, such that texts which mean the same have vectors of like direction."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from hub_core.data.problems import counted
from hub_core.data.rows import (
    LABEL,
    PAIR,
    TEXT,
    BadRowError,
    RowReading,
    column_of,
    number_of,
    other_columns,
    row_key,
    strings_of,
    text_of,
)
from hub_core.data.tables import Row
from hub_core.errors import DataError, LabelError, SettingsError
from hub_core.examples import Array, Batch, Example, Features, Prediction
from hub_core.metrics import mrr, ndcg, recall, spearman
from hub_core.tasks.rows import read_columns, shown
from hub_core.tasks.task import Task, one_of
from hub_core.tasks.vectors import POOLINGS, side_by_side
from hub_core.text.tokenizer import Tokenizer

if TYPE_CHECKING:
    import torch
    from torch import nn

#: The column of texts that do not match a row's first, hard ones as a rule.
NEGATIVES = ("negative", "negatives")
#: What sentence-transformers calls our poolings.
_POOLINGS_THERE = {
    "mean": "pooling_mode_mean_tokens",
    "cls": "pooling_mode_cls_token",
    "max": "pooling_mode_max_tokens",
    "last": "pooling_mode_lasttoken",
}
#: How many candidates each query is ranked against at once: bounds the memory of a large evaluation.
_QUERIES = 256


@dataclass(frozen=True)
class VectorPrediction(Prediction):
    """The vectors of a row's texts, float32 ``(texts, width)``."""

    vectors: Array

    @property
    def similarity(self) -> float:
        """The cosine of the first two vectors."""
        first, second = self.vectors[:2].astype(np.float64)
        lengths = float(np.linalg.norm(first) * np.linalg.norm(second))
        return float(first @ second) / lengths if lengths else 0.0


@dataclass(frozen=True)
class Search:
    """A text whose matches are looked for; `row` is the first that asks.

    `matches` and `nearest` (the ten nearest, nearest first, with their `cosines`) are numbers of second texts.
    """

    row: int
    matches: set[int]
    nearest: list[int]
    cosines: list[float]


class Embedding(Task):
    """A vector per text; no labels. The head has no weights, so that every encoder has this task untrained.

    To train: rows with a second text, and either a number (0: different, 1: same; anything between), from which CoSENT
    learns the order of cosines, or none, and then each row's second text is to be found among those of its batch
    (and its hard ``negatives``, where rows have some).

    Options: `pooling` (see `hub_core.tasks.vectors.POOLINGS`, or ``tokens``: one per token), `normalize` (vectors of
    length 1), `loss` (``cosent``, ``in-batch``; None: by whether rows have numbers), `scale` (cosines are multiplied by
    it in the loss).
    """

    name: ClassVar[str] = "embedding"
    names_labels: ClassVar[bool] = False
    has_weights: ClassVar[bool] = False
    option_defaults: ClassVar[Mapping[str, Any]] = {
        **Task.option_defaults,
        "pooling": "mean",
        "normalize": True,
        "loss": None,
        "scale": 20.0,
    }
    network_options: ClassVar[tuple[str, ...]] = ("pooling", "normalize")
    metric_names = ("spearman", "mrr@10", "ndcg@10", "recall@1", "recall@10")
    main_metric = "spearman"

    def check_options(self) -> None:
        """See `Task.check_options`."""
        super().check_options()
        one_of("pooling", self.options["pooling"], (*POOLINGS, "tokens"))
        if not isinstance(self.options["normalize"], bool):
            raise SettingsError(f"option 'normalize' must be True or False, not {self.options['normalize']!r}")
        if self.options["loss"] is not None:
            one_of("loss", self.options["loss"], ("cosent", "in-batch"))
        scale = self.options["scale"]
        if not isinstance(scale, int | float) or isinstance(scale, bool) or not 0 < scale < float("inf"):
            raise SettingsError(f"option 'scale' must be a number above 0, not {scale!r}")

    @classmethod
    def read(cls, row: Row, reading: RowReading, pool: dict[str, str]) -> Example:  # noqa: ARG003
        """A text; a second one that matches it (or as much as the label says); texts that do not, as a list."""
        text, column = text_of(row, column_of(row, TEXT)), column_of(row, PAIR, required=False)
        pair = None if column is None or row.columns[column] is None else text_of(row, column)
        label_column = column_of(row, LABEL, required=False)
        value = None if label_column is None else row.columns[label_column]
        label = None if value in (None, "") else number_of(value, "the label")
        if label is not None and not 0 <= label <= 1:
            raise BadRowError((0, f"the label must be a number from 0 to 1, not {label:g}"))
        if reading.labelled and pair is None:
            raise BadRowError((0, "the second text is missing"))
        others = other_columns(row, {*TEXT, *PAIR, *LABEL, *NEGATIVES})
        return Example(text, pair, None, label, row_key(row), {**others, **_read_negatives(row)})

    def example(self, item: Any, *, split_char: str | None = None, key: str = "") -> Example:  # noqa: ARG002
        """A string, a pair ``(text, pair)``, PaddleHub's ``[text]``, or a dictionary of both."""
        if isinstance(item, Example):
            return item
        if isinstance(item, Mapping):
            columns = read_columns(item, ("text", "text_pair"), key)
            item = [columns[name] for name in ("text", "text_pair") if name in columns]
        texts = [item] if isinstance(item, str) else item
        if (
            not isinstance(texts, (list, tuple))
            or len(texts) not in (1, 2)
            or not all(isinstance(t, str) for t in texts)
        ):
            raise DataError([f"{key}: expected a text or a pair of texts, not {shown(item)}"])
        if not all(text.strip() for text in texts):
            raise DataError([f"{key}: the text is empty"])
        return Example(texts[0], texts[1] if len(texts) == 2 else None, key=key)

    def check_labelled(self, example: Example) -> None:
        """Raise LabelError for a row without a second text: there is nothing to learn from it."""
        if example.pair is None:
            raise LabelError("it has no second text")

    def encode(self, example: Example, tokenizer: Tokenizer, max_seq_len: int) -> list[Features]:
        """One Features: all texts of the row side by side."""
        texts = [example.text, *([] if example.pair is None else [example.pair])]
        texts += example.columns.get(NEGATIVES[0], ())
        inputs, truncated = side_by_side(texts, tokenizer, max_seq_len)
        target = None if example.label is None else _number(example.label)
        return [Features(inputs, target, example.key, meta=truncated)]

    def decode(
        self,
        example: Example,  # noqa: ARG002
        windows: Sequence[Features],
        logits: Sequence[Array],
        constants: Mapping[str, Array],  # noqa: ARG002
    ) -> VectorPrediction:
        """The vectors."""
        vectors = logits[0]
        return VectorPrediction(vectors if vectors.ndim == 2 else vectors[None], truncated=bool(windows[0].meta))

    def metrics(self, examples: Sequence[Example], predictions: Sequence[Prediction]) -> dict[str, float]:
        """What the rows allow: ``spearman`` of cosines and labels; retrieval of each text's matches (rows with a label
        above 0.5, or without one) among all second texts: recall, mean reciprocal rank, NDCG."""
        found = [_vectors(prediction) for prediction in predictions]
        scores = {}
        numbers = [_number(example.label) for example in examples if example.label is not None]
        if len(numbers) == len(examples) and len(set(numbers)) > 1:
            scores["spearman"] = spearman(numbers, [one.similarity for one in found])
        return {**scores, **_retrieval(examples, found)}

    def files(self, width: int) -> dict[str, str]:
        """What sentence-transformers opens the folder with; nothing for a pooling that it does not have."""
        pooling = _POOLINGS_THERE.get(self.options["pooling"])
        if pooling is None:
            return {}
        parts = [("Transformer", ""), ("Pooling", "1_Pooling")]
        parts += [("Normalize", "2_Normalize")] if self.options["normalize"] else []
        modules = [
            {"idx": at, "name": str(at), "path": path, "type": f"sentence_transformers.models.{kind}"}
            for at, (kind, path) in enumerate(parts)
        ]
        records: dict[str, Any] = {
            "modules.json": modules,
            "1_Pooling/config.json": {"word_embedding_dimension": width, pooling: True},
            "sentence_bert_config.json": {"max_seq_length": self.options["max_seq_len"] or 128, "do_lower_case": False},
            "config_sentence_transformers.json": {"similarity_fn_name": "cosine"},
        }
        return {path: json.dumps(record, indent=1) + "\n" for path, record in records.items()}

    def network(self, encoder: nn.Module, prefix: str) -> nn.Module:
        """See `Task.network`."""
        from hub_core.nn.sentence import SentenceNetwork

        return SentenceNetwork(encoder, prefix, pooling=self.options["pooling"], normalize=self.options["normalize"])

    def loss(self, logits: torch.Tensor, batch: Batch) -> torch.Tensor:
        """CoSENT's loss, or that of finding each row's second text in the batch, times the weight of the rows.

        Raises DataError for rows that have unlike numbers of negatives.
        """
        from hub_core.nn.contrast import cosent, in_batch

        _check_texts(batch)
        vectors = logits.float().view(len(batch.weights), -1, logits.shape[-1])  # (rows, texts, width)
        scale = float(self.options["scale"])
        if self._learns_order(batch):
            return cosent(vectors[:, 0], vectors[:, 1], batch.targets, batch.weights, scale=scale)
        return in_batch(vectors, self._weights(batch), scale=scale)

    def loss_weight(self, batch: Batch) -> float:
        """The weight of the rows; for ``in-batch`` of those that match."""
        return float((batch.weights if self._learns_order(batch) else self._weights(batch)).sum())

    def collate(self, rows: Sequence[Features], padding: Mapping[str, int], length: int | None = None) -> Batch:
        """See `Task.collate`; the batch also says how many texts each row has, which must be alike to learn from."""
        batch = super().collate(rows, padding, length)
        return replace(batch, columns={**batch.columns, "texts": tuple(row.texts for row in rows)})

    def collate_targets(self, rows: Sequence[Features], length: int | None = None) -> Array:  # noqa: ARG002
        """Targets ``(batch,)``."""
        return np.array([row.target for row in rows], dtype=np.float32)

    def as_data(self, prediction: Prediction) -> dict[str, Any]:
        """``{"embedding": [...], "truncated"}``; for a pair ``{"similarity", "truncated"}``."""
        answer = _vectors(prediction)
        told: dict[str, Any] = {"truncated": answer.truncated}
        if self.options["pooling"] == "tokens":
            return {"embedding": answer.vectors.tolist(), **told}
        if len(answer.vectors) == 2:
            return {"similarity": answer.similarity, **told}
        return {"embedding": answer.vectors[0].tolist(), **told}

    def as_table(self, answer: Mapping[str, Any]) -> list[dict[str, object]]:
        """The similarity, or the first numbers of the vector."""
        if "similarity" in answer:
            return super().as_table(answer)
        vector = np.asarray(answer["embedding"])
        first = ", ".join(f"{number:.4f}" for number in vector.reshape(-1)[:4])
        return [{"vector": f"{first}, ...", "numbers": " x ".join(map(str, vector.shape))}]

    def as_paddlehub(self, prediction: Prediction) -> tuple[Any, Any]:
        """The vector (of a pair: both)."""
        vectors = _vectors(prediction).vectors
        return (vectors[0] if len(vectors) == 1 else vectors).tolist(), None

    def _learns_order(self, batch: Batch) -> bool:
        return batch.targets is not None and self.options["loss"] in (None, "cosent")

    def _weights(self, batch: Batch) -> Any:
        """The weights of rows that match; the second text of another row is something to tell apart from them."""
        return batch.weights if batch.targets is None else batch.weights * (batch.targets > 0.5)


def _check_texts(batch: Batch) -> None:
    first, *others = batch.columns["texts"]
    unlike = [
        f"{key}: {counted(count - 2, 'negative')}, others have {first - 2}"
        for key, count in zip(batch.keys[1:], others, strict=True)
        if count != first
    ]
    if unlike:
        raise DataError(unlike[:20], more=max(0, len(unlike) - 20))


def _read_negatives(row: Row) -> dict[str, tuple[str, ...]]:
    column = column_of(row, NEGATIVES, required=False)
    value = None if column is None else row.columns[column]
    if value is None:
        return {}
    texts = (value,) if isinstance(value, str) else strings_of(value, str(column))
    if not all(text.strip() for text in texts):
        raise BadRowError((0, f"{column} has an empty text"))
    return {NEGATIVES[0]: texts}


def _number(label: object) -> float:
    if not isinstance(label, int | float | str):
        raise LabelError(f"a number is needed, not {shown(label)}")
    try:
        return float(label)
    except ValueError as error:
        raise LabelError(f"a number is needed, not {shown(label)}") from error


def _vectors(prediction: Prediction) -> VectorPrediction:
    if not isinstance(prediction, VectorPrediction):
        raise TypeError(f"expected a VectorPrediction, not {type(prediction).__name__}")
    return prediction


def searches(examples: Sequence[Example], predictions: Sequence[Prediction]) -> tuple[list[Search], list[str]]:
    """Each text that has matches, once, and all different second texts, among which they are looked for.

    A row's second text matches where its label is above 0.5, or there is none.
    """
    texts: dict[str, int] = {}
    matches: dict[str, set[int]] = {}
    queries: dict[str, tuple[int, Array]] = {}
    candidates = []
    for row, (example, answer) in enumerate(zip(examples, map(_vectors, predictions), strict=True)):
        if example.pair is None:
            continue
        if example.pair not in texts:
            texts[example.pair] = len(texts)
            candidates.append(answer.vectors[1])
        if example.label is None or _number(example.label) > 0.5:
            matches.setdefault(example.text, set()).add(texts[example.pair])
            queries.setdefault(example.text, (row, answer.vectors[0]))
    if not queries:
        return [], list(texts)
    asked = np.stack([vector for _, vector in queries.values()])
    nearest, cosines = _ranked(_unit(asked), _unit(np.stack(candidates)), most=10)
    found = zip(queries.items(), nearest.tolist(), cosines.tolist(), strict=True)
    return [Search(row, matches[text], *ranking) for (text, (row, _)), *ranking in found], list(texts)


def _retrieval(examples: Sequence[Example], found: Sequence[VectorPrediction]) -> dict[str, float]:
    """Scores of finding each text's matches among all different second texts."""
    made, _ = searches(examples, found)
    if not made:
        return {}
    rankings, relevant = [one.nearest for one in made], [one.matches for one in made]
    return {
        "mrr@10": mrr(rankings, relevant, 10),
        "ndcg@10": ndcg(rankings, relevant, 10),
        "recall@1": recall(rankings, relevant, 1),
        "recall@10": recall(rankings, relevant, 10),
    }


def _unit(vectors: Array) -> Array:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.where(lengths > 0, lengths, 1)


def _ranked(queries: Array, candidates: Array, *, most: int) -> tuple[Array, Array]:
    """For each query the numbers of the `most` nearest candidates, nearest first, and their cosines."""
    most = min(most, len(candidates))
    pieces = []
    for start in range(0, len(queries), _QUERIES):
        cosines = queries[start : start + _QUERIES] @ candidates.T
        best = np.argpartition(-cosines, most - 1, axis=1)[:, :most]
        order = np.argsort(-np.take_along_axis(cosines, best, axis=1), axis=1, kind="stable")
        best = np.take_along_axis(best, order, axis=1)
        pieces.append((best, np.take_along_axis(cosines, best, axis=1)))
    nearest, likeness = map(np.concatenate, zip(*pieces, strict=True))
    return nearest, likeness
