"""train: a new module and a fine-tuned one, options made from TrainSettings, refusals, and interruptions."""

from __future__ import annotations

import json
import shutil
import signal
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

import click
import pytest
import torch
from command_line import Hub, python, write_manifest, write_reviews
from tiny import tiny_module

from hub_core.cli.training import train
from hub_core.spec import read_manifest
from hub_core.train.settings import TrainSettings


@pytest.fixture
def hub(capsys: pytest.CaptureFixture[str]) -> Hub:
    return Hub(capsys)


@pytest.fixture(autouse=True)
def own_generators() -> Iterator[None]:
    """`hub train` seeds torch, as a process of its own may."""
    with torch.random.fork_rng():
        yield


@pytest.fixture(scope="module")
def reviews(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_reviews(tmp_path_factory.mktemp("data") / "reviews")


@pytest.fixture
def ckpt(tmp_path: Path) -> Path:
    return tmp_path / "ckpt"


@pytest.fixture
def student(tmp_path: Path, reviews: Path, ckpt: Path) -> list[object]:
    """A command that trains a new module in a moment."""
    manifest = write_manifest(tmp_path / "student.json")
    data = ("--data", reviews, "--checkpoint-dir", ckpt, "--batch-size", 10, "--no-tensorboard")
    return ["train", "--manifest", manifest, "--task", "seq-cls", *data, "--learning-rate", 0.05]


class TestTraining:
    def test_a_label_that_seems_misspelt_is_named(
        self, hub: Hub, student: list[object], reviews: Path, tmp_path: Path
    ) -> None:
        data = shutil.copytree(reviews, tmp_path / "misspelt")
        with (data / "train.tsv").open("a", encoding="utf-8") as rows:
            rows.write("positiv\t好\n" + "positive\t好\n" * 20)
        outcome = hub(*student, "--data", data, "--epochs", 1)
        said = "warning: label 'positiv' (1 in train, none elsewhere) may be 'positive' (20) misspelt"
        assert outcome.code == 0 and outcome.err.count(said) == 1

    def test_a_new_module_from_data_to_answers(self, hub: Hub, student: list[object], ckpt: Path) -> None:
        renamed = ("--rename-labels", "0=negative,1=positive")
        outcome = hub(*student, *renamed, "--epochs", 3, "--log-interval", 2, "--json")
        record = outcome.json
        assert (record["module"], record["steps"]) == (str(ckpt / "best_model"), 12)
        assert record["accuracy"] >= 0.9
        assert outcome.err.startswith("Epoch=1/3, Step=2/4 loss=")
        assert "[evaluation] Epoch=3/3 accuracy=" in outcome.err
        assert {path.name for path in ckpt.iterdir()} == {"best_model", "epoch_3", "state"}
        best = ckpt / "best_model"
        assert read_manifest(best).heads[0].labels == ("negative", "positive")
        assert hub("run", best, "好喜欢满意", "差脏吵", "--json").json[0]["label"] == "positive"
        data = student[student.index("--data") + 1]
        measured = hub("evaluate", "-m", best, "--data", data, "--split", "dev", *renamed, "--json").json
        assert measured["accuracy"] == pytest.approx(record["accuracy"])
        hub("install", best)
        assert "student" in hub("list").out

    def test_a_module_is_fine_tuned(self, hub: Hub, tmp_path: Path, reviews: Path, ckpt: Path) -> None:
        tiny_module(tmp_path, task=None).save(tmp_path / "base")
        arguments = ("--data", reviews, "--output", ckpt, "--epochs", 1, "--dev-split", "", "--train-split", "dev")
        arguments += ("--max-seq-len", 16)
        outcome = hub("train", "-m", tmp_path / "base", "--task", "seq-cls", *arguments)
        assert outcome.code == 0, outcome.err
        # Without a split that picks the best one, the last one is the result.
        assert outcome.out.splitlines() == [f"module  {ckpt}/epoch_1", "steps   1"]
        assert outcome.err.startswith("warning: tiny 1.0.0: new seq-cls head with 2 labels, random until it is trained")
        assert (read_manifest(ckpt / "epoch_1").base, (ckpt / "visualization").is_dir()) == ("tiny==1.0.0", True)

    def test_a_trained_module_keeps_the_order_of_its_labels(
        self, hub: Hub, tmp_path: Path, reviews: Path, ckpt: Path
    ) -> None:
        labels = ("2", "1", "0")  # the data's are 0 and 1, in that order
        tiny_module(tmp_path, task="seq-cls", labels=labels).save(tmp_path / "trained")
        arguments = ("-m", tmp_path / "trained", "--task", "seq-cls", "--data", reviews, "--output", ckpt)
        assert hub("train", *arguments, "--epochs", 1, "--max-seq-len", 9, "--no-tensorboard").code == 0
        assert read_manifest(ckpt / "best_model").heads[0].labels == labels

    def test_a_word_list_is_the_vocabulary(self, hub: Hub, tmp_path: Path, student: list[object], ckpt: Path) -> None:
        words = tmp_path / "words.txt"
        words.write_text("好\n差\n喜欢\n", encoding="utf-8")
        student[2] = write_manifest(tmp_path / "words.json", tokenizer={"type": "word"})
        assert hub(*student, "--epochs", 1, "--word-list", words).code == 0
        assert {"好", "差", "喜欢"} <= set((ckpt / "best_model" / "vocab.txt").read_text("utf-8").split())

    def test_options_win_over_the_configuration(self, hub: Hub, student: list[object], tmp_path: Path) -> None:
        config = tmp_path / "settings.json"
        config.write_text(json.dumps({"save_dtype": "float16", "seed": 3, "keep_epochs": 1, "schedule": "linear"}))
        assert hub(*student, "--epochs", 1, "--config", config, "--seed", 4, "--save_interval", 1).code == 0
        (state,) = (tmp_path / "ckpt" / "state").glob("step-*")
        run = json.loads((state / "run.json").read_text("utf-8"))["run"]
        assert (run["settings"]["seed"], run["settings"]["schedule"]) == (4, "linear")
        header = (tmp_path / "ckpt" / "best_model" / "model.safetensors").read_bytes()[:2000]
        assert b'"F16"' in header


class TestOptions:
    def test_every_setting_has_one_with_its_type_and_text(self) -> None:
        options = {parameter.name: parameter for parameter in train.params if isinstance(parameter, click.Option)}
        for item in fields(TrainSettings):
            option, hint = options[item.name], get_type_hints(TrainSettings)[item.name]
            assert option.opts == ["--" + item.name.replace("_", "-")]
            assert item.metadata["help"][1:] in (option.help or "")
            assert item.default in (None, ()) or f"[default: {item.default}]" in (option.help or "")
            if get_origin(hint) is Literal:
                assert isinstance(option.type, click.Choice)
                assert list(option.type.choices) == list(get_args(hint))
            else:
                assert option.type in (click.INT, click.FLOAT, click.STRING, click.BOOL)

    def test_all_settings_reach_the_trainer(self, hub: Hub, student: list[object], monkeypatch: Any) -> None:
        """What is given on the command line is what the trainer is given."""
        seen: list[TrainSettings] = []

        def stop(self: object, *arguments: object, settings: TrainSettings, **others: object) -> None:
            seen.append(settings)
            raise KeyboardInterrupt

        monkeypatch.setattr("hub_core.train.trainer.Trainer.__init__", stop)
        given = TrainSettings(
            seed=1,
            max_seq_len=32,
            optimizer="adamax",
            learning_rate=1e-3,
            weight_decay=0.1,
            layer_decay=0.5,
            freeze="embeddings",
            freeze_blocks=2,
            class_weights="balanced",
            schedule="cosine",
            warmup_steps=2,
            warmup_ratio=0.5,
            accumulation=2,
            max_grad_norm=1.0,
            precision="bf16",
            compile=True,
            order="shuffle",
            ema=0.9,
            evaluate_every=2,
            metric="macro_f1",
            patience=3,
            min_delta=0.01,
            log_to=("wandb", "mlflow"),
            save_dtype="bfloat16",
            keep_epochs=1,
            state_steps=5,
            save_steps=7,
            max_steps=9,
            floor=0.1,
            decay_steps=8,
            recompute=True,
            resume="never",
        )
        weights = {"0": 1.0, "a=b": 2.5}
        # Two, since some exclude others; the command has a learning rate of its own.
        shared = TrainSettings(sharding="full", eval_interval=5, class_weights=weights, learning_rate=0.05)
        for item in fields(TrainSettings):
            assert any(getattr(chosen, item.name) != item.default for chosen in (given, shared))
        for chosen in (given, shared):
            values = {name: value for name, value in chosen.to_json().items() if value is not None}
            values["log_to"] = ",".join(chosen.log_to)
            if isinstance(chosen.class_weights, dict):
                values["class_weights"] = "0=1, a=b=2.5"
            flags = [f"--{'' if value else 'no-'}{name}" for name, value in values.items() if isinstance(value, bool)]
            options = [f"--{name}={value}" for name, value in values.items() if not isinstance(value, bool)]
            assert hub(*student, *flags, *options).code == 130
        assert seen == [given, shared]


class TestRefuses:
    def test_data_that_is_not_there(self, hub: Hub, tmp_path: Path, student: list[object]) -> None:
        data = student.index("--data") + 1
        student[data] = tmp_path / "nowhere"
        assert hub.fails(*student) == f"no folder {tmp_path / 'nowhere'}\n"
        (tmp_path / "nowhere").mkdir()
        assert hub.fails(*student).startswith(f"unknown split 'train' in {tmp_path / 'nowhere'}")
        (tmp_path / "nowhere" / "trian.tsv").write_text("label\ttext_a\n1\ta\n")
        assert "did you mean 'trian'?" in hub.fails(*student)
        (tmp_path / "nowhere" / "trian.tsv").rename(tmp_path / "nowhere" / "train.tsv")
        assert hub.fails(*student).endswith("; known: train; --dev-split names another, '' is for none\n")

    def test_rows_that_are_wrong_all_at_once(self, hub: Hub, tmp_path: Path, student: list[object]) -> None:
        student[student.index("--data") + 1] = tmp_path
        rows = "label\ttext_a\n1\t好\n0\n1\t\n\t好\n1\ta\tb\n"
        (tmp_path / "train.tsv").write_bytes(rows.encode() + b"1\t\xff\n")
        said = hub.fails(*student).splitlines()
        assert said[0] == "unusable data:"
        assert {line.split("train.tsv:")[1][0] for line in said[1:]} == {"3", "4", "5", "6", "7"}
        (tmp_path / "train.tsv").write_bytes(b"")
        assert "train.tsv:1: the file is empty" in hub.fails(*student)

    def test_units_that_something_else_joins(self, hub: Hub, tmp_path: Path, student: list[object]) -> None:
        (tmp_path / "train.tsv").write_text("text\tlabel\n新 华\tB-ORG I-ORG\n", encoding="utf-8")
        wanted = ("--data", tmp_path, "--task", "token-cls", "--dev-split", "", "--epochs", 1, "--min-count", 1)
        assert "train.tsv:2: label 'B-ORG I-ORG' has white space in it" in hub.fails(*student, *wanted)
        assert hub(*student, *wanted, "--split-char", " ", "--json").json["steps"] == 1

    def test_a_label_of_dev_that_train_does_not_have(self, hub: Hub, tmp_path: Path, student: list[object]) -> None:
        student[student.index("--data") + 1] = write_reviews(tmp_path / "mixed")
        with (tmp_path / "mixed" / "dev.tsv").open("a") as stream:
            stream.write("2\t好\n")
        assert "dev.tsv:12: unknown label '2'; known: 0, 1" in hub.fails(*student)
        said = hub.fails(*student, "--rename-labels", "3=good")
        assert said.startswith("unknown label 'good' in --rename-labels 3=good; known: 0, 1")

    def test_labels_that_are_not_the_modules(self, hub: Hub, tmp_path: Path, reviews: Path, ckpt: Path) -> None:
        tiny_module(tmp_path, task="seq-cls", labels=("x", "y", "z")).save(tmp_path / "other")
        arguments = ("train", "-m", tmp_path / "other", "--task", "seq-cls", "--data", reviews, "--output", ckpt)
        said = hub.fails(*arguments)
        assert "the data has label(s) 0, 1, which tiny 1.0.0 was not trained for (it knows x, y, z)" in said
        assert "--rename-labels" in said and "--new-head" in said
        assert not ckpt.exists()
        assert hub(*arguments, "--new-head", "--epochs", 1, "--no-tensorboard", "--max-seq-len", 9).code == 0

    @pytest.mark.parametrize(
        ("options", "said"),
        [
            (["--task", "seq_cls"], "unknown task 'seq_cls' to read data for; did you mean 'seq-cls'?"),
            (
                ["--seed", "-1", "--ema", "2"],
                "unusable training settings:\n  ema=2.0 must be between 0 and 0.999999\n  seed=-1 must be",
            ),
            (["--config", "/nowhere.json"], "no file /nowhere.json"),
            (["--manifest", "/nowhere.json"], "no file /nowhere.json"),
            (
                ["--metric", "f2", "--epochs", "2"],
                "unknown metric 'f2' to compare by; known: accuracy, macro_f1, matthews, micro_f1",
            ),
            (["--max-seq-len", "1"], "max_seq_len=1 "),
            (["--max-seq-len", "0"], "max_seq_len=0 must be between 1 and"),
            (["--learning-rate", "-1"], "learning_rate=-1.0 must be a finite number, and not below 0"),
            (["--learning-rate", "nan"], "learning_rate=nan must be a finite number, and not below 0"),
            (["--learning-rate", "inf"], "learning_rate=inf must be a finite number, and not below 0"),
            (["--weight-decay", "-1"], "weight_decay=-1.0 must be a finite number, and not below 0"),
        ],
    )
    def test_settings_that_cannot_be_used(self, hub: Hub, student: list[object], options: list[str], said: str) -> None:
        outcome = hub(*student, *options)
        assert (outcome.code, outcome.out) == (1, "")
        assert said in outcome.err

    def test_an_unknown_setting_in_the_configuration(self, hub: Hub, student: list[object], tmp_path: Path) -> None:
        (tmp_path / "c.json").write_text('{"warmup": 3}')
        said = hub.fails(*student, "--config", tmp_path / "c.json")
        assert said.startswith("unknown training setting 'warmup'; did you mean")

    def test_a_gpu_that_is_not_there(self, hub: Hub, student: list[object], monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
        assert "torch finds no CUDA device" in hub.fails(*student, "--use-gpu")

    def test_a_folder_that_cannot_be_written(self, hub: Hub, student: list[object], ckpt: Path) -> None:
        ckpt.write_text("in the way")
        assert hub.fails(*student).startswith(f"checkpoint_dir {ckpt} cannot be written: ")
        assert ckpt.read_text() == "in the way"

    def test_a_loss_that_is_not_finite(self, hub: Hub, student: list[object], ckpt: Path) -> None:
        assert hub(*student, "--epochs", 1).code == 0
        student[student.index("--learning-rate") + 1] = 1e30
        again = [*student, "--epochs", 2, "--resume", "never"]
        outcome = hub(*again)
        assert outcome.code == 1
        assert "error: the loss became " in outcome.err
        assert "try a smaller learning rate" in outcome.err
        assert hub("run", ckpt / "best_model", "好").code == 0

    def test_another_run_in_the_same_folder(self, hub: Hub, student: list[object]) -> None:
        assert hub(*student, "--epochs", 1).code == 0
        said = hub.fails(*student, "--epochs", 1, "--seed", 7)
        assert "holds the state of another run:\n  settings.seed: 42 in the saved state, 7 now\n" in said


class TestInterruptions:
    @pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
    def test_a_signal_saves_and_the_same_command_completes(
        self, hub: Hub, student: list[object], ckpt: Path, number: signal.Signals, code: int
    ) -> None:
        endless = ("--evaluate-every", 1000, "--dev-split", "", "--save-interval", 1000, "--log-interval", 1)
        command = [str(word) for word in (*student, "--epochs", 40, *endless)]
        process = python("-m", "hub_core", *command)
        assert process.stderr is not None
        first = process.stderr.readline()
        process.send_signal(number)
        out, err = process.communicate(timeout=120)
        assert first.startswith("Epoch=1/40, Step=1/4 ")
        assert (process.returncode, out) == (code, "")
        assert f"stopped; the same command continues from {ckpt / 'state'}" in err.splitlines()
        assert "Traceback" not in err
        (state,) = (ckpt / "state").iterdir()
        done = int(state.name.removeprefix("step-"))
        assert 1 <= done < 160
        outcome = hub(*command, "--json")
        assert outcome.json["steps"] == 160
        assert outcome.err.startswith(f"continuing at step {done} of 160\n")
        assert (ckpt / "epoch_40" / "module.json").is_file()

    def test_before_anything_is_saved_nothing_is_promised(
        self, hub: Hub, student: list[object], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def interrupted(*arguments: object, **options: object) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr("hub_core.train.trainer.Trainer.train", interrupted)
        outcome = hub(*student)
        assert (outcome.code, outcome.err.strip()) == (130, "interrupted")
