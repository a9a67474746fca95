"""State dicts brought to `transformers`' names and layout."""

from __future__ import annotations

import re
from collections.abc import Mapping, MutableMapping

import torch

from hub_core.convert.names import NAME_MAPS, NameMap, Turn, structured_name
from hub_core.convert.paddle import PaddleState
from hub_core.convert.tensors import listed
from hub_core.errors import ConvertError, unknown

#: Positions and token types were buffers of the embeddings once; they count up from 0 and are made anew on loading.
_BUFFERS = ("embeddings.position_ids", "embeddings.token_type_ids")
_NUMBER = re.compile(r"(?<=\.)\d{1,4}(?=\.)")
#: The first TensorFlow conversions named a layer norm's parts so; `transformers` still renames them.
_OLD_NORM = {"LayerNorm.gamma": "LayerNorm.weight", "LayerNorm.beta": "LayerNorm.bias"}


def to_torch(state: PaddleState) -> dict[str, torch.Tensor]:
    """Arrays as tensors, one after the other, so that the memory of each is free before the next is copied.

    Where the file's own table gives a tensor's static-graph name and that is one of ERNIE's, it is taken by it (the
    first of those that share it: tied tensors keep their own names).
    """
    tensors: dict[str, torch.Tensor] = {}
    for name in list(state.arrays):
        static = state.parameter_names.get(name, "")
        array = state.arrays.pop(name)
        known = structured_name(static) is not None and static not in tensors
        tensors[static if known else name] = torch.from_numpy(array.copy())
    return tensors


def from_paddle(
    tensors: MutableMapping[str, torch.Tensor], *, family: str, architecture: str | None = None, where: str
) -> dict[str, torch.Tensor]:
    """Rename Paddle's tensors to `transformers`' and turn them; `tensors` is emptied on the way.

    `family` is the ``model_type`` whose names are wanted. `architecture` is `transformers`' class, where it is known:
    Paddle's ``classifier`` is ``qa_outputs`` in a ``...ForQuestionAnswering``, and RoBERTa's sequence head takes the
    pooler in. Static-graph names of ERNIE are understood, and the ``model.`` that PaddleHub's fine-tuning puts in
    front. Every known tensor is kept, whatever the task at hand needs; integer position ids are dropped.

    Raises ConvertError naming every tensor that the architecture does not have; `where` names the file.
    """
    names = name_map(family)
    words = next((t for n, t in tensors.items() if _plain(n, names).endswith(names.words)), None)
    encoder: dict[str, torch.Tensor] = {}
    heads: dict[str, torch.Tensor] = {}
    strange: list[str] = []
    prefixed = False
    for name in list(tensors):
        tensor = tensors.pop(name)
        if _is_buffer(name, tensor):
            continue
        plain = _plain(name, names)
        inner = plain.removeprefix(f"{names.prefix}.")
        stem, numbers = _stem(inner)
        table, group = (names.encoder, encoder) if stem in names.encoder else (names.heads, heads)
        if stem not in table or "#" in name:
            strange.append(name)
            continue
        prefixed |= inner != plain
        target, turn = table[stem]
        _insert(group, target.replace("#", "{}").format(*numbers), _turned(name, tensor, turn, words), name)
    if strange:
        raise ConvertError(f"{where} has tensors that {family} does not have: {listed(strange)}")
    if prefixed or heads:
        encoder = {f"{names.prefix}.{name}": tensor for name, tensor in encoder.items()}
    return _with_head(encoder | heads, names, architecture)


def from_transformers(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Tensors with `transformers`' names as it writes them today: old layer-norm names renamed, buffers dropped."""
    renamed: dict[str, torch.Tensor] = {}
    for name, tensor in tensors.items():
        if not _is_buffer(name, tensor):
            ending = next((old for old in _OLD_NORM if name.endswith(old)), "")
            _insert(renamed, name.removesuffix(ending) + _OLD_NORM.get(ending, ""), tensor, name)
    return renamed


def without_copies(tensors: dict[str, torch.Tensor], *, family: str) -> dict[str, torch.Tensor]:
    """Leave out an output matrix (and its bias) that repeats the word embeddings: `transformers` ties them anyway.

    Where the file's output matrix is one of its own, it and its bias are kept (`is_untied`).
    """
    names = NAME_MAPS.get(family)
    if names is None:
        return tensors
    kept = dict(tensors)
    for copy, original in names.tied.items():
        if copy.endswith(".weight") and copy in kept and original in kept and torch.equal(kept[copy], kept[original]):
            del kept[copy]
    untied = is_untied(kept, family=family)
    for copy, original in names.tied.items():
        if copy.endswith(".bias") and original in kept:
            if untied:
                kept.setdefault(copy, kept[original].clone())
            elif copy in kept and torch.equal(kept[copy], kept[original]):
                del kept[copy]
    return kept


def is_untied(tensors: Mapping[str, torch.Tensor], *, family: str) -> bool:
    """Whether tensors that `without_copies` returned have an output matrix of their own."""
    names = NAME_MAPS.get(family)
    return names is not None and any(copy in tensors for copy in names.tied if copy.endswith(".weight"))


def name_map(family: str) -> NameMap:
    """The names of an architecture. Raises ConvertError, with the known ones, where there is no table."""
    if family not in NAME_MAPS:
        raise ConvertError(unknown("family", family, NAME_MAPS, where="for weights in Paddle's layout"))
    return NAME_MAPS[family]


def _is_buffer(name: str, tensor: torch.Tensor) -> bool:
    return name.endswith(_BUFFERS) and not tensor.is_floating_point()


def _plain(name: str, names: NameMap) -> str:
    """A name as PaddleNLP writes it, with `transformers`' prefix where it has Paddle's."""
    name = name.removeprefix("model.")
    structured = structured_name(name)
    if structured is not None:
        return structured
    for prefix in names.prefixes:
        if name.startswith(f"{prefix}."):
            return f"{names.prefix}.{name.removeprefix(f'{prefix}.')}"
    return name


def _stem(name: str) -> tuple[str, list[str]]:
    """A name with ``#`` for its numbers, and the numbers."""
    return _NUMBER.sub("#", name), [str(int(number)) for number in _NUMBER.findall(name)]


def _turned(name: str, tensor: torch.Tensor, turn: Turn, words: torch.Tensor | None) -> torch.Tensor:
    """A tensor as torch's layers have it."""
    if turn == "keep":
        return tensor
    if tensor.dim() != 2:
        raise ConvertError(f"tensor {name} has shape {tuple(tensor.shape)}, not that of a matrix")
    if turn == "transpose":
        return tensor.t().contiguous()
    if words is None or tensor.shape == words.shape:
        return tensor
    if tensor.shape == words.shape[::-1]:
        return tensor.t().contiguous()
    raise ConvertError(
        f"tensor {name} has shape {tuple(tensor.shape)}, which does not go with word embeddings of shape "
        f"{tuple(words.shape)}"
    )


def _insert(group: dict[str, torch.Tensor], target: str, tensor: torch.Tensor, name: str) -> None:
    """Add a tensor under its new name; a second one of that name must be the same (tied parameters are)."""
    if target in group and not torch.equal(group[target], tensor):
        raise ConvertError(f"tensor {name} is one of two that are both {target}, with different values")
    group[target] = tensor


def _with_head(tensors: dict[str, torch.Tensor], names: NameMap, architecture: str | None) -> dict[str, torch.Tensor]:
    """The classifier under the name that the architecture's class gives it."""
    if architecture is None or "classifier.weight" not in tensors:
        return tensors
    if architecture.endswith("ForQuestionAnswering"):
        return {re.sub(r"^classifier\.", "qa_outputs.", name): tensor for name, tensor in tensors.items()}
    pooler = f"{names.prefix}.pooler.dense"
    if architecture == "RobertaForSequenceClassification" and f"{pooler}.weight" in tensors:
        # Paddle: tanh(pooler) then classifier. transformers has both inside the head, and no pooler: the same function.
        moved = {re.sub(r"^classifier\.", "classifier.out_proj.", name): t for name, t in tensors.items()}
        return moved | {f"classifier.dense.{part}": tensors[f"{pooler}.{part}"].clone() for part in ("weight", "bias")}
    return tensors
