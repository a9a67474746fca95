"""Labels that are most likely another one misspelt, which training would take for a class of its own."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches

from hub_core.data.problems import shortened
from hub_core.examples import Example

#: How many times as often as the misspelt one the right one stands there at least, and how alike the two are.
_TIMES, _ALIKE = 20, 0.8
#: What sets labels apart that were never one: numbers (`news_100`), and the letter of a tagging scheme (`B-PER`).
_APART = re.compile(r"\d+|^[A-Z]-|-[A-Z]$")


@dataclass(frozen=True)
class Misspelt:
    """A label that stands `count` times in the training split, and the one that it may stand for."""

    label: str
    count: int
    meant: str
    often: int

    def __str__(self) -> str:
        label, meant = shortened(self.label), shortened(self.meant)
        return f"label {label!r} ({self.count} in train, none elsewhere) may be {meant!r} ({self.often}) misspelt"


def misspelt(train: Mapping[str, int], others: Collection[str]) -> tuple[Misspelt, ...]:
    """Labels of the training split (with how often each stands there) that no other split has, and that look like one
    that stands there much more often."""
    found = []
    for label, count in train.items():
        known = [other for other, often in train.items() if often >= count * _TIMES] if label not in others else []
        alike = [other for other in known if _APART.findall(other) == _APART.findall(label)]
        found += [Misspelt(label, count, near, train[near]) for near in get_close_matches(label, alike, 1, _ALIKE)]
    return tuple(found)


def label_counts(rows: Iterable[Example]) -> Counter[str]:
    """How often each label stands in these rows, for token-cls per unit; a number or an answer is none."""
    found: Counter[str] = Counter()
    for row in rows:
        labels: tuple[object, ...] = row.label if isinstance(row.label, tuple) else (row.label,)
        found.update(label for label in labels if isinstance(label, str))
    return found
