"""A linear-chain conditional random field (Lafferty, McCallum and Pereira 2001) over the labels of a sequence.

Decoding is numpy's (`hub_core.tasks.viterbi`), so that an exported network needs no CRF code: it returns emissions.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Crf(nn.Module):
    """Scores of neighbouring labels: `transitions` ``(labels, labels)``, ``[from, to]``; `start`, `end` ``(labels,)``.

    Starts at small uniform values: nothing is forbidden, the data says which pairs do not occur.
    """

    def __init__(self, labels: int) -> None:
        super().__init__()
        self.transitions = nn.Parameter(torch.empty(labels, labels))
        self.start = nn.Parameter(torch.empty(labels))
        self.end = nn.Parameter(torch.empty(labels))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw all scores from U(-0.1, 0.1)."""
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -0.1, 0.1)

    def log_likelihood(self, emissions: Tensor, targets: Tensor, mask: Tensor) -> Tensor:
        """The log probability of each row's targets, ``(batch,)``, float32 at least.

        `emissions` is ``(batch, length, labels)``, `targets` int64 and `mask` bool ``(batch, length)``. The chain of
        a row is made of the positions where the mask is true, in order: a position that is masked (padding, a
        target of `IGNORE`) is absent, and its neighbours follow each other directly. A row without any position
        has log probability 0.
        """
        emissions, targets, present = _compact(emissions, targets, mask)
        return self._path_score(emissions, targets, present) - self._log_partition(emissions, present)

    def _path_score(self, emissions: Tensor, targets: Tensor, present: Tensor) -> Tensor:
        """The score of the given path of each row, ``(batch,)``; `present` is true on the left and then false."""
        lengths = present.sum(dim=1)
        steps = emissions.gather(2, targets[:, :, None]).squeeze(2)
        steps[:, 1:] += self.transitions[targets[:, :-1], targets[:, 1:]]
        last = targets.gather(1, (lengths - 1).clamp(min=0)[:, None]).squeeze(1)
        ends = self.start[targets[:, 0]] + self.end[last]
        return (steps * present).sum(dim=1) + ends * (lengths > 0)

    def _log_partition(self, emissions: Tensor, present: Tensor) -> Tensor:
        """The log of the summed exponential scores of all paths of each row, ``(batch,)``."""
        scores = self.start + emissions[:, 0]  # (batch, labels): all paths that end in a label here
        for step in range(1, emissions.shape[1]):
            longer = torch.logsumexp(scores[:, :, None] + self.transitions, dim=1) + emissions[:, step]
            scores = torch.where(present[:, step, None], longer, scores)
        return torch.logsumexp(scores + self.end, dim=1) * present[:, 0]


def _compact(emissions: Tensor, targets: Tensor, mask: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Move the masked-in positions of each row to the left, in order; the rest is cut or has target 0.

    Half precision becomes float32: a sum over a hundred steps needs the digits.
    """
    mask = mask.bool()
    lengths = mask.sum(dim=1)
    width = max(1, int(lengths.max()))
    order = torch.argsort((~mask).to(torch.uint8), dim=1, stable=True)[:, :width]
    present = torch.arange(width, device=mask.device) < lengths[:, None]
    chosen = emissions.gather(1, order[:, :, None].expand(-1, -1, emissions.shape[2]))
    dtype = torch.promote_types(chosen.dtype, torch.float32)
    return chosen.to(dtype), targets.gather(1, order) * present, present
