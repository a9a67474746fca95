"""Tensors in files, and tensors in networks: every name accounted for, or an error that names it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping
from pathlib import Path

import torch
from torch import nn

from hub_core.errors import CheckpointError
from hub_core.spec import WEIGHTS

logger = logging.getLogger("hub_core")


def read_weights(path: Path) -> dict[str, torch.Tensor]:
    """Read a safetensors file; floating tensors come as float32.

    Raises CheckpointError where the file is missing, damaged or truncated.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    if not path.is_file():
        raise CheckpointError(f"{path.parent} has no {WEIGHTS}; `hub convert FOLDER OUT` makes one from other formats")
    try:
        tensors = load_file(path)
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path} is damaged and cannot be read: {error}; fetch or save it again") from error
    return {name: t.float() if t.is_floating_point() else t for name, t in tensors.items()}


def write_weights(tensors: Mapping[str, torch.Tensor], path: Path, *, dtype: str = "float32") -> None:
    """Write a safetensors file; floating tensors are stored as `dtype`. Raises OSError where the disk is full."""
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    target = getattr(torch, dtype)
    stored = {
        name: (t.detach().to("cpu", target) if t.is_floating_point() else t.detach().cpu()).contiguous().clone()
        for name, t in tensors.items()
    }
    path.touch()
    mode = path.stat().st_mode  # what the user's umask gives; the library writes files that only the owner can read
    try:
        save_file(stored, path, metadata={"format": "pt"})
    except SafetensorError as error:  # what the operating system refused, as text
        raise OSError(str(error)) from error
    path.chmod(mode)


def distinct_tensors(network: nn.Module) -> dict[str, torch.Tensor]:
    """A network's tensors by name; one of several names (tied weights) comes once, as `transformers` stores it."""
    tensors: dict[str, torch.Tensor] = network.state_dict()
    tied = _tied(network)
    return {
        name: tensor
        for name, tensor in tensors.items()
        if name not in tied or tensors[tied[name]].data_ptr() != tensor.data_ptr()
    }


def load_network(
    network: nn.Module,
    tensors: Mapping[str, torch.Tensor],
    *,
    prefix: str,
    new_head: bool,
    known: Callable[[], set[str]],
    where: str,
) -> None:
    """Put tensors into a network whose encoder is its attribute `prefix` (or which is the bare encoder).

    Files name the encoder's tensors with or without ``prefix.``; both are understood. With `new_head`, what stands
    outside the encoder (and the pooler, where the file has none) is initialised anew. Tensors for other heads of
    the same architecture (`known` names them; asked only when needed) are passed over.

    Raises CheckpointError naming every missing or unknown tensor and every one of another shape.
    """
    wanted = network.state_dict()
    found = _with_tied(network, renamed(tensors, wanted, prefix))
    leftover = found.keys() - wanted.keys()
    fresh = {name for name in wanted if hasattr(network, prefix) and not name.startswith(f"{prefix}.")}
    fresh |= {name for name in wanted.keys() - found.keys() if ".pooler." in f".{name}"}
    if not new_head:
        _refuse_headless(where, found, wanted, fresh)
        fresh = set()
    elif fresh and not hasattr(network, prefix):
        logger.warning("%s has no pooler; the network gets a random one, which pooling='pooler' would read", where)
    passed_over = leftover - set(_unknown(leftover, known, prefix)) if leftover else set()
    used = {name: tensor for name, tensor in found.items() if name not in passed_over | fresh}
    check_fit(where, used, {name: tensor for name, tensor in wanted.items() if name not in fresh})
    network.load_state_dict(used, strict=False)
    if _tied(network):
        network.tie_weights()  # type: ignore[operator]
    _initialise(network, fresh)


def holds_head(network: nn.Module, names: Collection[str]) -> bool:
    """Whether tensors of these names are all that stands outside of a network's encoder."""
    prefix = str(network.base_model_prefix)
    wanted = network.state_dict()
    named = {
        name: wanted[name] for name in wanted if name in renamed(dict.fromkeys(names, torch.empty(0)), wanted, prefix)
    }
    found = _with_tied(network, named)
    return all(name in found for name in wanted if not name.startswith(f"{prefix}."))


def check_fit(where: str, found: Mapping[str, torch.Tensor], wanted: Mapping[str, torch.Tensor]) -> None:
    """Raise CheckpointError where tensors are missing, unknown, or of another shape; it names them all."""
    shapes = [
        f"{name}: {tuple(found[name].shape)} in the file, {tuple(wanted[name].shape)} in the network"
        for name in sorted(found.keys() & wanted.keys())
        if found[name].shape != wanted[name].shape
    ]
    findings = {
        "missing tensors": sorted(wanted.keys() - found.keys()),
        "unknown tensors": sorted(found.keys() - wanted.keys()),
        "other shapes": shapes,
    }
    parts = [
        f"  {title}: {', '.join(names[:8])}" + (f" and {len(names) - 8} more" if len(names) > 8 else "")
        for title, names in findings.items()
        if names
    ]
    if parts:
        raise CheckpointError(f"{where} does not fit the network:\n" + "\n".join(parts))


def _refuse_headless(
    where: str, found: Mapping[str, torch.Tensor], wanted: Mapping[str, torch.Tensor], head: set[str]
) -> None:
    """Raise CheckpointError where a file has the whole encoder, and nothing of the head."""
    if head and not head & found.keys() and wanted.keys() - found.keys() == head:
        raise CheckpointError(
            f"{where} holds an encoder without a head for this task; pass new_head=True to put a fresh one on it"
        )


def _tied(network: nn.Module) -> Mapping[str, str]:
    """Names of tensors that are one with another one, and that one's name, as `transformers` knows them."""
    return getattr(network, "all_tied_weights_keys", None) or {}


def _with_tied(network: nn.Module, found: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The tensors, completed with those that files leave out because another one is the same."""
    pairs = [pair for name, other in _tied(network).items() for pair in ((name, other), (other, name))]
    # Twice: of three that are one (shared, encoder's, decoder's) a file may have an outer one.
    for missing, present in [*pairs, *pairs]:
        if missing not in found and present in found:
            found[missing] = found[present]
    return found


def renamed(
    tensors: Mapping[str, torch.Tensor], wanted: Mapping[str, torch.Tensor], prefix: str
) -> dict[str, torch.Tensor]:
    """The file's tensors under the network's names, as far as the network has them."""
    found = {}
    for name, tensor in tensors.items():
        candidates = (name, f"{prefix}.{name}", name.removeprefix(f"{prefix}."))
        found[next((candidate for candidate in candidates if candidate in wanted), name)] = tensor
    return found


def _unknown(leftover: set[str], known: Callable[[], set[str]], prefix: str) -> list[str]:
    """Those names that no head of the architecture has; position ids are a buffer of older versions."""
    names = known()
    return [
        name
        for name in leftover
        if name not in names and f"{prefix}.{name}" not in names and not name.endswith("embeddings.position_ids")
    ]


def _initialise(network: nn.Module, fresh: set[str]) -> None:
    """Give the tensors in `fresh` the architecture's own initial values."""
    owners = {name.rpartition(".")[0] for name in fresh}
    for owner in sorted(owners):
        network._init_weights(network.get_submodule(owner))  # type: ignore[operator]
