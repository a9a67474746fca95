"""convert: a foreign folder becomes a module that answers, and one that tries to run code does not."""

from __future__ import annotations

import json
import os
import pickle
from pathlib import Path

import pytest
import torch
from command_line import Hub
from safetensors.torch import load_file
from tiny import tiny_module


@pytest.fixture
def hub(capsys: pytest.CaptureFixture[str]) -> Hub:
    return Hub(capsys)


@pytest.fixture
def foreign(tmp_path: Path) -> Path:
    """A folder as `transformers` of old left it: pytorch_model.bin, config.json, vocab.txt."""
    folder = tmp_path / "foreign"
    tiny_module(tmp_path, task="seq-cls", labels=("差", "好")).save(folder)
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    for name in ("module.json", "model.safetensors", "README.md"):
        (folder / name).unlink()
    return folder


def test_a_folder_becomes_a_module_that_answers(hub: Hub, foreign: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert hub("convert", foreign, out, "--name", "mine", "--version", "2.1").out.splitlines() == [
        "module  mine 2.1",
        "family  bert",
        "heads   seq-cls (2 labels)",
        f"folder  {out}",
    ]
    assert hub("run", out, "好", "--json").json[0]["label"] in ("差", "好")
    assert "`hub install" in hub.fails("run", foreign, "好")  # not a module before


def test_labels_can_be_named(hub: Hub, foreign: Path, tmp_path: Path) -> None:
    record = hub("convert", foreign, tmp_path / "out", "--labels", "negative, positive", "--json").json
    assert [(head["task"], head["labels"]) for head in record["heads"]] == [("seq-cls", ["negative", "positive"])]
    assert record["name"] == "foreign"


class Evil:
    """A pickle that would run a command."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (str(self.canary),)


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model_state.pdparams"])
def test_code_in_a_weight_file_is_not_run(hub: Hub, foreign: Path, tmp_path: Path, name: str) -> None:
    canary = tmp_path / "canary"
    (foreign / "pytorch_model.bin").unlink()
    (foreign / name).write_bytes(pickle.dumps({"weight": Evil(canary)}, protocol=2))
    (foreign / "model_config.json").write_text(json.dumps({"init_class": "BertModel"}))
    hub.fails("convert", foreign, tmp_path / "out")
    assert not canary.exists()
    assert not (tmp_path / "out").exists()


def test_what_is_not_there_or_in_the_way(hub: Hub, foreign: Path, tmp_path: Path) -> None:
    assert hub.fails("convert", tmp_path / "x", tmp_path / "out").startswith(f"{tmp_path / 'x'} is not a folder")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "note.txt").write_text("mine")
    assert "is there already and not empty" in hub.fails("convert", foreign, tmp_path / "full")
    (foreign / "pytorch_model.bin").write_bytes((foreign / "pytorch_model.bin").read_bytes()[:-200])
    assert "pytorch_model.bin" in hub.fails("convert", foreign, tmp_path / "out")
    assert not (tmp_path / "out").exists()
