"""Bulk prediction of every task: the hub beside the library that people use for it, on the same random network.

    python -m benchmarks.tasks --layers 3
    python -m benchmarks.tasks --layers 3 --only embedding masked-lm

The peers: `transformers.pipeline` for several labels, numbers and masked words, sentence-transformers' `CrossEncoder`
and `SentenceTransformer` for pairs and vectors; for questions, whose pipeline `transformers` no longer has, what its
example of question answering does. All have batches of 32, and everything is measured in turns in one process.
"""

from __future__ import annotations

import argparse
import logging
import os
import tempfile
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sentence_transformers import CrossEncoder, SentenceTransformer
from transformers import FillMaskPipeline, TextClassificationPipeline

import hub_core as hub
from benchmarks.measure import Contender, best_seconds, print_table
from benchmarks.predict import CHARACTERS, make_module, make_texts
from hub_core.combination import combine
from hub_core.export.module import export_module
from hub_core.torch_module import TorchModule

BATCH = 32
#: What the example of question answering has by default.
MAX_LENGTH, STRIDE, N_BEST, LONGEST = 384, 128, 20, 30
Work = Callable[[], object]


@dataclass(frozen=True)
class Case:
    """A task with its rows, and its peer: from a module, its folder and the rows to the work of answering them all."""

    task: str
    rows: Callable[[int], Sequence[Any]]
    peer: Callable[[TorchModule, Path, Sequence[Any]], Work]
    peer_name: str
    options: dict[str, Any] = field(default_factory=dict)
    labels: tuple[str, ...] | None = None


def pairs(count: int) -> list[tuple[str, str]]:
    """Pairs whose lengths differ as those of LCQMC and AFQMC do: by a factor of log-deviation 0.2 to 0.4."""
    generator, firsts = np.random.default_rng(4), make_texts(count)
    factors = np.exp(generator.normal(0, 0.3, count))
    lengths = [int(np.clip(len(text) * factor, 4, 126)) for text, factor in zip(firsts, factors, strict=True)]
    return [(text, "".join(generator.choice(CHARACTERS, n))) for text, n in zip(firsts, lengths, strict=True)]


def with_places(count: int) -> list[str]:
    return [f"{text[: len(text) // 2]}[MASK]{text[len(text) // 2 :]}" for text in make_texts(count)]


def questions(count: int) -> list[tuple[str, str]]:
    """A question of a dozen characters, and a context of log-normal length (mean about 410, as CMRC2018 has)."""
    generator = np.random.default_rng(3)
    lengths = np.clip(np.exp(generator.normal(5.9, 0.45, count)), 60, 900).astype(int)
    return [("".join(generator.choice(CHARACTERS, 12)), "".join(generator.choice(CHARACTERS, n))) for n in lengths]


def classification(module: TorchModule, folder: Path, rows: Sequence[Any], **options: Any) -> Work:  # noqa: ARG001
    module.network.config.id2label = dict(enumerate(module.labels))
    pipeline = TextClassificationPipeline(
        model=module.network, tokenizer=module.tokenizer.to_transformers(), device="cpu"
    )
    return lambda: pipeline(list(rows), batch_size=BATCH, **options)


def several_labels(module: TorchModule, folder: Path, rows: Sequence[Any]) -> Work:
    return classification(module, folder, rows, top_k=None, function_to_apply="sigmoid")


def numbers(module: TorchModule, folder: Path, rows: Sequence[Any]) -> Work:
    return classification(module, folder, rows, function_to_apply="none")


def fill_mask(module: TorchModule, folder: Path, rows: Sequence[Any]) -> Work:  # noqa: ARG001
    pipeline = FillMaskPipeline(model=module.network, tokenizer=module.tokenizer.to_transformers(), device="cpu")
    return lambda: pipeline(list(rows), batch_size=BATCH)


def cross_encoder(module: TorchModule, folder: Path, rows: Sequence[Any]) -> Work:
    module.network.save_pretrained(folder)
    module.tokenizer.to_transformers().save_pretrained(folder)
    peer = CrossEncoder(str(folder), device="cpu", max_length=128)
    return lambda: peer.predict(list(rows), batch_size=BATCH, show_progress_bar=False)


def sentence_encoder(module: TorchModule, folder: Path, rows: Sequence[Any]) -> Work:
    module.save(folder)
    peer = SentenceTransformer(str(folder), device="cpu")
    texts = [text for row in rows for text in ((row,) if isinstance(row, str) else row)]
    return lambda: peer.encode(texts, batch_size=BATCH, show_progress_bar=False)


def pair_encoder(module: TorchModule, folder: Path, rows: Sequence[Any]) -> Work:
    """The vectors of both texts alone: what is made of them costs the peer nothing here."""
    vectors = TorchModule(
        module.spec, module.family, module.network, module.tokenizer, hub.plugins.catalog().get("task", "embedding")(())
    )
    return sentence_encoder(vectors, folder, rows)


def example_of_answering(module: TorchModule, folder: Path, rows: Sequence[Any]) -> Work:  # noqa: ARG001
    """Windows padded to `MAX_LENGTH`, and the best of the 20 likeliest starts with the 20 likeliest ends."""
    tokenizer = module.tokenizer.to_transformers()
    asked, contexts = [row[0] for row in rows], [row[1] for row in rows]

    def work() -> list[str]:
        windows = tokenizer(
            asked,
            contexts,
            truncation="only_second",
            max_length=MAX_LENGTH,
            stride=STRIDE,
            return_overflowing_tokens=True,
            return_offsets_mapping=True,
            padding="max_length",
            return_tensors="pt",
        )
        inputs = {name: windows[name] for name in tokenizer.model_input_names}
        logits: list[tuple[Any, Any]] = []
        with torch.inference_mode():
            for start in range(0, len(windows["input_ids"]), BATCH):
                out = module.network(**{name: rows[start : start + BATCH] for name, rows in inputs.items()})
                logits += zip(out.start_logits.numpy(), out.end_logits.numpy(), strict=True)
        best = [(float("-inf"), "")] * len(rows)
        for number, (starts, ends) in enumerate(logits):
            row = int(windows["overflow_to_sample_mapping"][number])
            offsets, parts = windows["offset_mapping"][number].tolist(), windows.sequence_ids(number)
            for first in np.argsort(starts)[-1 : -N_BEST - 1 : -1].tolist():
                for last in np.argsort(ends)[-1 : -N_BEST - 1 : -1].tolist():
                    inside = parts[first] == 1 and parts[last] == 1
                    if inside and first <= last < first + LONGEST and starts[first] + ends[last] > best[row][0]:
                        text = contexts[row][offsets[first][0] : offsets[last][1]]
                        best[row] = (float(starts[first] + ends[last]), text)
        return [text for _, text in best]

    return work


CASES = {
    "multi-label": Case(
        "seq-cls", make_texts, several_labels, "pipeline", {"problem": "multi-label"}, ("a", "b", "c", "d")
    ),
    "regression": Case("seq-cls", make_texts, numbers, "pipeline", {"problem": "regression"}, ("score",)),
    "text-matching, cross": Case("text-matching", pairs, cross_encoder, "CrossEncoder", {"form": "cross"}, ("a", "b")),
    "text-matching, vectors": Case("text-matching", pairs, pair_encoder, "SentenceTransformer", {}, ("a", "b")),
    "embedding": Case("embedding", make_texts, sentence_encoder, "SentenceTransformer"),
    "masked-lm": Case("masked-lm", with_places, fill_mask, "pipeline"),
    "question-answering": Case("question-answering", questions, example_of_answering, "its example"),
}


def measured(name: str, case: Case, folder: Path, *, layers: int, count: int, rounds: int) -> list[str]:
    """A row for the table: how many rows per second, and how many times as many as the peer's."""
    module = make_module(layers, case.task, folder, labels=case.labels, task_options=case.options)
    rows = case.rows(count)
    ways = [
        Contender("peer", case.peer(module, folder / "peer", rows)),
        Contender("torch", lambda: module.predict(rows, dtype="float32")),
    ]
    export_module(module, folder / "onnx")
    graph = hub.Module(directory=folder / "onnx")
    ways.append(Contender("onnx", lambda: graph.predict(rows)))
    seconds = best_seconds(ways, rounds=rounds)
    peer, ours, theirs = seconds["peer"], seconds["torch"], seconds["onnx"]
    rates = [f"{count / took:.1f}" for took in (peer, ours, theirs)]
    return [name, f"{case.peer_name}: {rates[0]}", *rates[1:], f"{peer / ours:.2f}", f"{peer / theirs:.2f}"]


def heads(folder: Path, *, layers: int, count: int, rounds: int) -> list[list[str]]:
    """Entities and a label of every text: one module with both heads, each head alone, one module after the other."""
    entities = make_module(layers, "token-cls", folder)
    mood = make_module(layers, "seq-cls", folder)
    mood.network.load_state_dict(entities.network.bert.state_dict(prefix="bert."), strict=False)
    both, texts = combine({"entities": entities, "mood": mood}), make_texts(count)
    ways = [
        Contender("entities alone", lambda: entities.predict(texts, dtype="float32")),
        Contender("labels alone", lambda: mood.predict(texts, dtype="float32")),
        Contender(
            "one module after the other",
            lambda: (entities.predict(texts, dtype="float32"), mood.predict(texts, dtype="float32")),
        ),
        Contender("both heads in one pass", lambda: both.predict(texts, dtype="float32")),
    ]
    seconds = best_seconds(ways, rounds=rounds)
    one = seconds["entities alone"]
    return [[name, f"{count / took:.1f}", f"{took / one:.2f}"] for name, took in seconds.items()]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--layers", type=int, default=3)
    parser.add_argument("--texts", type=int, default=256, help="rows per task; of questions a quarter")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", nargs="*", choices=[*CASES, "heads"], default=[*CASES, "heads"])
    options = parser.parse_args()
    warnings.filterwarnings("ignore")
    logging.disable(logging.WARNING)
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    table = []
    for name, case in CASES.items():
        if name in options.only:
            count = options.texts // 4 if case.task == "question-answering" else options.texts
            with tempfile.TemporaryDirectory() as scratch:
                sizes = {"layers": options.layers, "count": count, "rounds": options.rounds}
                table.append(measured(name, case, Path(scratch), **sizes))
    if table:
        columns = ("task", "peer, rows/s", "hub torch", "hub onnx", "x torch", "x onnx")
        print_table(f"Every task beside its peer, {options.layers} layers", columns, table)
    if "heads" in options.only:
        with tempfile.TemporaryDirectory() as scratch:
            rows = heads(Path(scratch), layers=options.layers, count=options.texts, rounds=options.rounds)
        print_table("Two heads on one encoder", ("", "texts/s", "x time of entities alone"), rows)


if __name__ == "__main__":
    main()
