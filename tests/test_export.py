"""Exported graphs: they answer as the module does, without what made them, and nothing unequal is written."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_line import Hub, write_reviews
from tiny import CHARACTERS, tiny_module

import hub_core as hub
from hub_core.errors import CheckpointError, DeviceError, ExportError, InstallError, SettingsError
from hub_core.export import module as exporting
from hub_core.export.module import Gate, export_module
from hub_core.exported import ExportedModule
from hub_core.infer import graphs
from hub_core.installation import install
from hub_core.torch_module import TorchModule

FORMATS = ("onnx", "openvino", "torch")
TEXTS = ["新华社北京", "好", CHARACTERS * 2, "北京5月7日电"]


@pytest.fixture
def hub_line(capsys: pytest.CaptureFixture[str]) -> Hub:
    return Hub(capsys)


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, str, str], tuple[TorchModule, Path]]:
    """Exports a tiny module of a family and a task, once each."""
    made: dict[tuple[str, str, str], tuple[TorchModule, Path]] = {}

    def make(family: str, task: str, format: str) -> tuple[TorchModule, Path]:
        if (family, task, format) not in made:
            folder = tmp_path_factory.mktemp("exported")
            labels = ("O", "B-PER", "I-PER") if task == "token-cls" else ("bad", "good")
            module = tiny_module(folder, family=family, task=task, labels=labels)
            export_module(module, folder / "out", format=format)
            made[family, task, format] = module, folder / "out"
        return made[family, task, format]

    return make


@pytest.mark.parametrize("format", ["onnx", "openvino"])
def test_a_signal_finds_its_way_after_a_graph(exported: Any, format: str) -> None:
    """What a runtime gives a thread for signals must not go before the thread does."""
    _, folder = exported("bilstm", "seq-cls", format)
    program = Path(__file__).with_name("signal_program.py")
    done = subprocess.run([sys.executable, program, folder], capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stdout) == (0, "interrupted\n"), done.stderr


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize(("family", "task"), [("bert", "seq-cls"), ("bilstm", "token-cls")])
def test_a_graph_answers_as_the_module(exported: Any, family: str, task: str, format: str) -> None:
    module, folder = exported(family, task, format)
    graph = hub.Module(directory=folder)
    assert isinstance(graph, ExportedModule)
    assert (graph.labels, graph.label_map) == (module.labels, module.label_map)
    with pytest.warns(UserWarning, match="were cut") if task == "seq-cls" else _nothing():
        wanted, found = (m.predict(TEXTS, max_seq_len=40, dtype="float32") for m in (module, graph))
    for one, other in zip(wanted, found, strict=True):
        name = "label" if task == "seq-cls" else "labels"
        assert one[name] == other[name]
    if task == "seq-cls":
        np.testing.assert_allclose(
            [row["probability"] for row in found], [row["probability"] for row in wanted], atol=1e-5
        )
    paddlehub = [["\002".join(text)] if task == "token-cls" else [text] for text in TEXTS[:2]]
    assert graph.predict(paddlehub, return_prob=True)[0] == module.predict(paddlehub, dtype="float32")
    report = json.loads((folder / "graph.json").read_text())["report"]
    assert report["largest_difference"] < 1e-4


def _nothing() -> Any:
    from contextlib import nullcontext

    return nullcontext()


@pytest.mark.parametrize("format", ["onnx", "openvino"])
def test_neither_torch_nor_transformers_is_needed(exported: Any, format: str, hub_home: Path) -> None:
    _, folder = exported("bert", "seq-cls", format)
    program = f"""
import sys
sys.modules["torch"] = sys.modules["transformers"] = None
from hub_core.cli import main
raise SystemExit(main(["run", {str(folder)!r}, "新华社北京", "--json"]))
"""
    environment = {**os.environ, "HUB_HOME": str(hub_home)}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)[0]["label"] in ("bad", "good")


def test_embedded_modules_answer_without_torch(hub_home: Path) -> None:
    program = """
import sys
sys.modules["torch"] = sys.modules["transformers"] = None
from hub_core.cli import main
raise SystemExit(main(["run", "bilstm-ner-zh", "国务院副总理李岚清", "--json"]))
"""
    environment = {**os.environ, "HUB_HOME": str(hub_home)}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert [entity["text"] for entity in json.loads(done.stdout)[0]["entities"]] == ["国务院", "李岚清"]


@pytest.mark.parametrize("name", ["bilstm-ner-zh", "bilstm-sentiment-zh"])
def test_the_graphs_of_embedded_modules_are_those_of_their_weights(name: str) -> None:
    module, graph = hub.Module(name), hub.Module(name, engine="onnx")
    assert isinstance(module, TorchModule) and isinstance(graph, ExportedModule)
    generator = np.random.default_rng(0)
    known = [token for token in module.tokenizer.get_vocab() if len(token) == 1]
    texts = ["".join(generator.choice(known, size)) for size in (1, 2, 9, 33, 120)]
    for one, other in zip(module.predict(texts), graph.predict(texts), strict=True):
        assert one.get("label") == other.get("label")
        assert one.get("labels") == other.get("labels")
    differing = exporting._difference(module, graph.predictor().engine, exact=True)
    assert differing < 1e-4


def test_weights_that_are_half_are_stored_half(tmp_path: Path) -> None:
    module = tiny_module(tmp_path, family="bilstm", vocab_size=20000)
    export_module(module, tmp_path / "whole")
    module.save(tmp_path / "half", dtype="float16")
    export_module(hub.Module(directory=tmp_path / "half"), tmp_path / "halved")
    whole, halved = ((tmp_path / name / "graph.onnx").stat().st_size for name in ("whole", "halved"))
    assert halved < 0.6 * whole


def test_which_engine_computes(exported: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module, folder = exported("bilstm", "token-cls", "onnx")
    assert isinstance(hub.Module("bilstm-ner-zh"), TorchModule)
    assert isinstance(hub.Module("bilstm-ner-zh", engine="auto"), ExportedModule)
    assert isinstance(hub.Module("bilstm-ner-zh", engine="torch"), TorchModule)
    fresh = hub.Module("bilstm-ner-zh", engine="auto", task="token-cls", label_map=["O"], new_head=True)
    assert isinstance(fresh, TorchModule)
    with pytest.raises(SettingsError, match=r"has a graph for onnx; `hub export .* OUT --format openvino` makes one"):
        hub.Module(directory=folder, engine="openvino")
    with pytest.raises(SettingsError, match="unknown engine 'onyx'; did you mean 'onnx'"):
        hub.Module(directory=folder, engine="onyx")
    module.save(tmp_path / "plain")
    with pytest.raises(SettingsError, match="has no graph; `hub export"):
        hub.Module(directory=tmp_path / "plain", engine="onnx")
    with pytest.raises(SettingsError, match="holds the graph of a trained head, which cannot be replaced"):
        hub.Module(directory=folder, task="token-cls", label_map=["O"], new_head=True)
    with pytest.raises(SettingsError, match="has a graph for onnx, and no weights, which torch would need; load the"):
        hub.Module(directory=folder, engine="torch")
    with pytest.raises(DeviceError, match="is for the CPU"):
        hub.Module(directory=folder).predict(["好"], use_gpu=True)
    with pytest.raises(SettingsError, match="has the precision it was made in; engine torch has others"):
        hub.Module(directory=folder).predict(["好"], dtype="bfloat16")
    monkeypatch.setattr(graphs, "can_run", lambda graph: False)
    with pytest.raises(SettingsError, match="an exported onnx graph needs onnxruntime; `pip install"):
        hub.Module(directory=folder).predict(["好"])


def test_damaged_graphs_are_named(exported: Any, tmp_path: Path) -> None:
    module = tiny_module(tmp_path, family="bilstm")
    export_module(module, tmp_path / "out")
    (tmp_path / "out" / "graph.onnx").write_bytes(b"damaged")
    with pytest.raises(CheckpointError, match=r"graph\.onnx cannot be loaded by onnxruntime"):
        hub.Module(directory=tmp_path / "out").predict(["好"])
    (tmp_path / "out" / "graph.onnx").unlink()
    with pytest.raises(CheckpointError, match=r"lacks graph\.onnx, which its graph\.json names"):
        hub.Module(directory=tmp_path / "out")
    (tmp_path / "out" / "graph.json").write_text("{}")
    with pytest.raises(CheckpointError, match=r"graph\.json cannot be read"):
        hub.Module(directory=tmp_path / "out")


def test_int8_is_measured_and_may_be_refused(tmp_path: Path) -> None:
    module = tiny_module(tmp_path, task="seq-cls", labels=("a", "b"))
    texts = [CHARACTERS[start : start + 9] for start in range(0, 90, 3)]
    answers = [row["label"] for row in module.predict(texts)]
    rows = list(hub.datasets.Dataset.from_rows(list(zip(texts, answers, strict=True)), task="seq-cls"))
    graph = export_module(module, tmp_path / "int8", int8=True, gate=Gate(rows, max_loss=0.2))
    assert graph.precision == "int8"
    assert graph.report["accuracy"]["network"] == 1.0
    assert graph.report["accuracy"]["graph"] >= 0.8
    assert b"MatMulInteger" in (tmp_path / "int8" / "graph.onnx").read_bytes()
    wrong = [hub.datasets.Dataset.from_rows([(row.text, "a"), (row.text, "b")], task="seq-cls")[0] for row in rows]
    with pytest.raises(ExportError, match="it may lose -2 at most"):
        export_module(module, tmp_path / "refused", int8=True, gate=Gate(wrong, max_loss=-2))
    assert not (tmp_path / "refused").exists()


def test_a_graph_that_differs_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = tiny_module(tmp_path, family="bilstm", task="seq-cls", labels=("a", "b"))
    opened = exporting.open_graph

    def shifted(*arguments: Any, **options: Any) -> Any:
        engine: Any = opened(*arguments, **options)
        run = engine.run
        engine.run = lambda batch: run(batch) + 0.01
        return engine

    monkeypatch.setattr(exporting, "open_graph", shifted)
    with pytest.raises(ExportError, match=r"differs from the network by 0\.01 in its logits"):
        export_module(module, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_graph_that_fails_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = tiny_module(tmp_path, family="bilstm", task="seq-cls", labels=("a", "b"))

    def failing(*_: Any) -> Any:
        raise ValueError("invalid expand shape")

    monkeypatch.setattr(graphs.ProgramEngine, "_run", failing)
    with pytest.raises(
        ExportError, match=r"the graph of tiny 1\.0\.0 cannot read 1 row\(s\) of 3 tokens: invalid expand"
    ):
        export_module(module, tmp_path / "out", format="torch")
    assert not (tmp_path / "out").exists()


def test_what_cannot_be_exported(tmp_path: Path) -> None:
    module = tiny_module(tmp_path, family="bilstm")
    with pytest.raises(SettingsError, match="unknown format 'onx' to export to; did you mean 'onnx'"):
        export_module(module, tmp_path / "out", format="onx")
    with pytest.raises(SettingsError, match="int8 graphs are made for ONNX Runtime"):
        export_module(module, tmp_path / "out", format="openvino", int8=True)
    with pytest.raises(SettingsError, match="an int8 graph needs labelled rows"):
        export_module(module, tmp_path / "out", int8=True)
    with pytest.raises(SettingsError, match="has no rows"):
        export_module(module, tmp_path / "out", int8=True, gate=Gate([]))
    with pytest.raises(SettingsError, match="was loaded without a task"):
        export_module(tiny_module(tmp_path, task=None), tmp_path / "out")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    with pytest.raises(CheckpointError, match="is not a module folder and holds notes"):
        export_module(module, tmp_path / "mine")


def test_a_missing_package_and_a_full_disk_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = tiny_module(tmp_path, family="bilstm")
    with monkeypatch.context() as patch:
        patch.setattr(exporting, "find_spec", lambda name: None)
        with pytest.raises(SettingsError, match=r"needs onnx; `pip install 'hub_core\[export\]'` brings it"):
            export_module(module, tmp_path / "out")

    def full(*arguments: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(exporting, "save_onnx", full)
    with pytest.raises(CheckpointError, match="out could not be written: No space left on device"):
        export_module(module, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_graph_can_be_installed(exported: Any, tmp_path: Path) -> None:
    _, folder = exported("bilstm", "token-cls", "onnx")
    item = install(folder)
    assert isinstance(hub.Module(item.spec.name), ExportedModule)
    _, folder = exported("bilstm", "token-cls", "torch")
    with pytest.raises(InstallError, match=r"holds graph\.pt2, which a module may not have"):
        install(folder, as_name="other")


def test_the_command_line(hub_line: Hub, tmp_path: Path) -> None:
    reviews = write_reviews(tmp_path / "reviews")
    module = tiny_module(tmp_path, family="bilstm", task="seq-cls", labels=("0", "1"))
    module.save(tmp_path / "m")
    out = tmp_path / "out"
    record = hub_line("export", tmp_path / "m", out, "--data", reviews, "--max-loss", 1, "--json").json
    assert (record["folder"], record["format"], record["precision"]) == (str(out), "onnx", "float32")
    assert record["network"] == record["graph"]
    assert "largest_difference  " in hub_line("export", tmp_path / "m", out).out
    wanted, found = (hub_line("run", tmp_path / name, "好差", "--json").json for name in ("m", "out"))
    assert wanted[0]["label"] == found[0]["label"]
    assert hub_line("evaluate", "-m", out, "--data", reviews, "--split", "dev", "--json").json["rows"] > 0
    assert "has a graph for onnx" in hub_line.fails("run", out, "好", "--engine", "openvino")
    dev = (reviews / "dev.tsv").read_text(encoding="utf-8").replace("text_a", "words", 1)
    (reviews / "dev.tsv").write_text(dev, encoding="utf-8")
    named = ("--columns", "words=text", "--max-loss", 1, "--json")
    again = hub_line("export", tmp_path / "m", tmp_path / "again", "--data", reviews, *named).json
    assert again["graph"] == record["graph"]
    assert "needs labelled rows to be measured on: --data" in hub_line.fails("export", tmp_path / "m", out, "--int8")
    assert "is not trained for a task yet" in hub_line.fails("export", "ernie", out)
