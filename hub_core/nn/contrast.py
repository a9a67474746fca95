"""Losses that teach vectors which texts belong together."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity, cross_entropy, normalize


def in_batch(vectors: Tensor, weights: Tensor, *, scale: float) -> Tensor:
    """Cross-entropy of finding each row's second text among those of the whole batch, and among all negatives.

    `vectors` is ``(rows, texts, width)``: the text, its match, and any number of texts that do not match it. The sum
    over rows, each times its weight (Henderson et al. 2017, "Efficient natural language response suggestion", section
    4.4; with cosines and a scale as in SimCSE, Gao et al. 2021).
    """
    unit = normalize(vectors, dim=-1)
    candidates = unit[:, 1:].transpose(0, 1).flatten(0, 1)  # (texts - 1) * rows: all matches first, then negatives
    scores = scale * unit[:, 0] @ candidates.T
    wanted = torch.arange(len(vectors), device=vectors.device)
    losses: Tensor = cross_entropy(scores, wanted, reduction="none")
    return (losses * weights).sum()


def cosent(first: Tensor, second: Tensor, targets: Tensor, weights: Tensor, *, scale: float) -> Tensor:
    """``log(1 + sum of exp(scale * (cos_j - cos_i)))`` over all rows with ``target_i > target_j``, times all weights.

    Vectors ``(rows, width)``; rows of weight 0 have no part in it (Su Jianlin 2022, "CoSENT: a sentence embedding
    scheme more effective than Sentence-BERT", https://kexue.fm/archives/8847).
    """
    cosines = scale * cosine_similarity(first, second, dim=1)
    counted = weights > 0
    ordered = (targets[:, None] > targets[None, :]) & counted[:, None] & counted[None, :]
    gaps = (cosines[None, :] - cosines[:, None])[ordered]
    terms = torch.cat([gaps.new_zeros(1), gaps])
    return torch.logsumexp(terms, dim=0) * weights.sum()
