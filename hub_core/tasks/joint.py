"""Several heads on one encoder: a text is read once, and each of them answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

from hub_core.errors import DataError, SettingsError
from hub_core.examples import Array, Batch, Example, Features, Prediction
from hub_core.spec import HeadSpec
from hub_core.tasks.rows import read_columns, shown
from hub_core.tasks.seq_cls import SeqCls
from hub_core.tasks.task import Task
from hub_core.tasks.token_cls import TokenCls
from hub_core.text.tokenizer import Tokenizer

if TYPE_CHECKING:
    import torch

    from hub_core.data.rows import RowReading
    from hub_core.data.tables import Row


@dataclass(frozen=True)
class JointPrediction(Prediction):
    """The answer of each head, by its name."""

    answers: Mapping[str, Prediction]


class Joint(Task):
    """The tasks of several heads, by name. They are trained one by one: this one answers only.

    All of them read the row as the first token-cls among them does (a text as its characters), the others its first
    window. `max_seq_len` is the largest of theirs.
    """

    name: ClassVar[str] = "joint"
    names_labels: ClassVar[bool] = False
    metric_names = ()
    main_metric = ""
    one_row = False

    def __init__(self, parts: Mapping[str, Task], options: Mapping[str, Any] | None = None) -> None:
        self.parts = dict(parts)
        for name, part in self.parts.items():
            if not isinstance(part, SeqCls | TokenCls) or part.auto_class is None:
                raise SettingsError(f"head {name!r} of task {part.name} reads its rows in its own way; load it alone")
        lengths = [part.options["max_seq_len"] for part in self.parts.values()]
        longest = max((length for length in lengths if length), default=None)
        super().__init__((), {"max_seq_len": longest, **(options or {})})
        self._reader = next(
            (p for p in self.parts.values() if isinstance(p, TokenCls)), next(iter(self.parts.values()))
        )

    @classmethod
    def read(cls, row: Row, reading: RowReading, pool: dict[str, str]) -> Example:  # noqa: ARG003
        """Rows of tables are read for one task; a joint module answers texts."""
        raise SettingsError("a module of several heads answers texts; to measure one of its heads pick it with task=")

    @property
    def reader(self) -> Task:
        """The task whose rows all heads read."""
        return self._reader

    def head_specs(self) -> tuple[HeadSpec, ...]:
        """One row of the manifest per head."""
        return tuple(replace(part.head_specs()[0], name=name) for name, part in self.parts.items())

    def with_options(self, **options: Any) -> Joint:
        """The same heads with some options changed."""
        return Joint(self.parts, {**self.options, **options})

    def with_tokenizer(self, tokenizer: Tokenizer) -> Joint:
        """The same heads, for the answers of a network with this tokenizer."""
        return Joint({name: part.with_tokenizer(tokenizer) for name, part in self.parts.items()}, self.options)

    def example(self, item: Any, *, split_char: str | None = None, key: str = "") -> Example:
        """What the heads take alike: a string, or PaddleHub's ``[text]``."""
        if isinstance(item, Mapping):
            item = read_columns(item, ("text",), key).get("text")
        elif split_char is not None and isinstance(item, list) and len(item) == 1:
            (item,) = item
        if not isinstance(item, str) or not item.strip():
            raise DataError([f"{key}: expected a text, not {shown(item)}"])
        return self._reader.example(item, key=key)

    def encode(self, example: Example, tokenizer: Tokenizer, max_seq_len: int) -> list[Features]:
        """The features of the head that reads for all."""
        return self._reader.encode(replace(example, label=None), tokenizer, max_seq_len)

    def decode(
        self,
        example: Example,
        windows: Sequence[Features],
        logits: Sequence[Any],
        constants: Mapping[str, Array],
    ) -> JointPrediction:
        """Each head's answer. `logits` has one array per head for every window."""
        answers = {}
        for at, (name, part) in enumerate(self.parts.items()):
            mine = [whole[at] for whole in logits]
            if part is self._reader or isinstance(part, TokenCls):
                answers[name] = part.decode(example, windows, mine, constants)
            else:
                cut = len(windows) > 1
                answers[name] = part.decode(example, [replace(windows[0], meta=cut)], mine[:1], constants)
        return JointPrediction(answers, truncated=any(answer.truncated for answer in answers.values()))

    def metrics(self, examples: Sequence[Example], predictions: Sequence[Prediction]) -> dict[str, float]:  # noqa: ARG002
        """Rows carry the labels of one task: heads are measured one by one."""
        raise SettingsError("several heads cannot be measured at once; pick one with task= (or head=)")

    def loss(self, logits: torch.Tensor, batch: Batch) -> torch.Tensor:  # noqa: ARG002
        """Heads are trained one by one."""
        raise SettingsError("several heads cannot be trained at once; pick one with task= (or head=)")

    def loss_weight(self, batch: Batch) -> float:
        """The sum of the rows' weights."""
        return float(batch.weights.sum())

    def collate_targets(self, rows: Sequence[Features], length: int | None = None) -> Array:
        """None has any; see `encode`."""
        return self._reader.collate_targets(rows, length)

    def as_data(self, prediction: Prediction) -> dict[str, Any]:
        """``{head: its answer as data}``."""
        answers = _joint_prediction(prediction).answers
        return {name: part.as_data(answers[name]) for name, part in self.parts.items()}

    def as_table(self, answer: Mapping[str, Any]) -> list[dict[str, object]]:
        """The rows of every head, one below the other; columns that a head has not are empty."""
        rows = [{"head": name, **row} for name, part in self.parts.items() for row in part.as_table(answer[name])]
        columns = dict.fromkeys(column for row in rows for column in row)
        return [{column: row.get(column, "") for column in columns} for row in rows]

    def as_paddlehub(self, prediction: Prediction) -> tuple[Any, Any]:
        """Two dictionaries by head: labels, and probabilities."""
        answers = _joint_prediction(prediction).answers
        pairs = {name: part.as_paddlehub(answers[name]) for name, part in self.parts.items()}
        return {name: label for name, (label, _) in pairs.items()}, {
            name: chance for name, (_, chance) in pairs.items()
        }


def _joint_prediction(prediction: Prediction) -> JointPrediction:
    if not isinstance(prediction, JointPrediction):
        raise TypeError(f"expected a JointPrediction, not {type(prediction).__name__}")
    return prediction
