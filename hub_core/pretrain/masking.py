"""Which tokens of a row are hidden, and what stands in their place: masked language modelling as BERT has it.

Devlin et al. 2019 (section 3.1: 15% of the tokens, of which 80% become ``[MASK]``, 10% another token, 10% stay);
Cui et al. 2021 (whole words, and n-grams of them). Everything is drawn from the generator that is passed in.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from hub_core.errors import SettingsError
from hub_core.examples import Array
from hub_core.plugins import catalog
from hub_core.text.tokenizer import Tokenizer

Generator = np.random.Generator


class Masking(Protocol):
    """What is registered under the kind ``masking``: in which order units are tried.

    `units` are a row's units, numbered; yields runs of them, ``(first, one past the last)``, most wanted first. Runs
    that overlap an earlier one are passed over; those that go beyond a special token, or are too long for what is left
    to hide, are shortened.
    """

    def __call__(self, units: int, rng: Generator, options: MaskOptions) -> Iterator[tuple[int, int]]: ...


@dataclass(frozen=True)
class MaskOptions:
    """How much is hidden, and how.

    - `masking`: ``word`` (units one by one), ``ngram`` (runs of up to `max_ngram` units, a run of n with a chance in
      proportion to 1/n), ``span`` (runs of geometric length, as SpanBERT), ``token`` (no units), or a plugin's.
    - `share`: of a row's tokens, that are hidden. `random`, `kept`: of these, how many become another token or stay.
    - `replace`: whether that is drawn for each ``token`` or for each ``word``.
    """

    masking: str = "word"
    share: float = 0.15
    max_ngram: int = 3
    random: float = 0.1
    kept: float = 0.1
    replace: str = "token"

    def __post_init__(self) -> None:
        problems = []
        if not 0 < self.share < 1:
            problems.append(f"share={self.share} must be between 0 and 1")
        if self.random < 0 or self.kept < 0 or self.random + self.kept > 1:
            problems.append(f"random={self.random} and kept={self.kept} must be shares of one whole")
        if self.max_ngram < 1:
            problems.append(f"max_ngram={self.max_ngram} must be at least 1")
        if self.replace not in ("token", "word"):
            problems.append(f"replace={self.replace!r} must be token or word")
        if problems:
            raise SettingsError("unusable masking: " + "; ".join(problems))


def by_word(units: int, rng: Generator, options: MaskOptions) -> Iterator[tuple[int, int]]:  # noqa: ARG001
    """Units one by one, in random order."""
    for unit in rng.permutation(units).tolist():
        yield unit, unit + 1


def by_ngram(units: int, rng: Generator, options: MaskOptions) -> Iterator[tuple[int, int]]:
    """Runs of 1 to `max_ngram` units, one of n with a chance in proportion to 1/n."""
    sizes = np.arange(1, options.max_ngram + 1)
    chances = (1 / sizes) / (1 / sizes).sum()
    drawn = rng.choice(sizes, size=units, p=chances).tolist()
    for unit, size in zip(rng.permutation(units).tolist(), drawn, strict=True):
        yield unit, min(units, unit + size)


def by_span(units: int, rng: Generator, options: MaskOptions) -> Iterator[tuple[int, int]]:  # noqa: ARG001
    """Runs of geometric length (p = 0.2, at most 10), as SpanBERT (Joshi et al. 2020)."""
    drawn = np.minimum(rng.geometric(0.2, size=units), 10).tolist()
    for unit, size in zip(rng.permutation(units).tolist(), drawn, strict=True):
        yield unit, min(units, unit + size)


class Masker:
    """Hides tokens of rows of one vocabulary."""

    def __init__(self, tokenizer: Tokenizer, options: MaskOptions) -> None:
        if tokenizer.mask_id is None:
            raise SettingsError(f"the tokenizer (type {tokenizer.type}) has no token for a hidden place")
        self._options, self._mask = options, tokenizer.mask_id
        self._specials = np.array(sorted(tokenizer.special_ids))
        # An unknown character is a part of its word, though nothing can be learnt of it.
        self._apart = np.setdiff1d(self._specials, [] if tokenizer.unk_id is None else [tokenizer.unk_id])
        self._words = np.setdiff1d(np.arange(len(tokenizer)), self._specials)
        self._whole = options.masking != "token"
        order = "word" if options.masking == "token" else options.masking
        self._order: Masking = catalog().get("masking", order, beside=["token"])

    def __call__(self, ids: Array, joined: Array, rng: Generator) -> tuple[Array, Array]:
        """The row as it is shown, and the positions of what is hidden in it, ascending.

        `ids` ``(length,)`` with special tokens, which are never hidden; `joined` ``(length,)`` as a corpus has it. An
        unknown token is not hidden either, but parts nothing: the rest of its word is hidden, or none of it.
        """
        inside, open_to = ~np.isin(ids, self._apart), ~np.isin(ids, self._specials)
        begins = np.flatnonzero(inside & ~(joined & np.roll(inside, 1)) if self._whole else inside)
        units = _units(begins, inside)
        before = np.concatenate([[0], np.cumsum(open_to)])
        sizes = before[units[:, 1]] - before[units[:, 0]]
        units, sizes = units[sizes > 0], sizes[sizes > 0]
        budget = max(1, round(self._options.share * len(ids)))
        chosen = self._chosen(units, sizes, min(budget, int(open_to.sum())), rng)
        hidden = np.concatenate([np.arange(*units[unit]) for unit in chosen]) if chosen else np.zeros(0, np.int64)
        positions = hidden[open_to[hidden]]
        return self._shown(ids, sizes[chosen], positions, rng), positions

    def _chosen(self, units: Array, sizes: Array, budget: int, rng: Generator) -> list[int]:
        """The units to hide, ascending; at least one, where there is one. `sizes` are the tokens to hide in each."""
        taken = np.zeros(len(units), dtype=np.bool_)
        # One past the last unit that follows each one without a special token between them.
        gaps = np.append(np.flatnonzero(units[1:, 0] != units[:-1, 1]) + 1, len(units))
        reach = gaps[np.searchsorted(gaps, np.arange(len(units)), side="right")]
        left = budget
        for first, wanted in self._order(len(units), rng, self._options):
            stop = min(wanted, int(reach[first]))
            if taken[first:stop].any():
                continue
            # What does not fit any more loses its end, until it fits or is nothing.
            while stop > first and int(sizes[first:stop].sum()) > left:
                stop -= 1
            if stop > first:
                taken[first:stop] = True
                left -= int(sizes[first:stop].sum())
            if not left:
                break
        if not taken.any() and len(units):
            taken[int(np.argmin(sizes))] = True  # one long word is all there is
        return np.flatnonzero(taken).tolist()

    def _shown(self, ids: Array, sizes: Array, positions: Array, rng: Generator) -> Array:
        """The row with what is hidden replaced, in units of these sizes: by the mask, by any word, or by itself."""
        if self._options.replace == "token":
            draws = rng.random(len(positions))
        else:
            draws = np.repeat(rng.random(len(sizes)), sizes)
        shown = ids.copy()
        shown[positions] = self._mask
        random = draws < self._options.random
        shown[positions[random]] = rng.choice(self._words, size=int(random.sum()))
        kept = ~random & (draws < self._options.random + self._options.kept)
        shown[positions[kept]] = ids[positions[kept]]
        return shown


def _units(begins: Array, inside: Array) -> Array:
    """First and one-past-last position of every unit: ``(units, 2)``. What is not `inside` of one ends it."""
    closed = np.flatnonzero(~inside)
    following = np.append(begins[1:], len(inside))
    ends = np.append(closed, len(inside))[np.searchsorted(closed, begins)]
    return np.stack([begins, np.minimum(following, ends)], axis=1) if len(begins) else np.zeros((0, 2), np.int64)
