"""Which evaluation of a run is the best, and whether there is any use in waiting for a better one."""

from __future__ import annotations

from collections.abc import Callable

from hub_core.train.settings import TrainSettings
from hub_core.train.state import Progress

Metrics = dict[str, float]
#: Whether new metrics (the second) are better than old ones.
Better = Callable[[Metrics, Metrics], bool]


class Judge:
    """Compares evaluations. What it has seen stands in a run's `Progress`, so that a continued run judges alike.

    `compared` names the one of an evaluation's metrics that `settings.min_delta` is about.
    """

    def __init__(self, is_better: Better, compared: Callable[[Metrics], str], settings: TrainSettings) -> None:
        self._is_better, self._compared = is_better, compared
        self._patience, self._min_delta = settings.patience, settings.min_delta

    def take(self, progress: Progress, metrics: Metrics) -> bool:
        """Note an evaluation. Whether it is the best so far."""
        progress.evaluations += 1
        progress.evaluated, progress.latest = progress.global_step, metrics
        best = progress.best is None or self._is_better(progress.best, metrics)
        if best:
            progress.best = metrics
        if best if not self._min_delta else self._clearly_better(progress.mark, metrics):
            progress.mark, progress.stale = metrics, 0
        else:
            progress.stale += 1
        return best

    def verdict(self, progress: Progress) -> str | None:
        """Why to stop, or None: enough evaluations in a row were not clearly better than the last that was."""
        if not self._patience or progress.stale < self._patience:
            return None
        more = f" by more than {self._min_delta:g}" if self._min_delta else ""
        return f"none of the last {progress.stale} evaluations was better{more}"

    def _clearly_better(self, old: Metrics | None, new: Metrics) -> bool:
        name = self._compared(new)
        return old is None or new[name] - old[name] > self._min_delta
