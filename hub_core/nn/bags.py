"""The smallest families: a bag of words, and a convolution over words; students that answer in microseconds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from hub_core.nn.own_family import OwnFamily
from hub_core.nn.sizes import read_sizes
from hub_core.nn.token_embedding import LockedDropout, TokenEmbedding, check_bigrams

if TYPE_CHECKING:
    from hub_core.tasks.task import Task


class BagOutput(NamedTuple):
    """What these networks return: `last_hidden_state` ``(batch, length, width)``, and of one with a head its `logits`
    ``(batch, labels)`` and the vector that they are made from."""

    last_hidden_state: Tensor
    logits: Tensor | None = None
    hidden_states: tuple[Tensor, ...] | None = None
    attentions: None = None
    pooler_output: Tensor | None = None


@dataclass(frozen=True)
class BowConfig:
    """The sizes of a bag of words: the manifest's ``config``.

    For `bigram_buckets`, `bigram_size`, `word_dropout` and `embedding_dropout` see `hub_core.nn.bilstm.BiLstmConfig`.
    `head_size` (0: none) is the width of a tanh layer before the labels, `dropout` the share hidden before them.
    """

    vocab_size: int
    embedding_size: int
    dropout: float = 0.0
    embedding_dropout: float = 0.0
    word_dropout: float = 0.0
    head_size: int = 0
    bigram_buckets: int = 0
    bigram_size: int = 0

    def __post_init__(self) -> None:
        check_bigrams(self, "bow")

    @property
    def width(self) -> int:
        """The width of a token's vector."""
        return self.embedding_size + self.bigram_size


@dataclass(frozen=True)
class CnnConfig:
    """The sizes of a convolution over words (Kim 2014, "Convolutional neural networks for sentence classification").

    `filters` of each of the `windows`, which count tokens. The others as for `BowConfig`.
    """

    vocab_size: int
    embedding_size: int
    filters: int
    windows: tuple[int, ...] = (3, 4, 5)
    dropout: float = 0.0
    embedding_dropout: float = 0.0
    word_dropout: float = 0.0
    head_size: int = 0
    bigram_buckets: int = 0
    bigram_size: int = 0

    def __post_init__(self) -> None:
        check_bigrams(self, "cnn")

    @property
    def width(self) -> int:
        """The width of the features of a position."""
        return self.filters * len(self.windows)


class BowEncoder(nn.Module):
    """Vectors of tokens, each for itself."""

    def __init__(self, config: BowConfig) -> None:
        super().__init__()
        self.config, self.width = config, config.width
        self.embedding = TokenEmbedding(config)

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor | None = None, output_hidden_states: bool = False
    ) -> BagOutput:
        """Read right-padded int64 `input_ids` ``(batch, length)``; `attention_mask` is 1 on tokens, 0 on padding."""
        states = self.embedding(input_ids) * _present(input_ids, attention_mask)
        return BagOutput(states, hidden_states=(states,) if output_hidden_states else None)


class CnnEncoder(nn.Module):
    """Features of the windows around each token, cut off below 0; beyond a text's ends there are zeros."""

    def __init__(self, config: CnnConfig) -> None:
        super().__init__()
        self.config, self.width = config, config.width
        self.embedding = TokenEmbedding(config)
        size = config.embedding_size + config.bigram_size
        self.convolutions = nn.ModuleList(nn.Conv1d(size, config.filters, window) for window in config.windows)

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor | None = None, output_hidden_states: bool = False
    ) -> BagOutput:
        """As `BowEncoder.forward`."""
        present = _present(input_ids, attention_mask)
        states = self.embedding(input_ids) * present
        features = []
        for window, convolution in zip(self.config.windows, self.convolutions, strict=True):
            before = (window - 1) // 2
            around = nn.functional.pad(states.transpose(1, 2), (before, window - 1 - before))
            features.append(torch.relu(convolution(around)).transpose(1, 2))
        found = torch.cat(features, dim=2) * present
        return BagOutput(found, hidden_states=(states, found) if output_hidden_states else None)


class BagHead(nn.Module):
    """Dropout, an optional tanh layer, and the projection to labels."""

    def __init__(self, width: int, head_size: int, dropout: float, labels: int) -> None:
        super().__init__()
        self.dropout = LockedDropout(dropout)
        self.dense = nn.Linear(width, head_size) if head_size else None
        self.labels = nn.Linear(head_size or width, labels)

    def forward(self, vectors: Tensor) -> Tensor:
        """``(batch, width)`` to ``(batch, labels)``."""
        vectors = self.dropout(vectors[:, None])[:, 0]
        if self.dense is not None:
            vectors = torch.tanh(self.dense(vectors))
        logits: Tensor = self.labels(vectors)
        return logits


class BowForSequenceClassification(BowEncoder):
    """Logits from the mean of the tokens' vectors."""

    def __init__(self, config: BowConfig, labels: int) -> None:
        super().__init__(config)
        self.head = BagHead(config.width, config.head_size, config.dropout, labels)

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor | None = None, output_hidden_states: bool = False
    ) -> BagOutput:
        """As the encoder, with `logits` and `pooler_output`."""
        output = super().forward(input_ids, attention_mask, output_hidden_states)
        count = _present(input_ids, attention_mask).sum(dim=1).clamp(min=1)
        pooled = output.last_hidden_state.sum(dim=1) / count
        return output._replace(logits=self.head(pooled), pooler_output=pooled)


class CnnForSequenceClassification(CnnEncoder):
    """Logits from the largest value of each feature over the text."""

    def __init__(self, config: CnnConfig, labels: int) -> None:
        super().__init__(config)
        self.head = BagHead(config.width, config.head_size, config.dropout, labels)

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor | None = None, output_hidden_states: bool = False
    ) -> BagOutput:
        """As the encoder, with `logits` and `pooler_output`."""
        output = super().forward(input_ids, attention_mask, output_hidden_states)
        pooled = output.last_hidden_state.amax(dim=1)  # no feature is below 0, which is what padding has
        return output._replace(logits=self.head(pooled), pooler_output=pooled)


class BowFamily(OwnFamily):
    """Bags of words; see `BowConfig` for their sizes."""

    name: ClassVar[str] = "bow"
    supports: ClassVar[tuple[str, ...]] = ("seq-cls", "text-matching", "embedding")

    def make(self, config: Mapping[str, Any], task: Task | None) -> BowEncoder:
        """See `OwnFamily.make`."""
        sizes = read_sizes(BowConfig, config, family=self.name)
        return BowEncoder(sizes) if task is None else BowForSequenceClassification(sizes, len(task.labels))

    def described(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """See `OwnFamily.described`."""
        return asdict(read_sizes(BowConfig, config, family=self.name))


class CnnFamily(OwnFamily):
    """Convolutions over words; see `CnnConfig` for their sizes."""

    name: ClassVar[str] = "cnn"
    supports: ClassVar[tuple[str, ...]] = ("seq-cls", "text-matching", "embedding")

    def make(self, config: Mapping[str, Any], task: Task | None) -> CnnEncoder:
        """See `OwnFamily.make`."""
        sizes = read_sizes(CnnConfig, config, family=self.name)
        return CnnEncoder(sizes) if task is None else CnnForSequenceClassification(sizes, len(task.labels))

    def described(self, config: Mapping[str, Any]) -> dict[str, Any]:
        """See `OwnFamily.described`."""
        return asdict(read_sizes(CnnConfig, config, family=self.name))


def _present(input_ids: Tensor, attention_mask: Tensor | None) -> Tensor:
    """1 where there is a token and 0 on padding, ``(batch, length, 1)``."""
    mask = torch.ones_like(input_ids) if attention_mask is None else attention_mask
    return mask[:, :, None].to(torch.get_default_dtype())
