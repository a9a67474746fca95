"""Which implementation of an optimizer trains, and that all of them train alike."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from tiny import LABELS, tiny_module

from hub_core.train.optimizers import adamw, fuse
from hub_core.train.settings import TrainSettings
from hub_core.train.trainer import Trainer


def network() -> torch.nn.Module:
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(20, 30), torch.nn.GELU(), torch.nn.Linear(30, 5))


def trained(optimizer: torch.optim.Optimizer, module: torch.nn.Module) -> list[torch.Tensor]:
    torch.manual_seed(1)
    for _ in range(12):
        loss = module(torch.randn(16, 20)).square().sum()
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    return [p.detach() for p in module.parameters()]


@pytest.mark.parametrize(
    ("kind", "options"),
    [(torch.optim.AdamW, {}), (torch.optim.Adam, {"amsgrad": True}), (torch.optim.SGD, {"momentum": 0.9})],
)
def test_the_fused_one_trains_alike(kind: Any, options: dict[str, Any]) -> None:
    first, second = network(), network()
    plain, fused = kind(first.parameters(), lr=1e-2, **options), kind(second.parameters(), lr=1e-2, **options)
    fuse(fused)
    assert all(group["fused"] for group in fused.param_groups)
    for one, other in zip(trained(plain, first), trained(fused, second), strict=True):
        assert torch.allclose(one, other, atol=1e-5)


@pytest.mark.parametrize("options", [{"fused": False}, {"foreach": True}, {"foreach": False}, {"differentiable": True}])
def test_what_was_chosen_stays(options: dict[str, Any]) -> None:
    optimizer = torch.optim.AdamW(network().parameters(), lr=1e-2, **options)
    before = [dict(group) for group in optimizer.param_groups]
    fuse(optimizer)
    assert [group["fused"] for group in optimizer.param_groups] == [group["fused"] for group in before]


def test_optimizers_without_one_and_used_ones_are_left_alone() -> None:
    plain = torch.optim.Adadelta(network().parameters())
    fuse(plain)
    assert "fused" not in plain.param_groups[0]
    module = network()
    used = torch.optim.AdamW(module.parameters())
    trained(used, module)
    fuse(used)
    assert used.param_groups[0]["fused"] is None


def test_the_trainer_fuses_its_own_optimizer_and_the_callers(tmp_path: Path) -> None:
    module = tiny_module(tmp_path, labels=LABELS)
    given = torch.optim.AdamW(module.parameters(), lr=1e-3)
    for optimizer in (None, given, adamw(module, learning_rate=1e-3)):
        trainer = Trainer(module, optimizer, use_vdl=False, checkpoint_dir=tmp_path / "ckpt")
        assert all(group["fused"] for group in trainer.optimizer.param_groups)
    assert trainer.optimizer is not given
    assert given.param_groups[0]["fused"] is True


@pytest.mark.parametrize(("native", "lowers", "expected"), [
    (True, True, "bf16"), (True, False, "float32"), (False, True, "float32"),
])  # fmt: skip
def test_auto_is_the_lower_precision_where_it_is_native_and_pays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, native: bool, lowers: bool, expected: str
) -> None:
    monkeypatch.setattr("hub_core.train.trainer.has_bfloat16", lambda device: native)
    module = tiny_module(tmp_path, labels=LABELS)
    monkeypatch.setattr(type(module.family), "lowers", lowers)
    assert Trainer(module, use_vdl=False, checkpoint_dir=tmp_path).settings.precision == expected
    fixed = TrainSettings(precision="fp16")
    assert Trainer(module, use_vdl=False, checkpoint_dir=tmp_path, settings=fixed).settings.precision == "fp16"
