"""Tokenizers from single files, without a module."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
from test_text_contract import SAMPLES, make, write_files

import hub_core.text
from hub_core.errors import DataError, NotFoundError, SettingsError
from hub_core.paths import bundled
from hub_core.text import files as files_module
from hub_core.text import tokenizer_from_files


@pytest.fixture
def modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of bundled modules: one with the tokenizer of ERNIE-Tiny, one without code."""
    folder = tmp_path / "modules"
    for name, kind in (("ernie_tiny", "ernie-tiny"), ("plain", "wordpiece")):
        (folder / name).mkdir(parents=True)
        record = {"name": name, "version": "2.0.2", "family": "ernie", "config": {}, "tokenizer": {"type": kind}}
        (folder / name / "module.json").write_text(json.dumps({"schema": 1, **record}), encoding="utf-8")
    shutil.copy(bundled("modules") / "ernie_tiny" / "plugin.py", folder / "ernie_tiny")
    monkeypatch.setattr(files_module, "bundled", lambda name: folder)
    return folder


@pytest.mark.parametrize("kind", ["wordpiece", "ernie", "sentencepiece", "ernie-tiny"])
@pytest.mark.usefixtures("modules")
def test_every_type_is_built_from_files_that_lie_anywhere(kind: str, tmp_path: Path) -> None:
    expected = make(tmp_path, kind)
    scattered = {}
    for role, path in write_files(tmp_path, kind).items():
        place = tmp_path / role / "some file"
        place.parent.mkdir()
        scattered[role] = shutil.copy(path, place)
    tokenizer = tokenizer_from_files(kind, **scattered)
    assert tokenizer.type == kind
    assert [tokenizer(text) for text in SAMPLES] == [expected(text) for text in SAMPLES]
    assert tokenizer_from_files(kind, **scattered, max_length=9).max_length == 9


def test_word_types_are_built_from_their_vocabulary(tmp_path: Path) -> None:
    path = tmp_path / "vocab.txt"
    path.write_text("[PAD]\n[UNK]\n北京\n大\n", encoding="utf-8")
    assert tokenizer_from_files("char", vocab=path).encode_text("大学") == [3, 1]
    assert tokenizer_from_files("word", vocab=path).encode_text("北京大") == [2, 3]
    words = tmp_path / "user.txt"
    words.write_text("北京大\n", encoding="utf-8")
    assert tokenizer_from_files("word", vocab=str(path), words=words).encode_text("北京大") == [1]


@pytest.mark.parametrize(
    ("kind", "roles", "message"),
    [
        ("wordpiece", (), "'wordpiece' takes vocab=; vocab= is missing"),
        ("wordpiece", ("vocab", "model"), "'wordpiece' takes vocab=; model= has no use"),
        ("sentencepiece", ("vocab",), "'sentencepiece' takes model=; model= is missing and vocab= has no use"),
        ("ernie-tiny", ("vocab", "model"), "'ernie-tiny' takes vocab=, model=, words=; words= is missing"),
        ("transformers", ("vocab",), "'transformers' takes a folder, not single files; vocab= has no use"),
        ("transformers", (), "tokenizer type 'transformers' is read from a whole folder, not from single files"),
    ],
)
@pytest.mark.usefixtures("modules")
def test_missing_and_superfluous_files_are_named(kind: str, roles: tuple[str, ...], message: str) -> None:
    files: dict[str, Any] = {role: f"{role}.file" for role in roles}
    with pytest.raises(SettingsError, match=message):
        tokenizer_from_files(kind, **files)


@pytest.mark.usefixtures("modules")
def test_an_unknown_type_option_or_vocabulary_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="unknown tokenizer type 'ernie_tiny'; did you mean 'ernie-tiny'"):
        tokenizer_from_files("ernie_tiny", vocab="vocab.txt")
    (tmp_path / "vocab.txt").write_text("[PAD]\n[PAD]\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"vocab\.txt:2: token '\[PAD\]' stands in line 1 already"):
        tokenizer_from_files("ernie", vocab=tmp_path / "vocab.txt")
    with pytest.raises(SettingsError, match="unknown option 'do_lower_case' of tokenizer type 'wordpiece'"):
        tokenizer_from_files("wordpiece", vocab=tmp_path / "vocab.txt", do_lower_case=True)


def test_a_modules_code_is_imported_only_for_its_own_type(modules: Path, tmp_path: Path) -> None:
    canary = modules / "ernie_tiny" / "plugin.py"
    canary.write_text("raise RuntimeError('imported')\n", encoding="utf-8")
    tokenizer_from_files("wordpiece", **write_files(tmp_path, "wordpiece"))
    with pytest.raises(RuntimeError, match="imported"):
        tokenizer_from_files("ernie-tiny", **write_files(tmp_path, "ernie-tiny"))
    assert not [name for name in sys.modules if name.startswith("hub_modules.ernie_tiny") and "imported" in name]


def test_without_bundled_modules_the_shared_types_still_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> Path:
        raise NotFoundError(f"the bundled {name!r} is missing")

    monkeypatch.setattr(files_module, "bundled", missing)
    assert tokenizer_from_files("wordpiece", **write_files(tmp_path, "wordpiece")).type == "wordpiece"
    with pytest.raises(NotFoundError, match="unknown tokenizer type 'ernie-tiny'"):
        tokenizer_from_files("ernie-tiny", vocab="a")


def test_the_bundled_module_is_found(tmp_path: Path) -> None:
    if not (bundled("modules") / "ernie_tiny" / "module.json").is_file():
        pytest.skip("needs modules/ernie_tiny/module.json")
    assert tokenizer_from_files("ernie-tiny", **write_files(tmp_path, "ernie-tiny")).type == "ernie-tiny"


def test_the_package_has_its_public_names_and_no_others() -> None:
    assert hub_core.text.tokenizer_from_files is tokenizer_from_files
    assert all(hasattr(hub_core.text, name) for name in hub_core.text.__all__)
    with pytest.raises(AttributeError, match="has no attribute 'tokenizer_from_file'"):
        hub_core.text.tokenizer_from_file  # noqa: B018
