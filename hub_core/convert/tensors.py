"""Tensors in files: safetensors read and written, weights in several files, and what makes tensors fit to store."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from hub_core.errors import CheckpointError, ConvertError
from hub_core.safetensors_header import check_safetensors
from hub_core.spec import safe_relative

#: Entries may share memory (tied weights), but not so that a small file fills the memory.
_MOST_SHARING = 4


def read_safetensors(path: Path) -> dict[str, torch.Tensor]:
    """Read a safetensors file into CPU tensors with the dtypes of the file.

    Raises CheckpointError, naming the file, where it is missing, truncated, damaged, or names a tensor twice.
    """
    try:
        check_safetensors(path)
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path} is missing or damaged and cannot be read: {error}; fetch it again") from error


def is_safetensors(path: Path) -> bool:
    """Whether a file begins as a safetensors file does: the length of a header that fits, and a brace."""
    with path.open("rb") as file:
        start = file.read(9)
    return start[8:] == b"{" and 8 + int.from_bytes(start[:8], "little") <= path.stat().st_size


def write_safetensors(tensors: Mapping[str, torch.Tensor], path: Path) -> None:
    """Write tensors (as `storable` returns them) with the metadata that `transformers` asks for.

    Raises CheckpointError, with the system's error as cause, where the file cannot be written.
    """
    try:
        save_file(dict(tensors), path, metadata={"format": "pt"})
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path} cannot be written: {error}") from error


def read_sharded(index: Path, read: Callable[[Path], dict[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
    """Read weights that are split over files, as an ``....index.json`` beside them says; `read` reads one file.

    Raises CheckpointError for an index that is damaged, leads out of its folder, or does not match its files.
    """
    places = _weight_map(index)
    tensors: dict[str, torch.Tensor] = {}
    for shard in sorted(set(places.values())):
        path = index.parent / shard
        if not path.is_file():
            raise CheckpointError(f"{index} names {shard}, which is not beside it; fetch it too")
        for name, tensor in read(path).items():
            if places.get(name) == shard:
                tensors[name] = tensor
    missing = sorted(places.keys() - tensors.keys())
    if missing:
        raise CheckpointError(f"{index} names tensors that its files do not have: {listed(missing)}")
    return tensors


def check_memory(path: Path, tensors: Mapping[str, torch.Tensor], size: int) -> None:
    """Refuse what would grow when written: a tensor of more elements than its memory holds, or much shared memory.

    `size` is that of the file or files in bytes. Raises CheckpointError naming the tensor.
    """
    for name, tensor in tensors.items():
        if tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes():
            raise CheckpointError(f"{path}: tensor {name} has more elements {tuple(tensor.shape)} than bytes behind it")
    if sum(tensor.numel() * tensor.element_size() for tensor in tensors.values()) > _MOST_SHARING * size:
        raise CheckpointError(f"{path} names many times more tensors than it has bytes for; it is not used")


def storable(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Tensors as they are stored: on the CPU, contiguous, each with memory of its own, float64 as float32.

    Other number types are kept, half precision too. The order of names is kept.
    """
    stored: dict[str, torch.Tensor] = {}
    seen: set[int] = set()
    for name, tensor in tensors.items():
        plain = tensor.detach().cpu()
        plain = (plain.float() if plain.dtype == torch.float64 else plain).contiguous()
        place = plain.untyped_storage().data_ptr()
        stored[name] = plain.clone() if place in seen else plain
        seen.add(place)
    return stored


def listed(names: Iterable[str], limit: int = 12) -> str:
    """Names for a message: the first `limit`, and how many more there are."""
    every = list(names)
    more = f" and {len(every) - limit} more" if len(every) > limit else ""
    return ", ".join(name[:120] for name in every[:limit]) + more


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object. Raises ConvertError, with the line, where the file is not one."""
    try:
        record = json.loads(path.read_text(encoding="utf-8"), parse_constant=_no_number)
    except json.JSONDecodeError as error:
        raise ConvertError(f"{path}:{error.lineno}: {error.msg}") from error
    except (OSError, ValueError, RecursionError) as error:
        raise ConvertError(f"{path} cannot be read as JSON: {error}") from error
    if not isinstance(record, dict):
        raise ConvertError(f"{path} must hold a JSON object, not a {type(record).__name__}")
    return record


def _no_number(constant: str) -> float:
    raise ValueError(f"{constant} is no number")


def _weight_map(index: Path) -> dict[str, str]:
    places = read_json(index).get("weight_map")
    if not isinstance(places, dict) or not places:
        raise CheckpointError(f"{index} is damaged: it has no weight_map")
    for name, shard in places.items():
        if not isinstance(shard, str) or not safe_relative(shard):
            raise CheckpointError(f"{index}: {name[:120]} is in {shard!r}, which is no file beside the index")
    return places
