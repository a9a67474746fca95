"""Several labels per text, and numbers: losses as transformers computes them, scores, data, and what is saved."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from command_line import Hub
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn import metrics as sklearn_metrics
from tiny import tiny_module

import hub_core as hub
from hub_core.data.dataset import Dataset
from hub_core.errors import DataError, LabelError, SettingsError
from hub_core.tasks.arrays import sigmoid
from hub_core.tasks.seq_cls import SeqCls
from hub_core.torch_module import TorchModule
from hub_core.train.batches import encode_all, to_torch

TOPICS = ("money", "sport", "people")
MULTI = {"problem": "multi-label"}
NUMBER = {"problem": "regression"}
TEXTS = ["新华社北京月日电", "今天在中南海会见了美国", "他", "国务院副总理李岚清"]
TAGGED = [("money", "people"), (), ("sport",), ("people",)]


def module_for(tmp_path: Path, problem: dict[str, Any]) -> TorchModule:
    labels = ("stars",) if problem == NUMBER else TOPICS
    return tiny_module(tmp_path, task="seq-cls", labels=labels, task_options=problem)


def batch_of(module: TorchModule, labels: list[Any]) -> Any:
    rows = Dataset.from_rows(
        list(zip(TEXTS, labels, strict=True)),
        task="seq-cls",
        label_list=module.labels,
        task_options=module.task.options,
    )
    features = [row for rows in encode_all(list(rows), module.task, module.tokenizer, 64) for row in rows]
    return to_torch(module.task.collate(features, {"input_ids": 0}), torch.device("cpu"))


@pytest.mark.parametrize(
    ("problem", "labels"), [(MULTI, [list(tags) for tags in TAGGED]), (NUMBER, [1.5, -2, "3", 0.25])]
)
def test_the_loss_is_that_of_transformers(tmp_path: Path, problem: dict[str, Any], labels: list[Any]) -> None:
    module = module_for(tmp_path, problem)
    batch = batch_of(module, labels)
    targets = batch.targets.float()
    theirs = module.network(**batch.inputs, labels=targets if problem == MULTI else targets[:, None])
    ours = module.task.loss(module(batch.inputs).logits, batch) / module.task.loss_weight(batch)
    torch.testing.assert_close(ours, theirs.loss)


@pytest.mark.parametrize("problem", [MULTI, NUMBER])
def test_saved_it_answers_the_same_here_and_tells_transformers(tmp_path: Path, problem: dict[str, Any]) -> None:
    import transformers

    module = module_for(tmp_path, problem)
    module.save(tmp_path / "saved")
    again = hub.Module(directory=tmp_path / "saved")
    assert again.predict(TEXTS) == module.predict(TEXTS)
    config = transformers.AutoConfig.from_pretrained(tmp_path / "saved")
    assert (
        config.problem_type
        == {"multi-label": "multi_label_classification", "regression": "regression"}[problem["problem"]]
    )
    (tmp_path / "saved" / "module.json").unlink()
    adopted = hub.Module(directory=tmp_path / "saved")  # as a folder of Hugging Face's
    assert adopted.task.options["problem"] == problem["problem"]
    assert adopted.predict(TEXTS)[0].keys() == module.predict(TEXTS)[0].keys()


def test_every_label_has_a_threshold_of_its_own(tmp_path: Path) -> None:
    module = module_for(tmp_path, MULTI)
    chances = [answer["probabilities"] for answer in module.predict(TEXTS)]
    limits = [float(np.median([row[label] for row in chances])) for label in TOPICS]
    module.task = module.task.with_options(threshold=limits)
    for answer in module.predict(TEXTS):
        expected = {
            label for label, limit in zip(TOPICS, limits, strict=True) if answer["probabilities"][label] >= limit
        }
        assert set(answer["labels"]) == expected
        assert list(answer["probabilities"].values()) == sorted(answer["probabilities"].values(), reverse=True)


def test_scores_of_several_labels_are_scikit_learns(tmp_path: Path) -> None:
    module = module_for(tmp_path, MULTI)
    rows = Dataset.from_rows(
        [(text, list(tags)) for text, tags in zip(TEXTS, TAGGED, strict=True)],
        task="seq-cls",
        label_list=TOPICS,
        task_options=MULTI,
    )
    answers = list(module.predictor().predict(rows))
    found = module.task.metrics(list(rows), answers)
    gold = [[label in row.label for label in TOPICS] for row in rows]
    given_labels = [[label in answer.labels for label in TOPICS] for answer in answers]
    for name in ("micro", "macro"):
        assert found[f"{name}_f1"] == pytest.approx(
            sklearn_metrics.f1_score(gold, given_labels, average=name, zero_division=0)
        )
    assert found["subset_accuracy"] == sklearn_metrics.accuracy_score(gold, given_labels)
    assert found["hamming"] == pytest.approx(sklearn_metrics.hamming_loss(gold, given_labels))


@given(arrays(np.float32, 5, elements=st.floats(-200, 200, width=32)))
def test_sigmoid_is_torchs_without_overflow(logits: Any) -> None:
    with np.errstate(all="raise", under="ignore"):
        found = sigmoid(logits)
    np.testing.assert_allclose(found, torch.sigmoid(torch.from_numpy(logits).double()).numpy(), rtol=1e-12)


def test_a_table_of_several_labels_is_read(tmp_path: Path) -> None:
    path = tmp_path / "train.tsv"
    path.write_text("text\tlabel\n晴\tmoney, people\n雨\t\n雪\tsport\n", encoding="utf-8")
    rows = hub.datasets.folder_dataset(tmp_path, task="seq-cls", task_options=MULTI)
    assert [row.label for row in rows] == [("money", "people"), (), ("sport",)]
    assert rows.label_list == ["money", "people", "sport"]


@pytest.mark.parametrize(
    ("options", "rows", "message"),
    [
        (MULTI, [("晴", ["money", "money"])], "rows:1: a label stands twice: money, money"),
        (MULTI, [("晴", ["mony"])], "rows:1: unknown label 'mony'; did you mean 'money'"),
        (MULTI, [("晴", 3)], "rows:1: labels must be a list of names, not 3"),
        (NUMBER, [("晴", "1"), ("雨", "good")], "rows:2: the label must be a number, not 'good'"),
        (NUMBER, [("晴", "nan")], "rows:1: the label must be a number, not 'nan'"),
    ],
)
def test_labels_of_another_kind_are_named(options: dict[str, Any], rows: list[Any], message: str) -> None:
    labels = None if options == NUMBER else TOPICS
    with pytest.raises(DataError, match=message.replace("(", r"\(")):
        Dataset.from_rows(rows, task="seq-cls", label_list=labels, task_options=options)


@pytest.mark.parametrize(
    ("labels", "options", "error", "message"),
    [
        (TOPICS, {"problem": "multi"}, SettingsError, "did you mean 'multi-label'"),
        (TOPICS, {**MULTI, "threshold": [0.5, 0.2]}, LabelError, "2 values for 3 labels"),
        (TOPICS, {**MULTI, "threshold": 1.5}, SettingsError, "must be a probability"),
        (TOPICS, {"threshold": 0.3}, SettingsError, "belongs to problem 'multi-label', not to 'single-label'"),
        (TOPICS, {"temperature": 0}, SettingsError, "must be a number above 0"),
        (TOPICS, NUMBER, LabelError, "a number has one label"),
    ],
)
def test_options_that_do_not_go_together_are_named(labels: Any, options: Any, error: Any, message: str) -> None:
    with pytest.raises(error, match=message):
        SeqCls(labels, options)


def test_a_number_is_learnt(tmp_path: Path) -> None:
    from hub_core.train.settings import TrainSettings

    module = module_for(tmp_path, NUMBER)
    rows = Dataset.from_rows(
        [(text, float(len(text))) for text in TEXTS * 8], task="seq-cls", label_list=("stars",), task_options=NUMBER
    )
    trainer = hub.Trainer(
        module,
        torch.optim.AdamW(module.parameters(), lr=3e-3),
        checkpoint_dir=tmp_path / "ckpt",
        use_vdl=False,
        settings=TrainSettings(),
    )
    before = trainer.evaluate(rows)["metrics"]["mse"]
    result = trainer.train(rows, epochs=20, batch_size=8, eval_dataset=rows)
    assert result.best is not None
    assert result.best["mse"] < before / 4
    assert result.best["spearman"] > 0.9


def test_from_the_shell(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shell = Hub(capsys)
    folder = tmp_path / "data"
    folder.mkdir()
    lines = [f"{text}\t{','.join(tags)}" for text, tags in zip(TEXTS, TAGGED, strict=True)]
    for split in ("train", "dev"):
        (folder / f"{split}.tsv").write_text("\n".join(["text\tlabel", *lines]) + "\n", encoding="utf-8")
    module_for(tmp_path, {}).save(tmp_path / "base")
    asked = ("--task", "seq-cls", "--task-option", "problem=multi-label", "--no-tensorboard", "--epochs", 1)
    with torch.random.fork_rng():
        done = shell(
            "train",
            "--module",
            tmp_path / "base",
            "--new-head",
            "--data",
            folder,
            *asked,
            "--checkpoint-dir",
            tmp_path / "c",
        )
    assert done.code == 0, done.err
    assert "micro_f1" in done.out
    shown = shell("run", tmp_path / "c" / "best_model", TEXTS[0], "--task-option", "threshold=0")
    assert shown.code == 0, shown.err
    assert all(topic in shown.out for topic in TOPICS)
    measured = shell(
        "evaluate", "--module", tmp_path / "c" / "best_model", "--data", folder, "--split", "dev", "--json"
    ).json
    assert 0 <= measured["hamming"] <= 1
    assert "is not of the form" in shell.fails("run", tmp_path / "base", "x", "--task-option", "threshold", code=2)
