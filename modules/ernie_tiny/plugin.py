"""ERNIE-Tiny's tokenizer: words of a list first, SentencePiece second."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

from hub_core.hookspecs import hookimpl
from hub_core.text.pieces import PieceModel, SpecialSplitter, join_pieces
from hub_core.text.tokenizer import Tokenizer
from hub_core.text.vocabulary import lines_bytes, read_lines, read_vocabulary, vocabulary_bytes, write_files

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

#: The longest word that is looked for, in characters (PaddleNLP's ErnieTinyTokenizer.cut).
_WINDOW = 5
_SPECIALS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


class ErnieTinyTokenizer(Tokenizer):
    """Cuts text into the longest words of a list, from left to right, joins them with spaces, lowers letters, and
    cuts the result into SentencePiece pieces, which are looked up in the vocabulary (ids are its line indices).

    Options:
        lowercase: lower letters (default true; upstream always does).
        vocab, model, words: file names (default ``vocab.txt``, ``spm_cased_simp_sampled.model``, ``words.txt``).
    """

    type = "ernie-tiny"
    file_names: ClassVar[Mapping[str, str]] = {
        "vocab": "vocab.txt",
        "model": "spm_cased_simp_sampled.model",
        "words": "words.txt",
    }
    option_defaults: ClassVar[Mapping[str, Any]] = {"lowercase": True}

    def __init__(
        self, vocabulary: Mapping[str, int], model: PieceModel, words: Sequence[str], options: Mapping[str, Any]
    ) -> None:
        super().__init__(options)
        self._vocabulary = dict(vocabulary)
        self._model = model
        self._words = dict.fromkeys(words)  # a set that keeps the file's order for `save`
        self.pad_id, self.unk_id, self.cls_id, self.sep_id, self.mask_id = (self._vocabulary[t] for t in _SPECIALS)
        self._splitter = SpecialSplitter(_SPECIALS)

    @classmethod
    def from_files(cls, files: Mapping[str, Path], options: Mapping[str, Any]) -> Self:
        """Build from ``files["vocab"]``, ``["model"]`` and ``["words"]`` (one word per line).

        Raises DataError with file:line for an unusable vocabulary or list, CheckpointError for an unusable model.
        """
        vocabulary = read_vocabulary(files["vocab"], required=_SPECIALS)
        words = read_lines(files["words"], what="word list")
        return cls(vocabulary, PieceModel.read(files["model"]), words, options)

    def get_vocab(self) -> dict[str, int]:
        """Token to id."""
        return dict(self._vocabulary)

    def tokenize(self, text: str) -> list[str]:
        """The pieces of one text, ``[UNK]`` for those that the vocabulary lacks."""
        tokens: list[str] = []
        for part, special in self._splitter.split(text):
            pieces = [part] if special else self._pieces(part)
            tokens += [piece if piece in self._vocabulary else "[UNK]" for piece in pieces]
        return tokens

    def encode_text(self, text: str) -> list[int]:
        """The ids of one text, without special ones."""
        return [self._vocabulary[token] for token in self.tokenize(text)]

    def convert_tokens_to_string(self, tokens: Sequence[str]) -> str:
        """Pieces joined into text, words set apart by spaces."""
        return join_pieces(tokens)

    def save(self, folder: Path) -> dict[str, Any]:
        """Write the vocabulary, the SentencePiece model and the word list.

        ``tokenizer_config.json`` names a class that `transformers` does not have, so that `AutoTokenizer` does not
        take ``vocab.txt`` for BERT's.
        """
        config = json.dumps({"tokenizer_class": type(self).__name__}, indent=1) + "\n"
        contents = {
            "vocab": vocabulary_bytes(self._vocabulary),
            "model": self._model.content,
            "words": lines_bytes(self._words),
        }
        files = {self.file_names[role]: content for role, content in contents.items()}
        write_files(folder, {**files, "tokenizer_config.json": config.encode("utf-8")})
        return self.manifest()

    def to_transformers(self) -> PreTrainedTokenizerBase:
        """The same tokenizer as a Python tokenizer of `transformers`, with identical ids."""
        from hub_core.text.adapter import python_tokenizer

        return python_tokenizer(self)

    def _pieces(self, text: str) -> list[str]:
        spaced = " ".join(word for word in self._cut(text) if word != " ")
        return self._model.pieces(spaced.lower() if self.options["lowercase"] else spaced)

    def _cut(self, text: str) -> Iterator[str]:
        """Forward longest match; a character that begins no word stands alone."""
        start = 0
        while start < len(text):
            end = min(start + _WINDOW, len(text))
            while end > start + 1 and text[start:end] not in self._words:
                end -= 1
            yield text[start:end]
            start = end


@hookimpl
def hub_entries(kind: str) -> Mapping[str, Any]:
    """The tokenizer, seen by this module only."""
    return {"ernie-tiny": ErnieTinyTokenizer} if kind == "tokenizer" else {}
