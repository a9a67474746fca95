"""What every registered module promises, whatever its architecture: checked on small, random copies."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tiny import LABELS, small_module_folder

import hub_core as hub
from hub_core.examples import Batch, Example
from hub_core.nn.families import family_of
from hub_core.plugins import catalog
from hub_core.registry import bundled_registry
from hub_core.spec import ModuleSpec, read_manifest
from hub_core.torch_module import TorchModule
from hub_core.train.batches import encode_all, to_torch
from hub_core.train.objectives import Supervised

SPECS = bundled_registry().search()
TASK_LABELS: dict[str, Sequence[str]] = {"seq-cls": ("negative", "positive", "neutral"), "token-cls": LABELS}
CASES = [pytest.param(spec, task, id=f"{spec.name}-{task}") for spec in SPECS for task in spec.supports]
TEXTS = ["新华社北京5月7日电", "今天在中南海会见了美国前商务部长", "他", "GPU😀 ２０２６ a b", "国务院副总理" * 20]

pytestmark = pytest.mark.filterwarnings("ignore:.*were cut to max_seq_len:UserWarning")


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A small folder of every registered module."""
    home = tmp_path_factory.mktemp("modules")
    return {spec.name: small_module_folder(spec, home / spec.name) for spec in SPECS}


def load(folders: dict[str, Path], spec: ModuleSpec, task: str) -> TorchModule:
    torch.manual_seed(1)
    return hub.Module(directory=folders[spec.name], task=task, label_map=dict(enumerate(TASK_LABELS[task])))


def labelled(task: str) -> list[Example]:
    if task == "seq-cls":
        return [Example(text, label=TASK_LABELS[task][i % 3], key=str(i)) for i, text in enumerate(TEXTS)]
    return [
        Example(text, units=tuple(text), label=tuple(LABELS[ord(c) % 7] for c in text), key=str(i))
        for i, text in enumerate(TEXTS)
    ]


def same(first: Any, second: Any) -> bool:
    """Equal answers; probabilities up to rounding."""
    if isinstance(first, dict):
        return first.keys() == second.keys() and all(same(first[key], second[key]) for key in first)
    if isinstance(first, list):
        return len(first) == len(second) and all(map(same, first, second))
    return first == pytest.approx(second, abs=1e-5) if isinstance(first, float) else first == second


@pytest.mark.parametrize(("spec", "task"), CASES)
def test_a_list_is_answered_as_its_rows_are(folders: dict[str, Path], spec: ModuleSpec, task: str) -> None:
    module = load(folders, spec, task)
    together = module.predict(TEXTS, batch_size=3)
    alone = [module.predict([text])[0] for text in TEXTS]
    assert same(together, alone)
    assert len(together) == len(TEXTS)
    if task == "token-cls":
        assert [len(answer["labels"]) for answer in together] == [len(text) for text in TEXTS]


@pytest.mark.parametrize(("spec", "task"), CASES)
def test_saved_and_loaded_it_answers_the_same(
    folders: dict[str, Path], tmp_path: Path, spec: ModuleSpec, task: str
) -> None:
    module = load(folders, spec, task)
    module.save(tmp_path / "saved", metrics={"f1": 0.5})
    again = hub.Module(directory=tmp_path / "saved")
    assert again.labels == module.labels
    assert again.spec.base == f"{spec.name}=={spec.version}"
    assert again.spec.metrics == {"f1": 0.5}
    assert again.predict(TEXTS) == module.predict(TEXTS)
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
    assert without == []
    # The key bias shifts all scores of a row alike, so softmax gives it a zero gradient by mathematics.
    still = [n for n, p in module.named_parameters() if p.grad is not None and not p.grad.any() and "key.bias" not in n]
    assert [name for name in still if "token_type" not in name] == []


@pytest.mark.parametrize(("spec", "task"), CASES)
def test_the_saved_folder_opens_where_the_manifest_says(
    folders: dict[str, Path], tmp_path: Path, spec: ModuleSpec, task: str
) -> None:
    import transformers

    if task not in spec.loads_in.get("transformers", ()):
        assert spec.family == "bilstm"
        return
    module = load(folders, spec, task)
    module.save(tmp_path / "saved")
    assert module.task is not None
    auto = getattr(transformers, f"AutoModelFor{module.task.auto_class}")
    theirs, report = auto.from_pretrained(tmp_path / "saved", output_loading_info=True)
    assert not report["missing_keys"]
    assert not report["unexpected_keys"]
    assert list(theirs.config.id2label.values()) == list(module.labels)
    windows = [w for rows in encode_all(labelled(task), module.task, module.tokenizer, 64) for w in rows]
    inputs = to_torch(module.task.collate(windows, {"input_ids": module.tokenizer.pad_id}), torch.device("cpu")).inputs
    with torch.inference_mode():
        ours = module(inputs).logits
        assert ours is not None
        assert torch.allclose(ours, theirs(**inputs).logits, atol=1e-6)


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.name)
def test_without_a_task_it_is_the_bare_encoder(folders: dict[str, Path], spec: ModuleSpec) -> None:
    module = hub.Module(directory=folders[spec.name])
    encoded = module.get_tokenizer()(["新华社北京", "他"], padding=True, return_tensors="pt")
    inputs = {name: encoded[name] for name in module.get_tokenizer().input_names}
    outputs = module(inputs, want=("hidden",))
    assert outputs.logits is None
    assert outputs.hidden is not None
    assert outputs.hidden[-1].shape[:2] == inputs["input_ids"].shape


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.name)
def test_the_manifest_is_complete(spec: ModuleSpec) -> None:
    assert spec.summary
    assert spec.homepage or spec.heads
    assert spec.languages
    assert set(spec.supports) <= set(catalog().entries("task"))
    if not spec.heads:
        weights = next(file for file in spec.files if file.path == "model.safetensors")
        assert weights.sources


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        # https://huggingface.co/google-bert/bert-base-chinese: 102,267,648 parameters in BertModel
        ("bert-base-chinese", 102_267_648),
        ("roberta-wwm-ext", 102_267_648),
        # 3 of 12 layers of 7,087,872: the embeddings and the pooler stay
        ("rbt3", 102_267_648 - 9 * 7_087_872),
    ],
)
def test_full_size_parameter_counts(name: str, parameters: int) -> None:
    spec = next(spec for spec in SPECS if spec.name == name)
    with torch.device("meta"):
        network = family_of(spec.family, catalog()).build(spec.config, heads=())
    assert sum(parameter.numel() for parameter in network.parameters()) == parameters


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.name)
def test_full_size_networks_have_the_shapes_of_their_manifest(spec: ModuleSpec) -> None:
    with torch.device("meta"):
        network = family_of(spec.family, catalog()).build(spec.config, heads=())
    shapes = {tuple(tensor.shape) for tensor in network.state_dict().values()}
    width = spec.config.get("embedding_size", spec.config["hidden_size"])
    assert (spec.config["vocab_size"], width) in shapes


def test_the_callers_data_is_left_alone(folders: dict[str, Path]) -> None:
    module = load(folders, SPECS[0], "token-cls")
    data = [["\002".join(text)] for text in TEXTS]
    before = copy.deepcopy(data)
    labels, probabilities = module.predict(data, return_prob=True)
    assert data == before
    assert [len(row) for row in labels] == [len(row) for row in probabilities] == [len(text) + 2 for text in TEXTS]
    assert np.all(np.array([p for row in probabilities for p in row]) <= 1)
