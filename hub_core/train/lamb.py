"""LAMB, for batches of thousands of rows: Adam's direction, as long as the weights that it moves."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch


class Lamb(torch.optim.Optimizer):
    """LAMB (You et al. 2020, "Large Batch Optimization for Deep Learning: Training BERT in 76 minutes", algorithm 2).

    For every tensor x with gradient g, at its step t::

        m = b1 m + (1 - b1) g          v = b2 v + (1 - b2) g^2
        r = (m / (1 - b1^t)) / (sqrt(v / (1 - b2^t)) + eps)
        u = r + weight_decay x         x = x - lr * (|x| / |u|) u

    with the norms of the whole tensor; their quotient counts as 1 where one of them is 0, and for tensors of one
    dimension (biases and the gains of norms), as the authors' own implementations have it: a bias that begins at 0
    would else hardly move. phi is the identity. The defaults are the paper's.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-6,
        weight_decay: float = 0.01,
    ) -> None:
        if not (lr >= 0 and eps >= 0 and weight_decay >= 0 and all(0 <= beta < 1 for beta in betas)):
            raise ValueError(f"lr={lr}, betas={betas}, eps={eps} or weight_decay={weight_decay} is out of range")
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One update of all weights that have a gradient."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is not None:
                    self._update(weight, weight.grad, group)
        return loss

    def _update(self, weight: torch.Tensor, gradient: torch.Tensor, group: dict[str, Any]) -> None:
        state, (beta1, beta2) = self.state[weight], group["betas"]
        if not state:
            state["step"] = torch.zeros((), dtype=torch.float32)
            state["exp_avg"] = torch.zeros_like(weight)
            state["exp_avg_sq"] = torch.zeros_like(weight)
        state["step"] += 1
        step = state["step"].item()
        mean, square = state["exp_avg"], state["exp_avg_sq"]
        mean.lerp_(gradient, 1 - beta1)
        square.mul_(beta2).addcmul_(gradient, gradient, value=1 - beta2)
        update = (mean / (1 - beta1**step)) / ((square / (1 - beta2**step)).sqrt_().add_(group["eps"]))
        update.add_(weight, alpha=group["weight_decay"])
        if weight.ndim > 1:
            sizes = weight.norm(), update.norm()
            update *= torch.where((sizes[0] > 0) & (sizes[1] > 0), sizes[0] / sizes[1], torch.ones_like(sizes[0]))
        weight.sub_(update, alpha=group["lr"])
