"""Classification of one text or a pair of texts: one label, several, or a number."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from hub_core.errors import DataError, SettingsError
from hub_core.examples import Array, Batch, Example, Features, Prediction
from hub_core.tasks.arrays import input_arrays
from hub_core.tasks.problems import PROBLEMS, Problem
from hub_core.tasks.rows import read_columns, shown
from hub_core.tasks.task import Task, one_of
from hub_core.text.encoding import truncate
from hub_core.text.tokenizer import Tokenizer

if TYPE_CHECKING:
    import torch

    from hub_core.data.rows import RowReading
    from hub_core.data.tables import Row


class SeqCls(Task):
    """A question about a text or a pair. Texts longer than `max_seq_len` tokens are cut, and marked `truncated`.

    Options: `problem` (``single-label``, ``multi-label`` or ``regression``: a number, with one label that names it),
    `threshold` (multi-label: the probability from which a label applies; one for all, or a list with one per label),
    `temperature` (what logits are divided by, so that probabilities are as sure as they should be; `hub calibrate`
    finds threshold and temperature).
    """

    name: ClassVar[str] = "seq-cls"
    auto_class: str | None = "SequenceClassification"
    option_defaults: ClassVar[Mapping[str, Any]] = {
        **Task.option_defaults,
        "problem": "single-label",
        "threshold": 0.5,
        "temperature": 1.0,
    }

    def check_options(self) -> None:
        """See `Task.check_options`."""
        super().check_options()
        kind = PROBLEMS[one_of("problem", self.options["problem"], tuple(PROBLEMS))]
        self.problem: Problem = kind(self.labels, self.options)
        self.one_row = self.options["problem"] != "multi-label"

    @property
    def metric_names(self) -> tuple[str, ...]:
        """Those of the problem."""
        return self.problem.metric_names

    @property
    def main_metric(self) -> str:
        """That of the problem."""
        return self.problem.main_metric

    @classmethod
    def labels_for(cls, given: Sequence[str] | None, num_classes: int, options: Mapping[str, Any]) -> tuple[str, ...]:
        """The caller's labels; else ``score`` for a number, and ``0``, ``1``, ... for classes."""
        if given is not None:
            return tuple(given)
        number = options.get("problem") == "regression"
        return ("score",) if number else tuple(str(target) for target in range(num_classes))

    @classmethod
    def has_labels(cls, options: Mapping[str, Any]) -> bool:
        """Not where a number is asked."""
        return options.get("problem") != "regression"

    @classmethod
    def read(cls, row: Row, reading: RowReading, pool: dict[str, str]) -> Example:
        """A text or a pair with its label (labels, number)."""
        # Here, since answering reads no tables and starts sooner without.
        from hub_core.data.rows import LABEL, PAIR, TEXT, column_of, label_value, other_columns, row_key, text_of

        text = text_of(row, column_of(row, TEXT))
        pair = cls.read_pair(row)
        problem = reading.options.get("problem", cls.option_defaults["problem"])
        value = label_value(row, reading, empty=problem == "multi-label")
        kind = PROBLEMS[one_of("problem", problem, tuple(PROBLEMS))]
        label = None if value is None else kind.read(value, row, reading, pool)
        return Example(text, pair, None, label, row_key(row), other_columns(row, {*TEXT, *PAIR, *LABEL}))

    @classmethod
    def read_pair(cls, row: Row) -> str | None:
        """The second text of a row, None where it has none. Raises BadRowError for an empty one."""
        from hub_core.data.rows import PAIR, column_of, text_of

        column = column_of(row, PAIR, required=False)
        return None if column is None or row.columns[column] is None else text_of(row, column)

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
        target = None if example.label is None else self.problem.target(example.label)
        return [Features(input_arrays(tokenizer, ids, types), target, example.key, meta=truncated)]

    def decode(
        self,
        example: Example,  # noqa: ARG002
        windows: Sequence[Features],
        logits: Sequence[Array],
        constants: Mapping[str, Array],  # noqa: ARG002
    ) -> Prediction:
        """The label, labels or number."""
        return self.problem.decode(logits[0], truncated=bool(windows[0].meta))

    def metrics(self, examples: Sequence[Example], predictions: Sequence[Prediction]) -> dict[str, float]:
        """The scores of the problem, see `hub_core.tasks.problems`."""
        return self.problem.metrics([example.label for example in examples], predictions)

    def network_config(self) -> dict[str, Any]:
        """See `Task.network_config`."""
        return {**super().network_config(), "problem_type": self.problem.problem_type}

    def loss(self, logits: torch.Tensor, batch: Batch) -> torch.Tensor:
        """The loss of each row, times the row's weight, summed."""
        total: torch.Tensor = (self.problem.losses(logits.float(), batch.targets) * batch.weights).sum()
        return total

    def loss_weight(self, batch: Batch) -> float:
        """The sum of the rows' weights."""
        return float(batch.weights.sum())

    def collate_targets(self, rows: Sequence[Features], length: int | None = None) -> Array:  # noqa: ARG002
        """Targets ``(batch,)``; of several labels ``(batch, labels)``."""
        return np.array([row.target for row in rows])

    def as_data(self, prediction: Prediction) -> dict[str, Any]:
        """``{"label", "probability", "truncated"}``, or what the problem has instead of a label."""
        return self.problem.as_data(prediction)

    def as_table(self, answer: Mapping[str, Any]) -> list[dict[str, object]]:
        """See `Task.as_table`."""
        return self.problem.as_table(answer)

    def as_paddlehub(self, prediction: Prediction) -> tuple[Any, Any]:
        """The label, and the probabilities of all labels in target order."""
        return self.problem.as_paddlehub(prediction)
