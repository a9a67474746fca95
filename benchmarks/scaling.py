"""Training by several processes: one, two that exchange gradients, two that share weights and optimizer state.

    python -m benchmarks.scaling --samples 128

Every process computes on one thread; the rows of an optimizer step are the same in all ways. A network of the shape of
rbt3 with random weights learns token-cls for one epoch.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import resource
import socket
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import torch

import hub_core as hub
from benchmarks.measure import print_table
from benchmarks.predict import make_module
from benchmarks.train import BATCH, RATE, make_rows
from hub_core.examples import Batch
from hub_core.train.objectives import Step, Supervised
from hub_core.train.settings import TrainSettings

WAYS = {
    "one process": (1, "none"),
    "two, all weights in each": (2, "none"),
    "two, half the weights in each": (2, "full"),
}


class Timed(Supervised):
    """Notes when steps begin (the first two warm up), and the share of the weights that the optimizer holds here."""

    def __init__(self, module: Any) -> None:
        super().__init__(module)
        self.starts: list[float] = []
        self.optimizer: Any = None

    def forward(self, module: Any, batch: Batch) -> Step:
        self.starts.append(time.perf_counter())
        return super().forward(module, batch)

    def held(self) -> float:
        """The share of the weights that lie in this process."""
        weights = [p for group in self.optimizer.param_groups for p in group["params"]]
        local = sum((p.to_local() if hasattr(p, "to_local") else p).numel() for p in weights)
        return float(local / sum(p.numel() for p in weights))


def work(samples: int, sharding: str) -> dict[str, float]:
    """One process's part: seconds per step after the first two, memory in MiB, share of the weights."""
    warnings.filterwarnings("ignore")
    logging.disable(logging.WARNING)
    processes = int(os.environ["WORLD_SIZE"])
    with tempfile.TemporaryDirectory() as scratch:
        module = make_module(3, "token-cls", Path(scratch))
        objective = Timed(module)
        held: list[float] = []
        trainer = hub.Trainer(
            module,
            torch.optim.AdamW(module.parameters(), lr=RATE),
            use_vdl=False,
            checkpoint_dir=Path(scratch) / "ckpt",
            settings=TrainSettings(sharding=sharding, order="shuffle"),
            objective=objective,
        )
        objective.optimizer = trainer.optimizer
        objective.start_epoch = lambda *_: held.append(objective.held())  # type: ignore[method-assign]
        trainer.train(make_rows(samples), epochs=1, batch_size=BATCH // processes)
    starts = objective.starts[2:]
    return {
        "seconds": (starts[-1] - starts[0]) / (len(starts) - 1),
        "memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "held": held[0],
    }


def measure(processes: int, sharding: str, samples: int) -> dict[str, float]:
    """What the first process of a torchrun prints."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "torch.distributed.run", f"--nproc_per_node={processes}", f"--master_port={port}"]
    command += ["-m", "benchmarks.scaling", "--samples", str(samples), "--sharding", sharding]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    found: dict[str, float] = json.loads(next(line for line in done.stdout.splitlines() if line.startswith("{")))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=256)
    parser.add_argument("--sharding", help="measure in this process, which torchrun started")
    options = parser.parse_args()
    if options.sharding:
        found = work(options.samples, options.sharding)
        if os.environ["RANK"] == "0":
            print(json.dumps(found))
        torch.distributed.destroy_process_group() if torch.distributed.is_initialized() else None
        return
    results = {name: measure(*way, options.samples) for name, way in WAYS.items()}
    alone = results["one process"]["seconds"]
    rows = [
        [
            name,
            f"{BATCH / row['seconds']:.1f}",
            f"{alone / row['seconds']:.2f}",
            f"{row['held']:.0%}",
            f"{row['memory']:.0f}",
        ]
        for name, row in results.items()
    ]
    columns = ("", "samples/s", "x one process", "weights held", "MiB per process")
    print_table(
        f"Several processes, 3 layers, token-cls, {options.samples} samples, batch {BATCH} in all", columns, rows
    )


if __name__ == "__main__":
    main()
