"""What each of two processes runs: evaluation by step, stopping early, and callbacks of which only one says so."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from test_trainer_oracle import module_and_rows
from training_program import weights_hash

from hub_core.errors import TrainError
from hub_core.tasks.seq_cls import SeqCls
from hub_core.torch_module import TorchModule
from hub_core.train.callbacks import Callback, Moment
from hub_core.train.settings import TrainSettings
from hub_core.train.trainer import Trainer, TrainResult

#: The accuracy of every evaluation to come; the last one stays.
SCORES = (0.1, 0.3, 0.2, 0.25, 0.9)


class Second(Callback):
    """Says something in the second process, and nothing in others."""

    def __init__(self, step: int, error: bool) -> None:
        self._step, self._error = step, error

    def on_step(self, moment: Moment) -> str | None:
        if moment.step != self._step or moment.is_main:
            return None
        if self._error:
            raise ValueError("only here")
        return "the second has had enough"


def run(
    folder: Path, *, batch_size: int, sharding: str, callbacks: Sequence[Callback] = ()
) -> tuple[TorchModule, TrainResult]:
    """Frozen and decaying layers, weighted labels, an evaluation every two of three steps, and patience for two."""
    folder.mkdir(parents=True, exist_ok=True)
    module, rows = module_and_rows(folder, "seq-cls")
    scores = [*SCORES]

    def metrics(self: SeqCls, *arguments: Any) -> dict[str, float]:
        accuracy = scores.pop(0) if len(scores) > 1 else scores[0]
        return dict.fromkeys(self.metric_names, 0.0) | {"accuracy": accuracy}

    SeqCls.metrics = metrics  # type: ignore[method-assign, assignment]
    settings = TrainSettings(
        learning_rate=2e-3,
        layer_decay=0.5,
        freeze_blocks=1,
        class_weights="balanced",
        eval_interval=2,
        patience=2,
        sharding=sharding,  # type: ignore[arg-type]
    )
    trainer = Trainer(module, checkpoint_dir=folder / "ckpt", use_vdl=False, settings=settings, callbacks=callbacks)
    return module, trainer.train(rows, epochs=9, batch_size=batch_size, eval_dataset=rows[:5], log_interval=1)


def main(folder: Path, sharding: str) -> None:
    rank = os.environ["RANK"]
    module, result = run(folder / "early", batch_size=4, sharding=sharding)
    told: dict[str, Any] = {"steps": result.steps, "stopped": result.stopped, "history": result.history}
    told["weights"] = weights_hash(module)
    told["trainable"] = all(p.requires_grad for p in module.parameters())
    _, result = run(folder / "asked", batch_size=4, sharding=sharding, callbacks=[Second(3, error=False)])
    told["asked"] = [result.steps, result.stopped]
    try:
        run(folder / "failed", batch_size=4, sharding=sharding, callbacks=[Second(5, error=True)])
    except TrainError as error:
        told["failed"] = str(error)
    (folder / f"told-{rank}.json").write_text(json.dumps(told))
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
