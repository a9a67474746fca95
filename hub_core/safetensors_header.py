"""Whether a file is what its name says: the header of a safetensors file, read without loading a tensor.

The format: 8 bytes with the length of the header (little endian), the header as JSON, the tensors' bytes without
gaps (https://github.com/huggingface/safetensors, "Format"). Checked here is also what its library lets pass: names
that stand twice, and headers so large that reading them takes seconds.
"""

from __future__ import annotations

import json
from math import prod
from pathlib import Path
from typing import Any

from hub_core.errors import CheckpointError

#: The most bytes and tensors that a header may have; encoders have some hundred tensors and 50 KB.
LARGEST_HEADER = 4 << 20
MOST_TENSORS = 20_000

#: Bytes per value of each type that networks here are stored in.
_WIDTHS = {
    **dict.fromkeys(("BOOL", "U8", "I8", "F8_E4M3", "F8_E5M2"), 1),
    **dict.fromkeys(("U16", "I16", "F16", "BF16"), 2),
    **dict.fromkeys(("U32", "I32", "F32"), 4),
    **dict.fromkeys(("U64", "I64", "F64"), 8),
}


def check_safetensors(path: Path) -> tuple[str, ...]:
    """The names of the tensors of a file that is whole. Raises CheckpointError that says what is wrong with it."""
    size = path.stat().st_size
    with path.open("rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        if size < 8 or length > min(size - 8, LARGEST_HEADER):
            raise CheckpointError(f"{path.name} is no safetensors file, or is cut off: it has {size} bytes")
        text = stream.read(length)
    try:
        header = json.loads(text.decode("utf-8"), object_pairs_hook=_unique)
        spans = sorted(_span(name, entry) for name, entry in header.items() if name != "__metadata__")
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
        raise CheckpointError(f"{path.name} has a header that cannot be read: {error}") from error
    if not spans or len(spans) > MOST_TENSORS:
        raise CheckpointError(f"{path.name} has {len(spans)} tensors; 1 to {MOST_TENSORS} are taken")
    end = 0
    for start, stop, name in spans:
        if start != end:
            raise CheckpointError(f"{path.name} is damaged: tensor {name!r} begins at byte {start}, not {end}")
        end = stop
    if end != size - 8 - length:
        raise CheckpointError(f"{path.name} has {size - 8 - length} bytes of tensors where its header says {end}")
    return tuple(name for _, _, name in spans)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    record = dict(pairs)
    if len(record) != len(pairs):
        raise ValueError("a name stands twice")
    return record


def _span(name: str, entry: Any) -> tuple[int, int, str]:
    """Where a tensor's bytes are, after making sure that its type and shape need just as many."""
    start, stop = entry["data_offsets"]
    shape = entry["shape"]
    numbers = (start, stop, *shape)
    if not all(type(number) is int and number >= 0 for number in numbers):
        raise ValueError(f"tensor {name!r} has impossible offsets or a shape of other things than sizes")
    if stop - start != prod(shape) * _WIDTHS[entry["dtype"]]:
        raise ValueError(f"tensor {name!r} of shape {shape} does not fill bytes {start} to {stop}")
    return start, stop, name
