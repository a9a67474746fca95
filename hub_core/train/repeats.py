"""The same training several times: with several seeds, or on the folds of a data set; and what comes out on average."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hub_core.errors import SettingsError
from hub_core.examples import Example
from hub_core.train.folds import fold_of, strata, stratified_folds
from hub_core.train.loop import Metrics, TrainResult
from hub_core.train.settings import TrainSettings
from hub_core.train.trainer import Trainer

#: Makes the trainer of one run: a module of its own, these settings, this checkpoint_dir.
Make = Callable[[TrainSettings, Path], Trainer]


@dataclass(frozen=True)
class RepeatedRun:
    """One run of several: its `name` (``seed-1``, ``fold-2``), its best module's folder, and what it did."""

    name: str
    module: Path
    result: TrainResult

    @property
    def metrics(self) -> Metrics:
        """The scores of its best evaluation."""
        return self.result.best or {}


@dataclass(frozen=True)
class Repeats:
    """Several runs, the best of them, and how their scores lie."""

    runs: tuple[RepeatedRun, ...]
    best: RepeatedRun

    @property
    def mean(self) -> Metrics:
        """The mean of every metric."""
        return {name: statistics.fmean(run.metrics[name] for run in self.runs) for name in self.best.metrics}

    @property
    def deviation(self) -> Metrics:
        """The standard deviation of every metric, as estimated from a sample (divided by runs - 1)."""
        return {name: statistics.stdev(run.metrics[name] for run in self.runs) for name in self.best.metrics}


def train_seeds(
    make: Make,
    train_dataset: Sequence[Example],
    eval_dataset: Sequence[Example],
    *,
    seeds: Sequence[int],
    folder: str | Path,
    settings: TrainSettings | None = None,
    **call: Any,
) -> Repeats:
    """Train once with every seed, in ``folder/seed-N``; `call` are further arguments of `Trainer.train`.

    `make(settings, checkpoint_dir)` makes a trainer with a module of its own, whose new weights it draws from
    ``settings.seed``. Started again, runs that are done are not repeated, and an interrupted one continues. Raises
    SettingsError for fewer than two seeds or one given twice, and what `Trainer.train` raises.
    """
    if len(set(seeds)) < max(2, len(seeds)):
        raise SettingsError(f"seeds must be at least two, each another, not {', '.join(map(str, seeds)) or 'none'}")
    base = settings or TrainSettings()
    planned = [(f"seed-{seed}", base.replace(seed=seed), train_dataset, eval_dataset) for seed in seeds]
    return _repeat(make, iter(planned), Path(folder), call)


def train_folds(
    make: Make,
    dataset: Sequence[Example],
    *,
    folds: int,
    folder: str | Path,
    settings: TrainSettings | None = None,
    **call: Any,
) -> Repeats:
    """Train once for every fold of a data set, in ``folder/fold-N``, on the rows outside of it, and measure on it.

    Rows with one label each are dealt out such that the folds have like shares of every label; which row is where
    depends on ``settings.seed``. For the rest see `train_seeds`.
    """
    base = settings or TrainSettings()
    held_out = stratified_folds(strata(dataset), folds, seed=base.seed)
    planned = ((f"fold-{n}", base, *fold_of(dataset, rows)) for n, rows in enumerate(held_out, start=1))
    return _repeat(make, planned, Path(folder), call)


def _repeat(
    make: Make,
    planned: Iterator[tuple[str, TrainSettings, Sequence[Example], Sequence[Example]]],
    folder: Path,
    call: dict[str, Any],
) -> Repeats:
    runs: list[RepeatedRun] = []
    best: RepeatedRun | None = None
    for name, settings, train_dataset, eval_dataset in planned:
        trainer = make(settings, folder / name)
        result = trainer.train(train_dataset, eval_dataset=eval_dataset, **call)
        run = RepeatedRun(name, trainer.checkpoints.best, result)
        runs.append(run)
        if best is None or trainer.is_better(best.metrics, run.metrics):
            best = run
    if best is None:
        raise SettingsError("there is nothing to train")
    return Repeats(tuple(runs), best)
