"""Dropout on a CPU, with masks that are drawn several times as fast as torch's, and attention in bfloat16
(docs/performance.md).

torch draws a CPU mask number by number out of one Mersenne twister. Here it comes in one block out of SFC64, sixteen
bits per number.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import dropout, scaled_dot_product_attention
from torch.overrides import TorchFunctionMode

#: One draw is one of so many numbers, so that a share is met to within 1/131072.
_DRAWS = 65536


def random_scale(like: Tensor, share: float) -> Tensor:
    """A tensor of zeros (`share` of them, above 0 and below 1) and ones, divided by the share of ones.

    The seed of its numbers is drawn from torch's generator: what governs that (``torch.manual_seed``, a saved state,
    gradient checkpointing) governs these.
    """
    seed = int(torch.randint(2**63 - 1, ()))
    count, dropped = like.numel(), round(share * _DRAWS)
    draws = np.random.SFC64(seed).random_raw(-(-count // 4)).view(np.int16)[:count]
    kept = torch.from_numpy(draws).view(like.shape) >= dropped - _DRAWS // 2
    return kept.to(like.dtype).mul_(_DRAWS / (_DRAWS - dropped))


class QuickDropout(TorchFunctionMode):
    """Within this context dropout of CPU tensors, by itself and inside of attention, draws its masks quickly, and
    attention in bfloat16 has a quick backward pass."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: object,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Every call of a torch function within the context comes through here."""
        quick = _QUICK.get(func)
        return (quick or func)(*args, **(kwargs or {}))


def _dropout(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    if not training or inplace or not _quick(input, p):
        return dropout(input, p, training, inplace)
    return input * random_scale(input, p)


def _attention(
    query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor | None = None, dropout_p: float = 0.0, **options: Any
) -> Tensor:
    """Attention as torch computes it where probabilities are dropped: scores, softmax, dropout, weighted sum.

    In bfloat16 it is computed so with or without dropout: there the backward pass of torch's fused kernel for a CPU is
    slower by far (docs/performance.md).
    """
    scale = options.pop("scale", None) or query.shape[-1] ** -0.5
    drops = _quick(query, dropout_p)
    if any(options.values()) or not (drops or _lowered(query)):  # causal masks and grouped queries
        return scaled_dot_product_attention(query, key, value, attn_mask, dropout_p, scale=scale, **options)
    scores = torch.matmul(query * scale, key.transpose(-2, -1))
    if attn_mask is not None and attn_mask.dtype is torch.bool:
        scores = scores.masked_fill(~attn_mask, torch.finfo(scores.dtype).min)
    elif attn_mask is not None:
        scores = scores + attn_mask
    chances = torch.softmax(scores, dim=-1)
    return torch.matmul(chances * random_scale(chances, dropout_p) if drops else chances, value)


def _lowered(query: Tensor) -> bool:
    """Whether a gradient is wanted of what is computed in bfloat16 on a CPU."""
    if query.device.type != "cpu" or not torch.is_grad_enabled() or not torch.is_autocast_enabled("cpu"):
        return False
    return torch.get_autocast_dtype("cpu") is torch.bfloat16


def _quick(tensor: Tensor, share: float) -> bool:
    return 0 < round(share * _DRAWS) < _DRAWS and tensor.device.type == "cpu" and tensor.is_floating_point()


_QUICK: Mapping[Any, Callable[..., Tensor]] = {dropout: _dropout, scaled_dot_product_attention: _attention}
