"""``pytorch_model.bin``: what `torch.save` wrote, read with `torch.load`'s own safe reader and nothing else."""

from __future__ import annotations

import pickle
import pickletools
import re
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from hub_core.convert.tensors import check_memory, listed
from hub_core.errors import CheckpointError, ConvertError, UnsafePickleError

_PICKLE_CODES = frozenset(opcode.code for opcode in pickletools.opcodes)
_OPCODE = re.compile(r"Unsupported operand (\d+)")
_GLOBAL = re.compile(r"GLOBAL (\S+)|unrecognized (?:function|class) (.+)")


def read_torch_bin(path: Path) -> dict[str, torch.Tensor]:
    """Read a state dict that `torch.save` wrote, into CPU tensors; ``weights_only=True``, with no fallback.

    Entries whose value is no tensor (an epoch, a configuration) are left out; what stands inside a nested dict
    (``{"model": {...}}``) is not looked for.

    Raises UnsafePickleError for a file that refers to anything else than tensors and plain containers (nothing is
    executed), CheckpointError for one that is missing, truncated or damaged, ConvertError for one without dense
    tensors at its top level.
    """
    record = _load(path)
    if not isinstance(record, Mapping):
        raise ConvertError(f"{path} holds a {type(record).__name__}, not a state dict (names with tensors)")
    tensors = {name: value for name, value in record.items() if isinstance(name, str) and torch.is_tensor(value)}
    if not tensors:
        found = listed(f"{name} ({type(value).__name__})" for name, value in record.items()) or "nothing"
        raise ConvertError(f"{path} has no tensors at its top level; found: {found}. Save the state dict itself")
    odd = [name for name, tensor in tensors.items() if not _is_plain(tensor)]
    if odd:
        raise ConvertError(f"{path} has tensors that are not dense numbers (quantised, sparse): {listed(odd)}")
    check_memory(path, tensors, path.stat().st_size)
    return {name: tensor.detach() for name, tensor in tensors.items()}


def _load(path: Path) -> Any:
    try:
        _check_archive(path)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Detected pickle protocol")  # read all the same
            warnings.filterwarnings("ignore", message=".*TypedStorage is deprecated")
            warnings.filterwarnings("ignore", message=".*looks like a TorchScript archive")  # refused just below
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise _refusal(path, str(error)) from error
    except CheckpointError:
        raise
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error}") from error
    except Exception as error:  # bytes that are no checkpoint end in whatever their reader meets first
        first_line = (str(error) or type(error).__name__).splitlines()[0]
        raise CheckpointError(f"{path} is damaged, truncated, or no file of torch.save: {first_line[:200]}") from error


def _check_archive(path: Path) -> None:
    """Refuse a zip whose parts would unpack to more than the file: `torch.save` does not compress."""
    with path.open("rb") as file:
        if file.read(4) != b"PK\x03\x04":
            return  # the format before torch 1.6 is no zip
    with zipfile.ZipFile(path) as archive:
        unpacked = sum(part.file_size for part in archive.infolist())
    if unpacked > path.stat().st_size:
        raise CheckpointError(f"{path} unpacks to {unpacked} bytes, more than its size; torch.save does not compress")


def _refusal(path: Path, message: str) -> UnsafePickleError | CheckpointError:
    """torch's message, without its advice to switch the protection off."""
    opcode = _OPCODE.search(message)
    if opcode and chr(int(opcode[1])) not in _PICKLE_CODES:
        return CheckpointError(f"{path} is damaged or no file of torch.save: it does not begin as a pickle does")
    named = _GLOBAL.search(message)
    what = (named[1] or named[2]).rstrip(".") if named else "what tensors do not need"
    return UnsafePickleError(
        f"{path} is a pickle with something else than tensors and plain containers: {what}. "
        "Nothing was executed. Fetch the weights as safetensors, or from a source you trust"
    )


def _is_plain(tensor: torch.Tensor) -> bool:
    return (
        tensor.layout == torch.strided
        and tensor.device.type == "cpu"
        and not tensor.is_quantized
        and not tensor.is_complex()
    )
