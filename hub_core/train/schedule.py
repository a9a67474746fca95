"""Learning rates as a pure function of the step, so that nothing but the step number needs to be saved."""

from __future__ import annotations

import math

from hub_core.train.settings import TrainSettings


def warmup_steps(settings: TrainSettings, total_steps: int) -> int:
    """Steps of linear warm-up: `warmup_steps`, else `warmup_ratio` of all steps rounded up."""
    return settings.warmup_steps or math.ceil(settings.warmup_ratio * total_steps)


def rate_factor(settings: TrainSettings, step: int, total_steps: int) -> float:
    """What to multiply the base learning rate with at a step (counted from 0).

    Linear from 0 to 1 over the warm-up; then constant, linear to 0, or half a cosine to 0 (as `transformers`'
    ``get_*_schedule_with_warmup``).
    """
    warmup = warmup_steps(settings, total_steps)
    if step < warmup:
        return step / warmup
    progress = (step - warmup) / max(1, total_steps - warmup)
    if settings.schedule == "linear":
        return max(0.0, 1.0 - progress)
    if settings.schedule == "cosine":
        return max(0.0, 0.5 * (1.0 + math.cos(math.pi * progress)))
    return 1.0
