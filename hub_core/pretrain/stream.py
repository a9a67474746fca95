"""The rows that pre-training sees: made when they are asked for, each a pure function of seed, epoch and number."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, overload

import numpy as np

from hub_core.corpus.store import Corpus
from hub_core.errors import DataError, SettingsError, unknown
from hub_core.examples import IGNORE, Array, Features
from hub_core.pretrain.masking import Masker, MaskOptions
from hub_core.pretrain.samples import cut
from hub_core.text.tokenizer import Tokenizer

#: What is learnt about sentences beside the words in them.
ORDERS = ("none", "sop", "nsp")
#: The epoch that validation rows are drawn for, whenever they are asked for.
_FIXED = 2**31
#: What is measured on does not depend on a run's seed, so that scores of several runs can be compared.
MEASURING_SEED = 0
#: A wrong second half of whole sentences has at least this share of the tokens that it stands for; where none of so
#: many documents has one, it breaks off.
_FULL, _TRIES = 0.9, 8


@dataclass(frozen=True)
class RowOptions:
    """How rows are made of a corpus.

    - `length`: tokens of a row at most, special ones included.
    - `order`: ``sop`` halves a row, and swaps the halves of every second (Lan et al. 2020); ``nsp`` gives every second
      a second half from another document, from the beginning of some sentence (Devlin et al. 2019); ``none`` does
      neither.
    - `pack`: short documents share a row, with separators between them.
    - `mask`: what is hidden.
    """

    length: int = 128
    order: str = "none"
    pack: bool = False
    mask: MaskOptions = field(default_factory=MaskOptions)

    def __post_init__(self) -> None:
        if self.order not in ORDERS:
            raise SettingsError(unknown("order of sentences", self.order, ORDERS))
        if self.length < 8:
            raise SettingsError(f"rows of {self.length} tokens hold nothing to learn from; give at least 8")
        if self.pack and self.order != "none":
            raise SettingsError(f"pack joins documents in a row, {self.order} asks for two halves of one: choose")


class Rows:
    """The rows of some of a corpus's documents, and of each epoch what is hidden in them."""

    def __init__(
        self, corpus: Corpus, documents: Iterable[int], tokenizer: Tokenizer, options: RowOptions, *, seed: int
    ) -> None:
        self._corpus, self._tokenizer, self._options, self._seed = corpus, tokenizer, options, seed
        specials = tokenizer.specials_count(pair=options.order != "none")
        if specials >= options.length:
            raise SettingsError(f"rows of {options.length} tokens are no longer than their {specials} special tokens")
        self._pieces = cut(corpus, sorted(documents), room=options.length - specials, pack=options.pack)
        self.lengths = self._pieces.lengths(specials)
        #: The first token of every document, and one past the last.
        self._bounds = corpus.starts[corpus.documents]
        self._masker = Masker(tokenizer, options.mask)
        self._sources = self._with_second_halves() if options.order == "nsp" else self._pieces.spans

    def epoch(self, number: int) -> Sequence[Features]:
        """The rows as epoch `number` shows them."""
        return _Epoch(self, number)

    def fixed(self) -> Sequence[Features]:
        """The rows as they are always measured."""
        return _Epoch(self, _FIXED)

    def row(self, epoch: int, number: int) -> Features:
        """One row. `meta` is 1 where its halves do not follow each other, 0 where they do, None where it is whole."""
        rng = np.random.default_rng([self._seed, epoch, number])
        first, stop = self._pieces.rows[number : number + 2]
        if self._options.order == "none":
            parts, wrong = [self._tokens(*span) for span in self._pieces.spans[first:stop].tolist()], None
        else:
            parts, wrong = self._halves(int(first), rng)
        ids, joined, types = self._joined(parts, pair=wrong is not None)
        shown, positions = self._masker(ids, joined, rng)
        target = np.full(len(ids), IGNORE, dtype=np.int64)
        target[positions] = ids[positions]
        inputs = {"input_ids": shown, "token_type_ids": types, "attention_mask": np.ones_like(ids)}
        kept = {name: inputs[name] for name in self._tokenizer.input_names}
        return Features(kept, target, key=str(number), meta=wrong)

    def _tokens(self, begin: int, end: int) -> tuple[Array, Array]:
        """The ids of a run of tokens, and which belong to the one before; the first one does not."""
        joined = np.array(self._corpus.joined[begin:end])
        joined[:1] = False
        return self._corpus.ids[begin:end].astype(np.int64), joined

    def _halves(self, piece: int, rng: np.random.Generator) -> tuple[list[tuple[Array, Array]], int | None]:
        """Two parts of a piece, cut where a sentence ends, and whether they are the wrong way round.

        A piece of one sentence stays whole: there is no order in it.
        """
        begin, end = self._pieces.spans[piece].tolist()
        starts = self._corpus.starts
        inner = starts[np.searchsorted(starts, begin, side="right") : np.searchsorted(starts, end)]
        if not len(inner):
            return [self._tokens(begin, end)], None
        middle = int(rng.choice(inner))
        before, after = self._tokens(begin, middle), self._tokens(middle, end)
        wrong = int(rng.random() < 0.5)
        if not wrong:
            return [before, after], 0
        if self._options.order == "sop":
            return [after, before], 1
        return [before, self._tokens(*self._elsewhere(middle, end, rng))], 1

    def _document(self, token: Any) -> Any:
        """The document that a token, or each of several, is in."""
        return np.searchsorted(self._bounds, token, side="right") - 1

    def _with_second_halves(self) -> Array:
        """The pieces of documents with several sentences. Raises DataError where there are not two such documents."""
        owners = self._document(self._pieces.spans[:, 0])
        several = (np.diff(self._corpus.documents) > 1)[owners]
        if len(np.unique(owners[several])) < 2:
            raise DataError(
                [
                    f"{self._corpus.prefix}: nsp takes second halves from other documents, so it wants two of several "
                    "sentences, to learn from as to measure on; hold out more (held_out, --held-out), or choose "
                    "another objective"
                ]
            )
        found: Array = self._pieces.spans[several]
        return found

    def _elsewhere(self, middle: int, stop: int, rng: np.random.Generator) -> tuple[int, int]:
        """A run of tokens of another document, that stands for those from `middle` to `stop`.

        As they do, it begins within the document at a sentence, and ends where a sentence does if they do, else at the
        end of a unit; and it is as long, where one of some documents has such a run.
        """
        size, starts = stop - middle, self._corpus.starts
        if starts[np.searchsorted(starts, stop)] == stop:
            for _ in range(_TRIES):
                ends = self._another(middle, rng)
                inner = ends[1:-1]
                closed = ends[np.searchsorted(ends, inner + size, side="right") - 1]
                fitting = np.flatnonzero(closed - inner >= _FULL * size)
                if len(fitting):
                    at = int(rng.choice(fitting))
                    return int(inner[at]), int(closed[at])
        ends = self._another(middle, rng)
        inner, limit = ends[1:-1], int(ends[-1])
        roomy = inner[inner <= limit - size]
        begin = int(rng.choice(roomy if len(roomy) else inner))
        end = min(limit, begin + size)
        while end > begin + 1 and end < limit and self._corpus.joined[end]:
            end -= 1
        return begin, end

    def _another(self, place: int, rng: np.random.Generator) -> Array:
        """Where the sentences of another document than that of the token at `place` begin, and where the last ends."""
        spans, own = self._sources, self._document(place)
        first, last = np.searchsorted(spans[:, 0], self._bounds[own : own + 2])
        # Numbered without the pieces of this document.
        chosen = int(rng.integers(len(spans) - int(last - first)))
        chosen += int(last - first) if chosen >= first else 0
        number = self._document(spans[chosen, 0])
        return self._corpus.starts[self._corpus.documents[number] : self._corpus.documents[number + 1] + 1]

    def _joined(self, parts: list[tuple[Array, Array]], *, pair: bool) -> tuple[Array, Array, Array]:
        """Parts with the special tokens of a row: ids, what belongs together, and token types."""
        tokenizer = self._tokenizer
        pieces: list[Any] = [[] if tokenizer.cls_id is None else [tokenizer.cls_id]]
        flags: list[Any] = [np.zeros(len(pieces[0]), dtype=np.bool_)]
        types = [np.zeros(len(pieces[0]), dtype=np.int64)]
        end = [] if tokenizer.sep_id is None else [tokenizer.sep_id]
        for number, (ids, joined) in enumerate(parts):
            pieces += [ids, end]
            flags += [joined, np.zeros(len(end), dtype=np.bool_)]
            types.append(np.full(len(ids) + len(end), number if pair else 0, dtype=np.int64))
        return np.concatenate(pieces).astype(np.int64), np.concatenate(flags), np.concatenate(types)


class _Epoch(Sequence[Features]):
    """The rows of one epoch, made one by one."""

    def __init__(self, rows: Rows, epoch: int) -> None:
        self._rows, self._epoch = rows, epoch

    def __len__(self) -> int:
        return len(self._rows.lengths)

    @overload
    def __getitem__(self, number: int) -> Features: ...
    @overload
    def __getitem__(self, number: slice) -> list[Features]: ...
    def __getitem__(self, number: int | slice) -> Features | list[Features]:
        if isinstance(number, slice):
            return [self[one] for one in range(*number.indices(len(self)))]
        return self._rows.row(self._epoch, range(len(self))[number])


def split_documents(corpus: Corpus, *, held_out: float) -> tuple[Array, Array]:
    """The documents to learn from and those to measure on: a share `held_out` of them, always the same ones.

    Raises SettingsError for a share that is not between 0 and 1, DataError where one of the two would be empty.
    """
    if not 0 < held_out < 1:
        raise SettingsError(f"held_out={held_out} must be between 0 and 1: what is learnt has to be measured")
    count = len(corpus.documents) - 1
    order = np.random.default_rng(MEASURING_SEED).permutation(count)
    size = max(1, round(held_out * count))
    if count - size < 1:
        raise DataError(
            [
                f"{corpus.prefix}: {count} document(s), of which {size} would be held out; when a corpus is built, "
                "blank lines or --separator end documents; or measure on another corpus (validation, --validation)"
            ]
        )
    return np.sort(order[size:]), np.sort(order[:size])


def shown_rows(rows: Rows, tokenizer: Tokenizer, count: int) -> list[str]:
    """The first rows for people to look at: the tokens of each as they are, and as the module sees them."""
    lines = []
    for row in rows.epoch(0)[:count]:
        ids, target = row.inputs["input_ids"], np.asarray(row.target)
        for name, one in (("text ", np.where(target == IGNORE, ids, target)), ("shown", ids)):
            lines.append(f"{name}  {' '.join(tokenizer.convert_ids_to_tokens(one.tolist()))}")
    return lines
