"""The one predict path: examples -> features -> batches by length -> an engine's logits -> predictions, in order.

Nothing here knows torch. An engine is anything that has what `Engine` names; several threads may use one Predictor.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import Any, Protocol

from hub_core.errors import SettingsError
from hub_core.examples import Array, Batch, Example, Features, Prediction
from hub_core.tasks.task import Task, positive
from hub_core.text.tokenizer import Tokenizer

#: How many rows are encoded and sorted by length together; bounds the memory of a long stream.
WINDOW = 4096

#: A batch of at least so many tokens is cut where rows become shorter than this share of its longest.
_ENOUGH, _LIKE = 4096, 0.9

Progress = Callable[[int], None]
#: What a network makes of a batch, float32; of several heads one array each.
Logits = Array | tuple[Array, ...]


class Engine(Protocol):
    """What computes logits: torch, or an exported graph."""

    #: How many tokens, padding included, it computes together most quickly.
    tokens_per_batch: int

    def run(self, batch: Batch) -> Logits:
        """The float32 logits of a batch: ``(batch, labels)`` or ``(batch, length, labels)``."""

    def stream(self, batches: Iterable[Batch]) -> Iterator[Logits]:
        """The logits of each batch in turn; a device may have begun with the next one by then."""

    def constants(self) -> Mapping[str, Array]:
        """Arrays that decoding needs beside the logits; empty for most networks."""


class Predictor:
    """A task, a tokenizer and an engine, ready to answer.

    `max_length` is the most tokens that the network takes in one row, None without a limit.
    """

    def __init__(self, task: Task, tokenizer: Tokenizer, engine: Engine, *, max_length: int | None) -> None:
        self.task = task.with_tokenizer(tokenizer)
        self.tokenizer = tokenizer
        self.engine = engine
        self.max_length = max_length

    def predict(
        self,
        examples: Iterable[Example],
        *,
        max_seq_len: int | None = None,
        batch_size: int | None = None,
        progress: Progress | None = None,
    ) -> Iterator[Prediction]:
        """Answer every example, in order, however long the stream is: `WINDOW` rows are in memory, twice.

        `batch_size` rows are computed together; None: as many as make up the engine's `tokens_per_batch`.
        `progress` is told how many more rows are done. Raises SettingsError for a `max_seq_len` beyond what the
        network takes, or a `batch_size` below 1.
        """
        length = self.checked_length(max_seq_len)
        if batch_size is not None:
            batch_size = positive("batch_size", batch_size)
        for rows, encoded in self._encoded(iter(examples), length):
            yield from self.predict_encoded(rows, encoded, batch_size=batch_size, progress=progress)

    def predict_encoded(
        self,
        examples: Sequence[Example],
        encoded: Sequence[Sequence[Features]],
        *,
        batch_size: int | None = None,
        progress: Progress | None = None,
    ) -> Iterator[Prediction]:
        """Answer rows that are encoded already: one list of windows per example."""
        logits = self._logits([window for windows in encoded for window in windows], batch_size)
        constants = self.engine.constants()
        position = 0
        for example, windows in zip(examples, encoded, strict=True):
            yield self.task.decode(example, windows, logits[position : position + len(windows)], constants)
            position += len(windows)
            if progress is not None:
                progress(1)

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

    def _encoded(self, stream: Iterator[Example], length: int) -> Iterator[tuple[list[Example], list[list[Features]]]]:
        """The rows by `WINDOW`, encoded: each window in another thread while the one before it is computed."""
        rows = list(islice(stream, WINDOW))
        encoded = self._encode(rows, length)
        if len(rows) < WINDOW:
            yield rows, encoded
            return
        with ThreadPoolExecutor(1, thread_name_prefix="hub-encode") as encoder:
            while rows:
                following = list(islice(stream, WINDOW))  # here, since a stream may belong to the caller's thread
                pending = encoder.submit(self._encode, following, length)
                yield rows, encoded
                rows, encoded = following, pending.result()

    def _encode(self, rows: Sequence[Example], length: int) -> list[list[Features]]:
        return [self.task.encode(example, self.tokenizer, length) for example in rows]

    def _logits(self, features: Sequence[Features], batch_size: int | None) -> list[Any]:
        """Logits per features row in the given order; computed longest first, so that a batch has little padding."""
        results: list[Any] = [None] * len(features)
        padding = {"input_ids": self.tokenizer.pad_id}
        cuts = list(self._batches(features, batch_size))
        batches = (self.task.collate([features[index] for index in chosen], padding) for chosen in cuts)
        for chosen, output in zip(cuts, self.engine.stream(batches), strict=True):
            rows = [features[index] for index in chosen]
            for index, found in zip(chosen, self._rows(rows, output), strict=True):
                results[index] = found
        return results

    def _rows(self, rows: Sequence[Features], output: Logits) -> Iterator[Any]:
        """What belongs to each row of a batch, without padding."""
        if isinstance(output, tuple):
            yield from zip(*(self._rows(rows, part) for part in output), strict=True)
            return
        # A network either answers a row, or each of the texts that the row has side by side.
        each = len(output) != len(rows)
        start = 0
        for row in rows:
            end = start + (row.texts if each else 1)
            if row.texts > 1 and each:
                yield self.task.kept(row, output[start:end])
            else:
                found = output[start]
                yield self.task.kept(row, found[: row.length] if found.ndim == 2 else found)
            start = end

    def _batches(self, features: Sequence[Features], batch_size: int | None) -> Iterator[list[int]]:
        """Indices of rows of like length, longest first.

        Large batches, as GPUs need them, end where rows become much shorter: a third of them would be padding
        otherwise (docs/performance.md).
        """
        lengths = [row.length for row in features]
        texts = max((row.texts for row in features), default=1)
        order = sorted(range(len(lengths)), key=lambda index: -lengths[index])
        start = 0
        while start < len(order):
            longest = max(1, lengths[order[start]])
            most = batch_size or max(1, self.engine.tokens_per_batch // (longest * texts))
            end = min(start + most, len(order))
            if batch_size is None:
                enough = start + max(1, _ENOUGH // longest)
                while end > enough and lengths[order[end - 1]] < _LIKE * longest:
                    end -= 1
            yield order[start:end]
            start = end
