"""Compiled training: few shapes, little padding, the same weights."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny import LABELS, tiny_module
from training_program import labelled_rows

from hub_core.errors import SettingsError
from hub_core.torch_module import TorchModule
from hub_core.train import compiling
from hub_core.train.compiling import padded_length, padded_lengths
from hub_core.train.settings import TrainSettings
from hub_core.train.trainer import Trainer


def padding(lengths: Sequence[int], edges: Sequence[int]) -> int:
    return sum(padded_length(length, edges) - length for length in lengths)


@given(lengths=st.lists(st.integers(1, 12), min_size=1, max_size=30), most=st.integers(1, 4))
@settings(deadline=None, max_examples=80)
def test_no_other_lengths_need_less_padding(lengths: list[int], most: int) -> None:
    found = padded_lengths(lengths, most)
    assert len(found) <= most
    assert list(found) == sorted(set(found))
    assert found[-1] == max(lengths)
    distinct = sorted(set(lengths))
    others = [
        (*chosen, distinct[-1])
        for count in range(min(most, len(distinct)))
        for chosen in combinations(distinct[:-1], count)
    ]
    assert padding(lengths, found) == min(padding(lengths, edges) for edges in others)


def test_a_row_beyond_all_lengths_keeps_its_own() -> None:
    assert [padded_length(length, (8, 16)) for length in (1, 8, 9, 16, 17)] == [8, 8, 16, 16, 17]
    assert padded_length(5, ()) == 5


def trained(folder: Path, **chosen: Any) -> TorchModule:
    module = tiny_module(folder, labels=LABELS, seed=3, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0)
    trainer = Trainer(
        module,
        torch.optim.AdamW(module.parameters(), lr=1e-3),
        use_vdl=False,
        checkpoint_dir=folder / "ckpt",
        settings=TrainSettings(**chosen),
    )
    trainer.train(labelled_rows(22), epochs=2, batch_size=4, eval_dataset=labelled_rows(9))
    return module


def check_same_weights(tmp_path: Path) -> None:
    shapes: set[tuple[int, ...]] = set()
    original = TorchModule.forward

    def noted(self: TorchModule, batch: Any, want: Sequence[str] = ()) -> Any:
        if self.training:
            shapes.add(tuple(batch["input_ids"].shape))
        return original(self, batch, want)

    plain = trained(tmp_path / "plain")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TorchModule, "forward", noted)
        compiled = trained(tmp_path / "compiled", compile=True)
    assert len({length for _, length in shapes}) <= 3
    for (name, one), other in zip(plain.named_parameters(), compiled.parameters(), strict=True):
        assert torch.allclose(one, other, atol=1e-5), name
    assert type(compiled.network) is type(plain.network)
    assert compiled.predict(["新华社"]) == compiled.predict(["新华社"])


@pytest.mark.filterwarnings("ignore")
def test_the_same_weights_from_a_traced_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiling, "BACKEND", "aot_eager")
    monkeypatch.setattr(compiling.padded_lengths, "__defaults__", (3,))
    check_same_weights(tmp_path)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile on a CPU needs g++")
def test_the_same_weights_from_compiled_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiling.padded_lengths, "__defaults__", (3,))
    check_same_weights(tmp_path)


@pytest.mark.parametrize("chosen", [{"compile": True}, {"ema": 0.9}, {"precision": "fp16"}])
def test_what_does_not_go_with_shards(chosen: dict[str, Any]) -> None:
    with pytest.raises(SettingsError, match="sharding='full'"):
        TrainSettings(sharding="full", **chosen)


def test_shards_need_several_processes(tmp_path: Path) -> None:
    module = tiny_module(tmp_path, labels=LABELS)
    with pytest.raises(SettingsError, match=r"needs several processes: torchrun --nproc_per_node=2"):
        Trainer(module, checkpoint_dir=tmp_path, use_vdl=False, settings=TrainSettings(sharding="full"))
