"""Sharded training: every process holds its share of weights, gradients and optimizer state (torch's `fully_shard`)."""

from __future__ import annotations

import copy
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor

from hub_core.errors import SettingsError
from hub_core.torch_module import TorchModule
from hub_core.train.processes import Processes
from hub_core.train.shares import whole


class Sharded:
    """A sharded copy of a module, which is trained in its stead.

    The module itself stays whole in the processor's memory, where evaluation and saving find it: `gather` brings the
    copy's weights there. The optimizer trains the copy until `release`.
    """

    def __init__(self, model: TorchModule, optimizer: torch.optim.Optimizer, processes: Processes) -> None:
        blocks = model.family.blocks(model.network)
        if not blocks:
            raise SettingsError(
                f"sharding='full' is for networks of repeated layers; {model.spec.title} (family {model.spec.family}) "
                "has none, and is small enough for every process: train it without"
            )
        processes.copy_from_first([*model.parameters(), *model.buffers()])
        self.module: Any = copy.deepcopy(model)
        mesh = init_device_mesh(processes.device.type, (processes.count,))
        network = self.module.network
        for part in [*model.family.blocks(network), network]:
            fully_shard(part, mesh=mesh)
        self._model, self._optimizer = model, optimizer
        self._whole = dict(model.named_parameters())
        self._shards = dict(self.module.named_parameters())
        _rebind(optimizer, self._whole, self._shards, shard)
        model.cpu()

    def exchange(self, wanted: bool) -> None:
        """Whether backward passes from now on exchange gradients, or keep them for a later one that does."""
        network: FSDPModule = self.module.network
        network.set_requires_gradient_sync(wanted)

    @torch.no_grad()
    def gather(self) -> None:
        """Copy the trained weights into the whole module. All processes must call this together."""
        self._model.cpu()
        for (_, target), (_, source) in zip(_tensors(self._model), _tensors(self.module), strict=True):
            target.copy_(whole(source))

    def release(self, *, keep_state: bool) -> None:
        """Let the optimizer train the whole module again; `keep_state` brings its state along (all must call then)."""
        if not keep_state:
            self._optimizer.state.clear()
        _rebind(self._optimizer, self._shards, self._whole, lambda value, target: whole(value).to(target.device))


def shard(value: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """A whole tensor as this process's share of it, cut as `target` is."""
    if not isinstance(target, DTensor) or isinstance(value, DTensor) or value.shape != target.shape:
        return value
    return distribute_tensor(value.to(target.device), target.device_mesh, target.placements)


def _tensors(module: nn.Module) -> Sequence[tuple[str, torch.Tensor]]:
    return [*module.named_parameters(), *module.named_buffers()]


def _rebind(
    optimizer: torch.optim.Optimizer,
    old: Mapping[str, nn.Parameter],
    new: Mapping[str, nn.Parameter],
    convert: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
) -> None:
    """Let an optimizer train other tensors of the same names, with its state converted to them."""
    replaced: dict[torch.Tensor, nn.Parameter] = {parameter: new[name] for name, parameter in old.items()}
    for group in optimizer.param_groups:
        group["params"] = [replaced.get(parameter, parameter) for parameter in group["params"]]
    states: defaultdict[Any, Any] = defaultdict(dict)
    for parameter, state in optimizer.state.items():
        target = replaced.get(parameter, parameter)
        states[target] = {
            name: convert(value, target) if isinstance(value, torch.Tensor) else value for name, value in state.items()
        }
    optimizer.state = states
