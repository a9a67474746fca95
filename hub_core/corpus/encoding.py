"""Documents to token ids and units: what every worker does with its share."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from hub_core.corpus.reading import Document
from hub_core.corpus.sentences import split_sentences
from hub_core.corpus.store import token_type
from hub_core.corpus.units import EntityFinder, Lexicon
from hub_core.errors import DataError
from hub_core.examples import Array
from hub_core.plugins import catalog
from hub_core.text.tokenizer import Tokenizer

#: Pieces of text up to this many characters are remembered with their tokens, so many of them.
_REMEMBERED, _MOST_REMEMBERED = 24, 200_000
#: Between sentences while a whole share is tokenised at once; no sentence has it.
_BREAK = "\n"
#: Of a character that has no id of its own: it is a part of a piece of text, or it is nothing and ends one.
_IN_A_PIECE, _NO_TOKEN = -1, -2


@dataclass(frozen=True)
class EncodeOptions:
    """How documents become tokens.

    - `whole_word`: the segmenter whose words stay whole under masking (``jieba``, ``rjieba``, a plugin's), ``none``
      (a token is a unit), or ``given``: the text is cut into words already, by `word_separator`.
    - `sentences`: ``split`` ends them at punctuation, ``lines`` at line ends.
    - `lexicon`: phrases that are units where they stand; `entities`: a module (for token-cls) that finds more of them.
    """

    whole_word: str = "jieba"
    sentences: str = "split"
    word_separator: str = " "
    lexicon: tuple[str, ...] = ()
    entities: str | None = None

    @property
    def record(self) -> dict[str, Any]:
        """The options as plain data; of the phrases a hash."""
        phrases = hashlib.sha256("\n".join(self.lexicon).encode("utf-8", "surrogatepass")).hexdigest()
        return {**asdict(self), "lexicon": phrases if self.lexicon else None}


@dataclass(frozen=True)
class Encoded:
    """What became of some documents: arrays as `hub_core.corpus.store.Corpus` has them, and sentences per document."""

    ids: Array
    joined: Array
    lengths: Array
    sentences: Array
    characters: int
    unknown: int


class Encoder:
    """Encodes documents. Travels to other machines as the tokenizer's files, and loads them there when it is used."""

    def __init__(self, files: Mapping[str, bytes], manifest: Mapping[str, Any], options: EncodeOptions) -> None:
        self._files, self._manifest, self._options = files, manifest, options

    @classmethod
    def of(cls, tokenizer: Tokenizer, options: EncodeOptions) -> Encoder:
        """The encoder with this tokenizer."""
        with tempfile.TemporaryDirectory(prefix="hub-corpus-") as name:
            folder = Path(name)
            manifest = tokenizer.save(folder)
            files = {
                str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()
            }
        return cls(files, manifest, options)

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self._files, self._manifest, self._options)

    def __call__(self, documents: Sequence[Document]) -> Encoded:
        """Encode documents; those without a token are left out."""
        sentences: list[str] = []
        given: list[Sequence[str]] = []
        owners: list[int] = []
        for number, document in enumerate(documents):
            for sentence, found in self._sentences(document):
                sentences.append(sentence)
                given.append(found)
                owners.append(number)
        text = _BREAK.join(sentences)
        ids, first, last = self._tokens(text)
        starts = np.cumsum([0, *map(len, sentences)], dtype=np.int64) + np.arange(len(sentences) + 1)
        joined = np.zeros(len(ids), dtype=np.bool_)
        if self._has_units:
            cut = np.full(len(text) + 2, self._options.whole_word == "none")
            if self._options.whole_word != "none" and not self._cut_at_once(cut, text):
                words = given if self._options.whole_word == "given" else list(map(self._segmenter.cut, sentences))
                _cut_each(cut, words, sentences, starts, [documents[owner].where for owner in owners])
            cut[starts[:-1]] = cut[starts[1:] - 1] = True
            self._join_spans(cut, sentences, starts)
            # Tokens of one word may all have the span of the whole word: they begin before the last one ends.
            joined[1:] = (first[1:] < last[:-1]) | ((first[1:] == last[:-1]) & ~cut[first[1:]])
        counts = np.bincount(np.searchsorted(starts, first, side="right") - 1, minlength=len(sentences))
        kept = counts > 0
        per_document = np.bincount(np.array(owners, dtype=np.int64)[kept], minlength=len(documents))
        return Encoded(
            ids.astype(token_type(self._tokenizer.vocab_size)),
            joined,
            counts[kept].astype(np.int32),
            per_document[per_document > 0],
            int(starts[-1]) - len(sentences),
            int((ids == self._tokenizer.unk_id).sum()),
        )

    @property
    def _has_units(self) -> bool:
        return self._options.whole_word != "none" or bool(self._options.lexicon or self._options.entities)

    def _cut_at_once(self, cut: Array, text: str) -> bool:
        """Set where words end in sentences with breaks between them, by one call of a segmenter that reads by line.

        Returns False, and sets nothing, for another segmenter, and where words are left out.
        """
        if self._options.whole_word == "given" or not getattr(self._segmenter, "by_line", False):
            return False
        words = self._segmenter.cut(text)
        ends = np.cumsum(np.fromiter(map(len, words), dtype=np.int64, count=len(words)))
        if len(ends) and int(ends[-1]) != len(text):
            return False
        cut[ends] = True
        return True

    def _join_spans(self, cut: Array, sentences: list[str], starts: Array) -> None:
        """Set that nothing ends within what is larger than a word."""
        if not self._options.lexicon and not self._options.entities:
            return
        for begin, spans in zip(starts.tolist(), self._spans(sentences), strict=False):
            for first, last in spans:
                cut[begin + first + 1 : begin + last] = False
                cut[[begin + first, begin + last]] = True

    def _spans(self, sentences: list[str]) -> Iterable[list[tuple[int, int]]]:
        """What is larger than a word in each sentence; phrases of the lexicon win over what the module finds."""
        phrases = [self._lexicon.spans(sentence) for sentence in sentences] if self._options.lexicon else None
        found = self._finder.spans(sentences) if self._options.entities else None
        empty: list[list[tuple[int, int]]] = [[] for _ in sentences]
        return ([*more, *known] for known, more in zip(phrases or empty, found or empty, strict=True))

    @cached_property
    def _lexicon(self) -> Lexicon:
        return Lexicon(self._options.lexicon)

    @cached_property
    def _finder(self) -> EntityFinder:
        return EntityFinder(self._options.entities or "")

    def _tokens(self, text: str) -> tuple[Array, Array, Array]:
        """Ids, and the first and the one-past-last character of each, of sentences with breaks between them.

        What always stands alone is looked up, all at once; the pieces between are tokenised, and remembered.
        """
        codes = np.frombuffer(text.encode("utf-32-le"), dtype=np.uint32)
        found = self._lone[np.minimum(codes, len(self._lone) - 1)]
        alone = np.flatnonzero(found >= 0)
        ids, first, last = [found[alone]], [alone], [alone + 1]
        others = np.flatnonzero(found == _IN_A_PIECE)
        if len(others):
            gaps = np.flatnonzero(np.diff(others) > 1)
            begins = others[np.concatenate([[0], gaps + 1])]
            stops = others[np.concatenate([gaps, [len(others) - 1]])] + 1
            more: list[int] = []
            begun: list[int] = []
            ended: list[int] = []
            counts: list[int] = []
            for begin, stop in zip(begins.tolist(), stops.tolist(), strict=True):
                numbers, from_here, to_here = self._piece(text[begin:stop])
                more += numbers
                begun += from_here
                ended += to_here
                counts.append(len(numbers))
            offsets = np.repeat(begins, counts)
            ids.append(np.array(more, dtype=np.int32))
            first.append(np.array(begun, dtype=np.int64) + offsets)
            last.append(np.array(ended, dtype=np.int64) + offsets)
        starts = np.concatenate(first)
        order = np.argsort(starts, kind="stable")
        return np.concatenate(ids)[order], starts[order], np.concatenate(last)[order]

    def _piece(self, text: str) -> tuple[list[int], list[int], list[int]]:
        """The tokens of a piece: ids, and the first and the one-past-last character of each."""
        known = self._pieces.get(text)
        if known is None:
            ids, offsets = self._tokenizer.encode_with_offsets(text)
            known = ids, offsets[:, 0].tolist(), offsets[:, 1].tolist()
            if len(text) <= _REMEMBERED and len(self._pieces) < _MOST_REMEMBERED:
                self._pieces[text] = known
        return known

    def _sentences(self, document: Document) -> Iterable[tuple[str, Sequence[str]]]:
        """The sentences of a document, each with its words where they are given."""
        for line in document.lines:
            if self._options.whole_word == "given":
                yield _from_words([word for word in line.split(self._options.word_separator) if word])
            else:
                for sentence in [line] if self._options.sentences == "lines" else split_sentences(line):
                    yield sentence, ()

    @cached_property
    def _tokenizer(self) -> Tokenizer:
        kind: type[Tokenizer] = catalog().get("tokenizer", str(self._manifest["type"]))
        with tempfile.TemporaryDirectory(prefix="hub-corpus-") as name:
            for path, content in self._files.items():
                place = Path(name) / path
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_bytes(content)
            return kind.from_folder(Path(name), self._manifest)

    @cached_property
    def _segmenter(self) -> Any:
        return catalog().get("segmenter", self._options.whole_word)()

    @cached_property
    def _lone(self) -> Array:
        """The id of every character that is a token wherever it stands, by code point; a negative number for others."""
        known = {_BREAK: None, **self._tokenizer.lone_characters()}
        table = np.full(max(map(ord, known)) + 2, _IN_A_PIECE, dtype=np.int32)
        for character, number in known.items():
            table[ord(character)] = _NO_TOKEN if number is None else number
        return table

    @cached_property
    def _pieces(self) -> dict[str, tuple[list[int], list[int], list[int]]]:
        return {}


def _cut_each(
    cut: Array, words: Sequence[Sequence[str]], sentences: Sequence[str], starts: Array, where: Sequence[str]
) -> None:
    """Set where words end in sentences with breaks between them; a segmenter may drop white space, and nothing else.

    Raises DataError where it drops more.
    """
    counts = np.fromiter(map(len, words), dtype=np.int64, count=len(words))
    lengths = np.fromiter((len(word) for found in words for word in found), dtype=np.int64, count=int(counts.sum()))
    bounds = np.concatenate([[0], np.cumsum(counts)])
    ends = np.concatenate([[0], np.cumsum(lengths)])
    cut[ends[1:] + np.repeat(starts[:-1] - ends[bounds[:-1]], counts)] = True
    for number in np.flatnonzero(np.diff(ends[bounds]) != np.diff(starts) - 1).tolist():
        start, sentence = int(starts[number]), sentences[number]
        placed = _spans_of(words[number], sentence)
        if placed is None:
            raise DataError([f"{where[number]}: the segmenter's words are not the text: {sentence[:40]!r}"])
        cut[start : start + len(sentence)] = False
        cut[start + np.array(placed, dtype=np.int64).flatten()] = True


def _spans_of(words: Sequence[str], sentence: str) -> list[tuple[int, int]] | None:
    """Where words stand in a sentence; None where more than white space stands between them."""
    spans: list[tuple[int, int]] = []
    place = 0
    for word in words:
        start = sentence.find(word, place)
        if start < 0 or sentence[place:start].strip():
            return None
        place = start + len(word)
        spans.append((start, place))
    return None if sentence[place:].strip() else spans


def _from_words(words: Sequence[str]) -> tuple[str, list[str]]:
    """A text that is given as words, and its parts: the words, and the space between two of Latin letters."""
    parts: list[str] = []
    for word in words:
        if parts and _is_latin(parts[-1][-1]) and _is_latin(word[0]):
            parts.append(" ")
        parts.append(word)
    return "".join(parts), parts


def _is_latin(character: str) -> bool:
    return character.isascii() and character.isalnum()
