"""Tokenizers of Hugging Face folders, as their own ``tokenizer.json`` describes them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from hub_core.errors import CheckpointError, UntrustedCodeError
from hub_core.text.fast import FastTokenizer
from hub_core.text.vocabulary import read_bytes

if TYPE_CHECKING:
    import tokenizers

_NAMES = ("pad_token", "unk_token", "cls_token", "sep_token", "mask_token", "bos_token", "eos_token")
#: What special tokens are called where no file says which ones they are: BERT's names, then RoBERTa's and T5's.
_USUAL: Mapping[str, tuple[str, ...]] = {
    "pad_token": ("[PAD]", "<pad>"),
    "unk_token": ("[UNK]", "<unk>"),
    "cls_token": ("[CLS]", "<s>"),
    "sep_token": ("[SEP]", "</s>"),
    "mask_token": ("[MASK]", "<mask>"),
}
#: Longer than any network; `transformers` writes 1e30 where it does not know the length.
_NO_LENGTH = 1_000_000
#: Networks that take no token types although their tokenizer's template has them.
_WITHOUT_TYPES = ("distilbert",)
#: Texts of which one gives tokens with any vocabulary.
_PROBES = ("a", "的", "1", ".")


class TransformersTokenizer(FastTokenizer):
    """Whatever a folder in Hugging Face's layout has: BERT, RoBERTa, ALBERT, XLM-R and their relatives.

    ``tokenizer.json`` is used as it is, on the `tokenizers` library and without `transformers`; special tokens come
    from ``tokenizer_config.json`` and ``special_tokens_map.json``, where they stand in a row from the file's own
    post-processor. A folder without ``tokenizer.json`` goes through `AutoTokenizer` once, from local files only.
    Code of a folder's own (``auto_map``) is never run.
    """

    type = "transformers"

    def __init__(self, backend: tokenizers.Tokenizer, config: Mapping[str, Any], options: Mapping[str, Any]) -> None:
        """`config` holds special tokens by name, ``model_input_names`` and ``model_max_length``, as far as known."""
        stated = config.get("model_max_length")
        if isinstance(stated, (int, float)) and stated < _NO_LENGTH:
            options = {"max_length": int(stated), **options}
        super().__init__(backend, _specials(config, backend), options)
        self._single = _template(backend, pair=False)
        self._pair = _template(backend, pair=True)
        self.input_names = _input_names(config, self._pair)

    @classmethod
    def from_folder(cls, folder: Path, options: Mapping[str, Any]) -> Self:
        """Build from a folder in Hugging Face's layout.

        Raises UntrustedCodeError where it wants code of its own, CheckpointError where its files cannot be used.
        """
        config = {**_read_json(folder / "special_tokens_map.json"), **_read_json(folder / "tokenizer_config.json")}
        if "auto_map" in config:
            raise UntrustedCodeError(
                f"{folder / 'tokenizer_config.json'} asks for a tokenizer with code of its own (auto_map), which is "
                "never run; save the tokenizer as tokenizer.json, or write a plugin for it"
            )
        network = _read_json(folder / "config.json")
        config = {**{key: network[key] for key in ("model_type", "type_vocab_size") if key in network}, **config}
        options = cls.read_options({key: value for key, value in options.items() if key != "type"})
        if (folder / "tokenizer.json").is_file():
            return cls(_read_backend(folder / "tokenizer.json"), config, _stated(options))
        backend, found = _through_transformers(folder)
        return cls(backend, {**config, **found}, _stated(options))

    def with_specials(self, first: Sequence[int], second: Sequence[int] | None = None) -> tuple[list[int], list[int]]:
        """The ids of a row and their types, as the tokenizer's own post-processor puts them (RoBERTa:
        ``<s> first </s></s> second </s>``)."""
        ids: list[int] = []
        types: list[int] = []
        for slot, kind in self._single if second is None else self._pair:
            part = slot if isinstance(slot, list) else [first, second or ()][slot]
            ids += part
            types += [kind] * len(part)
        return ids, types


#: A row's parts in order: special ids, or 0 for the first text and 1 for the second; and the part's token type.
Template = list[tuple[list[int] | int, int]]


def _template(backend: tokenizers.Tokenizer, *, pair: bool) -> Template:
    """Read off from a row of probes where the post-processor puts special tokens, whatever kind it is."""
    probe = next((p for p in _PROBES if backend.encode(p, add_special_tokens=False).ids), None)
    if probe is None:
        raise CheckpointError("the tokenizer cuts none of the usual characters; its vocabulary is not a text's")
    row = backend.encode(probe, probe if pair else None)
    length = len(backend.encode(probe, add_special_tokens=False).ids)
    template: Template = []
    texts = position = 0
    while position < len(row.ids):
        special = bool(row.special_tokens_mask[position])
        template.append(([row.ids[position]] if special else texts, row.type_ids[position]))
        position += 1 if special else length
        texts += not special
    return template


def _specials(config: Mapping[str, Any], backend: tokenizers.Tokenizer) -> dict[str, str]:
    """Special tokens by `transformers`' names, as far as the vocabulary has them.

    GPT's relatives have no padding token: they pad with the end of text, which the attention mask hides.
    """
    stated = {name: _content(config.get(name)) for name in _NAMES}
    found = {name: token for name, token in stated.items() if token is not None and _has(backend, token)}
    if not found:
        usual = {name: next((t for t in tokens if _has(backend, t)), None) for name, tokens in _USUAL.items()}
        found = {name: token for name, token in usual.items() if token is not None}
    for name, substitutes in (("pad_token", ("eos_token", "sep_token")), ("unk_token", ("eos_token", "pad_token"))):
        token = next((found[other] for other in (name, *substitutes) if other in found), None)
        if token is not None:
            found[name] = token
    return found


def _content(token: object) -> str | None:
    """A special token as it stands in JSON: a string, or an object with its ``content``."""
    if isinstance(token, Mapping):
        token = token.get("content")
    return token if isinstance(token, str) else None


def _has(backend: tokenizers.Tokenizer, token: str) -> bool:
    return backend.token_to_id(token) is not None


def _input_names(config: Mapping[str, Any], pair: Template) -> tuple[str, ...]:
    """What the network takes: as stated, else token types where special tokens have two and the network knows two."""
    stated = config.get("model_input_names")
    if stated:  # what only some networks take beside these (places on a page, ...) does not come out of text
        return tuple(name for name in FastTokenizer.input_names if name in stated)
    network = str(config.get("model_type") or config.get("tokenizer_class") or "").lower()
    types = config.get("type_vocab_size")
    known = (not isinstance(types, int) or types > 1) and not network.startswith(_WITHOUT_TYPES)
    if known and any(kind for slot, kind in pair if isinstance(slot, list)):
        return ("input_ids", "token_type_ids", "attention_mask")
    return ("input_ids", "attention_mask")


def _stated(options: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in options.items() if value is not None}


def _read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file, empty where there is no such file."""
    if not path.is_file():
        return {}
    try:
        record = json.loads(read_bytes(path, what="tokenizer's file"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise CheckpointError(f"{path} is not valid JSON: {error}") from error
    if not isinstance(record, dict):
        raise CheckpointError(f"{path} must hold a JSON object")
    return record


def _read_backend(path: Path) -> tokenizers.Tokenizer:
    import tokenizers

    content = read_bytes(path, what="tokenizer's file")
    try:
        return tokenizers.Tokenizer.from_buffer(content)
    except Exception as error:  # the library raises plain Exception
        raise CheckpointError(f"{path} is not a tokenizer of the tokenizers library: {error}") from error


def _through_transformers(folder: Path) -> tuple[tokenizers.Tokenizer, dict[str, Any]]:
    """The backend and settings of the tokenizer that `transformers` builds from the folder's vocabulary files."""
    from transformers import AutoTokenizer

    try:
        made = AutoTokenizer.from_pretrained(str(folder), local_files_only=True, trust_remote_code=False)
    except Exception as error:  # of many kinds, plain Exception among them
        raise CheckpointError(f"transformers finds no tokenizer in {folder}: {error}") from error
    if not made.is_fast:
        raise CheckpointError(f"{folder} has no tokenizer.json, and {type(made).__name__} cannot be turned into one")
    settings = {"model_input_names": made.model_input_names, "model_max_length": made.model_max_length}
    return made.backend_tokenizer, {**made.special_tokens_map, **settings}
