"""Texts that become one vector each: how tokens are pooled, and texts that are read side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from hub_core.errors import SettingsError
from hub_core.examples import Array, pad
from hub_core.tasks.arrays import input_arrays
from hub_core.text.tokenizer import Tokenizer

#: How the vectors of a text's tokens become one: their mean, that of the first token, the largest value of each
#: feature, that of the last token, or what the network's own pooler makes of the first.
POOLINGS = ("mean", "cls", "max", "last", "pooler")


def side_by_side(texts: Sequence[str], tokenizer: Tokenizer, max_seq_len: int) -> tuple[Mapping[str, Array], bool]:
    """The inputs of several texts, int64 ``(texts, length)`` each, of one text ``(length,)``; whether any was cut.

    Raises SettingsError where `max_seq_len` leaves no room for text.
    """
    room = max_seq_len - tokenizer.specials_count()
    if room < 1:
        raise SettingsError(f"max_seq_len={max_seq_len} leaves no room for text beside the special tokens")
    pieces = [tokenizer.encode_text(text) or [tokenizer.unk_id] for text in texts]
    rows = [input_arrays(tokenizer, *tokenizer.with_specials(piece[:room])) for piece in pieces]
    truncated = any(len(piece) > room for piece in pieces)
    if len(rows) == 1:
        return rows[0], truncated
    padding = {"input_ids": tokenizer.pad_id}
    return {name: pad([row[name] for row in rows], padding.get(name, 0)) for name in rows[0]}, truncated
