"""One optimizer step: forward and backward over its micro-batches, exchange, checks, clipping, update."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

import torch

from hub_core.errors import SettingsError
from hub_core.examples import Batch
from hub_core.torch_module import TorchModule
from hub_core.train.batches import to_torch
from hub_core.train.compiling import compiled, many_graphs
from hub_core.train.dropout import QuickDropout
from hub_core.train.layers import frozen_parts
from hub_core.train.objectives import Objective, Step
from hub_core.train.processes import Processes
from hub_core.train.settings import TrainSettings
from hub_core.train.shares import total_norm
from hub_core.train.watch import StepNumbers, Watch

if TYPE_CHECKING:
    from hub_core.train.sharding import Sharded

_AUTOCAST = {"bf16": torch.bfloat16, "fp16": torch.float16}
#: What a logged row calls its own numbers.
_TAKEN = frozenset({"step", "epoch", "loss", "grad_norm", "lr"})


class Stepper:
    """Does steps. The gradient is that of one large batch, however it is cut into micro-batches and processes."""

    def __init__(
        self,
        model: TorchModule,
        objective: Objective,
        optimizer: torch.optim.Optimizer,
        settings: TrainSettings,
        processes: Processes,
        watch: Watch,
    ) -> None:
        self._model, self._objective, self._optimizer = model, objective, optimizer
        self._processes, self._watch = processes, watch
        self._settings, self._limit = settings, settings.max_grad_norm
        self._dtype = _AUTOCAST.get(settings.precision)
        self.scaler = torch.amp.GradScaler(processes.device.type, enabled=settings.precision == "fp16")
        wrapped = {id(p) for p in model.parameters()}
        self._objectives_own = [p for p in objective.parameters() if p.requires_grad and id(p) not in wrapped]
        self._prepared: Any = model
        self._wants_shards = settings.sharding == "full"
        self._sharded: Sharded | None = None
        self._compiles = settings.compile
        # A compiled network draws its masks within its own code, a GPU many at a time.
        slow = processes.device.type == "cpu"
        self._context = many_graphs if settings.compile else QuickDropout if slow else nullcontext

    def connect(self) -> None:
        """Let all processes start from the same weights, and exchange gradients from here on."""
        self._processes.copy_from_first([*self._objective.parameters(), *self._objective.buffers()])
        if self._wants_shards:
            from hub_core.train.sharding import Sharded

            self._sharded = Sharded(self._model, self._optimizer, self._processes)
            self._prepared = self._sharded.module
        else:
            self._prepared = self._processes.wrapped(self._compiled() if self._compiles else self._model)

    def _compiled(self) -> TorchModule:
        # A head that is asked at other places in every step would be traced again in every step.
        return compiled(self._model, encoder_only=self._objective.asks_at_places)

    def train(self) -> None:
        """Training mode for what is trained; what is frozen has no dropout."""
        self._model.train()
        self._prepared.train()
        # A wrapper of the network has the same parts; a sharded copy has its own.
        for part in frozen_parts(self._model if self._sharded is None else self._sharded.module, self._settings):
            part.eval()

    def gather(self) -> None:
        """Let the module have the weights as they are now, where a sharded copy of it is trained."""
        if self._sharded is not None:
            self._sharded.gather()

    def disconnect(self, *, done: bool) -> None:
        """Train the module itself from here on; `done`: the run went well, and what it learnt is kept."""
        if self._sharded is not None:
            if done:
                self._sharded.gather()
            self._sharded.release(keep_state=done)
            self._sharded = None
        self._prepared = self._model

    def step(self, batches: Sequence[Batch], *, number: int, epoch: int) -> torch.Tensor:
        """Train on the micro-batches of step `number` of `epoch` (both from 1); the gradient's norm before clipping."""
        weights = self._total_weights(batches)
        sums: dict[str, torch.Tensor] = {}
        for index, batch in enumerate(batches):
            for name, share in self._backward(batch, weights, last=index == len(batches) - 1).items():
                sums[name] = sums[name] + share if name in sums else share
        self._processes.average_gradients(self._objectives_own)
        self.scaler.unscale_(self._optimizer)
        norm = self._clipped()
        shared = self._processes.summed(torch.stack(list(sums.values())))
        self._watch.note(StepNumbers(number, epoch, dict(zip(sums, shared.unbind(), strict=True)), norm))
        self.scaler.step(self._optimizer)
        self.scaler.update()
        self._optimizer.zero_grad(set_to_none=True)
        return norm

    def _backward(self, batch: Batch, weights: Mapping[str, float], *, last: bool) -> dict[str, torch.Tensor]:
        """Add one micro-batch's share to the gradient; its share of the step's mean loss and parts, detached."""
        moved = to_torch(batch, self._processes.device)
        with (
            self._context(),
            torch.autocast(self._processes.device.type, dtype=self._dtype, enabled=self._dtype is not None),
            self._exchange(wanted=last),
        ):
            result = self._objective(self._prepared, moved)
            share, parts = _shares(result, weights)
            # The exchange takes the mean over processes; the loss is a sum over them.
            torch.autograd.backward(self.scaler.scale(share * self._processes.count))
        if taken := _TAKEN & result.parts.keys():
            raise SettingsError(f"{type(self._objective).__name__} calls a part {min(taken)!r}; that name is taken")
        return {"loss": share.detach(), **{name: part.detach() for name, part in parts.items()}}

    def _exchange(self, *, wanted: bool) -> AbstractContextManager[Any]:
        """Processes exchange gradients once per step, with the last micro-batch."""
        if self._sharded is not None:
            self._sharded.exchange(wanted)
        elif not wanted and self._processes.count > 1:
            context: AbstractContextManager[Any] = self._processes.without_exchange(self._prepared)
            return context
        return nullcontext()

    def _total_weights(self, batches: Sequence[Batch]) -> dict[str, float]:
        """How much the losses of this step add up, over micro-batches and processes: the loss, or each part of it."""
        own: dict[str, float] = {}
        for batch in batches:
            found = self._objective.weight(self._model, batch)
            for name, weight in (found if isinstance(found, Mapping) else {"loss": found}).items():
                own[name] = own.get(name, 0.0) + weight
        # A step without a single label has no loss.
        return {name: self._processes.total(weight) or 1.0 for name, weight in own.items()}

    def parameters(self) -> list[torch.Tensor]:
        """What the optimizer trains."""
        return [p for group in self._optimizer.param_groups for p in group["params"]]

    def _clipped(self) -> torch.Tensor:
        """The gradient's norm; where there is a limit, the gradient is then scaled to it."""
        parameters = [p for p in self.parameters() if p.grad is not None]
        norm = total_norm([p.grad for p in parameters if p.grad is not None])
        if self._limit:
            torch.nn.utils.clip_grads_with_norm_(parameters, self._limit, norm)
        return norm


def _shares(step: Step, weights: Mapping[str, float]) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """A micro-batch's share of the step's mean loss, and of the means of its parts."""
    parts = {name: part.float() / weights.get(name, weights.get("loss", 1.0)) for name, part in step.parts.items()}
    if step.loss is not None:
        return step.loss.float() / weights["loss"], parts
    return torch.stack(list(parts.values())).sum(), parts
