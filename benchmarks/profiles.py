"""Where the time goes, before and after: the profiles behind the largest gains.

    python -m benchmarks.profiles

Prediction and training with the shape of rbt3 (torch's profiler, self time on the CPU), attention in bfloat16, and
the start of a command (seconds of imports by package).
"""

from __future__ import annotations

import argparse
import logging
import re
import subprocess
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import numpy as np
import torch
from torch.nn.functional import scaled_dot_product_attention
from torch.profiler import ProfilerActivity, profile

from benchmarks.measure import Contender, best_seconds, print_table
from benchmarks.predict import make_module, make_texts
from benchmarks.train import BATCH, RATE, make_rows
from hub_core.torch_module import TorchModule
from hub_core.train.batches import to_torch
from hub_core.train.dropout import QuickDropout
from hub_core.train.objectives import Supervised

#: Seconds in all, and of each part.
Times = tuple[float, Counter[str]]


def profiled(before: Callable[[], object], after: Callable[[], object]) -> tuple[Times, Times]:
    """The least seconds of both, in turns, and those of each of torch's operators in them."""
    works = {"before": before, "after": after}
    seconds = best_seconds([Contender(name, work) for name, work in works.items()], rounds=4)
    found = []
    for name, work in works.items():
        with profile(activities=[ProfilerActivity.CPU]) as profiler:
            work()
        parts = Counter({event.key: event.self_cpu_time_total / 1e6 for event in profiler.key_averages()})
        found.append((seconds[name], parts))
    return found[0], found[1]


def print_both(title: str, before: Times, after: Times) -> None:
    """The parts that took longest before, and what they take after."""
    rows = [["all", f"{before[0]:.2f}", f"{after[0]:.2f}"]]
    names = [name for name, _ in before[1].most_common(9)]
    names += [name for name, _ in after[1].most_common(6) if name not in names]
    rows += [[name, f"{before[1][name]:.2f}", f"{after[1][name]:.2f}"] for name in names]
    print_table(title, ("", "before, s", "after, s"), rows)


def prediction(module: TorchModule, texts: list[str]) -> None:
    """Rows as they come, 32 together, against batches of tokens by length."""
    predictor = module.predictor()
    task, padding = predictor.task, {"input_ids": module.tokenizer.pad_id}
    rows = [task.encode(task.example(text), module.tokenizer, 128)[0] for text in texts]

    def as_they_come() -> None:
        for start in range(0, len(rows), BATCH):
            predictor.engine.run(task.collate(rows[start : start + BATCH], padding))

    before, after = profiled(as_they_come, lambda: module.predict(texts, dtype="float32"))
    print_both(
        f"Prediction: batches of 32 as they come; batches of tokens by length ({len(texts)} texts)", before, after
    )


def training(module: TorchModule, samples: int) -> None:
    """Steps with torch's own AdamW and dropout, against the fused one and quick masks; the same rows in both."""
    rows, task = make_rows(samples), module.known_task()
    features = sorted((task.encode(row, module.tokenizer, 128)[0] for row in rows), key=lambda row: row.length)
    batches = [
        to_torch(task.collate(features[at : at + BATCH], {"input_ids": module.tokenizer.pad_id}), torch.device("cpu"))
        for at in range(0, samples, BATCH)
    ]
    objective = Supervised(module)
    module.train()

    def steps(optimizer: torch.optim.Optimizer, context: Callable[[], AbstractContextManager[object]]) -> None:
        for batch in batches:
            with context():
                loss = objective(module, batch).loss
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()

    plain = torch.optim.AdamW(module.parameters(), lr=RATE)
    fused = torch.optim.AdamW(module.parameters(), lr=RATE, fused=True)
    before, after = profiled(lambda: steps(plain, nullcontext), lambda: steps(fused, QuickDropout))
    print_both(f"Training: AdamW and dropout as torch has them; fused, quick masks ({samples} rows)", before, after)


def attention() -> None:
    """Attention of one layer in bfloat16, forward and backward: torch's fused kernel, and matrix products."""
    states = torch.randn(3, 16, 4, 128, 64, dtype=torch.bfloat16, requires_grad=True)
    seen = torch.ones(16, 1, 128, 128, dtype=torch.bool)

    def step() -> None:
        for _ in range(20):
            scaled_dot_product_attention(*states.unbind(), seen).sum().backward()

    def quick() -> None:
        with QuickDropout(), torch.autocast("cpu", dtype=torch.bfloat16):
            step()

    before, after = profiled(step, quick)
    print_both("Attention in bfloat16, 20 times 16 rows of 128 tokens: fused; matrix products", before, after)


def imports(*options: str) -> Times:
    """Seconds of ``hub run``, and of the imports of each package in it."""
    command = ["-m", "hub_core", "run", "bilstm-ner-zh", "新华社北京5月7日电", *options]
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        subprocess.run([sys.executable, *command], check=True, capture_output=True)
        seconds.append(time.perf_counter() - start)
    told = subprocess.run([sys.executable, "-X", "importtime", *command], check=True, capture_output=True, text=True)
    found: Counter[str] = Counter()
    for own, name in re.findall(r"import time:\s+(\d+) \|\s+\d+ \|\s+(\S+)", told.stderr):
        found[f"import {name.partition('.')[0]}"] += int(own) / 1e6
    return float(np.min(seconds)), found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--texts", type=int, default=128)
    options = parser.parse_args()
    warnings.filterwarnings("ignore")
    logging.disable(logging.WARNING)
    with tempfile.TemporaryDirectory() as scratch:
        prediction(make_module(3, "seq-cls", Path(scratch)), make_texts(options.texts))
        training(make_module(3, "token-cls", Path(scratch)), options.texts)
    attention()
    print_both("hub run bilstm-ner-zh: torch; its graph", imports("--engine", "torch"), imports())


if __name__ == "__main__":
    main()
