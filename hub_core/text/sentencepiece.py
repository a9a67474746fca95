"""SentencePiece models (``spiece.model``) as a tokenizer, on the `tokenizers` library's unigram model."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from hub_core.errors import CheckpointError
from hub_core.text.fast import BERT_SPECIALS, FastTokenizer, bert_template
from hub_core.text.vocabulary import read_bytes

if TYPE_CHECKING:
    import tokenizers

# The numbers of sentencepiece_model.proto (github.com/google/sentencepiece): TrainerSpec.ModelType, SentencePiece.Type.
_UNIGRAM = 1
_CONTROL, _USER_DEFINED = 3, 4
#: What keeps a piece from being chosen while it stays in the vocabulary (scores are log probabilities, above -20).
_NEVER = 100.0


class SentencePieceTokenizer(FastTokenizer):
    """A unigram SentencePiece model with ``[CLS]``, ``[SEP]`` and ``[MASK]`` where the model has such pieces.

    Ids are the model's own. They are those of the `sentencepiece` library, except where a combining mark or joiner
    follows a compatibility character (``ﬁ`` and an accent): the two libraries normalise that in different order.
    A model without a padding piece pads with its unknown piece.

    Options:
        style: ``plain`` (default) does what the model file says and nothing else; ``albert`` prepares text as ALBERT
            does (https://github.com/google-research/albert, tokenization.py): `` and '' become ", accents go, and a
            comma behind a digit is a piece of its own.
        lowercase: lower letters first (default false).
        model: the model's file name (default ``spiece.model``).
    """

    type = "sentencepiece"
    file_names: Mapping[str, str] = {"model": "spiece.model"}
    option_defaults: Mapping[str, Any] = {"style": "plain", "lowercase": False}
    option_choices: Mapping[str, tuple[str, ...]] = {"style": ("plain", "albert")}

    @classmethod
    def from_files(cls, files: Mapping[str, Path], options: Mapping[str, Any]) -> Self:
        """Build from ``files["model"]``. Raises CheckpointError where it is damaged or not a unigram model."""
        options = cls.read_options(options)
        content = read_bytes(files["model"], what="SentencePiece model")
        model = _parse(content, files["model"])
        backend = _backend(model, options)
        specials = _specials(model)
        bert_template(backend, BERT_SPECIALS)
        return cls(backend, specials, options, files={cls.file_names["model"]: content})


def _parse(content: bytes, path: Path) -> Any:
    """The model as sentencepiece's own message class."""
    from google.protobuf.message import DecodeError
    from sentencepiece import sentencepiece_model_pb2

    model = sentencepiece_model_pb2.ModelProto()
    try:
        model.ParseFromString(content)
    except DecodeError as error:
        raise CheckpointError(f"{path} is not a SentencePiece model, or is damaged: {error}") from error
    if not model.pieces:
        raise CheckpointError(f"{path} is not a SentencePiece model: it has no pieces")
    if model.trainer_spec.model_type != _UNIGRAM:
        raise CheckpointError(
            f"{path} is not a unigram model; convert it to tokenizer.json and use tokenizer type 'transformers'"
        )
    return model


def _backend(model: Any, options: Mapping[str, Any]) -> tokenizers.Tokenizer:
    import tokenizers
    from tokenizers import AddedToken, decoders, models, pre_tokenizers

    scores = [(piece.piece, piece.score) for piece in model.pieces]
    if options["style"] == "albert":
        scores = [(piece, score - _NEVER if _ends_in_digit_comma(piece) else score) for piece, score in scores]
    spec = model.trainer_spec
    backend = tokenizers.Tokenizer(models.Unigram(scores, unk_id=spec.unk_id, byte_fallback=spec.byte_fallback))
    backend.normalizer = _normalizer(model.normalizer_spec, options)
    prefix = "always" if model.normalizer_spec.add_dummy_prefix else "never"
    backend.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme=prefix)
    backend.decoder = decoders.Metaspace(replacement="▁", prepend_scheme=prefix)
    kinds = {piece.piece: piece.type for piece in model.pieces if piece.type in (_CONTROL, _USER_DEFINED)}
    backend.add_special_tokens([AddedToken(piece, normalized=False) for piece, kind in kinds.items() if kind == _CONTROL])
    backend.add_tokens([AddedToken(piece, normalized=False) for piece, kind in kinds.items() if kind == _USER_DEFINED])
    return backend


def _normalizer(spec: Any, options: Mapping[str, Any]) -> tokenizers.normalizers.Normalizer:
    """The options' rules, then the model's own: its character map, then spaces."""
    from tokenizers import Regex, normalizers

    steps: list[normalizers.Normalizer] = []
    if options["style"] == "albert":
        steps += [normalizers.Replace("``", '"'), normalizers.Replace("''", '"')]
        steps += [normalizers.NFKD(), normalizers.StripAccents()]
    if options["lowercase"]:
        steps.append(normalizers.Lowercase())
    if spec.precompiled_charsmap:
        steps.append(normalizers.Precompiled(spec.precompiled_charsmap))
    if spec.remove_extra_whitespaces:
        steps += [normalizers.Replace(Regex("^ +| +$"), ""), normalizers.Replace(Regex(" {2,}"), " ")]
    return normalizers.Sequence(steps)


def _ends_in_digit_comma(piece: str) -> bool:
    return len(piece) > 1 and piece[-1] == "," and piece[-2].isdigit()


def _specials(model: Any) -> dict[str, str]:
    """The model's special pieces by `transformers`' names: ALBERT's, and the ids that the model itself states."""
    pieces = [piece.piece for piece in model.pieces]
    unknown = pieces[model.trainer_spec.unk_id]
    padding = next((piece for piece in (model.trainer_spec.pad_piece, "<pad>", "[PAD]") if piece in pieces), unknown)
    return {**BERT_SPECIALS, "unk_token": unknown, "pad_token": padding}
