"""Filling in: against transformers' own pipeline, what is learnt, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from command_line import Hub
from safetensors.torch import load_file
from tiny import tiny_module

import hub_core as hub
from hub_core.data.dataset import Dataset
from hub_core.errors import DataError, SettingsError
from hub_core.examples import IGNORE
from hub_core.tasks.masked_lm import MaskedLm
from hub_core.torch_module import TorchModule
from hub_core.train.batches import encode_all, to_torch

TEXTS = ["新华社[MASK]京月日电", "今天在[MASK]南海会[MASK]了美国", "[MASK]", "国务院副总理[MASK]"]


@pytest.fixture
def module(tmp_path: Path) -> TorchModule:
    return tiny_module(tmp_path, task="masked-lm")


@pytest.mark.filterwarnings("ignore")
def test_candidates_are_those_of_the_pipeline(module: TorchModule, tmp_path: Path) -> None:
    import transformers

    module.save(tmp_path / "saved")
    pipeline = transformers.pipeline("fill-mask", model=str(tmp_path / "saved"), device="cpu", top_k=5)
    for text, answer in zip(TEXTS, module.predict(TEXTS), strict=True):
        theirs: Any = pipeline(text)
        places = theirs if text.count("[MASK]") > 1 else [theirs]
        assert len(answer["places"]) == len(places)
        for candidates, expected in zip(answer["places"], places, strict=True):
            assert [one["token"] for one in candidates] == [one["token_str"] for one in expected]
            assert [one["probability"] for one in candidates] == pytest.approx(
                [one["score"] for one in expected], abs=1e-6
            )
        filled = text
        for candidates in answer["places"]:
            filled = filled.replace("[MASK]", candidates[0]["token"], 1)
        assert answer["filled"] == filled


def test_a_base_module_with_the_head_of_pre_training_keeps_it(module: TorchModule, tmp_path: Path, caplog: Any) -> None:
    module.task = None  # what pre-training leaves: a base module, whose file holds the head
    module.save(tmp_path / "base")
    again = hub.Module(directory=tmp_path / "base", task="masked-lm")
    assert "random" not in caplog.text
    assert torch.equal(
        again.network.state_dict()["cls.predictions.bias"], module.network.state_dict()["cls.predictions.bias"]
    )
    bare = hub.Module(directory=tmp_path / "base")
    assert bare.task is None


def test_a_base_module_without_it_says_that_it_is_random(tmp_path: Path, caplog: Any) -> None:
    tiny_module(tmp_path, task=None).save(tmp_path / "base")
    hub.Module(directory=tmp_path / "base", task="masked-lm")
    assert "new masked-lm head, random until it is trained" in caplog.text


def test_tied_weights_are_stored_once_as_transformers_does(module: TorchModule, tmp_path: Path) -> None:
    module.save(tmp_path / "ours")
    module.network.save_pretrained(tmp_path / "theirs")
    ours, theirs = (set(load_file(tmp_path / name / "model.safetensors")) for name in ("ours", "theirs"))
    assert ours == theirs < set(module.network.state_dict())
    again = hub.Module(str(tmp_path / "ours"), task="masked-lm")
    for name, tensor in module.network.state_dict().items():
        assert torch.equal(again.network.state_dict()[name], tensor)
    assert again.network.get_input_embeddings().weight is again.network.get_output_embeddings().weight


def test_the_loss_is_that_of_transformers(module: TorchModule) -> None:
    rows = Dataset.from_rows(
        [("新[MASK]社", "华"), ("[MASK]海会[MASK]了", "今见"), ("北[MASK]", ["京"])], task="masked-lm"
    )
    features = [row for found in encode_all(list(rows), module.task, module.tokenizer, 32) for row in found]
    batch = to_torch(module.task.collate(features, {"input_ids": module.tokenizer.pad_id}), torch.device("cpu"))
    assert int((batch.targets != IGNORE).sum()) == 4
    theirs = module.network(**batch.inputs, labels=batch.targets)
    torch.testing.assert_close(module.task.loss(module(batch.inputs).logits, batch) / 4, theirs.loss)


@pytest.mark.parametrize("bfloat16", ["0", "1"])
def test_it_learns_and_measures(
    bfloat16: str, module: TorchModule, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HUB_BFLOAT16", bfloat16)
    taught = [("新[MASK]社", "华"), ("[MASK]海会[MASK]了", "今见"), ("北[MASK]", "京")]
    rows = Dataset.from_rows(taught * 12, task="masked-lm")
    optimizer = torch.optim.AdamW(module.parameters(), lr=1e-2)
    trainer = hub.Trainer(module, optimizer, checkpoint_dir=tmp_path / "ckpt", use_vdl=False)
    before = trainer.evaluate(rows)["metrics"]["accuracy"]
    result = trainer.train(rows, epochs=4, batch_size=3, eval_dataset=rows)
    assert result.best is not None
    assert result.best["accuracy"] >= max(0.75, before + 0.25)
    assert result.best["recall@k"] >= result.best["accuracy"]


def test_a_long_text_keeps_its_places(module: TorchModule) -> None:
    text = "新" * 40 + "[MASK]" + "电"
    with pytest.warns(UserWarning, match="were cut"):
        (answer,) = module.predict([text], max_seq_len=16)
    assert answer["truncated"]
    assert len(answer["places"]) == 1
    with pytest.raises(DataError, match="more than 14 tokens apart"):
        module.predict(["[MASK]" + text], max_seq_len=16)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (("没有", "一"), r"rows:1: the text has no \[MASK\]"),
        (("[MASK]和[MASK]", ["一"]), "rows:1: 2 places, but 1 labels"),
    ],
)
def test_rows_without_places_are_named(row: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        Dataset.from_rows([row], task="masked-lm")


def test_a_label_that_is_no_token_is_named(module: TorchModule, tmp_path: Path) -> None:
    rows = Dataset.from_rows([("新[MASK]社", "鑫")], task="masked-lm")
    with pytest.raises(DataError, match="rows:1: '鑫': no token of the vocabulary"):
        encode_all(list(rows), module.task, module.tokenizer, 32)
    path = tmp_path / "data" / "train.tsv"
    path.parent.mkdir()
    path.write_text("text\tlabel\n新[MASK]社\t鑫\n", encoding="utf-8")
    trainer = hub.Trainer(module, checkpoint_dir=tmp_path / "ckpt", use_vdl=False)
    with pytest.raises(DataError, match=f"{path}:2: '鑫': no token of the vocabulary"):
        trainer.train(hub.datasets.folder_dataset(path.parent, task="masked-lm"))


def test_a_tokenizer_without_a_mask_is_named(tmp_path: Path) -> None:
    module = tiny_module(tmp_path, family="bilstm", task="seq-cls", labels=("a", "b"))
    module.tokenizer.mask_id = None
    with pytest.raises(SettingsError, match="no token for a place"):
        MaskedLm(()).encode(MaskedLm(()).example("一[MASK]"), module.tokenizer, 16)


def test_from_the_shell(module: TorchModule, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    module.save(tmp_path / "saved")
    shell = Hub(capsys)
    shown = shell("run", tmp_path / "saved", TEXTS[0], "--task-option", "top_k=3")
    assert shown.code == 0, shown.err
    assert len(shown.out.splitlines()) >= 4
    assert "has no [MASK]" in shell.fails("run", tmp_path / "saved", "没有")
