"""Several seeds, and folds: what is held out, what is averaged, and that no run is done twice."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from command_line import Hub, write_manifest, write_reviews
from hypothesis import given
from hypothesis import strategies as st
from sklearn.model_selection import StratifiedKFold
from tiny import tiny_module
from training_program import labelled_rows, weights_hash

import hub_core as hub
from hub_core.data.dataset import Dataset
from hub_core.errors import SettingsError
from hub_core.examples import Example
from hub_core.train.folds import fold_of, strata, stratified_folds
from hub_core.train.loop import Loop
from hub_core.train.repeats import train_folds, train_seeds
from hub_core.train.settings import TrainSettings
from hub_core.train.trainer import Trainer

ROWS = labelled_rows(12)


@given(
    labels=st.lists(st.sampled_from("aaaabbc"), min_size=4, max_size=60),
    folds=st.integers(2, 7),
    seed=st.integers(0, 2**32),
)
@pytest.mark.filterwarnings("ignore:fewer than")
def test_folds_are_as_scikit_learns(labels: list[str], folds: int, seed: int) -> None:
    """Every row is held out once; the folds' sizes, and their rows of each label, are as theirs."""
    if folds > len(labels):
        with pytest.raises(SettingsError, match="folds must be between 2 and the"):
            stratified_folds(labels, folds, seed=seed)
        return
    ours = stratified_folds(labels, folds, seed=seed)
    assert sorted(row for fold in ours for row in fold) == list(range(len(labels)))
    assert max(map(len, ours)) - min(map(len, ours)) <= 1
    counts = [Counter(labels[row] for row in fold) for fold in ours]
    for label in set(labels):
        assert max(count[label] for count in counts) - min(count[label] for count in counts) <= 1
    if min(Counter(labels).values()) >= folds:  # it refuses others
        theirs = StratifiedKFold(folds).split(np.zeros(len(labels)), labels)
        expected = [Counter(labels[row] for row in held_out) for _, held_out in theirs]
        assert sorted(len(fold) for fold in ours) == sorted(sum(count.values()) for count in expected)
        for label in set(labels):
            assert sorted(c[label] for c in counts) == sorted(c[label] for c in expected)


def test_folds_depend_on_the_seed_alone() -> None:
    labels = ["a", "b"] * 20
    first, again, other = (stratified_folds(labels, 4, seed=seed) for seed in (1, 1, 2))
    assert first == again != other


def test_rare_labels_are_told_of() -> None:
    with pytest.warns(UserWarning, match=r"fewer than 3 rows have the label\(s\) b, c: some folds lack them"):
        stratified_folds([*"aaaabbc"], 3, seed=0)


def test_a_fold_of_a_data_set_is_one_with_the_same_labels() -> None:
    rows = Dataset.from_rows([("甲", "x"), ("乙", "y"), ("丙", "x"), ("丁", "z")], task="seq-cls", max_seq_len=9)
    rest, held_out = fold_of(rows, [2, 0])
    assert isinstance(rest, Dataset) and isinstance(held_out, Dataset)
    assert ([row.text for row in rest], [row.text for row in held_out]) == (["乙", "丁"], ["甲", "丙"])
    assert held_out.label_list == rows.label_list
    assert (held_out.max_seq_len, held_out.task) == (9, "seq-cls")
    assert len({rows.fingerprint(), rest.fingerprint(), held_out.fingerprint()}) == 3
    assert strata(rows) == ["x", "y", "x", "z"]
    assert strata(ROWS) == [None] * len(ROWS)


class TestFromPython:
    @pytest.fixture(autouse=True)
    def one_thread(self) -> None:
        torch.set_num_threads(1)

    @staticmethod
    def make(settings: TrainSettings, folder: Path) -> Trainer:
        module = tiny_module(folder.parent, seed=settings.seed)
        return Trainer(module, checkpoint_dir=folder, use_vdl=False, settings=settings.replace(learning_rate=5e-3))

    def test_seeds(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        call: dict[str, Any] = {"folder": tmp_path / "runs", "epochs": 2, "batch_size": 4}
        done = train_seeds(self.make, ROWS, ROWS[:6], seeds=[3, 1], **call)
        assert [run.name for run in done.runs] == ["seed-3", "seed-1"]
        scores = [run.metrics["f1"] for run in done.runs]
        assert done.best.metrics["f1"] == max(scores)
        assert (done.mean["f1"], done.deviation["f1"]) == (statistics.fmean(scores), statistics.stdev(scores))
        assert hub.Module(directory=done.best.module).spec.metrics["f1"] == max(scores)
        alone = self.make(TrainSettings(seed=3), tmp_path / "alone")
        alone.train(ROWS, eval_dataset=ROWS[:6], epochs=2, batch_size=4)
        saved = hub.Module(directory=tmp_path / "runs" / "seed-3" / "epoch_2")
        assert weights_hash(saved.network) == weights_hash(alone.model.network)
        self.no_step(monkeypatch)
        assert train_seeds(self.make, ROWS, ROWS[:6], seeds=[3, 1], **call) == done

    def test_folds(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        seen: list[tuple[int, int]] = []
        usual = Trainer.train

        def train(self: Trainer, rows: Sequence[Example], **call: Any) -> Any:
            seen.append((len(rows), len(call["eval_dataset"])))
            return usual(self, rows, **call)

        monkeypatch.setattr(Trainer, "train", train)
        call: dict[str, Any] = {"folder": tmp_path / "runs", "epochs": 1, "batch_size": 4}
        done = train_folds(self.make, ROWS[:10], folds=3, **call)
        assert [run.name for run in done.runs] == ["fold-1", "fold-2", "fold-3"]
        assert seen == [(6, 4), (7, 3), (7, 3)]
        self.no_step(monkeypatch)
        assert train_folds(self.make, ROWS[:10], folds=3, **call) == done

    @pytest.mark.parametrize("seeds", [[], [1], [1, 1, 2]])
    def test_seeds_that_repeat_nothing_are_refused(self, tmp_path: Path, seeds: list[int]) -> None:
        with pytest.raises(SettingsError, match="seeds must be at least two, each another, not"):
            train_seeds(self.make, ROWS, ROWS, seeds=seeds, folder=tmp_path)

    def no_step(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def refuse(self: Loop, batches: object) -> None:
            raise AssertionError("a run that is done is done again")

        monkeypatch.setattr(Loop, "_step", refuse)


class TestFromTheShell:
    @pytest.fixture
    def hub(self, capsys: pytest.CaptureFixture[str]) -> Hub:
        return Hub(capsys)

    @pytest.fixture(autouse=True)
    def own_generators(self) -> Iterator[None]:
        with torch.random.fork_rng():
            yield

    @pytest.fixture
    def student(self, tmp_path: Path) -> list[object]:
        reviews = write_reviews(tmp_path / "reviews")
        manifest = write_manifest(tmp_path / "student.json")
        data = ("--data", reviews, "--checkpoint-dir", tmp_path / "ckpt", "--batch-size", 10, "--no-tensorboard")
        return ["train", "--manifest", manifest, "--task", "seq-cls", *data, "--learning-rate", 0.05, "--epochs", 2]

    def test_seeds_make_a_table(self, hub: Hub, student: list[object], tmp_path: Path) -> None:
        outcome = hub(*student, "--seeds", "1,2,3")
        assert outcome.code == 0, outcome.err
        lines = [line.split() for line in outcome.out.splitlines()]
        assert lines[0] == ["run", "steps", "accuracy", "macro_f1", "micro_f1", "matthews"]
        assert [line[0] for line in lines[2:]] == ["seed-1", "seed-2", "seed-3", "mean", "deviation"]
        scores = [float(line[2]) for line in lines[2:5]]
        assert float(lines[5][1]) == pytest.approx(statistics.fmean(scores), abs=1e-4)
        best = tmp_path / "ckpt" / f"seed-{1 + scores.index(max(scores))}" / "best_model"
        assert outcome.err.splitlines()[-1] == f"the best of them: {best}"
        record = hub(*student, "--seeds", "1,2,3", "--json").json
        assert (record["module"], len(record["runs"])) == (str(best), 3)
        assert record["deviation"]["accuracy"] == pytest.approx(float(lines[6][1]), abs=1e-4)

    def test_folds_need_no_dev_split(self, hub: Hub, student: list[object], tmp_path: Path) -> None:
        for name in ("dev", "test"):
            (tmp_path / "reviews" / f"{name}.tsv").unlink()
        record = hub(*student, "--folds", 4, "--dev-split", "", "--json").json
        assert [run["name"] for run in record["runs"]] == ["fold-1", "fold-2", "fold-3", "fold-4"]
        assert record["runs"][0]["steps"] == 6  # 30 rows of 40, twice

    @pytest.mark.parametrize(
        ("options", "code", "said"),
        [
            (["--seeds", "1,2", "--folds", 3], 2, "give either --seeds or --folds"),
            (["--seeds", "1,x"], 2, "'1,x' is not of the form 1,2,3"),
            (["--seeds", "7"], 1, "seeds must be at least two, each another, not 7"),
            (["--seeds", "1,2", "--dev-split", ""], 2, "--seeds compares by the dev split; name one with --dev-split"),
            (["--folds", 41], 1, "folds must be between 2 and the 40 rows, not 41"),
        ],
    )
    def test_mistakes_are_named(
        self, hub: Hub, student: list[object], options: list[object], code: int, said: str
    ) -> None:
        assert said in hub.fails(*student, *options, code=code)

    def test_after_ctrl_c_the_same_command_does_the_rest(
        self, hub: Hub, student: list[object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        whole = hub(*student, "--seeds", "1,2,3", "--json").json
        usual, calls = Loop._step, 0

        def interrupted(self: Loop, batches: Any) -> None:
            nonlocal calls
            calls += 1
            if calls == 12:  # eight steps a run: in the middle of the second
                raise KeyboardInterrupt
            usual(self, batches)

        monkeypatch.setattr(Loop, "_step", interrupted)
        again = [tmp_path / "again" if word == tmp_path / "ckpt" else word for word in student]
        outcome = hub(*again, "--seeds", "1,2,3", "--json")
        assert outcome.code == 130
        assert f"stopped; the same command continues in {tmp_path / 'again'}" in outcome.err
        rest = hub(*again, "--seeds", "1,2,3", "--json").json
        assert [run["accuracy"] for run in rest["runs"]] == [run["accuracy"] for run in whole["runs"]]
        assert rest["mean"] == whole["mean"]
