"""Logits at some tokens only: a vocabulary's worth of numbers for every token is most of what pre-training computes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn


@contextmanager
def only_at(network: nn.Module, places: torch.Tensor | None) -> Iterator[None]:
    """Let a network with a masked-lm head compute logits at `places` only, for the block; None: at all tokens.

    `places` are indices into ``batch * length`` tokens; logits then have the shape ``(places, vocabulary)``, once they
    have gone through `picked`. For one thread at a time: the network is changed for the block.
    """
    if places is None:
        yield
        return
    embeddings: Any = network.get_output_embeddings()  # type: ignore[operator]

    def asked(_: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        (hidden,) = inputs
        return (hidden.flatten(0, 1)[places],)

    handle = embeddings.register_forward_pre_hook(asked)
    try:
        yield
    finally:
        handle.remove()


def picked(logits: Any, places: torch.Tensor | None) -> Any:
    """Logits of hidden words at `places`, whatever the head: one that uses its decoder's weight alone (MobileBERT) was
    not asked, and has computed them all. Of several heads, the first is that of hidden words."""
    if isinstance(logits, tuple):
        return (picked(logits[0], places), *logits[1:])
    return logits if places is None or logits.dim() == 2 else logits.flatten(0, 1)[places]
