"""What Optuna does for a search: it remembers trials in a file, proposes the next one, and says which to cut short."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hub_core.errors import SettingsError
from hub_core.train.callbacks import Callback, Moment
from hub_core.train.space import Choice, Space, Value

if TYPE_CHECKING:
    import optuna
    from optuna.trial import FrozenTrial, Trial

    from hub_core.train.trainer import Trainer

#: So many trials are done before one may be cut short.
_STARTUP_TRIALS = 4


def check_optuna() -> None:
    """Raise SettingsError, with the command that installs it, where Optuna is missing."""
    if find_spec("optuna") is None:
        raise SettingsError("a search needs Optuna: pip install 'hub_core[tune]'")


class Trials:
    """The trials of a search, in ``folder/trials.db``: those that are done, one that was interrupted, the next."""

    def __init__(self, folder: Path, space: Space, *, seed: int) -> None:
        import optuna
        from sqlalchemy.engine import URL

        optuna.logging.set_verbosity(logging.WARNING)
        folder.mkdir(parents=True, exist_ok=True)
        address = URL.create("sqlite", database=str((folder / "trials.db").absolute()))
        self._space, self._seed = space, seed
        self._study: optuna.Study = optuna.create_study(
            storage=address.render_as_string(hide_password=False),
            study_name="hub",
            direction="maximize",
            pruner=optuna.pruners.MedianPruner(n_startup_trials=_STARTUP_TRIALS),
            load_if_exists=True,
        )

    @property
    def notes(self) -> dict[str, Any]:
        """What was noted about the search as a whole."""
        return self._study.user_attrs

    def note(self, name: str, value: Any) -> None:
        """Note something about the search, which a later call finds in `notes`."""
        self._study.set_user_attr(name, value)

    def done(self) -> list[FrozenTrial]:
        """The trials that are over, however they went."""
        return [trial for trial in self._study.trials if trial.state.is_finished()]

    def next(self, trials: int) -> Trial | None:
        """The trial to do next: the interrupted one where there is one, None when so many are done in all."""
        import optuna

        self._enqueue(trials)
        running = [trial for trial in self._study.trials if trial.state.name == "RUNNING"]
        if running:
            # Optuna has no public way back into a trial; what it was given stands in the file.
            return optuna.trial.Trial(self._study, running[0]._trial_id)
        waiting = any(trial.state.name == "WAITING" for trial in self._study.trials)
        if len(self.done()) >= trials or (self._space.grid() is not None and not waiting):
            return None
        # Seeded by number, so that a search that was interrupted proposes what it would have proposed.
        self._study.sampler = optuna.samplers.TPESampler(seed=(self._seed + len(self._study.trials)) % 2**32)
        return self._study.ask()

    def tried(self, trial: Trial) -> dict[str, Value]:
        """What a trial tries, proposed now or read from the file."""
        return {name: self._suggested(trial, name) for name in self._space.dimensions}

    def end(self, trial: Trial, state: str, value: float | None = None, **notes: Any) -> None:
        """Note how a trial went: ``COMPLETE`` with a value, ``PRUNED`` or ``FAIL``."""
        import optuna

        for name, note in notes.items():
            trial.set_user_attr(name, note)
        self._study.tell(trial, value, state=optuna.trial.TrialState[state])

    def pruning(self, trial: Trial, trainer: Trainer) -> Pruning:
        """What reports the evaluations of a trial, and stops it where it falls behind."""
        known = next(one for one in self._study.trials if one.number == trial.number).intermediate_values
        return Pruning(trial, trainer, known)

    def best_value(self) -> float | None:
        """The best value of a completed trial, None where there is none."""
        values = [one.value for one in self.done() if one.state.name == "COMPLETE" and one.value is not None]
        return max(values, default=None)

    def _enqueue(self, trials: int) -> None:
        """Put the combinations of a grid in line, in random order of the seed; those that are there stay."""
        grid = self._space.grid()
        if grid is not None:
            for place in np.random.default_rng(self._seed).permutation(len(grid))[:trials]:
                self._study.enqueue_trial(grid[place], skip_if_exists=True)

    def _suggested(self, trial: Trial, name: str) -> Value:
        dimension = self._space.dimensions[name]
        if isinstance(dimension, Choice):
            chosen: Value = trial.suggest_categorical(name, dimension.values)
            return chosen
        if dimension.whole:
            return trial.suggest_int(name, int(dimension.low), int(dimension.high), log=dimension.log)
        return trial.suggest_float(name, dimension.low, dimension.high, log=dimension.log)


class Pruning(Callback):
    """Reports a trial's evaluations, and cuts it short where it lies under the median of the others."""

    def __init__(self, trial: Trial, trainer: Trainer, known: Mapping[int, float]) -> None:
        self._trial, self._trainer, self._known = trial, trainer, known

    @property
    def cut(self) -> bool:
        """Whether the trial was cut short, now or before it was interrupted."""
        return bool(self._trial.user_attrs.get("cut"))

    def on_evaluation(self, moment: Moment) -> str | None:
        """See `Callback.on_evaluation`."""
        metrics = dict(moment.metrics or {})
        self._trial.set_user_attr("metrics", dict(moment.best or {}))
        if moment.evaluations not in self._known:  # a continued trial evaluates again what a kill made it forget
            self._trial.report(metrics[self._trainer.compared_metric(metrics)], moment.evaluations)
        if moment.step == moment.total_steps or not self._trial.should_prune():
            return None
        self._trial.set_user_attr("cut", True)
        return "it lies under the median of the trials before it"
