"""Small module folders on disk, made without torch."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

from hub_core.spec import ModuleSpec, parse_manifest

VOCABULARY = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n中\n文\n".encode()
CONFIG = {"vocab_size": 7, "hidden_size": 4, "num_hidden_layers": 1, "num_attention_heads": 1}


def safetensors(fill: int = 0, *, size: int = 16) -> bytes:
    """A safetensors file with one float32 tensor of `size` values."""
    header = json.dumps({"weight": {"dtype": "F32", "shape": [size], "data_offsets": [0, 4 * size]}}).encode()
    return struct.pack("<Q", len(header)) + header + bytes([fill]) * 4 * size


def manifest(name: str = "small", version: str = "1.0", **changes: Any) -> dict[str, Any]:
    """A valid manifest as data."""
    return {
        "name": name,
        "version": version,
        "family": "bert",
        "config": CONFIG,
        "tokenizer": {"type": "wordpiece"},
        "supports": ["seq-cls", "token-cls"],
        **changes,
    }


def spec(name: str = "small", version: str = "1.0", **changes: Any) -> ModuleSpec:
    """A valid spec."""
    return parse_manifest(manifest(name, version, **changes))


def module_folder(folder: Path, name: str = "small", version: str = "1.0", *, fill: int = 0, **changes: Any) -> Path:
    """A folder that can be installed."""
    folder.mkdir(parents=True)
    (folder / "module.json").write_text(json.dumps(manifest(name, version, **changes)), encoding="utf-8")
    (folder / "model.safetensors").write_bytes(safetensors(fill))
    (folder / "vocab.txt").write_bytes(VOCABULARY)
    (folder / "README.md").write_text(f"# {name}\n", encoding="utf-8")
    return folder
