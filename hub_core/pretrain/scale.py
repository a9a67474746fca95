"""Embeddings as fine-tuning finds them: in the scale of new ones, whatever scale pre-training has left them in."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel

#: How many times as widely as new ones embeddings must be spread. Published encoders are at about two, which their
#: recipes fit.
_FAR = 4.0


@contextmanager
def as_new(network: nn.Module) -> Iterator[None]:
    """For the block, embeddings that have grown far are spread as widely as new ones; the network answers the same.

    A norm after the embeddings takes their scale away. It costs nothing while they grow, but the larger they are, the
    less a step of Adam, whose length does not depend on it, turns them: fine-tuning learns about as slowly as they are
    too large. They are divided by a power of two, and the norm that a tied decoder reads from is multiplied by it; the
    epsilon of the norm of the embeddings, which does not shrink along, is all that can change an answer. Afterwards
    every weight is what it was, bit for bit. A network that is not known to work like this stays as it is throughout.
    """
    factor, tables, norms = _grown(network) if isinstance(network, PreTrainedModel) else (1.0, [], [])
    _multiply(tables, 1 / factor)
    _multiply(norms, factor)
    try:
        yield
    finally:
        _multiply(tables, factor)
        _multiply(norms, 1 / factor)


def _grown(network: Any) -> tuple[float, list[nn.Module], list[nn.Module]]:
    """How many times too large the embeddings are, the tables whose sum is normed, and the norm of a tied decoder."""
    base = network.base_model
    other: tuple[float, list[nn.Module], list[nn.Module]] = (1.0, [], [])
    embeddings = getattr(base, "embeddings", nn.Identity())
    parts = [part for part in embeddings.modules() if next(part.parameters(recurse=False), None) is not None]
    tables = [part for part in parts if isinstance(part, nn.Embedding)]
    normed = [part for part in parts if isinstance(part, nn.LayerNorm)]
    # Anything else within, such as a projection with a bias, does not shrink with the tables.
    if not tables or not normed or len(tables) + len(normed) < len(parts):
        return other
    words, decoder = base.get_input_embeddings().weight, network.get_output_embeddings()
    norms: list[nn.Module] = []
    if decoder is not None and decoder.weight is words:
        within = set(base.modules())
        norms = [part for part in network.modules() if isinstance(part, nn.LayerNorm) and part not in within]
        if len(norms) != 1:
            return other
    elif decoder is not None and (network.config.tie_word_embeddings or decoder.weight.shape != words.shape):
        return other
    return _excess(words, getattr(network.config, "initializer_range", None)), list(tables), norms


def _excess(weight: torch.Tensor, new: float | None) -> float:
    """How many times as widely as new ones embeddings are spread, as the nearest power of two; 1 where not far."""
    times = float(weight.detach().float().std()) / new if new else 1.0
    return 2.0 ** round(math.log2(times)) if times >= _FAR else 1.0


@torch.no_grad()
def _multiply(parts: Sequence[nn.Module], factor: float) -> None:
    for part in parts:
        for weight in part.parameters(recurse=False):
            weight.mul_(factor)
