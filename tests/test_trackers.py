"""Trackers by name: what their own libraries read back, and what happens where one is missing or fails."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from tiny import tiny_module
from tracking_program import READERS
from training_program import labelled_rows

from hub_core.errors import NotFoundError, SettingsError
from hub_core.train.settings import TrainSettings
from hub_core.train.trackers import TensorBoard
from hub_core.train.trainer import Trainer

ROWS = labelled_rows(8)


@pytest.mark.parametrize("name", sorted(READERS))
def test_an_interrupted_run_is_one_run(tmp_path: Path, name: str) -> None:
    """In another process: the library's own reader finds one run, with every logged step once."""
    if find_spec(name) is None:
        pytest.skip(f"needs {name}: pip install {name}")
    places = {
        "MLFLOW_TRACKING_URI": f"sqlite:///{tmp_path / 'mlflow.db'}",
        "TRACKIO_DIR": str(tmp_path / "trackio"),
        "WANDB_MODE": "offline",
        "SWANLAB_MODE": "local",
    }
    tests = Path(__file__).parent
    path = os.pathsep.join([str(tests), str(tests.parent), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, str(tests / "tracking_program.py"), name, str(tmp_path)],
        env={**os.environ, **places, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert "left out from here on" not in done.stderr
    read = json.loads(done.stdout.splitlines()[-1])
    assert read["TRAIN/loss"] == read["TRAIN/lr"] == [2, 4, 6, 8]
    assert read["EVAL/f1"] == read["EVAL/accuracy"] == [3, 6, 8]


def trainer_of(tmp_path: Path, **settings: Any) -> Trainer:
    chosen = TrainSettings(**settings)
    return Trainer(tiny_module(tmp_path), checkpoint_dir=tmp_path / "ckpt", use_vdl=False, settings=chosen)


def test_a_name_that_nobody_knows(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="unknown tracker 'tensorbord'; did you mean 'tensorboard'"):
        trainer_of(tmp_path, log_to=("tensorbord",))


def test_what_is_not_installed_is_named_before_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hub_core.train.trackers.find_spec", lambda name: None if name != "tensorboard" else name)
    with pytest.raises(SettingsError, match="log_to needs what is not installed: pip install wandb mlflow"):
        trainer_of(tmp_path, log_to=("wandb", "TensorBoard", "mlflow"))


def test_each_is_told_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`use_vdl` is TensorBoard under PaddleHub's name."""
    module = tiny_module(tmp_path)
    trainer = Trainer(module, checkpoint_dir=tmp_path, settings=TrainSettings(log_to=("tensorboard",)))
    assert trainer.trackers == [TensorBoard]


@pytest.mark.parametrize("broken", ["log", "close"])
def test_one_that_fails_is_told_of_and_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: str) -> None:
    calls: list[int] = []

    def fail(self: TensorBoard, values: Mapping[str, float] | None = None, step: int = 0) -> None:
        calls.append(step)
        raise ConnectionError("nobody there")

    monkeypatch.setattr(TensorBoard, broken, fail)
    trainer = trainer_of(tmp_path, log_to=("tensorboard",))
    with pytest.warns(UserWarning, match="^TensorBoard failed and is left out from here on: ConnectionError: nobody"):
        result = trainer.train(ROWS, epochs=2, batch_size=4, log_interval=1)
    assert (result.steps, len(calls)) == (4, 1)
