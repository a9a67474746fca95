"""A search for good training settings: many trainings, each proposed after those before it (Optuna; extra ``tune``)."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from hub_core.errors import NonFiniteLossError, SettingsError, TrainError
from hub_core.examples import Example
from hub_core.paths import atomic_folder
from hub_core.tasks.task import positive
from hub_core.torch_module import check_target
from hub_core.train.checkpoints import Checkpoints
from hub_core.train.description import fingerprint, plain
from hub_core.train.launching import launched_processes
from hub_core.train.loop import Metrics
from hub_core.train.repeats import Make
from hub_core.train.settings import TrainSettings
from hub_core.train.space import CALL, Space, Value
from hub_core.train.state import refuse_differences
from hub_core.train.study import Trials, check_optuna
from hub_core.train.trainer import Trainer

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial, Trial

#: Settings that may change when a search goes on.
_FREE = ("resume", "log_to", "keep_epochs", "state_steps")
_STATES = {"COMPLETE": "complete", "PRUNED": "pruned", "FAIL": "failed"}


@dataclass(frozen=True)
class TrialResult:
    """One trial: its number (from 0), what it tried, and how it went.

    `state` is ``complete``, ``pruned`` (cut short, since it fell behind) or ``failed`` (`reason` says why). `metrics`
    are those of its best evaluation, empty where it had none.
    """

    number: int
    tried: Mapping[str, Value]
    state: str
    metrics: Metrics
    reason: str = ""


@dataclass(frozen=True)
class TuneResult:
    """A search that is done: the best trial and its module, all trials (the best first), and what compared them."""

    best: TrialResult
    module: Path
    trials: tuple[TrialResult, ...]
    metric: str


def tune(
    make: Make,
    space: Space,
    train_dataset: Sequence[Example],
    eval_dataset: Sequence[Example],
    *,
    trials: int,
    folder: str | Path,
    settings: TrainSettings | None = None,
    epochs: int = 3,
    batch_size: int = 32,
    **call: Any,
) -> TuneResult:
    """Train `trials` times in all with settings out of a space, and keep the best module in ``folder/best_model``.

    `make(settings, checkpoint_dir)` makes a trainer with a module of its own. What is not searched is as `settings`,
    `epochs` and `batch_size` say; `call` are further arguments of `Trainer.train`. ``settings.seed`` is the search's
    too. A space of lists alone is gone through, each combination once in random order; otherwise Optuna's TPE
    proposes. A trial that after an evaluation lies under the median of those before it is cut short. One whose
    settings cannot be used together, whose loss becomes NaN, or for which there is no memory, counts as failed.

    Started again, the search goes on where it was, in the middle of a trial too, and proposes what it would have
    proposed. Raises SettingsError without Optuna, ResumeError where the folder has another search, TrainError where
    no trial was completed.
    """
    check_optuna()
    if launched_processes() > 1:
        raise SettingsError("a search runs in one process, not under torchrun")
    search = _Search(
        make, space, train_dataset, eval_dataset, Path(folder), settings or TrainSettings(), epochs, batch_size, call
    )
    return search.go(positive("trials", trials))


@dataclass(frozen=True)
class _Search:
    """One call of `tune`."""

    make: Make
    space: Space
    train: Sequence[Example]
    dev: Sequence[Example]
    folder: Path
    settings: TrainSettings
    epochs: int
    batch_size: int
    call: Mapping[str, Any]

    @property
    def best_module(self) -> Path:
        return self.folder / "best_model"

    def go(self, count: int) -> TuneResult:
        """All trials that are not done yet, and the result."""
        check_target(self.best_module)
        trials = Trials(self.folder, self.space, seed=self.settings.seed)
        self._refuse_another(trials, "search", self._description())
        for done in trials.done():
            self._clear(done.number)
        while (trial := trials.next(count)) is not None:
            self._try(trials, trial)
            self._clear(trial.number)
        return self._result(trials)

    def _try(self, trials: Trials, trial: Trial) -> None:
        """Train with what a trial tries, and note how it went."""
        tried = trials.tried(trial)
        try:
            chosen = self.settings.replace(**{name: value for name, value in tried.items() if name not in CALL})
            trainer = self.make(chosen, self._place(trial.number))
            self._refuse_another(trials, "module", _described(trainer))
            self._train(trials, trial, trainer, tried)
        except (NonFiniteLossError, SettingsError, torch.OutOfMemoryError) as error:
            trials.end(trial, "FAIL", reason=str(error).splitlines()[-1].strip())

    def _train(self, trials: Trials, trial: Trial, trainer: Trainer, tried: Mapping[str, Value]) -> None:
        pruning = trials.pruning(trial, trainer)
        trainer.callbacks = (*trainer.callbacks, pruning)
        call = {"epochs": self.epochs, "batch_size": self.batch_size, **self.call}
        call |= {name: tried[name] for name in CALL if name in tried}
        scores: Metrics = {}
        if not pruning.cut:  # by a call that was killed before it could note so
            scores = trainer.train(self.train, eval_dataset=self.dev, **call).best or {}
        if pruning.cut:
            trials.end(trial, "PRUNED")
            return
        name = trainer.compared_metric(scores)
        trials.note("metric", name)
        best = trials.best_value()
        if best is None or scores[name] > best:
            with atomic_folder(self.best_module) as staged:
                shutil.copytree(trainer.checkpoints.best, staged, dirs_exist_ok=True)
        trials.end(trial, "COMPLETE", scores[name])

    def _result(self, trials: Trials) -> TuneResult:
        metric = str(trials.notes.get("metric", ""))
        results = [_result_of(done) for done in trials.done()]
        # Trials with like scores stand in the order in which they were done: the first of them was kept.
        results.sort(key=lambda one: (one.state != "complete", -one.metrics.get(metric, -1.0), one.number))
        if not results or results[0].state != "complete":
            said = "".join(f"\n  trial {one.number}: {one.reason}" for one in results[:20])
            raise TrainError(f"no trial was completed in {self.folder}:{said}")
        return TuneResult(results[0], self.best_module, tuple(results), metric)

    def _description(self) -> dict[str, Any]:
        settings = {name: value for name, value in self.settings.to_json().items() if name not in _FREE}
        data = {"train": fingerprint(self.train), "dev": fingerprint(self.dev)}
        call = {"epochs": self.epochs, "batch_size": self.batch_size}
        return {"space": self.space.to_json(), "settings": plain(settings), "data": data, **call}

    def _refuse_another(self, trials: Trials, name: str, now: Mapping[str, Any]) -> None:
        """Note what the search is about, or raise ResumeError where it was about something else."""
        if name not in trials.notes:
            trials.note(name, now)
        refuse_differences(trials.notes[name], now, self.folder, remedy="choose another folder")

    def _place(self, number: int) -> Path:
        return self.folder / f"trial-{number}"

    def _clear(self, number: int) -> None:
        """Remove the weights that a trial left; what it logged stays."""
        Checkpoints(self._place(number)).discard()


def _described(trainer: Trainer) -> dict[str, Any]:
    module, task = trainer.model, trainer.task
    return {
        "module": module.spec.title,
        "config": plain(module.spec.config),
        "task": task.name,
        "labels": [*task.labels],
    }


def _result_of(done: FrozenTrial) -> TrialResult:
    metrics, reason = done.user_attrs.get("metrics", {}), done.user_attrs.get("reason", "")
    return TrialResult(done.number, done.params, _STATES[done.state.name], metrics, reason)
