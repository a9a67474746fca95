from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from folders import safetensors

from hub_core.errors import HubError, ManifestError
from hub_core.hf_layout import SUPPORTS, adopt_hf_folder, config_json, hf_spec, read_hf_folder

BERT: dict[str, Any] = {
    "model_type": "bert",
    "vocab_size": 7,
    "hidden_size": 4,
    "_name_or_path": "/home/somebody/x",
    "_attn_implementation_internal": "evil/kernel",
    "torch_dtype": "float32",
    "transformers_version": "4.0",
    "pad_token_id": 0,
}


def folder_of(folder: Path, config: dict[str, Any], *names: str, tokenizer: dict[str, Any] | None = None) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config))
    for name in names:
        (folder / name).write_bytes(safetensors() if name.endswith("safetensors") else b"x")
    if tokenizer is not None:
        (folder / "tokenizer_config.json").write_text(json.dumps(tokenizer))
    return folder


def test_a_folder_becomes_a_module_without_a_manifest(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "My model!", BERT, "model.safetensors", "tokenizer.json")
    spec = adopt_hf_folder(folder)
    assert (spec.name, spec.version, spec.family) == ("My-model", "0.0.0", "bert")
    assert spec.config == {"vocab_size": 7, "hidden_size": 4, "pad_token_id": 0}
    assert spec.tokenizer == {"type": "transformers"}
    assert spec.supports == SUPPORTS and spec.heads == ()


@pytest.mark.parametrize(
    ("architecture", "task"),
    [
        ("BertForSequenceClassification", "seq-cls"),
        ("BertForTokenClassification", "token-cls"),
        ("BertForMaskedLM", None),
    ],
)
def test_the_stored_head_is_found(tmp_path: Path, architecture: str, task: str | None) -> None:
    labels = {"1": "good", "0": "bad", "10": "k", **{str(n): f"l{n}" for n in range(2, 10)}}
    config = {**BERT, "architectures": [architecture], "id2label": labels}
    spec = read_hf_folder(folder_of(tmp_path / "m", config, "tokenizer.json"))
    assert [head.task for head in spec.heads] == ([task] if task else [])
    if task:
        assert spec.heads[0].labels == ("bad", "good", *(f"l{n}" for n in range(2, 10)), "k")


@pytest.mark.parametrize(
    ("change", "labels"),
    [
        ({}, ("LABEL_0", "LABEL_1")),
        ({"num_labels": 3}, ("LABEL_0", "LABEL_1", "LABEL_2")),
    ],
)
def test_labels_that_are_not_named(tmp_path: Path, change: dict[str, Any], labels: tuple[str, ...]) -> None:
    config = {**BERT, "architectures": ["BertForSequenceClassification"], **change}
    head = read_hf_folder(folder_of(tmp_path / "m", config, "tokenizer.json")).head()
    assert head is not None
    assert (head.labels, dict(head.options)) == (labels, {})


@pytest.mark.parametrize(
    ("change", "labels", "problem"),
    [
        ({"num_labels": 1}, 1, "regression"),
        ({"problem_type": "regression", "num_labels": 1}, 1, "regression"),
        ({"problem_type": "multi_label_classification", "num_labels": 3}, 3, "multi-label"),
    ],
)
def test_classifiers_of_other_kinds(tmp_path: Path, change: dict[str, Any], labels: int, problem: str) -> None:
    config = {**BERT, "architectures": ["BertForSequenceClassification"], **change}
    head = read_hf_folder(folder_of(tmp_path / "m", config, "tokenizer.json")).head()
    assert head is not None
    assert (len(head.labels), dict(head.options)) == (labels, {"problem": problem})


def test_several_numbers_are_no_task_here(tmp_path: Path) -> None:
    config = {**BERT, "architectures": ["BertForSequenceClassification"], "problem_type": "regression"}
    assert read_hf_folder(folder_of(tmp_path / "m", config, "tokenizer.json")).heads == ()


def test_a_reader_of_answers_is_a_head(tmp_path: Path) -> None:
    config = {**BERT, "architectures": ["BertForQuestionAnswering"]}
    head = read_hf_folder(folder_of(tmp_path / "m", config, "tokenizer.json")).head()
    assert head is not None
    assert (head.task, head.labels) == ("question-answering", ())


@pytest.mark.parametrize(
    ("labels", "problem"),
    [
        ({"a": "b"}, "must map numbers to labels"),
        (["a", "b"], "must map numbers to labels"),
        ({"1": "a", "2": "b"}, "must number its labels from 0"),
        ({"0": "a", "1": "a"}, "has a label twice"),
        ({"0": "a", "1": 3}, "needs a list of labels"),
    ],
)
def test_labels_that_make_no_sense(tmp_path: Path, labels: Any, problem: str) -> None:
    config = {**BERT, "architectures": ["BertForTokenClassification"], "id2label": labels}
    with pytest.raises(ManifestError, match=problem):
        read_hf_folder(folder_of(tmp_path / "m", config, "tokenizer.json"))


@pytest.mark.parametrize(
    ("names", "tokenizer", "family", "expected"),
    [
        (["tokenizer.json", "vocab.txt"], {}, "bert", {"type": "transformers"}),
        (["vocab.txt"], None, "bert", {"type": "wordpiece", "lowercase": True, "symbols": "keep"}),
        (
            ["vocab.txt"],
            {"do_lower_case": False, "tokenizer_class": "BertTokenizer", "strip_accents": None},
            "bert",
            {"type": "wordpiece", "lowercase": False, "symbols": "keep"},
        ),
        (
            ["spiece.model"],
            {"do_lower_case": True, "tokenizer_class": "AlbertTokenizer"},
            "albert",
            {"type": "sentencepiece", "style": "albert", "lowercase": True, "model": "spiece.model"},
        ),
    ],
)
def test_tokenizers(
    tmp_path: Path, names: list[str], tokenizer: dict[str, Any] | None, family: str, expected: dict[str, Any]
) -> None:
    folder = folder_of(tmp_path / "m", {**BERT, "model_type": family}, *names, tokenizer=tokenizer)
    assert read_hf_folder(folder).tokenizer == expected


@pytest.mark.parametrize(
    ("names", "tokenizer"),
    [
        ([], {}),
        (["vocab.txt"], {"tokenizer_class": "BertJapaneseTokenizer"}),
        (["vocab.txt"], {"tokenize_chinese_chars": False}),
        (["vocab.txt"], {"do_lower_case": True, "strip_accents": False}),
        (["sentencepiece.bpe.model"], {"tokenizer_class": "XLMRobertaTokenizer"}),
        (["vocab.json", "merges.txt"], {"tokenizer_class": "RobertaTokenizer"}),
    ],
)
def test_tokenizers_that_would_be_guesses(tmp_path: Path, names: list[str], tokenizer: dict[str, Any]) -> None:
    with pytest.raises(ManifestError, match=r"has no tokenizer.json; AutoTokenizer"):
        read_hf_folder(folder_of(tmp_path / "m", BERT, *names, tokenizer=tokenizer))


def test_code_is_refused_wherever_it_is_asked_for(tmp_path: Path) -> None:
    config = {**BERT, "auto_map": {"AutoModel": "modeling.Evil"}, "quantization_config": {"bits": 4}}
    del config["model_type"]
    folder = folder_of(tmp_path / "m", config, "tokenizer.json", tokenizer={"auto_map": {"AutoTokenizer": ["evil.T"]}})
    with pytest.raises(ManifestError) as caught:
        read_hf_folder(folder)
    assert caught.value.problems == (
        "key 'auto_map' asks for code of its own",
        "tokenizer_config.json: key 'auto_map' asks for code",
        "quantized weights are not read",
        "key 'model_type' is missing: which architecture is it?",
    )


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{", "cannot be read"),
        ("[]", "must be a JSON object"),
        ('{"model_type": "bert", "x": Infinity}', "Infinity is not a JSON number"),
        ('{"a":' * 50 + "1" + "}" * 50, "nested at most 20 deep"),
        ('{"a":[' + "[" * 50 + "]" * 50 + "]}", "nested at most 20 deep"),
    ],
)
def test_configurations_that_are_none(tmp_path: Path, text: str, problem: str) -> None:
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(ManifestError, match=problem):
        read_hf_folder(tmp_path)


def test_only_safetensors_are_used_in_place(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "m", BERT, "pytorch_model.bin", "tokenizer.json")
    with pytest.raises(HubError, match=r"has only pytorch_model.bin, .*`hub install .*m` or `hub convert .*m OUT`"):
        adopt_hf_folder(folder)
    (folder / "pytorch_model.bin").unlink()
    with pytest.raises(HubError, match="has no weights"):
        adopt_hf_folder(folder)
    (folder / "config.json").unlink()
    with pytest.raises(HubError, match="neither a module folder nor in Hugging Face's layout"):
        adopt_hf_folder(folder)


def test_a_folder_whose_name_is_no_name(tmp_path: Path) -> None:
    assert read_hf_folder(folder_of(tmp_path / "模型", BERT, "tokenizer.json")).name == "module"


def test_the_configuration_that_other_libraries_read() -> None:
    config = {**BERT, "architectures": ["BertForTokenClassification"], "id2label": {"0": "B", "1": "O"}}
    spec = hf_spec(config, {}, ["tokenizer.json"], name="n", version="1", where="here")
    assert config_json(spec, ["BertForTokenClassification"]) == {
        "model_type": "bert",
        "vocab_size": 7,
        "hidden_size": 4,
        "pad_token_id": 0,
        "architectures": ["BertForTokenClassification"],
        "id2label": {"0": "B", "1": "O"},
        "label2id": {"B": 0, "O": 1},
    }
