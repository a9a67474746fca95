"""What a task is: everything that depends on labels, and nothing that depends on an engine.

The half that reads, encodes, collates, decodes and measures works on numpy. Its network and its loss load torch when
they are first used, so that an exported module answers without torch.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from numbers import Integral
from typing import TYPE_CHECKING, Any, ClassVar, Self

from hub_core.errors import LabelError, SettingsError, unknown
from hub_core.examples import Array, Batch, Example, Features, Prediction, pad
from hub_core.spec import HeadSpec
from hub_core.tasks.rows import told

if TYPE_CHECKING:
    import torch
    from torch import nn

    from hub_core.data.rows import RowReading
    from hub_core.data.tables import Row
    from hub_core.text.tokenizer import Tokenizer


def positive(name: str, value: object) -> int:
    """A whole number of at least 1. Raises SettingsError, which names the argument, for anything else."""
    if not isinstance(value, Integral) or isinstance(value, bool):
        raise SettingsError(f"{name} must be a whole number, not {value!r}")
    if value < 1:
        raise SettingsError(f"{name} must be at least 1, not {value}")
    return int(value)


def one_of(name: str, value: object, choices: Sequence[str]) -> str:
    """A value among choices. Raises SettingsError, which names the option, for any other."""
    if value not in choices:
        raise SettingsError(unknown("value", value, choices, where=f"of {name}"))
    return str(value)


class Task(ABC):
    """A task with its labels. `label` is a string, `target` its id: the index in `labels`.

    `options` are kept in the manifest's head: `max_seq_len` (the row length it was trained with, and predicts with
    unless told otherwise), and the task's own, see `option_defaults`. Tasks without labels have none.
    """

    name: ClassVar[str]
    #: The class of `transformers` whose head this task uses, ``AutoModelFor<auto_class>``; None: see `network`.
    auto_class: str | None = None
    #: Whether the head belongs to what pre-training leaves, so that a base module's file may hold it.
    pretrained: ClassVar[bool] = False
    #: Whether rows carry labels by name, which the head has one output for each.
    names_labels: ClassVar[bool] = True
    #: Whether the head has weights; one without needs no training.
    has_weights: ClassVar[bool] = True
    #: How many texts of a row a network reads side by side to answer it.
    texts: int = 1
    #: Whether an answer is always one row of a table, and the names under which `asked` gives what was asked.
    one_row: bool = True
    asked_names: ClassVar[tuple[str, ...]] = ("text", "text_pair")
    option_defaults: ClassVar[Mapping[str, Any]] = {"max_seq_len": None}
    #: Options that the network depends on: a graph has them as they were when it was made.
    network_options: ClassVar[tuple[str, ...]] = ()

    def __init__(self, labels: Sequence[str], options: Mapping[str, Any] | None = None) -> None:
        self.labels = tuple(labels)
        given = dict(options or {})
        for key in given.keys() - self.option_defaults.keys():
            raise SettingsError(unknown("option", key, self.option_defaults, where=f"of task {self.name}"))
        self.options: Mapping[str, Any] = {**self.option_defaults, **given}
        self._targets = {label: target for target, label in enumerate(self.labels)}
        self.check_options()

    @property
    @abstractmethod
    def metric_names(self) -> tuple[str, ...]:
        """The keys of `metrics` by which models can be compared; larger is better."""

    @property
    @abstractmethod
    def main_metric(self) -> str:
        """The one by which they are, unless told otherwise."""

    def check_options(self) -> None:
        """Raise SettingsError for an unusable value of an option, LabelError for one that does not fit the labels."""
        if self.options["max_seq_len"] is not None:
            positive("max_seq_len", self.options["max_seq_len"])
        if not self.labels and self.has_labels(self.options):
            raise LabelError(f"task {self.name} needs labels, and was given none")
        if self.labels and not self.names_labels:
            raise LabelError(f"task {self.name} has no labels, and was given {', '.join(self.labels)}")

    @classmethod
    def labels_for(
        cls,
        given: Sequence[str] | None,
        num_classes: int,  # noqa: ARG003  (some tasks can number their labels)
        options: Mapping[str, Any],  # noqa: ARG003
    ) -> tuple[str, ...]:
        """The labels of a new head: the caller's. Raises LabelError where the task needs them and has none."""
        if given is None and not cls.names_labels:
            return ()
        if given is None:
            raise LabelError(f"task {cls.name!r} needs a label_map, such as {{0: 'B-PER', 1: 'I-PER', 2: 'O'}}")
        return tuple(given)

    @classmethod
    def has_labels(cls, options: Mapping[str, Any]) -> bool:  # noqa: ARG003  (of some it depends on them)
        """Whether rows carry labels by name, which a data set can be asked for."""
        return cls.names_labels

    @classmethod
    @abstractmethod
    def read(cls, row: Row, reading: RowReading, pool: dict[str, str]) -> Example:
        """A row of a table as an Example; `hub_core.data.rows` has what all tasks read.

        `pool` keeps one object for equal strings of all rows. Raises BadRowError.
        """

    def head_specs(self) -> tuple[HeadSpec, ...]:
        """This task as a row of the manifest; options at their default are left out."""
        changed = {k: v for k, v in self.options.items() if v != self.option_defaults[k]}
        return (HeadSpec(self.name, self.labels, options=changed),)

    def with_options(self, **options: Any) -> Self:
        """The same task and labels with some options changed."""
        return type(self)(self.labels, {**self.options, **options})

    def with_tokenizer(self, tokenizer: Tokenizer) -> Self:  # noqa: ARG002  (a task of words overrides this)
        """The same task, for the answers of a network with this tokenizer."""
        return self

    def target(self, label: str) -> int:
        """The id of a label. Raises LabelError with near matches."""
        if label not in self._targets:
            raise LabelError(unknown("label", label, self.labels))
        return self._targets[label]

    @property
    def reader(self) -> Task:
        """The task that reads rows for this one: itself, as a rule."""
        return self

    @abstractmethod
    def example(self, item: Any, *, split_char: str | None = None, key: str = "") -> Example:
        """What a caller hands to `predict` (a string, a pair, a list of units) as an Example."""

    def asked(self, example: Example) -> dict[str, str]:
        """What was asked, as plain data that stands beside the answer."""
        return {"text": example.text, **({} if example.pair is None else {"text_pair": example.pair})}

    def check_labelled(self, example: Example) -> None:
        """Raise LabelError where a row cannot be learnt from."""
        if example.label is None:
            raise LabelError("it has no label")

    @abstractmethod
    def encode(self, example: Example, tokenizer: Tokenizer, max_seq_len: int) -> list[Features]:
        """Turn a row into features of at most `max_seq_len` tokens: one, or several windows of one long text."""

    def kept(self, features: Features, logits: Array) -> Array:  # noqa: ARG002
        """What `decode` needs of the logits of one row (padding removed): all of them, as a rule."""
        return logits

    @abstractmethod
    def decode(
        self, example: Example, windows: Sequence[Features], logits: Sequence[Array], constants: Mapping[str, Array]
    ) -> Prediction:
        """Read the answer for one row from the float32 logits of all its windows.

        `logits` holds one array per window, as `kept` left it: ``(labels,)`` or ``(length, labels)``. `constants`
        are arrays of the network that decoding needs (a CRF's ``transitions``), empty for most.
        """

    @abstractmethod
    def metrics(self, examples: Sequence[Example], predictions: Sequence[Prediction]) -> dict[str, float]:
        """Scores over a whole corpus of labelled rows; its keys are those of `metric_names` that the rows allow."""

    def compared(self, metrics: Mapping[str, float]) -> str:
        """The metric by which models are compared: `main_metric`, or the first that these rows allow."""
        return next(name for name in (self.main_metric, *self.metric_names) if name in metrics)

    def network_config(self) -> dict[str, Any]:
        """What `transformers`' configuration of the network must say for this head."""
        if not self.labels:
            return {}
        named = dict(enumerate(self.labels))
        return {"id2label": named, "label2id": {label: target for target, label in named.items()}}

    def files(self, width: int) -> dict[str, str]:  # noqa: ARG002
        """Further files of a module folder, by relative path, that tell other libraries of this head.

        `width` is that of the encoder's vectors.
        """
        return {}

    def network(self, encoder: nn.Module, prefix: str) -> nn.Module:
        """The network of a task whose head `transformers` does not have, around a bare encoder.

        The encoder becomes its attribute `prefix`, so that files name its tensors as they always do.
        """
        raise NotImplementedError(f"task {self.name} has neither an auto_class nor a network")

    @abstractmethod
    def loss(self, logits: torch.Tensor, batch: Batch) -> torch.Tensor:
        """The sum (not the mean) of the weighted losses of a batch, a scalar; `loss_weight` is what to divide by."""

    @abstractmethod
    def loss_weight(self, batch: Batch) -> float:
        """How much `loss` adds up: the weighted number of rows (seq-cls) or of labelled tokens (token-cls)."""

    @abstractmethod
    def as_data(self, prediction: Prediction) -> dict[str, Any]:
        """A prediction as plain data for JSON, the plain Python form, and serving."""

    def as_table(self, answer: Mapping[str, Any]) -> list[dict[str, object]]:
        """An answer in the form of `as_data` as the rows of a table for people: values by column."""
        return [{name: told(value) for name, value in answer.items() if name != "truncated"}]

    @abstractmethod
    def as_paddlehub(self, prediction: Prediction) -> tuple[Any, Any]:
        """A prediction as PaddleHub's `predict` returns it: the label (or labels), and the probability (or -ies)."""

    def collate(self, rows: Sequence[Features], padding: Mapping[str, int], length: int | None = None) -> Batch:
        """Pad features into one Batch; `padding` gives the value per input name (others get 0).

        Rows become `length` tokens long, None: as long as the longest.
        """
        import numpy as np

        names = rows[0].inputs.keys()
        inputs = {name: pad([row.inputs[name] for row in rows], padding.get(name, 0), length) for name in names}
        targets = self.collate_targets(rows, length) if rows[0].target is not None else None
        weights = np.array([row.weight for row in rows], dtype=np.float32)
        return Batch({"main": inputs}, targets, weights, tuple(row.key for row in rows))

    @abstractmethod
    def collate_targets(self, rows: Sequence[Features], length: int | None = None) -> Array:
        """The targets of a batch as one array; those that belong to tokens are padded as `collate` pads."""
