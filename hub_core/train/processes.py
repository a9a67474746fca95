"""The processes that train together, and the device of this one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import torch

from hub_core.errors import DeviceError

if TYPE_CHECKING:
    from torch import nn


def accelerator_on(device: torch.device) -> Any:
    """An `accelerate.Accelerator` that computes on a kind of device. Raises DeviceError where it insists on another.

    accelerate keeps one state per Python process, so that the first Accelerator decides for all later ones.
    A process of its own may change its mind; processes that are connected already may not.
    """
    from accelerate import Accelerator
    from accelerate.state import AcceleratorState, PartialState

    shared = PartialState._shared_state
    settled = shared.get("device")
    if settled is not None and settled.type != device.type:
        if shared.get("num_processes", 1) > 1:
            raise DeviceError(
                f"the processes were connected for {settled.type}, but training is to run on {device.type}; "
                "give every Trainer of the program the same use_gpu"
            )
        AcceleratorState._reset_state(reset_partial_state=True)
    accelerator = Accelerator(cpu=device.type == "cpu")
    if accelerator.device.type != device.type:
        raise DeviceError(
            f"training is to run on {device.type}, but accelerate chose {accelerator.device.type}; "
            "look at the environment variables ACCELERATE_USE_CPU and ACCELERATE_TORCH_DEVICE"
        )
    return accelerator


class Processes:
    """How many processes train together, which one this is, and what they tell each other; alone: nothing."""

    def __init__(self, accelerator: Any) -> None:
        self._accelerator = accelerator
        # Noted here, since accelerate's own answers change with the next Accelerator of the program.
        self.device: torch.device = accelerator.device
        self.count: int = accelerator.num_processes
        self.index: int = accelerator.process_index
        self.is_main: bool = accelerator.is_main_process
        # What Python decides by goes between processors, so that no GPU is waited for.
        self._talk = None
        if self.count > 1 and self.device.type != "cpu":
            self._talk = torch.distributed.new_group(backend="gloo")

    def wrapped(self, module: nn.Module) -> Any:
        """The module as every process calls it: itself, or wrapped so that gradients are exchanged."""
        if self.count == 1 or not any(p.requires_grad for p in module.parameters()):
            return module
        return self._accelerator.prepare_model(module)

    def without_exchange(self, wrapped: nn.Module) -> Any:
        """A context in which backward passes of a wrapped module only add to this process's own gradients."""
        return self._accelerator.no_sync(wrapped)

    def summed(self, value: torch.Tensor) -> torch.Tensor:
        """A tensor summed over all processes, in place."""
        if self.count > 1:
            torch.distributed.all_reduce(value)
        return value

    def total(self, number: float) -> float:
        """The sum of the numbers that the processes have."""
        return self._agreed(number, torch.distributed.ReduceOp.SUM)

    def largest(self, number: int) -> int:
        """The largest of the numbers that the processes have."""
        return int(self._agreed(number, torch.distributed.ReduceOp.MAX))

    def _agreed(self, number: float, operation: Any) -> float:
        if self.count == 1:
            return number
        value = torch.tensor(number, dtype=torch.float64)
        torch.distributed.all_reduce(value, op=operation, group=self._talk)
        return float(value)

    def gather(self, own: list[Any]) -> list[list[Any]]:
        """What every process has, in the order of processes."""
        if self.count == 1:
            return [own]
        gathered: list[Any] = [None] * self.count
        torch.distributed.all_gather_object(gathered, own, group=self._talk)
        return gathered

    def copy_from_first(self, tensors: Iterable[torch.Tensor]) -> None:
        """Give every process the first one's values."""
        if self.count > 1:
            for tensor in tensors:
                torch.distributed.broadcast(tensor.detach(), src=0)

    @torch.no_grad()
    def average_gradients(self, parameters: Sequence[torch.Tensor]) -> None:
        """Replace gradients by their mean over processes, as the wrapper does for the module's own.

        A parameter without a gradient counts as zero; where no process has one, there is none afterwards either.
        """
        if self.count == 1 or not parameters:
            return
        grads = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
        there = torch.tensor([float(p.grad is not None) for p in parameters], device=self.device)
        flat = self.summed(torch.cat([*(grad.reshape(-1).float() for grad in grads), there]))
        *means, found = torch.split(flat, [*(grad.numel() for grad in grads), len(grads)])
        for parameter, grad, mean, count in zip(parameters, grads, means, found.tolist(), strict=True):
            parameter.grad = grad.copy_(mean.view_as(grad) / self.count) if count else None

    def wait(self) -> None:
        """Go on when all processes are here."""
        self._accelerator.wait_for_everyone()
