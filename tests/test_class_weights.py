"""Labels that count unlike: the gradient is that of torch's weighted cross-entropy, the shares are scikit-learn's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.utils.class_weight import compute_class_weight
from tiny import LABELS, tiny_module
from training_program import labelled_rows

from hub_core.errors import SettingsError
from hub_core.examples import IGNORE, Example
from hub_core.torch_module import TorchModule
from hub_core.train.batches import encode_all
from hub_core.train.class_weights import weight_table
from hub_core.train.settings import TrainSettings
from hub_core.train.trainer import Trainer

CLASSES = ("negative", "neutral", "positive")
WEIGHTS = {"negative": 3.0, "positive": 0.25}
QUIET = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}


def module_and_rows(tmp_path: Path, task: str) -> tuple[TorchModule, list[Example]]:
    rows = labelled_rows(18)
    if task == "seq-cls":
        rows = [Example(row.text, label=CLASSES[len(row.text) ** 2 % 3], key=row.key) for row in rows]
    return tiny_module(tmp_path, task=task, labels=LABELS if task == "token-cls" else CLASSES, **QUIET), rows


def features_of(module: TorchModule, rows: list[Example]) -> list[Any]:
    encoded = encode_all(rows, module.known_task(), module.tokenizer, 64)
    return [window for windows in encoded for window in windows]


def trained(
    tmp_path: Path, task: str, *, batch_size: int, **settings: Any
) -> tuple[TorchModule, list[Mapping[str, Any]]]:
    module, rows = module_and_rows(tmp_path, task)
    optimizer = torch.optim.SGD(module.parameters(), lr=0.5)
    chosen = TrainSettings(order="given", **settings)
    trainer = Trainer(module, optimizer, checkpoint_dir=tmp_path / "ckpt", use_vdl=False, settings=chosen)
    return module, list(trainer.train(rows, epochs=2, batch_size=batch_size, log_interval=1).history)


@pytest.mark.parametrize("task", ["seq-cls", "token-cls"])
def test_losses_and_gradients_are_those_of_torchs_weighted_loss(tmp_path: Path, task: str) -> None:
    weights = WEIGHTS if task == "seq-cls" else {"O": 0.1, "B-LOC": 4.0}
    ours, history = trained(tmp_path, task, batch_size=6, class_weights=weights)

    (tmp_path / "theirs").mkdir()
    theirs, rows = module_and_rows(tmp_path / "theirs", task)
    table = torch.tensor([weights.get(label, 1.0) for label in theirs.labels])
    loss_of = torch.nn.CrossEntropyLoss(weight=table, ignore_index=IGNORE)
    optimizer = torch.optim.SGD(theirs.parameters(), lr=0.5)
    features, expected = features_of(theirs, rows), []
    theirs.train()
    for _ in range(2):
        for start in range(0, len(features), 6):
            batch = theirs.known_task().collate(features[start : start + 6], {"input_ids": theirs.tokenizer.pad_id})
            logits = theirs({name: torch.as_tensor(array) for name, array in batch.inputs.items()}).logits
            loss = loss_of(logits.reshape(-1, logits.shape[-1]), torch.as_tensor(batch.targets).reshape(-1))
            optimizer.zero_grad()
            loss.backward()
            norm = torch.nn.utils.get_total_norm([p.grad for p in theirs.parameters() if p.grad is not None])
            optimizer.step()
            expected.append((loss.item(), norm.item()))
    assert [(row["loss"], row["grad_norm"]) for row in history] == [pytest.approx(pair, rel=1e-4) for pair in expected]
    for (name, one), other in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        assert torch.allclose(one, other, atol=2e-5), name


@pytest.mark.parametrize("task", ["seq-cls", "token-cls"])
def test_a_step_is_one_weighted_mean_however_it_is_cut(tmp_path: Path, task: str) -> None:
    whole, one = trained(tmp_path / "whole", task, batch_size=6, class_weights="balanced")
    cut, two = trained(tmp_path / "cut", task, batch_size=2, accumulation=3, class_weights="balanced")
    assert [row["loss"] for row in two] == pytest.approx([row["loss"] for row in one], rel=1e-4)
    for first, second in zip(whole.parameters(), cut.parameters(), strict=True):
        assert torch.allclose(first, second, atol=2e-5)


@pytest.mark.parametrize("task", ["seq-cls", "token-cls"])
def test_balanced_is_scikit_learns(tmp_path: Path, task: str) -> None:
    module, rows = module_and_rows(tmp_path, task)
    table = weight_table(TrainSettings(class_weights="balanced"), module, features_of(module, rows))
    labels = [label for row in rows for label in (row.label if isinstance(row.label, tuple) else [row.label])]
    present = [label for label in module.labels if label in labels]
    expected = compute_class_weight("balanced", classes=np.array(present), y=labels)
    assert table is not None
    assert table[[module.labels.index(label) for label in present]] == pytest.approx(expected)


def test_labels_that_are_not_named_count_one(tmp_path: Path) -> None:
    module, rows = module_and_rows(tmp_path, "seq-cls")
    table = weight_table(TrainSettings(class_weights={"neutral": 2}), module, features_of(module, rows))
    assert table is not None
    assert table.tolist() == [1.0, 2.0, 1.0]


@pytest.mark.parametrize(
    ("weights", "said"),
    [
        ({"negativ": 2.0}, "unknown label 'negativ' in class_weights; did you mean 'negative'"),
        (
            {"negative": -1.0, "positive": float("nan")},
            "(?s)class_weights: negative=-1.0 must .*: positive=nan must be",
        ),
        ({"negative": 0, "neutral": 0, "positive": 0}, "at least one label must count more than 0"),
        ("balance", "class_weights must be float by str or 'balanced' or None, not 'balance'"),
    ],
)
def test_unusable_weights_are_named(tmp_path: Path, weights: Any, said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        trained(tmp_path, "seq-cls", batch_size=6, class_weights=weights)
    assert not (tmp_path / "ckpt").exists()


def test_a_loss_of_whole_rows_is_refused(tmp_path: Path) -> None:
    """A CRF learns the labels of a row together."""
    module = tiny_module(tmp_path, family="bilstm")
    trainer = Trainer(module, checkpoint_dir=tmp_path, use_vdl=False, settings=TrainSettings(class_weights="balanced"))
    with pytest.raises(SettingsError, match=r"tiny 1.0.0 learns the labels of a row as a whole \(a CRF\)"):
        trainer.train(labelled_rows(6))


def test_targets_that_are_no_labels_are_refused(tmp_path: Path) -> None:
    """As a task that asks for a number has them."""
    module = tiny_module(tmp_path, task="seq-cls", labels=["stars"], task_options={"problem": "regression"})
    rows = [replace(row, label=0.5) for row in module_and_rows(tmp_path, "seq-cls")[1]]
    trainer = Trainer(module, checkpoint_dir=tmp_path, use_vdl=False, settings=TrainSettings(class_weights="balanced"))
    with pytest.raises(
        SettingsError, match="one label per row or per token, and not for seq-cls with problem=regression"
    ):
        trainer.train(rows)
