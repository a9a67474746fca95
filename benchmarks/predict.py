"""Bulk prediction: the hub beside `transformers.pipeline`, a plain loop, and PaddleHub's fixed padding.

    python -m benchmarks.predict --layers 3 --task seq-cls
    python -m benchmarks.predict --layers 12 --texts 128

A network of the shape of rbt3 (3 layers) or bert-base-chinese (12), with random weights, reads texts of log-normal
length (mean about 34 characters). Everything is measured in turns in one process.
"""

from __future__ import annotations

import argparse
import logging
import os
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import TextClassificationPipeline, TokenClassificationPipeline

import hub_core as hub
from benchmarks.measure import Contender, best_seconds, matrix_rate, print_table, rates
from hub_core.export.module import Gate, export_module
from hub_core.scratch import new_module
from hub_core.text.files import tokenizer_from_files
from hub_core.torch_module import TorchModule

#: Frequent characters, for texts and a vocabulary.
CHARACTERS = [chr(code) for code in range(0x4E00, 0x4E00 + 3000)]
LABELS = {"seq-cls": ["a", "b"], "token-cls": ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]}


def make_module(
    layers: int,
    task: str,
    folder: Path,
    *,
    labels: Sequence[str] | None = None,
    task_options: Mapping[str, Any] | None = None,
    **sizes: int,
) -> TorchModule:
    """A random BERT; `sizes` replace those of bert-base-chinese."""
    vocabulary = folder / "vocab.txt"
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *CHARACTERS]
    vocabulary.write_text("\n".join(tokens) + "\n", encoding="utf-8")
    torch.manual_seed(0)
    return new_module(
        family="bert",
        config={"num_hidden_layers": layers, "vocab_size": 21128, **sizes},
        tokenizer=tokenizer_from_files("wordpiece", vocab=vocabulary),
        task=task,
        label_map=labels or LABELS.get(task),
        name="benchmark",
        task_options=task_options,
    )


def make_texts(count: int, seed: int = 0) -> list[str]:
    """Texts of log-normal length: mean about 34 characters, 4 to 126."""
    generator = np.random.default_rng(seed)
    lengths = np.clip(np.exp(generator.normal(3.33, 0.62, count)), 4, 126).astype(int)
    return ["".join(generator.choice(CHARACTERS, length)) for length in lengths]


def pipeline_of(module: TorchModule, device: torch.device | str = "cpu") -> Any:
    """`transformers`' own way, on the same network."""
    module.network.config.id2label = dict(enumerate(module.labels))
    kind = TextClassificationPipeline if module.known_task().name == "seq-cls" else TokenClassificationPipeline
    return kind(model=module.network, tokenizer=module.tokenizer.to_transformers(), device=device)


def plain_loop(module: TorchModule, texts: list[str], *, batch: int, length: int | None) -> Callable[[], None]:
    """What one writes by hand: sort, tokenise with padding, call. `length`: pad to it, unsorted, as PaddleHub does."""
    tokenizer = module.tokenizer.to_transformers()
    ordered = texts if length else sorted(texts, key=len)
    padding: dict[str, Any] = {"padding": "max_length", "max_length": length} if length else {"padding": True}

    def work() -> None:
        with torch.inference_mode():
            for start in range(0, len(ordered), batch):
                rows = tokenizer(ordered[start : start + batch], truncation=True, return_tensors="pt", **padding)
                module.network(**rows).logits.argmax(-1)

    return work


def contenders(module: TorchModule, texts: list[str], folder: Path, *, int8: bool) -> Iterator[Contender]:
    """Peers first, then the hub with each engine."""
    pipeline = pipeline_of(module)
    yield Contender("pipeline, one by one", lambda: [pipeline(text) for text in texts])
    yield Contender("pipeline, batch_size=32", lambda: pipeline(texts, batch_size=32))
    yield Contender("float32, padded to 128", plain_loop(module, texts, batch=32, length=128))
    yield Contender("plain loop, sorted", plain_loop(module, texts, batch=32, length=None))
    yield Contender("hub, torch float32", lambda: module.predict(texts, dtype="float32"))
    yield Contender("hub, torch auto", lambda: module.predict(texts))
    for format in ("onnx", "openvino"):
        export_module(module, folder / format, format=format)
        graph = hub.Module(directory=folder / format)
        yield Contender(f"hub, {format}", lambda graph=graph: graph.predict(texts))
    if int8:
        task = module.known_task().name
        answers = module.predict(texts[:64], dtype="float32")
        labels = [row["label"] if task == "seq-cls" else row["labels"] for row in answers]
        rows = hub.datasets.Dataset.from_rows(
            list(zip(texts[:64], labels, strict=True)), task=task, label_list=LABELS[task]
        )
        # Random weights answer nearly at random: here int8 is timed, and measured on real data in docs/performance.md.
        export_module(module, folder / "int8", int8=True, gate=Gate(list(rows), max_loss=1.0))
        graph = hub.Module(directory=folder / "int8")
        yield Contender("hub, onnx int8", lambda: graph.predict(texts))


def latency(module: TorchModule, text: str) -> tuple[float, float]:
    """Milliseconds of `predict` on one text, and of the bare network call on its tensors."""
    rows = module.tokenizer.to_transformers()(text, return_tensors="pt")

    def bare() -> None:
        with torch.inference_mode():
            for _ in range(20):
                module.network(**rows).logits.argmax(-1)

    both = [
        Contender("predict", lambda: [module.predict([text], dtype="float32") for _ in range(20)]),
        Contender("bare", bare),
    ]
    took = best_seconds(both, rounds=7)
    return 50 * took["predict"], 50 * took["bare"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--layers", type=int, default=3)
    parser.add_argument("--task", choices=list(LABELS), default="seq-cls")
    parser.add_argument("--texts", type=int, default=256)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    warnings.filterwarnings("ignore")
    logging.disable(logging.WARNING)
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        module, texts = make_module(options.layers, options.task, folder), make_texts(options.texts)
        ways = list(contenders(module, texts, folder, int8=True))
        seconds = best_seconds(ways, rounds=options.rounds)
        peers = ("pipeline, one by one", "pipeline, batch_size=32", "float32, padded to 128", "plain loop, sorted")
        columns = ("", "texts/s", "x one by one", "x batch 32", "x padded", "x loop")
        title = f"Bulk prediction, {options.layers} layers, {options.task}, {len(texts)} texts"
        print_table(title, columns, rates(seconds, len(texts), peers))
        tokens = sum(len(text) + 2 for text in texts)
        share = flops_per_token(module) * tokens / seconds["hub, torch float32"] / matrix_rate(torch.float32)
        print(f"\nhub, torch float32 computes at {share:.0%} of the measured float32 matrix rate")
        whole, bare = latency(module, texts[0])
        print(f"one text: predict {whole:.2f} ms, bare call {bare:.2f} ms, ratio {whole / bare:.3f}")


def flops_per_token(module: TorchModule) -> float:
    """Operations of the matrix products of one token's forward pass, attention's own left out."""
    config = module.network.config
    width, inner = config.hidden_size, config.intermediate_size
    return float(2 * config.num_hidden_layers * (4 * width * width + 2 * width * inner))


if __name__ == "__main__":
    main()
