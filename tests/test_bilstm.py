"""The Bi-LSTM family: against torch's own bidirectional LSTM, under padding, on disk, and exported."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from hub_core.errors import CheckpointError, SettingsError
from hub_core.examples import IGNORE, Batch
from hub_core.nn.bilstm import (
    POOLINGS,
    BiLstmConfig,
    BiLstmEncoder,
    BiLstmForSequenceClassification,
    BiLstmForTokenClassification,
)
from hub_core.nn.bilstm_family import BiLstmFamily
from hub_core.nn.crf import Crf
from hub_core.nn.families import family_of
from hub_core.nn.weights import read_weights
from hub_core.plugins import catalog
from hub_core.spec import WEIGHTS, HeadSpec

LABELS = ("B-X", "I-X", "O")
SMALL: Mapping[str, Any] = {"vocab_size": 50, "embedding_size": 6, "hidden_size": 5}
RICH: Mapping[str, Any] = {
    **SMALL,
    "num_layers": 2,
    "crf": True,
    "head_size": 4,
    "bigram_buckets": 31,
    "bigram_size": 3,
    "dropout": 0.5,
    "embedding_dropout": 0.4,
    "word_dropout": 0.3,
    "pooling": "max+mean",
}


def _heads(task: str | None, labels: Sequence[str] = LABELS) -> list[HeadSpec]:
    return [] if task is None else [HeadSpec(task, tuple(labels))]


def _network(config: Mapping[str, Any], task: str | None) -> BiLstmEncoder:
    torch.manual_seed(0)
    network = BiLstmFamily().build(config, heads=_heads(task))
    with torch.no_grad():
        for parameter in network.parameters():  # the small initial values would hide differences
            parameter.normal_(0, 0.5)
    return network


def _ids(lengths: list[int], *, seed: int = 0, width: int | None = None) -> tuple[torch.Tensor, torch.Tensor]:
    """Right-padded rows and their mask."""
    width = width or max(lengths)
    ids = torch.randint(2, 50, (len(lengths), width), generator=torch.Generator().manual_seed(seed))
    mask = (torch.arange(width) < torch.tensor(lengths)[:, None]).long()
    return ids * mask, mask


def _all_kinds() -> Iterator[Any]:
    yield pytest.param(RICH, None, id="encoder")
    yield pytest.param(RICH, "token-cls", id="token-cls")
    for pooling in POOLINGS:
        yield pytest.param({**RICH, "pooling": pooling}, "seq-cls", id=f"seq-cls-{pooling}")


def test_states_equal_torch_bidirectional_lstm_on_packed_rows() -> None:
    network = _network({**SMALL, "num_layers": 2}, None)
    oracle = nn.LSTM(6, 5, num_layers=2, batch_first=True, bidirectional=True)
    weights = {}
    for index, layer in enumerate(network.layers):
        for direction, suffix in ((layer.forwards, ""), (layer.backwards, "_reverse")):
            for name, value in direction.named_parameters():  # type: ignore[union-attr,operator]
                weights[name.replace("l0", f"l{index}") + suffix] = value
    oracle.load_state_dict(weights)
    lengths = [7, 1, 4, 7, 2]
    ids, mask = _ids(lengths)
    packed = nn.utils.rnn.pack_padded_sequence(
        network.embedding.tokens(ids), torch.tensor(lengths), batch_first=True, enforce_sorted=False
    )
    expected, _ = nn.utils.rnn.pad_packed_sequence(oracle(packed)[0], batch_first=True)
    found = network(ids, mask).last_hidden_state * mask[:, :, None]
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=0)


@pytest.mark.parametrize(("config", "task"), list(_all_kinds()))
@given(st.lists(st.integers(1, 12), min_size=1, max_size=5), st.integers(0, 6), st.integers(0, 1000))
@settings(max_examples=15, deadline=None)
def test_padding_and_neighbours_never_change_a_row(
    config: Mapping[str, Any], task: str | None, lengths: list[int], extra: int, seed: int
) -> None:
    network = _network(config, task)
    ids, mask = _ids(lengths, seed=seed, width=max(lengths) + extra)
    ids = torch.where(mask.bool(), ids, 49)  # whatever stands in the padding
    with torch.no_grad():
        together = network(ids, mask)
        for row, length in enumerate(lengths):
            alone = network(ids[row : row + 1, :length])
            pairs = [(alone.last_hidden_state[0], together.last_hidden_state[row, :length])]
            if task == "token-cls":
                pairs.append((alone.logits[0], together.logits[row, :length]))
            elif task == "seq-cls":
                pairs += [
                    (alone.logits[0], together.logits[row]),
                    (alone.pooler_output[0], together.pooler_output[row]),
                ]
            for one, many in pairs:
                torch.testing.assert_close(one, many, atol=2e-6, rtol=1e-5)


def test_hidden_states_and_shapes() -> None:
    ids, mask = _ids([3, 5])
    output = _network(RICH, "token-cls")(ids, mask, output_hidden_states=True)
    assert [tuple(states.shape) for states in output.hidden_states] == [(2, 5, 9), (2, 5, 10), (2, 5, 10)]
    assert output.hidden_states[-1] is output.last_hidden_state
    assert output.logits.shape == (2, 5, 3) and output.pooler_output is None and output.attentions is None
    pooled = _network(RICH, "seq-cls")(ids, mask)
    assert pooled.logits.shape == (2, 3) and pooled.pooler_output.shape == (2, 20) and pooled.hidden_states is None


def test_poolings_equal_their_definition() -> None:
    ids, mask = _ids([2, 6])
    for pooling in POOLINGS:
        network = _network({**RICH, "pooling": pooling}, "seq-cls")
        output = network(ids, mask)
        for row, length in enumerate((2, 6)):
            states = output.last_hidden_state[row, :length]
            attention = network.head.attention
            expected = {
                "last": torch.cat([states[-1, :5], states[0, 5:]]),
                "max": states.max(dim=0).values,
                "mean": states.mean(dim=0),
                "max+mean": torch.cat([states.max(dim=0).values, states.mean(dim=0)]),
                "attention": torch.softmax(attention(torch.tanh(states))[:, 0], 0) @ states if attention else None,
            }[pooling]
            torch.testing.assert_close(output.pooler_output[row], expected, atol=1e-6, rtol=1e-5)


def test_bigrams_see_the_token_before_and_large_ids_do_not_overflow() -> None:
    embedding = _network({**RICH, "vocab_size": 2**20}, None).embedding
    ids = torch.tensor([[2**20 - 1, 2**20 - 1, 7, 7]])
    rows = embedding.bigram_ids(ids)
    assert rows.tolist() == [
        [(a * 2654435761 + b) % 31 for a, b in zip([0, *ids[0, :-1]], ids[0].tolist(), strict=True)]
    ]
    other = embedding.bigram_ids(torch.tensor([[5, 2**20 - 1, 7, 7]]))
    assert (rows == other).tolist() == [[False, False, True, True]]


@pytest.mark.parametrize(("config", "task"), list(_all_kinds()))
def test_one_training_step_gives_every_parameter_a_finite_gradient(config: Mapping[str, Any], task: str | None) -> None:
    network = _network({**config, "dropout": 0.1}, task).train()
    ids, mask = _ids([9] * 16)
    output = network(ids, mask)
    loss = (output.last_hidden_state if task is None else output.logits).square().sum()
    if isinstance(network, BiLstmForTokenClassification):
        assert network.crf is not None
        loss = -network.crf.log_likelihood(output.logits, ids % 3, mask).sum()
    loss.backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None and torch.isfinite(parameter.grad).all(), name
        assert parameter.grad.any(), name


def test_dropout_hides_whole_features_in_training_and_nothing_in_prediction() -> None:
    network = _network({**RICH, "word_dropout": 0.0}, None)
    ids, mask = _ids([8, 8])
    torch.testing.assert_close(network(ids, mask), network(ids, mask))
    torch.manual_seed(3)
    states = network.train()(ids, mask).last_hidden_state
    hidden = states == 0
    assert hidden.any() and not hidden.all()
    assert torch.equal(hidden.all(dim=1), hidden.any(dim=1))


class _TensorOnly(nn.Module):
    """What an exporter sees: tensors in, logits out."""

    def __init__(self, network: BiLstmEncoder) -> None:
        super().__init__()
        self.network = network

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        logits = self.network(input_ids, attention_mask).logits
        assert isinstance(logits, torch.Tensor)
        return logits


@contextlib.contextmanager
def _loops_over_time() -> Iterator[None]:
    """torch.onnx's way to keep the length of an LSTM free: a while loop in place of an unrolled one."""
    from torch.export._patches import register_lstm_while_loop_decomposition

    with register_lstm_while_loop_decomposition():
        yield


@pytest.mark.filterwarnings("ignore:The tensor attributes .* were assigned during export:UserWarning")
@pytest.mark.filterwarnings("ignore:_check_is_size will be removed:FutureWarning")
@pytest.mark.parametrize("task", ["token-cls", "seq-cls"])
def test_export_is_exact_at_any_batch_and_length(task: str) -> None:
    network = _TensorOnly(_network({**RICH, "num_layers": 1}, task)).eval()  # tracing a loop takes a second
    free = {0: torch.export.Dim("rows"), 1: torch.export.Dim("width")}
    with torch.no_grad(), _loops_over_time():
        exported = torch.export.export(network, _ids([4, 6, 2]), dynamic_shapes=(free, free)).module()
    for lengths in ([1], [3, 1], [25, 40, 7, 33]):
        ids, mask = _ids(lengths)
        with torch.no_grad():
            torch.testing.assert_close(exported(ids, mask), network(ids, mask), atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
@pytest.mark.parametrize("task", ["token-cls", "seq-cls", None])
def test_saved_and_loaded_again(tmp_path: Path, task: str | None, dtype: str) -> None:
    family, network = BiLstmFamily(), _network(RICH, task)
    family.save(network, tmp_path, dtype=dtype)
    again = family.load(read_weights(tmp_path / WEIGHTS), RICH, heads=_heads(task), new_head=False, where="here")
    assert type(again) is type(network) and not again.training
    kind = getattr(torch, dtype)
    for name, value in network.state_dict().items():
        assert again.state_dict()[name].dtype == torch.float32
        assert torch.equal(again.state_dict()[name], value.to(kind).float()), name


def test_a_new_head_is_random_and_the_encoder_is_kept(tmp_path: Path) -> None:
    family, network = BiLstmFamily(), _network(RICH, "token-cls")
    family.save(network, tmp_path)
    for task, labels in (("seq-cls", ("a", "b")), ("token-cls", LABELS), (None, ())):
        found = family.load(
            read_weights(tmp_path / WEIGHTS), RICH, heads=_heads(task, labels), new_head=task is not None, where="here"
        )
        old, new = network.state_dict(), found.state_dict()
        for name, value in new.items():
            head = name.startswith(("head.", "crf."))
            assert head == (name not in old or not torch.equal(value, old[name])) or not value.any(), name


def test_tensors_that_do_not_fit_are_named(tmp_path: Path) -> None:
    family = BiLstmFamily()
    family.save(_network(RICH, "token-cls"), tmp_path)
    with pytest.raises(CheckpointError, match=r"embedding\.tokens\.weight: \(50, 6\) in the file, \(51, 6\)"):
        family.load(
            read_weights(tmp_path / WEIGHTS),
            {**RICH, "vocab_size": 51},
            heads=_heads("token-cls"),
            new_head=True,
            where="here",
        )
    with pytest.raises(CheckpointError, match=r"crf\.end: \(3,\) in the file, \(4,\) in the network"):
        family.load(
            read_weights(tmp_path / WEIGHTS),
            RICH,
            heads=_heads("token-cls", (*LABELS, "B-Y")),
            new_head=False,
            where="here",
        )
    with pytest.raises(CheckpointError, match=r"missing tensors: layers\.2\.backwards"):
        family.load(
            read_weights(tmp_path / WEIGHTS),
            {**RICH, "num_layers": 3},
            heads=_heads("token-cls"),
            new_head=False,
            where="here",
        )
    with pytest.raises(CheckpointError, match=r"unknown tensors: crf\.end, crf\.start, crf\.transitions"):
        family.load(
            read_weights(tmp_path / WEIGHTS),
            {**RICH, "crf": False},
            heads=_heads("token-cls"),
            new_head=False,
            where="here",
        )
    with pytest.raises(CheckpointError):
        family.load(
            read_weights(tmp_path / "nowhere" / WEIGHTS),
            RICH,
            heads=_heads("token-cls"),
            new_head=False,
            where="here",
        )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"hidden": 3}, "unknown key 'hidden' of the config of family bilstm; did you mean 'hidden_size'"),
        ({"num_layers": 0}, "'num_layers' .* at least 1, not 0"),
        ({"hidden_size": True}, "'hidden_size' .* not True"),
        ({"dropout": 1}, "'dropout' .* from 0 to below 1, not 1"),
        ({"dropout": "0.5"}, "'dropout' .* not '0.5'"),
        ({"crf": 1}, "'crf' .* true or false, not 1"),
        ({"pooling": "min"}, "'pooling' .* one of last, max, .* not 'min'"),
        ({"bigram_buckets": 5}, "both their buckets and their size"),
    ],
)
def test_unusable_configs_are_refused(change: Mapping[str, Any], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        BiLstmConfig.from_mapping({**SMALL, **change})


def test_missing_sizes_and_unknown_tasks_are_refused() -> None:
    with pytest.raises(SettingsError, match="lacks embedding_size, hidden_size"):
        BiLstmConfig.from_mapping({"vocab_size": 3})
    with pytest.raises(SettingsError, match=r"unknown task 'seq_cls' .* did you mean 'seq-cls'"):
        BiLstmFamily().build(SMALL, heads=_heads("seq_cls"))


def test_the_family_is_registered_and_its_config_json_is_plain_data() -> None:
    family = family_of("bilstm", catalog())
    assert isinstance(family, BiLstmFamily)
    assert family.max_length(SMALL) is None
    record = json.loads(json.dumps(family.config_json(SMALL, heads=_heads("seq-cls", ("no", "yes")))))
    assert record["model_type"] == "bilstm" and record["num_layers"] == 1
    assert record["id2label"] == {"0": "no", "1": "yes"} and record["label2id"] == {"no": 0, "yes": 1}
    assert record["architectures"] == [BiLstmForSequenceClassification.__name__]
    assert family.config_json(SMALL, heads=())["architectures"] == [BiLstmEncoder.__name__]


class _TokenTask:
    """The two methods of a task that the family falls back on."""

    def loss(self, logits: torch.Tensor, batch: Batch) -> torch.Tensor:
        return nn.functional.cross_entropy(logits.flatten(0, 1), batch.targets.flatten(), reduction="sum")

    def loss_weight(self, batch: Batch) -> float:
        return float((batch.targets != IGNORE).sum())


@pytest.mark.parametrize("crf", [True, False])
def test_loss_weight_and_constants(crf: bool) -> None:
    family, network = BiLstmFamily(), _network({**RICH, "crf": crf}, "token-cls")
    ids, mask = _ids([4, 2, 3])
    targets = torch.where(mask.bool(), ids % 3, IGNORE)
    weights = torch.tensor([1.0, 0.0, 2.0])
    batch = Batch({"main": {"input_ids": ids, "attention_mask": mask}}, targets, weights)
    logits = network(ids, mask).logits
    task: Any = _TokenTask()
    loss = family.loss(network, logits, batch, task)
    if not crf:
        assert loss == task.loss(logits, batch)
        assert family.loss_weight(network, batch, task) == 9 and family.constants(network) == {}
        return
    assert isinstance(network, BiLstmForTokenClassification) and isinstance(network.crf, Crf)
    rows = [network.crf.log_likelihood(logits[i : i + 1], targets[i : i + 1], mask[i : i + 1]) for i in (0, 2)]
    torch.testing.assert_close(loss, -(rows[0] + 2 * rows[1])[0])
    assert family.loss_weight(network, batch, task) == 3
    constants = family.constants(network)
    assert constants.keys() == {"transitions", "start", "end"}
    np.testing.assert_array_equal(constants["transitions"], network.crf.transitions.detach().numpy())
