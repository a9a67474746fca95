"""WoBERT's tokenizer: words of the vocabulary first, BERT's rules for the rest."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

from hub_core.plugins import catalog
from hub_core.text.characters import well_formed
from hub_core.text.pieces import SpecialSplitter
from hub_core.text.tokenizer import Tokenizer
from hub_core.text.vocabulary import read_vocabulary, vocabulary_bytes, write_files
from hub_core.text.wordpiece import wordpiece_backend

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from hub_core.text.segment import Segmenter

_SPECIALS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
#: So many words are remembered with their ids: a text's words repeat, and WordPiece takes most of the time.
_WORDS_KEPT = 65_536


class WoBertTokenizer(Tokenizer):
    """Cuts text into words; one that the vocabulary has is a token, and any other goes through BERT's rules, by which a
    Chinese character is a token and other words are cut into pieces.

    This is the tokenizer that WoBERT was trained with (https://github.com/ZhuiyiTechnology/WoBERT, train.py: that of
    bert4keras with ``jieba.cut(text, HMM=False)`` in front), and RoFormer's, which is its like.

    Options:
        lowercase: lower letters and strip accents, before words are cut (default true).
        segmenter: the segmenter's name in the catalog (default ``jieba-dictionary``).
        vocab: the vocabulary's file name (default ``vocab.txt``).
    """

    type = "wobert"
    file_names: ClassVar[Mapping[str, str]] = {"vocab": "vocab.txt"}
    option_defaults: ClassVar[Mapping[str, Any]] = {"lowercase": True, "segmenter": "jieba-dictionary"}

    def __init__(self, vocabulary: Mapping[str, int], options: Mapping[str, Any]) -> None:
        super().__init__(options)
        self._vocabulary = dict(vocabulary)
        self._segmenter: Segmenter = catalog().get("segmenter", self.options["segmenter"])()
        # The words that come here are normalised already.
        self._pieces = wordpiece_backend(self._vocabulary, {"lowercase": False, "symbols": "keep"})
        self.pad_id, self.unk_id, self.cls_id, self.sep_id, self.mask_id = (self._vocabulary[t] for t in _SPECIALS)
        self._splitter = SpecialSplitter(_SPECIALS)

    @classmethod
    def from_files(cls, files: Mapping[str, Path], options: Mapping[str, Any]) -> Self:
        """Build from ``files["vocab"]``. Raises DataError with file:line for an unusable vocabulary."""
        return cls(read_vocabulary(files["vocab"], required=_SPECIALS), options)

    def get_vocab(self) -> dict[str, int]:
        """Token to id."""
        return dict(self._vocabulary)

    def tokenize(self, text: str) -> list[str]:
        """The words and pieces of one text, ``[UNK]`` for what the vocabulary lacks."""
        return self.convert_ids_to_tokens(self.encode_text(text))

    def encode_text(self, text: str) -> list[int]:
        """The ids of one text; a special token that the text spells out (``[MASK]``) keeps its own."""
        ids: list[int] = []
        for part, special in self._splitter.split(well_formed(text)):
            if special:
                ids.append(self._vocabulary[part])
            else:
                ids += [
                    token_id for word in self._segmenter.cut(self._normalised(part)) for token_id in self._word(word)
                ]
        return ids

    def convert_tokens_to_string(self, tokens: Sequence[str]) -> str:
        """Tokens joined into text, words of Latin letters set apart by spaces."""
        text = ""
        for token in tokens:
            piece = token.removeprefix("##")
            apart = piece is token and _is_latin(text[-1:]) and _is_latin(piece[:1])
            text += f" {piece}" if apart else piece
        return text

    def save(self, folder: Path) -> dict[str, Any]:
        """Write the vocabulary.

        ``tokenizer_config.json`` names a class that `transformers` does not have, so that `AutoTokenizer` does not
        take ``vocab.txt`` for BERT's.
        """
        config = json.dumps({"tokenizer_class": type(self).__name__}, indent=1) + "\n"
        files = {self.file_names["vocab"]: vocabulary_bytes(self._vocabulary)}
        write_files(folder, {**files, "tokenizer_config.json": config.encode("utf-8")})
        return self.manifest()

    def to_transformers(self) -> PreTrainedTokenizerBase:
        """The same tokenizer as a Python tokenizer of `transformers`, with identical ids."""
        from hub_core.text.adapter import python_tokenizer

        return python_tokenizer(self)

    def _normalised(self, text: str) -> str:
        """Letters lowered and accents taken off, as bert4keras does before it cuts."""
        if not self.options["lowercase"]:
            return text
        if text.isascii():
            return text.lower()
        apart = unicodedata.normalize("NFD", text.lower())
        return "".join(char for char in apart if unicodedata.category(char) != "Mn")

    def _word(self, word: str) -> tuple[int, ...]:
        """The ids of one word."""
        known = self._words.get(word)
        if known is None:
            own = self._vocabulary.get(word)
            pieces = self._pieces.encode(word, add_special_tokens=False).ids if own is None else [own]
            known = tuple(pieces)
            if len(self._words) < _WORDS_KEPT:
                self._words[word] = known
        return known

    @cached_property
    def _words(self) -> dict[str, tuple[int, ...]]:
        """What `_word` remembers."""
        return {}


def _is_latin(char: str) -> bool:
    return char.isascii() and char.isalnum()
