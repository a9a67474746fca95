"""Several heads on one encoder: the same answers as from each alone, in one pass."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest
import torch
from command_line import Hub
from tiny import LABELS, tiny_module

import hub_core as hub
from hub_core.errors import NotFoundError, SettingsError
from hub_core.torch_module import TorchModule

TEXTS = ["新华社北京月日电", "今天在中南海会见了美国", "他", "国务院副总理李岚清" * 12]
MOODS = ("negative", "positive")

pytestmark = pytest.mark.filterwarnings("ignore:.*were cut to max_seq_len:UserWarning")


def two_modules(tmp_path: Path, family: str = "bert") -> dict[str, TorchModule]:
    """Entities and mood of a text, over equal encoders."""
    entities = tiny_module(tmp_path, family=family, seed=1)
    mood = tiny_module(tmp_path, family=family, task="seq-cls", labels=MOODS, seed=2)
    mood.family.encoder(mood.network).load_state_dict(mood.family.encoder(mood.network).state_dict())
    shared = entities.family.encoder(entities.network).state_dict()
    mood.family.encoder(mood.network).load_state_dict(shared, strict=False)
    return {"entities": entities, "mood": mood}


@pytest.mark.parametrize("family", ["bert", "ernie", "electra", "roberta", "albert"])
def test_each_head_answers_as_its_module_does(tmp_path: Path, family: str) -> None:
    parts = two_modules(tmp_path, family)
    joint = hub.combine(parts)
    alone = {name: module.predict(TEXTS, max_seq_len=60) for name, module in parts.items()}
    for index, answer in enumerate(joint.predict(TEXTS, max_seq_len=60)):
        assert list(answer) == ["entities", "mood"]
        assert answer["entities"]["labels"] == alone["entities"][index]["labels"]
        if len(TEXTS[index]) < 60:
            assert answer["mood"]["label"] == alone["mood"][index]["label"]
            assert answer["mood"]["probability"] == pytest.approx(alone["mood"][index]["probability"], abs=1e-5)
        else:
            assert answer["mood"]["truncated"]


def test_saved_it_gives_all_heads_or_one(tmp_path: Path) -> None:
    parts = two_modules(tmp_path)
    joint = hub.combine(parts)
    joint.save(tmp_path / "both")
    again = hub.Module(directory=tmp_path / "both")
    assert again.predict(TEXTS) == joint.predict(TEXTS)
    for name, module in parts.items():
        by_head = hub.Module(directory=tmp_path / "both", head=name)
        by_task = hub.Module(directory=tmp_path / "both", task=module.task.name)
        assert by_head.predict(TEXTS) == by_task.predict(TEXTS) == module.predict(TEXTS)
        by_head.save(tmp_path / f"only-{name}")
        assert hub.Module(directory=tmp_path / f"only-{name}").predict(TEXTS) == module.predict(TEXTS)
    with pytest.raises(NotFoundError, match="unknown head 'moods'.*did you mean 'mood'"):
        hub.Module(directory=tmp_path / "both", head="moods")


def test_a_head_of_several_can_be_trained_further(tmp_path: Path) -> None:
    hub.combine(two_modules(tmp_path)).save(tmp_path / "both")
    module = hub.Module(directory=tmp_path / "both", head="mood")
    rows = [(text, MOODS[len(text) % 2]) for text in TEXTS]
    data = hub.datasets.Dataset.from_rows(rows, task="seq-cls", label_list=MOODS)
    trainer = hub.Trainer(module, checkpoint_dir=tmp_path / "ckpt", use_vdl=False)
    trainer.train(data, epochs=1, batch_size=4)
    joint = hub.Module(directory=tmp_path / "both")
    with pytest.raises(SettingsError, match="pick one with task="):
        hub.Trainer(joint, checkpoint_dir=tmp_path / "other", use_vdl=False).train(data, epochs=1)


def test_rows_are_of_one_head(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    hub.combine(two_modules(tmp_path)).save(tmp_path / "both")
    rows = [{"text": text, "label": MOODS[at % 2], "id": at} for at, text in enumerate(TEXTS)]
    (tmp_path / "dev.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    shell, both = Hub(capsys), ("--module", tmp_path / "both", "--data", tmp_path, "--split", "dev")
    for command in (
        ("evaluate",),
        ("evaluate", "--report", tmp_path / "out"),
        ("calibrate", "--output", tmp_path / "c"),
    ):
        said = shell.fails(*command, *both)
        assert said == "tiny-entities-mood 0.1.0 has heads entities, mood: give --head or --task\n"
    assert shell("evaluate", *both, "--head", "mood", "--json").json["rows"] == 4
    assert "temperature" in shell("calibrate", *both, "--head", "mood", "--output", tmp_path / "c", "--json").json
    out = shell("predict", "-m", tmp_path / "both", "--data", tmp_path / "dev.jsonl").out
    answers = [json.loads(line) for line in out.splitlines()]
    expected = hub.Module(directory=tmp_path / "both").predict(TEXTS)
    assert [one["mood"]["label"] for one in answers] == [one["mood"]["label"] for one in expected]
    assert [one["columns"] for one in answers] == [{"id": at} for at in range(4)]


def test_the_encoder_runs_once(tmp_path: Path) -> None:
    joint = hub.combine(two_modules(tmp_path))
    calls = []
    joint.network.get_submodule("bert").register_forward_hook(lambda *_: calls.append(1))
    joint.predict(TEXTS[:3], batch_size=3)
    assert len(calls) == 1


def test_threads_do_not_mix(tmp_path: Path) -> None:
    joint = hub.combine(two_modules(tmp_path))
    expected = [joint.predict([text]) for text in TEXTS]
    found: dict[int, object] = {}

    def answer(number: int) -> None:
        for _ in range(5):
            found[number] = joint.predict([TEXTS[number]])

    threads = [threading.Thread(target=answer, args=(number,)) for number in range(len(TEXTS))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [found[number] for number in range(len(TEXTS))] == expected


def test_encoders_that_differ_are_named(tmp_path: Path) -> None:
    parts = {"a": tiny_module(tmp_path, seed=1), "b": tiny_module(tmp_path, seed=2)}
    with pytest.raises(SettingsError, match=r"the encoder of b differs from that of a \(in bert\.embeddings"):
        hub.combine(parts)
    with pytest.raises(SettingsError, match="at least two"):
        hub.combine({"a": parts["a"]})
    with pytest.raises(SettingsError, match="different sizes"):
        hub.combine({"a": parts["a"], "b": tiny_module(tmp_path, hidden_size=16)})
    with pytest.raises(SettingsError, match="reads its rows in its own way"):
        hub.combine({"a": parts["a"], "b": tiny_module(tmp_path, task="embedding", seed=1)})


def test_a_copy_answers_for_itself(tmp_path: Path) -> None:
    import copy

    joint = hub.combine(two_modules(tmp_path))
    before = joint.predict(TEXTS)
    copied = copy.deepcopy(joint)
    with torch.no_grad():
        for parameter in copied.network.parameters():
            parameter.zero_()
    assert joint.predict(TEXTS) == before
    assert copied.predict(TEXTS) != before


def test_from_the_shell(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, module in two_modules(tmp_path).items():
        module.save(tmp_path / name)
    shell = Hub(capsys)
    heads = [f"{name}={tmp_path / name}" for name in ("entities", "mood")]
    done = shell("combine", *heads, "--output", tmp_path / "both")
    assert done.code == 0, done.err
    shown = shell("run", tmp_path / "both", *TEXTS[:2])
    assert shown.code == 0, shown.err
    assert "mood" in shown.out
    assert "entities" in shown.out
    (row,) = shell("run", tmp_path / "both", TEXTS[0], "--json").json
    assert row["mood"]["label"] in MOODS
    assert len(row["entities"]["labels"]) == len(TEXTS[0])
    assert set(row["entities"]["labels"]) <= set(LABELS)
    (alone,) = shell("run", tmp_path / "both", TEXTS[0], "--head", "mood", "--json").json
    assert alone["label"] == row["mood"]["label"]
    unknown = shell.fails("run", tmp_path / "both", TEXTS[0], "--head", "moods")
    assert "unknown head 'moods' of tiny-entities-mood 0.1.0; did you mean 'mood'?" in unknown
    assert "is not of the form" in shell.fails("combine", "entities", "--output", tmp_path / "x", code=2)
