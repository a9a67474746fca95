"""A WordPiece vocabulary out of text: the characters that it has, and the pieces that its other words are made of."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from hub_core.corpus.reading import ReadOptions, find_sources, read_documents
from hub_core.errors import DataError, SettingsError
from hub_core.text.fast import BERT_SPECIALS
from hub_core.text.wordpiece import wordpiece_backend


def train_vocabulary(
    inputs: Sequence[str | Path],
    *,
    size: int = 8000,
    characters: int | None = None,
    min_count: int = 2,
    lowercase: bool = True,
    symbols: str = "isolate",
    read: ReadOptions | None = None,
) -> list[str]:
    """The tokens of a vocabulary for ``wordpiece``, special ones first, in target order; one per line is a vocab.txt.

    `characters` of the `size` tokens at most are single characters, the most frequent ones (default: four fifths);
    pieces stand at least `min_count` times. `lowercase` and `symbols` are the tokenizer's options. Raises DataError
    where there is no text, SettingsError for a size that cannot be.
    """
    from tokenizers import trainers

    specials = list(BERT_SPECIALS.values())
    if size <= len(specials):
        raise SettingsError(f"a vocabulary of {size} tokens holds nothing but the {len(specials)} special ones")
    backend = wordpiece_backend(
        {token: number for number, token in enumerate(specials)}, {"lowercase": lowercase, "symbols": symbols}
    )
    trainer = trainers.WordPieceTrainer(
        vocab_size=size,
        min_frequency=min_count,
        special_tokens=specials,
        limit_alphabet=characters or size * 4 // 5,
        continuing_subword_prefix="##",
        show_progress=False,
    )
    backend.train_from_iterator(_texts(inputs, read or ReadOptions()), trainer)
    found = backend.get_vocab(with_added_tokens=True)
    if len(found) == len(specials):
        raise DataError([f"{', '.join(map(str, inputs))}: no text to count"])
    return sorted(found, key=found.__getitem__)


def _texts(inputs: Sequence[str | Path], options: ReadOptions) -> Iterator[str]:
    for source in find_sources(inputs):
        for document in read_documents(source, options):
            yield from document.lines
