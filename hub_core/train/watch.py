"""Keeps the numbers of the steps since the last log line, and stops a run in which they are no longer finite."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from hub_core.errors import NonFiniteLossError
from hub_core.train.shares import whole


@dataclass(frozen=True)
class StepNumbers:
    """One step: its number (from 1), its epoch (from 1), its mean loss and parts, and the gradient's norm."""

    step: int
    epoch: int
    losses: Mapping[str, torch.Tensor]
    norm: torch.Tensor


class Watch:
    """Notes steps and raises NonFiniteLossError for the first one whose loss or gradient is NaN or infinite.

    With `every_step` each step is looked at when it is noted, before the weights change; otherwise (on a GPU, which
    would have to wait for each look) when `verify` or `means` is called. `norms` False passes over the gradient: in
    fp16 the scaler skips such steps by itself. `seen` are the losses of the steps that were looked at since the last
    call of `means`.
    """

    def __init__(self, folder: Path, *, every_step: bool, norms: bool) -> None:
        self._folder = folder
        self._every_step, self._norms = every_step, norms
        self._unseen: list[StepNumbers] = []
        self.seen: list[dict[str, float]] = []

    def note(self, numbers: StepNumbers) -> None:
        """Take in a step."""
        self._unseen.append(numbers)
        if self._every_step:
            self.verify()

    def verify(self) -> None:
        """Look at every step that was not looked at yet."""
        if not self._unseen:
            return
        # One transfer from the device for all of them.
        values = iter(torch.cat([torch.stack([*r.losses.values(), r.norm.float()]) for r in self._unseen]).tolist())
        for row in self._unseen:
            losses = {name: next(values) for name in row.losses}
            norm = next(values)
            if not math.isfinite(losses["loss"]):
                raise self._error(f"the loss became {losses['loss']}", row)
            if self._norms and not math.isfinite(norm):
                raise self._error(f"the gradient became {norm} (its norm; the loss is {losses['loss']:.4g})", row)
            self.seen.append(losses)
        self._unseen.clear()

    def verify_weights(self, parameters: Iterable[torch.Tensor]) -> None:
        """Raise NonFiniteLossError where a parameter that is trained is no longer finite."""
        # A sum is finite where all its terms are; it takes a tenth of the time of looking at each.
        sums = [whole(p.detach().sum(dtype=torch.float32)) for p in parameters if p.requires_grad]
        if sums and not bool(torch.stack(sums).isfinite().all()):
            raise NonFiniteLossError(f"weights became NaN or infinite{self._advice()}")

    def means(self) -> dict[str, float]:
        """The mean loss and parts over the steps noted since the last call."""
        self.verify()
        names = dict.fromkeys(name for row in self.seen for name in row)
        columns = {name: [row[name] for row in self.seen if name in row] for name in names}
        self.seen.clear()
        return {name: sum(values) / len(values) for name, values in columns.items()}

    def _error(self, what: str, row: StepNumbers) -> NonFiniteLossError:
        return NonFiniteLossError(f"{what} at step {row.step} (epoch {row.epoch}){self._advice()}")

    def _advice(self) -> str:
        return (
            f"; training stopped and nothing was saved since the last good state in {self._folder}; try a smaller "
            "learning rate, warm-up, max_grad_norm=1.0, or precision='float32'"
        )
