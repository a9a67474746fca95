"""A small benchmark that runs each time: it fails where a ratio falls by more than a third of what it was.

Both sides take turns in one process, so that what else the machine does hits them alike. The large ones, with the
machine and the date, are in docs/performance.md.
"""

from __future__ import annotations

from pathlib import Path

import pytest

import hub_core as hub
from benchmarks.measure import Contender, best_seconds
from benchmarks.predict import make_module, make_texts, pipeline_of
from benchmarks.train import make_rows, with_hub, with_transformers
from hub_core.export.module import export_module

#: How many times as fast as `transformers.pipeline(batch_size=32)`, measured on 2026-11-21 on one thread.
MEASURED = {"torch": 1.8, "onnx": 1.7}
#: How many times as fast as `transformers.Trainer` at its defaults, measured on 2026-11-21 on one thread.
TRAINING = 1.75
SIZES = {"hidden_size": 256, "num_attention_heads": 4, "intermediate_size": 1024}


@pytest.mark.filterwarnings("ignore")
def test_bulk_prediction_beside_the_pipeline(tmp_path: Path) -> None:
    module, texts = make_module(2, "seq-cls", tmp_path, **SIZES), make_texts(96)
    export_module(module, tmp_path / "onnx")
    graph, pipeline = hub.Module(directory=tmp_path / "onnx"), pipeline_of(module)
    ways = [
        Contender("pipeline", lambda: pipeline(texts, batch_size=32)),
        Contender("torch", lambda: module.predict(texts, dtype="float32")),
        Contender("onnx", lambda: graph.predict(texts)),
    ]
    seconds = best_seconds(ways, rounds=5)
    for name, measured in MEASURED.items():
        ratio = seconds["pipeline"] / seconds[name]
        assert ratio > measured * 2 / 3, f"{name}: {ratio:.2f} times as fast as the pipeline, it was {measured}"


@pytest.mark.filterwarnings("ignore")
def test_training_beside_transformers_trainer(tmp_path: Path) -> None:
    rows, ways = make_rows(160), []
    for name, maker, options in (("transformers", with_transformers, {}), ("hub", with_hub, {"resume": "never"})):
        module = make_module(2, "token-cls", tmp_path, **SIZES)
        ways.append(Contender(name, maker(module, rows, tmp_path / name, **options)))
    seconds = best_seconds(ways, rounds=4)
    ratio = seconds["transformers"] / seconds["hub"]
    assert ratio > TRAINING * 2 / 3, f"{ratio:.2f} times as fast as transformers.Trainer, it was {TRAINING}"
