"""The Bi-LSTM family: small networks over characters or words, trained from nothing, students of later distillation.

Input is right-padded; what stands in the padding never changes a valid position. The right-to-left direction
therefore turns each row around by its own length, which also exports as plain tensor operations.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from hub_core.nn.crf import Crf
from hub_core.nn.sizes import read_sizes
from hub_core.nn.token_embedding import LockedDropout, TokenEmbedding, check_bigrams

#: How a text becomes one vector: the final state of both directions, or a summary of the states at all positions.
POOLINGS = ("last", "max", "mean", "max+mean", "attention")
#: Names of tensors that belong to a task's labels start with one of these.
HEAD_PREFIXES = ("head.", "crf.")


@dataclass(frozen=True)
class BiLstmConfig:
    """The sizes of a Bi-LSTM: the manifest's ``config``.

    `hidden_size` is that of one direction. `bigram_buckets` (0: none) is the number of rows of a table in which
    each pair of neighbouring tokens has a row by hash, `bigram_size` its width; it joins the embedding of the
    token. `word_dropout` hides whole tokens from the network, `embedding_dropout` and `dropout` hide the same
    features at all positions of a row (Gal and Ghahramani 2016): after the embeddings, and after every LSTM layer.
    `head_size` (0: none) is the width of a tanh layer before the labels. `crf` counts for token-cls only, `pooling`
    (one of `POOLINGS`) for seq-cls only.
    """

    vocab_size: int
    embedding_size: int
    hidden_size: int
    num_layers: int = 1
    dropout: float = 0.0
    embedding_dropout: float = 0.0
    word_dropout: float = 0.0
    crf: bool = False
    pooling: str = field(default="last", metadata={"choices": POOLINGS})
    head_size: int = 0
    bigram_buckets: int = 0
    bigram_size: int = 0

    @classmethod
    def from_mapping(cls, config: Mapping[str, Any]) -> BiLstmConfig:
        """Read a manifest's ``config``. Raises SettingsError for an unknown or missing key, or an unusable value."""
        return read_sizes(cls, config, family="bilstm")

    def __post_init__(self) -> None:
        check_bigrams(self, "bilstm")

    @property
    def input_size(self) -> int:
        """The width of what the first LSTM layer reads at each position."""
        return self.embedding_size + self.bigram_size


class BiLstmOutput(NamedTuple):
    """What the networks return; fields that do not apply are None.

    `logits` is ``(batch, labels)`` or ``(batch, length, labels)``. `hidden_states` holds the embeddings and the
    states after each layer, ``(batch, length, width)`` each; the last one is `last_hidden_state`, of width
    ``2 * hidden_size``. `pooler_output` is the pooled text of seq-cls, ``(batch, width)``. There are no attentions.
    """

    last_hidden_state: Tensor
    logits: Tensor | None = None
    hidden_states: tuple[Tensor, ...] | None = None
    attentions: None = None
    pooler_output: Tensor | None = None


class BiLstmLayer(nn.Module):
    """One layer: an LSTM in reading order and one against it, their states side by side."""

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        self.forwards = nn.LSTM(input_size, hidden_size, batch_first=True)
        self.backwards = nn.LSTM(input_size, hidden_size, batch_first=True)

    def forward(self, states: Tensor, turned: Tensor) -> Tensor:
        """``(batch, length, input)`` to ``(batch, length, 2 * hidden)``; `turned` is from `turn_around`."""
        ahead, _ = self.forwards(states)
        back, _ = self.backwards(_reorder(states, turned))
        return torch.cat([ahead, _reorder(back, turned)], dim=2)


def turn_around(lengths: Tensor, width: int) -> Tensor:
    """Indices ``(batch, width)`` that reverse the first ``lengths[row]`` positions of each row and leave the rest."""
    positions = torch.arange(width, device=lengths.device)
    return torch.where(positions < lengths[:, None], lengths[:, None] - 1 - positions, positions)


def _reorder(states: Tensor, order: Tensor) -> Tensor:
    return states.gather(1, order[:, :, None].expand(-1, -1, states.shape[2]))


class BiLstmEncoder(nn.Module):
    """Embeddings and Bi-LSTM layers without a head.

    The networks with a head are subclasses, so that the encoder's tensors have the same names in every file.
    """

    def __init__(self, config: BiLstmConfig) -> None:
        super().__init__()
        self.config = config
        self.embedding = TokenEmbedding(config)
        widths = [config.input_size] + [2 * config.hidden_size] * (config.num_layers - 1)
        self.layers = nn.ModuleList(BiLstmLayer(width, config.hidden_size) for width in widths)
        self.dropout = LockedDropout(config.dropout)
        _initialise(self.layers)

    @property
    def width(self) -> int:
        """The width of ``last_hidden_state``."""
        return 2 * self.config.hidden_size

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor | None = None, output_hidden_states: bool = False
    ) -> BiLstmOutput:
        """Read right-padded int64 `input_ids` ``(batch, length)``; `attention_mask` is 1 on tokens and 0 on padding
        (None: no padding)."""
        return self._encode(input_ids, _lengths(input_ids, attention_mask), output_hidden_states)

    def _encode(self, input_ids: Tensor, lengths: Tensor, output_hidden_states: bool) -> BiLstmOutput:
        turned = turn_around(lengths, input_ids.shape[1])
        states = [self.embedding(input_ids)]
        for layer in self.layers:
            states.append(self.dropout(layer(states[-1], turned)))
        return BiLstmOutput(states[-1], hidden_states=tuple(states) if output_hidden_states else None)


class BiLstmForTokenClassification(BiLstmEncoder):
    """Logits for every token; with ``config.crf`` they are the emissions of `crf`."""

    def __init__(self, config: BiLstmConfig, num_labels: int) -> None:
        super().__init__(config)
        self.head = BiLstmHead(config, num_labels)
        self.crf = Crf(num_labels) if config.crf else None

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor | None = None, output_hidden_states: bool = False
    ) -> BiLstmOutput:
        """As the encoder, with `logits` ``(batch, length, labels)``."""
        output = self._encode(input_ids, _lengths(input_ids, attention_mask), output_hidden_states)
        return output._replace(logits=self.head(output.last_hidden_state))


class BiLstmForSequenceClassification(BiLstmEncoder):
    """Logits for a whole text, from its states pooled as ``config.pooling`` says."""

    def __init__(self, config: BiLstmConfig, num_labels: int) -> None:
        super().__init__(config)
        self.head = BiLstmPooledHead(config, num_labels)

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor | None = None, output_hidden_states: bool = False
    ) -> BiLstmOutput:
        """As the encoder, with `logits` ``(batch, labels)`` and the vector they are made from, `pooler_output`."""
        lengths = _lengths(input_ids, attention_mask)
        output = self._encode(input_ids, lengths, output_hidden_states)
        pooled = self.head.pool(output.last_hidden_state, lengths)
        return output._replace(logits=self.head(pooled), pooler_output=pooled)


def _lengths(input_ids: Tensor, attention_mask: Tensor | None) -> Tensor:
    """The number of tokens of each row, int64 ``(batch,)``; a row without any counts as one token of padding."""
    mask = torch.ones_like(input_ids) if attention_mask is None else attention_mask
    return mask.sum(dim=1).clamp(min=1)


class BiLstmHead(nn.Module):
    """An optional tanh layer and the projection to labels."""

    def __init__(self, config: BiLstmConfig, num_labels: int, width: int | None = None) -> None:
        super().__init__()
        width = width or 2 * config.hidden_size
        self.dense = nn.Linear(width, config.head_size) if config.head_size else None
        self.labels = nn.Linear(config.head_size or width, num_labels)
        for layer in (self.dense, self.labels):
            if layer is not None:
                # As the published student of ERNIE on ChnSentiCorp: weights U(-0.1, 0.1), biases 0.
                nn.init.uniform_(layer.weight, -0.1, 0.1)
                nn.init.zeros_(layer.bias)

    def forward(self, states: Tensor) -> Tensor:
        """``(..., width)`` to ``(..., labels)``."""
        if self.dense is not None:
            states = torch.tanh(self.dense(states))
        logits: Tensor = self.labels(states)
        return logits


class BiLstmPooledHead(BiLstmHead):
    """A head over one vector per text, and the pooling that makes it."""

    def __init__(self, config: BiLstmConfig, num_labels: int) -> None:
        width = 2 * config.hidden_size
        super().__init__(config, num_labels, 2 * width if config.pooling == "max+mean" else width)
        self.pooling, self.hidden_size = config.pooling, config.hidden_size
        self.attention = nn.Linear(width, 1, bias=False) if config.pooling == "attention" else None

    def pool(self, states: Tensor, lengths: Tensor) -> Tensor:
        """``(batch, length, width)`` to ``(batch, width)``, twice as wide for ``max+mean``; padding has no part."""
        valid = (torch.arange(states.shape[1], device=states.device) < lengths[:, None])[:, :, None]
        if self.pooling == "last":
            final = _reorder(states, (lengths - 1)[:, None])[:, 0]  # reading order ends at the last token
            return torch.cat([final[:, : self.hidden_size], states[:, 0, self.hidden_size :]], dim=1)
        if self.attention is not None:
            scores = self.attention(torch.tanh(states)).masked_fill(~valid, -math.inf)
            return (torch.softmax(scores, dim=1) * states).sum(dim=1)
        mean = (states * valid).sum(dim=1) / lengths[:, None]
        if self.pooling == "mean":
            return mean
        peak = states.masked_fill(~valid, -math.inf).amax(dim=1)
        return peak if self.pooling == "max" else torch.cat([peak, mean], dim=1)


def _initialise(layers: nn.ModuleList) -> None:
    """LSTM weights U(+-1/sqrt(hidden)) as torch does, biases 0 but for the forget gate's 1 (Jozefowicz et al. 2015)."""
    for module in layers.modules():
        if isinstance(module, nn.LSTM):
            hidden = module.hidden_size
            for name, parameter in module.named_parameters():
                if name.startswith("bias"):
                    nn.init.zeros_(parameter)
                    if name.startswith("bias_ih"):
                        nn.init.ones_(parameter[hidden : 2 * hidden])  # gates stand as input, forget, cell, output
