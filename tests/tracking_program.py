"""Trains with one tracker, is interrupted, and continues; then prints as JSON what the tracker's own library reads.

Runs in a process of its own, since these libraries start services, patch streams and register what runs at exit.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tiny import tiny_module
from training_program import labelled_rows

from hub_core.train.callbacks import Callback, Moment
from hub_core.train.settings import TrainSettings
from hub_core.train.trainer import Trainer


class Interrupted(Callback):
    """Ends the first run after its sixth step."""

    def on_step(self, moment: Moment) -> None:
        if moment.step == 6:
            raise KeyboardInterrupt


def train(name: str, folder: Path, *, interrupted: bool) -> None:
    trainer = Trainer(
        tiny_module(folder),
        checkpoint_dir=folder / "ckpt",
        use_vdl=False,
        settings=TrainSettings(log_to=(name,), eval_interval=3, state_steps=4),
        callbacks=[Interrupted()] if interrupted else [],
    )
    rows = labelled_rows(16)
    trainer.train(rows, epochs=2, batch_size=4, eval_dataset=rows[:4], log_interval=2)


def read_tensorboard(folder: Path) -> dict[str, list[int]]:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder / "ckpt" / "visualization"))
    events.Reload()
    return {tag: [point.step for point in events.Scalars(tag)] for tag in events.Tags()["scalars"]}


def read_mlflow(folder: Path) -> dict[str, list[int]]:
    from mlflow import MlflowClient

    client = MlflowClient()
    experiment = client.get_experiment_by_name("hub_core")
    (run,) = client.search_runs([experiment.experiment_id])
    if (run.info.status, run.data.params["epochs"]) != ("FINISHED", "2"):
        raise SystemExit(f"the run is {run.info.status}, with {run.data.params}")
    return {
        name: sorted({point.step for point in client.get_metric_history(run.info.run_id, name)})
        for name in run.data.metrics
    }


def read_trackio(folder: Path) -> dict[str, list[int]]:
    from trackio.sqlite_storage import SQLiteStorage

    (run,) = SQLiteStorage.get_runs("hub_core")
    return steps_of((row, row["step"]) for row in SQLiteStorage.get_logs("hub_core", run))


def steps_of(rows: Any) -> dict[str, list[int]]:
    """Steps by name, of rows ``(values, step)``."""
    found: dict[str, set[int]] = {}
    for values, step in rows:
        for name in values:
            if name.startswith(("TRAIN/", "EVAL/")):
                found.setdefault(name, set()).add(int(step))
    return {name: sorted(steps) for name, steps in found.items()}


READERS: Mapping[str, Callable[[Path], dict[str, list[int]]]] = {
    "tensorboard": read_tensorboard,
    "mlflow": read_mlflow,
    "trackio": read_trackio,
}


def main(name: str, folder: Path) -> None:
    try:
        train(name, folder, interrupted=True)
    except KeyboardInterrupt:
        pass
    else:
        raise SystemExit("nothing was interrupted")
    train(name, folder, interrupted=False)
    print(json.dumps(READERS[name](folder)))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
