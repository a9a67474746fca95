"""Learning rates by layer, and parts that are not trained: which parameters, which modes, and what comes of it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch
from tiny import tiny_module
from training_program import labelled_rows, weights_hash

from hub_core.errors import ResumeError, SettingsError
from hub_core.torch_module import TorchModule
from hub_core.train.layers import Layers
from hub_core.train.settings import TrainSettings
from hub_core.train.trainer import Trainer

ROWS = labelled_rows(12)


def trainer_of(folder: Path, module: TorchModule, optimizer: Any = None, **settings: Any) -> Trainer:
    chosen = TrainSettings(**{"learning_rate": 1e-2, **settings} if optimizer is None else settings)
    return Trainer(module, optimizer, checkpoint_dir=folder, use_vdl=False, settings=chosen)


def by_depth(module: TorchModule) -> dict[int, set[str]]:
    layers = Layers(module)
    depths: dict[int, set[str]] = {}
    for name, parameter in module.network.named_parameters():
        depths.setdefault(layers.depth(parameter), set()).add(name)
    return depths


@pytest.mark.parametrize(
    ("family", "lowest", "highest"),
    [
        ("bert", {"bert.embeddings.word_embeddings.weight"}, {"bert.pooler.dense.weight", "classifier.weight"}),
        ("ernie", {"ernie.embeddings.position_embeddings.weight"}, {"ernie.pooler.dense.weight", "classifier.weight"}),
        ("electra", {"electra.embeddings_project.weight"}, {"classifier.dense.weight", "classifier.out_proj.weight"}),
        ("roberta", {"roberta.embeddings.LayerNorm.bias"}, {"classifier.dense.weight", "classifier.out_proj.weight"}),
        ("albert", {"albert.encoder.embedding_hidden_mapping_in.weight"}, {"albert.pooler.weight", "classifier.bias"}),
        ("modernbert", {"model.embeddings.tok_embeddings.weight"}, {"model.final_norm.weight", "classifier.weight"}),
        ("xlnet", {"transformer.mask_emb", "transformer.word_embedding.weight"}, {"classifier.weight"}),
    ],
)
def test_a_network_from_below(tmp_path: Path, family: str, lowest: set[str], highest: set[str]) -> None:
    own: dict[str, dict[str, Any]] = {
        "xlnet": {"d_model": 32, "n_layer": 2, "n_head": 4, "d_inner": 64},
        "modernbert": dict.fromkeys(
            ("pad_token_id", "bos_token_id", "eos_token_id", "cls_token_id", "sep_token_id"), 0
        ),
    }
    task = "token-cls" if family == "xlnet" else "seq-cls"
    module = tiny_module(tmp_path, family=family, task=task, **own.get(family, {}))
    depths = by_depth(module)
    blocks = 1 if family == "albert" else 2  # ALBERT has one, which it passes twice
    assert list(range(blocks + 2)) == sorted(depths)
    assert lowest <= depths[0]
    assert highest <= depths[blocks + 1]
    for number in range(1, blocks + 1):
        assert len({re.findall(r"layers?\.(\d+)\.", name)[-1] for name in depths[number]}) == 1
    assert sum(map(len, depths.values())) == len(list(module.network.parameters()))


def hand_made(module: TorchModule, rate: float, decay: float) -> torch.optim.Optimizer:
    """What a user would write for a BERT of two layers: by names, head first."""

    def rate_of(name: str) -> float:
        if ".embeddings." in name:
            return rate * decay**3
        if ".layer." in name:
            return rate * decay ** (2 - int(name.split(".layer.")[1].split(".")[0]))
        return rate

    return torch.optim.AdamW(
        [
            {"params": [p], "lr": rate_of(name), "weight_decay": 0.01 if p.ndim > 1 else 0.0}
            for name, p in module.named_parameters()
        ]
    )


def test_the_rates_are_those_of_a_hand_made_optimizer(tmp_path: Path) -> None:
    ours, theirs = tiny_module(tmp_path, seed=3), tiny_module(tmp_path, seed=3)
    first = trainer_of(tmp_path / "ours", ours, layer_decay=0.5, schedule="linear")
    second = trainer_of(tmp_path / "theirs", theirs, hand_made(theirs, 1e-2, 0.5), schedule="linear")
    for trainer in (first, second):
        trainer.train(ROWS, epochs=2, batch_size=4)
    assert weights_hash(ours) == weights_hash(theirs)
    rates = [group["lr"] for group in first.optimizer.param_groups]
    # The head first, so that the rate that is logged is the full one; weights and biases of each depth.
    assert rates == pytest.approx([1e-2, 1e-2, 5e-3, 5e-3, 2.5e-3, 2.5e-3, 1.25e-3, 1.25e-3])
    assert [group["weight_decay"] for group in first.optimizer.param_groups] == [0.01, 0.0] * 4


@pytest.mark.parametrize(
    ("settings", "frozen"),
    [
        ({"freeze": "embeddings"}, {0}),
        ({"freeze_blocks": 1}, {0, 1}),
        ({"freeze": "embeddings", "freeze_blocks": 2}, {0, 1, 2}),
        ({"freeze": "encoder"}, {0, 1, 2}),
    ],
)
def test_what_is_frozen_stays(tmp_path: Path, settings: dict[str, Any], frozen: set[int]) -> None:
    module = tiny_module(tmp_path, hidden_dropout_prob=0.5)
    before = {name: p.detach().clone() for name, p in module.network.named_parameters()}
    trainer = trainer_of(tmp_path / "ckpt", module, **settings)
    held = {id(p) for group in trainer.optimizer.param_groups for p in group["params"]}
    depths = by_depth(module)
    trainer.train(ROWS, epochs=1, batch_size=4)
    for depth, names in depths.items():
        for name in names:
            parameter = module.network.get_parameter(name)
            changed = not torch.equal(parameter, before[name])
            assert changed == (depth not in frozen), name
            assert (id(parameter) in held) == (depth not in frozen), name
    # The module is as it was, but for what it learnt: it can be trained further, whole.
    assert all(p.requires_grad for p in module.parameters())


def test_frozen_parts_have_no_dropout(tmp_path: Path) -> None:
    """They compute what they will compute when the module answers, and the others do not."""
    module = tiny_module(tmp_path, hidden_dropout_prob=0.5, attention_probs_dropout_prob=0.0)
    network: Any = module.network
    seen: dict[str, set[bool]] = {}
    parts = {"embeddings": network.bert.embeddings, "first": network.bert.encoder.layer[0]}
    parts |= {"second": network.bert.encoder.layer[1], "head": network}
    for name, part in parts.items():
        part.register_forward_hook(
            lambda part, args, output, name=name: seen.setdefault(name, set()).add(part.training)
        )
    trainer_of(tmp_path / "ckpt", module, freeze_blocks=1).train(ROWS, epochs=1, batch_size=4)
    assert seen == {"embeddings": {False}, "first": {False}, "second": {True}, "head": {True}}
    assert not any(part.training for part in network.bert.embeddings.modules())


def test_a_frozen_run_is_the_run_of_its_head(tmp_path: Path) -> None:
    """As if the optimizer had been given the head alone, and the encoder's outputs had been computed before."""
    quiet = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    ours, theirs = tiny_module(tmp_path, seed=4, **quiet), tiny_module(tmp_path, seed=4, **quiet)
    trainer_of(tmp_path / "ours", ours, freeze="encoder", weight_decay=0.0).train(ROWS, epochs=2, batch_size=4)
    network: Any = theirs.network
    head = torch.optim.AdamW(network.classifier.parameters(), lr=1e-2, weight_decay=0.0)
    trainer_of(tmp_path / "theirs", theirs, head).train(ROWS, epochs=2, batch_size=4)
    for (name, one), other in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        assert torch.allclose(one, other, atol=1e-7), name


def test_an_optimizer_of_ones_own_loses_what_is_frozen(tmp_path: Path) -> None:
    module = tiny_module(tmp_path)
    optimizer = torch.optim.SGD(module.parameters(), lr=0.1)
    trainer = trainer_of(tmp_path / "ckpt", module, optimizer, freeze="encoder")
    network: Any = module.network
    assert set(trainer.optimizer.param_groups[0]["params"]) == set(network.classifier.parameters())


def test_what_is_frozen_is_part_of_a_run(tmp_path: Path) -> None:
    trainer_of(tmp_path / "ckpt", tiny_module(tmp_path), freeze_blocks=1).train(ROWS, batch_size=4)
    with pytest.raises(ResumeError, match=r"settings.freeze_blocks: 1 in the saved state, 2 now"):
        trainer_of(tmp_path / "ckpt", tiny_module(tmp_path), freeze_blocks=2).train(ROWS, batch_size=4)
    with pytest.raises(ResumeError, match=r"settings.layer_decay: 1.0 in the saved state, 0.9 now"):
        trainer_of(tmp_path / "ckpt", tiny_module(tmp_path), freeze_blocks=1, layer_decay=0.9).train(ROWS, batch_size=4)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"freeze_blocks": 3}, "freeze_blocks=3, but there are only 2 blocks"),
        ({"freeze": "encoder", "freeze_blocks": 1}, "freeze='encoder' freezes all blocks; leave freeze_blocks out"),
        ({"layer_decay": 0.0}, "layer_decay=0.0 must be between 0.001 and 1"),
        ({"freeze": "head"}, "unknown value 'head' of freeze; known: embeddings, encoder, none"),
    ],
)
def test_unusable_settings_are_named(tmp_path: Path, settings: dict[str, Any], said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        trainer_of(tmp_path / "ckpt", tiny_module(tmp_path), **settings)


@pytest.mark.parametrize("settings", [{"layer_decay": 0.9}, {"freeze": "embeddings"}])
def test_a_network_without_blocks_is_refused(tmp_path: Path, settings: dict[str, Any]) -> None:
    with pytest.raises(
        SettingsError, match=r"are for networks of repeated layers; tiny 1.0.0 \(family bilstm\) has non"
    ):
        trainer_of(tmp_path / "ckpt", tiny_module(tmp_path, family="bilstm"), **settings)
