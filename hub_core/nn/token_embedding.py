"""Tokens as vectors, for families of the hub's own: embeddings, hashed bigrams, and the dropout that goes with them."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import Tensor, nn

from hub_core.errors import SettingsError

#: Multiplier of the first token of a bigram before the remainder is taken (Knuth, TAOCP 6.4: a prime near 2**32
#: divided by the golden ratio). Part of the format: another one would mix up the rows of a trained table.
BIGRAM_MULTIPLIER = 2654435761


class LockedDropout(nn.Module):
    """Dropout that hides the same features at every position of a row; input ``(batch, length, width)``."""

    def __init__(self, share: float) -> None:
        super().__init__()
        self.share = share

    def forward(self, states: Tensor) -> Tensor:
        """Zero a share of the features and scale up the others, in training mode only."""
        if not self.training or self.share == 0:
            return states
        kept = nn.functional.dropout(torch.ones_like(states[:, :1]), self.share)  # (batch, 1, width)
        return states * kept


class EmbeddingSizes(Protocol):
    """The sizes that `TokenEmbedding` reads, of any family's config."""

    @property
    def vocab_size(self) -> int: ...
    @property
    def embedding_size(self) -> int: ...
    @property
    def embedding_dropout(self) -> float: ...
    @property
    def word_dropout(self) -> float: ...
    @property
    def bigram_buckets(self) -> int: ...
    @property
    def bigram_size(self) -> int: ...


class TokenEmbedding(nn.Module):
    """Token embeddings, and beside them embeddings of hashed bigrams (each token with the one before it)."""

    def __init__(self, config: EmbeddingSizes) -> None:
        super().__init__()
        self.buckets, self.word_dropout = config.bigram_buckets, config.word_dropout
        self.tokens = nn.Embedding(config.vocab_size, config.embedding_size)
        self.bigrams = nn.Embedding(config.bigram_buckets, config.bigram_size) if config.bigram_buckets else None
        self.dropout = LockedDropout(config.embedding_dropout)
        for table in (self.tokens, self.bigrams):
            if table is not None:  # as Paddle's default; torch's own, N(0, 1), learns worse
                nn.init.xavier_uniform_(table.weight)

    def forward(self, input_ids: Tensor) -> Tensor:
        """``(batch, length)`` ids to ``(batch, length, embedding_size + bigram_size)``."""
        parts = [self._hide(self.tokens(input_ids))]
        if self.bigrams is not None:
            parts.append(self._hide(self.bigrams(self.bigram_ids(input_ids))))
        embedded: Tensor = self.dropout(torch.cat(parts, dim=2))
        return embedded

    def bigram_ids(self, input_ids: Tensor) -> Tensor:
        """The row of each position's bigram: ``(before * BIGRAM_MULTIPLIER + id) % buckets``, id 0 before the first.

        Multiplied digit by digit, which gives the same rows: an exported graph may be computed by a runtime whose
        remainder of whole numbers goes through float32 (OpenVINO's), and is exact only while numbers are small.
        """
        before = nn.functional.pad(input_ids, (1, 0))[:, :-1]
        hashed = torch.zeros_like(before)
        for digit in _digits(BIGRAM_MULTIPLIER % self.buckets):
            hashed = (hashed * _BASE + before * digit) % self.buckets
        return (hashed + input_ids) % self.buckets

    def _hide(self, vectors: Tensor) -> Tensor:
        """Zero the vectors of a share of the positions, in training mode only (tokens and bigrams independently)."""
        if not self.training or self.word_dropout == 0:
            return vectors
        kept = nn.functional.dropout(torch.ones_like(vectors[:, :, :1]), self.word_dropout)  # (batch, length, 1)
        return vectors * kept


#: Products of a token's id and a digit to this base stay small.
_BASE = 32


def _digits(number: int) -> list[int]:
    """The digits of a number to `_BASE`, the highest first."""
    return [*_digits(number // _BASE), number % _BASE] if number else []


def check_bigrams(sizes: EmbeddingSizes, family: str) -> None:
    """Raise SettingsError where a config has only one of the two sizes of bigrams."""
    if (sizes.bigram_buckets == 0) != (sizes.bigram_size == 0):
        found = f"bigram_buckets {sizes.bigram_buckets} and bigram_size {sizes.bigram_size}"
        raise SettingsError(f"a {family} with bigrams needs both their buckets and their size, not {found}")
