"""Single files: one of a module's, converted at install, and a checkpoint to load."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from hub_core.convert.names import NAME_MAPS
from hub_core.convert.paddle import read_paddle_state
from hub_core.convert.shapes import complete
from hub_core.convert.states import from_paddle, from_transformers, to_torch, without_copies
from hub_core.convert.tensors import is_safetensors, read_safetensors, read_sharded, storable, write_safetensors
from hub_core.convert.tokenizer_files import words_text
from hub_core.convert.torch_pickle import read_torch_bin
from hub_core.errors import CheckpointError, ConvertError, unknown
from hub_core.paths import atomic_file

_KINDS = ("paddle", "torch", "paddle-words")
_INDEX = ".index.json"


def convert_file(
    source: Path, out: Path, *, kind: str, family: str | None = None, config: Mapping[str, Any] | None = None
) -> None:
    """Convert one file to what a module stores, written whole or not at all.

    `kind` is a key of a manifest's sources: ``paddle`` (``.pdparams`` to safetensors), ``torch`` (what `torch.save`
    wrote, or safetensors with older names, or the index of either, to safetensors), ``paddle-words`` (a pickled word
    set to a text file). `family` decides which names weights have. With `config`, the manifest's, sizes that the
    weights and it both tell must agree.

    Raises ConvertError (UnsafePickleError among them) for unknown tensors and whatever else cannot be converted,
    CheckpointError for a file that is missing, truncated or damaged, or an `out` that cannot be written.
    """
    if kind not in _KINDS:
        raise ConvertError(unknown("converter", kind, _KINDS))
    if kind == "paddle" and family is None:
        raise ConvertError(f"{source} cannot be converted without the name of its family, such as 'ernie'")
    content: bytes | dict[str, torch.Tensor]
    if kind == "paddle-words":
        content = words_text(source)
    elif kind == "paddle":
        content = settled(read_paddle(source, family=family or ""), family=family or "", config=config)
    else:
        content = settled(from_transformers(read_tensors(source)), family=family or "", config=config)
    if isinstance(content, dict):
        _check_config(content, family or "", config, where=str(source))
    try:
        with atomic_file(out) as staged:
            if isinstance(content, bytes):
                staged.write_bytes(content)
            else:
                write_safetensors(content, staged)
    except OSError as error:
        raise CheckpointError(f"{out} could not be written: {error.strerror or error}; nothing was changed") from error


def read_foreign_state(path: Path, *, family: str, task: str | None = None) -> dict[str, torch.Tensor]:
    """Read somebody's weights for a network of a known architecture: tensors under `transformers`' names.

    `path` is a ``.pdparams`` file (PaddleNLP's, or the ``best_model/model.pdparams`` that PaddleHub's trainer left), a
    ``.bin`` of torch's, a ``.safetensors``, or the index of a sharded one. `family` is the ``model_type``. `task`
    matters for one of them: the sequence head of ``roberta`` takes the pooler in.

    Raises as `convert_file` does.
    """
    if not path.is_file():
        raise CheckpointError(f"{path} is not a file; give a .pdparams, .bin or .safetensors file")
    if path.suffix == ".pdparams":
        architecture = "RobertaForSequenceClassification" if (family, task) == ("roberta", "seq-cls") else None
        return storable(read_paddle(path, family=family, architecture=architecture))
    return storable(from_transformers(read_tensors(path)))


def read_paddle(path: Path, *, family: str, architecture: str | None = None) -> dict[str, torch.Tensor]:
    """A ``.pdparams`` file under `transformers`' names (see `from_paddle`)."""
    tensors = to_torch(read_paddle_state(path))
    return from_paddle(tensors, family=family, architecture=architecture, where=str(path))


def read_tensors(path: Path) -> dict[str, torch.Tensor]:
    """Tensors of a torch or safetensors file, told apart by their first bytes, or of the files of an index."""
    return read_sharded(path, _read_one) if path.name.endswith(_INDEX) else _read_one(path)


def _read_one(path: Path) -> dict[str, torch.Tensor]:
    try:
        safe = is_safetensors(path)
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error}") from error
    if path.suffix == ".safetensors" or safe:
        return read_safetensors(path)
    return read_torch_bin(path)


def settled(
    tensors: dict[str, torch.Tensor], *, family: str, config: Mapping[str, Any] | None
) -> dict[str, torch.Tensor]:
    """Tensors ready to be stored; an output matrix that repeats the words is left out where it is tied to them."""
    tied = (config or {}).get("tie_word_embeddings", True)
    return storable(without_copies(tensors, family=family) if tied else tensors)


def _check_config(
    tensors: Mapping[str, torch.Tensor], family: str, config: Mapping[str, Any] | None, *, where: str
) -> None:
    """Raise ConvertError where a manifest's numbers are not those of the weights."""
    if config is None or family not in NAME_MAPS:
        return
    found = complete(config, tensors, family=family, where=where)
    if bool(config.get("use_task_id")) != bool(found.get("use_task_id")):
        has = "has" if found.get("use_task_id") else "has no"
        raise ConvertError(
            f"{where} {has} embeddings of task types, and its configuration says use_task_id: "
            f"{bool(config.get('use_task_id'))}"
        )
