"""Classification of one text or a pair of texts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from hub_core.errors import DataError, SettingsError
from hub_core.examples import Array, Batch, ClassPrediction, Example, Features, Prediction
from hub_core.metrics import accuracy, classification_f1
from hub_core.tasks.arrays import input_arrays, softmax
from hub_core.tasks.rows import read_columns, shown
from hub_core.tasks.task import Task
from hub_core.text.encoding import truncate
from hub_core.text.tokenizer import Tokenizer

if TYPE_CHECKING:
    import torch


class SeqCls(Task):
    """One label for a text or a pair. Texts longer than `max_seq_len` tokens are cut, and marked `truncated`."""

    name: ClassVar[str] = "seq-cls"
    auto_class: ClassVar[str] = "SequenceClassification"
    metric_names: ClassVar[tuple[str, ...]] = ("accuracy", "macro_f1", "micro_f1")
    main_metric: ClassVar[str] = "accuracy"

    def example(self, item: Any, *, split_char: str | None = None, key: str = "") -> Example:  # noqa: ARG002
        """A string, a pair ``(text, pair)``, PaddleHub's ``[text]`` or ``[text, pair]``, or a dictionary of both."""
        if isinstance(item, Example):
            return item
        if isinstance(item, Mapping):
            columns = read_columns(item, ("text", "text_pair"), key)
            if "text" not in columns:
                raise DataError([f"{key}: a row needs a 'text', not {shown(item)}"])
            item = [columns["text"], columns["text_pair"]] if "text_pair" in columns else [columns["text"]]
        texts = [item] if isinstance(item, str) else item
        if not isinstance(texts, (list, tuple)) or len(texts) not in (1, 2):
            raise DataError([f"{key}: expected a text or a pair of texts, not {shown(item)}"])
        if not all(isinstance(text, str) for text in texts):
            raise DataError([f"{key}: expected a text or a pair of texts, not {shown(item)}"])
        if not all(text.strip() for text in texts):
            raise DataError([f"{key}: the text is empty"])
        return Example(texts[0], texts[1] if len(texts) == 2 else None, key=key)

    def encode(self, example: Example, tokenizer: Tokenizer, max_seq_len: int) -> list[Features]:
        """One Features; the longer text of a pair is cut first, from its end."""
        first = tokenizer.encode_text(example.text) or [tokenizer.unk_id]
        second = None if example.pair is None else tokenizer.encode_text(example.pair)
        room = max_seq_len - tokenizer.specials_count(pair=second is not None)
        if room < 1:
            raise SettingsError(f"max_seq_len={max_seq_len} leaves no room for text beside the special tokens")
        truncated = len(first) + len(second or ()) > room
        ids, types = tokenizer.with_specials(*truncate(first, second, room, "longest_first"))
        target = None if example.label is None else self.target(str(example.label))
        return [Features(input_arrays(tokenizer, ids, types), target, example.key, meta=truncated)]

    def decode(
        self,
        example: Example,  # noqa: ARG002
        windows: Sequence[Features],
        logits: Sequence[Array],
        constants: Mapping[str, Array],  # noqa: ARG002
    ) -> ClassPrediction:
        """The most probable label."""
        probabilities = softmax(logits[0])
        best = int(probabilities.argmax())
        return ClassPrediction(self.labels[best], float(probabilities[best]), probabilities, bool(windows[0].meta))

    def metrics(self, examples: Sequence[Example], predictions: Sequence[Prediction]) -> dict[str, float]:
        """``accuracy``, ``macro_f1`` and ``micro_f1`` over all labels of the task."""
        gold = [str(example.label) for example in examples]
        predicted = [p.label for p in predictions if isinstance(p, ClassPrediction)]
        scores = classification_f1(gold, predicted, self.labels)
        return {"accuracy": accuracy(gold, predicted), "macro_f1": scores.macro.f1, "micro_f1": scores.micro.f1}

    def loss(self, logits: torch.Tensor, batch: Batch) -> torch.Tensor:
        """Cross-entropy per row, times the row's weight, summed."""
        from torch.nn.functional import cross_entropy

        losses: torch.Tensor = cross_entropy(logits.float(), batch.targets, reduction="none")
        total: torch.Tensor = (losses * batch.weights).sum()
        return total

    def loss_weight(self, batch: Batch) -> float:
        """The sum of the rows' weights."""
        return float(batch.weights.sum())

    def collate_targets(self, rows: Sequence[Features], length: int | None = None) -> Array:  # noqa: ARG002
        """Targets ``(batch,)``."""
        return np.array([row.target for row in rows], dtype=np.int64)

    def as_data(self, prediction: Prediction) -> dict[str, Any]:
        """``{"label", "probability", "truncated"}``."""
        answer = _class_prediction(prediction)
        return {"label": answer.label, "probability": answer.probability, "truncated": answer.truncated}

    def as_paddlehub(self, prediction: Prediction) -> tuple[str, list[float]]:
        """The label, and the probabilities of all labels in target order."""
        answer = _class_prediction(prediction)
        return answer.label, answer.probabilities.tolist()


def _class_prediction(prediction: Prediction) -> ClassPrediction:
    if not isinstance(prediction, ClassPrediction):
        raise TypeError(f"expected a ClassPrediction, not {type(prediction).__name__}")
    return prediction
