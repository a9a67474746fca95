"""Folders of PaddleNLP's and of Hugging Face's layout become modules; the reference is PaddlePaddle's own output."""

from __future__ import annotations

import errno
import json
import os
import pickle
import shutil
import struct
import warnings
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from safetensors.torch import save_file
from test_convert_names import SIZES, outputs, paddle_config, random_network, to_paddle, write_paddle
from tiny import small_sentencepiece

import hub_core as hub
from hub_core.convert import convert_file, convert_folder, read_safetensors, read_torch_bin
from hub_core.convert.files import read_tensors
from hub_core.errors import CheckpointError, ConvertError, HubError, ManifestError, UnsafePickleError
from hub_core.spec import HeadSpec, read_manifest

CHECKPOINTS = (
    "albert",
    "bert",
    "electra",
    "electra_seqcls",
    "ernie",
    "ernie_mlm",
    "ernie_qa",
    "ernie_seqcls",
    "ernie_task",
    "ernie_tokencls",
    "roberta",
)
#: The names of outputs in reference.npz and in `transformers`.
OUTPUTS = {
    "sequence_output": "last_hidden_state",
    "pooled_output": "pooler_output",
    "logits": "logits",
    "start_logits": "start_logits",
    "end_logits": "end_logits",
    "prediction_logits": "prediction_logits",
    "nsp_logits": "seq_relationship_logits",
}


def distance(folder: Path, reference: Path) -> dict[str, float]:
    """The largest difference of every output of a converted folder to the reference, at unmasked positions."""
    record = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    network = getattr(transformers, record["architectures"][0]).from_pretrained(folder).eval()
    arrays = np.load(reference)
    ids = torch.tensor(arrays["input_ids"])
    mask = ids != 0  # Paddle's own default mask treats id 0 as padding
    batch = {"input_ids": ids, "token_type_ids": torch.tensor(arrays["token_type_ids"]), "attention_mask": mask.long()}
    with torch.no_grad():
        found = network(**batch)
    distances = {}
    for name in arrays.files:
        if name in OUTPUTS:
            error = np.abs(found[OUTPUTS[name]].numpy() - arrays[name])
            per_token = error.shape[:2] == mask.shape
            distances[name] = float((error[mask.numpy()] if per_token else error).max())
    return distances


@pytest.fixture(params=CHECKPOINTS)
def checkpoint(request: pytest.FixtureRequest, fixtures_home: Path) -> Path:
    """One of the checkpoints that PaddlePaddle 3.3 wrote."""
    return fixtures_home / "paddle" / str(request.param)


def test_paddles_checkpoints_give_paddles_numbers(checkpoint: Path, tmp_path: Path) -> None:
    spec = convert_folder(checkpoint, tmp_path / "out", version="2.0.1")
    distances = distance(tmp_path / "out", checkpoint / "reference.npz")
    print(f"{checkpoint.name}: {max(distances.values()):.1e}")  # `pytest -s -k paddles_numbers` shows them
    assert distances and max(distances.values()) <= 1e-5, distances
    assert read_manifest(tmp_path / "out") == spec
    assert (spec.name, spec.version, spec.config["layer_norm_eps"]) == (checkpoint.name, "2.0.1", 1e-12)
    assert ("use_task_id" in spec.config) == (checkpoint.name == "ernie_task")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "README.md",
        "config.json",
        "model.safetensors",
        "module.json",
        "tokenizer.json",
        "tokenizer_config.json",
        "vocab.txt",
    ]


def test_the_same_checkpoint_as_torch_saves_it_gives_the_same_tensors(checkpoint: Path, tmp_path: Path) -> None:
    convert_folder(checkpoint, tmp_path / "paddle")
    record = json.loads((tmp_path / "paddle" / "config.json").read_text(encoding="utf-8"))
    network = getattr(transformers, record["architectures"][0]).from_pretrained(tmp_path / "paddle")
    stored = read_safetensors(tmp_path / "paddle" / "model.safetensors")
    folder = tmp_path / "torch"
    folder.mkdir()
    network.config.save_pretrained(folder)
    shutil.copy(checkpoint / "vocab.txt", folder)
    unused = {name: tensor for name, tensor in stored.items() if name not in network.state_dict()}
    torch.save({**network.state_dict(), **unused, "epoch": 3}, folder / "pytorch_model.bin")
    spec = convert_folder(folder, tmp_path / "again", name="again")
    again = read_safetensors(tmp_path / "again" / "model.safetensors")
    assert again.keys() == stored.keys() and all(torch.equal(again[name], stored[name]) for name in stored)
    assert spec.tokenizer == {"type": "wordpiece", "lowercase": True, "symbols": "keep"}
    assert spec.heads == read_manifest(tmp_path / "paddle").heads
    assert max(distance(tmp_path / "again", checkpoint / "reference.npz").values()) <= 1e-5


def test_a_roberta_in_the_wrong_convention_is_far_off(fixtures_home: Path, tmp_path: Path) -> None:
    """The legacy form of the same numbers is a BERT, and for this checkpoint, which is none, wrong by whole units."""
    source = fixtures_home / "paddle" / "roberta"
    config = json.loads((source / "model_config.json").read_text(encoding="utf-8"))
    config.pop("model_type")
    shutil.copytree(source, tmp_path / "in")
    legacy = {"init_args": [], **config, "init_class": "RobertaModel"}
    (tmp_path / "in" / "model_config.json").write_text(json.dumps(legacy), encoding="utf-8")
    assert convert_folder(tmp_path / "in", tmp_path / "out").family == "bert"
    assert max(distance(tmp_path / "out", source / "reference.npz").values()) > 0.1


def test_legacy_configurations_give_the_same_module(fixtures_home: Path, tmp_path: Path) -> None:
    for name in ("ernie_seqcls", "ernie_tokencls", "electra_seqcls", "ernie", "albert"):
        source = fixtures_home / "paddle" / name
        config = json.loads((source / "model_config.json").read_text(encoding="utf-8"))
        stem = config.pop("model_type").capitalize()
        head, labels = config.pop("architecture", None), config.pop("num_labels", None)
        legacy: dict[str, Any] = {**config, "init_args": [], "init_class": f"{stem}Model"}
        if head:
            legacy = {"init_args": [legacy], "num_classes": labels, "dropout": None, "init_class": head}
        shutil.copytree(source, tmp_path / name / "in")
        (tmp_path / name / "in" / "model_config.json").write_text(json.dumps(legacy), encoding="utf-8")
        new = convert_folder(source, tmp_path / name / "new", name=name)
        old = convert_folder(tmp_path / name / "in", tmp_path / name / "old", name=name)
        assert old == new
        files = [(tmp_path / name / which / "model.safetensors").read_bytes() for which in ("new", "old")]
        assert files[0] == files[1]


def test_a_missing_transpose_would_be_seen(fixtures_home: Path, tmp_path: Path) -> None:
    """That the parity test can fail: a square matrix turned the wrong way is far off."""
    convert_folder(fixtures_home / "paddle" / "bert", tmp_path / "out")
    stored = read_safetensors(tmp_path / "out" / "model.safetensors")
    name = "encoder.layer.1.attention.self.key.weight"
    save_file({**stored, name: stored[name].t().contiguous()}, tmp_path / "out" / "model.safetensors", {"format": "pt"})
    reference = fixtures_home / "paddle" / "bert" / "reference.npz"
    assert max(distance(tmp_path / "out", reference).values()) > 1e-3


# Heads and labels


def sample(folder: Path, network_class: str = "ErnieForSequenceClassification", **config: Any) -> Path:
    """A small random checkpoint in PaddleNLP's layout."""
    network = random_network(network_class, num_labels=3)
    return write_paddle(folder, to_paddle(network), {**paddle_config(network, network_class), **config})


def test_labels_come_from_the_configuration_or_the_caller(tmp_path: Path) -> None:
    named = {"id2label": {"1": "b", "0": "a", "2": "c"}, "label2id": {"a": 0, "b": 1, "c": 2}}
    source = sample(tmp_path / "in", **named)
    assert convert_folder(source, tmp_path / "one").heads == (HeadSpec("seq-cls", ("a", "b", "c")),)
    assert convert_folder(source, tmp_path / "two", labels=["x", "y", "z"]).heads[0].labels == ("x", "y", "z")
    record = json.loads((tmp_path / "two" / "config.json").read_text(encoding="utf-8"))
    assert record["label2id"] == {"x": 0, "y": 1, "z": 2}
    by_map = sample(tmp_path / "map", label_map={"0": "a", "1": "b", "2": "c"})
    assert convert_folder(by_map, tmp_path / "three").heads[0].labels == ("a", "b", "c")


@pytest.mark.parametrize(
    ("config", "arguments", "said"),
    [
        ({"num_labels": 5}, {}, r"5 labels for a classifier of 3"),
        ({"id2label": {"0": "a", "1": "b"}}, {}, r"2 labels for a classifier of 3"),
        ({"id2label": {"0": "a", "2": "b", "3": "c"}}, {}, r"from 0 to 2"),
        ({"id2label": {"zero": "a"}}, {}, r"id2label"),
        ({"id2label": ["a", "b", "c"]}, {}, r"id2label"),
        ({"id2label": {"0": "a", "1": "a", "2": "c"}}, {}, r"labels must be different"),
        ({}, {"labels": ["a", "b"]}, r"2 labels for a classifier of 3"),
        ({}, {"labels": ["a", "b", ""]}, r"labels must be"),
        ({}, {"task": "token-cls"}, r"token-cls.*ErnieForSequenceClassification"),
        ({}, {"task": "seq_cls"}, r"did you mean 'seq-cls'"),
        ({"architecture": None}, {}, r"pass task=seq-cls or token-cls"),
        ({"architecture": "ErnieModel"}, {"labels": ["a"]}, r"no classifier"),
        ({"architecture": "ErnieForCausalLM"}, {}, r"ErnieForCausalLM"),
        ({"architecture": "UIE", "model_type": None}, {}, r"UIE"),
        ({"architecture": None, "model_type": "ernie_m"}, {}, r"'ernie_m'.*did you mean 'ernie'"),
    ],
)
def test_heads_that_do_not_fit_are_refused(
    tmp_path: Path, config: dict[str, Any], arguments: dict[str, Any], said: str
) -> None:
    source = sample(tmp_path / "in", **config)
    with pytest.raises(ConvertError, match=said):
        convert_folder(source, tmp_path / "out", **arguments)
    assert not (tmp_path / "out").exists()


def test_the_caller_may_name_the_task(tmp_path: Path) -> None:
    source = sample(tmp_path / "in", architecture=None)
    spec = convert_folder(source, tmp_path / "out", task="seq-cls", labels=["a", "b", "c"])
    assert spec.heads == (HeadSpec("seq-cls", ("a", "b", "c")),)
    record = json.loads((tmp_path / "out" / "config.json").read_text(encoding="utf-8"))
    assert record["architectures"] == ["ErnieForSequenceClassification"]


def test_a_head_that_is_asked_for_must_be_there(tmp_path: Path) -> None:
    network = random_network("BertModel")
    source = write_paddle(tmp_path / "in", to_paddle(network), paddle_config(network, "BertModel"))
    with pytest.raises(ConvertError, match=r"no classifier"):
        convert_folder(source, tmp_path / "out", task="seq-cls", labels=["a", "b"])


def test_a_classifier_of_several_labels_is_a_head_and_loads(tmp_path: Path) -> None:
    source = sample(tmp_path / "in", problem_type="multi_label_classification", id2label={"0": "a", "1": "b", "2": "c"})
    (head,) = convert_folder(source, tmp_path / "out").heads
    assert (head.labels, dict(head.options)) == (("a", "b", "c"), {"problem": "multi-label"})
    loaded = transformers.AutoModelForSequenceClassification.from_pretrained(tmp_path / "out")
    assert loaded.config.id2label == {0: "a", 1: "b", 2: "c"}
    assert loaded.config.problem_type == "multi_label_classification"


# Configuration


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"vocab_size": 61}, r"vocab_size 61 \(the tensors: 60\)"),
        ({"hidden_size": 32, "intermediate_size": 1}, r"hidden_size 32.*intermediate_size 1 "),
        ({"num_attention_heads": 7}, r"num_attention_heads 7"),
        ({"hidden_act": "geglu"}, r"hidden_act.*'geglu'.*did you mean 'gelu'"),
        ({"use_rotary": True, "moe_layers": 3}, r"not understood: moe_layers, use_rotary"),
        ({"position_embedding_type": "relative_key"}, r"position_embedding_type='relative_key'"),
        ({"task_id": 2}, r"task_id=2"),
        ({"init_args": [768]}, r"init_args.*768"),
    ],
)
def test_configurations_that_are_another_network_are_refused(tmp_path: Path, config: dict[str, Any], said: str) -> None:
    with pytest.raises(ConvertError, match=said):
        convert_folder(sample(tmp_path / "in", **config), tmp_path / "out")


def test_keys_without_effect_and_stated_epsilons_change_nothing(tmp_path: Path) -> None:
    plain = convert_folder(sample(tmp_path / "a"), tmp_path / "one", name="x")
    more = {"paddlenlp_version": "2.8.1", "fuse": False, "dtype": "float32", "use_cache": False, "layer_norm_eps": 1e-5}
    assert convert_folder(sample(tmp_path / "b", **more), tmp_path / "two", name="x") == plain


def test_task_types_are_used_if_and_only_if_their_embeddings_are_there(tmp_path: Path) -> None:
    """PaddleNLP 2.5 states ``use_task_id: true`` for models that have none."""
    network = random_network("ErnieModel", use_task_id=False)
    state = to_paddle(network)
    assert "embeddings.task_type_embeddings.weight" not in state
    config = {**paddle_config(network, "ErnieModel"), "use_task_id": True, "task_type_vocab_size": 3}
    spec = convert_folder(write_paddle(tmp_path / "in", state, config), tmp_path / "out")
    assert "use_task_id" not in spec.config
    loaded = transformers.AutoModel.from_pretrained(tmp_path / "out").eval()
    torch.testing.assert_close(outputs(loaded)[0], outputs(network)[0], atol=0, rtol=0)


def test_sizes_that_a_configuration_leaves_out_are_the_tensors(tmp_path: Path) -> None:
    network = random_network("ElectraModel")
    config = {"init_class": "ElectraModel", "init_args": [], "num_attention_heads": 4}
    spec = convert_folder(write_paddle(tmp_path / "in", to_paddle(network), config), tmp_path / "out")
    sizes = {key: value for key, value in SIZES.items() if key.endswith(("size", "layers", "embeddings"))}
    assert sizes.items() <= spec.config.items() and spec.config["embedding_size"] == 16


@pytest.mark.parametrize(
    "network_class",
    ["BertModel", "ErnieForPreTraining", "RobertaForMaskedLM", "ElectraForPreTraining", "ElectraForMaskedLM"],
)
def test_the_heads_of_pre_training_are_known_by_their_tensors(tmp_path: Path, network_class: str) -> None:
    convert_folder(sample(tmp_path / "in", network_class, architecture=None), tmp_path / "out")
    record = json.loads((tmp_path / "out" / "config.json").read_text(encoding="utf-8"))
    assert record["architectures"] == [network_class]


def test_a_missing_tensor_is_named(tmp_path: Path) -> None:
    network = random_network("BertModel")
    state = to_paddle(network)
    del state["encoder.layers.1.linear2.bias"], state["pooler.dense.weight"]
    source = write_paddle(tmp_path / "in", state, paddle_config(network, "BertModel"))
    with pytest.raises(ConvertError, match=r"BertModel.*encoder\.layer\.1\.output\.dense\.bias, pooler\.dense\.weight"):
        convert_folder(source, tmp_path / "out")


# Tokenizers


def test_the_sources_own_tokenizer_decides_on_lower_casing(tmp_path: Path) -> None:
    source = sample(tmp_path / "in")
    (source / "tokenizer_config.json").write_text(json.dumps({"do_lower_case": False}), encoding="utf-8")
    spec = convert_folder(source, tmp_path / "out")
    assert spec.tokenizer == {"type": "ernie", "lowercase": False, "symbols": "isolate"}
    assert transformers.AutoTokenizer.from_pretrained(tmp_path / "out").tokenize("T1") != ["t1"]


def test_ernie_tinys_pickle_becomes_a_word_list(tmp_path: Path) -> None:
    source = sample(tmp_path / "in")
    pieces = small_sentencepiece(source).read_bytes()
    (source / "dict.wordseg.pickle").write_bytes(pickle.dumps({"中国", "一"}, 2))
    spec = convert_folder(source, tmp_path / "out")
    assert spec.tokenizer == {"type": "ernie-tiny", "lowercase": True}
    assert (tmp_path / "out" / "words.txt").read_text(encoding="utf-8") == "一\n中国\n"
    assert (tmp_path / "out" / "spm_cased_simp_sampled.model").read_bytes() == pieces
    assert hub.Module(directory=tmp_path / "out").get_tokenizer().type == "ernie-tiny"
    assert not (tmp_path / "out" / "dict.wordseg.pickle").exists()
    (source / "spm_cased_simp_sampled.model").unlink()
    with pytest.raises(ConvertError, match=r"without spm_cased"):
        convert_folder(source, tmp_path / "again")


def test_a_sentencepiece_model_and_a_tokenizer_json(tmp_path: Path) -> None:
    source = sample(tmp_path / "in", "AlbertForSequenceClassification")
    (source / "vocab.txt").unlink()
    with pytest.raises(ConvertError, match=r"no tokenizer"):
        convert_folder(source, tmp_path / "none")
    small_sentencepiece(source, control_symbols="[CLS],[SEP],[MASK]", pad_id=3, pad_piece="<pad>").rename(
        source / "spiece.model"
    )
    spec = convert_folder(source, tmp_path / "pieces")
    assert spec.tokenizer == {"type": "sentencepiece", "style": "albert", "lowercase": True}
    (source / "tokenizer.json").write_text("{}", encoding="utf-8")
    assert convert_folder(source, tmp_path / "fast").tokenizer == {"type": "transformers"}
    assert (tmp_path / "fast" / "tokenizer.json").read_text(encoding="utf-8") == "{}"


# Hugging Face's layout


def hugging_face(folder: Path, network_class: str = "BertForTokenClassification", **config: Any) -> Path:
    """A folder as `save_pretrained` leaves it, with a vocabulary."""
    network = random_network(network_class, num_labels=3)
    network.save_pretrained(folder)
    record = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    (folder / "config.json").write_text(json.dumps({**record, **config}), encoding="utf-8")
    (folder / "vocab.txt").write_text("[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n一\n", encoding="utf-8")
    return folder


def test_shards_of_both_kinds(tmp_path: Path) -> None:
    source = hugging_face(tmp_path / "in")
    whole = read_safetensors(source / "model.safetensors")
    (source / "model.safetensors").unlink()
    half = len(whole) // 2
    for kind, save in (("model{}.safetensors", save_file), ("pytorch_model{}.bin", torch.save)):
        shards = {kind.format(f"-{i}-of-2"): dict(list(whole.items())[i * half :][: half + i]) for i in (0, 1)}
        for name, part in shards.items():
            save(part, source / name)
        places = {tensor: name for name, part in shards.items() for tensor in part}
        index = source / (kind.format("") + ".index.json")
        index.write_text(json.dumps({"weight_map": places}), encoding="utf-8")
        convert_folder(source, tmp_path / kind[:5])
        stored = read_safetensors(tmp_path / kind[:5] / "model.safetensors")
        assert stored.keys() == whole.keys() and all(torch.equal(stored[name], whole[name]) for name in whole)
        convert_file(index, tmp_path / "file.safetensors", kind="torch", family="bert")
        assert read_safetensors(tmp_path / "file.safetensors").keys() == whole.keys()
        index.unlink()


@pytest.mark.parametrize(
    "places",
    [
        {"a": "../outside.safetensors"},
        {"a": "/etc/passwd"},
        {"a": "sub\\x.safetensors"},
        {"a": 3},
        {"a": "missing.safetensors"},
        {"a": "model.safetensors", "b": "model.safetensors"},
        {"a": "x.index.json"},
        {},
        [],
    ],
)
def test_an_index_that_leads_astray_is_refused(tmp_path: Path, places: object) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    for path in (folder / "model.safetensors", tmp_path / "outside.safetensors"):
        save_file({"a": torch.ones(2)}, path)
    index = folder / "x.index.json"
    index.write_text(json.dumps({"weight_map": places}), encoding="utf-8")
    with pytest.raises((CheckpointError, UnsafePickleError), match=r"index\.json"):
        read_tensors(index)


def test_layer_norms_under_tensorflows_names(tmp_path: Path) -> None:
    source = hugging_face(tmp_path / "in")
    whole = read_safetensors(source / "model.safetensors")
    old = {
        n.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"): t
        for n, t in whole.items()
    }
    assert old.keys() != whole.keys()
    old["bert.embeddings.position_ids"] = torch.arange(20)[None]
    (source / "model.safetensors").unlink()
    torch.save(old, source / "pytorch_model.bin")
    convert_folder(source, tmp_path / "out")
    stored = read_safetensors(tmp_path / "out" / "model.safetensors")
    assert stored.keys() == whole.keys() and all(torch.equal(stored[name], whole[name]) for name in whole)


def test_another_architecture_needs_no_table(tmp_path: Path) -> None:
    config = transformers.DistilBertConfig(vocab_size=60, dim=24, n_layers=2, n_heads=4, hidden_dim=36)
    network = transformers.DistilBertForSequenceClassification(config).eval()
    network.save_pretrained(tmp_path / "in")
    (tmp_path / "in" / "tokenizer.json").write_text("{}", encoding="utf-8")
    spec = convert_folder(tmp_path / "in", tmp_path / "out")
    assert (spec.family, spec.heads[0].labels) == ("distilbert", ("LABEL_0", "LABEL_1"))
    loaded = transformers.AutoModelForSequenceClassification.from_pretrained(tmp_path / "out").eval()
    ids = torch.arange(8)[None]
    torch.testing.assert_close(loaded(ids).logits, network(ids).logits, atol=0, rtol=0)


def test_an_encoder_whose_configuration_names_no_class(tmp_path: Path) -> None:
    source = hugging_face(tmp_path / "in", "BertModel", architectures=None)
    convert_folder(source, tmp_path / "out")
    record = json.loads((tmp_path / "out" / "config.json").read_text(encoding="utf-8"))
    assert record["architectures"] == ["BertModel"]


@pytest.mark.parametrize(
    "config",
    [
        {"auto_map": {"AutoModel": "evil.Model"}},
        {"trust_remote_code": True},
        {"custom_pipelines": {"x": {}}},
        {"quantization_config": {"quant_method": "bitsandbytes"}},
        {"model_type": None},
        {"model_type": "nothing-like-it", "architectures": None},
        {"architectures": ["AutoModel"]},
        {"architectures": ["pipeline"]},
        {"architectures": ["GPT2Model"]},
        {"num_hidden_layers": 3},
        {"num_attention_heads": 5},
        {"hidden_size": "x"},
        {"hidden_size": 12},
    ],
)
def test_configurations_that_ask_for_something_else(tmp_path: Path, config: dict[str, Any]) -> None:
    source = hugging_face(tmp_path / "in", **config)
    with pytest.raises((ConvertError, ManifestError), match=str(tmp_path / "in")):
        convert_folder(source, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_private_keys_of_a_configuration_do_not_survive(tmp_path: Path) -> None:
    keys = {"_attn_implementation_internal": "evil/kernel", "_attn_implementation": "x", "torch_dtype": "float16"}
    convert_folder(hugging_face(tmp_path / "in", **keys), tmp_path / "out")
    for name in ("config.json", "module.json"):
        text = (tmp_path / "out" / name).read_text(encoding="utf-8")
        assert not any(key in text for key in keys)


# torch's pickles


class Runs:
    """Leaves a file when unpickled."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.canary),)


@pytest.mark.parametrize("as_zip", [True, False])
def test_torch_pickles_with_code_are_refused(tmp_path: Path, as_zip: bool) -> None:
    path, canary = tmp_path / "pytorch_model.bin", tmp_path / "canary"
    torch.save({"a": torch.ones(2), "x": Runs(canary)}, path, _use_new_zipfile_serialization=as_zip)
    for read in (read_torch_bin, read_tensors):
        with pytest.raises(UnsafePickleError, match=r"pytorch_model\.bin.*mkdir.*Nothing was executed") as error:
            read(path)
        assert "weights_only" not in str(error.value)  # no advice to switch the protection off
    for protocol in range(6):
        path.write_bytes(pickle.dumps({"a": 1, "x": Runs(canary)}, protocol))
        with pytest.raises((UnsafePickleError, CheckpointError), match=r"pytorch_model\.bin"):
            read_torch_bin(path)
    assert not canary.exists()


def test_entries_that_are_no_tensors_are_left_out(tmp_path: Path) -> None:
    path = tmp_path / "x.bin"
    torch.save(
        {"a": torch.ones(2), "b": torch.nn.Parameter(torch.zeros(1)), "epoch": 3, "args": {"c": torch.ones(1)}}, path
    )
    tensors = read_torch_bin(path)
    assert sorted(tensors) == ["a", "b"] and not any(tensor.requires_grad for tensor in tensors.values())


@pytest.mark.parametrize("content", [{"model": {"a": torch.ones(2)}}, [torch.ones(2)], torch.ones(2), {}])
def test_what_is_no_state_dict_of_torch(tmp_path: Path, content: object) -> None:
    torch.save(content, tmp_path / "x.bin")
    with pytest.raises(ConvertError, match=r"x\.bin"):
        read_torch_bin(tmp_path / "x.bin")


def test_tensors_that_are_not_dense(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch announces that sparse invariants are unchecked
        torch.save({"a": torch.eye(3).to_sparse(), "b": torch.ones(2)}, tmp_path / "x.bin")
        with pytest.raises(ConvertError, match=r"not dense.*a"):
            read_torch_bin(tmp_path / "x.bin")


@pytest.mark.parametrize(
    "content",
    [
        {"a": torch.ones(1).expand(10**12)},
        {f"a{i}": tensor for tensor in [torch.ones(5000)] for i in range(9)},
    ],
)
def test_tensors_that_would_grow_are_refused(tmp_path: Path, content: object) -> None:
    torch.save(content, tmp_path / "x.bin")
    with pytest.raises(CheckpointError, match=r"x\.bin"):
        read_torch_bin(tmp_path / "x.bin")


def test_a_compressed_archive_is_refused(tmp_path: Path) -> None:
    torch.save({"a": torch.zeros(1_000_000)}, tmp_path / "plain.bin")
    with (
        zipfile.ZipFile(tmp_path / "plain.bin") as plain,
        zipfile.ZipFile(tmp_path / "x.bin", "w", zipfile.ZIP_DEFLATED) as packed,
    ):
        for part in plain.namelist():
            packed.writestr(part, plain.read(part))
    with pytest.raises(CheckpointError, match=r"unpacks to"):
        read_torch_bin(tmp_path / "x.bin")


@pytest.mark.parametrize("kind", ["zip", "legacy", "safetensors"])
def test_truncated_and_damaged_files_are_named(tmp_path: Path, kind: str) -> None:
    path = tmp_path / ("x.safetensors" if kind == "safetensors" else "x.bin")
    if kind == "safetensors":
        save_file({"a": torch.ones(100), "b": torch.ones(3)}, path)
    else:
        torch.save({"a": torch.ones(100)}, path, _use_new_zipfile_serialization=kind == "zip")
    content = path.read_bytes()
    for length in (0, 3, 8, 20, len(content) // 3, len(content) // 2, len(content) - 1):
        path.write_bytes(content[:length])
        with pytest.raises((CheckpointError, UnsafePickleError), match=r"x\.(bin|safetensors)"):
            read_tensors(path)
    for place in range(0, len(content), 37):
        path.write_bytes(content[:place] + bytes([content[place] ^ 0x5A]) + content[place + 1 :])
        try:
            assert all(torch.is_tensor(tensor) for tensor in read_tensors(path).values())
        except HubError as error:
            assert path.name in str(error)
    with pytest.raises(CheckpointError, match="nowhere"):
        read_tensors(tmp_path / "nowhere.bin")


def test_a_safetensors_header_that_names_a_tensor_twice(tmp_path: Path) -> None:
    entry = '"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}'
    header = f"{{{entry},{entry}}}".encode()
    path = tmp_path / "x.safetensors"
    path.write_bytes(struct.pack("<Q", len(header)) + header + b"\0\0\0\0")
    with pytest.raises(CheckpointError, match=r"x\.safetensors.*twice"):
        read_safetensors(path)


def test_shared_memory_is_stored_for_each(tmp_path: Path) -> None:
    weight = torch.rand(3, 4)
    torch.save(
        {"encoder.a": weight, "decoder.a": weight, "half": weight[:1].half(), "double": weight.double()},
        tmp_path / "x.bin",
    )
    convert_file(tmp_path / "x.bin", tmp_path / "out", kind="torch", family="t5")
    stored = read_safetensors(tmp_path / "out")
    assert torch.equal(stored["encoder.a"], weight) and torch.equal(stored["decoder.a"], weight)
    assert (stored["half"].dtype, stored["double"].dtype) == (torch.float16, torch.float32)


# Where it is written


def test_nothing_is_overwritten_and_nothing_left_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = sample(tmp_path / "in")
    (tmp_path / "empty").mkdir()
    convert_folder(source, tmp_path / "empty")
    before = (tmp_path / "empty" / "module.json").read_bytes()
    for out in (tmp_path / "empty", source, source / "vocab.txt"):
        with pytest.raises(ConvertError, match="not empty"):
            convert_folder(source, out)
    assert (tmp_path / "empty" / "module.json").read_bytes() == before

    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(CheckpointError, match="could not be written"):
        convert_file(source / "model_state.pdparams", source / "vocab.txt" / "x", kind="paddle", family="ernie")
    monkeypatch.setattr(shutil, "copyfile", full)
    with pytest.raises(CheckpointError, match=r"could not be written.*No space"):
        convert_folder(source, tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir() if path.name != "hub-home") == ["empty", "in"]


def test_folders_that_lack_something(tmp_path: Path) -> None:
    with pytest.raises(ConvertError, match="not a folder"):
        convert_folder(tmp_path / "nowhere", tmp_path / "out")
    source = sample(tmp_path / "in")
    (source / "model_config.json").write_text('{"a": 1,\n oops}', encoding="utf-8")
    with pytest.raises(ConvertError, match=r"model_config\.json:2"):
        convert_folder(source, tmp_path / "out")
    (source / "model_config.json").write_text("[]", encoding="utf-8")
    with pytest.raises(ConvertError, match=r"must hold a JSON object"):
        convert_folder(source, tmp_path / "out")
    (source / "model_config.json").unlink()
    with pytest.raises(ConvertError, match=r"no configuration.*config\.json"):
        convert_folder(source, tmp_path / "out")
    (source / "model_state.pdparams").unlink()
    with pytest.raises(ConvertError, match=r"no weights.*pytorch_model\.bin"):
        convert_folder(source, tmp_path / "out")


def test_names_are_made_of_the_folder_or_given(tmp_path: Path) -> None:
    source = sample(tmp_path / "中文 ernie!")
    assert convert_folder(source, tmp_path / "a").name == "ernie"
    assert convert_folder(source, tmp_path / "b", name="my-ernie", version="1.2").title == "my-ernie 1.2"
    with pytest.raises(ManifestError, match="name"):
        convert_folder(source, tmp_path / "c", name="no/name")
    with pytest.raises(ManifestError, match="version"):
        convert_folder(source, tmp_path / "d", version="latest")
    assert not (tmp_path / "c").exists() and not (tmp_path / "d").exists()


def test_a_model_card_of_the_sources_own_is_kept(tmp_path: Path) -> None:
    source = sample(tmp_path / "in")
    convert_folder(source, tmp_path / "made")
    assert "ErnieForSequenceClassification" in (tmp_path / "made" / "README.md").read_text(encoding="utf-8")
    (source / "README.md").write_text("# Its own\n", encoding="utf-8")
    convert_folder(source, tmp_path / "kept")
    assert (tmp_path / "kept" / "README.md").read_text(encoding="utf-8") == "# Its own\n"


def test_paddlenlps_own_safetensors(tmp_path: Path) -> None:
    """PaddleNLP 2.6 and later also write their names and layout into safetensors, with a ``config.json``."""
    network = random_network("ErnieForSequenceClassification", num_labels=3)
    source = write_paddle(tmp_path / "in", to_paddle(network), {})
    (source / "model_state.pdparams").unlink()
    (source / "model_config.json").unlink()
    save_file(
        {n: torch.from_numpy(a) for n, a in to_paddle(network).items()}, source / "model.safetensors", {"format": "np"}
    )
    config = {**paddle_config(network, "x"), "architecture": None, "architectures": ["ErnieForSequenceClassification"]}
    config |= {"paddlenlp_version": "2.8.1", "intermediate_size": 36}
    (source / "config.json").write_text(json.dumps(config), encoding="utf-8")
    convert_folder(source, tmp_path / "out")
    loaded = transformers.AutoModelForSequenceClassification.from_pretrained(tmp_path / "out").eval()
    torch.testing.assert_close(outputs(loaded)[0], outputs(network)[0], atol=0, rtol=0)
