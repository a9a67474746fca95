"""A training run small enough to be killed many times: what the resume tests start in other processes."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from tiny import LABELS, tiny_module

from hub_core.examples import Batch, Example
from hub_core.torch_module import TorchModule
from hub_core.train.callbacks import Callback
from hub_core.train.objectives import Step, Supervised
from hub_core.train.settings import TrainSettings
from hub_core.train.trainer import Trainer, TrainResult

TEXTS = ("新华社北京5月7日电", "国务院副总理今天在中南海会见了", "美国前商务部长芭芭拉", "我们都是中国人", "他在上海")


def labelled_rows(count: int) -> list[Example]:
    """Rows whose labels follow from their characters, so that they can be learnt."""
    rows = []
    for index in range(count):
        text = TEXTS[index % len(TEXTS)][: 3 + index % 9]
        labels = tuple(LABELS[ord(character) % len(LABELS)] for character in text)
        rows.append(Example(text, units=tuple(text), label=labels, key=f"row {index}"))
    return rows


class Scaled(Supervised):
    """An objective with a parameter of its own, and its loss in two parts."""

    def __init__(self, module: TorchModule) -> None:
        super().__init__(module)
        self.scale = torch.nn.Parameter(torch.ones(()))
        self.epochs: list[int] = []

    def forward(self, module: Any, batch: Batch) -> Step:
        plain = super().forward(module, batch).loss
        return Step(plain * self.scale, parts={"plain": plain, "rest": plain * (self.scale - 1)})

    def start_epoch(self, module: TorchModule, epoch: int) -> None:
        self.epochs.append(epoch)


class Slow(Supervised):
    """The usual objective, with a pause in which a process can be killed."""

    pause = 0.0

    def forward(self, module: Any, batch: Batch) -> Step:
        time.sleep(self.pause)
        return super().forward(module, batch)


def train(
    folder: Path, *, epochs: int = 3, pause: float = 0.0, callbacks: Sequence[Callback] = (), **settings: Any
) -> tuple[TorchModule, TrainResult]:
    """Train the tiny module with dropout, accumulation, and a state at every step."""
    torch.manual_seed(1)
    module = tiny_module(folder.parent, seed=1, hidden_dropout_prob=0.2)
    chosen = TrainSettings(
        **{"accumulation": 2, "max_grad_norm": 1.0, "state_steps": 1, "schedule": "linear", "seed": 7, **settings}
    )
    objective = Slow(module)
    objective.pause = pause
    trainer = Trainer(
        module,
        torch.optim.AdamW(module.parameters(), lr=3e-3),
        checkpoint_dir=folder,
        use_vdl=False,
        settings=chosen,
        objective=objective,
        callbacks=callbacks,
    )
    rows = labelled_rows(30)
    result = trainer.train(rows, epochs=epochs, batch_size=3, eval_dataset=rows[:8])
    return module, result


def weights_hash(module: torch.nn.Module) -> str:
    """A hash of every bit of the weights."""
    digest = hashlib.sha256()
    for name, tensor in module.state_dict().items():
        digest.update(name.encode())
        digest.update(tensor.detach().numpy().tobytes())
    return digest.hexdigest()


def train_and_report(folder: str, pause: float) -> None:
    """Train, and leave the hash of the weights in ``folder/../report`` when done; for other processes."""
    torch.set_num_threads(1)
    module, _ = train(Path(folder), pause=pause)
    Path(folder).with_name("report").write_text(weights_hash(module))
