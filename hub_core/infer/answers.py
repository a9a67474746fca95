"""The two forms in which callers ask and are answered: plain data, and PaddleHub's lists."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Any

from hub_core.errors import DataError, SettingsError
from hub_core.examples import ClassPrediction, Example, Prediction
from hub_core.infer.predictor import Predictor, Progress
from hub_core.tasks.rows import shown


@dataclass(frozen=True)
class Answers:
    """A caller's rows and the form of the answers.

    Rows that are lists are PaddleHub's form (`paddlehub`); strings, tuples and dictionaries are the plain one.
    """

    rows: Iterable[Any]
    paddlehub: bool
    split_char: str
    return_prob: bool

    @classmethod
    def of(cls, data: Iterable[Any], *, split_char: str = "\002", return_prob: bool = False) -> Answers:
        """Tell the form from the first row. Raises DataError for one row (or none) where a list of rows is expected."""
        if isinstance(data, str):
            raise DataError([f"expected a list of texts, not one text: write predict([{data[:20]!r}])"])
        if not isinstance(data, Iterable) or isinstance(data, (bytes, bytearray, Mapping)):
            raise DataError([f"data: expected a list of texts, not {shown(data)}"])
        if not isinstance(split_char, str) or not split_char:
            raise SettingsError(f"split_char must be a character, such as '\\002', not {split_char!r}")
        stream = iter(data)
        first = list(_take_one(stream))
        paddlehub = bool(first) and isinstance(first[0], list)
        return cls(chain(first, stream), paddlehub, split_char, return_prob)

    def collect(
        self, predictor: Predictor, *, max_seq_len: int | None, batch_size: int | None, progress: Progress | None = None
    ) -> Any:
        """All answers, in order: dictionaries, or for PaddleHub's form labels (and probabilities where asked)."""
        examples = self._examples(predictor)
        predictions = list(
            predictor.predict(examples, max_seq_len=max_seq_len, batch_size=batch_size, progress=progress)
        )
        warn_truncated(predictions, predictor.checked_length(max_seq_len))
        if not self.paddlehub:
            return [predictor.task.as_data(prediction) for prediction in predictions]
        pairs = [predictor.task.as_paddlehub(prediction) for prediction in predictions]
        labels = [label for label, _ in pairs]
        return (labels, [probability for _, probability in pairs]) if self.return_prob else labels

    def _examples(self, predictor: Predictor) -> Iterator[Example]:
        for index, row in enumerate(self.rows):
            if isinstance(row, list) != self.paddlehub:
                raise DataError(
                    [
                        f"data[{index}]: rows must be all lists (PaddleHub's form) or all strings, tuples or "
                        f"dictionaries, not {shown(row)}"
                    ]
                )
            split_char = self.split_char if self.paddlehub else None
            yield predictor.task.example(row, split_char=split_char, key=f"data[{index}]")


def warn_truncated(predictions: Iterable[Prediction], max_seq_len: int) -> None:
    """One warning per call that counts the texts that were cut."""
    count = sum(isinstance(p, ClassPrediction) and p.truncated for p in predictions)
    if count:
        warnings.warn(f"{count} text(s) were cut to max_seq_len={max_seq_len} tokens", stacklevel=4)


def _take_one(stream: Iterator[Any]) -> Iterator[Any]:
    for item in stream:
        yield item
        return
