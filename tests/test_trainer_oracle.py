"""The loop against `transformers.Trainer`, and against itself over accumulation and processes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny import LABELS, tiny_module
from training_program import Scaled, labelled_rows

from hub_core.examples import Example
from hub_core.module import Module
from hub_core.torch_module import TorchModule
from hub_core.train.batches import encode_all
from hub_core.train.settings import TrainSettings
from hub_core.train.trainer import Trainer, TrainResult

CLASSES = ("negative", "positive", "neutral")


def module_and_rows(tmp_path: Path, task: str, family: str = "bert") -> tuple[TorchModule, list[Example]]:
    rows = labelled_rows(24)
    if task == "seq-cls":
        rows = [Example(row.text, label=CLASSES[len(row.text) % 3], key=row.key) for row in rows]
    labels = LABELS if task == "token-cls" else CLASSES
    quiet = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    return tiny_module(tmp_path, family=family, task=task, labels=labels, seed=5, **quiet), rows


def train_ours(
    tmp_path: Path, task: str, *, batch_size: int = 4, order: str = "given", **settings: Any
) -> tuple[TorchModule, TrainResult]:
    module, rows = module_and_rows(tmp_path, task)
    optimizer = torch.optim.AdamW(module.parameters(), lr=2e-3, weight_decay=0.0)
    chosen = TrainSettings(**{"order": order, "schedule": "linear", "warmup_steps": 3, "seed": 3, **settings})
    trainer = Trainer(
        module, optimizer, checkpoint_dir=tmp_path / "ours", use_vdl=False, settings=chosen, objective=Scaled(module)
    )
    return module, trainer.train(rows, epochs=2, batch_size=batch_size, log_interval=1)


@pytest.mark.parametrize("family", ["bert", "ernie", "electra"])
@pytest.mark.parametrize("task", ["seq-cls", "token-cls"])
def test_same_losses_and_weights_as_the_oracle(tmp_path: Path, task: str, family: str) -> None:
    import transformers

    ours, rows = module_and_rows(tmp_path, task, family)
    settings = TrainSettings(order="given", schedule="linear", warmup_steps=3, seed=3, max_grad_norm=1.0)
    trainer = Trainer(
        ours,
        torch.optim.AdamW(ours.parameters(), lr=2e-3, weight_decay=0.0),
        checkpoint_dir=tmp_path / "ours",
        use_vdl=False,
        settings=settings,
    )
    result = trainer.train(rows, epochs=2, batch_size=4, log_interval=1)

    theirs, _ = module_and_rows(tmp_path, task, family)
    network = theirs.network
    network.accepts_loss_kwargs = False  # otherwise it scales the loss by the number of accumulated batches
    features = [window for windows in encode_all(rows, theirs.task, theirs.tokenizer, 64) for window in windows]

    def collate(chosen: list[Any]) -> dict[str, torch.Tensor]:
        batch = theirs.task.collate(chosen, {"input_ids": theirs.tokenizer.pad_id})
        return {name: torch.as_tensor(array) for name, array in {**batch.inputs, "labels": batch.targets}.items()}

    arguments = transformers.TrainingArguments(
        output_dir=str(tmp_path / "theirs"),
        per_device_train_batch_size=4,
        num_train_epochs=2,
        learning_rate=2e-3,
        warmup_steps=3,
        weight_decay=0.0,
        max_grad_norm=1.0,
        logging_steps=1,
        lr_scheduler_type="linear",
        train_sampling_strategy="sequential",
        save_strategy="no",
        report_to="none",
        use_cpu=True,
        remove_unused_columns=False,
        disable_tqdm=True,
        seed=3,
    )
    oracle = transformers.Trainer(model=network, args=arguments, train_dataset=features, data_collator=collate)
    oracle.remove_callback(transformers.PrinterCallback)
    oracle.train()

    expected = [row["loss"] for row in oracle.state.log_history if "loss" in row]
    losses = [row["loss"] for row in result.history if "loss" in row]
    assert len(losses) == 12
    assert losses == pytest.approx(expected, abs=2e-4)  # the oracle logs four digits
    for (name, ours_tensor), theirs_tensor in zip(ours.network.named_parameters(), network.parameters(), strict=True):
        assert torch.allclose(ours_tensor, theirs_tensor, atol=2e-6), name


@pytest.mark.parametrize("order", ["given", "shuffle", "length"])
@pytest.mark.parametrize("task", ["seq-cls", "token-cls"])
def test_accumulation_is_one_large_batch(tmp_path: Path, task: str, order: str) -> None:
    whole, one = train_ours(tmp_path / "a", task, batch_size=8, order=order)
    split, two = train_ours(tmp_path / "b", task, batch_size=4, order=order, accumulation=2)
    assert [row["grad_norm"] for row in two.history] == pytest.approx(
        [row["grad_norm"] for row in one.history], rel=1e-4
    )
    for first, second in zip(whole.parameters(), split.parameters(), strict=True):
        assert torch.allclose(first, second, atol=1e-5)


@pytest.mark.parametrize(("task", "sharding"), [("seq-cls", "none"), ("token-cls", "none"), ("token-cls", "full")])
def test_two_processes_are_one_large_batch(tmp_path: Path, task: str, sharding: str) -> None:
    """Two gloo processes at half the batch size: the same gradient norms, losses, scores and weights.

    With sharding each holds half of the weights and of the optimizer's state, and without all of them.

    The objective has a parameter of its own, and a signal that only one of them gets stops both.
    """
    module, expected = train_ours(tmp_path / "one", task, batch_size=8, order="length")
    command = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--nproc_per_node=2",
        f"--master_port={20000 + os.getpid() % 20000}",
        str(Path(__file__).with_name("distributed_program.py")),
        str(tmp_path / "two"),
        task,
        sharding,
    ]
    path = os.pathsep.join(map(str, Path(__file__).parents[:2]))
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": path}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in (tmp_path / "two").glob("stopped-*")) == ["stopped-0-143", "stopped-1-143"]
    assert (tmp_path / "two" / "scale-0").read_text() == (tmp_path / "two" / "scale-1").read_text()
    rows = [line.split() for line in (tmp_path / "two" / "history.txt").read_text().splitlines()]
    assert [float(norm) for _, norm in rows] == pytest.approx([r["grad_norm"] for r in expected.history], rel=1e-4)
    assert [float(loss) for loss, _ in rows] == pytest.approx([r["loss"] for r in expected.history], rel=1e-4)
    trained = Module(directory=tmp_path / "two" / "ckpt" / "epoch_2")
    for (name, ours), theirs in zip(module.named_parameters(), trained.parameters(), strict=True):
        assert torch.allclose(ours, theirs, atol=1e-5), name
    shares = [float(share) for rank in "01" for share in (tmp_path / "two" / f"shares-{rank}").read_text().split()]
    assert shares == pytest.approx([0.5] * 4, abs=0.01) if sharding == "full" else shares == [1.0] * 4
