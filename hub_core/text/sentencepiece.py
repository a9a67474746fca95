"""SentencePiece models (``spiece.model``) as a tokenizer, on the `sentencepiece` library."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

from hub_core.text.pieces import SPACE, PieceModel, SpecialSplitter, join_pieces
from hub_core.text.tokenizer import Tokenizer
from hub_core.text.vocabulary import write_files

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


class SentencePieceTokenizer(Tokenizer):
    """A SentencePiece model with ``[CLS]``, ``[SEP]`` and ``[MASK]`` where the model has such pieces.

    Ids are the model's own. A model that names no padding piece pads with its unknown piece, which the attention
    mask hides.

    Options:
        style: ``plain`` (default) does what the model file says and nothing else; ``albert`` prepares text as ALBERT
            does (google-research/albert, tokenization.py): runs of white space become one space, two backticks or
            apostrophes a quotation mark, accents go, and a comma behind a digit is a piece of its own.
        lowercase: lower letters first (default false).
        model: the model's file name (default ``spiece.model``).
    """

    type = "sentencepiece"
    file_names: ClassVar[Mapping[str, str]] = {"model": "spiece.model"}
    option_defaults: ClassVar[Mapping[str, Any]] = {"style": "plain", "lowercase": False}
    option_choices: ClassVar[Mapping[str, tuple[str, ...]]] = {"style": ("plain", "albert")}

    def __init__(self, model: PieceModel, options: Mapping[str, Any]) -> None:
        super().__init__(options)
        self._model = model
        self._vocabulary = model.vocabulary()
        self.unk_id = model.unknown
        self.cls_id, self.sep_id, self.mask_id = map(self._vocabulary.get, ("[CLS]", "[SEP]", "[MASK]"))
        padding = (model.padding, self._vocabulary.get("<pad>"), self._vocabulary.get("[PAD]"))
        self.pad_id = next((index for index in padding if index is not None), self.unk_id)
        self._splitter = SpecialSplitter(self.convert_ids_to_tokens(self.special_ids))

    @classmethod
    def from_files(cls, files: Mapping[str, Path], options: Mapping[str, Any]) -> Self:
        """Build from ``files["model"]``. Raises CheckpointError where it is missing or damaged."""
        return cls(PieceModel.read(files["model"]), options)

    def get_vocab(self) -> dict[str, int]:
        """Piece to id."""
        return dict(self._vocabulary)

    def tokenize(self, text: str) -> list[str]:
        """The pieces of one text; unknown ones as they are written, a special token that the text spells out whole."""
        tokens: list[str] = []
        for part, special in self._splitter.split(text):
            tokens += [part] if special else self._pieces(part)
        return tokens

    def encode_text(self, text: str) -> list[int]:
        """The ids of one text, without special ones."""
        return self.convert_tokens_to_ids(self.tokenize(text))

    def convert_tokens_to_string(self, tokens: Sequence[str]) -> str:
        """Pieces joined into text."""
        return join_pieces(tokens)

    def save(self, folder: Path) -> dict[str, Any]:
        """Write ``spiece.model`` and a ``tokenizer_config.json`` by which `AutoTokenizer` takes its ALBERT class.

        That class cuts with another implementation of the same model: where two ways to cut a text score alike
        (``！！！！！！！！``) it may choose the other one. `to_transformers` has no such difference.
        """
        config = {
            "tokenizer_class": "AlbertTokenizer",
            "do_lower_case": self.options["lowercase"],
            "keep_accents": self.options["style"] == "plain",
            "pad_token": self.pad_token,
            "unk_token": self.unk_token,
        }
        text = json.dumps(config, ensure_ascii=False, indent=1) + "\n"
        write_files(
            folder, {self.file_names["model"]: self._model.content, "tokenizer_config.json": text.encode("utf-8")}
        )
        return self.manifest()

    def to_transformers(self) -> PreTrainedTokenizerBase:
        """The same tokenizer as a Python tokenizer of `transformers`, with identical ids."""
        from hub_core.text.adapter import python_tokenizer

        return python_tokenizer(self)

    def _pieces(self, text: str) -> list[str]:
        albert = self.options["style"] == "albert"
        if albert:
            text = _albert_text(text)
        if self.options["lowercase"]:
            text = text.lower()
        pieces = self._model.pieces(text)
        if not albert:
            return pieces
        return [part for piece in pieces for part in self._comma_apart(piece)]

    def _comma_apart(self, piece: str) -> list[str]:
        """``▁1999,`` as the pieces of ``▁1999`` and a comma, so that numbers do not depend on what follows."""
        if len(piece) < 2 or piece[-1] != "," or not piece[-2].isdigit():
            return [piece]
        number = self._model.pieces(piece[:-1].replace(SPACE, ""))
        if not piece.startswith(SPACE) and number[0].startswith(SPACE):  # the model itself put a space in front
            number[0] = number[0].removeprefix(SPACE)
        return [*filter(None, number), ","]


def _albert_text(text: str) -> str:
    """White space, quotation marks and accents as ALBERT's `preprocess_text` leaves them."""
    text = " ".join(text.split()).replace("``", '"').replace("''", '"')
    return "".join(char for char in unicodedata.normalize("NFKD", text) if not unicodedata.combining(char))
