"""Calibration: temperatures that an optimizer finds, thresholds that no other beats, modules that keep them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from command_line import Hub
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny import tiny_module

import hub_core as hub
from hub_core.data.dataset import Dataset
from hub_core.errors import SettingsError
from hub_core.train.calibration import _temperature, _thresholds

MOODS = ("negative", "positive")
TEXTS = ["新华社北京月日电", "今天在中南海会见了美国", "他", "国务院副总理李岚清"]


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000), sureness=st.floats(0.3, 4))
def test_the_temperature_is_that_of_scipys_minimizer(seed: int, sureness: float) -> None:
    from scipy.optimize import minimize_scalar
    from scipy.special import log_softmax

    generator = np.random.default_rng(seed)
    logits = generator.normal(size=(300, 4))
    targets = np.array([generator.choice(4, p=np.exp(log_softmax(row))) for row in logits])
    logits *= sureness
    found = _temperature(np.exp(log_softmax(logits, axis=1)), targets)

    def loss(temperature: float) -> float:
        return -float(log_softmax(logits / temperature, axis=1)[np.arange(300), targets].mean())

    best = minimize_scalar(loss, bounds=(0.05, 20), method="bounded", options={"xatol": 1e-6})
    assert found.options["temperature"] == pytest.approx(best.x, rel=1e-3)
    assert found.after == pytest.approx(best.fun, abs=1e-6)
    assert found.before == pytest.approx(loss(1), abs=1e-9)
    assert found.after <= found.before


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 10_000), rows=st.integers(2, 40))
def test_no_threshold_is_better(seed: int, rows: int) -> None:
    from sklearn.metrics import f1_score

    generator = np.random.default_rng(seed)
    chances = generator.random((rows, 3)).round(2)
    targets = (generator.random((rows, 3)) < chances).astype(np.float32)
    found = _thresholds(chances, targets)
    for label, threshold in enumerate(found.options["threshold"]):
        mine = f1_score(targets[:, label], chances[:, label] >= threshold, zero_division=0)
        others = [
            f1_score(targets[:, label], chances[:, label] >= other, zero_division=0) for other in np.arange(0, 1, 0.02)
        ]
        assert mine >= max(others) - 1e-12
    assert found.after >= found.before


def test_a_module_keeps_what_was_found(tmp_path: Path) -> None:
    module = tiny_module(tmp_path, task="seq-cls", labels=MOODS)
    with torch.no_grad():
        module.network.classifier.weight *= 20_000
    labels = [answer["label"] for answer in module.predict(TEXTS)]
    sure = [answer["probability"] for answer in module.predict(TEXTS)]
    worst = int(np.argmax(sure))
    labels[worst] = MOODS[labels[worst] == MOODS[0]]  # wrong where it is surest
    data = Dataset.from_rows(list(zip(TEXTS, labels, strict=True)), task="seq-cls", label_list=MOODS)
    found = hub.calibrate(module, list(data))
    assert found.options["temperature"] > 1
    module.save(tmp_path / "calibrated")
    again = hub.Module(directory=tmp_path / "calibrated")
    assert again.task.options["temperature"] == found.options["temperature"]
    answers = again.predict(TEXTS)
    assert all(answer["probability"] < before for answer, before in zip(answers, sure, strict=True))
    assert [answer["label"] for answer in answers] == [answer["label"] for answer in module.predict(TEXTS)]


def test_what_has_no_probabilities_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="calibration is for labels of whole texts"):
        hub.calibrate(tiny_module(tmp_path), [])
    with pytest.raises(SettingsError, match="needs labelled rows"):
        hub.calibrate(tiny_module(tmp_path, task="seq-cls", labels=MOODS), [])


def test_from_the_shell(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = {"problem": "multi-label"}
    tiny_module(tmp_path, task="seq-cls", labels=MOODS, task_options=options).save(tmp_path / "module")
    rows = ["text\tlabel", *(f"{text}\t{MOODS[index % 2]}" for index, text in enumerate(TEXTS))]
    (tmp_path / "dev.tsv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    shell = Hub(capsys)
    asked = ("calibrate", "--module", tmp_path / "module", "--data", tmp_path)
    found = shell(*asked, "--output", tmp_path / "out", "--json").json
    assert found["after"] >= found["macro F1 before"]
    assert hub.Module(directory=tmp_path / "out").task.options["threshold"] == found["threshold"]
    assert "is the module itself" in shell.fails(*asked, "--output", tmp_path / "module")
    renamed = (tmp_path / "dev.tsv").rename(tmp_path / "other.tsv")
    renamed.write_text("\n".join(["words\tmoods", *rows[1:]]) + "\n", encoding="utf-8")
    asked = (
        *asked,
        "--split",
        "other",
        "--columns",
        "words=text,moods=label",
        "--output",
        tmp_path / "again",
        "--json",
    )
    assert shell(*asked).json == {**found, "module": str(tmp_path / "again")}
