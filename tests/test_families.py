"""Architectures of `transformers`, by their numbers alone: built, saved, loaded, and answering at full length."""

from __future__ import annotations

import logging
import threading
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny import SMALL, VOCABULARY, tiny_module, tiny_tokenizer

import hub_core as hub
from hub_core.errors import CheckpointError, LabelError, ManifestError, NotFoundError
from hub_core.nn.families import _OFFSET_POSITIONS, TransformersFamily
from hub_core.spec import WEIGHTS, HeadSpec

SIZES = {**SMALL, "vocab_size": len(VOCABULARY), "embedding_size": 32, "max_position_embeddings": 40}
SPECIAL = {"pad_token_id": 0, "bos_token_id": 2, "eos_token_id": 3, "cls_token_id": 2, "sep_token_id": 3}
SPECIALS = {
    "modernbert": SPECIAL,
    "rembert": {**SPECIAL, "input_embedding_size": 16},
    "t5": {"d_model": 32, "num_layers": 2, "d_kv": 8, "d_ff": 64, **SPECIAL, "decoder_start_token_id": 0},
}
FAMILIES = ("albert", "bert", "deberta-v2", "distilbert", "electra", "megatron-bert", "modernbert", "mpnet", "rembert")
ROBERTAS = ("roberta", "xlm-roberta", "camembert", "roberta-prelayernorm")


def config_of(family: str) -> dict[str, Any]:
    return {**SIZES, **SPECIALS.get(family, {"pad_token_id": 0})}


def hf_folder(folder: Path, family: str, kind: str = "Model", **config: Any) -> Path:
    """What `transformers` itself saves: a network of a family (``Model``: without a head) and a tokenizer."""
    import transformers

    full = transformers.AutoConfig.for_model(family, **{**config_of(family), **config})
    torch.manual_seed(0)
    getattr(transformers, f"Auto{kind}").from_config(full).save_pretrained(folder)
    tokenizer = tiny_tokenizer(folder.parent).to_transformers()
    tokenizer.model_input_names = ["input_ids", "attention_mask"]
    tokenizer.save_pretrained(folder)
    return folder


@pytest.mark.parametrize("task", ["seq-cls", "token-cls"])
@pytest.mark.parametrize("family", [*FAMILIES, *ROBERTAS])
def test_a_list_is_answered_as_its_rows_are_at_full_length(tmp_path: Path, family: str, task: str) -> None:
    module = hub.Module(directory=hf_folder(tmp_path / "hf", family), task=task, label_map=["a", "b"], new_head=True)
    longest = 40 - {"mpnet": 2, **dict.fromkeys(ROBERTAS, 1)}.get(family, 0)  # the padding id is 0, and MPNet's 1
    assert module.predictor().max_length == longest
    texts = ["中" * (longest - 2), "国务院", "新华社北京" * 3]
    together = module.predict(texts, max_seq_len=longest)
    for text, answer in zip(texts, together, strict=True):
        (alone,) = module.predict([text], max_seq_len=longest)
        assert answer == pytest.approx(alone, abs=1e-5) if task == "seq-cls" else answer["labels"] == alone["labels"]
    module.save(tmp_path / "saved")
    assert hub.Module(directory=tmp_path / "saved").predict(texts, max_seq_len=longest) == together


@pytest.mark.parametrize("family", [*FAMILIES, *ROBERTAS, "data2vec-text", "longformer", "luke", "xlm-roberta-xl"])
def test_positions_after_the_padding_id_are_known(family: str) -> None:
    extra = {"entity_vocab_size": 4} if family == "luke" else {}
    with torch.device("meta"):
        network = TransformersFamily(family).build({**config_of(family), **extra}, heads=())
    tables = [part for name, part in network.named_modules() if name.endswith("embeddings.position_embeddings")]
    offset = any(getattr(table, "padding_idx", None) is not None for table in tables)
    assert offset == (family in _OFFSET_POSITIONS)


def test_tensors_that_are_one_stand_once_in_a_file(tmp_path: Path) -> None:
    folder = hf_folder(tmp_path / "hf", "t5", "ModelForTokenClassification", id2label={0: "a", 1: "b"})
    assert "transformer.encoder.embed_tokens.weight" not in load_file(folder / WEIGHTS)
    module = hub.Module(directory=folder)
    network: Any = module.network
    assert network.transformer.encoder.embed_tokens.weight is network.transformer.shared.weight
    assert module.predictor().max_length == 40
    answers = module.predict(["国务院"])
    module.save(tmp_path / "saved")
    assert hub.Module(directory=tmp_path / "saved").predict(["国务院"]) == answers


@pytest.mark.parametrize(
    ("family", "task"),
    [("xlnet", "seq-cls"), ("gpt2", "seq-cls"), ("llama", "seq-cls"), ("fnet", "token-cls"), ("convbert", "seq-cls")],
)
def test_answers_that_depend_on_padding_are_refused(family: str, task: str) -> None:
    with pytest.raises(NotFoundError, match=f"'{family}' is not supported for {task}: its answers depend on padding"):
        TransformersFamily(family).build({}, heads=[HeadSpec(task, ("a", "b"))])


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"hidden_sise": 32}, "unknown key 'hidden_sise'; did you mean 'hidden_size'"),
        ({"hidden_size": "many"}, "hidden_size"),
        ({"hidden_size": 30, "num_attention_heads": 4}, "no network can be built"),
    ],
)
def test_numbers_that_make_no_network_are_named(config: dict[str, Any], message: str) -> None:
    with pytest.raises(ManifestError, match=rf"(?s)config of family bert.*{message}"):
        TransformersFamily("bert").build(config, heads=())


def test_keys_that_no_network_reads_are_let_be() -> None:
    config = {**SIZES, "pooler_fc_size": 768, "directionality": "bidi"}
    assert TransformersFamily("bert").build(config, heads=()).config.hidden_size == 32  # type: ignore[union-attr]


def test_heads_that_cannot_be_built_are_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    import transformers

    def broken(config: Any) -> Any:
        raise ValueError(f"no head for {type(config).__name__}")

    monkeypatch.setattr(transformers.AutoModelForMaskedLM, "from_config", broken)
    names = TransformersFamily("bert")._known_heads(SIZES)
    assert {"qa_outputs.weight", "bert.pooler.dense.weight", "cls.seq_relationship.weight"} <= names


def test_networks_are_made_one_at_a_time(tmp_path: Path) -> None:
    """Loading switches torch's initialisation off for the whole process: what is built meanwhile must not notice."""
    family, tensors = TransformersFamily("bert"), tiny_module(tmp_path, task=None).network.state_dict()
    stop, weights = threading.Event(), []

    def load() -> None:
        while not stop.is_set():
            family.load(tensors, {**SIZES, "max_position_embeddings": 64}, heads=(), new_head=False, where="")

    thread = threading.Thread(target=load)
    thread.start()
    try:
        weights = [family.build(SIZES, heads=[HeadSpec("seq-cls", ("a", "b"))]).classifier.weight for _ in range(10)]  # type: ignore[union-attr]
    finally:
        stop.set()
        thread.join()
    assert all(0.005 < weight.std().item() < 0.05 for weight in weights)  # type: ignore[operator, union-attr]


def test_the_head_of_a_foreign_folder_is_compared(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    base = hf_folder(tmp_path / "base", "bert")
    tuned = hf_folder(tmp_path / "tuned", "bert", "ModelForSequenceClassification", id2label={0: "neg", 1: "pos"})
    loaded = hub.Module(directory=base, load_checkpoint=tuned)
    assert loaded.labels == ("neg", "pos")
    assert hub.Module(directory=base, task="seq-cls", label_map=["neg", "pos"], load_checkpoint=tuned).predict(
        ["中国"]
    ) == loaded.predict(["中国"])
    for labels in (["pos", "neg"], ["a", "b"], ["neg", "pos", "x"]):
        with pytest.raises(LabelError, match="label_map does not match"):
            hub.Module(directory=base, task="seq-cls", label_map=labels, load_checkpoint=tuned)
    caplog.clear()
    with caplog.at_level(logging.WARNING, logger="hub_core"):
        fresh = hub.Module(directory=base, task="seq-cls", label_map=list("abc"), load_checkpoint=tuned, new_head=True)
    assert any("new seq-cls head with 3 labels" in message for message in caplog.messages)
    word = "bert.embeddings.word_embeddings.weight"
    assert torch.equal(fresh.network.state_dict()[word], load_file(tuned / WEIGHTS)[word])


def test_labels_without_names_take_the_callers(tmp_path: Path) -> None:
    tuned = hf_folder(tmp_path / "tuned", "bert", "ModelForSequenceClassification")
    assert hub.Module(directory=tuned).labels == ("LABEL_0", "LABEL_1")
    assert hub.Module(directory=tuned, label_map=["neg", "pos"]).labels == ("neg", "pos")
    with pytest.raises(LabelError, match="it has 3 labels, the checkpoint has 2"):
        hub.Module(directory=tuned, label_map=["a", "b", "c"])


def test_a_bare_encoder_needs_a_new_head(tmp_path: Path) -> None:
    base = hf_folder(tmp_path / "base", "bert")
    file = tmp_path / "theirs.safetensors"
    save_file({name: tensor + 1 for name, tensor in load_file(base / WEIGHTS).items()}, file)
    wanted: dict[str, Any] = {"directory": base, "task": "seq-cls", "load_checkpoint": file}
    with pytest.raises(CheckpointError, match="an encoder without a head for this task; pass new_head=True"):
        hub.Module(**wanted)
    assert hub.Module(**wanted, new_head=True).labels == ("0", "1")


def test_our_checkpoint_over_a_folder_of_hugging_faces(tmp_path: Path) -> None:
    base = hf_folder(tmp_path / "base", "bert")
    ours = hub.Module(directory=base, task="seq-cls", label_map=["a", "b"])
    ours.save(tmp_path / "ours")
    again = hub.Module(directory=base, load_checkpoint=tmp_path / "ours")
    assert again.predict(["中国"]) == ours.predict(["中国"])


def test_a_vocabulary_larger_than_the_network_is_named(tmp_path: Path) -> None:
    folder = hf_folder(tmp_path / "base", "bert", vocab_size=100)
    with pytest.raises(CheckpointError, match=rf"its tokenizer knows {len(VOCABULARY)} tokens, its network 100"):
        hub.Module(directory=folder)
