"""What networks give, whatever their makers call it."""

from __future__ import annotations

from typing import Any

import torch


def logits_of(result: Any) -> Any:
    """The logits in a network's output: a tensor, one per head (a tuple) of a joint network, None of a bare encoder.

    Starts and ends of answers (`transformers`' networks for question answering) come as ``(batch, length, 2)``,
    and those of pre-training as a pair: of words, and of the order of sentences.
    """
    start = getattr(result, "start_logits", None)
    if start is not None:
        return torch.stack([start, result.end_logits], dim=-1)
    words = getattr(result, "prediction_logits", None)
    if words is not None:
        # BERT calls the second head of pre-training one thing, ALBERT another.
        order = getattr(result, "seq_relationship_logits", None)
        return words, result.sop_logits if order is None else order
    return getattr(result, "logits", None)
