"""Small networks beside large ones, on the same texts: what a size costs, with random weights.

    python -m benchmarks.sizes --texts $HUB_DATA_HOME/chnsenticorp/dev.tsv

`--texts` is a table with a column ``text_a``, or a text per line; vocabularies are counted in it. ERNIE reads
characters, ERNIE-Tiny words (here jieba's, which its sub-words nearly are), and so fewer tokens. Everything answers
seq-cls in float32 on the CPU, with torch where nothing else is said; segmenting into words is part of the time.
"""

from __future__ import annotations

import argparse
import json
import logging
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

import hub_core as hub
from benchmarks.measure import Contender, best_seconds, print_table
from hub_core.data.texts import read_texts
from hub_core.scratch import new_module
from hub_core.tasks.seq_cls import SeqCls
from hub_core.text.tokenizer import Tokenizer
from hub_core.text.words import build_char_vocabulary, build_word_vocabulary
from hub_core.torch_module import TorchModule

MODULES = Path(__file__).resolve().parents[1] / "modules"
LARGE = {"num_hidden_layers": 24, "hidden_size": 1024, "num_attention_heads": 16, "intermediate_size": 4096}
TINY = {"num_hidden_layers": 2, "hidden_size": 128, "num_attention_heads": 2, "intermediate_size": 512}


def random_module(family: str, config: Mapping[str, Any], tokenizer: Tokenizer) -> TorchModule:
    """A network with two labels that was never trained."""
    torch.manual_seed(0)
    return new_module(
        family=family, config=config, tokenizer=tokenizer, task="seq-cls", label_map=["a", "b"], name="size"
    )


def manifest_config(name: str) -> dict[str, Any]:
    """The configuration of a registered module."""
    record: dict[str, Any] = json.loads((MODULES / name / "module.json").read_text(encoding="utf-8"))["config"]
    return record


def make_modules(texts: list[str]) -> dict[str, TorchModule]:
    """The networks, largest first, by what the table calls them."""
    characters = build_char_vocabulary(texts, min_count=1)
    words = build_word_vocabulary(texts, min_count=1)
    return {
        "24 layers of 1,024": random_module("bert", {"vocab_size": 21128, **LARGE}, characters),
        "ERNIE 1.0 (12 of 768)": random_module("ernie", manifest_config("ernie"), characters),
        "ERNIE-Tiny (3 of 1,024)": random_module("ernie", manifest_config("ernie_tiny"), words),
        "rbt3 (3 of 768)": random_module("bert", manifest_config("rbt3"), characters),
        "2 layers of 128": random_module("bert", {"vocab_size": 21128, **TINY}, characters),
        "Bi-LSTM (bilstm-sentiment-zh)": hub.Module("bilstm-sentiment-zh", engine="torch"),
    }


def table_row(module: TorchModule, name: str, texts: list[str], took: float, peers: list[float]) -> list[str]:
    """Size, tokens a text, texts per second, and how many times as fast as the peers."""
    task = module.known_task()
    tokens = sum(task.encode(task.example(text), module.tokenizer, 128)[0].length for text in texts)
    size = sum(p.numel() for p in module.parameters()) / 1e6
    ratios = [f"{peer / took:.1f}" for peer in peers]
    return [name, f"{size:.1f}", f"{tokens / len(texts):.0f}", f"{len(texts) / took:.1f}", *ratios]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--texts", type=Path, required=True)
    parser.add_argument("--count", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=2)
    options = parser.parse_args()
    warnings.filterwarnings("ignore")
    logging.disable(logging.WARNING)
    texts = [row.text for row in read_texts(options.texts, task=SeqCls(("a", "b")))[: options.count]]
    modules = make_modules(texts)
    ways = [
        Contender(name, lambda module=module: module.predict(texts, dtype="float32", max_seq_len=128))
        for name, module in modules.items()
    ]
    lstm, graph = "Bi-LSTM (bilstm-sentiment-zh)", hub.Module("bilstm-sentiment-zh", engine="onnx")
    ways.append(Contender(f"{lstm}, onnx", lambda: graph.predict(texts, max_seq_len=128)))
    modules[f"{lstm}, onnx"] = modules[lstm]
    seconds = best_seconds(ways, rounds=options.rounds)
    peers = [seconds["ERNIE 1.0 (12 of 768)"], seconds["24 layers of 1,024"]]
    rows = [table_row(module, name, texts, seconds[name], peers) for name, module in modules.items()]
    columns = ("", "million parameters", "tokens a text", "texts/s", "x ERNIE 1.0", "x 24 layers")
    print_table(f"Sizes, {len(texts)} texts of at most 128 tokens", columns, rows)


if __name__ == "__main__":
    main()
