"""A corpus on disk: token ids, which of them belong together, and where sentences and documents begin.

Four files share a prefix. ``PREFIX_ids.npy`` and ``PREFIX_idx.npz`` are those of PaddleNLP's data tools: all ids in one
row (uint16 where the vocabulary allows), the length of every sentence (``lens``), and how many sentences stand before
each document (``docs``). ``PREFIX_words.npy`` says of every token whether it belongs to the same unit (a word, a name)
as the one before it. ``PREFIX.json`` comes last: what all this was made from, and how.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hub_core.errors import DataError, NotFoundError, SettingsError
from hub_core.examples import Array
from hub_core.paths import atomic_file, sha256_file, write_text

if TYPE_CHECKING:
    from hub_core.text.tokenizer import Tokenizer

IDS, WORDS, INDEX = "_ids.npy", "_words.npy", "_idx.npz"
#: The number of this format; a reader refuses others.
FORMAT = 3


@dataclass(frozen=True)
class Corpus:
    """Tokens of many documents. Arrays of tokens are read from disk as they are needed.

    - `ids` ``(tokens,)``: uint16 or int32, without special tokens.
    - `joined` ``(tokens,)``, bool: the token belongs to the unit of the token before it.
    - `lengths` ``(sentences,)``: tokens of each sentence.
    - `documents` ``(documents + 1,)``: sentences before each document, and at the end their number.
    - `about`: the record in ``PREFIX.json``.
    """

    prefix: Path
    ids: Array
    joined: Array
    lengths: Array
    documents: Array
    about: Mapping[str, Any]

    @classmethod
    def open(cls, prefix: str | Path, tokenizer: Tokenizer | None = None) -> Corpus:
        """Open a corpus that ``hub corpus build`` has written.

        Raises NotFoundError where there is none, DataError where its files do not fit together, SettingsError for a
        folder, and where it was made with another tokenizer than `tokenizer`.
        """
        prefix = Path(prefix)
        about = read_about(prefix)
        if tokenizer is not None:
            check_tokenizer(about, tokenizer, where=prefix)
        try:
            ids = np.load(beside(prefix, IDS), mmap_mode="r", allow_pickle=False)
            joined = np.load(beside(prefix, WORDS), mmap_mode="r", allow_pickle=False)
            with np.load(beside(prefix, INDEX), allow_pickle=False) as index:
                lengths, documents = index["lens"], index["docs"]
        except (OSError, ValueError, KeyError) as error:
            raise DataError([f"{prefix}: {error}; {_remedy(prefix)}"]) from error
        corpus = cls(prefix, ids, joined, lengths, documents, about)
        corpus._check()
        return corpus

    def __reduce__(self) -> tuple[object, ...]:
        # Worker processes that are not forked open it too: pickled, the arrays on disk would be copied.
        return Corpus.open, (self.prefix,)

    def _check(self) -> None:
        """Raise DataError where the arrays are not those that the record speaks of."""
        found = {"tokens": len(self.ids), "sentences": len(self.lengths), "documents": len(self.documents) - 1}
        problems = [
            f"{self.prefix}: {count:,} {what}, but {self.about['counts'][what]:,} were written"
            for what, count in found.items()
            if count != self.about["counts"][what]
        ]
        if len(self.joined) != len(self.ids) or int(self.lengths.sum(dtype=np.int64)) != len(self.ids):
            problems.append(f"{self.prefix}: its files are of different lengths")
        if problems:
            raise DataError([f"{problem}; {_remedy(self.prefix)}" for problem in problems])

    @cached_property
    def starts(self) -> Array:
        """Tokens before each sentence, and at the end their number: int64 ``(sentences + 1,)``."""
        return np.concatenate([[0], np.cumsum(self.lengths, dtype=np.int64)])

    @property
    def has_units(self) -> bool:
        """Whether it was built with words, phrases or entities that stay whole."""
        options = self.about["options"]
        return options.get("whole_word") != "none" or bool(options.get("lexicon") or options.get("entities"))

    def check_order(self) -> None:
        """Raise DataError where no document has two sentences: there is no order to learn."""
        if not (np.diff(self.documents) > 1).any():
            raise DataError(
                [
                    f"{self.prefix}: no document has two sentences, so there is no order of them to learn; build it of "
                    "whole documents (blank lines between them, `--sentences split`), or choose --objective mlm"
                ]
            )

    def fingerprint(self) -> str:
        """What tells this corpus from others: a hash of what is in it, wherever its text lay."""
        told = {key: self.about[key] for key in ("tokenizer", "files")}
        return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:16]

    def verify(self) -> None:
        """Read all of it, and raise DataError where the files are not those that were written."""
        changed = [name for name, digest in _digests(self.prefix).items() if digest != self.about["files"].get(name)]
        if changed:
            remedy = _remedy(self.prefix)
            raise DataError([f"{self.prefix}{name} has changed since it was written; {remedy}" for name in changed])


def check_prefix(prefix: Path) -> None:
    """Raise SettingsError for what is no prefix of the names of a corpus's files."""
    if prefix.name in ("", "..") or (prefix.is_dir() and not about_path(prefix).exists()):
        raise SettingsError(f"{prefix} is a folder, no prefix of file names such as corpus/all")


def _remedy(prefix: Path) -> str:
    return f"remove {about_path(prefix)}, and build the corpus again"


def beside(prefix: Path, ending: str) -> Path:
    """A file of a corpus."""
    return prefix.with_name(prefix.name + ending)


def about_path(prefix: Path) -> Path:
    """The record of a corpus, whose presence says that it is complete."""
    return beside(prefix, ".json")


def write_index(prefix: Path, lengths: Array, documents: Array) -> None:
    """Write the tokens of every sentence, and the sentences before every document, as PaddleNLP has them."""
    with atomic_file(beside(prefix, INDEX)) as staged, staged.open("wb") as stream:
        np.savez(stream, lens=lengths, docs=documents)


def write_about(prefix: Path, record: Mapping[str, Any]) -> None:
    """Write the record of a corpus, with hashes of its files: last, since it says that the corpus is complete."""
    whole = {"format": FORMAT, **record, "files": _digests(prefix)}
    write_text(about_path(prefix), json.dumps(whole, ensure_ascii=False, indent=1) + "\n")


def _digests(prefix: Path) -> dict[str, str]:
    """The sha256 of a corpus's files, by the ends of their names."""
    return {ending: sha256_file(beside(prefix, ending)) for ending in (IDS, WORDS, INDEX)}


def token_type(size: int) -> np.dtype[Any]:
    """How ids of a vocabulary of `size` are stored: as PaddleNLP does it."""
    return np.dtype(np.uint16 if size < 65535 else np.int32)


def describe_tokenizer(tokenizer: Tokenizer) -> dict[str, Any]:
    """What decides which ids a text gets: the tokenizer's kind and options, and a hash of its vocabulary."""
    return {
        "manifest": tokenizer.manifest(),
        "size": tokenizer.vocab_size,
        "sha256": tokenizer.vocabulary_hash(),
    }


def check_tokenizer(about: Mapping[str, Any], tokenizer: Tokenizer, *, where: Path) -> None:
    """Raise SettingsError where a corpus was made with another tokenizer, or with other options of the same."""
    made, now = about["tokenizer"], json.loads(json.dumps(describe_tokenizer(tokenizer)))
    # How long a row may be does not change which ids a text has.
    options = [{**one["manifest"], "max_length": None} for one in (made, now)]
    if made["sha256"] != now["sha256"]:
        theirs, ours = (f"{one['size']:,} tokens, sha256 {one['sha256'][:12]}..." for one in (made, now))
        raise SettingsError(
            f"{where} was built with another vocabulary ({theirs}) than the module's ({ours}); build it again with "
            "the module, or its vocab.txt, as --tokenizer"
        )
    if options[0] != options[1]:
        different = sorted(
            key for key in options[0].keys() | options[1].keys() if options[0].get(key) != options[1].get(key)
        )
        told = ", ".join(f"{key}={options[0].get(key)!r} (the module's: {options[1].get(key)!r})" for key in different)
        raise SettingsError(f"{where} was built with a tokenizer of other options: {told}; build it again")


def read_about(prefix: Path) -> dict[str, Any]:
    check_prefix(prefix)
    path = about_path(prefix)
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        began = beside(prefix, ".building").is_dir()
        remedy = (
            "its build did not end: the same `hub corpus build` goes on, or says what stops it"
            if began
            else "see `hub corpus build`"
        )
        if prefix.suffix == ".json" and prefix.is_file():
            remedy = f"it is called {prefix.with_suffix('')}"
        raise NotFoundError(f"no corpus {prefix} ({path.name} is not there); {remedy}") from error
    except (OSError, ValueError) as error:
        raise DataError([f"{path} cannot be read: {error}"]) from error
    if not isinstance(record, dict) or record.get("format") != FORMAT:
        found = record.get("format") if isinstance(record, dict) else None
        raise DataError(
            [
                f"{path} is of format {found!r}, this hub reads {FORMAT}; build the corpus again, under another name "
                "where this is something else"
            ]
        )
    return record
