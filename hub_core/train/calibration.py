"""`hub calibrate`: probabilities as sure as they should be, and the best thresholds, found on held-out rows.

Nothing is trained: what is found becomes options of the task, which predicting reads.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from hub_core.errors import SettingsError
from hub_core.examples import Array, Example
from hub_core.tasks.arrays import softmax
from hub_core.tasks.seq_cls import SeqCls
from hub_core.torch_module import TorchModule

#: Between which temperatures the best one is looked for, and how closely.
_COLDEST, _HOTTEST, _CLOSE = 0.05, 20.0, 1e-4


@dataclass(frozen=True)
class Calibration:
    """What was found: `options` of the task, and what they change: `before` and `after` on the same rows.

    The number is the mean negative log likelihood for one label of several, else the macro F1.
    """

    options: dict[str, Any]
    measured: str
    before: float
    after: float


def calibrate(module: TorchModule, examples: Sequence[Example], *, batch_size: int | None = None) -> Calibration:
    """Give a seq-cls (or text-matching) module a temperature, or (multi-label) a threshold per label, and say which.

    The temperature has the least negative log likelihood on these rows (Guo et al. 2017, section 4.2); each threshold
    the best F1 of its label. Use rows that the module was not trained on, and measure on others.

    Raises SettingsError for another task, and for no rows.
    """
    task = module.known_task()
    if not isinstance(task, SeqCls) or task.options["problem"] == "regression":
        raise SettingsError(f"calibration is for labels of whole texts; {module.spec.title} has task {task.name}")
    rows = [row for row in examples if row.label is not None]
    if not rows:
        raise SettingsError("calibration needs labelled rows")
    # Asked without the options that are looked for, whatever they are now.
    several = task.options["problem"] == "multi-label"
    module.task = task.with_options(temperature=1.0, **({"threshold": 0.5} if several else {}))
    found = [answer.probabilities for answer in module.predictor().predict(rows, batch_size=batch_size)]  # type: ignore[attr-defined]
    targets = np.array([task.problem.target(row.label) for row in rows if row.label is not None])
    table = np.stack(found)
    calibration = _thresholds(table, targets) if several else _temperature(table, targets)
    module.task = module.task.with_options(**calibration.options)
    return calibration


def _temperature(probabilities: Array, targets: Array) -> Calibration:
    """The best temperature by golden-section search: the likelihood has one minimum in it."""
    logits = np.log(np.maximum(probabilities, np.finfo(np.float64).tiny))

    def loss(temperature: float) -> float:
        chances = softmax(logits / temperature)[np.arange(len(targets)), targets]
        return float(-np.log(np.maximum(chances, np.finfo(np.float64).tiny)).mean())

    low, high, ratio = np.log(_COLDEST), np.log(_HOTTEST), (np.sqrt(5) - 1) / 2
    while high - low > _CLOSE:
        left, right = high - ratio * (high - low), low + ratio * (high - low)
        if loss(np.exp(left)) <= loss(np.exp(right)):
            high = right
        else:
            low = left
    best = round(float(np.exp((low + high) / 2)), 4)
    return Calibration({"temperature": best}, "negative log likelihood", loss(1.0), loss(best))


def _thresholds(probabilities: Array, targets: Array) -> Calibration:
    """For each label the threshold with the best F1; of equally good ones the nearest to a half."""
    chosen, before, after = [], [], []
    for chances, applies in zip(probabilities.T, targets.T.astype(bool), strict=True):
        values = np.unique(np.append(chances, [0, 0.5]))
        # Between two neighbouring probabilities every threshold is as good: the middle one is furthest from both.
        candidates = np.append((values[1:] + values[:-1]) / 2, 0.5)
        scores = np.array([_f1(chances >= threshold, applies) for threshold in candidates])
        best = candidates[scores == scores.max()]
        chosen.append(round(float(best[np.abs(best - 0.5).argmin()]), 6))
        before.append(_f1(chances >= 0.5, applies))
        after.append(_f1(chances >= chosen[-1], applies))
    return Calibration({"threshold": chosen}, "macro F1", float(np.mean(before)), float(np.mean(after)))


def _f1(answered: Array, applies: Array) -> float:
    total = int(answered.sum() + applies.sum())
    return 2 * int((answered & applies).sum()) / total if total else 0.0
