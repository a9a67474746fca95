"""Which files of a foreign folder make its tokenizer, and what a manifest says of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hub_core.convert.paddle import read_paddle_words
from hub_core.errors import ConvertError
from hub_core.hf_layout import TOKENIZER_CONFIG, TOKENIZER_FILES, read_object

#: PaddleNLP's names of ERNIE-Tiny's parts (`paddlenlp/transformers/ernie/tokenizer.py`).
_WORDS_PICKLE = "dict.wordseg.pickle"
_WORDS = "words.txt"
_PIECES = "spm_cased_simp_sampled.model"
_VOCABULARY = "vocab.txt"


@dataclass(frozen=True)
class TokenizerFiles:
    """The manifest's ``tokenizer`` object, and what to write: name in the module to a file, or to bytes."""

    manifest: Mapping[str, Any]
    files: Mapping[str, Path | bytes]


def paddle_tokenizer(folder: Path, *, family: str) -> TokenizerFiles:
    """The tokenizer of a folder of PaddleNLP's.

    Its ``tokenizer_config.json`` decides on lower-casing; without a word about it, lower letters are made (the
    default of PaddleNLP's classes). PaddleNLP cuts symbols off as words of their own: ``symbols: isolate``.

    Raises ConvertError where the folder has no tokenizer that is understood.
    """
    config = read_object(folder / TOKENIZER_CONFIG) if (folder / TOKENIZER_CONFIG).is_file() else {}
    if (folder / "tokenizer.json").is_file():
        return foreign_tokenizer(folder, {"type": "transformers"})
    kind = str(config.get("tokenizer_class") or config.get("tokenizer_type") or "")
    lowercase = bool(config.get("do_lower_case", True))
    if kind == "ErnieTinyTokenizer" or (folder / _WORDS_PICKLE).is_file():
        return _ernie_tiny(folder)
    if (folder / _VOCABULARY).is_file() and "BPE" not in kind:
        name = "ernie" if family == "ernie" else "wordpiece"
        manifest = {"type": name, "lowercase": lowercase, "symbols": "isolate"}
        return TokenizerFiles(manifest, {_VOCABULARY: folder / _VOCABULARY})
    for model in ("spiece.model", "sentencepiece.model", "albert.model"):
        if (folder / model).is_file():
            style = "albert" if family == "albert" else "plain"
            manifest = {"type": "sentencepiece", "style": style, "lowercase": lowercase}
            return TokenizerFiles(manifest, {"spiece.model": folder / model})
    raise ConvertError(f"{folder} has no tokenizer that is understood: neither {_VOCABULARY} nor spiece.model")


def foreign_tokenizer(folder: Path, manifest: Mapping[str, Any]) -> TokenizerFiles:
    """A tokenizer in Hugging Face's layout: its files as they are."""
    return TokenizerFiles(manifest, {n: folder / n for n in TOKENIZER_FILES if (folder / n).is_file()})


def _ernie_tiny(folder: Path) -> TokenizerFiles:
    """ERNIE-Tiny's three parts; the pickled word set becomes a text file."""
    missing = [name for name in (_VOCABULARY, _PIECES) if not (folder / name).is_file()]
    if missing:
        raise ConvertError(f"{folder} has ERNIE-Tiny's tokenizer without {' and '.join(missing)}")
    if (folder / _WORDS_PICKLE).is_file():
        words: Path | bytes = words_text(folder / _WORDS_PICKLE)
    elif (folder / _WORDS).is_file():
        words = folder / _WORDS
    else:
        raise ConvertError(f"{folder} has ERNIE-Tiny's tokenizer without {_WORDS_PICKLE} (or {_WORDS})")
    parts = {_VOCABULARY: folder / _VOCABULARY, _PIECES: folder / _PIECES, _WORDS: words}
    return TokenizerFiles({"type": "ernie-tiny", "lowercase": True}, parts)


def words_text(pickle: Path) -> bytes:
    """A pickled word set as the text of a word list: UTF-8, one word per line, sorted."""
    return "".join(f"{word}\n" for word in read_paddle_words(pickle)).encode("utf-8")
