"""`torch.compile` for training: rows are padded to one of a few lengths, so that few graphs are compiled."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from contextlib import AbstractContextManager
from copy import copy
from typing import Any

import numpy as np
import torch
from torch import nn

from hub_core.examples import Array
from hub_core.nn.families import TransformersFamily
from hub_core.torch_module import TorchModule

#: What turns the traced network into code.
BACKEND = "inductor"
#: How many lengths there are at most. Each is compiled once per number of rows: a batch, half of one, an epoch's rest.
MOST_LENGTHS = 8


def compiled(module: TorchModule, *, encoder_only: bool = False) -> TorchModule:
    """A module around the same weights whose network is compiled, one graph per shape, when it is first called.

    `encoder_only` leaves the heads of a `transformers` network as they are.
    """
    if encoder_only and isinstance(module.family, TransformersFamily):
        network: Any = copy(module.network)
        encoder = str(network.base_model_prefix)
        parts = {name: _compiled(part) if name == encoder else part for name, part in network.named_children()}
        network._modules = parts
    else:
        network = _compiled(module.network)
    return TorchModule(module.spec, module.family, network, module.tokenizer, module.task)


def _compiled(network: nn.Module) -> Any:
    return torch.compile(network, backend=BACKEND, dynamic=False)


def many_graphs() -> AbstractContextManager[Any]:
    """A context in which as many graphs are kept as there may be shapes; torch stops compiling at eight otherwise."""
    patch: AbstractContextManager[Any] = torch._dynamo.config.patch(recompile_limit=4 * MOST_LENGTHS)
    return patch


def padded_lengths(lengths: Sequence[int] | Array, most: int = MOST_LENGTHS) -> tuple[int, ...]:
    """At most so many lengths, ascending, to which rows of these lengths are padded with the fewest padding tokens.

    The last is that of the longest row. Found by dynamic programming over the distinct lengths.
    """
    distinct, counts = np.unique(np.asarray(lengths, dtype=np.int64), return_counts=True)
    size = len(distinct)
    if size <= most:
        return tuple(distinct.tolist())
    rows, tokens = np.concatenate([[0], np.cumsum(counts)]), np.concatenate([[0], np.cumsum(counts * distinct)])
    # waste[i, j]: padding where the lengths from i to j (inclusive) are padded to the j-th.
    waste = distinct[None, :] * (rows[None, 1:] - rows[:-1, None]) - (tokens[None, 1:] - tokens[:-1, None])
    waste = np.where(np.arange(size)[:, None] <= np.arange(size)[None, :], waste, np.iinfo(np.int64).max // 4)
    best, choices = waste[0], []
    for _ in range(most - 1):
        # The least padding up to j with one length more: the lengths before i are padded already.
        before = np.concatenate([[0], best[:-1]])[:, None] + waste
        choices.append(before.argmin(axis=0))
        best = before.min(axis=0)
    found, end = [], size - 1
    for choice in [*reversed(choices), np.zeros(size, dtype=np.int64)]:
        found.append(int(distinct[end]))
        end = int(choice[end]) - 1
        if end < 0:
            break
    return tuple(reversed(found))


def padded_length(length: int, lengths: Sequence[int]) -> int:
    """The least of the ascending lengths that holds a row of this length; its own where none does."""
    at = bisect_left(lengths, length)
    return lengths[at] if at < len(lengths) else length
