"""The example of a plugin, installed by pip and used: its network, task and tokenizer in a module, and its command."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from command_line import ROOT, Hub

from hub_core import plugins
from hub_core.hookspecs import KINDS

EXAMPLE = ROOT / "examples" / "plugin"
STARS = ("1", "2", "3", "4", "5")


def pip(source: Path, site: Path) -> None:
    """Install a package as users do, but into a folder of its own, and from nothing but its source."""
    options = ["--quiet", "--no-index", "--no-deps", "--no-build-isolation", "--disable-pip-version-check"]
    command = [sys.executable, "-m", "pip", "install", *options, "--target", site, source]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of installed packages: the example, and beside it plugins that are broken in three ways."""
    place = tmp_path_factory.mktemp("plugins")
    pip(EXAMPLE, place / "site")
    for name, code in {
        "absent": None,  # the entry point names a module that is not there
        "failing": "raise RuntimeError('broken on purpose')",
        "rude": RUDE,
    }.items():
        source = place / name
        source.mkdir()
        (source / "pyproject.toml").write_text(PROJECT.format(name=name), encoding="utf-8")
        (source / "hub_broken.txt").write_text("so that the package is not empty")
        if code is not None:
            (source / f"hub_{name}.py").write_text(code, encoding="utf-8")
        pip(source, place / "site")
    return place / "site"


PROJECT = """
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"
[project]
name = "hub-{name}"
version = "1.0"
[project.entry-points.hub_core]
{name} = "hub_{name}"
[tool.hatch.build.targets.wheel]
include = ["*.py", "*.txt"]
"""

RUDE = """
from hub_core.hookspecs import hookimpl

@hookimpl
def hub_entries(kind):
    return {"nowhere": "no.such.module:Name"} if kind == "task" else {}

@hookimpl
def hub_commands(cli):
    raise RuntimeError("no commands today")
"""


@pytest.fixture
def installed(site: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The packages are found, and forgotten afterwards."""
    monkeypatch.syspath_prepend(site)
    for cached in (plugins._load_manager, plugins.manager):
        cached.cache_clear()
    yield
    for cached in (plugins._load_manager, plugins.manager):
        cached.cache_clear()
    for name in [name for name in sys.modules if name.partition(".")[0] in ("hub_stars", "hub_failing", "hub_rude")]:
        del sys.modules[name]


@pytest.fixture
def hub(capsys: pytest.CaptureFixture[str]) -> Hub:
    return Hub(capsys)


def reviews(folder: Path) -> Path:
    """Reviews whose stars can be learnt from pairs of characters."""
    words = ("很差", "不好", "还行", "不错", "很好")
    folder.mkdir()
    for mode, count in {"train": 100, "dev": 20, "test": 20}.items():
        rows = "".join(f"{STARS[at % 5]}\t房间{words[at % 5]}，{words[at % 5]}\n" for at in range(count))
        (folder / f"{mode}.tsv").write_text("label\ttext\n" + rows, encoding="utf-8")
    (folder / "labels.txt").write_text("\n".join(STARS) + "\n", encoding="utf-8")
    return folder


@pytest.mark.usefixtures("installed")
class TestInstalled:
    def test_the_report_names_all_and_what_is_broken(self, hub: Hub) -> None:
        errors = {row["name"]: row["error"] for row in hub("plugins", "--json").json}
        assert errors["stars"] is None
        assert errors["rude"] is None  # it fails later, when it is used
        assert errors["absent"] == "ModuleNotFoundError: No module named 'hub_absent'"
        assert errors["failing"] == "RuntimeError: broken on purpose"

    def test_what_it_brings_is_known_with_its_owner(self) -> None:
        found = plugins.catalog()
        owned = {kind: [e.name for e in found.entries(kind).values() if e.owner == "stars"] for kind in KINDS}
        assert {kind: names for kind, names in owned.items() if names} == {
            "family": ["swem"],
            "task": ["rating"],
            "tokenizer": ["bigram"],
        }

    def test_a_module_of_it_is_trained_measured_and_asked(
        self, hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        reviews(tmp_path / "reviews")
        options = ["--manifest", EXAMPLE / "stars.json", "--task", "rating", "--data", "reviews", "--no-tensorboard"]
        run = hub("train", *options, "--epochs", "12", "--learning-rate", "0.01", "--min-count", "1", "--json")
        assert run.json["accuracy"] == 1.0
        assert hub("show", "./ckpt/best_model", "--json").json["requires"]["hub-stars"] == ">=1"
        scores = hub("evaluate", "-m", "./ckpt/best_model", "--data", "reviews", "--json").json
        assert scores["within_one"] == scores["accuracy"] == 1.0
        (answer,) = hub("run", "./ckpt/best_model", "房间很好，很好", "--json").json
        assert answer["label"] == "5"
        assert hub("install", "./ckpt/best_model").code == 0
        assert hub("run", "stars", "房间很差，很差").out.splitlines()[-1].split()[:2] == ["房间很差，很差", "1"]

    def test_the_same_from_python(self, tmp_path: Path) -> None:
        import torch

        import hub_core

        torch.manual_seed(0)
        module = hub_core.new_module(
            family="swem",
            config={"embedding_size": 8},
            tokenizer=bigrams("房间很好", "很差"),
            task="rating",
            label_map=STARS,
            name="stars",
        )
        assert module.tokenizer.tokenize("很好") == ["很", "好", "很好"]
        module.save(tmp_path / "saved")
        again = hub_core.Module(directory=tmp_path / "saved")
        assert again.predict(["房间很好", "很"]) == module.predict(["房间很好", "很"])
        assert again.task is not None
        assert type(again.task).__module__ == "hub_stars.rating"

    def test_stars_lie_in_order(self) -> None:
        import numpy as np

        task: Any = plugins.catalog().get("task", "rating")(STARS)
        (example,) = [task.example("房间")]
        windows = task.encode(example, bigrams("房间"), 8)
        for probabilities, label in (
            ([0.5, 0, 0, 0, 0.5], "3"),
            ([0.1, 0.9, 0, 0, 0], "2"),
            ([0, 0, 0, 0.4, 0.6], "5"),
        ):
            logits = np.log(np.array(probabilities) + 1e-12).astype(np.float32)
            assert task.decode(example, windows, [logits], {}).label == label

    def test_the_command(self, hub: Hub, tmp_path: Path) -> None:
        (tmp_path / "texts.txt").write_text("房间\n很好很好\n\n", encoding="utf-8")
        assert hub("lengths", "bilstm-ner-zh", tmp_path / "texts.txt").out.splitlines()[-1] == (
            "100% of the texts have at most 4 tokens"
        )
        (tmp_path / "texts.txt").write_text("\n")
        assert hub("lengths", "bilstm-ner-zh", tmp_path / "texts.txt").err.endswith("texts.txt has no texts\n")
        assert "lengths  " in hub("--help").out

    def test_broken_ones_harm_nobody(self, hub: Hub) -> None:
        page = hub("--help")
        assert page.code == 0
        assert page.err == "warning: plugin rude could not add its commands: RuntimeError: no commands today\n"
        assert hub("list").err == ""


def bigrams(*texts: str) -> Any:
    from hub_core.text.words import build_unit_vocabulary

    return build_unit_vocabulary(plugins.catalog().get("tokenizer", "bigram"), texts, min_count=1)


def test_in_a_process_of_its_own(site: Path) -> None:
    """As a user's shell has it: entry points are found on the path, and nothing is imported twice."""
    environment = {**os.environ, "PYTHONPATH": f"{site}{os.pathsep}{ROOT}"}
    command = [sys.executable, "-m", "hub_core", "plugins", "--json"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert {row["name"]: row["distribution"] for row in json.loads(done.stdout)}["stars"] == "hub-stars"


def test_the_source_is_left_as_it_was(site: Path) -> None:
    names = {path.relative_to(EXAMPLE).as_posix() for path in EXAMPLE.rglob("*") if "__pycache__" not in path.parts}
    assert names == {
        *("README.md", "pyproject.toml", "stars.json", "src", "src/hub_stars"),
        *(f"src/hub_stars/{name}.py" for name in ("__init__", "bigrams", "lengths", "rating", "swem")),
    }
