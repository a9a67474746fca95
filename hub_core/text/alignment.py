"""Which characters of a text its tokens stand for, for tokenizers that do not say it themselves."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from hub_core.examples import Array
from hub_core.text.pieces import SPACE

#: How many characters beyond unknown tokens the next one is looked for.
_FAR = 128


def align(tokens: Sequence[str | None], text: str) -> Array:
    """The characters of each token in order: int64 ``(tokens, 2)``, start and end; None is a token without a text.

    Tokens and text are compared without case, accents, width and white space, since tokenizers change these. A token
    without a text (an unknown one) stands for what is left between those beside it; a mark before a piece (``▁``) for
    what that piece stands for.
    """
    places = [place for place, character in enumerate(text) for _ in comparable(character)]
    flat = "".join(map(comparable, text))
    spans = np.zeros((len(tokens), 2), dtype=np.int64)
    at = open_from = unknown = 0
    for number, token in enumerate(tokens):
        written = "" if token is None else _written(token)
        unknown += token is None
        if unknown:  # each of these stands for a character at least
            found = flat.find(written, at + unknown, at + unknown + _FAR + len(written))
        else:
            found = at if flat.startswith(written, at) else -1
        if not written or found < 0:
            unknown += bool(written)  # it cannot be found: as good as unknown
            continue
        spans[open_from:number] = (at, found) if unknown else (found, found + len(written))
        at = found + len(written)
        spans[number] = found, at
        open_from, unknown = number + 1, 0
    spans[open_from:] = (at, len(flat)) if at < len(flat) else (max(0, at - 1), at)
    if not places:
        return np.full_like(spans, (0, len(text)))
    known = np.array(places, dtype=np.int64)
    return np.stack([known[np.minimum(spans[:, 0], len(known) - 1)], known[spans[:, 1] - 1] + 1], axis=1)


@lru_cache(maxsize=65_536)
def comparable(character: str) -> str:
    """A character without case, accents and width; nothing for white space."""
    parts = unicodedata.normalize("NFKD", character).lower()
    return "".join(part for part in parts if not part.isspace() and not unicodedata.combining(part))


def _written(token: str) -> str:
    """What of a text a token is, as it can be compared."""
    piece = token[2:] if token.startswith("##") and len(token) > 2 else token
    return "".join(map(comparable, piece.replace(SPACE, "")))
