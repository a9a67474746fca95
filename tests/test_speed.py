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
from hub_core.export.module import export_module

#: How many times as fast as `transformers.pipeline(batch_size=32)`, measured on 2026-11-21 on one thread.
MEASURED = {"torch": 1.8, "onnx": 1.7}


@pytest.mark.filterwarnings("ignore")
def test_bulk_prediction_beside_the_pipeline(tmp_path: Path) -> None:
    sizes = {"hidden_size": 256, "num_attention_heads": 4, "intermediate_size": 1024}
    module, texts = make_module(2, "seq-cls", tmp_path, **sizes), make_texts(96)
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
