"""The smallest families: padding, torch's own operators as the oracle, what they learn, and their graphs."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny import tiny_module
from torch import nn

import hub_core as hub
from hub_core.data.dataset import Dataset
from hub_core.errors import SettingsError
from hub_core.export.module import export_module
from hub_core.nn.bags import BowFamily, CnnFamily
from hub_core.spec import HeadSpec

SIZES = {"vocab_size": 50, "embedding_size": 6, "bigram_buckets": 31, "bigram_size": 3, "head_size": 4}
CONFIGS = {"bow": SIZES, "cnn": {**SIZES, "filters": 5, "windows": [1, 2, 3, 5]}}
FAMILIES = {"bow": BowFamily(), "cnn": CnnFamily()}
MOODS = ("negative", "positive")
HEADS = [HeadSpec("seq-cls", MOODS)]


@pytest.mark.parametrize("name", CONFIGS)
@settings(max_examples=20, deadline=None)
@given(lengths=st.lists(st.integers(1, 9), min_size=1, max_size=5), extra=st.integers(0, 6), seed=st.integers(0, 99))
def test_padding_and_neighbours_never_change_a_row(name: str, lengths: list[int], extra: int, seed: int) -> None:
    torch.manual_seed(seed)
    network = FAMILIES[name].build(CONFIGS[name], heads=HEADS)
    width = max(lengths) + extra
    ids = torch.randint(2, 50, (len(lengths), width))
    mask = (torch.arange(width) < torch.tensor(lengths)[:, None]).long()
    together = network(ids, mask).logits
    for row, length in enumerate(lengths):
        alone = network(ids[row : row + 1, :length]).logits
        torch.testing.assert_close(together[row : row + 1], alone, atol=1e-6, rtol=1e-5)


def test_a_bag_is_torchs_embedding_bag() -> None:
    network = BowFamily().build({"vocab_size": 50, "embedding_size": 6}, heads=HEADS)
    ids = torch.randint(0, 50, (4, 7))
    expected = nn.functional.embedding_bag(ids, network.embedding.tokens.weight, mode="mean")
    torch.testing.assert_close(network(ids).pooler_output, expected)


def test_features_are_those_of_a_padded_convolution() -> None:
    network = CnnFamily().build({"vocab_size": 50, "embedding_size": 6, "filters": 5, "windows": [3]}, heads=())
    ids = torch.randint(0, 50, (2, 8))
    same = nn.Conv1d(6, 5, 3, padding=1)
    same.load_state_dict(network.convolutions[0].state_dict())
    expected = torch.relu(same(network.embedding.tokens(ids).transpose(1, 2))).transpose(1, 2)
    torch.testing.assert_close(network(ids).last_hidden_state, expected)


@pytest.mark.parametrize("name", CONFIGS)
def test_it_learns_is_saved_and_exported(tmp_path: Path, name: str) -> None:
    module = tiny_module(tmp_path, family=name, task="seq-cls", labels=MOODS)
    texts = ["新华社好", "好北京", "会不行", "不国务院"]
    data = Dataset.from_rows([(text, MOODS["好" in text]) for text in texts], task="seq-cls", label_list=MOODS)
    optimizer = torch.optim.Adam(module.parameters(), lr=0.05)
    trainer = hub.Trainer(module, optimizer, checkpoint_dir=tmp_path / "ckpt", use_vdl=False)
    result = trainer.train(data, epochs=20, batch_size=4, eval_dataset=data)
    assert result.best is not None
    assert result.best["accuracy"] == 1
    again = hub.Module(directory=tmp_path / "ckpt" / "best_model")
    assert [answer["label"] for answer in again.predict(texts)] == [row.label for row in data]
    graph = export_module(again, tmp_path / "graph")
    assert graph.report["largest_difference"] < 1e-4
    exported = hub.Module(directory=tmp_path / "graph")
    assert [answer["label"] for answer in exported.predict(texts)] == [row.label for row in data]


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"vocab_size": 9, "embedding_size": 4}, "the config of family cnn lacks filters"),
        (
            {"vocab_size": 9, "embedding_size": 4, "filters": 2, "windows": []},
            "a list of whole numbers of at least 1, not",
        ),
        ({"vocab_size": 9, "embedding_size": 4, "filters": 2, "window": [3]}, "did you mean 'windows'"),
        (
            {"vocab_size": 9, "embedding_size": 4, "filters": 2, "bigram_size": 3},
            "needs both their buckets and their size",
        ),
    ],
)
def test_unusable_sizes_are_named(config: dict[str, object], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        CnnFamily().build(config, heads=())


def test_tasks_that_it_has_not_are_named() -> None:
    with pytest.raises(SettingsError, match="unknown task 'token-cls' of family bow"):
        BowFamily().build(SIZES, heads=[HeadSpec("token-cls", ("O",))])
