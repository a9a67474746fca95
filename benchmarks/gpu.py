"""Fine-tuning and bulk prediction on a GPU, beside `transformers`, in one run.

    python -m benchmarks.gpu

A network of the shape of bert-base-chinese with random weights. Fine-tuning: token-cls, rows of 128 tokens, batch 64,
bf16; the aims are half of the measured bf16 matrix rate, and 1.5 times `transformers.Trainer`. Prediction: texts of
log-normal length, seq-cls; the aim is five times `pipeline`. ``--device cpu`` runs the same code small, to see that it
works; its figures mean nothing.
"""

from __future__ import annotations

import argparse
import gc
import logging
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import DataCollatorForTokenClassification, TrainingArguments
from transformers import Trainer as TransformersTrainer

import hub_core as hub
from benchmarks.measure import Contender, best_seconds, print_table, rates
from benchmarks.predict import CHARACTERS, LABELS, flops_per_token, make_module, make_texts, pipeline_of
from benchmarks.train import RATE, encoded
from hub_core.datasets import Dataset
from hub_core.torch_module import TorchModule
from hub_core.train.settings import TrainSettings

LENGTH = 128
TINY = {"hidden_size": 64, "num_attention_heads": 2, "intermediate_size": 128}


def full_rows(count: int) -> Dataset:
    """Rows that fill `LENGTH` tokens, with random labels."""
    generator = np.random.default_rng(1)
    names = LABELS["token-cls"]
    texts = ["".join(generator.choice(CHARACTERS, LENGTH - 2)) for _ in range(count)]
    rows = [(text, list(generator.choice(names, LENGTH - 2))) for text in texts]
    return Dataset.from_rows(rows, task="token-cls", label_list=names, max_seq_len=LENGTH)


def matrix_rate(device: torch.device) -> float:
    """Floating-point operations per second of a large bf16 matrix product."""
    size = 8192 if device.type == "cuda" else 512
    left, right = (torch.randn(size, size, device=device, dtype=torch.bfloat16) for _ in range(2))

    def product() -> None:
        for _ in range(10):
            torch.matmul(left, right)
        synchronize(device)

    product()
    return 10 * 2 * size**3 / best_seconds([Contender("product", product)], rounds=5)["product"]


def synchronize(device: torch.device) -> None:
    """Wait for everything that the device was given."""
    if device.type == "cuda":
        torch.cuda.synchronize()


def with_hub(module: TorchModule, rows: Dataset, batch: int, folder: Path, **settings: Any) -> Callable[[], object]:
    """`hub.Trainer`; encoding and two resumable states are inside the measured time."""
    trainer = hub.Trainer(
        module,
        torch.optim.AdamW(module.parameters(), lr=RATE),
        use_gpu=torch.cuda.is_available(),
        use_vdl=False,
        checkpoint_dir=folder / "ckpt",
        settings=TrainSettings(precision="bf16", resume="never", **settings),
    )
    return lambda: trainer.train(rows, epochs=1, batch_size=batch, log_interval=50)


def with_transformers(
    module: TorchModule, rows: Dataset, batch: int, folder: Path, **options: Any
) -> Callable[[], Any]:
    """`transformers.Trainer` with bf16; its rows are encoded beforehand."""
    arguments = TrainingArguments(
        output_dir=str(folder / "out"),
        num_train_epochs=1,
        per_device_train_batch_size=batch,
        learning_rate=RATE,
        bf16=True,
        report_to=[],
        save_strategy="no",
        disable_tqdm=True,
        use_cpu=not torch.cuda.is_available(),
        **options,
    )
    collator = DataCollatorForTokenClassification(module.tokenizer.to_transformers())
    return TransformersTrainer(
        module.network, args=arguments, train_dataset=encoded(module, rows), data_collator=collator
    ).train


def training(layers: int, samples: int, batch: int, device: torch.device, sizes: dict[str, int]) -> None:
    """One warm epoch of each way, after one that compiles and allocates."""
    ways: dict[str, Any] = {
        "transformers.Trainer, bf16": (with_transformers, {}),
        "transformers.Trainer, bf16, compiled": (with_transformers, {"torch_compile": True}),
        "hub, bf16": (with_hub, {}),
        "hub, bf16, compiled": (with_hub, {"compile": True}),
    }
    rate, rows, found = matrix_rate(device), full_rows(samples), {}
    for name, (maker, options) in ways.items():
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch)
            module = make_module(layers, "token-cls", folder, **sizes)
            work = maker(module, rows, batch, folder, **options)
            work()
            synchronize(device)
            start = time.perf_counter()
            work()
            synchronize(device)
            found[name] = time.perf_counter() - start
            operations = 3 * flops_per_token(module) * samples * LENGTH
            del module, work
        gc.collect()
    table = [
        [
            name,
            f"{samples / took:.0f}",
            f"{found['transformers.Trainer, bf16'] / took:.2f}",
            f"{operations / took / rate:.0%}",
        ]
        for name, took in found.items()
    ]
    columns = ("", "samples/s", "x Trainer", f"of {rate / 1e12:.0f} TFLOP/s")
    print_table(f"Fine-tuning, {layers} layers, {LENGTH} tokens, batch {batch}, bf16", columns, table)


def prediction(layers: int, count: int, device: torch.device, sizes: dict[str, int]) -> None:
    """Bulk prediction beside `transformers.pipeline`."""
    with tempfile.TemporaryDirectory() as scratch:
        module, texts = make_module(layers, "seq-cls", Path(scratch), **sizes), make_texts(count)
        module.to(device)
        pipeline = pipeline_of(module, device)
        few = texts[: max(1, count // 16)]
        ways = [
            Contender("pipeline, batch_size=32", lambda: pipeline(texts, batch_size=32)),
            Contender("hub, float32", lambda: module.predict(texts, dtype="float32")),
            Contender("hub, auto", lambda: module.predict(texts)),
        ]
        for way in ways:
            way.work()
        seconds = best_seconds(ways, rounds=3)
        one = best_seconds([Contender("one by one", lambda: [pipeline(text) for text in few])], rounds=1)
        seconds = {"pipeline, one by one": one["one by one"] * count / len(few), **seconds}
        peers = ("pipeline, one by one", "pipeline, batch_size=32")
        columns = ("", "texts/s", "x one by one", "x batch 32")
        print_table(f"Bulk prediction, {layers} layers, {count} texts", columns, rates(seconds, count, peers))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    options = parser.parse_args()
    if options.device == "cuda" and not torch.cuda.is_available():
        parser.error("torch finds no CUDA device here; --device cpu only tries the code")
    warnings.filterwarnings("ignore")
    logging.disable(logging.WARNING)
    device = torch.device(options.device)
    small = device.type == "cpu"
    training(2 if small else 12, 16 if small else 4096, 8 if small else 64, device, TINY if small else {})
    prediction(2 if small else 12, 64 if small else 20_000, device, TINY if small else {})


if __name__ == "__main__":
    main()
