"""LAMB against its paper's algorithm, written out again in float64."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from hub_core.errors import SettingsError
from hub_core.examples import Array
from hub_core.train.lamb import Lamb
from hub_core.train.schedule import rate_factor
from hub_core.train.settings import TrainSettings


def by_the_paper(weights: Array, gradients: list[Array], *, lr: float, decay: float, eps: float = 1e-6) -> Array:
    """You et al. 2020, algorithm 2, with phi(z) = z."""
    m, v, x = np.zeros_like(weights), np.zeros_like(weights), weights.copy()
    for t, g in enumerate(gradients, start=1):
        m = 0.9 * m + (1 - 0.9) * g
        v = 0.999 * v + (1 - 0.999) * g**2
        r = (m / (1 - 0.9**t)) / (np.sqrt(v / (1 - 0.999**t)) + eps)
        u = r + decay * x
        sizes = math.sqrt(float((x**2).sum())), math.sqrt(float((u**2).sum()))
        trust = sizes[0] / sizes[1] if sizes[0] > 0 and sizes[1] > 0 else 1.0
        x = x - lr * trust * u
    return x


@pytest.mark.parametrize("decay", [0.0, 0.01])
@pytest.mark.parametrize("start", ["random", "zero"])
def test_as_in_the_paper(decay: float, start: str) -> None:
    draw = np.random.default_rng(1)
    first = draw.normal(size=(4, 3)) if start == "random" else np.zeros((4, 3))
    gradients = [draw.normal(size=(4, 3)) for _ in range(20)]
    weight = torch.nn.Parameter(torch.tensor(first))
    optimizer = Lamb([weight], lr=0.02, weight_decay=decay)
    for gradient in gradients:
        weight.grad = torch.tensor(gradient)
        optimizer.step()
    np.testing.assert_allclose(weight.detach().numpy(), by_the_paper(first, gradients, lr=0.02, decay=decay), rtol=1e-6)


def test_biases_move_as_with_adam() -> None:
    """Whatever their length: from 0 they would else stay near it."""
    draw = torch.Generator().manual_seed(1)
    weights = [torch.nn.Parameter(torch.zeros(5)) for _ in range(2)]
    mine = Lamb([weights[0]], lr=0.01, weight_decay=0.0)
    theirs = torch.optim.Adam([weights[1]], lr=0.01, eps=1e-6)
    for _ in range(50):
        gradient = torch.randn(5, generator=draw) + 1
        for weight, optimizer in zip(weights, (mine, theirs), strict=True):
            weight.grad = gradient.clone()
            optimizer.step()
    torch.testing.assert_close(weights[0], weights[1])
    assert float(weights[0].detach().abs().min()) > 0.1


def test_a_step_is_as_long_as_the_rate_says() -> None:
    """The update's length is the rate's share of the weights' length, whatever the gradient's."""
    for scale in (1e-4, 1.0, 1e4):
        weight = torch.nn.Parameter(torch.randn(8, 8, generator=torch.Generator().manual_seed(1)))
        before = weight.detach().clone()
        weight.grad = torch.randn(8, 8, generator=torch.Generator().manual_seed(2)) * scale
        Lamb([weight], lr=0.01, weight_decay=0.0).step()
        assert float((weight.detach() - before).norm() / before.norm()) == pytest.approx(0.01, rel=1e-4)


def test_a_state_goes_on() -> None:
    def run(steps: int, saved: tuple[dict[str, object], torch.Tensor] | None = None) -> tuple[Lamb, torch.nn.Parameter]:
        weight = torch.nn.Parameter(torch.ones(3, 2) if saved is None else saved[1].clone())
        optimizer = Lamb([weight], lr=0.1)
        if saved is not None:
            optimizer.load_state_dict(saved[0])
        for number in range(steps):
            weight.grad = torch.full((3, 2), 0.5 + number % 2)
            optimizer.step()
        return optimizer, weight

    _, whole = run(6)
    optimizer, half = run(4)
    _, resumed = run(2, (optimizer.state_dict(), half.detach()))
    assert torch.equal(whole, resumed)


def test_out_of_range() -> None:
    with pytest.raises(ValueError, match="lr=-1"):
        Lamb([torch.nn.Parameter(torch.ones(1))], lr=-1)


class TestSchedule:
    @pytest.mark.parametrize(("schedule", "middle"), [("linear", 0.55), ("cosine", 0.55)])
    def test_a_floor(self, schedule: str, middle: float) -> None:
        settings = TrainSettings(schedule=schedule, floor=0.1, decay_steps=110, warmup_steps=10)
        assert rate_factor(settings, 5, 200) == 0.5
        assert rate_factor(settings, 10, 200) == 1.0
        assert rate_factor(settings, 60, 200) == pytest.approx(middle)
        assert rate_factor(settings, 110, 200) == pytest.approx(0.1)
        assert rate_factor(settings, 199, 200) == pytest.approx(0.1)

    def test_nothing_to_reach(self) -> None:
        with pytest.raises(SettingsError, match="floor and decay_steps are for schedule='linear' or 'cosine'"):
            TrainSettings(floor=0.1)
