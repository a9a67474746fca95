"""A network: the mean and the largest value of each feature of a text's tokens, side by side.

SWEM-concat of Shen et al. 2018, "Baseline needs more love: on simple word-embedding-based models".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor, nn

from hub_core.nn.bags import BagOutput, BowConfig, BowEncoder, BowFamily
from hub_core.nn.sizes import read_sizes

if TYPE_CHECKING:
    from hub_core.tasks.task import Task


class SwemForSequenceClassification(BowEncoder):
    """Logits from both."""

    def __init__(self, config: BowConfig, labels: int) -> None:
        super().__init__(config)
        self.head = nn.Sequential(nn.Dropout(config.dropout), nn.Linear(2 * config.width, labels))

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor | None = None, output_hidden_states: bool = False
    ) -> BagOutput:
        """As the encoder, with `logits` ``(batch, labels)``."""
        output = super().forward(input_ids, attention_mask, output_hidden_states)
        states = output.last_hidden_state  # (batch, length, width), zero on padding
        present = (torch.ones_like(input_ids) if attention_mask is None else attention_mask)[:, :, None]
        mean = states.sum(dim=1) / present.sum(dim=1).clamp(min=1)
        largest = states.masked_fill(present == 0, -torch.inf).amax(dim=1)
        pooled = torch.cat([mean, largest], dim=1)
        return output._replace(logits=self.head(pooled), pooler_output=pooled)


class SwemFamily(BowFamily):
    """Its sizes are those of a bag of words, see `BowConfig`."""

    name: ClassVar[str] = "swem"
    supports: ClassVar[tuple[str, ...]] = ("seq-cls", "rating")

    def make(self, config: Mapping[str, Any], task: Task | None) -> BowEncoder:
        """The network for a task, or without a head."""
        sizes = read_sizes(BowConfig, config, family=self.name)
        return BowEncoder(sizes) if task is None else SwemForSequenceClassification(sizes, len(task.labels))
