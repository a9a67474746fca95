"""Documents to token ids and units: what every worker does with its share."""

from __future__ import annotations

import hashlib
import re
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed_version
from itertools import chain, pairwise
from pathlib import Path
from typing import Any

import numpy as np

from hub_core.corpus.reading import Document
from hub_core.corpus.sentences import split_sentences
from hub_core.corpus.store import token_type
from hub_core.corpus.units import EntityFinder, Lexicon
from hub_core.errors import DataError, SettingsError, unknown
from hub_core.examples import Array
from hub_core.plugins import PLUGIN_FILE, catalog, source_of
from hub_core.text.tokenizer import Tokenizer

#: Pieces of text up to this many characters are remembered with their tokens, so many of them.
_REMEMBERED, _MOST_REMEMBERED = 24, 200_000
#: Between sentences while a whole share is tokenised at once; no sentence has it.
_BREAK = "\n"
#: Of a character that has no id of its own: it is a part of a piece of text, or it is nothing and ends one.
_IN_A_PIECE, _NO_TOKEN = -1, -2
#: Signs that a space follows where a word in letters does.
_CLOSING = ".,;:!?)]}"
#: Kana, and ideographs: of the radicals, the main blocks, those for compatibility, and the planes behind.
_UNSPACED = re.compile(
    "[\u2e80-\u2fdf\u3005-\u3007\u3040-\u30ff\u31f0-\u31ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]"
)
#: Where sentences may end.
_SENTENCES = ("split", "lines")
#: What `EncodeOptions.whole_word` may be beside a segmenter.
_NO_SEGMENTER = ("given", "none")


def _segmenter(name: str) -> Any:
    """A segmenter's class. Raises NotFoundError with the known names."""
    return catalog().get("segmenter", name, beside=_NO_SEGMENTER)


def _version(segmenter: Any) -> str | None:
    """The distribution that decides how a segmenter cuts, and its version, where it names one that is installed."""
    package = getattr(segmenter, "package", None)
    try:
        return package and f"{package} {installed_version(package)}"
    except PackageNotFoundError:
        return None  # the segmenter says what is missing when it cuts


@dataclass(frozen=True)
class EncodeOptions:
    """How documents become tokens.

    - `whole_word`: the segmenter whose words stay whole under masking (``jieba``, ``rjieba``, a plugin's), ``none``
      (a token is a unit), or ``given``: the text is cut into words already, by `word_separator`.
    - `sentences`: ``split`` ends them at punctuation (where a word ends, if words are given), ``lines`` at line ends.
    - `lexicon`: phrases that are units where they begin and end with a word; `entities`: a module (for token-cls) that
      finds more of them, which may end within a word.
    """

    whole_word: str = "jieba"
    sentences: str = "split"
    word_separator: str = " "
    lexicon: tuple[str, ...] = ()
    entities: str | None = None

    def __post_init__(self) -> None:
        if self.sentences not in _SENTENCES:
            raise SettingsError(unknown("way to end sentences", self.sentences, _SENTENCES))
        if not self.word_separator:
            raise SettingsError("word_separator='' parts no words (--word-separator)")
        if isinstance(self.lexicon, str):
            raise SettingsError("lexicon is a tuple of phrases, not one string; read_lexicon reads them from a file")

    @property
    def record(self) -> dict[str, Any]:
        """The options as plain data: of the phrases a hash, and which segmenter and module the names mean today."""
        phrases = hashlib.sha256("\n".join(self.lexicon).encode("utf-8", "surrogatepass")).hexdigest()
        return {
            **asdict(self),
            "lexicon": phrases if self.lexicon else None,
            "segmenter": None if self.whole_word in _NO_SEGMENTER else _version(_segmenter(self.whole_word)),
            "entities": self.entities and EntityFinder(self.entities).identity,
        }


@dataclass(frozen=True)
class Encoded:
    """What became of some documents: arrays as `hub_core.corpus.store.Corpus` has them, and sentences per document."""

    ids: Array
    joined: Array
    lengths: Array
    sentences: Array
    characters: int
    unknown: int


@dataclass(frozen=True)
class _Share:
    """The sentences of some documents: each with the words it was given as, if it was, and its document's number."""

    documents: Sequence[Document]
    sentences: list[str]
    words: list[Sequence[str]]
    owners: list[int]

    @cached_property
    def text(self) -> str:
        """The sentences with breaks between them."""
        return _BREAK.join(self.sentences)

    @cached_property
    def starts(self) -> Array:
        """Where each sentence begins in the text, and where one more would."""
        lengths = np.array([0, *map(len, self.sentences)], dtype=np.int64)
        return np.cumsum(lengths) + np.arange(len(lengths))

    def word_ends(self, words: Sequence[Sequence[str]]) -> Array:
        """By character of the text: whether one of the words that each sentence is cut into ends before it.

        Words may leave out white space. Raises DataError where they leave out more.
        """
        found = np.zeros(len(self.text) + 2, dtype=np.bool_)
        counts = np.fromiter(map(len, words), dtype=np.int64, count=len(words))
        lengths = np.fromiter((len(word) for cut in words for word in cut), dtype=np.int64, count=int(counts.sum()))
        bounds = np.concatenate([[0], np.cumsum(counts)])
        ends = np.concatenate([[0], np.cumsum(lengths)])
        found[ends[1:] + np.repeat(self.starts[:-1] - ends[bounds[:-1]], counts)] = True
        for number in np.flatnonzero(np.diff(ends[bounds]) != np.diff(self.starts) - 1).tolist():
            start, sentence = int(self.starts[number]), self.sentences[number]
            placed = _spans_of(words[number], sentence)
            if placed is None:
                where = self.documents[self.owners[number]].where
                raise DataError([f"{where}: the segmenter's words are not the text: {sentence[:40]!r}"])
            found[start : start + len(sentence)] = False
            found[start + np.array(placed, dtype=np.int64).flatten()] = True
        return found


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
        # A module may bring its tokenizer's code; it ran here, so it was agreed to.
        if (source := source_of(type(tokenizer))) is not None:
            files[PLUGIN_FILE] = source
        return cls(files, manifest, options)

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self._files, self._manifest, self._options)

    def __call__(self, documents: Sequence[Document]) -> Encoded:
        """Encode documents; those without a token are left out."""
        share = self._share(documents)
        starts = share.starts
        ids, first, last = self._tokens(share.text)
        joined = np.zeros(len(ids), dtype=np.bool_)
        if self._has_units:
            # Units that end before each character, and before all of the text: what ends between two tokens parts them.
            ended = np.concatenate([[0], np.cumsum(self._unit_ends(share))])
            # Tokens of one word may all have the span of the whole word: they begin before the last one ends.
            joined[1:] = (first[1:] < last[:-1]) | (ended[first[1:] + 1] == ended[last[:-1]])
        counts = np.bincount(np.searchsorted(starts, first, side="right") - 1, minlength=len(share.sentences))
        kept = counts > 0
        per_document = np.bincount(np.array(share.owners, dtype=np.int64)[kept], minlength=len(documents))
        return Encoded(
            ids.astype(token_type(self._tokenizer.vocab_size)),
            joined,
            counts[kept].astype(np.int32),
            per_document[per_document > 0],
            sum(map(len, share.sentences)),
            int((ids == self._tokenizer.unk_id).sum()),
        )

    def _share(self, documents: Sequence[Document]) -> _Share:
        sentences: list[str] = []
        words: list[Sequence[str]] = []
        owners: list[int] = []
        for number, document in enumerate(documents):
            for sentence, given in self._sentences(document):
                sentences.append(sentence)
                words.append(given)
                owners.append(number)
        return _Share(documents, sentences, words, owners)

    @property
    def _has_units(self) -> bool:
        return self._options.whole_word != "none" or bool(self._options.lexicon or self._options.entities)

    def _unit_ends(self, share: _Share) -> Array:
        """By character of the share's text: whether a unit ends before it."""
        if self._options.whole_word == "none":
            ends = np.ones(len(share.text) + 2, dtype=np.bool_)
        elif self._options.whole_word == "given":
            ends = share.word_ends(share.words)
        else:
            ends = self._segmented(share)
        ends[share.starts[:-1]] = ends[share.starts[1:] - 1] = True
        if self._options.lexicon or self._options.entities:
            bounds = [ends[begin:end].copy() for begin, end in pairwise(share.starts.tolist())]
            for begin, spans in zip(share.starts.tolist(), self._spans(share.sentences, bounds), strict=False):
                for first, last in spans:
                    ends[begin + first + 1 : begin + last] = False
                    ends[[begin + first, begin + last]] = True
        return ends

    def _segmented(self, share: _Share) -> Array:
        """As `_unit_ends`, of the segmenter's words."""
        if getattr(self._segmenter, "by_line", False):
            words = self._segmenter.cut(share.text)
            bounds = np.cumsum(np.fromiter(map(len, ["", *words]), dtype=np.int64, count=len(words) + 1))
            if int(bounds[-1]) == len(share.text):  # it left out no white space
                ends = np.zeros(len(share.text) + 2, dtype=np.bool_)
                ends[bounds] = True
                return ends
        return share.word_ends(list(map(self._segmenter.cut, share.sentences)))

    def _spans(self, sentences: list[str], ends: list[Array]) -> Iterable[list[tuple[int, int]]]:
        """What is larger than a word in each sentence, of which `ends` says whether a word ends before a character.

        Phrases of the lexicon win over what the module finds.
        """
        phrases = list(map(self._lexicon.spans, sentences, ends)) if self._options.lexicon else None
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
            pieces = [text[begin:stop] for begin, stop in zip(begins.tolist(), stops.tolist(), strict=True)]
            known = {piece: self._piece(piece) for piece in set(pieces)}
            numbers, begun, ended = zip(*map(known.__getitem__, pieces), strict=True)
            offsets = np.repeat(begins, list(map(len, numbers)))
            ids.append(np.fromiter(chain.from_iterable(numbers), dtype=np.int32, count=len(offsets)))
            first.append(np.fromiter(chain.from_iterable(begun), dtype=np.int64, count=len(offsets)) + offsets)
            last.append(np.fromiter(chain.from_iterable(ended), dtype=np.int64, count=len(offsets)) + offsets)
        starts = np.concatenate(first)
        order = np.argsort(starts, kind="stable")
        return np.concatenate(ids)[order], starts[order], np.concatenate(last)[order]

    def _piece(self, text: str) -> tuple[list[int], list[int], list[int]]:
        """The tokens of a piece: ids, and the first and the one-past-last character of each."""
        known = self._pieces.get(text)
        if known is None:
            # A text that speaks of [MASK] has none: what spells a special token out is cut after its first character.
            cuts = [0, *(match.start() + 1 for match in self._spelt.finditer(text)), len(text)]
            parts = [(start, self._tokenizer.encode_with_offsets(text[start:end])) for start, end in pairwise(cuts)]
            offsets = np.concatenate([start + spans for start, (_, spans) in parts])
            known = [one for _, (ids, _) in parts for one in ids], offsets[:, 0].tolist(), offsets[:, 1].tolist()
            if len(text) <= _REMEMBERED and len(self._pieces) < _MOST_REMEMBERED:
                self._pieces[text] = known
        return known

    def _sentences(self, document: Document) -> Iterable[tuple[str, Sequence[str]]]:
        """The sentences of a document, each with its words where they are given."""
        for line in document.lines:
            if self._options.whole_word == "given":
                words = [word for word in line.split(self._options.word_separator) if word]
                yield from [_from_words(words)] if self._options.sentences == "lines" else _split_words(words)
            else:
                for sentence in [line] if self._options.sentences == "lines" else split_sentences(line):
                    yield sentence, ()

    @cached_property
    def _tokenizer(self) -> Tokenizer:
        with tempfile.TemporaryDirectory(prefix="hub-corpus-") as name:
            for path, content in self._files.items():
                place = Path(name) / path
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_bytes(content)
            known = catalog()
            if PLUGIN_FILE in self._files:
                known = known.with_module("corpus", "tokenizer", Path(name))
            kind: type[Tokenizer] = known.get("tokenizer", str(self._manifest["type"]))
            return kind.from_folder(Path(name), self._manifest)

    @cached_property
    def _segmenter(self) -> Any:
        return _segmenter(self._options.whole_word)()

    @cached_property
    def _lone(self) -> Array:
        """The id of every character that is a token wherever it stands, by code point; a negative number for others."""
        known = {_BREAK: None, **self._tokenizer.lone_characters()}
        table = np.full(max(map(ord, known)) + 2, _IN_A_PIECE, dtype=np.int32)
        for character, number in known.items():
            table[ord(character)] = _NO_TOKEN if number is None else number
        return table

    @cached_property
    def _spelt(self) -> re.Pattern[str]:
        """What special tokens look like in a text."""
        tokens = self._tokenizer.convert_ids_to_tokens(sorted(self._tokenizer.special_ids))
        return re.compile("|".join(re.escape(token) for token in tokens if len(token) > 1) or r"(?!)")

    @cached_property
    def _pieces(self) -> dict[str, tuple[list[int], list[int], list[int]]]:
        return {}


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


def _from_words(words: Iterable[str]) -> tuple[str, list[str]]:
    """A text that is given as words, and its parts: the words, and the space between two of a script that has it."""
    parts: list[str] = []
    for word in words:
        if parts and _is_spaced(word[0]):
            last = parts[-1][-1]
            if _is_spaced(last) or (last in _CLOSING and word[0].isalpha()):
                parts.append(" ")
        parts.append(word)
    return "".join(parts), parts


def _split_words(words: Sequence[str]) -> Iterable[tuple[str, list[str]]]:
    """The sentences of a text that is given as words: each ends with a word."""
    text, parts = _from_words(words)
    ends = iter(_ends(split_sentences(text), text))
    sentence: list[str] = []
    place, end = 0, next(ends, 0)
    for part in parts:
        place += len(part)
        if sentence or part != " ":
            sentence.append(part)
        if place >= end:
            yield "".join(sentence), sentence
            sentence = []
            end = next((later for later in ends if later > place), len(text))


def _ends(pieces: Iterable[str], text: str) -> Iterable[int]:
    """Where pieces of a text end that stand in it in this order."""
    place = 0
    for piece in pieces:
        place = text.index(piece, place) + len(piece)
        yield place


def _is_spaced(character: str) -> bool:
    """A letter or digit of a script that has spaces between words; Chinese and Japanese have none."""
    return character.isalnum() and not _UNSPACED.match(character)
