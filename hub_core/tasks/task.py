"""What a task is: everything that depends on labels, and nothing that depends on an engine.

The half that encodes, collates, decodes and measures works on numpy. The loss loads torch when it is first used,
so that an exported module answers without torch.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from numbers import Integral
from typing import TYPE_CHECKING, Any, ClassVar, Self

from hub_core.errors import LabelError, SettingsError, unknown
from hub_core.examples import Array, Batch, Example, Features, Prediction, pad
from hub_core.spec import HeadSpec

if TYPE_CHECKING:
    import torch

    from hub_core.text.tokenizer import Tokenizer


def positive(name: str, value: object) -> int:
    """A whole number of at least 1. Raises SettingsError, which names the argument, for anything else."""
    if not isinstance(value, Integral) or isinstance(value, bool):
        raise SettingsError(f"{name} must be a whole number, not {value!r}")
    if value < 1:
        raise SettingsError(f"{name} must be at least 1, not {value}")
    return int(value)


class Task(ABC):
    """A task with its labels. `label` is a string, `target` its id: the index in `labels`.

    `options` are kept in the manifest's head: `max_seq_len` (the row length it was trained with, and predicts with
    unless told otherwise), and the task's own, see `option_defaults`.
    """

    name: ClassVar[str]
    #: The class of `transformers` whose head this task uses: ``AutoModelFor<auto_class>``.
    auto_class: ClassVar[str]
    option_defaults: ClassVar[Mapping[str, Any]] = {"max_seq_len": None}
    #: The keys of `metrics`, and the one by which models are compared; larger is better.
    metric_names: ClassVar[tuple[str, ...]]
    main_metric: ClassVar[str]

    def __init__(self, labels: Sequence[str], options: Mapping[str, Any] | None = None) -> None:
        self.labels = tuple(labels)
        given = dict(options or {})
        for key in given.keys() - self.option_defaults.keys():
            raise SettingsError(unknown("option", key, self.option_defaults, where=f"of task {self.name}"))
        self.options: Mapping[str, Any] = {**self.option_defaults, **given}
        self.check_options()
        self._targets = {label: target for target, label in enumerate(self.labels)}

    def check_options(self) -> None:
        """Raise SettingsError for an unusable value of an option, LabelError for one that does not fit the labels."""
        if self.options["max_seq_len"] is not None:
            positive("max_seq_len", self.options["max_seq_len"])

    def head_spec(self) -> HeadSpec:
        """This task as a row of the manifest; options at their default are left out."""
        changed = {k: v for k, v in self.options.items() if v != self.option_defaults[k]}
        return HeadSpec(self.name, self.labels, options=changed)

    def with_options(self, **options: Any) -> Self:
        """The same task and labels with some options changed."""
        return type(self)(self.labels, {**self.options, **options})

    def target(self, label: str) -> int:
        """The id of a label. Raises LabelError with near matches."""
        if label not in self._targets:
            raise LabelError(unknown("label", label, self.labels))
        return self._targets[label]

    @abstractmethod
    def example(self, item: Any, *, split_char: str | None = None, key: str = "") -> Example:
        """What a caller hands to `predict` (a string, a pair, a list of units) as an Example."""

    @abstractmethod
    def encode(self, example: Example, tokenizer: Tokenizer, max_seq_len: int) -> list[Features]:
        """Turn a row into features of at most `max_seq_len` tokens: one, or several windows of one long text."""

    @abstractmethod
    def decode(
        self, example: Example, windows: Sequence[Features], logits: Sequence[Array], constants: Mapping[str, Array]
    ) -> Prediction:
        """Read the answer for one row from the float32 logits of all its windows.

        `logits` holds one array per window, padding removed: ``(labels,)`` or ``(length, labels)``. `constants`
        are arrays of the network that decoding needs (a CRF's ``transitions``), empty for most.
        """

    @abstractmethod
    def metrics(self, examples: Sequence[Example], predictions: Sequence[Prediction]) -> dict[str, float]:
        """Scores over a whole corpus of labelled rows; its keys are `metric_names`."""

    @abstractmethod
    def loss(self, logits: torch.Tensor, batch: Batch) -> torch.Tensor:
        """The sum (not the mean) of the weighted losses of a batch, a scalar; `loss_weight` is what to divide by."""

    @abstractmethod
    def loss_weight(self, batch: Batch) -> float:
        """How much `loss` adds up: the weighted number of rows (seq-cls) or of labelled tokens (token-cls)."""

    @abstractmethod
    def as_data(self, prediction: Prediction) -> dict[str, Any]:
        """A prediction as plain data for JSON, the plain Python form, and serving."""

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
