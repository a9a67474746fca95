"""hub.Module: what it loads, from where, with which head, and what it says where it cannot."""

from __future__ import annotations

import json
import logging
import pickle
import shutil
import signal
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny import LABELS, small_module_folder, tiny_module, tiny_tokenizer

import hub_core as hub
from hub_core.errors import (
    CheckpointError,
    HubError,
    LabelError,
    NotFoundError,
    SettingsError,
    UnsafePickleError,
)
from hub_core.installation import install
from hub_core.registry import bundled_registry
from hub_core.spec import MANIFEST, WEIGHTS
from hub_core.torch_module import TorchModule

LABEL_MAP = dict(enumerate(LABELS))
TEXTS = ["新华社北京5月7日电", "国务院"]


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """A small ernie, installed under its name."""
    (spec,) = bundled_registry().versions("ernie")
    return install(small_module_folder(spec, tmp_path / "ernie")).folder


@pytest.fixture
def checkpoint(base: Path, tmp_path: Path) -> Path:
    """A token classifier on that ernie, saved."""
    model = hub.Module(name="ernie", task="token-cls", label_map=LABEL_MAP)
    model.save(tmp_path / "ckpt" / "best_model")
    return tmp_path / "ckpt" / "best_model"


def answers(module: TorchModule) -> Any:
    return module.predict(TEXTS)


def test_a_checkpoint_remembers_everything(checkpoint: Path) -> None:
    alone = hub.Module(directory=checkpoint)
    assert alone.task is not None
    assert (alone.task.name, alone.label_map, alone.spec.base) == ("token-cls", LABEL_MAP, "ernie==2.0.2")
    for path in (checkpoint, checkpoint / WEIGHTS, checkpoint / MANIFEST):
        loaded = hub.Module(name="ernie", task="token-cls", label_map=LABEL_MAP, load_checkpoint=path)
        assert answers(loaded) == answers(alone)
    assert answers(hub.Module(name="ernie", load_checkpoint=checkpoint)) == answers(alone)


def test_a_new_head_is_announced_and_a_loaded_one_is_not(
    base: Path, checkpoint: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, logger="hub_core"):
        hub.Module(directory=checkpoint)
        assert caplog.messages == []
        hub.Module(name="ernie", task="seq-cls", label_map=["a", "b"])
    assert caplog.messages == ["ernie 2.0.2: new seq-cls head with 2 labels, random until it is trained"]


def test_a_card_has_scores_of_four_decimals(base: Path, tmp_path: Path) -> None:
    model = hub.Module(name="ernie", task="seq-cls", label_map=["a", "b"])
    model.save(tmp_path / "saved", metrics={"accuracy": 2 / 3, "rows": 9})
    assert "\n- accuracy: 0.6667\n- rows: 9\n" in (tmp_path / "saved" / "README.md").read_text("utf-8")


def test_paddlehubs_own_names_of_things(base: Path) -> None:
    model = hub.Module(name="ernie", version="=2.0.2", task="sequence_classification", num_classes=3)
    assert model.label_map == {0: "0", 1: "1", 2: "2"}
    suffixed = hub.Module(name="ernie", task="token-cls", label_map=["PER-B", "O"], suffix=True)
    assert suffixed.task is not None
    assert suffixed.task.options["suffix"] is True
    assert hub.Module(name="ernie", task="seq-cls", suffix=True).task is not None
    assert suffixed.get_tokenizer()("中国")["input_ids"][0] == suffixed.tokenizer.cls_id


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({}, SettingsError, "needs a name .* or a directory="),
        ({"name": "ernie", "source": "https://github.com/a/b"}, SettingsError, r"directory=.*hf:org/repo"),
        ({"name": "ernie", "directory": "x"}, SettingsError, "and not both"),
        ({"name": "erni"}, NotFoundError, "unknown module 'erni'; did you mean 'ernie'"),
        ({"name": "ernie", "version": "9.9"}, NotFoundError, r"(?s)9\.9.*2\.0\.2"),
        ({"name": "ernie", "task": "token_cls"}, NotFoundError, "unknown task 'token_cls' for ernie 2.0.2"),
        ({"name": "ernie", "task": "token-cls"}, LabelError, "needs a label_map"),
        ({"name": "ernie", "label_map": ["a"]}, SettingsError, "label_map needs a task"),
        ({"directory": "nowhere"}, NotFoundError, "directory='nowhere' is not a folder"),
        ({"name": "ernie", "load_checkpoint": "ckpt/none"}, CheckpointError, "'ckpt/none' does not exist"),
        ({"directory": "x", "version": "1.0"}, SettingsError, "version= chooses among the versions of a name"),
        ({"name": "ernie", "task": "seq-cls", "num_classes": 0}, SettingsError, "num_classes must be at least 1"),
        ({"name": "ernie", "task": "seq-cls", "num_classes": 2.0}, SettingsError, "num_classes must be a whole number"),
    ],
)
def test_mistakes_are_named(base: Path, arguments: dict[str, Any], error: type[HubError], message: str) -> None:
    with pytest.raises(error, match=message):
        hub.Module(**arguments)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (LABELS[:-1], "it has 6 labels, the checkpoint has 7"),
        (LABELS[::-1], "the same labels in another order"),
        ((*LABELS[:-1], "X"), r"label\(s\) X that the checkpoint does not have"),
    ],
)
def test_labels_that_are_not_the_checkpoints(checkpoint: Path, labels: tuple[str, ...], message: str) -> None:
    with pytest.raises(LabelError, match=message):
        hub.Module(name="ernie", task="token-cls", label_map=labels, load_checkpoint=checkpoint)
    fresh = hub.Module(directory=checkpoint, task="token-cls", label_map=labels, new_head=True)
    assert fresh.labels == labels


def test_a_checkpoint_of_another_module(checkpoint: Path) -> None:
    with pytest.raises(CheckpointError, match="was made from ernie==2.0.2, not from rbt3"):
        hub.Module(name="rbt3", task="token-cls", label_map=LABEL_MAP, load_checkpoint=checkpoint)


def test_weights_that_do_not_fit_are_named(checkpoint: Path) -> None:
    weights = load_file(checkpoint / WEIGHTS)
    save_file({name: t for name, t in weights.items() if "classifier.bias" not in name}, checkpoint / WEIGHTS)
    with pytest.raises(CheckpointError, match=r"missing tensors: classifier\.bias"):
        hub.Module(directory=checkpoint)
    save_file({**weights, "ernie.extra": torch.zeros(1)}, checkpoint / WEIGHTS)
    with pytest.raises(CheckpointError, match=r"unknown tensors: ernie\.extra"):
        hub.Module(directory=checkpoint)
    save_file({**weights, "classifier.bias": torch.zeros(9)}, checkpoint / WEIGHTS)
    with pytest.raises(CheckpointError, match=r"classifier\.bias: \(9,\) in the file, \(7,\) in the network"):
        hub.Module(directory=checkpoint)


@pytest.mark.parametrize("content", [b"", b"not a tensor in sight", None])
def test_damaged_weights_are_named(checkpoint: Path, content: bytes | None) -> None:
    path = checkpoint / WEIGHTS
    path.write_bytes(path.read_bytes()[:-100] if content is None else content)
    with pytest.raises(CheckpointError, match=f"{WEIGHTS} is damaged"):
        hub.Module(directory=checkpoint)
    path.unlink()
    with pytest.raises(CheckpointError, match=f"has no {WEIGHTS}"):
        hub.Module(directory=checkpoint)


def test_the_head_of_another_task_is_replaced(checkpoint: Path) -> None:
    other = hub.Module(directory=checkpoint, task="seq-cls", label_map=["a", "b"])
    assert other.spec.base == "ernie==2.0.2"
    token = hub.Module(directory=checkpoint)
    encoder = "network.ernie.encoder.layer.0.output.dense.weight"
    assert torch.equal(other.state_dict()[encoder], token.state_dict()[encoder])


def test_a_paddlehub_users_own_checkpoint(base: Path, checkpoint: Path, tmp_path: Path) -> None:
    """``best_model/model.pdparams`` as PaddleHub 2.x leaves it: Paddle's names under ``model.``, no word of labels."""
    state = {f"model.{name}": array for name, array in paddle_names(load_file(checkpoint / WEIGHTS)).items()}
    folder = tmp_path / "paddlehub" / "best_model"
    folder.mkdir(parents=True)
    (folder / "model.pdparams").write_bytes(pickle.dumps(state, protocol=2))
    expected = answers(hub.Module(directory=checkpoint))
    for path in (folder, folder / "model.pdparams"):
        loaded = hub.Module(name="ernie", task="token-cls", label_map=LABEL_MAP, load_checkpoint=path)
        assert answers(loaded) == expected
        assert loaded.spec.base == "ernie==2.0.2"
    with pytest.raises(CheckpointError, match=r"classifier\.bias: \(7,\) in the file, \(2,\) in the network"):
        hub.Module(name="ernie", task="token-cls", label_map=["a", "b"], load_checkpoint=folder)


def paddle_names(tensors: dict[str, torch.Tensor]) -> dict[str, np.ndarray[Any, Any]]:
    """The inverse of the name map, for the tensors of a token classifier."""
    parts = {
        "embeddings.LayerNorm": "embeddings.layer_norm",
        "encoder.layer.": "encoder.layers.",
        "attention.self.query": "self_attn.q_proj",
        "attention.self.key": "self_attn.k_proj",
        "attention.self.value": "self_attn.v_proj",
        "attention.output.dense": "self_attn.out_proj",
        "attention.output.LayerNorm": "norm1",
        "intermediate.dense": "linear1",
        "output.dense": "linear2",
        "output.LayerNorm": "norm2",
    }
    renamed = {}
    for name, tensor in tensors.items():
        target = name
        for theirs, paddles in parts.items():
            target = target.replace(theirs, paddles)
        array = tensor.numpy()
        renamed[target] = array.T.copy() if array.ndim == 2 and "embeddings" not in name else array
    return renamed


@pytest.mark.parametrize("name", ["model.pdparams", "pytorch_model.bin"])
def test_a_pickle_that_would_run_code_does_not(base: Path, tmp_path: Path, name: str) -> None:
    canary = tmp_path / "canary"

    class Attack:
        def __reduce__(self) -> Any:
            return (Path.touch, (canary,))

    folder = tmp_path / "bad"
    folder.mkdir()
    (folder / name).write_bytes(pickle.dumps({"classifier.bias": Attack()}, protocol=2))
    with pytest.raises(UnsafePickleError, match=name.replace(".", r"\.")):
        hub.Module(name="ernie", task="token-cls", label_map=LABEL_MAP, load_checkpoint=folder)
    assert not canary.exists()


def test_a_folder_in_hugging_faces_layout(tmp_path: Path) -> None:
    import transformers

    config = transformers.DistilBertConfig(vocab_size=200, dim=32, n_layers=2, n_heads=4, hidden_dim=64)
    folder = tmp_path / "distilbert"
    transformers.DistilBertModel(config).save_pretrained(folder)
    tiny_tokenizer(tmp_path).to_transformers().save_pretrained(folder)
    module = hub.Module(directory=folder, task="seq-cls", label_map=["no", "yes"])
    assert module.spec.family == "distilbert"
    first = answers(module)
    module.save(tmp_path / "saved")
    assert answers(hub.Module(directory=tmp_path / "saved")) == first


def test_a_folder_without_anything(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(HubError, match="empty"):
        hub.Module(directory=tmp_path / "empty")


def test_new_modules_train_from_nothing(tmp_path: Path) -> None:
    tokenizer = tiny_tokenizer(tmp_path, "char")
    module = hub.new_module(
        family="bilstm",
        config={"embedding_size": 8, "hidden_size": 6},
        tokenizer=tokenizer,
        task="seq-cls",
        label_map=["no", "yes"],
        name="mine",
        summary="a test",
    )
    module.save(tmp_path / "mine")
    record = json.loads((tmp_path / "mine" / MANIFEST).read_text(encoding="utf-8"))
    assert record["config"]["vocab_size"] == len(tokenizer.get_vocab())
    assert answers(hub.Module(directory=tmp_path / "mine")) == answers(module)
    with pytest.raises(NotFoundError, match="unknown task 'masked-lm' of family bilstm"):
        hub.new_module(family="bilstm", config={}, tokenizer=tokenizer, task="masked-lm", name="mine")


def test_half_precision_is_stored_half_and_loaded_whole(tmp_path: Path) -> None:
    module = tiny_module(tmp_path)
    module.save(tmp_path / "half", dtype="float16")
    assert all(t.dtype == torch.float16 for t in load_file(tmp_path / "half" / WEIGHTS).values())
    again = hub.Module(directory=tmp_path / "half")
    assert all(p.dtype == torch.float32 for p in again.parameters())
    assert [a["labels"] for a in answers(again)] == [a["labels"] for a in answers(module)]


def test_a_save_that_fails_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = tiny_module(tmp_path)
    module.save(tmp_path / "saved")
    before = {path.name: path.read_bytes() for path in (tmp_path / "saved").iterdir()}

    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("safetensors.torch.save_file", full)
    with pytest.raises(CheckpointError, match="saved could not be saved: No space left on device; nothing was changed"):
        module.save(tmp_path / "saved")
    assert {path.name: path.read_bytes() for path in (tmp_path / "saved").iterdir()} == before
    assert [path.name for path in tmp_path.iterdir() if path.name.endswith(".tmp")] == []


@pytest.mark.skipif(sys.platform != "linux", reason="limits the size of files")
def test_a_disk_that_is_really_full(tmp_path: Path) -> None:
    """Where no file may grow beyond some bytes, safetensors reports the system's refusal in a class of its own."""
    import resource

    module = tiny_module(tmp_path)
    limit, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, limit[1]))
    try:
        with pytest.raises(CheckpointError, match=r"saved could not be saved: .*nothing was changed"):
            module.save(tmp_path / "saved")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
        signal.signal(signal.SIGXFSZ, handler)
    assert not (tmp_path / "saved").exists()


@pytest.mark.parametrize("content", ["notes.txt", None])
def test_saving_destroys_nothing_else(tmp_path: Path, content: str | None) -> None:
    target = tmp_path / "mine"
    file = target if content is None else target / content
    file.parent.mkdir(exist_ok=True)
    file.write_text("mine")
    message = "is a file, not a folder" if content is None else r"is not a module folder and holds notes\.txt"
    with pytest.raises(CheckpointError, match=f"mine {message}.*name another folder"):
        tiny_module(tmp_path).save(target)
    assert file.read_text() == "mine"
    (tmp_path / "empty").mkdir()
    tiny_module(tmp_path).save(tmp_path / "empty")
    tiny_module(tmp_path).save(tmp_path / "empty")
    (tmp_path / "empty" / "notes.txt").write_text("mine")
    with pytest.raises(CheckpointError, match=r"empty holds notes\.txt, which saving would remove"):
        tiny_module(tmp_path).save(tmp_path / "empty")
    assert (tmp_path / "empty" / "notes.txt").read_text() == "mine"


def test_a_foreign_file_beside_a_manifest_is_read_itself(base: Path, checkpoint: Path) -> None:
    """As a file that somebody put into a checkpoint's folder, and not as that checkpoint."""
    names = paddle_names(load_file(checkpoint / WEIGHTS))
    changed = {name: array + 1 if name == "classifier.bias" else array for name, array in names.items()}
    (checkpoint / "model.pdparams").write_bytes(pickle.dumps(changed, protocol=2))
    wanted: dict[str, Any] = {"name": "ernie", "task": "token-cls", "label_map": LABEL_MAP}
    loaded = hub.Module(**wanted, load_checkpoint=checkpoint / "model.pdparams")
    stored = load_file(checkpoint / WEIGHTS)["classifier.bias"]
    assert torch.equal(loaded.state_dict()["network.classifier.bias"], stored + 1)
    fresh = hub.Module(
        **{**wanted, "label_map": ["a", "b"]}, load_checkpoint=checkpoint / "model.pdparams", new_head=True
    )
    assert fresh.labels == ("a", "b")
    with pytest.raises(CheckpointError, match=r"README\.md' is no file of weights; give a checkpoint folder"):
        hub.Module(**wanted, load_checkpoint=checkpoint / "README.md")


def test_the_folder_above_a_checkpoint_names_it(checkpoint: Path) -> None:
    with pytest.raises(CheckpointError, match="is not a checkpoint.*best_model' is one"):
        hub.Module(name="ernie", load_checkpoint=checkpoint.parent)
    with pytest.raises(NotFoundError, match="is no module folder; .*best_model' is one"):
        hub.Module(directory=checkpoint.parent)


def test_a_module_can_be_copied(tmp_path: Path) -> None:
    import copy

    module = tiny_module(tmp_path)
    twin = copy.deepcopy(module)
    with torch.no_grad():
        next(twin.parameters()).zero_()
    assert next(module.parameters()).any()
    assert twin.labels == module.labels


def test_an_installed_checkpoint_is_a_module(checkpoint: Path, tmp_path: Path) -> None:
    expected = answers(hub.Module(directory=checkpoint))
    installed = install(checkpoint)
    shutil.rmtree(checkpoint)
    assert answers(hub.Module(name=installed.spec.name)) == expected


def test_a_number_of_classes_that_is_not_the_modules(base: Path, tmp_path: Path) -> None:
    hub.Module("ernie", task="seq-cls", label_map=["bad", "good"]).save(tmp_path / "moods")
    with pytest.raises(LabelError, match="num_classes=5, but .* has 2 labels: bad, good"):
        hub.Module(directory=tmp_path / "moods", task="seq-cls", num_classes=5)
    assert hub.Module(directory=tmp_path / "moods", task="seq-cls", num_classes=2).labels == ("bad", "good")
    fresh = hub.Module(directory=tmp_path / "moods", task="seq-cls", num_classes=5, new_head=True)
    assert len(fresh.labels) == 5
