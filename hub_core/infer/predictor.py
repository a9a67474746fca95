"""The one predict path: examples -> features -> batches by length -> an engine's logits -> predictions, in order.

Nothing here knows torch. An engine is anything with `run`; several threads may use one Predictor.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Protocol

from hub_core.errors import SettingsError
from hub_core.examples import Array, Batch, Example, Features, Prediction
from hub_core.tasks.task import Task, positive
from hub_core.text.tokenizer import Tokenizer

#: How many rows are encoded and sorted by length together; bounds the memory of a long stream.
WINDOW = 4096

Progress = Callable[[int], None]


class Engine(Protocol):
    """What computes logits: torch, or an exported graph."""

    def run(self, batch: Batch) -> Array:
        """The float32 logits of a batch: ``(batch, labels)`` or ``(batch, length, labels)``."""

    def constants(self) -> Mapping[str, Array]:
        """Arrays that decoding needs beside the logits; empty for most networks."""


class Predictor:
    """A task, a tokenizer and an engine, ready to answer.

    `max_length` is the most tokens that the network takes in one row, None without a limit.
    """

    def __init__(self, task: Task, tokenizer: Tokenizer, engine: Engine, *, max_length: int | None) -> None:
        self.task = task
        self.tokenizer = tokenizer
        self.engine = engine
        self.max_length = max_length

    def predict(
        self,
        examples: Iterable[Example],
        *,
        max_seq_len: int | None = None,
        batch_size: int = 32,
        progress: Progress | None = None,
    ) -> Iterator[Prediction]:
        """Answer every example, in order. `progress` is told how many more rows are done.

        Raises SettingsError for a `max_seq_len` beyond what the network takes, or a `batch_size` below 1.
        """
        length = self.checked_length(max_seq_len)
        batch_size = positive("batch_size", batch_size)
        stream = iter(examples)
        while rows := list(islice(stream, WINDOW)):
            encoded = [self.task.encode(example, self.tokenizer, length) for example in rows]
            yield from self.predict_encoded(rows, encoded, batch_size=batch_size)
            if progress is not None:
                progress(len(rows))

    def predict_encoded(
        self, examples: Sequence[Example], encoded: Sequence[Sequence[Features]], *, batch_size: int
    ) -> Iterator[Prediction]:
        """Answer rows that are encoded already: one list of windows per example."""
        logits = self._logits([window for windows in encoded for window in windows], batch_size)
        constants = self.engine.constants()
        position = 0
        for example, windows in zip(examples, encoded, strict=True):
            yield self.task.decode(example, windows, logits[position : position + len(windows)], constants)
            position += len(windows)

    def checked_length(self, max_seq_len: int | None) -> int:
        """The row length to use: what is asked, else what the task was trained with, else 128.

        Raises SettingsError where more is asked than the network takes.
        """
        if max_seq_len is None:
            usual: int = self.task.options["max_seq_len"] or 128
            return usual if self.max_length is None else min(usual, self.max_length)
        max_seq_len = positive("max_seq_len", max_seq_len)
        if self.max_length is not None and max_seq_len > self.max_length:
            raise SettingsError(f"max_seq_len={max_seq_len} is more than this network takes; at most {self.max_length}")
        return max_seq_len

    def _logits(self, features: Sequence[Features], batch_size: int) -> list[Array]:
        """Logits per features row in the given order; computed longest first, so that a batch has little padding."""
        results: list[Array | None] = [None] * len(features)
        order = sorted(range(len(features)), key=lambda index: -features[index].length)
        padding = {"input_ids": self.tokenizer.pad_id}
        for start in range(0, len(order), batch_size):
            chosen = order[start : start + batch_size]
            output = self.engine.run(self.task.collate([features[index] for index in chosen], padding))
            for row, index in enumerate(chosen):
                whole = output[row]
                results[index] = whole[: features[index].length] if whole.ndim == 2 else whole
        return [result for result in results if result is not None]
