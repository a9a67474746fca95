"""Scores over a whole corpus, with numpy alone. Every score is a plain float, 0 to 1 unless it says otherwise.

A score whose denominator is zero is 0.0 (`zero_division=0` of scikit-learn and seqeval); a score of no rows is not
defined, and an error.

Each name's file is loaded when it is first used: a task needs one or two of them, and starting is to be quick.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hub_core.metrics.answers import AnswerScores, answer_scores, best_threshold, cmrc2018, squad_v1, squad_v2
    from hub_core.metrics.calibration import Bin, brier, calibration_error, log_loss, reliability
    from hub_core.metrics.classes import (
        ClassificationScores,
        MultiLabelScores,
        Scores,
        accuracy,
        classification_f1,
        confusion,
        matthews,
        multilabel_scores,
    )
    from hub_core.metrics.entities import EntityScores, entity_scores
    from hub_core.metrics.numbers import mean_absolute_error, mean_squared_error, pearson, r2, roc_auc, spearman
    from hub_core.metrics.resampling import Matched, Measure, RankMeasure, Resampled, difference, interval, mcnemar
    from hub_core.metrics.retrieval import mean_average_precision, mrr, ndcg, recall

_FILES = {
    "answers": "AnswerScores answer_scores best_threshold cmrc2018 squad_v1 squad_v2",
    "calibration": "Bin brier calibration_error log_loss reliability",
    "classes": "ClassificationScores MultiLabelScores Scores accuracy classification_f1 confusion matthews "
    "multilabel_scores",
    "entities": "EntityScores entity_scores",
    "numbers": "mean_absolute_error mean_squared_error pearson r2 roc_auc spearman",
    "resampling": "Matched Measure RankMeasure Resampled difference interval mcnemar",
    "retrieval": "mean_average_precision mrr ndcg recall",
}
_HOMES = {name: file for file, names in _FILES.items() for name in names.split()}

__all__ = [
    "AnswerScores",
    "Bin",
    "ClassificationScores",
    "EntityScores",
    "Matched",
    "Measure",
    "MultiLabelScores",
    "RankMeasure",
    "Resampled",
    "Scores",
    "accuracy",
    "answer_scores",
    "best_threshold",
    "brier",
    "calibration_error",
    "classification_f1",
    "cmrc2018",
    "confusion",
    "difference",
    "entity_scores",
    "interval",
    "log_loss",
    "matthews",
    "mcnemar",
    "mean_absolute_error",
    "mean_average_precision",
    "mean_squared_error",
    "mrr",
    "multilabel_scores",
    "ndcg",
    "pearson",
    "r2",
    "recall",
    "reliability",
    "roc_auc",
    "spearman",
    "squad_v1",
    "squad_v2",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'hub_core.metrics' has no attribute {name!r}; public names: {', '.join(__all__)}")
    return getattr(importlib.import_module(f"hub_core.metrics.{_HOMES[name]}"), name)
