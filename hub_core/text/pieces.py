"""The `sentencepiece` library behind a small face, and special tokens that a text spells out."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from hub_core.errors import CheckpointError
from hub_core.text.characters import well_formed
from hub_core.text.vocabulary import read_bytes

#: What SentencePiece puts in place of a space.
SPACE = "▁"


class PieceModel:
    """A SentencePiece model: text to pieces. Thread-safe; pickles as the bytes of its file.

    Raises CheckpointError where `content` is not a model; `where` names its file in the message.
    """

    def __init__(self, content: bytes, *, where: str) -> None:
        import sentencepiece

        self.content = content
        self._where = where
        try:
            self._processor = sentencepiece.SentencePieceProcessor(model_proto=content)
        except (RuntimeError, ValueError) as error:
            raise CheckpointError(f"{where} is not a SentencePiece model, or is damaged") from error
        if not len(self._processor):
            raise CheckpointError(f"{where} is not a SentencePiece model: it is empty")

    @classmethod
    def read(cls, path: Path) -> PieceModel:
        """The model in a file."""
        return cls(read_bytes(path, what="SentencePiece model"), where=str(path))

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, (self.content, self._where)

    def pieces(self, text: str) -> list[str]:
        """The pieces of a text as they stand in it: what the model does not know comes back as it is written."""
        pieces: list[str] = self._processor.encode_as_pieces(well_formed(text))
        return pieces

    def vocabulary(self) -> dict[str, int]:
        """Piece to id."""
        return {self._processor.id_to_piece(index): index for index in range(len(self._processor))}

    @property
    def unknown(self) -> int:
        """The id of the unknown piece."""
        return int(self._processor.unk_id())

    @property
    def padding(self) -> int | None:
        """The id of the piece that the model names for padding, or None."""
        found = int(self._processor.pad_id())
        return found if found >= 0 else None


def _rebuild(content: bytes, where: str) -> PieceModel:
    return PieceModel(content, where=where)


def join_pieces(tokens: Iterable[str]) -> str:
    """Pieces joined into text, ``▁`` as a space."""
    return "".join(tokens).replace(SPACE, " ").strip()


class SpecialSplitter:
    """Cuts text at special tokens that it spells out (``今天[MASK]气很好``), as `transformers`' tokenizers do."""

    def __init__(self, specials: Iterable[str]) -> None:
        longest_first = sorted(set(specials), key=lambda token: (-len(token), token))
        self._pattern = re.compile("(" + "|".join(map(re.escape, longest_first)) + ")")

    def split(self, text: str) -> Iterator[tuple[str, bool]]:
        """The parts of a text in order, each with whether it is a special token; empty parts are left out."""
        for index, part in enumerate(self._pattern.split(text)):
            if part:
                yield part, index % 2 == 1
