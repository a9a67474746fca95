"""Small steps on numpy arrays that every task takes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hub_core.examples import Array
from hub_core.text.tokenizer import Tokenizer


def input_arrays(tokenizer: Tokenizer, ids: Sequence[int], types: Sequence[int]) -> dict[str, Array]:
    """The arrays that the network gets for one row, in the tokenizer's order, each int64 of shape ``(length,)``."""
    arrays = {
        "input_ids": np.asarray(ids, dtype=np.int64),
        "token_type_ids": np.asarray(types, dtype=np.int64),
        "attention_mask": np.ones(len(ids), dtype=np.int64),
    }
    return {name: arrays[name] for name in tokenizer.input_names}


def softmax(logits: Array) -> Array:
    """Probabilities along the last axis, computed in float64 so that batching cannot move a rounded digit."""
    shifted = logits.astype(np.float64)
    shifted -= shifted.max(axis=-1, keepdims=True)
    powers = np.exp(shifted)
    result: Array = powers / powers.sum(axis=-1, keepdims=True)
    return result


def sigmoid(logits: Array) -> Array:
    """Probabilities of single decisions, in float64; safe for logits of any size."""
    powers = np.exp(-np.abs(logits.astype(np.float64)))
    result: Array = np.where(logits >= 0, 1, powers) / (1 + powers)
    return result
