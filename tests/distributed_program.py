"""What each of two processes runs: training at half the batch size, and an evaluation that is shared out."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

import torch
from test_trainer_oracle import module_and_rows
from torch.distributed.tensor import DTensor
from training_program import Scaled, weights_hash

from hub_core.examples import Batch, Example
from hub_core.torch_module import TorchModule
from hub_core.train.objectives import Step, Supervised
from hub_core.train.settings import TrainSettings
from hub_core.train.trainer import Trainer


class Measured(Scaled):
    """Notes which share of the weights, and of the optimizer's state, this process holds while it trains."""

    optimizer: torch.optim.Optimizer

    def forward(self, module: Any, batch: Batch) -> Step:
        weights = [p for group in self.optimizer.param_groups for p in group["params"]]
        states = [value for state in self.optimizer.state.values() for value in state.values() if value.ndim]
        self.shares = [held(weights), held(states)]
        return super().forward(module, batch)


def held(tensors: list[torch.Tensor]) -> float:
    """The share of these tensors' numbers that lie in this process."""
    here = sum(t.to_local().numel() if isinstance(t, DTensor) else t.numel() for t in tensors)
    return here / max(1, sum(t.numel() for t in tensors))


def main(folder: Path, task: str, sharding: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    module, rows = module_and_rows(folder, task)
    objective = Measured(module)
    trainer = Trainer(
        module,
        torch.optim.AdamW(module.parameters(), lr=2e-3, weight_decay=0.0),
        checkpoint_dir=folder / "ckpt",
        use_vdl=False,
        settings=TrainSettings(order="length", schedule="linear", warmup_steps=3, seed=3, sharding=sharding),
        objective=objective,
    )
    objective.optimizer = trainer.optimizer
    result = trainer.train(rows, epochs=2, batch_size=4, log_interval=1)
    (folder / f"shares-{os.environ['RANK']}").write_text(" ".join(map(str, objective.shares)))
    if any(isinstance(p, DTensor) for p in [*module.parameters(), *objective.optimizer.param_groups[0]["params"]]):
        raise SystemExit("the module, or its optimizer, is left with shares")
    shared = trainer.evaluate(rows, batch_size=5)["metrics"]
    alone = module.predictor()
    whole = alone.task.metrics(rows, list(alone.predict(rows)))
    if shared != whole:
        raise SystemExit(f"shared evaluation gives {shared}, one process alone {whole}")
    (folder / f"scale-{os.environ['RANK']}").write_text(repr(objective.scale.item()))
    if int(os.environ["RANK"]) == 0:
        lines = [f"{row['loss']} {row['grad_norm']}" for row in result.history]
        (folder / "history.txt").write_text("\n".join(lines))
    stop_in_one(folder, module, rows, sharding)
    torch.distributed.destroy_process_group()


class SignalledOnce(Supervised):
    """Sends SIGTERM to the second of two processes, in its second step."""

    calls = 0

    def forward(self, module: Any, batch: Batch) -> Step:
        self.calls += 1
        if self.calls == 2 and os.environ["RANK"] == "1":
            os.kill(os.getpid(), signal.SIGTERM)
        return super().forward(module, batch)


def stop_in_one(folder: Path, module: TorchModule, rows: list[Example], sharding: str) -> None:
    """Leaves ``stopped-<rank>-<exit code>``; the run that then continues must end as one that never stopped."""
    start = {name: tensor.clone() for name, tensor in module.state_dict().items()}

    def run(name: str, *, signalled: bool) -> str:
        objective = SignalledOnce(module)
        objective.calls = 0 if signalled else 2
        settings = TrainSettings(sharding=sharding)
        trainer = Trainer(module, checkpoint_dir=folder / name, use_vdl=False, objective=objective, settings=settings)
        trainer.train(rows, epochs=2, batch_size=4)
        return weights_hash(module)

    unstopped = run("unstopped", signalled=False)
    module.load_state_dict(start)
    try:
        run("stopped", signalled=True)
    except SystemExit as stop:
        (folder / f"stopped-{os.environ['RANK']}-{stop.code}").touch()
    module.load_state_dict(start)
    if run("stopped", signalled=False) != unstopped:
        raise SystemExit("the continued run ends with other weights")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], sys.argv[3])
