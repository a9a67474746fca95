"""Tokenizers of whole units, characters or words, for networks that are trained from nothing (the Bi-LSTM family).

A vocabulary file starts with ``[PAD]`` (id 0) and ``[UNK]`` (id 1); the units follow, most frequent first. There is
no ``[CLS]`` and no ``[SEP]``. Text is normalised by the same rules when the vocabulary is built and when it is used.
"""

from __future__ import annotations

from abc import abstractmethod
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeVar

from hub_core.errors import DataError, SettingsError
from hub_core.plugins import catalog
from hub_core.text.characters import CharacterRules, well_formed
from hub_core.text.tokenizer import Tokenizer
from hub_core.text.vocabulary import lines_bytes, read_lines, read_vocabulary, vocabulary_bytes, write_files

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from hub_core.text.segment import Segmenter

_PAD, _UNK = "[PAD]", "[UNK]"
_RULES: Mapping[str, Any] = {"lowercase": True, "digits": "keep", "width": "half"}
_RULE_CHOICES = {"digits": ("keep", "zero"), "width": ("keep", "half")}


class UnitTokenizer(Tokenizer):
    """What `CharTokenizer` and `WordTokenizer` share.

    Options:
        lowercase: lower letters (default true).
        digits: ``keep`` (default), or ``zero``: every decimal digit becomes 0.
        width: ``half`` (default): full-width Latin letters, digits and marks become ASCII; or ``keep``.
        vocab: the vocabulary's file name (default ``vocab.txt``).
    """

    file_names: ClassVar[Mapping[str, str]] = {"vocab": "vocab.txt"}
    option_defaults: ClassVar[Mapping[str, Any]] = _RULES
    option_choices: ClassVar[Mapping[str, tuple[str, ...]]] = _RULE_CHOICES
    input_names = ("input_ids", "attention_mask")
    pad_id, unk_id = 0, 1

    def __init__(self, units: Iterable[str], options: Mapping[str, Any] | None = None) -> None:
        """`units` without ``[PAD]`` and ``[UNK]``, in the order of their ids (from 2)."""
        super().__init__(options)
        self._vocabulary = {unit: index for index, unit in enumerate((_PAD, _UNK, *units))}
        self._rules = CharacterRules(*(self.options[name] for name in _RULES))

    @classmethod
    def from_files(cls, files: Mapping[str, Path], options: Mapping[str, Any]) -> Self:
        """Build from ``files["vocab"]``. Raises DataError with file:line for an unusable vocabulary."""
        return cls(_read_units(files["vocab"]), options)

    @abstractmethod
    def units(self, text: str) -> list[str]:
        """The normalised units of a text, known or not; white space is none."""

    def get_vocab(self) -> dict[str, int]:
        """Unit to id."""
        return dict(self._vocabulary)

    def tokenize(self, text: str) -> list[str]:
        """The units of one text, ``[UNK]`` for those that the vocabulary lacks."""
        return [unit if unit in self._vocabulary else _UNK for unit in self.units(text)]

    def encode_text(self, text: str) -> list[int]:
        """The ids of one text."""
        return [self._vocabulary.get(unit, self.unk_id) for unit in self.units(text)]

    def save(self, folder: Path) -> dict[str, Any]:
        """Write ``vocab.txt``."""
        write_files(folder, {self.file_names["vocab"]: vocabulary_bytes(self._vocabulary)})
        return self.manifest()

    def to_transformers(self) -> PreTrainedTokenizerBase:
        """The same tokenizer as a Python tokenizer of `transformers`, with identical ids."""
        from hub_core.text.adapter import python_tokenizer

        return python_tokenizer(self)


Units = TypeVar("Units", bound=UnitTokenizer)


class CharTokenizer(UnitTokenizer):
    """Every character is a unit. Options: see `UnitTokenizer`."""

    type = "char"

    def units(self, text: str) -> list[str]:
        """The normalised characters of a text without white space."""
        return [char for char in self._rules.apply(text) if not char.isspace()]

    def convert_tokens_to_string(self, tokens: Sequence[str]) -> str:
        """Characters joined into text."""
        return "".join(tokens)


class WordTokenizer(UnitTokenizer):
    """Every word is a unit, as a segmenter cuts them. Further options:

    segmenter: the segmenter's name in the catalog (default ``jieba``).
    oov: what an unknown word is: ``unk`` (default, one ``[UNK]``), or ``char``: its characters one by one.
    words: the name of a file with words for the segmenter (a user dictionary), if there is one.
    """

    type = "word"
    optional_files: ClassVar[tuple[str, ...]] = ("words",)
    option_defaults: ClassVar[Mapping[str, Any]] = {**_RULES, "segmenter": "jieba", "oov": "unk"}
    option_choices: ClassVar[Mapping[str, tuple[str, ...]]] = {**_RULE_CHOICES, "oov": ("unk", "char")}

    def __init__(
        self, units: Iterable[str], options: Mapping[str, Any] | None = None, *, user_words: Iterable[str] = ()
    ) -> None:
        """`units` as for `UnitTokenizer`; `user_words` are lines of a user dictionary for the segmenter."""
        super().__init__(units, options)
        self._user_words = tuple(user_words)
        self._segmenter: Segmenter = catalog().get("segmenter", self.options["segmenter"])(self._user_words)

    @classmethod
    def from_files(cls, files: Mapping[str, Path], options: Mapping[str, Any]) -> Self:
        """Build from ``files["vocab"]`` and, where given, ``files["words"]`` (a user dictionary)."""
        user_words = read_lines(files["words"], what="user dictionary") if "words" in files else ()
        return cls(_read_units(files["vocab"]), options, user_words=user_words)

    def words(self, text: str) -> list[str]:
        """The normalised words of a text."""
        # Letters and digits are lowered and zeroed after the cut: the segmenter's dictionary knows them as written.
        words = (self._rules.apply(word) for word in self._segmenter.cut(self._rules.narrow(well_formed(text))))
        return [word for word in words if word and not word.isspace()]

    def units(self, text: str) -> list[str]:
        """The normalised words of a text; unknown ones as characters if `oov` is ``char``."""
        words = self.words(text)
        if self.options["oov"] == "unk":
            return words
        return [unit for word in words for unit in ([word] if word in self._vocabulary else _characters(word))]

    def encode_unit(self, unit: str) -> list[int]:
        """One id where the whole unit is a known word, else as `Tokenizer.encode_unit`."""
        whole = self._vocabulary.get(self._rules.apply(unit))
        return super().encode_unit(unit) if whole is None else [whole]

    def save(self, folder: Path) -> dict[str, Any]:
        """Write ``vocab.txt`` and, where there are words for the segmenter, ``words.txt``."""
        manifest = super().save(folder)
        if not self._user_words:
            return manifest
        write_files(folder, {"words.txt": lines_bytes(self._user_words)})
        return {**manifest, "words": "words.txt"}


def build_unit_vocabulary(
    kind: type[Units],
    texts: Iterable[str],
    *,
    min_count: int = 2,
    max_size: int | None = None,
    options: Mapping[str, Any] | None = None,
) -> Units:
    """A tokenizer of the units that stand at least `min_count` times in `texts`.

    `max_size` bounds the vocabulary, ``[PAD]`` and ``[UNK]`` included. Units of equal frequency are in the order of
    their code points, so the same texts in any order give the same ids. For words see `build_word_vocabulary`.
    """
    blank = kind((), options)
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(blank.units(text))
    return kind(_most_frequent(counts, min_count, max_size), options)


def build_char_vocabulary(
    texts: Iterable[str],
    *,
    min_count: int = 2,
    max_size: int | None = None,
    options: Mapping[str, Any] | None = None,
) -> CharTokenizer:
    """A character tokenizer of the characters of `texts`; see `build_unit_vocabulary`."""
    return build_unit_vocabulary(CharTokenizer, texts, min_count=min_count, max_size=max_size, options=options)


def build_word_vocabulary(
    texts: Iterable[str],
    *,
    min_count: int = 2,
    max_size: int | None = None,
    options: Mapping[str, Any] | None = None,
    user_words: Iterable[str] = (),
) -> WordTokenizer:
    """A word tokenizer of the words that stand at least `min_count` times in `texts`; see `build_unit_vocabulary`.

    With the option ``oov: char`` the characters of rarer words are counted as units too.
    """
    user_words = tuple(user_words)
    blank = WordTokenizer((), options, user_words=user_words)
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(blank.words(text))
    if blank.options["oov"] == "char":
        rare = {word: count for word, count in counts.items() if count < min_count and len(word) > 1}
        for word, count in rare.items():
            counts.update({char: count * word.count(char) for char in dict.fromkeys(_characters(word))})
    return WordTokenizer(_most_frequent(counts, min_count, max_size), options, user_words=user_words)


def read_word_list(
    path: Path, *, options: Mapping[str, Any] | None = None, user_words: Iterable[str] = ()
) -> WordTokenizer:
    """A word tokenizer of the words of a file, one per line, in that order.

    Words are normalised as text is; those that fall together are kept once. ``[PAD]`` and ``[UNK]`` may be among
    them. Raises CheckpointError or DataError for a file that cannot be read.
    """
    rules = WordTokenizer((), options)._rules
    words = dict.fromkeys(
        rules.apply(word.strip()) for word in read_lines(path, what="word list") if word.strip() not in ("", _PAD, _UNK)
    )
    return WordTokenizer(words, options, user_words=user_words)


def _characters(word: str) -> list[str]:
    return [char for char in word if not char.isspace()]


def _most_frequent(counts: Mapping[str, int], min_count: int, max_size: int | None) -> list[str]:
    if min_count < 1:
        raise SettingsError(f"min_count must be at least 1, not {min_count}")
    if max_size is not None and max_size < 3:
        raise SettingsError(f"max_size must be at least 3 ({_PAD}, {_UNK} and one unit), not {max_size}")
    kept = [unit for unit, count in counts.items() if count >= min_count and unit not in (_PAD, _UNK)]
    kept.sort(key=lambda unit: (-counts[unit], unit))
    return kept if max_size is None else kept[: max_size - 2]


def _read_units(path: Path) -> list[str]:
    """The units of a vocabulary file, ``[PAD]`` and ``[UNK]`` left out."""
    vocabulary = read_vocabulary(path, required=(_PAD, _UNK))
    if (vocabulary[_PAD], vocabulary[_UNK]) != (0, 1):
        raise DataError([f"{path}:1: the file must start with {_PAD} and {_UNK}"])
    return list(vocabulary)[2:]
