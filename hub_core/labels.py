"""Labels as callers write them down."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from numbers import Integral
from typing import Any

from hub_core.errors import LabelError


def labels_from_map(label_map: Mapping[Any, str] | Sequence[str]) -> tuple[str, ...]:
    """Read PaddleHub's ``{0: 'B-PER', ...}`` (or a plain list or tuple) into labels in target order.

    Keys may be strings of digits, as JSON makes them. Raises LabelError for anything else (a set has no order, a
    string is no list), where keys are not 0..n-1, values are not strings, or a label stands twice.
    """
    if isinstance(label_map, Mapping):
        rows = sorted(((_target(key), label) for key, label in label_map.items()), key=lambda row: row[0])
        if [target for target, _ in rows] != list(range(len(rows))):
            raise LabelError(f"label_map keys must be 0 to {len(rows) - 1}, each once, not {[t for t, _ in rows]}")
        labels = [label for _, label in rows]
    elif isinstance(label_map, (list, tuple)):
        labels = list(label_map)
    else:
        raise LabelError(f"label_map must be {{0: label, ...}} or a list of labels in order, not {label_map!r}")
    if not labels:
        raise LabelError("label_map is empty; give one label per class, such as {0: 'negative', 1: 'positive'}")
    for label in labels:
        if not isinstance(label, str) or not label:
            raise LabelError(f"labels must be non-empty strings, not {label!r}")
    twice = sorted({label for label in labels if labels.count(label) > 1})
    if twice:
        raise LabelError(f"label_map has a label twice: {', '.join(twice)}")
    return tuple(labels)


def _target(key: object) -> int:
    """A key as the number it is, or spells."""
    if isinstance(key, Integral) and not isinstance(key, bool):
        return int(key)
    if isinstance(key, str) and key.isascii() and key.isdigit():
        return int(key)
    raise LabelError(f"label_map keys must be whole numbers, such as 0 or '0', not {key!r}")
