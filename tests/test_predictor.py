"""The predict path: order, batching, alignment, both forms of rows, and nothing of the caller's changed."""

from __future__ import annotations

import copy
import threading
import warnings
from collections.abc import Iterable, Iterator, Sequence
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tiny import CHARACTERS, LABELS, tiny_module

from hub_core.errors import DataError, DeviceError, SettingsError
from hub_core.examples import Batch, Example, TokenPrediction
from hub_core.infer.predictor import Predictor
from hub_core.torch_engine import chosen_dtype
from hub_core.torch_module import TorchModule

TEXTS = ["新华社北京5月7日电", "今天在中南海会见了美国前商务部长", "他", "GPU😀 ２０２６ a b", "国务院" * 30]


@pytest.fixture(scope="module", params=["bert", "bilstm"])
def tagger(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> TorchModule:
    return tiny_module(tmp_path_factory.mktemp("tagger"), family=request.param)


@pytest.fixture(scope="module", params=["bert", "bilstm"])
def classifier(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> TorchModule:
    folder = tmp_path_factory.mktemp("classifier")
    return tiny_module(folder, family=request.param, task="seq-cls", labels=("negative", "positive"))


def test_paddlehub_rows_get_one_label_per_character_and_two_more(tagger: TorchModule) -> None:
    data = [["\002".join(text)] for text in TEXTS]
    before = copy.deepcopy(data)
    results = tagger.predict(data, max_seq_len=50, batch_size=1, use_gpu=False)
    assert [len(result) for result in results] == [len(text) + 2 for text in TEXTS]
    assert all(result[0] == result[-1] == "O" for result in results)
    assert {label for result in results for label in result} <= set(LABELS)
    assert data == before
    assert tagger.predict(data, max_seq_len=50, batch_size=1, use_gpu=False) == results


@settings(max_examples=25, deadline=None)
@given(texts=st.lists(st.text(max_size=70), min_size=1, max_size=8), length=st.integers(5, 40), data=st.data())
def test_batch_size_and_order_never_change_a_label(
    tagger: TorchModule, texts: list[str], length: int, data: st.DataObject
) -> None:
    alone = [tagger.predict([text], max_seq_len=length)[0]["labels"] for text in texts]
    assert [len(labels) for labels in alone] == [len(text) for text in texts]
    order = data.draw(st.permutations(range(len(texts))))
    size = data.draw(st.integers(1, 9))
    together = tagger.predict([texts[index] for index in order], max_seq_len=length, batch_size=size)
    assert [answer["labels"] for answer in together] == [alone[index] for index in order]


def test_plain_rows_get_dictionaries(tagger: TorchModule, classifier: TorchModule) -> None:
    for text, answer in zip(TEXTS, tagger.predict(TEXTS), strict=True):
        for entity in answer["entities"]:
            assert text[entity["start"] : entity["end"]] == entity["text"]
            assert 0 <= entity["score"] <= 1
    (answer,) = classifier.predict(["今天天气很好"])
    assert set(answer) == {"label", "probability", "truncated"}
    assert answer["label"] in ("negative", "positive")
    assert 0.5 <= answer["probability"] <= 1
    (pair,) = classifier.predict([("今天", "天气")])
    assert pair["label"] in ("negative", "positive")


def test_paddlehub_rows_of_a_classifier_get_bare_labels(classifier: TorchModule) -> None:
    labels, probabilities = classifier.predict([["今天"], ["天气", "很好"]], return_prob=True)
    assert set(labels) <= {"negative", "positive"}
    assert [sum(row) for row in probabilities] == pytest.approx([1, 1])
    assert classifier.predict([["今天"], ["天气", "很好"]]) == labels


def test_cut_texts_are_marked_and_counted_once(classifier: TorchModule) -> None:
    with pytest.warns(UserWarning, match=r"^2 text\(s\) were cut to max_seq_len=8 tokens; a larger one") as caught:
        answers = classifier.predict(["中" * 20, "中国", "国" * 9], max_seq_len=8)
    assert [answer["truncated"] for answer in answers] == [True, False, True]
    assert len(caught) == 1
    assert caught[0].filename == __file__


def test_long_texts_are_read_whole_by_a_tagger(tagger: TorchModule) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        (answer,) = tagger.predict(["国务院副总理" * 100], max_seq_len=32)
    assert len(answer["labels"]) == 600


def test_nothing_in_nothing_out(tagger: TorchModule) -> None:
    assert tagger.predict([]) == []
    assert tagger.predict([""]) == [{"labels": [], "entities": []}]
    assert tagger.predict([[""]]) == [["O", "O"]]


def test_mistakes_are_named(tagger: TorchModule, classifier: TorchModule, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="expected a list of texts, not one text"):
        tagger.predict("新华社")
    for data in (None, b"ab", {"text": "ab"}, 3):
        with pytest.raises(DataError, match="data: expected a list of texts, not "):
            tagger.predict(data)  # type: ignore[arg-type]
    with pytest.raises(DataError, match=r"data\[1\]: expected a text or a list of tokens, not None"):
        tagger.predict(["a", None])
    with pytest.raises(SettingsError, match="split_char must be a character"):
        tagger.predict([["a"]], split_char="")
    with pytest.raises(SettingsError, match="batch_size must be a whole number, not 2.5"):
        tagger.predict(["a"], batch_size=2.5)  # type: ignore[arg-type]
    with pytest.raises(SettingsError, match="max_seq_len must be a whole number, not '8'"):
        tagger.predict(["a"], max_seq_len="8")  # type: ignore[arg-type]
    with pytest.raises(DataError, match=r"data\[1\]: rows must be all lists"):
        tagger.predict(["a", ["b"]])
    with pytest.raises(DataError, match=r"data\[1\]: the text is empty"):
        classifier.predict(["a", ""])
    with pytest.raises(SettingsError, match="batch_size must be at least 1, not 0"):
        tagger.predict(["a"], batch_size=0)
    with pytest.raises(SettingsError, match="without a task; pass task= and label_map="):
        tiny_module(tmp_path, task=None).predict(["a"])
    if tagger.spec.family == "bert":
        with pytest.raises(SettingsError, match="max_seq_len=65 is more than this network takes; at most 64"):
            tagger.predict(["a"], max_seq_len=65)


def test_paddlehub_rows_are_cut_at_their_separator_only(tagger: TorchModule) -> None:
    assert [len(row) for row in tagger.predict([["Hello"], ["Hello\002world"], ["a|b"]])] == [3, 4, 3]
    assert [len(row) for row in tagger.predict([["a|b"]], split_char="|")] == [4]


def test_parts_keep_their_own_mode(tagger: TorchModule) -> None:
    frozen = next(part for part in tagger.network.modules() if not list(part.children()))
    tagger.train()
    frozen.eval()
    try:
        before = [part.training for part in tagger.modules()]
        tagger.predict(TEXTS)
        assert [part.training for part in tagger.modules()] == before
        assert [part.training for part in copy.deepcopy(tagger).modules()] == before
        assert tagger.training
        assert not frozen.training
    finally:
        tagger.eval()


def test_an_error_in_the_network_leaves_training_mode(tagger: TorchModule, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(**inputs: Any) -> Any:
        raise RuntimeError("out of memory")

    monkeypatch.setattr(tagger.network, "forward", broken)
    tagger.train()
    try:
        with pytest.raises(RuntimeError, match="out of memory"):
            tagger.predict(TEXTS)
        assert all(part.training for part in tagger.modules())
        assert not torch.is_inference_mode_enabled()
    finally:
        tagger.eval()


def test_outputs_that_a_network_does_not_give(tmp_path: Path) -> None:
    module = tiny_module(tmp_path)
    inputs = module.get_tokenizer()(["中国"], return_tensors="pt")
    with pytest.raises(SettingsError, match="unknown output 'atentions' in want; did you mean 'attentions'"):
        module(inputs, want=("atentions",))
    with pytest.raises(SettingsError, match="gives no attentions .* attn_implementation='eager'"):
        module(inputs, want=("attentions",))
    module.network.set_attn_implementation("eager")  # type: ignore[operator]
    assert [tuple(layer.shape) for layer in module(inputs, want=("attentions",)).attentions] == [(1, 4, 4, 4)] * 2


def test_a_gpu_that_is_not_there(tagger: TorchModule, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(DeviceError, match="torch finds no CUDA device"):
        tagger.predict(["a"], use_gpu=True)


def test_threads_share_a_module(tagger: TorchModule) -> None:
    expected = tagger.predict(TEXTS)
    results: list[Any] = []
    threads = [threading.Thread(target=lambda: results.append(tagger.predict(TEXTS))) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    labels = [[answer["labels"] for answer in answers] for answers in results]
    assert labels == [[answer["labels"] for answer in expected]] * 6


def test_predicting_in_the_middle_of_training_leaves_training_mode(tagger: TorchModule) -> None:
    tagger.train()
    try:
        first = tagger.predict(TEXTS)
        assert tagger.training
        assert tagger.predict(TEXTS) == first
    finally:
        tagger.eval()


def rows_of(lengths: Sequence[int]) -> list[str]:
    return [(CHARACTERS * 3)[:length] for length in lengths]


class Counting:
    """An engine that notes the shape of every batch, over another one."""

    def __init__(self, engine: Any, tokens_per_batch: int) -> None:
        self._engine, self.tokens_per_batch = engine, tokens_per_batch
        self.shapes: list[tuple[int, int]] = []

    def run(self, batch: Batch) -> Any:
        self.shapes.append(batch.inputs["input_ids"].shape)
        return self._engine.run(batch)

    def stream(self, batches: Iterable[Batch]) -> Iterator[Any]:
        return map(self.run, batches)

    def constants(self) -> Any:
        return self._engine.constants()


@given(lengths=st.lists(st.integers(1, 40), max_size=30), tokens=st.integers(1, 300))
@settings(deadline=None, max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_batches_hold_so_many_tokens_and_answers_keep_their_order(
    tmp_path: Path, lengths: list[int], tokens: int
) -> None:
    whole = tiny_module(tmp_path, task="token-cls").predictor()
    engine = Counting(whole.engine, tokens)
    predictor = Predictor(whole.task, whole.tokenizer, engine, max_length=64)
    examples = [whole.task.example(text) for text in rows_of(lengths)]
    done: list[int] = []
    answers = list(predictor.predict(examples, progress=done.append))
    assert [len(answer.labels) for answer in answers if isinstance(answer, TokenPrediction)] == lengths
    assert sum(done) == len(lengths)
    assert all(rows == 1 or rows * width <= tokens for rows, width in engine.shapes)
    assert sum(rows for rows, _ in engine.shapes) == len(lengths)
    asked = Counting(whole.engine, tokens)
    again = Predictor(whole.task, whole.tokenizer, asked, max_length=64).predict(examples, batch_size=4)
    assert [answer.labels for answer in again] == [answer.labels for answer in answers]  # type: ignore[union-attr]
    assert all(rows <= 4 for rows, _ in asked.shapes)


def test_large_batches_have_little_padding(tmp_path: Path) -> None:
    whole = tiny_module(tmp_path, task="token-cls").predictor()
    engine = Counting(whole.engine, 32768)
    lengths = [4 + at % 57 for at in range(2000)]
    predictor = Predictor(whole.task, whole.tokenizer, engine, max_length=64)
    assert len(list(predictor.predict([whole.task.example(text) for text in rows_of(lengths)]))) == 2000
    tokens = sum(length + 2 for length in lengths)
    assert sum(rows * width for rows, width in engine.shapes) < 1.1 * tokens
    assert all(rows * width >= 4000 for rows, width in engine.shapes[:-1])
    assert len(engine.shapes) < 20


def test_a_stream_is_answered_window_by_window(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hub_core.infer.predictor.WINDOW", 4)
    predictor = tiny_module(tmp_path, task="token-cls").predictor()
    threads: set[str] = set()
    encode = predictor.task.encode

    def noted(*arguments: Any) -> Any:
        threads.add(threading.current_thread().name.partition("_")[0])
        return encode(*arguments)

    monkeypatch.setattr(predictor.task, "encode", noted)
    pulled: list[int] = []

    def endless() -> Iterator[Example]:
        for number in count():
            pulled.append(number)
            yield predictor.task.example("新华社"[: 1 + number % 3])

    answers = predictor.predict(endless())
    found = [next(answers) for _ in range(10)]
    answers.close()
    assert [len(answer.labels) for answer in found if isinstance(answer, TokenPrediction)] == [1, 2, 3] * 3 + [1]
    assert len(pulled) <= 16  # the windows of four that were answered, and the one after
    assert threads == {"MainThread", "hub-encode"}


def test_an_error_in_a_later_window_is_the_callers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hub_core.infer.predictor.WINDOW", 2)
    module = tiny_module(tmp_path, task="token-cls")
    with pytest.raises(DataError, match=r"data\[4\]"):
        module.predict(["新", "华", "社", "北", 7])


def test_lower_precision_follows_the_weights(tmp_path: Path) -> None:
    module = tiny_module(tmp_path, task="seq-cls", labels=("a", "b"))
    exact = module.predict(["新华社北京"], dtype="float32")[0]
    lower = module.predict(["新华社北京"], dtype="bfloat16")[0]
    assert lower["probability"] == pytest.approx(exact["probability"], abs=0.02)
    assert lower["probability"] != exact["probability"]
    copy = module.lowered.network(module.network, torch.bfloat16)
    assert module.lowered.network(module.network, torch.bfloat16) is copy
    with torch.no_grad():
        module.network.classifier.bias += torch.tensor([9.0, -9.0])
    assert module.predict(["新华社北京"], dtype="bfloat16")[0]["label"] == "a"
    assert module.network.classifier.weight.dtype == torch.float32


@pytest.mark.parametrize("options", [{}, {"fused": True}, {"foreach": True}])
def test_the_lower_copy_follows_what_is_learnt(tmp_path: Path, options: dict[str, bool]) -> None:
    module = tiny_module(tmp_path, task="seq-cls", labels=("a", "b"))
    before = module.predict(["新华社北京"], dtype="bfloat16")[0]["label"]
    optimizer = torch.optim.AdamW(module.parameters(), lr=0.1, **options)
    wanted = 1 - ("a", "b").index(before)
    inputs = {"input_ids": torch.tensor([[2, 5, 3]]), "attention_mask": torch.ones(1, 3, dtype=torch.long)}
    for _ in range(20):
        torch.nn.functional.cross_entropy(module(inputs).logits, torch.tensor([wanted])).backward()
        optimizer.step()
        optimizer.zero_grad()
    assert module.predict(["新华社北京"], dtype="float32")[0]["label"] != before
    assert module.predict(["新华社北京"], dtype="bfloat16")[0]["label"] != before


def test_precisions_that_cannot_be_used_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = tiny_module(tmp_path, task="seq-cls", labels=("a", "b"))
    with pytest.raises(SettingsError, match="unknown dtype 'bf16'; .*known: auto, bfloat16, float16, float32"):
        module.predict(["好"], dtype="bf16")
    with pytest.raises(SettingsError, match="dtype='float16' is for GPUs"):
        module.predict(["好"], dtype="float16")
    cpu = torch.device("cpu")
    for has, lowers, expected in [
        (True, True, torch.bfloat16),
        (True, False, torch.float32),
        (False, True, torch.float32),
    ]:
        monkeypatch.setattr("hub_core.torch_engine.has_bfloat16", lambda device, has=has: has)
        assert chosen_dtype("auto", cpu, lowers=lowers) is expected
    monkeypatch.undo()
    for said, expected in (("0", torch.float32), ("1", torch.bfloat16)):
        monkeypatch.setenv("HUB_BFLOAT16", said)
        assert chosen_dtype("auto", cpu, lowers=True) is expected
    for capability, expected in (("avx2", torch.float32), ("amx_bf16", torch.bfloat16)):
        monkeypatch.setenv("HUB_BFLOAT16", "")
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda capability=capability: {capability: True})
        assert chosen_dtype("auto", cpu, lowers=True) is expected
    assert tiny_module(tmp_path, family="bilstm").family.lowers is False
