"""Evaluation by step, stopping early, and callbacks; and that a run which is interrupted does all of it alike."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import distributed_stopping
import pytest
import torch
from tiny import tiny_module
from training_program import labelled_rows, weights_hash

import hub_core as hub
from hub_core.errors import SettingsError, TrainError
from hub_core.examples import Batch, Example, Prediction
from hub_core.tasks.seq_cls import SeqCls
from hub_core.tasks.token_cls import TokenCls
from hub_core.torch_module import TorchModule
from hub_core.train import state
from hub_core.train.callbacks import Callback, Moment
from hub_core.train.objectives import Step, Supervised
from hub_core.train.settings import TrainSettings
from hub_core.train.trainer import Trainer, TrainResult

ROWS = labelled_rows(20)  # five steps of four rows


def train(
    folder: Path,
    *,
    epochs: int = 3,
    callbacks: Sequence[Callback] = (),
    eval_dataset: Sequence[Example] | None = ROWS[:6],
    compare_metrics: Any = None,
    save_interval: int = 10,
    **settings: Any,
) -> tuple[TorchModule, TrainResult]:
    torch.set_num_threads(1)
    folder.parent.mkdir(exist_ok=True, parents=True)
    module = tiny_module(folder.parent, seed=1, hidden_dropout_prob=0.2)
    trainer = Trainer(
        module,
        checkpoint_dir=folder,
        use_vdl=False,
        settings=TrainSettings(**{"learning_rate": 3e-3, "seed": 7, "order": "shuffle", **settings}),
        callbacks=callbacks,
        compare_metrics=compare_metrics,
    )
    call: dict[str, Any] = {"eval_dataset": eval_dataset, "save_interval": save_interval}
    return module, trainer.train(ROWS, epochs=epochs, batch_size=4, log_interval=100, **call)


@pytest.fixture
def scores(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The F1 of evaluations to come, in order; the last one stays."""
    wanted: list[float] = []

    def metrics(self: TokenCls, examples: Sequence[Example], predictions: Sequence[Prediction]) -> dict[str, float]:
        f1 = wanted.pop(0) if len(wanted) > 1 else wanted[0]
        return dict.fromkeys(self.metric_names, 0.0) | {"f1": f1}

    monkeypatch.setattr(TokenCls, "metrics", metrics)
    return wanted


def evaluated(result: TrainResult) -> list[int]:
    return [int(row["step"]) for row in result.history if "f1" in row]


class TestEvaluationByStep:
    @pytest.mark.parametrize(("interval", "steps"), [(4, [4, 8, 12, 15]), (5, [5, 10, 15]), (99, [15])])
    def test_every_so_many_steps_and_at_the_end(self, tmp_path: Path, interval: int, steps: list[int]) -> None:
        _, result = train(tmp_path / "ckpt", eval_interval=interval)
        assert evaluated(result) == steps
        assert [row["epoch"] for row in result.history if "f1" in row] == [-(-step // 5) for step in steps]

    def test_it_changes_no_weight(self, tmp_path: Path) -> None:
        often, _ = train(tmp_path / "often" / "ckpt", eval_interval=1)
        never, _ = train(tmp_path / "never" / "ckpt", eval_dataset=None)
        assert weights_hash(often) == weights_hash(never)

    def test_the_best_is_kept_wherever_in_an_epoch_it_was(self, tmp_path: Path, scores: list[float]) -> None:
        scores += [0.1, 0.9, 0.5]
        hashes: list[str] = []

        class Noted(Callback):
            def on_evaluation(self, moment: Moment) -> None:
                hashes.append(weights_hash(module.network))

        module = tiny_module(tmp_path)
        settings = TrainSettings(eval_interval=4, learning_rate=3e-3)
        trainer = Trainer(
            module, checkpoint_dir=tmp_path / "ckpt", use_vdl=False, settings=settings, callbacks=[Noted()]
        )
        result = trainer.train(ROWS, epochs=2, batch_size=4, eval_dataset=ROWS[:6])
        assert (result.best or {})["f1"] == 0.9
        best = hub.Module(directory=tmp_path / "ckpt" / "best_model")
        assert weights_hash(best.network) == hashes[1] != hashes[0]
        assert best.spec.metrics["f1"] == 0.9

    def test_averages_are_what_is_measured(self, tmp_path: Path) -> None:
        module, result = train(tmp_path / "ckpt", eval_interval=2, ema=0.9)
        assert evaluated(result) == [2, 4, 6, 8, 10, 12, 14, 15]
        again, _ = train(tmp_path / "ckpt", eval_interval=2, ema=0.9)
        assert weights_hash(again) == weights_hash(module)

    def test_it_goes_with_evaluation_data_only(self, tmp_path: Path) -> None:
        for settings in ({"eval_interval": 2}, {"patience": 2}):
            with pytest.raises(SettingsError, match="are about evaluations; give eval_dataset, or leave them out"):
                train(tmp_path / "ckpt", eval_dataset=None, **settings)
        with pytest.raises(SettingsError, match=r"eval_interval \(steps\) and evaluate_every \(epochs\) do not go tog"):
            TrainSettings(eval_interval=2, evaluate_every=2)


class TestPatience:
    def test_it_ends_after_so_many_without_a_better_one(self, tmp_path: Path, scores: list[float]) -> None:
        scores += [0.5, 0.6, 0.6, 0.55, 0.9]
        _, result = train(tmp_path / "ckpt", epochs=9, patience=2)
        assert (result.steps, result.stopped) == (20, "none of the last 2 evaluations was better")
        assert (result.best or {})["f1"] == 0.6
        assert {path.name for path in (tmp_path / "ckpt").iterdir()} == {"best_model", "epoch_4", "state"}

    def test_in_the_middle_of_an_epoch(self, tmp_path: Path, scores: list[float]) -> None:
        scores += [0.5, 0.4, 0.3]
        module, result = train(tmp_path / "ckpt", epochs=9, patience=2, eval_interval=4)
        assert (result.steps, evaluated(result)) == (12, [4, 8, 12])
        saved = hub.Module(directory=tmp_path / "ckpt" / "epoch_3")
        assert weights_hash(saved.network) == weights_hash(module.network)
        assert saved.spec.metrics["f1"] == 0.3

    def test_a_better_one_must_be_better_by_so_much(self, tmp_path: Path, scores: list[float]) -> None:
        """Small steps up do not count, and neither do they move the mark; the best is the best all the same."""
        scores += [0.50, 0.54, 0.57, 0.61, 0.64, 0.65, 0.66]
        _, result = train(tmp_path / "ckpt", epochs=9, patience=3, min_delta=0.1)
        assert evaluated(result) == [5, 10, 15, 20, 25, 30, 35]
        assert result.stopped == "none of the last 3 evaluations was better by more than 0.1"
        assert (result.best or {})["f1"] == 0.66

    def test_a_comparison_of_ones_own_decides(self, tmp_path: Path, scores: list[float]) -> None:
        scores += [0.5, 0.4, 0.3, 0.35, 0.36]

        def smaller(old: dict[str, float], new: dict[str, float]) -> bool:
            return new["f1"] < old["f1"]

        _, result = train(tmp_path / "ckpt", epochs=9, patience=2, compare_metrics=smaller)
        assert (result.steps, (result.best or {})["f1"]) == (25, 0.3)
        with pytest.raises(
            SettingsError, match="min_delta is by how much a metric must be larger, but compare_metrics"
        ):
            train(tmp_path / "ckpt", patience=2, min_delta=0.1, compare_metrics=smaller)
        with pytest.raises(SettingsError, match="min_delta is for patience, which is 0"):
            TrainSettings(min_delta=0.1)

    def test_the_last_evaluation_of_all_stops_nothing(self, tmp_path: Path, scores: list[float]) -> None:
        scores += [0.5, 0.4]
        _, result = train(tmp_path / "ckpt", epochs=2, patience=1)
        assert (result.steps, result.stopped) == (10, None)
        _, again = train(tmp_path / "ckpt", epochs=2, patience=1)
        assert (again.steps, again.stopped) == (10, None)

    def test_a_state_that_does_not_say_that_its_run_ended(self, tmp_path: Path, scores: list[float]) -> None:
        """As states were written once: there is no epoch to make up for."""
        scores += [0.5, 0.4]
        train(tmp_path / "ckpt", epochs=2)
        (path,) = (tmp_path / "ckpt" / "state").glob("step-*/run.json")
        record = json.loads(path.read_text(encoding="utf-8"))
        del record["progress"]["ended"], record["progress"]["unlogged"]
        path.write_text(json.dumps(record), encoding="utf-8")
        before = sorted(file.name for file in (tmp_path / "ckpt").iterdir())
        _, again = train(tmp_path / "ckpt", epochs=2)
        assert (again.steps, evaluated(again)) == (10, [5, 10])
        assert sorted(file.name for file in (tmp_path / "ckpt").iterdir()) == before

    def test_a_run_that_was_ended_stays_so_unless_it_is_given_more(self, tmp_path: Path, scores: list[float]) -> None:
        scores += [0.5, 0.4, 0.3, 0.9]
        train(tmp_path / "ckpt", epochs=9, patience=2)
        _, again = train(tmp_path / "ckpt", epochs=9, patience=2)
        assert (again.steps, again.stopped) == (15, "none of the last 2 evaluations was better")
        _, more = train(tmp_path / "ckpt", epochs=9, patience=3)
        assert (more.steps, (more.best or {})["f1"]) == (35, 0.9)


@pytest.mark.parametrize("sharding", ["none", "full"])
def test_two_processes_agree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sharding: str) -> None:
    """On when to measure and when to stop, whichever of them a callback speaks up in; and train as one would."""
    monkeypatch.setattr(SeqCls, "metrics", SeqCls.metrics)  # put back what the program replaces
    module, alone = distributed_stopping.run(tmp_path / "one", batch_size=8, sharding="none")
    assert (alone.steps, alone.stopped) == (8, "none of the last 2 evaluations was better")
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node=2"]
    command += [f"--master_port={20000 + os.getpid() % 20000}", str(Path(distributed_stopping.__file__))]
    path = os.pathsep.join(map(str, Path(__file__).parents[:2]))
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": path}
    done = subprocess.run(
        [*command, str(tmp_path / "two"), sharding],
        env=environment, capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    told = [json.loads((tmp_path / "two" / f"told-{rank}.json").read_text()) for rank in "01"]
    for one in told:
        assert (one["steps"], one["stopped"], one["trainable"]) == (alone.steps, alone.stopped, True)
        assert one["asked"][0] == 3
        expected = [row for row in alone.history if "loss" in row]
        rows = [row for row in one["history"] if "loss" in row]
        for name in ("loss", "grad_norm", "lr"):
            assert [row[name] for row in rows] == pytest.approx([row[name] for row in expected], rel=1e-4)
        assert [row for row in one["history"] if "loss" not in row] == [r for r in alone.history if "loss" not in r]
    assert told[0]["weights"] == told[1]["weights"]
    assert [one["asked"][1] for one in told] == ["a callback stopped another process", "the second has had enough"]
    assert told[0]["failed"] == "a callback failed in another process, in on_step at step 5"
    assert told[1]["failed"] == "callback Second failed in on_step at step 5: ValueError: only here"
    for name in ("early/ckpt/epoch_3", "early/ckpt/best_model", "asked/ckpt/epoch_1", "failed/ckpt/state"):
        assert (tmp_path / "two" / name).is_dir(), name
    trained = hub.Module(directory=tmp_path / "two" / "early" / "ckpt" / "epoch_3")
    for (name, ours), theirs in zip(module.named_parameters(), trained.parameters(), strict=True):
        assert torch.allclose(ours, theirs, atol=1e-5), name


class PulledPlug(Exception):
    """Stands for a process that ends without a word."""


@pytest.fixture
def pull(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Ends the process at a step, as a cut power line would."""
    usual = Supervised.forward

    def at(step: int) -> None:
        calls = 0

        def forward(self: Supervised, module: Any, batch: Batch) -> Step:
            nonlocal calls
            calls += 1
            if calls == step:
                raise PulledPlug
            return usual(self, module, batch)

        monkeypatch.setattr(Supervised, "forward", forward)

    yield at
    monkeypatch.undo()


class TestContinuing:
    """Every state that this adds is saved: what is evaluated when, what was best, and how long ago."""

    OPTIONS = {"epochs": 9, "eval_interval": 3, "patience": 2, "state_steps": 2, "schedule": "linear"}  # noqa: RUF012
    SCORES = (0.1, 0.3, 0.2, 0.4, 0.4, 0.39)

    def whole(self, tmp_path: Path, scores: list[float]) -> tuple[str, TrainResult, dict[str, Any]]:
        scores[:] = self.SCORES
        module, result = train(tmp_path / "whole" / "ckpt", **self.OPTIONS)
        assert (result.steps, evaluated(result)) == (18, [3, 6, 9, 12, 15, 18])
        return weights_hash(module), result, progress(tmp_path / "whole" / "ckpt")

    @pytest.mark.parametrize("stop", [2, 3, 4, 6, 7, 10, 13, 16, 18])
    def test_an_interrupted_run_evaluates_and_stops_alike(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scores: list[float], pull: Any, stop: int
    ) -> None:
        weights, result, saved = self.whole(tmp_path, scores)
        scores[:] = self.SCORES
        pull(stop)
        with pytest.raises(PulledPlug):
            train(tmp_path / "cut" / "ckpt", **self.OPTIONS)
        pull(0)
        # What was evaluated after the last state is forgotten, and evaluated again.
        scores[:] = self.SCORES[progress(tmp_path / "cut" / "ckpt")["evaluations"] :]
        module, again = train(tmp_path / "cut" / "ckpt", **self.OPTIONS)
        assert weights_hash(module) == weights
        assert again == result
        assert progress(tmp_path / "cut" / "ckpt") == saved
        best = [hub.Module(directory=tmp_path / name / "ckpt" / "best_model") for name in ("whole", "cut")]
        assert weights_hash(best[0].network) == weights_hash(best[1].network)
        assert best[0].spec.metrics == best[1].spec.metrics

    def test_settings_about_evaluations_may_change(self, tmp_path: Path, scores: list[float], pull: Any) -> None:
        scores += [0.5]
        pull(8)
        with pytest.raises(PulledPlug):
            train(tmp_path / "ckpt", eval_interval=2, patience=9, state_steps=1)
        pull(0)
        _, result = train(tmp_path / "ckpt", eval_interval=4, patience=30, min_delta=0.2)
        assert evaluated(result) == [2, 4, 6, 8, 12, 15]


def progress(folder: Path) -> dict[str, Any]:
    """What a run knows of itself, without the name that trackers have for it."""
    (newest,) = (folder / "state").glob("step-*")
    record: dict[str, Any] = json.loads((newest / "run.json").read_text())["progress"]
    del record["run"]
    return record


class Noted(Callback):
    """Remembers every call; stops in one of them."""

    def __init__(self, stop: str = "", step: int = 0) -> None:
        self.calls: list[tuple[str, int]] = []
        self.moments: list[Moment] = []
        self._stop = (stop, step)

    def _note(self, event: str, moment: Moment) -> str | None:
        self.calls.append((event, moment.step))
        self.moments.append(moment)
        return "enough" if (event, moment.step) == self._stop else None

    def on_step(self, moment: Moment) -> str | None:
        return self._note("step", moment)

    def on_evaluation(self, moment: Moment) -> str | None:
        return self._note("evaluation", moment)

    def on_epoch(self, moment: Moment) -> str | None:
        return self._note("epoch", moment)


class TestCallbacks:
    def test_they_are_called_at_steps_evaluations_and_epochs(self, tmp_path: Path) -> None:
        noted = Noted()
        _, result = train(tmp_path / "ckpt", epochs=2, callbacks=[noted], eval_interval=4)
        steps = [("step", n) for n in range(1, 11)]
        steps.insert(4, ("evaluation", 4))
        steps.insert(6, ("epoch", 5))
        steps.insert(10, ("evaluation", 8))
        assert noted.calls == [*steps, ("evaluation", 10), ("epoch", 10)]
        assert result.stopped is None
        last = noted.moments[-1]
        assert (last.step, last.total_steps, last.epoch, last.epochs, last.evaluations) == (10, 10, 2, 2, 3)
        assert (last.best, last.is_main) == (result.best, True)
        assert noted.moments[0].metrics is None

    @pytest.mark.parametrize(
        ("event", "step", "folder"), [("step", 7, "epoch_2"), ("evaluation", 5, "epoch_1"), ("epoch", 10, "epoch_2")]
    )
    def test_each_may_end_the_run_which_is_then_evaluated_and_saved(
        self, tmp_path: Path, event: str, step: int, folder: str
    ) -> None:
        module, result = train(tmp_path / "ckpt", epochs=3, callbacks=[Noted(event, step)])
        assert (result.steps, result.stopped) == (step, "enough")
        assert evaluated(result)[-1] == step
        saved = hub.Module(directory=tmp_path / "ckpt" / folder)
        assert weights_hash(saved.network) == weights_hash(module.network)
        assert sorted(path.name for path in (tmp_path / "ckpt").glob("epoch_*")) == [folder]

    def test_what_a_callback_ended_goes_on_when_it_is_started_again(self, tmp_path: Path) -> None:
        whole, _ = train(tmp_path / "whole" / "ckpt", eval_dataset=None)
        _, first = train(tmp_path / "ckpt", eval_dataset=None, callbacks=[Noted("step", 7)])
        module, second = train(tmp_path / "ckpt", eval_dataset=None, callbacks=[Noted("step", 7)])
        assert (first.steps, second.steps) == (7, 15)
        assert weights_hash(module) == weights_hash(whole)

    @pytest.mark.parametrize("event", ["on_step", "on_evaluation", "on_epoch"])
    def test_one_that_fails_is_named_and_costs_nothing(self, tmp_path: Path, event: str) -> None:
        class Broken(Callback):
            pass

        def fail(self: Broken, moment: Moment) -> None:
            if moment.step >= 5:
                raise ValueError("so it goes")

        setattr(Broken, event, fail)
        whole, _ = train(tmp_path / "whole" / "ckpt")
        said = f"callback Broken failed in {event} at step 5: ValueError: so it goes"
        with pytest.raises(TrainError, match=said) as raised:
            train(tmp_path / "ckpt", callbacks=[Noted(), Broken()])
        assert isinstance(raised.value.__cause__, ValueError)
        saved = state.load_state(tmp_path / "ckpt" / "state")
        assert saved is not None
        assert saved.progress.global_step == 5
        module, result = train(tmp_path / "ckpt")
        assert weights_hash(module) == weights_hash(whole)
        assert evaluated(result) == [5, 10, 15]

    def test_an_answer_that_is_none_is_named(self, tmp_path: Path) -> None:
        class Unclear(Callback):
            def on_step(self, moment: Moment) -> Any:
                return True

        with pytest.raises(
            TrainError, match="callback Unclear.on_step returned True at step 1; it must return None, or"
        ):
            train(tmp_path / "ckpt", callbacks=[Unclear()])
