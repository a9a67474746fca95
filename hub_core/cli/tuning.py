"""The command that searches for training settings."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hub_core.cli.command import command
from hub_core.cli.job import Job, continuing, job_options
from hub_core.cli.options import PATH, json_flag
from hub_core.cli.output import note, print_json, print_table
from hub_core.cli.settings_options import settings_options
from hub_core.errors import SettingsError
from hub_core.train.space import Space

if TYPE_CHECKING:
    from hub_core.train.settings import TrainSettings
    from hub_core.train.tuning import TrialResult, TuneResult


#: Epochs between epoch_N/ folders: nobody looks at those of a trial.
_NEVER = 1_000_000


@command(
    "tune",
    examples=[
        "hub tune --module ernie_tiny --task seq-cls --data tnews --space space.json --trials 20 --patience 2",
    ],
)
@job_options
@click.option("--space", type=PATH, required=True, help="A JSON object: lists of values, or low and high, by setting.")
@click.option("--trials", type=click.IntRange(min=1), default=20, help="Trainings in all; a search goes on with more.")
@click.option("--output", type=PATH, default="tune", help="Gets best_model/ and what a search goes on from.")
@json_flag
@settings_options
def tune(job: Job, space: Path, trials: int, output: Path, as_json: bool, settings: TrainSettings, **call: Any) -> None:
    """Search for good training settings, and keep the best module.

    Trials are compared by the dev split alone: the test split is for `hub evaluate -m ./tune/best_model` afterwards,
    since the best of many scores flatters. Trials that fall behind are cut short. The same command goes on where a
    search was interrupted.
    """
    found = Space.from_json(space)
    if not job.dev_split or job.dev_split.partition(".")[0] == "test":
        raise SettingsError("trials are compared by --dev-split, which is neither '' nor test: that is for afterwards")
    from hub_core.train.study import check_optuna
    from hub_core.train.tuning import tune as search

    check_optuna()
    rows = job.read()
    with continuing(output):
        done = search(
            lambda chosen, folder: job.trainer(rows, chosen, folder),
            found,
            rows.train,
            rows.dev or [],
            trials=trials,
            folder=output,
            settings=settings,
            save_interval=_NEVER,
            **job.call,
            **call,
        )
    _print(done, list(found.dimensions), as_json=as_json)


def _print(done: TuneResult, names: list[str], *, as_json: bool) -> None:
    if as_json:
        trials = [_as_data(trial) for trial in done.trials]
        print_json({"module": str(done.module), "metric": done.metric, "best": _as_data(done.best), "trials": trials})
        return
    rows = [
        [trial.number, trial.state, _score(trial, done.metric), *(str(trial.tried.get(name, "")) for name in names)]
        for trial in done.trials
    ]
    print_table(["trial", "state", done.metric, *names], rows)
    for trial in done.trials:
        if trial.reason:
            note(f"trial {trial.number} failed: {trial.reason}")
    note(f"the best of them: {done.module}")


def _score(trial: TrialResult, metric: str) -> str:
    return f"{trial.metrics[metric]:.4f}" if metric in trial.metrics else ""


def _as_data(trial: TrialResult) -> dict[str, Any]:
    reason = {"reason": trial.reason} if trial.reason else {}
    return {"trial": trial.number, "state": trial.state, "tried": dict(trial.tried), **trial.metrics, **reason}
