"""What each of two processes runs: pre-training at half the batch size."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import torch
from pretraining_program import run

from hub_core.pretrain import objectives

#: What a run of each objective is made with, by one process as by two. What replaces tokens draws nothing here, or
#: every process would draw its own; and where it fills in the likeliest, a rounding error more changes everything.
SETTINGS = {
    "mlm": {},
    "mlm+sop": {"measure_one_row": True},
    "rtd": {"optimizer": "sgd", "learning_rate": 0.05, "max_steps": 3, "eval_interval": 1},
}


def likeliest(logits: torch.Tensor) -> torch.Tensor:
    """In place of drawing by chance."""
    return logits


def main(folder: Path, objective: str, family: str, sharding: str) -> None:
    objectives.gumbel_softmax = likeliest  # type: ignore[assignment]
    place = folder / "rank" / os.environ["RANK"]
    place.mkdir(parents=True)
    # Every process writes the same text beside its own folder, and only the first one writes checkpoints.
    done = run(
        place / "ckpt" if os.environ["RANK"] != "0" else folder / "ckpt",
        objective=objective,
        family=family,
        dropout=0.0,
        accumulation=1,
        sharding=sharding,
        call={"batch_size": 3, "log_interval": 1},
        **SETTINGS[objective],
    )
    if os.environ["RANK"] == "0":
        (folder / "history.json").write_text(json.dumps(done.result.history))
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
