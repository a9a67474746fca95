"""Corpora of PaddleNLP's data tools: ``PREFIX_ids.npy`` and ``PREFIX_idx.npz``, in both directions.

PaddleNLP marks that a Chinese character belongs to the word before it in the id itself: behind the vocabulary it has a
second id, ``##X``, for every character from U+4E00 to U+9FA5 that is a token and has no such piece yet, in the order of
the vocabulary (``extend_chinese_char`` in its tokenizers).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from hub_core.corpus.store import (
    IDS,
    INDEX,
    WORDS,
    Corpus,
    about_path,
    beside,
    check_prefix,
    describe_tokenizer,
    token_type,
    write_about,
    write_index,
)
from hub_core.errors import DataError, NotFoundError, SettingsError
from hub_core.examples import Array
from hub_core.paths import atomic_file, sha256_file
from hub_core.text.tokenizer import Tokenizer

#: Tokens that are worked on together.
_BLOCK = 1 << 22


def import_paddlenlp(prefix: str | Path, output: str | Path, tokenizer: Tokenizer) -> Corpus:
    """Make a corpus of PaddleNLP's files. `tokenizer` is the one that they were made with, which they do not say.

    Raises NotFoundError and DataError for files that are missing or of another form, SettingsError where an id is none
    of the tokenizer's, and where `output` stands already, or is a folder.
    """
    source, target = Path(prefix), Path(output)
    check_prefix(source)
    check_prefix(target)
    _check_free(target)
    if target.resolve() == source.resolve():
        raise SettingsError(f"{target} is what is read; name another --output")
    ids, lengths, documents = _read(source)
    pieces = _Pieces(tokenizer)
    with atomic_file(beside(target, IDS)) as first, atomic_file(beside(target, WORDS)) as second:
        plain, joined = _empty(first, token_type(tokenizer.vocab_size), len(ids)), _empty(second, np.bool_, len(ids))
        for start in range(0, len(ids), _BLOCK):
            block = np.asarray(ids[start : start + _BLOCK]).astype(np.int64)
            if len(block) and (block.min() < 0 or block.max() >= pieces.size):
                raise SettingsError(
                    f"{source}: id {int(block.max())} is none of this tokenizer's ({pieces.size - 1} is the last, "
                    "marked characters included); it was made with another"
                )
            plain[start : start + len(block)] = pieces.plain[block]
            joined[start : start + len(block)] = pieces.marked[block]
        # A sentence begins with a unit of its own.
        joined[np.concatenate([[0], np.cumsum(lengths[:-1], dtype=np.int64)])] = False
        units = bool(joined.any())
        plain.flush()
        joined.flush()
        unknown = sum(
            int((plain[start : start + _BLOCK] == tokenizer.unk_id).sum()) for start in range(0, len(ids), _BLOCK)
        )
    write_index(target, lengths, documents)
    record = {
        "tokenizer": describe_tokenizer(tokenizer),
        "options": {"made_by": "PaddleNLP", "whole_word": "given" if units else "none"},
        "sources": {str(path): sha256_file(path) for path in (beside(source, IDS), beside(source, INDEX))},
        "counts": {
            "tokens": len(ids),
            "sentences": len(lengths),
            "documents": len(documents) - 1,
            "unknown": unknown,
        },
    }
    write_about(target, record)
    return Corpus.open(target, tokenizer)


def export_paddlenlp(corpus: Corpus, output: str | Path, tokenizer: Tokenizer) -> None:
    """Write a corpus as PaddleNLP's tools would: characters that belong to the word before them by their second id.

    What else belongs to the word before it keeps its id: PaddleNLP knows no mark for it. Raises SettingsError where a
    corpus of the hub's, whose files have the same names, stands at `output`, and where that is a folder.
    """
    target, pieces = Path(output), _Pieces(tokenizer)
    check_prefix(target)
    _check_free(target)
    with atomic_file(beside(target, IDS)) as staged:
        out = _empty(staged, token_type(pieces.size), len(corpus.ids))
        for start in range(0, len(corpus.ids), _BLOCK):
            block = corpus.ids[start : start + _BLOCK].astype(np.int64)
            out[start : start + len(block)] = np.where(
                corpus.joined[start : start + _BLOCK], pieces.with_mark[block], block
            )
        out.flush()
    write_index(target, corpus.lengths.astype(np.int32), corpus.documents.astype(np.int64))


def _check_free(target: Path) -> None:
    """Raise SettingsError where there is a corpus of the hub's."""
    if about_path(target).exists():
        raise SettingsError(f"there is a corpus {target}; name another --output, or remove it")


class _Pieces:
    """What ids mean to PaddleNLP: without their mark, whether they are marked, and the marked one of each."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        vocabulary = tokenizer.get_vocab()
        ordered = sorted(vocabulary, key=vocabulary.__getitem__)
        count = tokenizer.vocab_size
        extended = [token for token in ordered if _is_marked(token) and f"##{token}" not in vocabulary]
        self.size = count + len(extended)
        self.plain = np.arange(self.size)
        self.marked = np.zeros(self.size, dtype=np.bool_)
        self.with_mark = np.arange(count)
        for token, number in vocabulary.items():
            if token.startswith("##") and len(token) > 2:
                self.marked[number] = True
                if _is_marked(token[2:]) and token[2:] in vocabulary:
                    self.plain[number] = vocabulary[token[2:]]
                    self.with_mark[vocabulary[token[2:]]] = number
        for place, token in enumerate(extended, start=count):
            self.plain[place], self.marked[place] = vocabulary[token], True
            self.with_mark[vocabulary[token]] = place


def _is_marked(token: str) -> bool:
    return len(token) == 1 and 0x4E00 <= ord(token) <= 0x9FA5


def _read(prefix: Path) -> tuple[Any, Array, Array]:
    """Ids (on disk), lengths of sentences, and sentences before each document; those without a token do not count."""
    for ending in (IDS, INDEX):
        if not beside(prefix, ending).is_file():
            raise NotFoundError(f"no file {beside(prefix, ending)}; a corpus of PaddleNLP has {IDS} and {INDEX}")
    try:
        ids = np.load(beside(prefix, IDS), mmap_mode="r", allow_pickle=False)
        with np.load(beside(prefix, INDEX), allow_pickle=False) as index:
            lengths, documents = index["lens"], index["docs"]
    except (OSError, ValueError, KeyError) as error:
        raise DataError([f"{prefix}: {error}"]) from error
    bounds = np.asarray(documents).astype(np.int64)
    whole = len(bounds) and bounds[0] == 0 and bounds[-1] == len(lengths) and bool((np.diff(bounds) >= 0).all())
    if not whole or int(lengths.sum(dtype=np.int64)) != len(ids):
        raise DataError([f"{prefix}: its two files are not of one corpus"])
    if not len(ids):
        raise DataError([f"{prefix}: a corpus without a token"])
    full = lengths > 0
    return ids, lengths[full], np.concatenate([[0], np.cumsum(full)])[bounds]


def _empty(path: Path, kind: Any, size: int) -> Any:
    """A new array on disk."""
    return np.lib.format.open_memmap(path, mode="w+", dtype=kind, shape=(size,))
