"""How modules are asked and answer, in two forms: plain data, and PaddleHub's lists."""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np

from hub_core.errors import DataError, SettingsError
from hub_core.examples import Example, Prediction
from hub_core.infer.predictor import Predictor, Progress
from hub_core.spec import ModuleSpec
from hub_core.tasks.rows import shown
from hub_core.tasks.task import Task
from hub_core.text.tokenizer import Tokenizer


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


class Answering(ABC):
    """What every module that answers has, whatever computes its logits."""

    spec: ModuleSpec
    tokenizer: Tokenizer
    task: Task | None

    @abstractmethod
    def predictor(self, *, dtype: str) -> Predictor:
        """The predict path over this module, in a precision."""

    @abstractmethod
    def place(self, *, use_gpu: bool) -> None:
        """Move to the GPU, or away from it. Raises DeviceError where that cannot be."""

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels in target order; empty without a task."""
        return self.task.labels if self.task else ()

    @property
    def label_map(self) -> dict[int, str]:
        """The labels as PaddleHub's ``{0: label, ...}``."""
        return dict(enumerate(self.labels))

    def known_task(self) -> Task:
        """The task. Raises SettingsError for a module that was loaded without one."""
        if self.task is None:
            raise SettingsError(
                f"{self.spec.title} was loaded without a task; pass task= and label_map= to hub.Module "
                f"(this module supports: {', '.join(self.spec.supports) or 'none'}); get_embedding gives its vectors"
            )
        return self.task

    def get_tokenizer(self) -> Tokenizer:
        """The module's tokenizer: a light object, called as `transformers`' are; ``.to_transformers()`` makes one."""
        return self.tokenizer

    @abstractmethod
    def embedder(self, *, pooling: str | None, normalize: bool | None) -> Answering:
        """The same module with the task embedding; None: as it was trained, else the mean of its tokens, as it is."""

    def get_embedding(
        self,
        data: Iterable[Any],
        use_gpu: bool | None = None,
        *,
        pooling: str | None = None,
        normalize: bool | None = None,
        max_seq_len: int | None = None,
        batch_size: int | None = None,
        dtype: str = "auto",
    ) -> Any:
        """Vectors of texts: float32 ``(texts, width)``, in order.

        `pooling` is ``mean``, ``cls``, ``max``, ``last`` or ``pooler``; `normalize` gives them length 1. None: as a
        module for embedding was trained, else the mean, as it is. Where the rows are lists (PaddleHub's form), the
        answer is PaddleHub's too: per row ``[vector of the text, [vector of each token]]``.
        """
        if use_gpu is not None:
            self.place(use_gpu=use_gpu)
        asked: dict[str, Any] = {"max_seq_len": max_seq_len, "batch_size": batch_size, "dtype": dtype}
        rows = list(data) if not isinstance(data, str) else data
        texts = self.embedder(pooling=pooling, normalize=normalize).predict(rows, **asked)
        if rows and isinstance(rows[0], list):
            tokens = self.embedder(pooling="tokens", normalize=False).predict(rows, **asked)
            return [list(pair) for pair in zip(texts, tokens, strict=True)]
        return np.array([answer["embedding"] for answer in texts], dtype=np.float32)

    def predict(
        self,
        data: Iterable[Any],
        max_seq_len: int | None = None,
        split_char: str = "\002",
        batch_size: int | None = None,
        use_gpu: bool | None = None,
        return_prob: bool = False,
        *,
        dtype: str = "auto",
        progress: Progress | None = None,
    ) -> Any:
        """Answer texts, in order; the caller's data is not changed.

        Two forms, told apart by the rows. **Plain**: strings (or tuples: a pair of texts for seq-cls, units for
        token-cls) in, dictionaries out: ``{"label", "probability", "truncated"}`` or ``{"labels", "entities"}``,
        an entity having ``text, label, start, end, score``. **PaddleHub's**: rows are lists of strings (token-cls: one
        string joined by `split_char`), answers are bare labels: one per row, or for token-cls a list with one per
        unit and an ``O`` before and after; with `return_prob` a pair ``(answers, probabilities)``.

        `max_seq_len` counts tokens with special ones (default: what the head was trained with, else 128). Longer
        rows are read in overlapping windows (token-cls), or cut, with one warning per call (seq-cls).
        `batch_size` rows are computed together, None: as many as are quickest. `use_gpu` moves the module; None leaves
        it where it is. `dtype` is the network's precision: ``float32``, ``bfloat16``, ``float16`` (GPUs), or ``auto``:
        bfloat16 where the device has it, in which a label may depend on what it is computed with (about one in two
        thousand); in float32 it never does. An exported graph has the precision it was made in.

        Raises DeviceError for a GPU that is not there or a graph on one, SettingsError without a task or for unusable
        numbers, DataError naming ``data[i]`` for unusable rows.
        """
        if use_gpu is not None:
            self.place(use_gpu=use_gpu)
        answers = Answers.of(data, split_char=split_char, return_prob=return_prob)
        predictor = self.predictor(dtype=dtype)
        return answers.collect(predictor, max_seq_len=max_seq_len, batch_size=batch_size, progress=progress)


def warn_truncated(predictions: Iterable[Prediction], max_seq_len: int) -> None:
    """One warning per call that counts the texts that were cut."""
    count = sum(p.truncated for p in predictions)
    if count:
        warnings.warn(f"{count} text(s) were {cut_to(max_seq_len)}", stacklevel=4)


def cut_to(max_seq_len: int) -> str:
    """What was done to long texts, and what to do about it."""
    return f"cut to max_seq_len={max_seq_len} tokens; a larger one (--max-seq-len) reads more of them"


def _take_one(stream: Iterator[Any]) -> Iterator[Any]:
    for item in stream:
        yield item
        return
