"""What the names and shapes of a state dict tell about its network."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

import torch

from hub_core.errors import ConvertError


def complete(
    config: Mapping[str, Any], tensors: Mapping[str, torch.Tensor], *, family: str, where: str
) -> dict[str, Any]:
    """Add the sizes that only the tensors tell, and check those that both tell.

    ERNIE's task types are used if and only if the file has their embeddings: PaddleNLP 2.5 states them as used for
    models that have none.

    Raises ConvertError naming each number that differs; `where` names the weights.
    """
    sizes = _sizes(tensors, family)
    wrong = [
        f"{key} {config[key]!r} (the tensors: {sizes[key]})"
        for key in sizes.keys() & config.keys() - _BY_TENSOR
        if config[key] != sizes[key]
    ]
    heads = config.get("num_attention_heads", 1)
    if not isinstance(heads, int) or heads < 1 or sizes.get("hidden_size", heads) % heads:
        wrong.append(f"num_attention_heads {heads!r}, which does not divide the hidden size {sizes.get('hidden_size')}")
    if wrong:
        raise ConvertError(f"{where} does not go with its configuration, which says: {'; '.join(sorted(wrong))}")
    without_tasks = {key: value for key, value in config.items() if key not in _BY_TENSOR}
    return {**without_tasks, **sizes}


def guess_architecture(family: str, tensors: Iterable[str]) -> str | None:
    """The class by the heads of pre-training, where a configuration names none; None where the head has to be named."""
    names = set(tensors)
    stem = family.capitalize()
    if any(name.startswith(("classifier.", "qa_outputs.")) for name in names):
        return None
    if any(
        name.startswith(("cls.seq_relationship.", "sop_classifier.", "discriminator_predictions.")) for name in names
    ):
        return f"{stem}ForPreTraining"
    if any(name.startswith(("cls.", "lm_head.", "predictions.", "generator_")) for name in names):
        return f"{stem}ForMaskedLM"
    return f"{stem}Model"


#: Stated by the tensors alone, whatever a configuration says.
_BY_TENSOR = frozenset({"use_task_id", "task_type_vocab_size"})


def _sizes(tensors: Mapping[str, torch.Tensor], family: str) -> dict[str, Any]:
    """The numbers that the shapes tell, by the configuration's keys."""
    shapes = {name.removeprefix(f"{family}."): tuple(tensor.shape) for name, tensor in tensors.items()}

    def rows(name: str, axis: int = 0) -> int | None:
        shape = shapes.get(f"{name}.weight", ())
        return shape[axis] if len(shape) == 2 else None

    layer = "encoder.albert_layer_groups.0.albert_layers.0" if family == "albert" else "encoder.layer.0"
    attention = f"{layer}.attention." + ("query" if family == "albert" else "self.query")
    sizes = {
        "vocab_size": rows("embeddings.word_embeddings"),
        "max_position_embeddings": rows("embeddings.position_embeddings"),
        "type_vocab_size": rows("embeddings.token_type_embeddings"),
        "hidden_size": rows(attention),
        "intermediate_size": rows(f"{layer}.ffn" if family == "albert" else f"{layer}.intermediate.dense"),
    }
    if family in ("electra", "albert"):
        sizes["embedding_size"] = rows("embeddings.word_embeddings", axis=1)
    if family == "albert":
        sizes["num_hidden_groups"] = _count(shapes, r"encoder\.albert_layer_groups\.(\d+)\.")
        sizes["inner_group_num"] = _count(shapes, r"encoder\.albert_layer_groups\.0\.albert_layers\.(\d+)\.")
    else:
        sizes["num_hidden_layers"] = _count(shapes, r"encoder\.layer\.(\d+)\.")
    tasks = rows("embeddings.task_type_embeddings")
    if family == "ernie" and tasks is not None:
        sizes |= {"use_task_id": True, "task_type_vocab_size": tasks}
    return {key: size for key, size in sizes.items() if size is not None}


def _count(names: Iterable[str], pattern: str) -> int | None:
    found = [int(match[1]) for match in (re.match(pattern, name) for name in names) if match]
    return max(found) + 1 if found else None
