"""Networks that make one vector of a text: embeddings, and the classifiers of two texts that stand on them."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from hub_core.errors import SettingsError

#: Dropout before the classifier of two vectors, as PaddleHub has it.
_DROPOUT = 0.1
#: Where a cosine's learnt scale begins: 20 is 1/0.05, the temperature of SimCSE (Gao et al. 2021).
_SCALE = 20.0


class SentenceOutput(NamedTuple):
    """What these networks return. `pooler_output` are the vectors, one per text."""

    logits: Tensor
    hidden_states: tuple[Tensor, ...] | None = None
    attentions: tuple[Tensor, ...] | None = None
    pooler_output: Tensor | None = None


class SentenceNetwork(nn.Module):
    """An encoder whose answer is one vector per text, ``(texts, width)``; with `normalize` of length 1.

    `pooling` is one of `hub_core.tasks.vectors.POOLINGS`, or ``tokens``: all vectors, ``(texts, length, width)``.
    """

    def __init__(self, encoder: nn.Module, prefix: str, *, pooling: str, normalize: bool = False) -> None:
        super().__init__()
        self.base_model_prefix = prefix
        self.add_module(prefix, encoder)
        self.pooling, self.normalize = pooling, normalize

    def forward(self, input_ids: Tensor, attention_mask: Tensor | None = None, **inputs: Any) -> SentenceOutput:
        """Read int64 `input_ids` ``(texts, length)``."""
        mask = torch.ones_like(input_ids) if attention_mask is None else attention_mask
        result = self.get_submodule(self.base_model_prefix)(input_ids=input_ids, attention_mask=mask, **inputs)
        vectors = pooled(result, mask, self.pooling)
        if self.normalize:
            # `functional.normalize` expands the lengths, in an exported graph to the sample's number of tokens.
            vectors = vectors / vectors.norm(dim=-1, keepdim=True).clamp_min(1e-12)
        return SentenceOutput(
            self.answer(vectors),
            getattr(result, "hidden_states", None),
            getattr(result, "attentions", None),
            vectors,
        )

    def answer(self, vectors: Tensor) -> Tensor:
        """What the network makes of the vectors of all texts."""
        return vectors

    def _init_weights(self, part: nn.Module) -> None:
        """Give one part initial values: as the encoder gives them where it can."""
        initialise = getattr(self.get_submodule(self.base_model_prefix), "_init_weights", None)
        if initialise is not None:
            initialise(part)


class MatchingNetwork(SentenceNetwork):
    """Two texts each, one after the other: ``(2 * pairs, length)`` in, logits of ``[u; v; |u - v|]`` out."""

    def __init__(self, encoder: nn.Module, prefix: str, *, pooling: str, labels: int) -> None:
        super().__init__(encoder, prefix, pooling=pooling)
        self.dropout = nn.Dropout(_DROPOUT)
        self.classifier = nn.Linear(3 * width_of(encoder), labels)

    def answer(self, vectors: Tensor) -> Tensor:
        """Logits ``(pairs, labels)``."""
        first, second = vectors[0::2], vectors[1::2]
        logits: Tensor = self.classifier(self.dropout(torch.cat([first, second, (first - second).abs()], dim=1)))
        return logits


class Cosine(nn.Module):
    """A logit from a cosine: ``scale * (cosine - threshold)``, both learnt."""

    def __init__(self) -> None:
        super().__init__()
        self.log_scale = nn.Parameter(torch.tensor(math.log(_SCALE)))
        self.threshold = nn.Parameter(torch.tensor(0.5))

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        """Vectors ``(pairs, width)`` twice, logits ``(pairs,)``."""
        cosine = nn.functional.cosine_similarity(first, second, dim=1)
        return self.log_scale.exp() * (cosine - self.threshold)


class CosineNetwork(SentenceNetwork):
    """Two texts each, one after the other; the logit of the second of two labels grows with the cosine."""

    def __init__(self, encoder: nn.Module, prefix: str, *, pooling: str) -> None:
        super().__init__(encoder, prefix, pooling=pooling)
        self.classifier = Cosine()

    def answer(self, vectors: Tensor) -> Tensor:
        """Logits ``(pairs, 2)``; the first is 0."""
        logits: Tensor = self.classifier(vectors[0::2], vectors[1::2])
        return torch.stack([torch.zeros_like(logits), logits], dim=1)

    def _init_weights(self, part: nn.Module) -> None:
        """Its two numbers have the initial values that they are made with."""
        if isinstance(part, Cosine):
            part.load_state_dict(Cosine().state_dict())


def pooled(result: Any, mask: Tensor, pooling: str) -> Tensor:
    """One vector per text from an encoder's output; `mask` is 1 on tokens and 0 on padding, which has no part in it."""
    if pooling == "pooler":
        pooler: Tensor | None = getattr(result, "pooler_output", None)
        if pooler is None:
            raise SettingsError("pooling='pooler': this network has no pooler; 'cls' or 'mean' is for every network")
        return pooler
    states: Tensor = result.last_hidden_state
    if pooling == "tokens":
        return states
    if pooling == "cls":
        return states[:, 0]
    present = mask[:, :, None].to(states.dtype)
    if pooling == "max":
        return states.masked_fill(present == 0, torch.finfo(states.dtype).min).amax(dim=1)
    if pooling == "last":
        last = (mask.sum(dim=1) - 1).clamp(min=0)
        return states.gather(1, last[:, None, None].expand(-1, 1, states.shape[2]))[:, 0]
    # In float32: a sum over many tokens has too few digits in bfloat16.
    total = (states * present).float().sum(dim=1) / present.float().sum(dim=1).clamp(min=1)
    return total.to(states.dtype)


def width_of(encoder: nn.Module) -> int:
    """The width of an encoder's vectors."""
    width = getattr(encoder, "width", None) or getattr(encoder.config, "hidden_size", None)
    if not isinstance(width, int):
        raise TypeError(f"{type(encoder).__name__} does not say how wide its vectors are")
    return width
