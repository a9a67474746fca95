"""The command that trains: once, with several seeds, or on folds. What it trains with is `TrainSettings`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hub_core.cli.command import command
from hub_core.cli.job import Job, continuing, job_options
from hub_core.cli.options import checkpoint_dir, json_flag
from hub_core.cli.output import note, print_json, print_record, print_table
from hub_core.cli.settings_options import settings_options
from hub_core.train.settings import TrainSettings

if TYPE_CHECKING:
    from hub_core.train.repeats import Repeats


def _seeds(ctx: click.Context, parameter: click.Parameter, value: str | None) -> tuple[int, ...] | None:
    try:
        return None if value is None else tuple(int(number) for number in value.split(","))
    except ValueError:
        raise click.BadParameter(f"{value!r} is not of the form 1,2,3", ctx, parameter) from None


@command(
    "train",
    examples=[
        "hub train --module ernie_tiny --task token-cls --data msra_ner --epochs 3 --learning-rate 5e-5",
        "hub train --module ernie --task seq-cls --data tnews --recipe tnews --patience 2 --seeds 1,2,3",
        "hub train --manifest student.json --task seq-cls --data reviews --rename-labels 0=negative,1=positive",
    ],
)
@job_options
@checkpoint_dir
@click.option("--save-interval", type=click.IntRange(min=1), default=10, help="Epochs between epoch_N/ folders.")
@click.option("--seeds", metavar="N,N,...", callback=_seeds, help="Train once with each, in CHECKPOINT_DIR/seed-N.")
@click.option(
    "--folds",
    type=click.IntRange(min=2),
    help="Train so many times on the train split without a part of it, which is measured on, in fold-N.",
)
@json_flag
@settings_options
def train(
    job: Job,
    checkpoint_dir: Path,
    save_interval: int,
    seeds: tuple[int, ...] | None,
    folds: int | None,
    as_json: bool,
    settings: TrainSettings,
    **call: Any,
) -> None:
    """Fine-tune a module, or train a new one.

    The best of it is left in CHECKPOINT_DIR/best_model, which is a module: `hub run ./ckpt/best_model TEXT`. After
    Ctrl-C, SIGTERM or a crash the same command continues where the run stopped, and ends with the same weights.
    """
    call |= {**job.call, "save_interval": save_interval}
    if seeds is not None and folds is not None:
        raise click.UsageError("give either --seeds or --folds")
    with continuing(checkpoint_dir):
        if seeds is not None or folds is not None:
            _train_often(job, settings, checkpoint_dir, seeds=seeds, folds=folds, as_json=as_json, **call)
        else:
            _train_once(job, settings, checkpoint_dir, as_json=as_json, **call)


def _train_once(job: Job, settings: TrainSettings, folder: Path, *, as_json: bool, epochs: int, **call: Any) -> None:
    """Train, and print where the result is and its scores (in one process of several)."""
    rows = job.read()
    trainer = job.trainer(rows, settings, folder)
    result = trainer.train(rows.train, eval_dataset=rows.dev, epochs=epochs, **call)
    if trainer.is_main_process:
        best = trainer.checkpoints.best if result.best else trainer.checkpoints.folder / f"epoch_{epochs}"
        stopped = {"stopped": result.stopped} if result.stopped else {}
        print_record({"module": str(best), "steps": result.steps, **stopped, **(result.best or {})}, as_json=as_json)


def _train_often(
    job: Job,
    settings: TrainSettings,
    folder: Path,
    *,
    seeds: tuple[int, ...] | None,
    folds: int | None,
    as_json: bool,
    **call: Any,
) -> None:
    """Train with every seed, or on every fold, and print a table of the runs."""
    from hub_core.train.repeats import train_folds, train_seeds

    rows = job.read()
    main: list[bool] = []

    def make(chosen: TrainSettings, place: Path) -> Any:
        trainer = job.trainer(rows, chosen, place)
        main.append(trainer.is_main_process)
        return trainer

    if folds is not None:
        done = train_folds(make, rows.train, folds=folds, folder=folder, settings=settings, **call)
    elif rows.dev is None:
        raise click.UsageError("--seeds compares by the dev split; name one with --dev-split")
    else:
        done = train_seeds(make, rows.train, rows.dev, seeds=seeds or (), folder=folder, settings=settings, **call)
    if all(main):
        _print_repeats(done, as_json=as_json)


def _print_repeats(done: Repeats, *, as_json: bool) -> None:
    if as_json:
        runs = [
            {"name": run.name, "module": str(run.module), "steps": run.result.steps, **run.metrics} for run in done.runs
        ]
        print_json({"module": str(done.best.module), "runs": runs, "mean": done.mean, "deviation": done.deviation})
        return
    names = list(done.best.metrics)
    rows = [[run.name, run.result.steps, *(f"{run.metrics[name]:.4f}" for name in names)] for run in done.runs]
    for title, values in (("mean", done.mean), ("deviation", done.deviation)):
        rows.append([title, "", *(f"{values[name]:.4f}" for name in names)])
    print_table(["run", "steps", *names], rows)
    note(f"the best of them: {done.best.module}")
