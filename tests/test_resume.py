"""A run that is interrupted anywhere and continued ends with the same bits as one that never was."""

from __future__ import annotations

import copy
import json
import os
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
import training_program
from killing import killed_and_left_alone
from tiny import tiny_module
from training_program import labelled_rows, train, train_and_report, weights_hash

from hub_core.errors import CheckpointError, NonFiniteLossError, ResumeError
from hub_core.examples import Batch
from hub_core.torch_module import TorchModule
from hub_core.train import checkpoints, state
from hub_core.train.callbacks import Callback, Moment
from hub_core.train.checkpoints import Checkpoints
from hub_core.train.description import describe_module, describe_optimizer
from hub_core.train.objectives import Step, Supervised


@pytest.fixture(autouse=True)
def one_thread() -> None:
    """Sums over several threads may differ in the last bit; exactness is promised per machine and thread count."""
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The weights of the run that nothing disturbs."""
    torch.set_num_threads(1)
    module, result = train(tmp_path_factory.mktemp("whole") / "ckpt")
    assert result.steps == 15
    return weights_hash(module)


class PulledPlug(Exception):
    """Stands for a process that ends without a word."""


def test_twice_the_same(tmp_path: Path, uninterrupted: str) -> None:
    module, _ = train(tmp_path / "ckpt")
    assert weights_hash(module) == uninterrupted


@pytest.mark.parametrize("stop", [1, 2, 5, 6, 9, 13, 20, 27])
def test_stopped_in_the_middle_of_a_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, uninterrupted: str, stop: int
) -> None:
    calls = 0
    usual = Supervised.forward

    def forward(self: Supervised, module: Any, batch: Batch) -> Step:
        nonlocal calls
        calls += 1
        if calls == stop:
            raise PulledPlug
        return usual(self, module, batch)

    monkeypatch.setattr(Supervised, "forward", forward)
    with pytest.raises(PulledPlug):
        train(tmp_path / "ckpt")
    module, result = train(tmp_path / "ckpt")
    assert result.steps == 15
    assert weights_hash(module) == uninterrupted


@pytest.mark.parametrize("stop", [1, 4, 11])
def test_stopped_in_the_middle_of_a_save(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, uninterrupted: str, stop: int
) -> None:
    saves = 0
    usual = torch.save

    def save(record: Any, path: Path) -> None:
        nonlocal saves
        saves += 1
        if saves == stop:
            path.write_bytes(b"half a file")
            raise PulledPlug
        usual(record, path)

    monkeypatch.setattr(state.torch, "save", save)
    with pytest.raises(PulledPlug):
        train(tmp_path / "ckpt")
    monkeypatch.setattr(state.torch, "save", usual)
    module, _ = train(tmp_path / "ckpt")
    assert weights_hash(module) == uninterrupted


def test_killed_ten_times(tmp_path: Path, uninterrupted: str) -> None:
    """SIGKILL at ten random moments, whatever the process is doing then."""
    assert killed_and_left_alone(train_and_report, tmp_path / "ckpt") == uninterrupted


@pytest.mark.parametrize(("number", "outcome"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, SystemExit)])
def test_a_signal_saves_and_stops(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, uninterrupted: str, number: int, outcome: type[BaseException]
) -> None:
    usual = Supervised.forward
    calls = 0

    def forward(self: Supervised, module: Any, batch: Batch) -> Step:
        nonlocal calls
        calls += 1
        if calls == 7:
            os.kill(os.getpid(), number)
        return usual(self, module, batch)

    monkeypatch.setattr(Supervised, "forward", forward)
    with pytest.raises(outcome) as raised:
        train(tmp_path / "ckpt", state_steps=0)
    if isinstance(raised.value, SystemExit):
        assert raised.value.code == 143
    saved = state.load_state(tmp_path / "ckpt" / "state")
    assert saved is not None
    assert saved.progress.global_step == 4
    module, _ = train(tmp_path / "ckpt", state_steps=0)
    assert weights_hash(module) == uninterrupted


def test_a_signal_during_the_last_save_stops_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usual = Checkpoints.save_epoch

    def save_epoch(self: Checkpoints, *args: Any, **options: Any) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        usual(self, *args, **options)

    monkeypatch.setattr(Checkpoints, "save_epoch", save_epoch)
    with pytest.raises(SystemExit) as raised:
        train(tmp_path / "ckpt", epochs=1)
    assert raised.value.code == 143
    assert [path.name for path in (tmp_path / "ckpt" / "state").iterdir()] == ["step-000000005"]


def test_the_first_weights_are_those_of_the_first_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, uninterrupted: str
) -> None:
    """A program that draws another head each time still continues the run that it began."""
    monkeypatch.setattr(Supervised, "forward", _pull)
    with pytest.raises(PulledPlug):
        train(tmp_path / "ckpt", state_steps=0)
    monkeypatch.undo()
    monkeypatch.setattr(
        training_program, "tiny_module", lambda *args, **options: tiny_module(*args, **options | {"seed": 9})
    )
    module, _ = train(tmp_path / "ckpt", state_steps=0)
    assert weights_hash(module) == uninterrupted


def _pull(self: Supervised, module: Any, batch: Batch) -> Step:
    raise PulledPlug


def test_an_epoch_starts_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[int] = []
    calls = 0
    usual = Supervised.forward

    def forward(self: Supervised, module: Any, batch: Batch) -> Step:
        nonlocal calls
        calls += 1
        if calls == 5:
            raise PulledPlug
        return usual(self, module, batch)

    monkeypatch.setattr(Supervised, "forward", forward)
    monkeypatch.setattr(Supervised, "start_epoch", lambda self, module, epoch: started.append(epoch))
    with pytest.raises(PulledPlug):
        train(tmp_path / "ckpt", epochs=2)
    train(tmp_path / "ckpt", epochs=2)
    assert started == [0, 1]


def test_a_description_is_compared_in_depth(tmp_path: Path) -> None:
    module = tiny_module(tmp_path)
    optimizer = torch.optim.AdamW(module.parameters(), lr=0.001)
    run = {**describe_module(module), "optimizer": describe_optimizer(optimizer), "epochs": 1}
    saved = json.loads(json.dumps({**run, "settings": {"schedule": "linear"}}))
    optimizer.param_groups[0]["lr"] = 0.002
    other = tiny_module(tmp_path, labels=("a", "O"), hidden_dropout_prob=0.3)
    now = {**describe_module(other), "optimizer": describe_optimizer(optimizer), "epochs": 1}
    with pytest.raises(ResumeError) as raised:
        state.check_same_run(saved, {**now, "settings": {"schedule": "linear", "max_steps": 0}}, tmp_path)
    said = str(raised.value)
    assert "optimizer.groups.0.lr: 0.001 in the saved state, 0.002 now" in said
    assert "config.hidden_dropout_prob: None in the saved state, 0.3 now" in said
    assert "labels.0: 'B-PER' in the saved state, 'a' now" in said
    assert {"vocabulary", "type"} <= run["tokenizer"].keys()
    assert run["task"]["name"] == "token-cls"


def test_task_options_and_the_vocabulary_are_part_of_a_run(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    module, other = tiny_module(tmp_path / "one"), tiny_module(tmp_path / "two")
    assert describe_module(module) == describe_module(other)
    assert module.task is not None
    other.task = module.task.with_options(label_on="last")
    assert _changed(module, other) == ["task"]
    vocabulary = module.tokenizer.get_vocab()
    other.task, other.tokenizer = module.task, copy.copy(module.tokenizer)
    swapped = {**vocabulary, "中": vocabulary["国"], "国": vocabulary["中"]}
    other.tokenizer.get_vocab = lambda: swapped  # type: ignore[method-assign]
    assert _changed(module, other) == ["tokenizer"]


def _changed(module: TorchModule, other: TorchModule) -> list[str]:
    first, second = describe_module(module), describe_module(other)
    return [key for key in first if first[key] != second[key]]


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"seed": 8}, "settings.seed: 7 in the saved state, 8 now"),
        ({"accumulation": 1}, "settings.accumulation: 2 in the saved state, 1 now"),
        ({"epochs": 4}, "epochs: 3 in the saved state, 4 now"),
    ],
)
def test_another_run_is_refused(tmp_path: Path, change: dict[str, Any], named: str) -> None:
    train(tmp_path / "ckpt")
    with pytest.raises(ResumeError, match=named):
        train(tmp_path / "ckpt", **change)


def test_other_data_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    train(tmp_path / "ckpt")
    monkeypatch.setattr(training_program, "labelled_rows", lambda count: labelled_rows(count + 1))
    with pytest.raises(ResumeError, match="data: "):
        train(tmp_path / "ckpt")


def test_epochs_are_total_epochs(tmp_path: Path) -> None:
    _, first = train(tmp_path / "ckpt", epochs=2, schedule="constant")
    longer, second = train(tmp_path / "ckpt", epochs=3, schedule="constant")
    whole, third = train(tmp_path / "whole", epochs=3, schedule="constant")
    assert (first.steps, second.steps, third.steps) == (10, 15, 15)
    assert weights_hash(longer) == weights_hash(whole)
    _, again = train(tmp_path / "ckpt", epochs=3, schedule="constant")
    assert again.steps == 15


def test_resume_never_starts_anew(tmp_path: Path) -> None:
    train(tmp_path / "ckpt")
    _, result = train(tmp_path / "ckpt", seed=8, resume="never", epochs=1)
    assert result.steps == 5


def test_modules_without_a_state_stay(tmp_path: Path) -> None:
    """What a run would remove that has nothing to continue from is not removed without a word."""
    train(tmp_path / "ckpt")
    shutil.rmtree(tmp_path / "ckpt" / "state")
    before = sorted(path.name for path in (tmp_path / "ckpt").iterdir())
    with pytest.raises(ResumeError, match=r"ckpt holds best_model, epoch_3 of an earlier run, and no state"):
        train(tmp_path / "ckpt")
    assert sorted(path.name for path in (tmp_path / "ckpt").iterdir()) == before
    train(tmp_path / "ckpt", resume="never")
    assert (tmp_path / "ckpt" / "state").is_dir()


def test_two_runs_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second would remove what the first has staged, and put its own module over the best."""
    monkeypatch.setattr(checkpoints, "_GRACE", 0.1)
    refused: list[str] = []

    class Second(Callback):
        def on_step(self, moment: Moment) -> None:
            with pytest.raises(CheckpointError, match=r"another process trains in .*ckpt; wait for it, or choose"):
                train(tmp_path / "ckpt")
            refused.append("refused")

    train(tmp_path / "ckpt", callbacks=[Second()])
    assert len(refused) == 15
    assert not (tmp_path / "ckpt" / ".lock").exists()
    train(tmp_path / "ckpt")


def test_a_run_without_a_later_state_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It begins with its first step again, and not in silence."""
    with monkeypatch.context() as patch, pytest.raises(PulledPlug):
        patch.setattr(Supervised, "forward", _pull)
        train(tmp_path / "ckpt", state_steps=0)
    assert "continuing" not in caplog.text
    train(tmp_path / "ckpt", state_steps=0)
    assert "continuing at step 0 of 15" in caplog.text


def test_a_damaged_state_is_named(tmp_path: Path) -> None:
    train(tmp_path / "ckpt")
    (newest,) = (tmp_path / "ckpt" / "state").glob("step-*")
    (newest / "tensors.pt").write_bytes(b"PK\x03\x04 cut off")
    with pytest.raises(CheckpointError, match=r"step-000000015 is damaged.*or start anew with resume='never'"):
        train(tmp_path / "ckpt")


def test_a_full_disk_keeps_the_older_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    saves = 0
    usual = torch.save

    def save(record: Any, path: Path) -> None:
        nonlocal saves
        saves += 1
        if saves == 3:
            path.write_bytes(b"as much as there was room for")
            raise OSError(28, "No space left on device")
        usual(record, path)

    monkeypatch.setattr(state.torch, "save", save)
    with pytest.raises(CheckpointError, match="No space left on device; the older one is kept"):
        train(tmp_path / "ckpt")
    assert [path.name for path in (tmp_path / "ckpt" / "state").iterdir()] == ["step-000000001"]


def test_a_loss_that_is_not_finite_stops_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usual = Supervised.forward
    calls = 0

    def forward(self: Supervised, module: Any, batch: Batch) -> Step:
        nonlocal calls
        calls += 1
        step = usual(self, module, batch)
        return Step(step.loss * float("nan")) if calls == 8 else step

    monkeypatch.setattr(Supervised, "forward", forward)
    with pytest.raises(NonFiniteLossError, match=r"became nan at step 4 \(epoch 1\)"):
        train(tmp_path / "ckpt")
    assert [path.name for path in (tmp_path / "ckpt" / "state").iterdir()] == ["step-000000003"]
