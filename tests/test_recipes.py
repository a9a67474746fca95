"""Recipes: what they say, that all of them can be used, and that options win over them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from command_line import Hub, write_manifest, write_reviews

from hub_core.errors import NotFoundError
from hub_core.train.recipes import recipe, recipes
from hub_core.train.settings import TrainSettings


def test_every_recipe_can_be_applied() -> None:
    for name, found in recipes().items():
        settings = found.apply()
        assert (settings.schedule, settings.warmup_ratio, settings.weight_decay) == ("linear", 0.1, 0.01), name
        assert settings.max_seq_len in (128, 256, 384)
        assert found.epochs >= 1 <= found.batch_size


def test_some_of_them_by_heart() -> None:
    """As PaddleNLP's config.yml has them."""
    assert (recipe("tnews").epochs, recipe("tnews").batch_size) == (4, 64)
    assert recipe("XNLI-CN").apply().learning_rate == 1e-4
    assert recipe("cmrc2018").settings["max_seq_len"] == 384
    assert (recipe("chnsenticorp").epochs, recipe("chnsenticorp").batch_size) == (8, 16)
    assert recipe("CLUEWSC2020") == recipe("wsc")
    assert recipe("MSRA-NER") == recipe("msraner") == recipe("msra_ner")
    assert recipe("wsc").apply(TrainSettings(seed=3, learning_rate=1.0)).to_json()["seed"] == 3


def test_an_unknown_one_is_answered_with_near_matches() -> None:
    with pytest.raises(NotFoundError, match="unknown recipe 'tnew'; did you mean 'tnews'"):
        recipe("tnew")


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What `hub train` would have trained with."""
    found: dict[str, Any] = {}

    def init(self: object, *arguments: object, settings: TrainSettings, **others: object) -> None:
        found["settings"] = settings

    def train(self: object, *arguments: object, **call: object) -> None:
        found.update(call)
        raise KeyboardInterrupt

    monkeypatch.setattr("hub_core.train.trainer.Trainer.__init__", init)
    monkeypatch.setattr("hub_core.train.trainer.Trainer.train", train)
    return found


def test_options_win_over_the_configuration_and_that_over_the_recipe(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], seen: dict[str, Any]
) -> None:
    hub = Hub(capsys)
    config = tmp_path / "config.json"
    config.write_text(json.dumps({"learning_rate": 2e-5, "max_seq_len": 64}))
    student = ["train", "--manifest", write_manifest(tmp_path / "m.json"), "--task", "seq-cls"]
    student += ["--data", write_reviews(tmp_path / "reviews")]
    assert hub(*student, "--recipe", "csl").code == 130
    assert (seen["epochs"], seen["batch_size"]) == (10, 32)
    assert (seen["settings"].learning_rate, seen["settings"].max_seq_len) == (5e-5, 256)
    assert hub(*student, "--recipe", "csl", "--config", config, "--max-seq-len", 32, "--epochs", 2).code == 130
    assert (seen["epochs"], seen["batch_size"]) == (2, 32)
    assert (seen["settings"].learning_rate, seen["settings"].max_seq_len) == (2e-5, 32)
    assert seen["settings"].schedule == "linear"
    assert hub(*student).code == 130
    assert (seen["epochs"], seen["batch_size"], seen["settings"]) == (3, 32, TrainSettings())
    assert hub.fails(*student, "--recipe", "cls").startswith("unknown recipe 'cls'; did you mean 'csl'?")
