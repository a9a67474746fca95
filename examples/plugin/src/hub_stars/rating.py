"""A task: how many stars somebody gives. Unlike classes, stars have an order, and an answer may lie between."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from hub_core.examples import Array, ClassPrediction, Example, Features, Prediction
from hub_core.tasks.seq_cls import SeqCls


class Rating(SeqCls):
    """Labels in order, from the lowest on. The answer is the label nearest to the mean of what is probable.

    So a text for which one star and five are equally probable is given three: whoever is unsure is least wrong there.
    """

    name: ClassVar[str] = "rating"

    @property
    def metric_names(self) -> tuple[str, ...]:
        """Those of classes, and how often the answer is at most one star off."""
        return (*super().metric_names, "within_one")

    def decode(
        self, example: Example, windows: Sequence[Features], logits: Sequence[Array], constants: Mapping[str, Array]
    ) -> Prediction:
        """The label nearest to the mean, with its own probability."""
        answer: Any = super().decode(example, windows, logits, constants)
        nearest = round(float(answer.probabilities @ np.arange(len(self.labels))))
        probability = float(answer.probabilities[nearest])
        return ClassPrediction(self.labels[nearest], probability, answer.probabilities, truncated=answer.truncated)

    def metrics(self, examples: Sequence[Example], predictions: Sequence[Prediction]) -> dict[str, float]:
        """The scores of classes, and ``within_one``."""
        answers: Sequence[Any] = predictions
        pairs = zip(examples, answers, strict=True)
        near = [abs(self.target(str(row.label)) - self.target(answer.label)) <= 1 for row, answer in pairs]
        return {**super().metrics(examples, predictions), "within_one": sum(near) / len(near)}
