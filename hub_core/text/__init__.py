"""Tokenizers and segmentation: text in, numbers out. Neither torch nor transformers is imported here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hub_core.text.files import tokenizer_from_files
    from hub_core.text.tokenizer import Tokenizer

__all__ = ["Tokenizer", "tokenizer_from_files"]


def __getattr__(name: str) -> Any:
    if name == "tokenizer_from_files":
        from hub_core.text.files import tokenizer_from_files

        return tokenizer_from_files
    if name == "Tokenizer":
        from hub_core.text.tokenizer import Tokenizer

        return Tokenizer
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
