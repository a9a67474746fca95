"""A tokenizer: the characters of a text, and each pair of neighbours."""

from __future__ import annotations

from itertools import pairwise

from hub_core.text.words import CharTokenizer


class BigramTokenizer(CharTokenizer):
    """``很满意`` becomes ``很 满 意 很满 满意``. Its options are those of `CharTokenizer`."""

    type = "bigram"

    def units(self, text: str) -> list[str]:
        """Characters, then pairs."""
        characters = super().units(text)
        return [*characters, *(first + second for first, second in pairwise(characters))]
