"""Tensors of which every process may hold a share only (torch's DTensor), and what is asked of all shares together.

DTensor is told by its method, not its class: importing torch's sharding takes over a second, which a run of one process
does not pay. Where there are shares, all processes must call these functions together.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch


def is_share(tensor: torch.Tensor) -> bool:
    """Whether a tensor stands for the shares of several processes."""
    return hasattr(tensor, "full_tensor")


def whole(tensor: torch.Tensor) -> torch.Tensor:
    """A tensor with the shares of all processes; one that is whole already as it is."""
    full: torch.Tensor = tensor.full_tensor() if hasattr(tensor, "full_tensor") else tensor
    return full


def whole_state(optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    """An optimizer's state as it would be if every process held all of it."""
    record = optimizer.state_dict()
    states = {
        index: {
            name: whole(value).cpu() if isinstance(value, torch.Tensor) and is_share(value) else value
            for name, value in state.items()
        }
        for index, state in record["state"].items()
    }
    return {**record, "state": states}


def total_norm(gradients: Iterable[torch.Tensor]) -> torch.Tensor:
    """The norm of all gradients together, of which some may be shares of whole ones; 0 where there are none."""
    kinds: dict[bool, list[torch.Tensor]] = {True: [], False: []}
    for gradient in gradients:
        kinds[is_share(gradient)].append(gradient)
    norms = [whole(torch.nn.utils.get_total_norm(kind)) for kind in kinds.values() if kind]
    return torch.linalg.vector_norm(torch.stack(norms)) if norms else torch.zeros(())
