"""When two rows say the same: for leaks between splits, and for repeats."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence

from hub_core.examples import Example

#: What stands between the two texts of a pair: no text holds it.
_BETWEEN = "\x1f"


def exact_text(example: Example) -> str:
    """The text of a row as it stands there; both texts of a pair."""
    return example.text if example.pair is None else f"{example.text}{_BETWEEN}{example.pair}"


def normalised_text(example: Example) -> str:
    """The same without white space, width (``Ａ`` is ``A``) and case (Unicode's NFKC, then case folding).

    >>> normalised_text(Example("Ｈello　 World"))
    'helloworld'
    """
    return _BETWEEN.join(normalised(part) for part in exact_text(example).split(_BETWEEN))


def normalised(text: str) -> str:
    """One text without white space, width and case."""
    return "".join(unicodedata.normalize("NFKC", text).casefold().split())


def without_repeats(rows: Iterable[Example], held_out: Iterable[Sequence[Example]]) -> list[Example]:
    """Rows whose normalised text stands in none of the `held_out` splits; of several that say the same the first."""
    seen = {normalised_text(row) for split in held_out for row in split}
    kept = []
    for row in rows:
        text = normalised_text(row)
        if text not in seen:
            seen.add(text)
            kept.append(row)
    return kept
