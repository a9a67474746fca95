"""Labels as callers write them down."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hub_core.errors import LabelError


def labels_from_map(label_map: Mapping[Any, str] | Sequence[str]) -> tuple[str, ...]:
    """Read PaddleHub's ``{0: 'B-PER', ...}`` (or a plain sequence) into labels in target order.

    Keys may be strings of digits, as JSON makes them. Raises LabelError where keys are not 0..n-1, values are not
    strings, or a label stands twice.
    """
    if isinstance(label_map, Mapping):
        try:
            rows = sorted((int(key), value) for key, value in label_map.items())
        except (TypeError, ValueError) as error:
            raise LabelError(f"label_map keys must be whole numbers, not {list(label_map)!r}") from error
        if [key for key, _ in rows] != list(range(len(rows))):
            raise LabelError(f"label_map keys must be 0 to {len(rows) - 1}, each once, not {[k for k, _ in rows]}")
        labels = [value for _, value in rows]
    else:
        labels = list(label_map)
    if not labels:
        raise LabelError("label_map is empty; give one label per class, such as {0: 'negative', 1: 'positive'}")
    for label in labels:
        if not isinstance(label, str) or not label:
            raise LabelError(f"labels must be non-empty strings, not {label!r}")
    twice = sorted({label for label in labels if labels.count(label) > 1})
    if twice:
        raise LabelError(f"label_map has a label twice: {', '.join(twice)}")
    return tuple(labels)
