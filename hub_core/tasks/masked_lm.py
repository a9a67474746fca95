"""Filling in: which words stand where a text says ``[MASK]``."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from hub_core.data.rows import (
    LABEL,
    TEXT,
    BadRowError,
    RowReading,
    column_of,
    label_value,
    other_columns,
    row_key,
    strings_of,
    text_of,
)
from hub_core.data.tables import Row
from hub_core.errors import DataError, LabelError, SettingsError
from hub_core.examples import IGNORE, Array, Batch, Example, Features, Prediction, pad
from hub_core.tasks.arrays import input_arrays, softmax
from hub_core.tasks.rows import read_columns, shown
from hub_core.tasks.task import Task, positive
from hub_core.text.tokenizer import Tokenizer

if TYPE_CHECKING:
    import torch

#: How a caller writes a place to fill in, whatever the tokenizer calls it.
MASK = "[MASK]"


@dataclass(frozen=True)
class Candidate:
    """A token for a place, and its probability there."""

    token: str
    probability: float


@dataclass(frozen=True)
class MaskPrediction(Prediction):
    """The candidates for each place, likeliest first, and the text with the likeliest of each put in."""

    text: str
    places: tuple[tuple[Candidate, ...], ...]


@dataclass(frozen=True)
class Places:
    """Where the places of a row stand among its tokens, and whether the text was cut."""

    positions: Array
    truncated: bool


class MaskedLm(Task):
    """The words that fit the places of a text, each filled in for itself. There are no labels: any token may fit.

    A row to learn from or to measure on has one token per place as its label. Options: `top_k` candidates per place.
    """

    name: ClassVar[str] = "masked-lm"
    names_labels: ClassVar[bool] = False
    auto_class = "MaskedLM"
    pretrained: ClassVar[bool] = True
    option_defaults: ClassVar[Mapping[str, Any]] = {**Task.option_defaults, "top_k": 5}
    metric_names = ("accuracy", "recall@k")
    main_metric = "accuracy"
    one_row = False
    _tokenizer: Tokenizer | None = None

    def check_options(self) -> None:
        """See `Task.check_options`."""
        super().check_options()
        positive("top_k", self.options["top_k"])

    @classmethod
    def read(cls, row: Row, reading: RowReading, pool: dict[str, str]) -> Example:  # noqa: ARG003
        """A text with places, and one token per place: a list, or a string with one character per place."""
        text = text_of(row, column_of(row, TEXT))
        count = text.count(MASK)
        if not count:
            raise BadRowError((0, f"the text has no {MASK}"))
        value = label_value(row, reading)
        label = None
        if value is not None:
            label = (value,) if count == 1 and isinstance(value, str) else strings_of(value, "labels")
            if len(label) != count:
                raise BadRowError((0, f"{count} places, but {len(label)} labels"))
        return Example(text, None, None, label, row_key(row), other_columns(row, {*TEXT, *LABEL}))

    def with_tokenizer(self, tokenizer: Tokenizer) -> Self:
        """The same task, which names the tokens of this tokenizer."""
        bound = self.with_options()
        bound._tokenizer = tokenizer
        return bound

    def example(self, item: Any, *, split_char: str | None = None, key: str = "") -> Example:  # noqa: ARG002
        """A string with at least one ``[MASK]``, PaddleHub's ``[text]``, or a dictionary with ``text``."""
        if isinstance(item, Example):
            return item
        if isinstance(item, Mapping):
            item = read_columns(item, ("text",), key).get("text")
        elif isinstance(item, (list, tuple)) and len(item) == 1:
            item = item[0]
        if not isinstance(item, str):
            raise DataError([f"{key}: expected a text, not {shown(item)}"])
        if MASK not in item:
            raise DataError([f"{key}: the text has no {MASK} to fill in: {shown(item)}"])
        return Example(item, key=key)

    def encode(self, example: Example, tokenizer: Tokenizer, max_seq_len: int) -> list[Features]:
        """One Features. Of a text that is too long the end is kept that has its last place, and what fits before it.

        Raises DataError where places are too far apart for one row, LabelError for a label that is no token.
        """
        if tokenizer.mask_id is None:
            raise SettingsError(f"the tokenizer (type {tokenizer.type}) has no token for a place to fill in")
        room = max_seq_len - tokenizer.specials_count()
        if room < 1:
            raise SettingsError(f"max_seq_len={max_seq_len} leaves no room for text beside the special tokens")
        ids: list[int] = []
        for number, part in enumerate(re.split(re.escape(MASK), example.text)):
            ids += [tokenizer.mask_id] * (number > 0) + tokenizer.encode_text(part)
        kept = _cut(ids, tokenizer.mask_id, room, example.key)
        row, types = tokenizer.with_specials(kept)
        positions = np.flatnonzero(np.array(row) == tokenizer.mask_id)
        target = None
        if example.label is not None:
            target = np.full(len(row), IGNORE, dtype=np.int64)
            target[positions] = _token_ids(example, tokenizer, len(positions))
        meta = Places(positions, truncated=len(kept) < len(ids))
        return [Features(input_arrays(tokenizer, row, types), target, example.key, meta=meta)]

    def kept(self, features: Features, logits: Array) -> Array:
        """The logits at the places: those of all tokens would be gigabytes for a few thousand texts."""
        places: Places = features.meta
        rows: Array = logits[places.positions]  # indices copy, so that the batch's array can go
        return rows

    def decode(
        self,
        example: Example,
        windows: Sequence[Features],
        logits: Sequence[Array],
        constants: Mapping[str, Array],  # noqa: ARG002
    ) -> MaskPrediction:
        """The likeliest tokens per place."""
        if self._tokenizer is None:
            raise TypeError("masked-lm decodes for a tokenizer; see with_tokenizer")
        places = []
        known = len(self._tokenizer)
        for chances in softmax(logits[0]):
            # A network may have more rows than its tokenizer has tokens.
            best = np.argsort(-chances[:known], kind="stable")[: self.options["top_k"]]
            tokens = self._tokenizer.convert_ids_to_tokens(best.tolist())
            places.append(tuple(map(Candidate, tokens, chances[best].tolist())))
        text = example.text
        for candidates in places:
            text = text.replace(MASK, _bare(candidates[0].token), 1)
        return MaskPrediction(text, tuple(places), truncated=windows[0].meta.truncated)

    def metrics(self, examples: Sequence[Example], predictions: Sequence[Prediction]) -> dict[str, float]:
        """The share of places whose likeliest token is right (``accuracy``), or one of the `top_k` (``recall@k``)."""
        places = right = among = 0
        for example, prediction in zip(examples, predictions, strict=True):
            for token, candidates in zip(_tokens(example), _mask_prediction(prediction).places, strict=True):
                found = [candidate.token for candidate in candidates]
                places, right, among = places + 1, right + (found[0] == token), among + (token in found)
        if not places:
            raise DataError(["no row says which tokens belong to its places"])
        return {"accuracy": right / places, "recall@k": among / places}

    def loss(self, logits: torch.Tensor, batch: Batch) -> torch.Tensor:
        """Cross-entropy per place, times the row's weight, summed."""
        from torch.nn.functional import cross_entropy

        asked = batch.targets != IGNORE
        losses = cross_entropy(logits[asked].float(), batch.targets[asked], reduction="none")
        total: torch.Tensor = (losses * batch.weights[:, None].expand(asked.shape)[asked]).sum()
        return total

    def loss_weight(self, batch: Batch) -> float:
        """The number of places, each times its row's weight."""
        return float(((batch.targets != IGNORE).sum(-1) * batch.weights).sum())

    def collate_targets(self, rows: Sequence[Features], length: int | None = None) -> Array:
        """Targets ``(batch, length)``, padded with `IGNORE`."""
        return pad([np.asarray(row.target) for row in rows], IGNORE, length)

    def as_data(self, prediction: Prediction) -> dict[str, Any]:
        """``{"filled": the text, "places": [[{"token", "probability"}, ...], ...], "truncated"}``."""
        answer = _mask_prediction(prediction)
        places = [[vars(candidate) for candidate in candidates] for candidates in answer.places]
        return {"filled": answer.text, "places": places, "truncated": answer.truncated}

    def as_table(self, answer: Mapping[str, Any]) -> list[dict[str, object]]:
        """One row per candidate of each place."""
        return [
            {"place": number, "token": one["token"], "probability": f"{one['probability']:.4f}"}
            for number, candidates in enumerate(answer["places"], start=1)
            for one in candidates
        ]

    def as_paddlehub(self, prediction: Prediction) -> tuple[list[str], list[float]]:
        """The likeliest token of each place, and its probability."""
        best = [candidates[0] for candidates in _mask_prediction(prediction).places]
        return [one.token for one in best], [one.probability for one in best]


def _cut(ids: list[int], mask_id: int, room: int, key: str) -> list[int]:
    """At most `room` tokens, all places among them."""
    if len(ids) <= room:
        return ids
    end = max(room, len(ids) - ids[::-1].index(mask_id))
    if mask_id in ids[: end - room]:
        raise DataError([f"{key}: the first and the last {MASK} are more than {room} tokens apart"])
    return ids[end - room : end]


def _tokens(example: Example) -> tuple[str, ...]:
    """The token of each place."""
    if isinstance(example.label, tuple) and all(isinstance(token, str) for token in example.label):
        return tuple(map(str, example.label))
    raise LabelError(f"masked-lm needs one token per {MASK}, not {shown(example.label)}")


def _token_ids(example: Example, tokenizer: Tokenizer, places: int) -> list[int]:
    tokens = _tokens(example)
    if len(tokens) != places:
        raise LabelError(f"{places} places, but {len(tokens)} labels")
    ids = tokenizer.convert_tokens_to_ids(list(tokens))
    strange = [token for token, number in zip(tokens, ids, strict=True) if number == tokenizer.unk_id]
    if strange:
        raise LabelError(f"{', '.join(map(repr, strange))}: no token of the vocabulary")
    return ids


def _bare(token: str) -> str:
    """A token as text: without the signs that say how it joins its neighbours."""
    return token.removeprefix("##").removeprefix("▁")


def _mask_prediction(prediction: Prediction) -> MaskPrediction:
    if not isinstance(prediction, MaskPrediction):
        raise TypeError(f"expected a MaskPrediction, not {type(prediction).__name__}")
    return prediction
