"""Reading comprehension: windows, the best span against a search over all, the loss of transformers, real data."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from command_line import Hub
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny import tiny_module, tiny_tokenizer

import hub_core as hub
from hub_core.data.dataset import Dataset
from hub_core.errors import DataError, SettingsError
from hub_core.examples import Answer, Example
from hub_core.tasks.question_answering import AnswerPrediction, QuestionAnswering, _windows
from hub_core.text.tokenizer import Tokenizer
from hub_core.torch_module import TorchModule
from hub_core.train.batches import encode_all, to_torch

CONTEXT = "新华社北京5月7日电 国务院副总理李岚清今天在中南海会见了美国前商务部长。"
ROW = {
    "question": "谁在中南海",
    "context": CONTEXT,
    "answers": [{"text": "李岚清", "answer_start": CONTEXT.index("李岚清")}],
}


@pytest.fixture
def module(tmp_path: Path) -> TorchModule:
    return tiny_module(tmp_path, task="question-answering", task_options={"max_seq_len": 64})


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    return tiny_tokenizer(tmp_path_factory.mktemp("vocabulary"))


@given(st.integers(0, 200), st.integers(1, 40), st.integers(1, 60))
def test_windows_hold_every_token(length: int, room: int, stride: int) -> None:
    windows = list(_windows(length, room, stride))
    assert {token for first, last in windows for token in range(first, last)} == set(range(length))
    assert all(last - first <= room for first, last in windows)
    for (_, end), (start, _) in itertools.pairwise(windows):
        assert end - start == min(stride, room // 2)


@settings(max_examples=60, deadline=None)
@given(st.text(alphabet="新华社北京ab 1，\n😀", min_size=1, max_size=60).filter(str.strip))
def test_offsets_name_the_characters_of_each_token(tokenizer: Tokenizer, text: str) -> None:
    ids, offsets = tokenizer.encode_with_offsets(text)
    assert ids == tokenizer.encode_text(text)
    base_ids, base = Tokenizer.encode_with_offsets(tokenizer, text)
    for found in (offsets, base):
        assert all(text[start:end].strip() for start, end in found)
        assert all(before[0] <= after[0] for before, after in itertools.pairwise(found))
    assert base_ids == ids
    assert len(base_ids) == len(base)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10_000), st.integers(20, 40), st.sampled_from([None, -1.0, 0.0, 2.0]), st.integers(1, 9))
def test_the_best_span_is_that_of_a_search_over_all(
    tokenizer: Tokenizer, seed: int, room: int, threshold: float | None, longest: int
) -> None:
    task = QuestionAnswering(
        (), {"null_threshold": threshold, "max_answer_length": longest, "n_best": 40, "doc_stride": 5}
    )
    example = Example("谁", CONTEXT)
    windows = task.encode(example, tokenizer, room)
    generator = np.random.default_rng(seed)
    logits = [generator.normal(size=(window.length, 2)).astype(np.float32) for window in windows]
    answer = task.decode(example, windows, logits, {})
    spans = {}
    for window, scores in zip(windows, logits, strict=True):
        first, offsets = window.meta.first, window.meta.offsets
        for start in range(len(offsets)):
            for end in range(start, min(len(offsets), start + longest)):
                span = int(offsets[start][0]), int(offsets[end][1])
                score = float(scores[first + start, 0] + scores[first + end, 1])
                spans[span] = max(score, spans.get(span, -np.inf))
    nothing = min(float(scores[0].sum()) for scores in logits)
    best = max(spans, key=lambda span: spans[span])
    if threshold is not None and nothing - spans[best] > threshold:
        assert answer.text == ""
    else:
        assert (answer.start, answer.end) == best
        assert answer.text == CONTEXT[best[0] : best[1]]
    assert [span.probability for span in answer.candidates] == sorted(
        (s.probability for s in answer.candidates), reverse=True
    )


def test_targets_stand_where_the_answer_does(tokenizer: Tokenizer) -> None:
    (example,) = Dataset.from_rows([ROW], task="question-answering")
    task = QuestionAnswering((), {"doc_stride": 4})
    windows = task.encode(example, tokenizer, 24)
    assert len(windows) > 1
    held = [window for window in windows if window.target.any()]
    assert held
    for window in held:
        first, last = window.target - window.meta.first
        assert CONTEXT[window.meta.offsets[first][0] : window.meta.offsets[last][1]] == "李岚清"


def test_the_loss_is_that_of_transformers(module: TorchModule) -> None:
    rows = Dataset.from_rows([ROW, {**ROW, "answers": []}, {**ROW, "question": "何时"}], task="question-answering")
    features = [row for found in encode_all(list(rows), module.task, module.tokenizer, 64) for row in found]
    batch = to_torch(module.task.collate(features, {"input_ids": module.tokenizer.pad_id}), torch.device("cpu"))
    full = {name: value[:, : int(batch.inputs["attention_mask"].sum(1).min())] for name, value in batch.inputs.items()}
    cut = batch.__class__({"main": full}, batch.targets, batch.weights)
    theirs = module.network(**full, start_positions=batch.targets[:, 0], end_positions=batch.targets[:, 1])
    torch.testing.assert_close(module.task.loss(module(full).logits, cut) / len(features), theirs.loss)


def test_padding_never_changes_an_answer_or_a_loss(module: TorchModule) -> None:
    questions = [("谁", CONTEXT), ("何时", CONTEXT[:9]), ("在哪里会见", CONTEXT * 3)]
    together = module.predict(questions, batch_size=8)
    for question, answer in zip(questions, together, strict=True):
        (alone,) = module.predict([question])
        assert alone["answer"] == answer["answer"]
        assert alone["probability"] == pytest.approx(answer["probability"], abs=1e-5)
        assert question[1][answer["start"] : answer["end"]] == answer["answer"]


def test_it_learns_and_is_saved(module: TorchModule, tmp_path: Path) -> None:
    import transformers

    rows = Dataset.from_rows(
        [
            ROW,
            {
                **ROW,
                "question": "会见了谁",
                "answers": {"text": ["商务部长"], "answer_start": [CONTEXT.index("商务部长")]},
            },
        ],
        task="question-answering",
    )
    optimizer = torch.optim.AdamW(module.parameters(), lr=5e-3)
    trainer = hub.Trainer(module, optimizer, checkpoint_dir=tmp_path / "ckpt", use_vdl=False)
    many = Dataset([*rows] * 20, [], task="question-answering")
    result = trainer.train(many, epochs=3, batch_size=2, eval_dataset=rows)
    assert result.best == {"f1": 1.0, "exact": 1.0}
    again = hub.Module(directory=tmp_path / "ckpt" / "best_model")
    assert again.predict([(ROW["question"], CONTEXT)])[0]["answer"] == "李岚清"
    assert again.predict([["会见了谁", CONTEXT]]) == ["商务部长"]
    _, report = transformers.AutoModelForQuestionAnswering.from_pretrained(
        tmp_path / "ckpt" / "best_model", output_loading_info=True
    )
    assert not report["missing_keys"]
    assert not report["unexpected_keys"]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (
            {"answers": [{"text": "李岚清", "answer_start": 3}]},
            "rows:1: answer '李岚清' does not stand at 3 of its context",
        ),
        ({"answers": [{"text": "李岚清"}]}, "rows:1: an answer needs a text and its answer_start"),
        ({"answers": {"text": ["李岚清"], "answer_start": []}}, "rows:1: answers need as many starts as texts"),
        ({"answers": "李岚清"}, "rows:1: answers must be a list"),
        ({"context": ""}, "rows:1: context is empty"),
        ({"question": None}, "rows:1: question must be a text, not None"),
    ],
)
def test_rows_that_cannot_be_learnt_are_named(changed: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        Dataset.from_rows([{**ROW, **changed}], task="question-answering")


def test_a_table_without_contexts_is_named(tmp_path: Path) -> None:
    (tmp_path / "train.jsonl").write_text(json.dumps({"question": "谁", "answers": []}) + "\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"train.jsonl:1: no column 'context'; there are: question, answers"):
        hub.datasets.folder_dataset(tmp_path, task="question-answering")


@pytest.mark.parametrize("item", ["谁", ("谁",), {"question": "谁"}, ("谁", " "), (1, 2)])
def test_questions_without_a_context_are_named(item: Any) -> None:
    with pytest.raises(DataError, match=r"data\[0\]: "):
        QuestionAnswering(()).example(item, key="data[0]")


def test_no_room_for_the_context_is_named(module: TorchModule) -> None:
    with pytest.raises(SettingsError, match="leaves no room for the context"):
        module.predict([("谁在中南海会见了", CONTEXT)], max_seq_len=10)


@pytest.mark.parametrize(("found", "score"), [("李岚清", 1), ("岚清", 0.8), ("", 0)])
def test_answers_are_measured_against_examples(found: str, score: float) -> None:
    example = Example("谁", CONTEXT, label=(Answer("李岚清", CONTEXT.index("李岚清")),))
    answer = AnswerPrediction(found, 0, len(found), 1.0, ())
    assert QuestionAnswering(()).metrics([example], [answer]) == {
        "f1": pytest.approx(score),
        "exact": float(score == 1),
    }


def test_from_the_shell(module: TorchModule, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    module.save(tmp_path / "saved")
    shell = Hub(capsys)
    shown = shell("run", tmp_path / "saved", "谁", "--text-pair", CONTEXT)
    assert shown.code == 0, shown.err
    assert "probability" in shown.out
    assert "expected a question and its context" in shell.fails("run", tmp_path / "saved", "谁")
    (tmp_path / "test.jsonl").write_text(json.dumps(ROW, ensure_ascii=False) + "\n", encoding="utf-8")
    measured = shell("evaluate", "--module", tmp_path / "saved", "--data", tmp_path, "--json").json
    assert {"f1", "exact"} <= measured.keys()
