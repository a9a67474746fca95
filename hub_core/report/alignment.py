"""Gold entities beside those that were found: which belong together, and what is wrong with each pair."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

from hub_core.tagging import Span

#: What can be said of a pair, and what it means; all but the first are errors.
KINDS = {
    "right": "type and bounds are right",
    "bounds": "the type is right, the bounds are not",
    "type": "the bounds are right, the type is not",
    "type and bounds": "they overlap, and nothing else is right",
    "missed": "no answer overlaps the gold entity",
    "invented": "no gold entity overlaps the answer",
}


@dataclass(frozen=True)
class Pair:
    """A gold entity and the answer to it; None where there is no other half."""

    gold: Span | None
    found: Span | None

    @property
    def kind(self) -> str:
        """One of `KINDS`."""
        if self.gold is None or self.found is None:
            return "missed" if self.found is None else "invented"
        same_bounds = (self.gold.start, self.gold.end) == (self.found.start, self.found.end)
        same_type = self.gold.label == self.found.label
        if same_bounds:
            return "right" if same_type else "type"
        return "bounds" if same_type else "type and bounds"


def align(gold: Sequence[Span], found: Sequence[Span]) -> list[Pair]:
    """Every entity of both sides once, in the order of the text.

    Equal ones belong together, then those that share most units (of equal ones first those of the same type, then in
    the order of the text); what overlaps nothing that is left stands alone.
    """
    pairs = [Pair(one, one) for one in gold if one in found]
    left, right = [one for one in gold if one not in found], [one for one in found if one not in gold]
    overlapping = [(one, two) for one, two in product(left, right) if _shared(one, two) > 0]
    for one, two in sorted(overlapping, key=lambda both: (-_shared(*both), both[0].label != both[1].label)):
        if one in left and two in right:
            pairs.append(Pair(one, two))
            left.remove(one)
            right.remove(two)
    pairs += [Pair(one, None) for one in left] + [Pair(None, one) for one in right]
    return sorted(pairs, key=_place)


def _shared(one: Span, two: Span) -> int:
    return min(one.end, two.end) - max(one.start, two.start)


def _place(pair: Pair) -> tuple[int, int]:
    span = pair.gold or pair.found
    return (span.start, span.end) if span else (0, 0)
