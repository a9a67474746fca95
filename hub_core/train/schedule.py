"""Learning rates as a pure function of the step, so that nothing but the step number needs to be saved."""

from __future__ import annotations

import math

import torch

from hub_core.errors import SettingsError
from hub_core.train.settings import TrainSettings


def warmup_steps(settings: TrainSettings, total_steps: int) -> int:
    """Steps of linear warm-up: `warmup_steps`, else `warmup_ratio` of all steps rounded up."""
    return settings.warmup_steps or math.ceil(settings.warmup_ratio * total_steps)


def rate_factor(settings: TrainSettings, step: int, total_steps: int) -> float:
    """What to multiply the base learning rate with at a step (counted from 0).

    Linear from 0 to 1 over the warm-up; then constant, linear to the floor, or half a cosine to it (as `transformers`'
    ``get_*_schedule_with_warmup``, whose floor is 0), which is reached at the end, or after `decay_steps`.
    """
    warmup = warmup_steps(settings, total_steps)
    if step < warmup:
        return step / warmup
    progress = min(1.0, (step - warmup) / max(1, (settings.decay_steps or total_steps) - warmup))
    floor = settings.floor
    if settings.schedule == "linear":
        return floor + (1 - floor) * (1.0 - progress)
    if settings.schedule == "cosine":
        return floor + (1 - floor) * max(0.0, 0.5 * (1.0 + math.cos(math.pi * progress)))
    return 1.0


class LearningRates:
    """Sets an optimizer's learning rates step by step, from those that its groups have now.

    Raises SettingsError for an optimizer that a scheduler of torch's has taken over.
    """

    def __init__(self, optimizer: torch.optim.Optimizer, settings: TrainSettings, total_steps: int) -> None:
        for number, group in enumerate(optimizer.param_groups):
            if "initial_lr" in group:  # what every scheduler leaves in a group, whether or not it changed the rate yet
                raise SettingsError(
                    f"the learning rate of the optimizer's group {number} is set by a scheduler of "
                    f"torch.optim.lr_scheduler ({group['initial_lr']:g} at first, {group['lr']:g} now), "
                    "which the trainer would not call; "
                    "pass the optimizer without one and use TrainSettings(schedule=..., warmup_steps=...)"
                )
        self._optimizer, self._settings, self._total = optimizer, settings, total_steps
        self._base = [float(group["lr"]) for group in optimizer.param_groups]

    def set(self, step: int) -> None:
        """The rates of a step (counted from 0)."""
        self._multiply(rate_factor(self._settings, step, self._total))

    def restore(self) -> None:
        """The rates that the groups had at first, for whatever the optimizer does next."""
        self._multiply(1.0)

    def _multiply(self, factor: float) -> None:
        for group, base in zip(self._optimizer.param_groups, self._base, strict=True):
            group["lr"] = base * factor
