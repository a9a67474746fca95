"""Training: the hub beside `transformers.Trainer` and a plain loop, each in a process of its own.

    python -m benchmarks.train --samples 512

A network of the shape of rbt3 with random weights learns token-cls for one epoch in batches of 32. Time is that of the
epoch alone; memory is the most that the process held, so that a plain import counts for all alike.
"""

from __future__ import annotations

import argparse
import json
import logging
import resource
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import DataCollatorForTokenClassification, TrainingArguments
from transformers import Trainer as TransformersTrainer

import hub_core as hub
from benchmarks.measure import print_table
from benchmarks.predict import LABELS, make_module, make_texts
from hub_core.datasets import Dataset
from hub_core.torch_engine import has_bfloat16
from hub_core.torch_module import TorchModule
from hub_core.train.settings import TrainSettings

BATCH, RATE = 32, 5e-5
BFLOAT16 = has_bfloat16(torch.device("cpu"))


def make_rows(count: int) -> Dataset:
    """Texts with random labels."""
    generator = np.random.default_rng(1)
    rows = [(text, list(generator.choice(LABELS["token-cls"], len(text)))) for text in make_texts(count)]
    return Dataset.from_rows(rows, task="token-cls", label_list=LABELS["token-cls"], max_seq_len=128)


def encoded(module: TorchModule, rows: Dataset) -> list[dict[str, list[int]]]:
    """The same features as plain lists, for those who bring their own collation."""
    task = module.known_task()
    features = [task.encode(row, module.tokenizer, 128)[0] for row in rows]
    return [
        {**{name: array.tolist() for name, array in f.inputs.items()}, "labels": f.target.tolist()} for f in features
    ]


def with_hub(module: TorchModule, rows: Dataset, folder: Path, **settings: Any) -> Callable[[], object]:
    """`hub.Trainer`; rows are encoded inside the measured time."""
    trainer = hub.Trainer(
        module,
        torch.optim.AdamW(module.parameters(), lr=RATE),
        use_vdl=False,
        checkpoint_dir=folder / "ckpt",
        settings=TrainSettings(**settings),
    )
    return lambda: trainer.train(rows, epochs=1, batch_size=BATCH, log_interval=50)


def with_transformers(module: TorchModule, rows: Dataset, folder: Path, **options: Any) -> Callable[[], object]:
    """`transformers.Trainer`; its rows are encoded beforehand."""
    arguments = TrainingArguments(
        output_dir=str(folder / "out"),
        num_train_epochs=1,
        per_device_train_batch_size=BATCH,
        learning_rate=RATE,
        report_to=[],
        save_strategy="no",
        use_cpu=True,
        disable_tqdm=True,
        **options,
    )
    collator = DataCollatorForTokenClassification(module.tokenizer.to_transformers())
    trainer = TransformersTrainer(
        module.network, args=arguments, train_dataset=encoded(module, rows), data_collator=collator
    )
    return trainer.train


def with_a_loop(
    module: TorchModule, rows: Dataset, folder: Path, *, length: int | None = None, bf16: bool = False
) -> Callable[[], object]:
    """What one writes by hand: sorted by length, or padded to a fixed length; nothing is saved."""
    del folder
    network, data = module.network.train(), encoded(module, rows)
    data = data if length else sorted(data, key=lambda row: len(row["input_ids"]))
    collator = DataCollatorForTokenClassification(
        module.tokenizer.to_transformers(), padding="max_length" if length else True, max_length=length
    )
    optimizer = torch.optim.AdamW(network.parameters(), lr=RATE)

    def work() -> None:
        for start in range(0, len(data), BATCH):
            with torch.autocast("cpu", dtype=torch.bfloat16, enabled=bf16):
                loss = network(**collator(data[start : start + BATCH])).loss
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()

    return work


Maker = Callable[..., Callable[[], object]]
WAYS: Mapping[str, tuple[Maker, Mapping[str, Any]]] = {
    "transformers.Trainer, defaults": (with_transformers, {}),
    "transformers.Trainer, grouped by length": (
        with_transformers,
        {"train_sampling_strategy": "group_by_length", "bf16": BFLOAT16},
    ),
    "float32, padded to 128": (with_a_loop, {"length": 128}),
    "plain loop, sorted": (with_a_loop, {"bf16": BFLOAT16}),
    "hub": (with_hub, {"precision": "bf16" if BFLOAT16 else "float32"}),
    "hub, plainly shuffled": (with_hub, {"order": "shuffle", "precision": "bf16" if BFLOAT16 else "float32"}),
}


def measure(name: str, samples: int) -> dict[str, float]:
    """Seconds of one epoch, and the process's largest resident memory in MiB."""
    warnings.filterwarnings("ignore")
    logging.disable(logging.WARNING)
    maker, options = WAYS[name]
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        work = maker(make_module(3, "token-cls", folder), make_rows(samples), folder, **options)
        start = time.perf_counter()
        work()
        seconds = time.perf_counter() - start
    return {"seconds": seconds, "memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=2048)
    parser.add_argument("--only", choices=list(WAYS), help="measure one, and print it as JSON")
    options = parser.parse_args()
    if options.only:
        print(json.dumps(measure(options.only, options.samples)))
        return
    found = {}
    for name in WAYS:
        command = [sys.executable, "-m", "benchmarks.train", "--samples", str(options.samples), "--only", name]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        found[name] = json.loads(done.stdout.splitlines()[-1])
    seconds = {name: row["seconds"] for name, row in found.items()}
    peers = list(WAYS)[:4]
    rows = [
        [
            name,
            f"{options.samples / row['seconds']:.1f}",
            *(f"{seconds[peer] / row['seconds']:.2f}" for peer in peers),
            f"{row['memory']:.0f}",
        ]
        for name, row in found.items()
    ]
    columns = ("", "samples/s", "x Trainer", "x Trainer grouped", "x padded", "x loop", "MiB")
    print_table(f"Training, 3 layers, token-cls, {options.samples} samples, batch {BATCH}", columns, rows)


if __name__ == "__main__":
    main()
