"""WordPiece for BERT, ERNIE, ELECTRA and their relatives, with PaddleNLP's rule for symbols."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from hub_core.text.fast import BERT_SPECIALS, FastTokenizer, bert_template
from hub_core.text.vocabulary import read_vocabulary, vocabulary_bytes

if TYPE_CHECKING:
    import tokenizers

_FILES = {"vocab": "vocab.txt"}
#: The defaults are those of PaddleNLP's classes; a module whose source says otherwise states it in its manifest.
_DEFAULTS: Mapping[str, Any] = {"lowercase": True, "symbols": "isolate"}
_CHOICES = {"symbols": ("isolate", "keep")}
#: What PaddleNLP cuts off as words of their own beside punctuation: Unicode category S and the code points that its
#: `is_symbol` (paddlenlp/transformers/tokenizer_utils.py) lists.
_SYMBOLS = r"[\p{S}\x{00AD}\x{00B2}\x{00BA}\x{3007}\x{00B5}\x{00D8}\x{014B}\x{01B1}]"

#: What BERT's rules take for Chinese characters (the blocks of CJK ideographs).
IDEOGRAPHS = (
    *((0x4E00, 0x9FFF), (0x3400, 0x4DBF), (0x20000, 0x2A6DF), (0x2A700, 0x2B73F), (0x2B740, 0x2B81F)),
    *((0x2B920, 0x2CEAF), (0xF900, 0xFAFF), (0x2F800, 0x2FA1F)),
)


class WordPieceTokenizer(FastTokenizer):
    """BERT's tokenizer: Chinese characters alone, other words greedily into pieces (``##`` inside a word).

    Options:
        lowercase: lower letters and strip accents (default true).
        symbols: ``isolate`` (default) makes every symbol such as ``￥`` a word of its own, as PaddleNLP does;
            ``keep`` leaves ``￥8999`` one word, as `transformers` does.
        vocab: the vocabulary's file name (default ``vocab.txt``; ``token<TAB>id`` per line is read too).
    """

    type = "wordpiece"
    file_names = _FILES
    option_defaults = _DEFAULTS
    option_choices = _CHOICES

    @classmethod
    def from_files(cls, files: Mapping[str, Path], options: Mapping[str, Any]) -> Self:
        """Build from ``files["vocab"]``. Raises DataError with file:line for an unusable vocabulary."""
        return cls(**_parts(files["vocab"], cls.read_options(options)))

    def lone_characters(self) -> dict[str, int | None]:
        """See `Tokenizer.lone_characters`: the space, and ideographs and punctuation, which BERT's rules cut off."""
        vocabulary = self.get_vocab()
        # Brackets may be the beginning of a special token that a text spells out.
        spelt = {char for token_id in self.special_ids for char in self.convert_ids_to_tokens([token_id])[0]}
        single = [token for token in vocabulary if len(token) == 1 and token not in spelt and _stands_alone(token)]
        encoded = self._backend.encode_batch(single, add_special_tokens=False)
        found = {token: one.ids[0] for token, one in zip(single, encoded, strict=True) if len(one.ids) == 1}
        return {" ": None, **found}


class ErnieTokenizer(WordPieceTokenizer):
    """The tokenizer of ERNIE 1.0, 2.0 and 3.0: WordPiece on ERNIE's vocabularies, with the same options."""

    type = "ernie"


def _stands_alone(character: str) -> bool:
    """Whether BERT's rules make a word of a character wherever it stands: an ideograph, or punctuation."""
    code = ord(character)
    return any(low <= code <= high for low, high in IDEOGRAPHS) or unicodedata.category(character).startswith("P")


def _parts(path: Path, options: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of a FastTokenizer."""
    vocabulary = read_vocabulary(path)
    return {
        "backend": wordpiece_backend(vocabulary, options),
        "specials": BERT_SPECIALS,
        "options": options,
        "files": {_FILES["vocab"]: vocabulary_bytes(vocabulary)},
    }


def wordpiece_backend(vocabulary: dict[str, int], options: Mapping[str, Any]) -> tokenizers.Tokenizer:
    """BERT's rules on a vocabulary, with PaddleNLP's rule for symbols in front where the options ask for it."""
    import tokenizers
    from tokenizers import Regex, decoders, models, normalizers, pre_tokenizers

    backend = tokenizers.Tokenizer(models.WordPiece(vocabulary, unk_token=BERT_SPECIALS["unk_token"]))
    # strip_accents follows lowercase, as in the original BERT code.
    backend.normalizer = normalizers.BertNormalizer(lowercase=options["lowercase"])
    bert = pre_tokenizers.BertPreTokenizer()
    if options["symbols"] == "isolate":
        alone = pre_tokenizers.Split(Regex(_SYMBOLS), behavior="isolated")
        backend.pre_tokenizer = pre_tokenizers.Sequence([alone, bert])
    else:
        backend.pre_tokenizer = bert
    backend.decoder = decoders.WordPiece(prefix="##")
    bert_template(backend, BERT_SPECIALS)
    return backend
