"""The examples run as they stand, on a small stand-in for ernie_tiny and a few made-up sentences."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

import pytest
from tiny import small_module_folder

import hub_core as hub
from hub_core.registry import bundled_registry

EXAMPLES = Path(__file__).parent.parent / "examples" / "sequence_labeling"


@pytest.fixture
def ernie_tiny(tmp_path: Path) -> None:
    """A small random module, installed under the name and version of the real one."""
    (spec,) = bundled_registry().versions("ernie_tiny")
    hub.install(small_module_folder(spec, tmp_path / "ernie_tiny"))


@pytest.fixture
def msra_ner(tmp_path: Path) -> Path:
    """A folder in PaddleHub's format with sentences whose entities can be learnt from single characters."""
    folder = tmp_path / "msra_ner"
    folder.mkdir()
    tags = {"北": "B-LOC", "京": "I-LOC", "新": "B-ORG", "华": "I-ORG", "社": "I-ORG"}
    texts = ["新华社北京5月7日电", "今天在北京会见了", "北京的新华社", "我们都是中国人"]
    for mode, count in {"train": 40, "dev": 4, "test": 4}.items():
        rows = [texts[index % 4] for index in range(count)]
        lines = ["\002".join(text) + "\t" + "\002".join(tags.get(c, "O") for c in text) for text in rows]
        (folder / f"{mode}.tsv").write_text("text_a\tlabel\n" + "\n".join(lines) + "\n", encoding="utf-8")
    return folder


def run(script: str, arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", [script, *arguments])
    runpy.run_path(str(EXAMPLES / script), run_name="__main__")


@pytest.mark.usefixtures("ernie_tiny")
def test_train_then_predict(
    tmp_path: Path, msra_ner: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoint = tmp_path / "ckpt"
    options = ["--data-dir", str(msra_ner), "--checkpoint-dir", str(checkpoint), "--max-seq-len", "32"]
    run("train.py", [*options, "--epochs", "16", "--batch-size", "4", "--learning-rate", "5e-3"], monkeypatch)
    assert "'f1': 1.0" in capsys.readouterr().out
    assert {"best_model", "epoch_16", "state", "visualization"} <= {path.name for path in checkpoint.iterdir()}

    run("predict.py", ["--checkpoint", str(checkpoint / "best_model")], monkeypatch)
    printed = capsys.readouterr().out.splitlines()
    texts = [line.removeprefix("Data: ") for line in printed if line.startswith("Data: ")]
    labels = [line.removeprefix("Label: ").split(", ") for line in printed if line.startswith("Label: ")]
    assert [len(row) for row in labels] == [len(text) for text in texts]
    assert labels[1][3:5] == ["B-LOC", "I-LOC"]
