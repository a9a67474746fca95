"""Tokenizers whose work is done by an object of the `tokenizers` library, which `transformers` understands too."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hub_core.errors import CheckpointError
from hub_core.examples import Array
from hub_core.text.characters import well_formed
from hub_core.text.tokenizer import Tokenizer
from hub_core.text.vocabulary import write_files

if TYPE_CHECKING:
    import tokenizers
    from transformers import PreTrainedTokenizerBase

#: The special tokens of BERT and its relatives, by `transformers`' names.
BERT_SPECIALS: Mapping[str, str] = {
    "pad_token": "[PAD]",
    "unk_token": "[UNK]",
    "cls_token": "[CLS]",
    "sep_token": "[SEP]",
    "mask_token": "[MASK]",
}


class FastTokenizer(Tokenizer):
    """A tokenizer over a `tokenizers.Tokenizer`.

    Args:
        backend: the object; its own truncation and padding are switched off.
        specials: special tokens by `transformers`' names; those that the vocabulary lacks are passed over.
        options: the manifest's options.
        files: further files (name to content) that belong to the tokenizer and are saved with it.
    """

    def __init__(
        self,
        backend: tokenizers.Tokenizer,
        specials: Mapping[str, str],
        options: Mapping[str, Any],
        *,
        files: Mapping[str, bytes] | None = None,
    ) -> None:
        super().__init__(options)
        self._backend = backend
        self._specials = {key: token for key, token in specials.items() if backend.token_to_id(token) is not None}
        self._files = dict(files or {})
        ids = {key: backend.token_to_id(token) for key, token in self._specials.items()}
        self.pad_id, self.unk_id = _required(ids, "pad_token"), _required(ids, "unk_token")
        self.cls_id, self.sep_id, self.mask_id = (ids.get(f"{name}_token") for name in ("cls", "sep", "mask"))
        backend.no_truncation()
        backend.no_padding()
        known = {token.content for token in backend.get_added_tokens_decoder().values()}
        backend.add_special_tokens([token for token in dict.fromkeys(self._specials.values()) if token not in known])

    def get_vocab(self) -> dict[str, int]:
        """Token to id, added tokens included."""
        return self._backend.get_vocab(with_added_tokens=True)

    def tokenize(self, text: str) -> list[str]:
        """The tokens of one text; a special token that the text spells out counts as one."""
        return self._backend.encode(well_formed(text), add_special_tokens=False).tokens

    def encode_text(self, text: str) -> list[int]:
        """The ids of one text; a special token that the text spells out (``[MASK]``) keeps its own."""
        return self._backend.encode(well_formed(text), add_special_tokens=False).ids

    def encode_with_offsets(self, text: str) -> tuple[list[int], Array]:
        """The ids of one text, and the characters that each stands for: int64 ``(tokens, 2)``, start and end."""
        row = self._backend.encode(well_formed(text), add_special_tokens=False)
        return row.ids, np.array(row.offsets, dtype=np.int64).reshape(-1, 2)

    def convert_tokens_to_string(self, tokens: Sequence[str]) -> str:
        """Tokens joined into text, as the backend's decoder does it."""
        decoder = self._backend.decoder
        return decoder.decode(list(tokens)) if decoder is not None else " ".join(tokens)

    def save(self, folder: Path) -> dict[str, Any]:
        """Write ``tokenizer.json``, ``tokenizer_config.json`` and the tokenizer's own files.

        `AutoTokenizer` loads the folder with the same ids: the configuration names `PreTrainedTokenizerFast`, which
        takes ``tokenizer.json`` as it is, where `BertTokenizer` would build its own rules anew.
        """
        config = {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "clean_up_tokenization_spaces": False,
            **self._transformers_settings(),
        }
        texts = {
            "tokenizer.json": self._backend.to_str(pretty=True),
            "tokenizer_config.json": json.dumps(config, ensure_ascii=False, indent=1) + "\n",
        }
        write_files(folder, {**{name: text.encode("utf-8") for name, text in texts.items()}, **self._files})
        return self.manifest()

    def to_transformers(self) -> PreTrainedTokenizerBase:
        """The same tokenizer as a `transformers.PreTrainedTokenizerFast`: identical ids, special tokens and inputs."""
        import transformers

        make: Any = transformers.PreTrainedTokenizerFast  # its constructor has no types
        made: PreTrainedTokenizerBase = make(tokenizer_object=self._backend, **self._transformers_settings())
        return made

    def _transformers_settings(self) -> dict[str, Any]:
        settings: dict[str, Any] = {**self._specials, "model_input_names": list(self.input_names)}
        if self.max_length is not None:
            settings["model_max_length"] = self.max_length
        return settings


def bert_template(backend: tokenizers.Tokenizer, specials: Mapping[str, str]) -> None:
    """Let the backend add ``[CLS] A [SEP]`` and ``[CLS] A [SEP] B [SEP]``, as far as its vocabulary has the tokens."""
    from tokenizers import processors

    found = {token: backend.token_to_id(token) for token in (specials["cls_token"], specials["sep_token"])}
    start, end = ([token] if found[token] is not None else [] for token in found)
    single = [f"{part}:0" for part in (*start, "$A", *end)]
    backend.post_processor = processors.TemplateProcessing(
        single=single,
        pair=[*single, *(f"{part}:1" for part in ("$B", *end))],
        special_tokens=[(token, token_id) for token, token_id in found.items() if token_id is not None],
    )


def _required(ids: Mapping[str, int | None], key: str) -> int:
    found = ids.get(key)
    if found is None:
        raise CheckpointError(f"the tokenizer's files name no {key} that their vocabulary has")
    return found
