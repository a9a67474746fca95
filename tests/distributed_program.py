"""What each of two processes runs: training at half the batch size, and an evaluation that is shared out."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import torch
from test_trainer_oracle import module_and_rows

from hub_core.train.settings import TrainSettings
from hub_core.train.trainer import Trainer


def main(folder: Path, task: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    module, rows = module_and_rows(folder, task)
    trainer = Trainer(
        module,
        torch.optim.AdamW(module.parameters(), lr=2e-3, weight_decay=0.0),
        checkpoint_dir=folder / "ckpt",
        use_vdl=False,
        settings=TrainSettings(order="length", schedule="linear", warmup_steps=3, seed=3),
    )
    result = trainer.train(rows, epochs=2, batch_size=4, log_interval=1)
    shared = trainer.evaluate(rows, batch_size=5)["metrics"]
    alone = module.predictor()
    whole = alone.task.metrics(rows, list(alone.predict(rows)))
    if shared != whole:
        raise SystemExit(f"shared evaluation gives {shared}, one process alone {whole}")
    if int(os.environ["RANK"]) == 0:
        lines = [f"{row['loss']} {row['grad_norm']}" for row in result.history]
        (folder / "history.txt").write_text("\n".join(lines))
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
