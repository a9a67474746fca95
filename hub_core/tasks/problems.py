"""What may be asked of a text: one label of several, all the labels that apply, or a number."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from hub_core.errors import LabelError, SettingsError, unknown
from hub_core.examples import Array, ClassPrediction, Label, LabelsPrediction, Prediction, ScorePrediction
from hub_core.metrics import (
    accuracy,
    classification_f1,
    matthews,
    mean_absolute_error,
    mean_squared_error,
    multilabel_scores,
    pearson,
    r2,
    spearman,
)
from hub_core.tasks.arrays import sigmoid, softmax
from hub_core.tasks.rows import shown, told

if TYPE_CHECKING:
    import torch

    from hub_core.data.rows import RowReading
    from hub_core.data.tables import Row

#: What joins the labels of a row that are one string.
LABEL_SEPARATOR = ","


class Problem(ABC):
    """One kind of question about a text, with the task's labels and options."""

    #: `transformers`' word for it, the value of ``problem_type`` in a configuration.
    problem_type: ClassVar[str]
    metric_names: ClassVar[tuple[str, ...]]
    main_metric: ClassVar[str]

    def __init__(self, labels: Sequence[str], options: Mapping[str, Any]) -> None:
        self.labels = tuple(labels)
        self.temperature = _temperature(options["temperature"])
        self.check(options)

    def check(self, options: Mapping[str, Any]) -> None:
        """Raise SettingsError or LabelError for options and labels that do not go with this question."""
        if options["threshold"] != 0.5:
            raise SettingsError(f"option 'threshold' belongs to problem 'multi-label', not to {options['problem']!r}")

    @classmethod
    @abstractmethod
    def read(cls, value: Any, row: Row, reading: RowReading, pool: dict[str, str]) -> Label:
        """What stands in a row's label column. Raises BadRowError."""

    @abstractmethod
    def target(self, label: Label) -> int | float | Array:
        """A label as a number, or as numbers. Raises LabelError for one that is unknown, or of another task."""

    @abstractmethod
    def decode(self, logits: Array, *, truncated: bool) -> Prediction:
        """The answer from the logits ``(labels,)`` of a row."""

    @abstractmethod
    def metrics(self, gold: Sequence[Label | None], predictions: Sequence[Any]) -> dict[str, float]:
        """Scores over a corpus."""

    @abstractmethod
    def losses(self, logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """The loss of each row, ``(batch,)``."""

    @abstractmethod
    def as_data(self, prediction: Any) -> dict[str, Any]:
        """An answer as plain data."""

    def as_table(self, answer: Mapping[str, Any]) -> list[dict[str, object]]:
        """An answer as the rows of a table for people."""
        return [{name: told(value) for name, value in answer.items() if name != "truncated"}]

    @abstractmethod
    def as_paddlehub(self, prediction: Any) -> tuple[Any, Any]:
        """An answer in PaddleHub's form."""


class SingleLabel(Problem):
    """One label of several; `temperature` divides the logits (Guo et al. 2017, "On calibration of modern networks")."""

    problem_type = "single_label_classification"
    metric_names = ("accuracy", "macro_f1", "micro_f1", "matthews")
    main_metric = "accuracy"

    @classmethod
    def read(cls, value: Any, row: Row, reading: RowReading, pool: dict[str, str]) -> str:
        """A name, or a whole number that stands for one."""
        from hub_core.data.problems import shortened
        from hub_core.data.rows import BadRowError, known_labels

        if isinstance(value, int) and not isinstance(value, bool):
            value = str(value)  # JSON and Python rows may number their classes
        each = f"a label for each unit of the text: token-cls reads that, {reading.task} needs one for the whole text"
        if not isinstance(value, str) or not value:
            several = each if isinstance(value, list | tuple) else None
            raise BadRowError((0, f"the label must be a name, not {shortened(repr(value))}"), other_data=several)
        joined = reading.split_char in value
        (label,) = known_labels((value,), row, reading, pool, other_data=each if joined else None)
        return label

    def target(self, label: Label) -> int:
        """The index of the label."""
        return _index(self.labels, str(label))

    def decode(self, logits: Array, *, truncated: bool) -> ClassPrediction:
        """The most probable label."""
        probabilities = softmax(logits / self.temperature)
        best = int(probabilities.argmax())
        return ClassPrediction(self.labels[best], float(probabilities[best]), probabilities, truncated=truncated)

    def metrics(self, gold: Sequence[Label | None], predictions: Sequence[ClassPrediction]) -> dict[str, float]:
        """``accuracy``, ``macro_f1``, ``micro_f1`` and Matthews' correlation over all labels of the task."""
        asked, answered = [str(label) for label in gold], [answer.label for answer in predictions]
        scores = classification_f1(asked, answered, self.labels)
        return {
            "accuracy": accuracy(asked, answered),
            "macro_f1": scores.macro.f1,
            "micro_f1": scores.micro.f1,
            "matthews": matthews(asked, answered),
        }

    def losses(self, logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Cross-entropy."""
        from torch.nn.functional import cross_entropy

        return cross_entropy(logits, targets, reduction="none")

    def as_data(self, prediction: ClassPrediction) -> dict[str, Any]:
        """``{"label", "probability", "truncated"}``."""
        return {
            "label": prediction.label,
            "probability": prediction.probability,
            "truncated": prediction.truncated,
        }

    def as_paddlehub(self, prediction: ClassPrediction) -> tuple[str, list[float]]:
        """The label, and the probabilities of all labels in target order."""
        return prediction.label, prediction.probabilities.tolist()


class MultiLabel(Problem):
    """All labels that apply: those whose probability reaches the threshold (one for all, or one per label)."""

    problem_type = "multi_label_classification"
    metric_names = ("micro_f1", "macro_f1", "subset_accuracy")
    main_metric = "micro_f1"

    def check(self, options: Mapping[str, Any]) -> None:
        """See `Problem.check`."""
        given = options["threshold"]
        values = list(given) if isinstance(given, list | tuple) else [given] * len(self.labels)
        if not all(type(value) in (int, float) and 0 <= value <= 1 for value in values):
            raise SettingsError(f"option 'threshold' must be a probability, or one per label, not {given!r}")
        if len(values) != len(self.labels):
            raise LabelError(f"option 'threshold' has {len(values)} values for {len(self.labels)} labels")
        self._thresholds = np.array(values, dtype=np.float64)

    @classmethod
    def read(cls, value: Any, row: Row, reading: RowReading, pool: dict[str, str]) -> tuple[str, ...]:
        """A list of names, or one string of names with commas between; an empty one means that none applies."""
        from hub_core.data.problems import shortened
        from hub_core.data.rows import BadRowError, known_labels

        if isinstance(value, str):
            value = [name.strip() for name in value.split(LABEL_SEPARATOR)] if value.strip() else []
        if not isinstance(value, list | tuple) or not all(isinstance(name, str) for name in value):
            raise BadRowError((0, f"labels must be a list of names, not {shortened(repr(value))}"))
        if len(set(value)) != len(value):
            raise BadRowError((0, f"a label stands twice: {shortened(', '.join(value))}"))
        return known_labels(tuple(value), row, reading, pool) if value else ()

    def target(self, label: Label) -> Array:
        """1 for the labels that apply and 0 for the others, float32 ``(labels,)``."""
        target = np.zeros(len(self.labels), dtype=np.float32)
        for name in _names(label):
            target[_index(self.labels, name)] = 1
        return target

    def decode(self, logits: Array, *, truncated: bool) -> LabelsPrediction:
        """The labels whose probability is at least their threshold, in target order."""
        probabilities = sigmoid(logits / self.temperature)
        chosen = np.flatnonzero(probabilities >= self._thresholds)
        return LabelsPrediction(tuple(self.labels[i] for i in chosen), probabilities, truncated=truncated)

    def metrics(self, gold: Sequence[Label | None], predictions: Sequence[LabelsPrediction]) -> dict[str, float]:
        """``micro_f1``, ``macro_f1``, the share of rows with exactly the right labels; ``hamming``, the share of wrong
        decisions, which is better small."""
        asked = [() if label is None else _names(label) for label in gold]
        scores = multilabel_scores(asked, [answer.labels for answer in predictions], self.labels)
        return {
            "micro_f1": scores.classes.micro.f1,
            "macro_f1": scores.classes.macro.f1,
            "subset_accuracy": scores.subset_accuracy,
            "hamming": scores.hamming,
        }

    def losses(self, logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Binary cross-entropy, the mean over labels."""
        from torch.nn.functional import binary_cross_entropy_with_logits

        return binary_cross_entropy_with_logits(logits, targets, reduction="none").mean(dim=1)

    def as_data(self, prediction: LabelsPrediction) -> dict[str, Any]:
        """``{"labels", "probabilities": {label: probability}, "truncated"}``, likeliest first."""
        ranked = np.argsort(-prediction.probabilities, kind="stable")
        chances = {self.labels[i]: float(prediction.probabilities[i]) for i in ranked}
        chosen = [label for label in chances if label in prediction.labels]
        return {"labels": chosen, "probabilities": chances, "truncated": prediction.truncated}

    def as_table(self, answer: Mapping[str, Any]) -> list[dict[str, object]]:
        """One row per label that applies."""
        chances = answer["probabilities"]
        rows: list[dict[str, object]] = [
            {"label": name, "probability": f"{chances[name]:.4f}"} for name in answer["labels"]
        ]
        return rows or [{"label": "(none)", "probability": ""}]

    def as_paddlehub(self, prediction: LabelsPrediction) -> tuple[list[str], list[float]]:
        """The labels that apply, and the probabilities of all labels in target order."""
        return list(prediction.labels), prediction.probabilities.tolist()


class Regression(Problem):
    """A number. The task has one label, which names it."""

    problem_type = "regression"
    metric_names = ("spearman", "pearson", "r2")
    main_metric = "spearman"

    def check(self, options: Mapping[str, Any]) -> None:
        """See `Problem.check`."""
        super().check(options)
        if self.temperature != 1:
            raise SettingsError("option 'temperature' divides logits; a number has none")
        if len(self.labels) != 1:
            raise LabelError(f"a number has one label, its name, not {len(self.labels)}: {', '.join(self.labels)}")

    @classmethod
    def read(cls, value: Any, row: Row, reading: RowReading, pool: dict[str, str]) -> float:  # noqa: ARG003
        """A finite number."""
        from hub_core.data.rows import number_of

        return number_of(value, "the label")

    def target(self, label: Label) -> float:
        """The number."""
        if isinstance(label, tuple):
            raise LabelError(f"a number is needed, not {shown(label)}")
        try:
            return float(label)
        except ValueError as error:
            raise LabelError(f"a number is needed, not {shown(label)}") from error

    def decode(self, logits: Array, *, truncated: bool) -> ScorePrediction:
        """The number that the network gives."""
        return ScorePrediction(float(logits[0]), truncated=truncated)

    def metrics(self, gold: Sequence[Label | None], predictions: Sequence[ScorePrediction]) -> dict[str, float]:
        """Rank and linear correlation, the share of variance explained; ``mae`` and ``mse``, which are better small."""
        asked = [0.0 if label is None else self.target(label) for label in gold]
        answered = [answer.score for answer in predictions]
        return {
            "spearman": spearman(asked, answered),
            "pearson": pearson(asked, answered),
            "r2": r2(asked, answered),
            "mae": mean_absolute_error(asked, answered),
            "mse": mean_squared_error(asked, answered),
        }

    def losses(self, logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """The squared error."""
        return (logits[:, 0] - targets.to(logits.dtype)) ** 2

    def as_data(self, prediction: ScorePrediction) -> dict[str, Any]:
        """``{"score", "truncated"}``."""
        return {"score": prediction.score, "truncated": prediction.truncated}

    def as_paddlehub(self, prediction: ScorePrediction) -> tuple[float, list[float]]:
        """The number, twice."""
        return prediction.score, [prediction.score]


#: The values of the option `problem`.
PROBLEMS: Mapping[str, type[Problem]] = {
    "single-label": SingleLabel,
    "multi-label": MultiLabel,
    "regression": Regression,
}


def _temperature(value: object) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 < value < float("inf"):
        raise SettingsError(f"option 'temperature' must be a number above 0, not {value!r}")
    return float(value)


def _index(labels: Sequence[str], label: str) -> int:
    if label not in labels:
        raise LabelError(unknown("label", label, labels))
    return labels.index(label)


def _names(label: Label) -> tuple[str, ...]:
    if isinstance(label, str):
        return (label,)
    if isinstance(label, tuple) and all(isinstance(name, str) for name in label):
        return tuple(map(str, label))
    raise LabelError(f"labels are needed, not {shown(label)}")
