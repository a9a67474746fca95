"""What every registered module promises, whatever its architecture.

Every module is built at full size without memory for its weights. The whole contract (train a step, predict, save,
load, open elsewhere) is checked on a small, random copy of one module of each kind: modules of one kind differ in
numbers only.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny import LABELS, small_module_folder

import hub_core as hub
from hub_core.data.problems import Problems
from hub_core.data.rows import RowReading, to_examples
from hub_core.data.tables import Row
from hub_core.examples import Batch, Example
from hub_core.nn.families import family_of
from hub_core.plugins import catalog
from hub_core.registry import bundled_registry
from hub_core.spec import ModuleSpec, read_manifest
from hub_core.torch_module import TorchModule
from hub_core.train.batches import encode_all, to_torch
from hub_core.train.objectives import Supervised

SPECS = bundled_registry().search()
TEXTS = ["新华社北京5月7日电", "今天在中南海会见了美国前商务部长", "他", "GPU😀 ２０２６ a b", "国务院副总理" * 20]
PAIRS = [(text, other) for text, other in zip(TEXTS, TEXTS[::-1], strict=True)]


def tagged(text: str) -> dict[str, Any]:
    return {"tokens": list(text), "labels": [LABELS[ord(char) % 7] for char in text]}


#: What a task is asked here: its labels (None: it has none), rows to predict, and rows to learn from, as a table has
#: them. A task that the catalog comes to have is checked from then on, on every module that supports it.
CLASSES = ("negative", "positive", "neutral")
ASKED: Mapping[str, tuple[Sequence[str] | None, Sequence[Any], Sequence[Mapping[str, Any]]]] = {
    "seq-cls": (CLASSES, TEXTS, [{"text": text, "label": CLASSES[i % 3]} for i, text in enumerate(TEXTS)]),
    "token-cls": (LABELS, TEXTS, [tagged(text) for text in TEXTS]),
    "text-matching": (
        ("0", "1"),
        PAIRS,
        [{"text_a": text, "text_b": other, "label": str(i % 2)} for i, (text, other) in enumerate(PAIRS)],
    ),
    "masked-lm": (
        None,
        [f"[MASK]{text[:60]}" for text in TEXTS],
        [{"text": f"[MASK]{text[:60]}", "label": "新"} for text in TEXTS],
    ),
    "embedding": (None, TEXTS, [{"text_a": text, "text_b": other} for text, other in PAIRS]),
    "question-answering": (
        None,
        [(text[:9], other) for text, other in PAIRS],
        [
            {"question": text[:9], "context": other, "answers": {"text": [other[:2]], "answer_start": [0]}}
            for text, other in PAIRS
        ],
    ),
}
#: Tasks that take the vectors of all tokens: the architecture's own pooler stands idle, and their heads are not heads
#: of `transformers`.
POOLING_THEMSELVES = ("text-matching", "embedding")


def kind_of(spec: ModuleSpec) -> str:
    """What a small copy keeps of a module: modules of one kind run through the same code."""
    parts = [spec.family, spec.tokenizer["type"], *(["crf"] if spec.config.get("crf") else [])]
    return "-".join([*parts, *(["tasks"] if spec.config.get("use_task_id") else [])])


#: One module of each kind: the first by name, and one without a head where there is one.
KINDS = {kind_of(spec): spec for spec in sorted(SPECS, key=lambda spec: (bool(spec.heads), spec.name), reverse=True)}
MODULES = [pytest.param(spec, id=kind) for kind, spec in sorted(KINDS.items())]
CASES = [
    pytest.param(spec, task, id=f"{kind}-{task}")
    for kind, spec in sorted(KINDS.items())
    for task in spec.supports
    if task in ASKED and task in catalog().entries("task")
]

pytestmark = pytest.mark.filterwarnings("ignore:.*were cut to max_seq_len:UserWarning")


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A small folder of one module of each kind, made when it is first asked for."""
    home = tmp_path_factory.mktemp("modules")

    class Folders(dict[str, Path]):
        def __missing__(self, name: str) -> Path:
            spec = next(spec for spec in KINDS.values() if spec.name == name)
            self[name] = small_module_folder(spec, home / name)
            return self[name]

    return Folders()


def load(folders: dict[str, Path], spec: ModuleSpec, task: str) -> TorchModule:
    torch.manual_seed(1)
    labels = ASKED[task][0]
    label_map = None if labels is None else dict(enumerate(labels))
    return hub.Module(directory=folders[spec.name], task=task, label_map=label_map)


def labelled(task: str) -> list[Example]:
    problems = Problems()
    rows = [Row(columns, "rows", line) for line, columns in enumerate(ASKED[task][2], start=1)]
    examples = list(to_examples(rows, RowReading(task), problems))
    problems.raise_if_any()
    return examples


def same(first: Any, second: Any) -> bool:
    """Equal answers; probabilities up to rounding."""
    if isinstance(first, dict):
        return first.keys() == second.keys() and all(same(first[key], second[key]) for key in first)
    if isinstance(first, list):
        return len(first) == len(second) and all(map(same, first, second))
    return first == pytest.approx(second, abs=1e-5) if isinstance(first, float) else first == second


def test_every_task_of_the_catalog_is_asked_here() -> None:
    assert catalog().entries("task").keys() <= ASKED.keys(), "give the new task's labels and rows in ASKED"


@pytest.mark.parametrize(("spec", "task"), CASES)
def test_a_list_is_answered_as_its_rows_are(folders: dict[str, Path], spec: ModuleSpec, task: str) -> None:
    module, asked = load(folders, spec, task), ASKED[task][1]
    together = module.predict(asked, batch_size=3)
    alone = [module.predict([row])[0] for row in asked]
    assert same(together, alone)
    assert len(together) == len(asked)
    if task == "token-cls":
        assert [len(answer["labels"]) for answer in together] == [len(text) for text in TEXTS]


@pytest.mark.parametrize(("spec", "task"), CASES)
def test_saved_and_loaded_it_answers_the_same(
    folders: dict[str, Path], tmp_path: Path, spec: ModuleSpec, task: str
) -> None:
    module, asked = load(folders, spec, task), ASKED[task][1]
    module.save(tmp_path / "saved", metrics={"f1": 0.5})
    again = hub.Module(directory=tmp_path / "saved")
    assert again.labels == module.labels
    assert again.spec.base == f"{spec.name}=={spec.version}"
    assert again.spec.metrics == {"f1": 0.5}
    assert again.predict(asked) == module.predict(asked)
    for name, tensor in module.state_dict().items():
        assert torch.equal(tensor, again.state_dict()[name]), name
    assert read_manifest(tmp_path / "saved") == again.spec


@pytest.mark.parametrize(("spec", "task"), CASES)
def test_one_step_gives_every_parameter_a_gradient(folders: dict[str, Path], spec: ModuleSpec, task: str) -> None:
    module = load(folders, spec, task)
    assert module.task is not None
    objective = Supervised(module)
    windows = [w for rows in encode_all(labelled(task), module.task, module.tokenizer, 64) for w in rows]
    batch: Batch = module.task.collate(windows, {"input_ids": module.tokenizer.pad_id})
    objective(module, to_torch(batch, torch.device("cpu"))).loss.backward()
    without = [name for name, parameter in module.named_parameters() if parameter.grad is None]
    assert [name for name in without if not (task in POOLING_THEMSELVES and "pooler." in name)] == []
    # The key bias shifts all scores of a row alike, so softmax gives it a zero gradient by mathematics.
    still = [n for n, p in module.named_parameters() if p.grad is not None and not p.grad.any() and "key.bias" not in n]
    assert [name for name in still if "token_type" not in name] == []


@pytest.mark.parametrize(("spec", "task"), CASES)
def test_the_saved_folder_opens_where_the_manifest_says(
    folders: dict[str, Path], tmp_path: Path, spec: ModuleSpec, task: str
) -> None:
    import transformers

    if task not in spec.loads_in.get("transformers", ()):
        assert spec.family == "bilstm" or task in POOLING_THEMSELVES
        return
    module = load(folders, spec, task)
    module.save(tmp_path / "saved")
    assert module.task is not None
    auto = getattr(transformers, f"AutoModelFor{module.task.auto_class}")
    theirs, report = auto.from_pretrained(tmp_path / "saved", output_loading_info=True)
    assert not report["missing_keys"]
    assert not report["unexpected_keys"]
    if module.labels:
        assert list(theirs.config.id2label.values()) == list(module.labels)
    windows = [w for rows in encode_all(labelled(task), module.task, module.tokenizer, 64) for w in rows]
    inputs = to_torch(module.task.collate(windows, {"input_ids": module.tokenizer.pad_id}), torch.device("cpu")).inputs
    with torch.inference_mode():
        ours = module(inputs).logits
        assert ours is not None
        answer = theirs(**inputs)
        spans = "start_logits" in answer
        logits = torch.stack([answer.start_logits, answer.end_logits], -1) if spans else answer.logits
        assert torch.allclose(ours, logits, atol=1e-6)


@pytest.mark.parametrize("spec", MODULES)
def test_without_a_task_it_is_the_bare_encoder(folders: dict[str, Path], spec: ModuleSpec) -> None:
    module = hub.Module(directory=folders[spec.name])
    encoded = module.get_tokenizer()(["新华社北京", "他"], padding=True, return_tensors="pt")
    inputs = {name: encoded[name] for name in module.get_tokenizer().input_names}
    outputs = module(inputs, want=("hidden",))
    assert outputs.logits is None
    assert outputs.hidden is not None
    assert outputs.hidden[-1].shape[:2] == inputs["input_ids"].shape


@cache
def full_size(family: str, config: str) -> torch.nn.Module:
    """The bare network at full size, without memory for its weights; made once for modules of the same numbers."""
    from transformers.initialization import no_init_weights

    with torch.device("meta"), no_init_weights():
        return family_of(family, catalog()).build(json.loads(config), heads=())


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.name)
def test_at_full_size_it_has_as_many_parameters_as_its_manifest_says(spec: ModuleSpec) -> None:
    network = full_size(spec.family, json.dumps(spec.config, sort_keys=True))
    assert sum(parameter.numel() for parameter in network.parameters()) == spec.parameters
    shapes = {tuple(tensor.shape) for tensor in network.state_dict().values()}
    width = spec.config.get("embedding_size", spec.config["hidden_size"])
    assert (spec.config["vocab_size"], width) in shapes


#: What papers and cards say of the number of parameters, in millions.
STATED = {
    # PaddleNLP, docs/model_zoo/transformers/all/transformers.rst: for BERT with the heads of pre-training.
    "bert-base-uncased": (110, 1),
    "bert-large-uncased": (336, 2),
    "bert-base-cased": (109, 1),
    "bert-large-cased": (335, 2),
    "bert-base-multilingual-uncased": (168, 1),
    "bert-base-multilingual-cased": (179, 1.2),
    "macbert-base-chinese": (102, 0.5),
    "macbert-large-chinese": (326, 0.5),
    "albert-base-v1": (11, 1),
    "albert-base-v2": (11, 1),
    "albert-xxlarge-v1": (223, 1),
    "albert-xxlarge-v2": (223, 1),
    "google-albert-large-en": (17, 1),
    "google-albert-xlarge-en": (58, 1),
    # https://huggingface.co/google-bert/bert-base-chinese: 102,267,648 in BertModel
    "bert-base-chinese": (102.267648, 0),
    # Liu et al. 2019 (arXiv:1907.11692), section 4.4: BERT's sizes, with a vocabulary larger by 15 and 20 million.
    "roberta-base-en": (110 + 15, 1),
    "roberta-large-en": (335 + 20, 1),
    # https://github.com/brightmart/albert_zh: albert_tiny has 4 million.
    "albert-chinese-tiny": (4, 0.5),
    # Clark et al. 2020 (arXiv:2003.10555), tables 1 and 2.
    "electra-small": (14, 0.6),
    "electra-base": (110, 1.2),
    "electra-large": (335, 1),
    # https://github.com/ymcui/Chinese-ELECTRA
    "chinese-electra-small": (12, 0.5),
    "chinese-electra-base": (102, 0.5),
    # https://github.com/ymcui/Chinese-BERT-wwm
    "chinese-bert-wwm": (102, 0.5),
    "chinese-bert-wwm-ext": (102, 0.5),
    "roberta-wwm-ext": (102, 0.5),
    "roberta-wwm-ext-large": (325, 1),
    "rbt3": (38, 0.5),
    "rbtl3": (61, 0.5),
    # PaddleNLP, docs/model_zoo/transformers/ERNIE/contents.rst
    "ernie-3.0-xbase-zh": (296, 0.5),
    "ernie-3.0-base-zh": (118, 0.5),
    "ernie-3.0-medium-zh": (75, 0.5),
    "ernie-3.0-mini-zh": (27, 0.5),
    "ernie-3.0-micro-zh": (23, 0.5),
    "ernie-3.0-nano-zh": (18, 0.5),
    "ernie_v2_eng_large": (336, 1.2),
    # Zhang et al. 2021 (arXiv:2110.06696) and https://github.com/Langboat/Mengzi
    "mengzi-bert-L6-H768": (60, 0.5),
    # https://huggingface.co/IDEA-CCNL/Erlangshen-MegatronBert-1.3B
    "erlangshen-megatronbert-1.3b": (1300, 50),
    # Warner et al. 2024 (arXiv:2412.13663) and https://huggingface.co/Alibaba-NLP/gte-modernbert-base
    "modernbert-base": (149, 0.5),
    "modernbert-large": (395, 0.5),
    "gte-modernbert-base": (149, 0.5),
    # Marone et al. 2025 (arXiv:2509.06888)
    "mmbert-small": (140, 0.5),
    "mmbert-base": (307, 0.5),
    # http://bge-model.com/bge/bge_v1_v1.5.html
    "bge-small-zh-v1.5": (24, 0.5),
    "bge-base-zh-v1.5": (102, 0.5),
    "bge-large-zh-v1.5": (326, 0.5),
    "bge-small-en-v1.5": (33.4, 0.05),
    "bge-base-en-v1.5": (109, 0.5),
    "bge-large-en-v1.5": (335, 0.5),
    # https://huggingface.co/BAAI/bge-m3 and bge-reranker-*, as the site counts their tensors
    "bge-m3": (568, 0.5),
    "bge-reranker-base": (278, 0.5),
    "bge-reranker-large": (560, 0.5),
    "bge-reranker-v2-m3": (568, 0.5),
}

#: Turc et al. 2019 (arXiv:1908.08962), table 1: layers by hidden size 128, 256, 512, 768, with the masked-word head.
SMALL_BERTS = {
    2: (4.4, 9.7, 22.8, 39.2),
    4: (4.8, 11.3, 29.1, 53.4),
    6: (5.2, 12.8, 35.4, 67.5),
    8: (5.6, 14.4, 41.7, 81.7),
    10: (6.0, 16.0, 48.0, 95.9),
    12: (6.4, 17.6, 54.3, 110.1),
}


@pytest.mark.parametrize(("name", "stated"), STATED.items())
def test_parameters_are_those_that_the_publisher_states(name: str, stated: tuple[float, float]) -> None:
    spec = next(spec for spec in SPECS if spec.name == name)
    millions, tolerance = stated
    assert (spec.parameters or 0) / 1e6 == pytest.approx(millions, abs=tolerance)


@pytest.mark.parametrize("layers", SMALL_BERTS)
def test_parameters_of_the_small_berts_are_those_of_their_paper(layers: int) -> None:
    specs = {spec.name: spec for spec in SPECS}
    for hidden, stated in zip((128, 256, 512, 768), SMALL_BERTS[layers], strict=True):
        spec = specs[f"bert-uncased-l{layers}-h{hidden}"]
        head = hidden * hidden + 3 * hidden + spec.config["vocab_size"]  # a layer, its norm, and a bias per word
        assert ((spec.parameters or 0) + head) / 1e6 == pytest.approx(stated, abs=0.1)


def test_the_callers_data_is_left_alone(folders: dict[str, Path]) -> None:
    spec = KINDS["bert-wordpiece"]
    module = load(folders, spec, "token-cls")
    data = [["\002".join(text)] for text in TEXTS]
    before = copy.deepcopy(data)
    labels, probabilities = module.predict(data, return_prob=True)
    assert data == before
    assert [len(row) for row in labels] == [len(row) for row in probabilities] == [len(text) + 2 for text in TEXTS]
    assert np.all(np.array([p for row in probabilities for p in row]) <= 1)
