"""The search: what is proposed, what is kept, what an interruption costs (nothing), and what it never looks at."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import optuna
import pytest
import torch
from command_line import Hub, write_manifest, write_reviews
from tiny import tiny_module
from training_program import labelled_rows, weights_hash

import hub_core
from hub_core.errors import NonFiniteLossError, NotFoundError, ResumeError, SettingsError, TrainError
from hub_core.train.loop import Loop
from hub_core.train.settings import TrainSettings
from hub_core.train.space import Choice, Range, Space
from hub_core.train.study import Pruning
from hub_core.train.trainer import Trainer
from hub_core.train.tuning import TuneResult, tune

ROWS = labelled_rows(12)
SPACE = Space.of({"learning_rate": {"low": 1e-4, "high": 1e-1, "log": True}, "batch_size": [4, 6]})
GRID = Space.of({"learning_rate": [1e-4, 1e-2], "layer_decay": [1.0, 0.5]})


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


def make(settings: TrainSettings, folder: Path) -> Trainer:
    return Trainer(tiny_module(folder.parent.parent), checkpoint_dir=folder, use_vdl=False, settings=settings)


def search(folder: Path, space: Space = SPACE, *, trials: int = 3, epochs: int = 1, **options: Any) -> TuneResult:
    call: dict[str, Any] = {"batch_size": 4, **options}
    settings = call.pop("settings", TrainSettings(seed=5))
    return tune(make, space, ROWS, ROWS[:6], trials=trials, folder=folder, settings=settings, epochs=epochs, **call)


class TestSpace:
    def test_lists_and_ranges(self) -> None:
        assert SPACE.dimensions == {"learning_rate": Range(1e-4, 1e-1, log=True), "batch_size": Choice((4, 6))}
        assert Space.of(SPACE.to_json()) == SPACE
        assert Space.of({"epochs": {"low": 1, "high": 3}}).dimensions["epochs"].whole  # type: ignore[union-attr]
        assert SPACE.grid() is None
        assert GRID.grid() == [
            {"learning_rate": rate, "layer_decay": decay} for rate in (1e-4, 1e-2) for decay in (1.0, 0.5)
        ]

    def test_all_that_is_wrong_at_once(self, tmp_path: Path) -> None:
        path = tmp_path / "space.json"
        path.write_text(
            json.dumps(
                {
                    "learnin_rate": [1],
                    "learning_rate": {"low": 1e-3, "hgh": 1},
                    "layer_decay": 0.9,
                    "warmup_ratio": {"low": 0.0, "high": 2.0},
                    "ema": {"low": 0.0, "high": 0.9, "log": True},
                    "accumulation": {"low": 0.5, "high": 2},
                    "schedule": ["linear", "linar"],
                    "freeze_blocks": [1, 1],
                    "max_grad_norm": [],
                    "epochs": [1.5],
                    "seed": [1, 2],
                    "metric": ["f1"],
                }
            )
        )
        with pytest.raises(SettingsError) as raised:
            Space.from_json(path)
        said = str(raised.value).splitlines()
        assert said[0] == f"{path} is no space to search:"
        assert [line.strip().partition(";")[0] for line in said[1:]] == [
            "unknown setting 'learnin_rate' to search",
            "learning_rate: unknown key 'hgh'",
            "layer_decay: expected a list of values, or low and high, not 0.9",
            "warmup_ratio=2.0 must be between 0 and 1",
            "ema: expected numbers low < high (with log: 0 < low), not {'low': 0.0, 'high': 0.9, 'log': True}",
            "accumulation must be int, not 0.5",
            "unknown value 'linar' of schedule",
            "freeze_blocks: a value stands twice in [1, 1]",
            "max_grad_norm: expected a list of at least one plain value, not []",
            "epochs must be a whole number of at least 1, not 1.5",
            "unknown setting 'seed' to search",
            "unknown setting 'metric' to search",
        ]

    def test_a_file_that_is_none(self, tmp_path: Path) -> None:
        path = tmp_path / "space.json"
        with pytest.raises(NotFoundError, match="no file .*space.json"):
            Space.from_json(path)
        with pytest.raises(SettingsError, match="cannot be read as JSON: Is a directory"):
            Space.from_json(tmp_path)
        path.write_text("[]")
        with pytest.raises(SettingsError, match="must hold a JSON object of lists and ranges by setting"):
            Space.from_json(path)


class TestSearch:
    def test_the_best_module_is_kept_and_nothing_else(self, tmp_path: Path) -> None:
        done = search(tmp_path / "tune", trials=4)
        assert {path.name for path in (tmp_path / "tune").iterdir()} == {"best_model", "trials.db"}
        assert [trial.state for trial in done.trials] == ["complete"] * 4
        scores = [trial.metrics["f1"] for trial in done.trials]
        assert scores == sorted(scores, reverse=True)
        assert (done.best, done.metric, done.module) == (done.trials[0], "f1", tmp_path / "tune" / "best_model")
        best = hub_core.Module(directory=done.module)
        assert best.spec.metrics == done.best.metrics
        # It is what training with these settings gives.
        chosen = TrainSettings(seed=5, learning_rate=float(done.best.tried["learning_rate"] or 0))
        (tmp_path / "alone").mkdir()
        alone = make(chosen, tmp_path / "alone" / "ckpt")
        alone.train(ROWS, epochs=1, batch_size=int(done.best.tried["batch_size"] or 0), eval_dataset=ROWS[:6])
        assert weights_hash(alone.model.network) == weights_hash(best.network)

    def test_the_seed_decides_what_is_proposed(self, tmp_path: Path) -> None:
        first, again = (proposed(search(tmp_path / name / "tune")) for name in ("a", "b"))
        other = proposed(search(tmp_path / "c" / "tune", settings=TrainSettings(seed=6)))
        assert first == again != other

    def test_a_grid_is_gone_through_once(self, tmp_path: Path) -> None:
        assert proposed(search(tmp_path / "tune", GRID, trials=2)) != []
        done = search(tmp_path / "tune", GRID, trials=9)
        assert len(done.trials) == 4
        tried = [tuple(trial.tried.items()) for trial in done.trials]
        assert set(tried) == {tuple(row.items()) for row in GRID.grid() or []}

    def test_a_search_is_optunas(self, tmp_path: Path) -> None:
        """The file opens with Optuna alone, which finds the same best trial."""
        done = search(tmp_path / "tune")
        study = optuna.load_study(study_name="hub", storage=f"sqlite:///{tmp_path / 'tune' / 'trials.db'}")
        assert (study.best_trial.number, study.best_params) == (done.best.number, dict(done.best.tried))
        assert study.best_value == done.best.metrics["f1"]

    @pytest.mark.parametrize("step", [2, 3, 7, 8])
    def test_an_interrupted_search_ends_as_one_that_was_not(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int
    ) -> None:
        """Two to three steps a trial: within one, and between its last step and the note that it is done."""
        whole = search(tmp_path / "whole" / "tune", trials=4)
        pull(monkeypatch, step)
        with pytest.raises(KeyboardInterrupt):
            search(tmp_path / "cut" / "tune", trials=4)
        monkeypatch.undo()
        done = search(tmp_path / "cut" / "tune", trials=4)
        assert done.trials == whole.trials
        weights = [weights_hash(hub_core.Module(directory=one.module)) for one in (whole, done)]
        assert weights[0] == weights[1]
        assert {path.name for path in (tmp_path / "cut" / "tune").iterdir()} == {"best_model", "trials.db"}

    @pytest.mark.parametrize("moment", ["before", "after"])
    def test_killed_around_the_note_that_a_trial_is_done(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str
    ) -> None:
        whole = search(tmp_path / "whole" / "tune")
        usual, calls = optuna.Study.tell, 0

        def tell(self: optuna.Study, *arguments: Any, **options: Any) -> Any:
            nonlocal calls
            calls += 1
            if calls == 2 and moment == "before":
                raise KeyboardInterrupt
            told = usual(self, *arguments, **options)
            if calls == 2:
                raise KeyboardInterrupt
            return told

        monkeypatch.setattr(optuna.Study, "tell", tell)
        with pytest.raises(KeyboardInterrupt):
            search(tmp_path / "cut" / "tune")
        monkeypatch.undo()
        assert search(tmp_path / "cut" / "tune").trials == whole.trials

    def test_more_trials_go_on_where_it_was(self, tmp_path: Path) -> None:
        search(tmp_path / "a" / "tune", trials=2)
        more = search(tmp_path / "a" / "tune", trials=4)
        assert proposed(more) == proposed(search(tmp_path / "b" / "tune", trials=4))
        assert search(tmp_path / "a" / "tune", trials=1).trials == more.trials

    def test_another_search_in_the_folder_is_refused(self, tmp_path: Path) -> None:
        search(tmp_path / "tune", trials=1)
        with pytest.raises(ResumeError, match=r"space.batch_size.1: 6 in the saved state, None now"):
            search(tmp_path / "tune", Space.of({**SPACE.to_json(), "batch_size": [4]}))
        with pytest.raises(ResumeError, match=r"settings.warmup_steps: 0 in the saved state, 1 now"):
            search(tmp_path / "tune", settings=TrainSettings(seed=5, warmup_steps=1))
        with pytest.raises(ResumeError, match=r"epochs: 1 in the saved state, 2 now"):
            search(tmp_path / "tune", epochs=2)

    def test_what_is_not_a_module_is_not_replaced(self, tmp_path: Path) -> None:
        (tmp_path / "tune" / "best_model").mkdir(parents=True)
        (tmp_path / "tune" / "best_model" / "notes.txt").write_text("mine")
        with pytest.raises(hub_core.HubError, match="is not a module folder and holds notes.txt"):
            search(tmp_path / "tune")

    def test_one_process_only(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("WORLD_SIZE", "2")
        with pytest.raises(SettingsError, match="a search runs in one process, not under torchrun"):
            search(tmp_path / "tune")

    def test_optuna_is_asked_for(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("hub_core.train.study.find_spec", lambda name: None)
        with pytest.raises(SettingsError, match=r"a search needs Optuna: pip install 'hub_core\[tune\]'"):
            search(tmp_path / "tune")


class TestFailures:
    def test_one_trial_that_fails_is_told_of_and_passed_over(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        space = Space.of({"freeze": ["encoder", "none"], "freeze_blocks": [0, 1]})
        done = search(tmp_path / "tune", space, trials=9)
        assert sorted(trial.state for trial in done.trials) == ["complete"] * 3 + ["failed"]
        assert done.trials[-1].tried == {"freeze": "encoder", "freeze_blocks": 1}
        assert done.trials[-1].reason == "freeze='encoder' freezes all blocks; leave freeze_blocks out"

    @pytest.mark.parametrize("error", [NonFiniteLossError("the loss became nan"), torch.OutOfMemoryError("no room")])
    def test_all_that_fail_are_told_of(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
        def fail(self: Loop, batches: Any) -> None:
            raise error

        monkeypatch.setattr(Loop, "_step", fail)
        with pytest.raises(TrainError, match=rf"no trial was completed in .*:\n  trial 0: {error}\n  trial 1: {error}"):
            search(tmp_path / "tune", trials=2)

    def test_other_errors_end_the_search(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def fail(self: Loop, batches: Any) -> None:
            raise ZeroDivisionError

        monkeypatch.setattr(Loop, "_step", fail)
        with pytest.raises(ZeroDivisionError):
            search(tmp_path / "tune")


class TestPruning:
    SPACE = Space.of({"learning_rate": [0.011, 0.012, 0.013, 0.014, 1e-9, 2e-9]})

    #: With this seed the good rates come first, so that there is a median to fall behind.
    SETTINGS = TrainSettings(seed=27)

    def test_a_trial_that_falls_behind_is_cut_short(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        steps: dict[str, int] = {}
        usual = Loop._step

        def counted(self: Loop, batches: Any) -> None:
            name = self.checkpoints.folder.name
            steps[name] = steps.get(name, 0) + 1
            usual(self, batches)

        monkeypatch.setattr(Loop, "_step", counted)
        done = search(tmp_path / "tune", self.SPACE, trials=6, epochs=3, settings=self.SETTINGS)
        states = {trial.tried["learning_rate"]: trial.state for trial in done.trials}
        assert [states[rate] for rate in (1e-9, 2e-9)] == ["pruned", "pruned"]
        assert steps["trial-0"] == 9 and steps["trial-4"] == steps["trial-5"] == 3
        pruned = next(trial for trial in done.trials if trial.state == "pruned")
        assert set(pruned.metrics) == {"precision", "recall", "f1", "accuracy"}

    def test_a_kill_after_the_cut_does_not_bring_it_back(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        whole = search(tmp_path / "whole" / "tune", self.SPACE, trials=6, epochs=3, settings=self.SETTINGS)
        usual = Pruning.on_evaluation

        def killed(self: Pruning, moment: Any) -> Any:
            said = usual(self, moment)
            if said:
                raise KeyboardInterrupt
            return said

        monkeypatch.setattr(Pruning, "on_evaluation", killed)
        for _ in range(2):
            with pytest.raises(KeyboardInterrupt):
                search(tmp_path / "cut" / "tune", self.SPACE, trials=6, epochs=3, settings=self.SETTINGS)
        monkeypatch.setattr(Pruning, "on_evaluation", usual)
        assert (
            search(tmp_path / "cut" / "tune", self.SPACE, trials=6, epochs=3, settings=self.SETTINGS).trials
            == whole.trials
        )


def proposed(done: TuneResult) -> list[Any]:
    return [trial.tried for trial in sorted(done.trials, key=lambda trial: trial.number)]


def pull(monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    """Ctrl-C that nobody notes, before an optimizer step of all trials."""
    usual, calls = Loop._step, 0

    def interrupted(self: Loop, batches: Any) -> None:
        nonlocal calls
        calls += 1
        if calls == step:
            raise KeyboardInterrupt
        usual(self, batches)

    monkeypatch.setattr(Loop, "_step", interrupted)


class TestFromTheShell:
    @pytest.fixture
    def hub(self, capsys: pytest.CaptureFixture[str]) -> Hub:
        return Hub(capsys)

    @pytest.fixture(autouse=True)
    def own_generators(self) -> Iterator[None]:
        with torch.random.fork_rng():
            yield

    @pytest.fixture
    def command(self, tmp_path: Path) -> list[object]:
        (tmp_path / "space.json").write_text(json.dumps({"learning_rate": [1e-5, 0.05], "batch_size": [10]}))
        data = ("--data", write_reviews(tmp_path / "reviews"), "--space", tmp_path / "space.json")
        manifest = write_manifest(tmp_path / "student.json")
        output = ("--output", tmp_path / "tune", "--no-tensorboard", "--epochs", 2, "--trials", 5)
        return ["tune", "--manifest", manifest, "--task", "seq-cls", *data, *output]

    def test_a_table_and_the_best_module_without_the_test_split(
        self, hub: Hub, command: list[object], tmp_path: Path
    ) -> None:
        (tmp_path / "reviews" / "test.tsv").write_bytes(b"\xff no table at all")
        outcome = hub(*command)
        assert outcome.code == 0, outcome.err
        lines = [line.split() for line in outcome.out.splitlines()]
        assert lines[0] == ["trial", "state", "accuracy", "learning_rate", "batch_size"]
        assert [line[1] for line in lines[2:]] == ["complete", "complete"]
        assert float(lines[2][2]) > float(lines[3][2])
        assert lines[2][3:] == ["0.05", "10"]
        assert outcome.err.splitlines()[-1] == f"the best of them: {tmp_path / 'tune' / 'best_model'}"
        record = hub(*command, "--json").json
        assert (record["best"]["tried"], record["metric"]) == ({"learning_rate": 0.05, "batch_size": 10}, "accuracy")
        assert hub("run", record["module"], "好喜欢满意", "--json").json[0]["label"] == "1"

    @pytest.mark.parametrize(
        ("options", "said"),
        [
            (["--dev-split", "test"], "trials are compared by --dev-split, which is neither '' nor test"),
            (["--dev-split", ""], "trials are compared by --dev-split"),
            (["--space", "/nowhere.json"], "no file /nowhere.json"),
            (["--metric", "f2"], "no trial was completed in"),
        ],
    )
    def test_mistakes_are_named(self, hub: Hub, command: list[object], options: list[object], said: str) -> None:
        assert said in hub.fails(*command, *options)

    def test_after_ctrl_c_the_same_command_goes_on(
        self, hub: Hub, command: list[object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        pull(monkeypatch, 3)
        outcome = hub(*command)
        assert (outcome.code, f"continues in {tmp_path / 'tune'}" in outcome.err) == (130, True)
        monkeypatch.undo()
        assert len(hub(*command, "--json").json["trials"]) == 2
