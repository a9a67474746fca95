"""Exported graphs of every task: the whole answers are the module's, whatever computes them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.stats
from command_line import Hub
from tiny import CHARACTERS, LABELS, OWN, tiny_module

import hub_core as hub
from hub_core.errors import DataError, ExportError, SettingsError
from hub_core.examples import Example
from hub_core.export import module as exporting
from hub_core.export.module import Gate, export_module
from hub_core.exported import ExportedModule
from hub_core.torch_module import TorchModule

pytestmark = pytest.mark.filterwarnings("ignore:.*were cut to max_seq_len:UserWarning")

PAIRS = [("新华社", "新华社北京"), ("好", CHARACTERS), ("他们", "我们在"), ("国务院", "国务院副总理")]
TEXTS = ["新华社北京", "好", CHARACTERS * 2, "北京5月7日电"]
QUESTIONS = [("谁在北京", CHARACTERS * 2), ("好", "今天"), ("美国的总理是谁", CHARACTERS)]
MASKED = ["新华社[MASK]京", "今[MASK]在[MASK]海" + CHARACTERS, "[MASK]"]


@dataclass(frozen=True)
class Case:
    """A module to export, rows to ask it, and the formats that every run of the tests makes (the others are slow)."""

    family: str
    task: str
    rows: Sequence[Any]
    quick: tuple[str, ...]
    labels: tuple[str, ...] = ("different", "same")
    options: Mapping[str, Any] | None = None


CASES = {
    "matching-vectors": Case("bert", "text-matching", PAIRS, ("onnx",)),
    "matching-cosine": Case("ernie", "text-matching", PAIRS, ("torch",), options={"form": "cosine", "pooling": "cls"}),
    "matching-cross": Case("roberta", "text-matching", PAIRS, (), options={"form": "cross"}),
    "matching-bilstm": Case("bilstm", "text-matching", PAIRS, ("openvino",), options={"pooling": "last"}),
    "embedding": Case("bert", "embedding", [*TEXTS, *PAIRS], ("torch",)),
    "embedding-pooler": Case("bert", "embedding", TEXTS, (), options={"pooling": "pooler", "normalize": False}),
    "embedding-tokens": Case("bilstm", "embedding", TEXTS, (), options={"pooling": "tokens"}),
    "embedding-cnn": Case("cnn", "embedding", [*TEXTS, *PAIRS], (), options={"pooling": "max"}),
    "answers": Case("roberta", "question-answering", QUESTIONS, ("onnx",), options={"doc_stride": 8}),
    "answers-none": Case("electra", "question-answering", QUESTIONS, (), options={"null_threshold": -9.0}),
    "masked": Case("albert", "masked-lm", MASKED, ("torch",)),
    "masked-bert": Case("bert", "masked-lm", MASKED, (), options={"top_k": 3}),
    "several-labels": Case(
        "bow", "seq-cls", TEXTS, ("torch",), ("a", "b", "c"), {"problem": "multi-label", "threshold": [0.4, 0.5, 0.6]}
    ),
    "several-labels-bert": Case("bert", "seq-cls", [*TEXTS, *PAIRS], (), ("a", "b"), {"problem": "multi-label"}),
    "number": Case("cnn", "seq-cls", TEXTS, ("torch",), ("score",), {"problem": "regression"}),
    "number-bert": Case("bert", "seq-cls", [*TEXTS, *PAIRS], (), ("score",), {"problem": "regression"}),
}
PLACES = [
    pytest.param(name, format, marks=() if format in case.quick else pytest.mark.slow, id=f"{name}-{format}")
    for name, case in CASES.items()
    for format in ("onnx", "openvino", "torch")
]


def module_of(case: Case, folder: Path) -> TorchModule:
    layers = {} if case.family in OWN else {"num_hidden_layers": 1}
    return tiny_module(
        folder, family=case.family, task=case.task, labels=case.labels, task_options=case.options, **layers
    )


def same(found: Any, wanted: Any) -> None:
    """Answers that are alike in all that is told, numbers up to rounding."""
    assert type(found) is type(wanted)
    if isinstance(wanted, Mapping):
        assert found.keys() == wanted.keys()
        for name in wanted:
            same(found[name], wanted[name])
    elif isinstance(wanted, list):
        assert len(found) == len(wanted)
        for one, other in zip(found, wanted, strict=True):
            same(one, other)
    elif isinstance(wanted, float):
        assert found == pytest.approx(wanted, abs=2e-5)
    else:
        assert found == wanted


@pytest.mark.parametrize(("name", "format"), PLACES)
def test_the_whole_answer_is_the_modules(tmp_path: Path, name: str, format: str) -> None:
    case = CASES[name]
    module = module_of(case, tmp_path)
    export_module(module, tmp_path / "out", format=format)
    graph = hub.Module(directory=tmp_path / "out")
    assert isinstance(graph, ExportedModule)
    wanted = module.predict(case.rows, max_seq_len=40, dtype="float32")
    same(graph.predict(case.rows, max_seq_len=40, dtype="float32"), wanted)
    same(graph.predict(case.rows[:1], max_seq_len=40, dtype="float32"), wanted[:1])
    same(graph.predict(case.rows, max_seq_len=40, batch_size=1, dtype="float32"), wanted)
    same(graph.predict(case.rows * 3, max_seq_len=40, batch_size=5, dtype="float32"), wanted * 3)
    assert graph.predict([]) == []
    assert graph.graph.report["largest_difference"] < 1e-4
    if format == "onnx" and case.family not in OWN:  # ONNX Runtime's own operators
        written = (tmp_path / "out" / "graph.onnx").read_bytes()
        assert b"SkipLayerNormalization" in written
        assert b"BiasGelu" in written or case.family == "albert"  # whose gelu is the approximate one


def test_ways_of_asking_are_the_modules(tmp_path: Path) -> None:
    module = module_of(CASES["embedding"], tmp_path)
    export_module(module, tmp_path / "out", format="torch")
    graph = hub.Module(directory=tmp_path / "out")
    np.testing.assert_allclose(graph.get_embedding(TEXTS), module.get_embedding(TEXTS, dtype="float32"), atol=1e-5)
    (answer,) = graph.predict([PAIRS[0]])
    first, second = graph.get_embedding(PAIRS[0])
    assert answer["similarity"] == pytest.approx(float(first @ second), abs=1e-5)
    rows = [{"text": text} for text in TEXTS]
    same(graph.predict(rows), module.predict(rows, dtype="float32"))
    with pytest.raises(SettingsError, match="vectors of another kind need the module's weights"):
        graph.get_embedding(TEXTS, pooling="max")
    with pytest.raises(
        SettingsError, match=r"has a graph for embedding with pooling='mean', not 'max', and no weights"
    ):
        hub.Module(directory=tmp_path / "out", task_options={"pooling": "max"})
    with pytest.raises(SettingsError, match=r"has a graph for embedding, not for seq-cls, and no weights; export or"):
        hub.Module(directory=tmp_path / "out", task="seq-cls")
    with pytest.raises(SettingsError, match=r"is a graph already; export the module that it was made from"):
        export_module(graph, tmp_path / "again")
    changed = hub.Module(directory=tmp_path / "out", task_options={"max_seq_len": 12})
    assert [row["truncated"] for row in changed.predict(TEXTS)] == [False, False, True, False]


def joint_module(tmp_path: Path) -> TorchModule:
    """Entities, a mood, and another mood with the same labels, on one encoder."""
    parts = {"entities": tiny_module(tmp_path, labels=LABELS, seed=1)}
    shared = parts["entities"].family.encoder(parts["entities"].network).state_dict()
    for seed, name in enumerate(("mood", "later"), start=2):
        parts[name] = tiny_module(tmp_path, task="seq-cls", labels=("negative", "positive"), seed=seed)
        parts[name].family.encoder(parts[name].network).load_state_dict(shared, strict=False)
    first, second = (parts[name].family.encoder(parts[name].network) for name in ("mood", "later"))
    second.load_state_dict(first.state_dict())  # a classifier of texts has a pooler too
    return hub.combine(parts)


@pytest.mark.parametrize(
    "format", ["onnx", *(pytest.param(other, marks=pytest.mark.slow) for other in ("openvino", "torch"))]
)
def test_several_heads_are_one_graph(tmp_path: Path, format: str) -> None:
    module = joint_module(tmp_path)
    made = export_module(module, tmp_path / "out", format=format)
    assert made.outputs == ("logits.entities", "logits.mood", "logits.later")
    graph = hub.Module(directory=tmp_path / "out")
    wanted = module.predict(TEXTS, max_seq_len=40, dtype="float32")
    assert wanted[0].keys() == {"entities", "mood", "later"}
    same(graph.predict(TEXTS, max_seq_len=40, dtype="float32"), wanted)
    same(graph.predict(TEXTS[:1], max_seq_len=40, dtype="float32"), wanted[:1])
    same(graph.predict(TEXTS, max_seq_len=40, batch_size=1, dtype="float32"), wanted)
    short = [text for text in TEXTS if len(text) < 20]
    answers = module.predict(short, dtype="float32")
    for head in ("entities", "mood", "later"):
        same(
            hub.Module(directory=tmp_path / "out", head=head).predict(short, dtype="float32"),
            [row[head] for row in answers],
        )
    same(
        hub.Module(directory=tmp_path / "out", task="seq-cls").predict(short, dtype="float32"),
        [row["mood"] for row in answers],
    )


def test_heads_with_the_same_labels_are_told_apart_by_name(tmp_path: Path) -> None:
    module = joint_module(tmp_path)
    module.save(tmp_path / "both")
    answers = module.predict(TEXTS[:2], dtype="float32")
    for head in ("mood", "later"):
        alone = hub.Module(directory=tmp_path / "both", head=head)
        same(alone.predict(TEXTS[:2], dtype="float32"), [row[head] for row in answers])
    assert answers[0]["mood"] != answers[0]["later"]


def test_several_heads_are_not_measured_together(tmp_path: Path) -> None:
    module = joint_module(tmp_path)
    wanted = "answers for entities, mood, later together; pick one with task="
    with pytest.raises(SettingsError, match=wanted):
        export_module(module, tmp_path / "out", gate=Gate([Example("好", label="positive")]))
    with pytest.raises(SettingsError, match=wanted):
        export_module(module, tmp_path / "out", int8=True)
    assert not (tmp_path / "out").exists()


class Negated:
    """An engine whose logits have the other sign."""

    def __init__(self, engine: Any) -> None:
        self.engine, self.tokens_per_batch = engine, engine.tokens_per_batch

    def stream(self, batches: Any) -> Any:
        return (-logits for logits in self.engine.stream(batches))

    def constants(self) -> Mapping[str, Any]:
        return {}


def test_int8_is_measured_by_the_tasks_own_score(tmp_path: Path) -> None:
    module = module_of(CASES["number-bert"], tmp_path)
    texts = [CHARACTERS[start : start + 9] for start in range(0, 90, 3)]
    scores = [row["score"] for row in module.predict(texts)]
    right, reversed_gate = (
        Gate([Example(text, label=sign * score) for text, score in zip(texts, scores, strict=True)], max_loss=0.5)
        for sign in (1, -1)
    )
    # A random network's numbers lie closer together than int8 can tell: here it may lose all.
    graph = export_module(module, tmp_path / "int8", int8=True, gate=Gate(right.examples, max_loss=2))
    found = graph.report["accuracy"]
    assert (found["metric"], found["rows"], graph.precision) == ("spearman", len(texts), "int8")
    assert found["network"] == pytest.approx(1)
    answers = [row["score"] for row in hub.Module(directory=tmp_path / "int8").predict(texts)]
    assert found["graph"] == pytest.approx(scipy.stats.spearmanr(scores, answers).statistic)
    engine = Negated(module.predictor(dtype="auto").engine)
    with pytest.raises(ExportError, match=r"on 30 rows its spearman is -1\.0000 where the network's is 1\.0000"):
        exporting._accuracy(module, engine, right, "int8")  # type: ignore[arg-type]
    better = exporting._accuracy(module, engine, reversed_gate, "int8")  # type: ignore[arg-type]
    assert (better["network"], better["graph"]) == (pytest.approx(-1), pytest.approx(1))


def test_int8_of_vectors_needs_pairs(tmp_path: Path) -> None:
    module = module_of(CASES["embedding"], tmp_path)
    with pytest.raises(DataError, match=r"row 1: it has no second text(.|\n)*b\.tsv:2: it has no second text"):
        export_module(module, tmp_path / "out", int8=True, gate=Gate([Example("好"), Example("他", key="b.tsv:2")]))


def test_a_graph_computes_its_own_task_only(tmp_path: Path) -> None:
    for name, own in (
        ("bilstm-ner-zh", "token-cls"),
        ("bilstm-sentiment-zh", "seq-cls"),
        ("mini-sentiment-zh", "seq-cls"),
    ):
        assert isinstance(hub.Module(name, task=own, engine="auto"), ExportedModule)
        module = hub.Module(name, task="embedding", engine="auto")
        assert isinstance(module, TorchModule)
        np.testing.assert_allclose(
            [row["embedding"] for row in module.predict(TEXTS)],
            hub.Module(name).get_embedding(TEXTS, normalize=True),
            atol=1e-6,
        )
        remedy = rf"{name}\S* has a graph for {own}, not for embedding; engine torch computes .* `hub export \S* OUT "
        with pytest.raises(SettingsError, match=remedy + "--task embedding` makes a graph of it"):
            hub.Module(name, task="embedding", engine="onnx")
        with pytest.raises(SettingsError, match="cannot be replaced; engine torch computes that from the weights$"):
            hub.Module(name, task=own, label_map=["a", "b"], new_head=True, engine="onnx")


def test_from_the_shell(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shell = Hub(capsys)
    (row,) = shell("run", "bilstm-sentiment-zh", "房间很干净", "--task", "embedding", "--json").json
    assert len(row["embedding"]) == 192
    failed = shell.fails("run", "bilstm-sentiment-zh", "好", "--task", "embedding", "--engine", "onnx")
    assert "has a graph for seq-cls, not for embedding; engine torch" in failed
    out, options = tmp_path / "out", ("--task", "embedding", "--task-option", "pooling=max")
    shell("export", "bilstm-sentiment-zh", out, *options, "--format", "torch")
    (found,) = shell("run", out, "房间很干净", "--json").json
    (wanted,) = shell("run", "bilstm-sentiment-zh", "房间很干净", *options, "--json").json
    same(found, wanted)
    assert "is a graph already" in shell.fails("export", out, tmp_path / "again")
    heads = json.loads((out / "module.json").read_text())["heads"]
    assert [(head["task"], head["options"]) for head in heads] == [("embedding", {"pooling": "max"})]
    joint_module(tmp_path).save(tmp_path / "joint")
    reviews = "answers for entities, mood, later together; pick one with task="
    assert reviews in shell.fails("export", tmp_path / "joint", tmp_path / "none", "--data", tmp_path)
    assert "unknown task 'masked-lm'" in shell.fails(
        "export", "bilstm-ner-zh", tmp_path / "none", "--task", "masked-lm"
    )
