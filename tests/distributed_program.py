"""What each of two processes runs: training at half the batch size, and an evaluation that is shared out."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

import torch
from test_trainer_oracle import module_and_rows
from training_program import Scaled

from hub_core.examples import Batch, Example
from hub_core.torch_module import TorchModule
from hub_core.train.objectives import Step, Supervised
from hub_core.train.settings import TrainSettings
from hub_core.train.trainer import Trainer


def main(folder: Path, task: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    module, rows = module_and_rows(folder, task)
    objective = Scaled(module)
    trainer = Trainer(
        module,
        torch.optim.AdamW(module.parameters(), lr=2e-3, weight_decay=0.0),
        checkpoint_dir=folder / "ckpt",
        use_vdl=False,
        settings=TrainSettings(order="length", schedule="linear", warmup_steps=3, seed=3),
        objective=objective,
    )
    result = trainer.train(rows, epochs=2, batch_size=4, log_interval=1)
    shared = trainer.evaluate(rows, batch_size=5)["metrics"]
    alone = module.predictor()
    whole = alone.task.metrics(rows, list(alone.predict(rows)))
    if shared != whole:
        raise SystemExit(f"shared evaluation gives {shared}, one process alone {whole}")
    (folder / f"scale-{os.environ['RANK']}").write_text(repr(objective.scale.item()))
    if int(os.environ["RANK"]) == 0:
        lines = [f"{row['loss']} {row['grad_norm']}" for row in result.history]
        (folder / "history.txt").write_text("\n".join(lines))
    stop_in_one(folder, module, rows)
    torch.distributed.destroy_process_group()


class SignalledOnce(Supervised):
    """Sends SIGTERM to the second of two processes, in its second step."""

    calls = 0

    def forward(self, module: Any, batch: Batch) -> Step:
        self.calls += 1
        if self.calls == 2 and os.environ["RANK"] == "1":
            os.kill(os.getpid(), signal.SIGTERM)
        return super().forward(module, batch)


def stop_in_one(folder: Path, module: TorchModule, rows: list[Example]) -> None:
    """Leaves ``stopped-<rank>-<exit code>``."""
    trainer = Trainer(module, checkpoint_dir=folder / "stopped", use_vdl=False, objective=SignalledOnce(module))
    try:
        trainer.train(rows, epochs=2, batch_size=4)
    except SystemExit as stop:
        (folder / f"stopped-{os.environ['RANK']}-{stop.code}").touch()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
