"""The picture of the architecture is what the code says, and is drawn inside its frame."""

from __future__ import annotations

import importlib.util
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any
from xml.etree import ElementTree

import pytest
from pages import ROOT
from test_house import FILES as SOURCES
from test_house import STOREYS, imports, room


@pytest.fixture
def picture() -> Iterator[ModuleType]:
    """docs/picture.py as a module."""
    spec = importlib.util.spec_from_file_location("picture", ROOT / "docs" / "picture.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["picture"] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules["picture"]


def test_the_pictures_are_up_to_date(picture: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    assert picture.main(["--check"]) == 0, "run python docs/picture.py"
    assert capsys.readouterr().out == ""


def test_the_house_is_the_one_that_is_tested(picture: ModuleType) -> None:
    house = picture.look()
    assert house.storeys == tuple(tuple(names.split()) for names in STOREYS)
    assert all(above > below for above, below in house.imports)
    assert house.steps == (("tasks",), ("text", "tasks"), ("tasks",), ("infer", "torch_engine"), ("tasks",))


def test_arcs_are_imports(picture: ModuleType) -> None:
    import ast

    level = {name: at for at, names in enumerate(STOREYS) for name in names.split()}
    found = {
        (level[room(path)], level[name])
        for path in SOURCES
        for name in imports(ast.parse(path.read_text(encoding="utf-8")))
        if room(path) in level and name in level and level[room(path)] > level[name]
    }
    assert found <= picture.look().imports


@pytest.mark.parametrize("name", ["architecture.svg", "zh/architecture.svg"])
def test_everything_is_inside_the_frame(name: str) -> None:
    root = ElementTree.parse(ROOT / "docs" / name).getroot()
    _, _, width, height = map(float, root.attrib["viewBox"].split())
    tag = re.compile(r"\{.*\}(rect|text|circle)")
    for node in (node for node in root.iter() if tag.fullmatch(node.tag)):
        at: dict[str, Any] = {key: float(node.get(key, 0)) for key in ("x", "y", "cx", "cy", "width", "height")}
        assert 0 <= at["x"] + at["cx"] + at["width"] <= width, ElementTree.tostring(node)
        assert 0 <= at["y"] + at["cy"] + at["height"] <= height, ElementTree.tostring(node)
    shown = "".join(root.itertext())
    assert all(part in shown for names in STOREYS for part in names.split())


def test_what_is_drawn_must_be_there(picture: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(LookupError, match="no class Task has a method digest"):
        picture._rooms_of({}, "Task", "digest")
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "test_house.py").write_text("")
    monkeypatch.setattr(picture, "ROOT", tmp_path)
    with pytest.raises(LookupError, match="has no STOREYS"):
        picture.look()


def test_an_old_picture_is_noticed_and_drawn_anew(
    picture: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    house = picture.look()
    (tmp_path / "docs" / "zh").mkdir(parents=True)
    monkeypatch.setattr(picture, "ROOT", tmp_path)
    monkeypatch.setattr(picture, "look", lambda: house)
    assert picture.main(["--check"]) == 1
    assert picture.main([]) == 0
    assert picture.main(["--check"]) == 0
    assert capsys.readouterr().out.count("written") == 2
