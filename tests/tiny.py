"""Small random modules: every architecture in two layers, a vocabulary of a hundred characters, built in no time."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from hub_core.nn.families import family_of
from hub_core.plugins import catalog
from hub_core.spec import ModuleSpec
from hub_core.text.tokenizer import Tokenizer
from hub_core.torch_module import TorchModule

CHARACTERS = "的一是不了在人有我他这个们中来上大为和国地到以说时要就出会可也你对生能而子那得于着下自之年过发后作里用道行所然家种事成方多经么去法学如都同现当没动面起看定天分还进好小部其些主样理心她本前开但因只从想实新华社北京月日电务院副总李岚清今海见美商芭拉弗兰克林"
VOCABULARY = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *dict.fromkeys(CHARACTERS), *"0123456789abc,。"]
LABELS = ("B-PER", "I-PER", "B-ORG", "I-ORG", "B-LOC", "I-LOC", "O")

#: What replaces a manifest's numbers to make it small; keys that an architecture does not have are left out.
SMALL: Mapping[str, Any] = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "embedding_size": 16,
    "max_position_embeddings": 64,
}


def write_vocabulary(folder: Path) -> Path:
    """A vocab.txt of about 150 tokens."""
    path = folder / "vocab.txt"
    path.write_text("\n".join(VOCABULARY) + "\n", encoding="utf-8")
    return path


def small_config(config: Mapping[str, Any], vocab_size: int) -> dict[str, Any]:
    """A manifest's config with small numbers."""
    changed = {key: value for key, value in SMALL.items() if key in config}
    return {**config, **changed, "vocab_size": vocab_size}


def tiny_module(
    tmp_path: Path,
    *,
    family: str = "bert",
    task: str | None = "token-cls",
    labels: Sequence[str] = LABELS,
    seed: int = 0,
    **config: Any,
) -> TorchModule:
    """A random module of a family of `transformers` (or ``bilstm``), with the vocabulary of this file."""
    tokenizer = tiny_tokenizer(tmp_path, "char" if family == "bilstm" else "wordpiece")
    sizes = (
        {"embedding_size": 16, "hidden_size": 12, "crf": True}
        if family == "bilstm"
        else {**SMALL, "layer_norm_eps": 1e-12}
    )
    if family not in ("electra", "albert", "bilstm"):
        sizes.pop("embedding_size")
    full = {"vocab_size": len(tokenizer.get_vocab()), **sizes, **config}
    builder = family_of(family, catalog())
    torch.manual_seed(seed)
    network = builder.build(full, task=task, labels=labels if task else ())
    spec = ModuleSpec("tiny", "1.0.0", family, full, {"type": tokenizer.type}, supports=tuple(builder.supports))
    return TorchModule(spec, builder, network, tokenizer, catalog().get("task", task)(labels) if task else None)


def tiny_tokenizer(tmp_path: Path, kind: str = "wordpiece") -> Tokenizer:
    """A tokenizer over the vocabulary of this file."""
    folder = tmp_path / f"tokenizer-{kind}"
    folder.mkdir(parents=True, exist_ok=True)
    write_vocabulary(folder)
    tokenizer: Tokenizer = catalog().get("tokenizer", kind).from_folder(folder, {"type": kind, "lowercase": True})
    return tokenizer
