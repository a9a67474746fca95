"""Vectors of texts: matching and embedding, against sentence-transformers, numpy, and by what they learn."""

from __future__ import annotations

import json
import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from command_line import Hub
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny import OWN, tiny_module

import hub_core as hub
from hub_core.data.dataset import Dataset
from hub_core.errors import DataError, LabelError, SettingsError
from hub_core.nn.contrast import cosent, in_batch
from hub_core.tasks.embedding import Embedding
from hub_core.tasks.text_matching import TextMatching
from hub_core.torch_module import TorchModule
from hub_core.train.batches import encode_all, to_torch

TEXTS = ["新华社北京月日电", "今天在中南海会见了美国", "他", "国务院副总理李岚清", "新华社北京"]
PAIRS = list(zip(TEXTS, TEXTS[1:] + TEXTS[:1], strict=True))
SAME = ("different", "same")


@pytest.fixture(params=["vectors", "cosine", "cross"])
def matching(request: pytest.FixtureRequest, tmp_path: Path) -> TorchModule:
    return tiny_module(tmp_path, task="text-matching", labels=SAME, task_options={"form": request.param})


def embedding(tmp_path: Path, family: str = "bert", **options: Any) -> TorchModule:
    return tiny_module(tmp_path, family=family, task="embedding", task_options=options)


def test_pairs_are_answered_one_by_one_as_together(matching: TorchModule) -> None:
    together = matching.predict(PAIRS, batch_size=3)
    for pair, answer in zip(PAIRS, together, strict=True):
        (alone,) = matching.predict([pair])
        assert alone["label"] == answer["label"]
        assert alone["probability"] == pytest.approx(answer["probability"], abs=1e-5)


def test_matching_saved_and_loaded_answers_the_same(matching: TorchModule, tmp_path: Path) -> None:
    matching.save(tmp_path / "saved")
    again = hub.Module(directory=tmp_path / "saved")
    assert again.predict(PAIRS) == matching.predict(PAIRS)
    assert again.task.options == matching.task.options


def test_the_classifier_of_vectors_is_sentence_berts(tmp_path: Path) -> None:
    module = tiny_module(tmp_path, task="text-matching", labels=SAME)
    state = module.network.state_dict()
    vectors = module.get_embedding([text for pair in PAIRS for text in pair], pooling="mean").astype(np.float64)
    first, second = vectors[0::2], vectors[1::2]
    logits = np.concatenate([first, second, abs(first - second)], 1) @ state["classifier.weight"].numpy().T
    logits += state["classifier.bias"].numpy()
    expected = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    _, found = module.predict([list(pair) for pair in PAIRS], return_prob=True)
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("family", ["bert", *OWN])
def test_matching_learns(tmp_path: Path, family: str) -> None:
    module = tiny_module(tmp_path, family=family, task="text-matching", labels=SAME)
    rows = [(text, text, "same") for text in TEXTS] + [(*pair, "different") for pair in PAIRS]
    data = Dataset.from_rows(rows * 20, task="text-matching", label_list=SAME)
    optimizer = torch.optim.AdamW(module.parameters(), lr=1e-2)
    trainer = hub.Trainer(module, optimizer, checkpoint_dir=tmp_path / "ckpt", use_vdl=False)
    result = trainer.train(data, epochs=3, batch_size=10, eval_dataset=data[:10])
    assert result.best is not None
    assert result.best["accuracy"] == 1


@pytest.mark.parametrize("item", ["一", ("一",), {"text": "一"}, ["一", ""]])
def test_half_a_pair_is_named(item: Any) -> None:
    with pytest.raises(DataError, match=r"data\[0\]: (expected a pair|the text is empty)"):
        TextMatching(SAME).example(item, key="data[0]")


def test_a_table_with_half_a_pair_is_named(tmp_path: Path) -> None:
    (tmp_path / "train.tsv").write_text("text_a\ttext_b\tlabel\n一\t二\tsame\n三\t\tsame\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"train.tsv:3: text_b is empty"):
        hub.datasets.folder_dataset(tmp_path, task="text-matching")
    (tmp_path / "train.tsv").write_text("text_a\tlabel\n一\tsame\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"train.tsv:1: no column 'text_b' or 'text_pair'"):
        hub.datasets.folder_dataset(tmp_path, task="text-matching")


def test_cosine_has_two_labels() -> None:
    with pytest.raises(LabelError, match="form 'cosine' has two labels"):
        TextMatching(("a", "b", "c"), {"form": "cosine"})


@pytest.mark.parametrize("pooling", ["mean", "cls", "max", "last"])
@pytest.mark.parametrize("normalize", [True, False])
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")
def test_sentence_transformers_opens_the_folder(tmp_path: Path, pooling: str, normalize: bool) -> None:
    from sentence_transformers import SentenceTransformer

    module = embedding(tmp_path, pooling=pooling, normalize=normalize, max_seq_len=16)
    module.save(tmp_path / "saved")
    theirs = SentenceTransformer(str(tmp_path / "saved"), device="cpu").encode(TEXTS)
    np.testing.assert_allclose(module.get_embedding(TEXTS), theirs, atol=1e-5)
    again = hub.Module(directory=tmp_path / "saved")
    np.testing.assert_array_equal(again.get_embedding(TEXTS), module.get_embedding(TEXTS))


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 1000), rows=st.integers(2, 7), texts=st.integers(2, 4))
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_losses_are_those_of_sentence_transformers(seed: int, rows: int, texts: int) -> None:
    from sentence_transformers.losses import CoSENTLoss, MultipleNegativesRankingLoss

    generator = torch.Generator().manual_seed(seed)
    vectors = torch.randn(rows, texts, 8, generator=generator)
    targets = torch.randint(0, 3, (rows,), generator=generator).float() / 2
    weights = torch.ones(rows)
    ranking = MultipleNegativesRankingLoss(torch.nn.Identity(), scale=20.0)  # type: ignore[arg-type]
    theirs = ranking.compute_loss_from_embeddings(list(vectors.unbind(1)), None)
    torch.testing.assert_close(in_batch(vectors, weights, scale=20.0) / rows, theirs)
    order = CoSENTLoss(torch.nn.Identity(), scale=20.0)  # type: ignore[arg-type]
    theirs = order.compute_loss_from_embeddings(list(vectors[:, :2].unbind(1)), targets)
    torch.testing.assert_close(cosent(vectors[:, 0], vectors[:, 1], targets, weights, scale=20.0) / rows, theirs)


@pytest.mark.parametrize("loss", ["cosent", "in-batch"])
@pytest.mark.parametrize("family", ["bert", "bow"])
def test_embeddings_learn(tmp_path: Path, family: str, loss: str) -> None:
    module = embedding(tmp_path, family=family, loss=loss)
    # Which texts belong together has nothing to do with their characters.
    rows = [(*pair, 1) for pair in PAIRS] + [(text, other, 0) for (text, _), (_, other) in pairwise(PAIRS)]
    data = Dataset.from_rows(rows * 8, task="embedding")
    optimizer = torch.optim.AdamW(module.parameters(), lr=3e-3)
    trainer = hub.Trainer(module, optimizer, checkpoint_dir=tmp_path / "ckpt", use_vdl=False)
    before = trainer.evaluate(data)["metrics"]
    result = trainer.train(data, epochs=8, batch_size=9, eval_dataset=data)
    assert result.best is not None
    assert result.best["spearman"] > max(0.6, before["spearman"] + 0.2)
    assert result.best["recall@10"] == 1


def test_rows_without_labels_learn_from_hard_negatives(tmp_path: Path) -> None:
    module = embedding(tmp_path)
    data = Dataset.from_rows(
        [(text, text[::-1], 1) for text in TEXTS] + [(*pair, 0) for pair in PAIRS], task="embedding"
    )
    mined = hub.mine_negatives(module, data, count=2)
    assert [row.text for row in mined] == TEXTS
    for row in mined:
        negatives = row.columns["negative"]
        assert row.label is None
        assert len(set(negatives)) == 2
        assert not {row.text, row.pair} & set(negatives)
    trainer = hub.Trainer(
        module, torch.optim.SGD(module.parameters(), lr=0.1), checkpoint_dir=tmp_path / "c", use_vdl=False
    )
    trainer.train(mined, epochs=1, batch_size=5)
    with pytest.raises(SettingsError, match="too few for 9 negatives"):
        hub.mine_negatives(module, data, count=9)


def test_the_nearest_texts_are_mined(tmp_path: Path) -> None:
    module = embedding(tmp_path)
    data = Dataset.from_rows(
        [(text, text[::-1], 1) for text in TEXTS] + [(*pair, 0) for pair in PAIRS], task="embedding"
    )
    pool = list(dict.fromkeys(row.pair for row in data))
    vectors = dict(zip(pool, module.get_embedding(pool, normalize=True), strict=True))
    for row in hub.mine_negatives(module, data, count=1):
        (own,) = module.get_embedding([row.text], normalize=True)
        (negative,) = row.columns["negative"]
        allowed = [text for text in pool if text not in (row.text, row.pair)]
        assert own @ vectors[negative] == pytest.approx(max(own @ vectors[text] for text in allowed), abs=1e-5)


def test_negatives_from_the_shell(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    module = embedding(tmp_path)
    module.save(tmp_path / "module")
    rows = [(text, text[::-1], 1) for text in TEXTS] + [(*pair, 0) for pair in PAIRS]
    lines = ["text_a\ttext_b\tlabel", *("\t".join(map(str, row)) for row in rows)]
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "dev.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    shell, mined = Hub(capsys), tmp_path / "mined" / "train.jsonl"
    asked = ["-m", tmp_path / "module", "--data", tmp_path / "data", "--split", "dev", "--count", "2"]
    said = shell("data", "negatives", *asked, "--output", mined, "--json").json
    found = [json.loads(line) for line in mined.read_text(encoding="utf-8").splitlines()]
    assert said == {"table": str(mined), "rows": len(TEXTS), "negatives": 2 * len(TEXTS)}
    data = Dataset.from_rows(rows, task="embedding")
    expected = [list(row.columns["negative"]) for row in hub.mine_negatives(module, data, count=2)]
    assert [row["negative"] for row in found] == expected
    trained = ["train", "-m", tmp_path / "module", "--task", "embedding", "--data", mined.parent, "--dev-split", ""]
    assert shell(*trained, "--epochs", "1", "--no-tensorboard", "--output", tmp_path / "ckpt").code == 0
    wrong = shell("data", "negatives", *asked, "--output", tmp_path / "mined.tsv")
    assert wrong.code == 2
    assert wrong.err.startswith(f"error: --output must end in .jsonl, which {tmp_path / 'mined.tsv'} does not")


def test_a_pair_has_a_similarity_and_a_text_a_vector(tmp_path: Path) -> None:
    module = embedding(tmp_path)
    (pair,) = module.predict([PAIRS[0]])
    first, second = module.get_embedding(list(PAIRS[0]))
    assert pair["similarity"] == pytest.approx(float(first @ second), abs=1e-6)
    (text,) = module.predict([TEXTS[0]])
    np.testing.assert_allclose(text["embedding"], first, atol=1e-6)


@pytest.mark.parametrize("family", ["bert", *OWN])
def test_every_module_gives_vectors_whatever_its_task(tmp_path: Path, family: str) -> None:
    labels = ("a", "b")
    module = tiny_module(tmp_path, family=family, task="seq-cls", labels=labels)
    before = module.predict(TEXTS)
    vectors = module.get_embedding(TEXTS)
    alone = np.concatenate([module.get_embedding([text]) for text in TEXTS])
    np.testing.assert_allclose(vectors, alone, atol=1e-5)
    assert module.predict(TEXTS) == before
    unit = module.get_embedding(TEXTS, normalize=True)
    np.testing.assert_allclose(unit, vectors / np.linalg.norm(vectors, axis=1, keepdims=True), atol=1e-6)


def test_paddlehubs_form_has_the_tokens_too(tmp_path: Path) -> None:
    module = tiny_module(tmp_path, task=None)
    rows = module.get_embedding([[text] for text in TEXTS], pooling="cls")
    for text, (vector, tokens) in zip(TEXTS, rows, strict=True):
        assert len(tokens) == len(module.tokenizer.encode(text))
        np.testing.assert_allclose(vector, tokens[0], atol=1e-6)


def test_a_network_without_a_pooler_says_so(tmp_path: Path) -> None:
    module = tiny_module(tmp_path, family="electra", task=None)
    with pytest.raises(SettingsError, match="this network has no pooler"):
        module.get_embedding(TEXTS, pooling="pooler")


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{"text": "一", "text_b": "二"}, {"text": "三"}], "rows:2: the second text is missing"),
        ([{"text": "一", "text_b": "二", "label": "x"}], "rows:1: the label must be a number, not 'x'"),
        ([{"text": "一", "text_b": "二", "label": 3}], "rows:1: the label must be a number from 0 to 1, not 3"),
        ([{"text": "一", "text_b": "二", "label": "-1"}], "rows:1: the label must be a number from 0 to 1, not -1"),
        ([{"text": "一", "text_b": "二", "negative": [""]}], "rows:1: negative has an empty text"),
    ],
)
def test_rows_that_teach_nothing_are_named(rows: list[Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        Dataset.from_rows(rows, task="embedding")


def test_rows_of_a_batch_have_equally_many_texts(tmp_path: Path) -> None:
    module = embedding(tmp_path)
    data = Dataset.from_rows(
        [{"text": "一", "text_b": "二"}, {"text": "三", "text_b": "四", "negative": "五"}], task="embedding"
    )
    features = [row for rows in encode_all(list(data), module.task, module.tokenizer, 16) for row in rows]
    batch = module.task.collate(features, {})
    with pytest.raises(DataError, match="rows:2: 1 negative, others have 0"):
        module.task.loss(torch.zeros(5, 8), batch)


def test_texts_and_pairs_are_answered_together(tmp_path: Path) -> None:
    module = embedding(tmp_path)
    rows = [("新华社", "新华社北京"), "好", ("他们", "我们在"), "国务院"]
    for row, answer in zip(rows, module.predict(rows, dtype="float32"), strict=True):
        (alone,) = module.predict([row], dtype="float32")
        assert answer.keys() == alone.keys()
        name = "embedding" if isinstance(row, str) else "similarity"
        assert answer[name] == pytest.approx(alone[name], abs=1e-6)


def test_weights_count_only_rows_that_match(tmp_path: Path) -> None:
    module = embedding(tmp_path, loss="in-batch")
    data = Dataset.from_rows([("一", "是", 1), ("了", "不", 0), ("在", "人", 1)], task="embedding")
    features = [row for rows in encode_all(list(data), module.task, module.tokenizer, 16) for row in rows]
    batch = module.task.collate(features, {"input_ids": 0})
    assert module.task.loss_weight(batch) == 2
    loss = module.task.loss(
        module(to_torch(batch, torch.device("cpu")).inputs).logits, to_torch(batch, torch.device("cpu"))
    )
    assert loss.requires_grad
    assert torch.isfinite(loss)


@pytest.mark.parametrize(
    ("options", "message"), [({"pooling": "sum"}, "pooling"), ({"scale": -1}, "scale"), ({"normalize": 1}, "normalize")]
)
def test_options_of_embedding_are_checked(options: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        Embedding((), options)


def test_from_the_shell(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shell = Hub(capsys)
    tiny_module(tmp_path, task=None).save(tmp_path / "base")
    folder = tmp_path / "data"
    folder.mkdir()
    lines = [f"{a}\t{b}\t{int(a == b)}" for a, b in [*PAIRS, *((text, text) for text in TEXTS)]]
    for split in ("train", "dev"):
        (folder / f"{split}.tsv").write_text("\n".join(["text_a\ttext_b\tlabel", *lines]) + "\n", encoding="utf-8")
    shown = shell("run", tmp_path / "base", TEXTS[0], "--task", "embedding", "--json").json
    assert len(shown[0]["embedding"]) == 32
    with torch.random.fork_rng():
        done = shell(
            *("train", "--module", tmp_path / "base", "--task", "embedding", "--data", folder, "--epochs", 1),
            *("--checkpoint-dir", tmp_path / "ckpt", "--no-tensorboard"),
        )
    assert done.code == 0, done.err
    assert "spearman" in done.out
    pair = shell("run", tmp_path / "ckpt" / "best_model", TEXTS[0], "--text-pair", TEXTS[1])
    assert pair.code == 0, pair.err
    assert "similarity" in pair.out
    rows = [{"text": "一", "text_b": "二", "negative": ["三", "四"][:count]} for count in (1, 2)]
    (folder / "odd.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    said = shell.fails(
        *("train", "--module", tmp_path / "base", "--task", "embedding", "--data", folder, "--train-split", "odd"),
        *("--dev-split", "", "--checkpoint-dir", tmp_path / "other", "--no-tensorboard"),
    )
    assert f"{folder}/odd.jsonl:" in said
    assert re.search(r"2 negatives, others have 1|1 negative, others have 2", said)
