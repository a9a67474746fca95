"""Tokenizers that `transformers` has no class for, dressed as one of its Python tokenizers."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hub_core.text.encoding import truncate
from hub_core.text.tokenizer import Tokenizer

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def python_tokenizer(tokenizer: Tokenizer) -> PreTrainedTokenizerBase:
    """A `transformers.PreTrainedTokenizer` that gives the ids of `tokenizer`.

    It is called, batched, padded and truncated as every other tokenizer of `transformers`. `save_pretrained` writes
    this library's files; `AutoTokenizer` cannot load them back, because the code that cuts the text lives here:
    load the folder with this library and call `to_transformers` again.
    """
    settings: dict[str, Any] = {
        f"{name}_token": getattr(tokenizer, f"{name}_token")
        for name in ("pad", "unk", "cls", "sep", "mask")
        if getattr(tokenizer, f"{name}_token") is not None
    }
    settings["model_input_names"] = list(tokenizer.input_names)
    if tokenizer.max_length is not None:
        settings["model_max_length"] = tokenizer.max_length
    made: PreTrainedTokenizerBase = _adapter_class()(hub_tokenizer=tokenizer, **settings)
    return made


@cache
def _adapter_class() -> Any:
    """The class, made when it is first needed: its base takes seconds to import."""
    import transformers

    base: Any = transformers.PreTrainedTokenizer  # its constructor has no types

    class HubTokenizer(base):  # type: ignore[misc]
        """A tokenizer of hub_core inside `transformers`."""

        def __init__(self, *, hub_tokenizer: Tokenizer, **settings: Any) -> None:
            # Not through `settings`: transformers deep-copies those, and writes them as JSON.
            self.hub_tokenizer = hub_tokenizer
            # What counts as a special token in a text is the wrapped tokenizer's business.
            super().__init__(**settings, split_special_tokens=True)

        @property
        def vocab_size(self) -> int:
            return len(self.hub_tokenizer)

        def get_vocab(self) -> dict[str, int]:
            return {**self.hub_tokenizer.get_vocab(), **self._added_tokens_encoder}

        def _tokenize(self, text: str, **_: Any) -> list[str]:
            return self.hub_tokenizer.tokenize(text)

        def _convert_token_to_id(self, token: str) -> int:
            return self.hub_tokenizer.convert_tokens_to_ids(token)

        def _convert_id_to_token(self, index: int) -> str:
            return self.hub_tokenizer.convert_ids_to_tokens(index)

        def convert_tokens_to_string(self, tokens: list[str]) -> str:
            return self.hub_tokenizer.convert_tokens_to_string(tokens)

        def build_inputs_with_special_tokens(
            self, token_ids_0: Sequence[int], token_ids_1: Sequence[int] | None = None
        ) -> list[int]:
            return self.hub_tokenizer.with_specials(token_ids_0, token_ids_1)[0]

        def create_token_type_ids_from_sequences(
            self, token_ids_0: Sequence[int], token_ids_1: Sequence[int] | None = None
        ) -> list[int]:
            return self.hub_tokenizer.with_specials(token_ids_0, token_ids_1)[1]

        def truncate_sequences(
            self,
            ids: list[int],
            pair_ids: list[int] | None = None,
            num_tokens_to_remove: int = 0,
            truncation_strategy: Any = "longest_first",
            stride: int = 0,
        ) -> tuple[list[int], list[int] | None, list[int]]:
            # Of a pair, transformers' Python and Rust tokenizers cut different odd tokens; ours go with the latter.
            strategy = str(getattr(truncation_strategy, "value", truncation_strategy))
            if pair_ids is None or strategy != "longest_first" or self.truncation_side != "right":
                cut: tuple[list[int], list[int] | None, list[int]] = super().truncate_sequences(
                    ids, pair_ids, num_tokens_to_remove, truncation_strategy, stride
                )
                return cut
            room = len(ids) + len(pair_ids) - max(0, num_tokens_to_remove)
            return *truncate(ids, pair_ids, room, strategy), []

        def save_vocabulary(self, save_directory: str, filename_prefix: str | None = None) -> tuple[str, ...]:
            if filename_prefix:
                raise ValueError("the files of a hub tokenizer have fixed names; leave filename_prefix out")
            folder = Path(save_directory)
            before = set(folder.iterdir())
            self.hub_tokenizer.save(folder)
            return tuple(str(path) for path in sorted(set(folder.iterdir()) - before))

        def __reduce__(self) -> tuple[Any, ...]:
            return python_tokenizer, (self.hub_tokenizer,)

    return HubTokenizer
