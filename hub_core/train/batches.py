"""Which rows go into which optimizer step, and how they become tensors.

A step is a group of rows (the global batch); every process takes its share of it and cuts that into as many
micro-batches as are accumulated. The order of rows depends on the seed and the epoch only, so that one process,
accumulation, and several processes see the same rows at the same step, and a run can be continued at any step.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Protocol

import numpy as np
import torch

from hub_core.data.encodings import keep_encodings
from hub_core.errors import DataError, LabelError
from hub_core.examples import Array, Batch, Example, Features
from hub_core.tasks.task import Task
from hub_core.text.tokenizer import Tokenizer
from hub_core.torch_engine import to_device
from hub_core.train.class_weights import weighted
from hub_core.train.compiling import padded_length

#: Rows of how many steps are sorted by length together: more gives less padding, fewer a more random order.
_CHUNK_STEPS = 50
#: How many times fewer padded tokens make two small micro-batches worth more than a large one.
_WORTH = 1.1


def encode_all(examples: Sequence[Example], task: Task, tokenizer: Tokenizer, max_seq_len: int) -> list[list[Features]]:
    """Encode labelled rows: one list of windows per example. Raises DataError naming rows without a known label.

    Many rows are encoded once and kept (`hub_core.data.encodings`).
    """
    return keep_encodings(
        examples, task, tokenizer, max_seq_len, lambda: _encode_all(examples, task, tokenizer, max_seq_len)
    )


def _encode_all(
    examples: Sequence[Example], task: Task, tokenizer: Tokenizer, max_seq_len: int
) -> list[list[Features]]:
    encoded, problems = [], []
    for number, example in enumerate(examples, start=1):
        try:
            task.check_labelled(example)
            encoded.append(task.encode(example, tokenizer, max_seq_len))
        except LabelError as error:
            problems.append(f"{example.key or f'row {number}'}: {error}")
    if problems:
        raise DataError(problems[:20], more=max(0, len(problems) - 20))
    return encoded


@dataclass(frozen=True)
class Plan:
    """How an epoch is cut into steps. `batch_size` is per process and micro-batch, as PaddleHub's is."""

    lengths: Sequence[int] | Array
    batch_size: int
    accumulation: int = 1
    processes: int = 1
    seed: int = 42
    order: str = "length"

    @property
    def step_rows(self) -> int:
        """Rows per optimizer step over all processes."""
        return self.batch_size * self.accumulation * self.processes

    @property
    def steps_per_epoch(self) -> int:
        """Optimizer steps per epoch; the last one may have fewer rows."""
        return -(-len(self.lengths) // self.step_rows)

    def steps(self, epoch: int) -> list[list[int]]:
        """The rows of every step of an epoch (counted from 0), in order."""
        rows, size = self._rows(epoch), self.step_rows
        steps = [rows[i : i + size].tolist() for i in range(0, len(rows), size)]
        if self.order == "length":
            # Steps stand in any order, except that a short last one stays last.
            full = len(rows) // size
            moved = np.random.default_rng([self.seed, epoch, 1]).permutation(full)
            steps = [steps[i] for i in moved] + steps[full:]
        return steps

    def micro_batches(self, step: Sequence[int], process: int) -> list[tuple[list[int], float]]:
        """One process's share of a step: row numbers, and the weight that each has (0 for rows that only fill up).

        Every process gets the same number of micro-batches: gradients are exchanged in step.
        """
        own = list(step[process :: self.processes])
        size = self._size(step)
        count = -(-len(step) // (self.processes * size))
        batches = [(own[i * size : (i + 1) * size], 1.0) for i in range(count)]
        return [batch if batch[0] else ([step[0]], 0.0) for batch in batches]

    def _size(self, step: Sequence[int]) -> int:
        """Rows per micro-batch of a step: half a batch where its short and its long rows apart need less padding."""
        half = -(-self.batch_size // 2)
        if self.order != "length" or half == self.batch_size:
            return self.batch_size
        apart, together = self._padded(step, half), self._padded(step, self.batch_size)
        return half if _WORTH * apart < together else self.batch_size

    def _padded(self, step: Sequence[int], size: int) -> int:
        """Tokens of a step, padding included, in micro-batches of so many rows in each process."""
        lengths, width = [self.lengths[row] for row in step], size * self.processes
        pieces = [lengths[i : i + width] for i in range(0, len(lengths), width)]
        return sum(max(piece) * len(piece) for piece in pieces)

    def _rows(self, epoch: int) -> Any:
        count = len(self.lengths)
        if self.order == "given":
            return np.arange(count)
        rows = np.random.default_rng([self.seed, epoch, 0]).permutation(count)
        if self.order == "length":
            full, chunk = count - count % self.step_rows, self.step_rows * _CHUNK_STEPS
            pieces = [self._paired(rows[i : min(i + chunk, full)]) for i in range(0, full, chunk)]
            rows = np.concatenate([*pieces, self._sorted(rows[full:])])
        return rows

    def _paired(self, rows: Any) -> Any:
        """Rows of a chunk such that every step has short ones and long ones: as many tokens in each.

        A step of rows of one length would weigh a token of a short row more than one of a long row, and scores suffer
        (docs/performance.md).
        """
        rows, half = self._sorted(rows), self.step_rows // 2
        count = len(rows) // self.step_rows
        short = rows[: count * half].reshape(count, half)
        long = rows[count * half :].reshape(count, self.step_rows - half)
        return np.concatenate([short, long[::-1]], axis=1).reshape(-1)

    def _sorted(self, rows: Any) -> Any:
        # A stable sort: rows of one length stay in random order.
        return rows[np.argsort(self._sizes[rows], kind="stable")]

    @cached_property
    def _sizes(self) -> Any:
        """`lengths` as an array, made once: there may be millions of rows."""
        return np.asarray(self.lengths, dtype=np.int64)


class RowSource(Protocol):
    """Rows to train on, which may differ from epoch to epoch."""

    def epoch(self, number: int) -> Sequence[Features]:
        """The rows of an epoch (counted from 0): always as many, none longer than what is said of it. Item i depends on
        i alone."""


@dataclass(frozen=True)
class SameRows:
    """The same rows in every epoch."""

    rows: Sequence[Features]

    def epoch(self, number: int) -> Sequence[Features]:  # noqa: ARG002
        """See `RowSource.epoch`."""
        return self.rows


class StepStream(torch.utils.data.Dataset[list[Batch]]):
    """The steps of one epoch as collated micro-batches, from a given step on; item i is step ``first + i``.

    Rows are padded to the longest of their batch, or to the next of the ascending `lengths`. `class_weights` is the
    weight of every target, None where all count alike.
    """

    def __init__(
        self,
        features: Sequence[Features],
        task: Task,
        plan: Plan,
        *,
        epoch: int,
        first: int,
        process: int,
        padding: Mapping[str, int],
        lengths: Sequence[int] = (),
        collate: Callable[[Sequence[Features]], Batch] | None = None,
        class_weights: Array | None = None,
    ) -> None:
        self._features = features
        # Attributes and no closure: worker processes that are not forked get the stream pickled.
        self._task, self._padding, self._own_collate = task, padding, collate
        self._lengths, self._class_weights = lengths, class_weights
        self._plan = plan
        self._steps = plan.steps(epoch)[first:]
        self._process = process

    def __len__(self) -> int:
        return len(self._steps)

    def __getitem__(self, index: int) -> list[Batch]:
        batches = []
        for rows, weight in self._plan.micro_batches(self._steps[index], self._process):
            batch = self._collate([self._features[row] for row in rows])
            batches.append(batch if weight == 1.0 else replace(batch, weights=batch.weights * np.float32(weight)))
        return batches

    def _collate(self, rows: Sequence[Features]) -> Batch:
        if self._own_collate:
            batch = self._own_collate(rows)
        else:
            longest = max(row.length for row in rows)
            batch = self._task.collate(rows, self._padding, padded_length(longest, self._lengths))
        return batch if self._class_weights is None else weighted(batch, self._class_weights)

    def load(self, *, workers: int) -> Iterator[list[Batch]]:
        """Iterate in order, collating in `workers` other processes (0: in this one)."""
        # The loader would draw a seed from torch's global generator, and so shift dropout: it gets one of its own.
        loader = torch.utils.data.DataLoader(
            self, batch_size=None, shuffle=False, num_workers=workers, generator=torch.Generator()
        )
        return iter(loader)


def to_torch(batch: Batch, device: torch.device) -> Batch:
    """A batch with tensors on a device instead of numpy arrays."""
    views = {
        view: {name: to_device(array, device) for name, array in inputs.items()} for view, inputs in batch.views.items()
    }
    targets = None if batch.targets is None else to_device(batch.targets, device)
    columns = {
        name: to_device(column, device) if isinstance(column, np.ndarray) else column
        for name, column in batch.columns.items()
    }
    return replace(batch, views=views, targets=targets, weights=to_device(batch.weights, device), columns=columns)
