"""How a corpus is cut into rows: as many tokens as fit, ending where sentences end, none across documents."""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from hub_core.corpus.store import Corpus
from hub_core.examples import Array


@dataclass(frozen=True)
class Pieces:
    """Runs of tokens of a corpus, ``(pieces, 2)``: the first and one past the last; and which make up each row.

    Row i is the pieces ``rows[i]`` to ``rows[i + 1]``: one, unless short ones are packed together.
    """

    spans: Array
    rows: Array

    def lengths(self, specials: int) -> Array:
        """Tokens of every row: `specials` around the first piece, and one after each further piece."""
        sizes = np.concatenate([[0], np.cumsum(self.spans[:, 1] - self.spans[:, 0])])
        counts = np.diff(self.rows)
        found: Array = sizes[self.rows[1:]] - sizes[self.rows[:-1]] + specials + counts - 1
        return found


def cut(corpus: Corpus, documents: Iterable[int], *, room: int, pack: bool, least: int = 4) -> Pieces:
    """Cut documents (by number) into pieces of at most `room` tokens.

    A piece ends at the last end of a sentence that fits, or, where that would leave it less than half full, at the last
    end of a unit. What is left of a document with less than `least` tokens is passed over, unless it is all of it.
    `pack` joins pieces that follow each other into rows, with one separator between two.
    """
    spans = array("q")  # 16 bytes a piece: there are millions
    starts = corpus.starts
    for number in documents:
        low, high = int(corpus.documents[number]), int(corpus.documents[number + 1])
        begin, end = int(starts[low]), int(starts[high])
        first = begin
        while begin < end:
            stop = end if end - begin <= room else _stop(corpus, begin, begin + room)
            if stop - begin >= least or begin == first:
                spans.extend((begin, stop))
            begin = stop
    found = np.array(spans, dtype=np.int64).reshape(-1, 2)
    return Pieces(found, _packed(found, room) if pack else np.arange(len(found) + 1))


def _stop(corpus: Corpus, begin: int, limit: int) -> int:
    """Where a piece ends that may not go beyond `limit`, where its document goes on."""
    sentence = int(corpus.starts[np.searchsorted(corpus.starts, limit, side="right") - 1])
    if sentence - begin > (limit - begin) // 2:
        return sentence
    stop = limit
    while stop > begin + 1 and corpus.joined[stop]:
        stop -= 1
    return stop if stop > begin + 1 else limit


def _packed(spans: Array, room: int) -> Array:
    """Bounds of rows of pieces that follow each other, as many as fit with a separator between two."""
    rows, used = [0], 0
    for number, size in enumerate((spans[:, 1] - spans[:, 0]).tolist()):
        if used and used + 1 + size > room:
            rows.append(number)
            used = 0
        used += size + (used > 0)
    return np.array([*rows, len(spans)], dtype=np.int64) if len(spans) else np.zeros(1, dtype=np.int64)
