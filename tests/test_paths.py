from __future__ import annotations

import ctypes
import hashlib
import os
import time
from pathlib import Path

import pytest

from hub_core import paths
from hub_core.errors import NotFoundError


def test_homes_follow_their_variables(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HUB_HOME", "~/somewhere")
    assert paths.hub_home() == Path.home() / "somewhere"
    monkeypatch.delenv("HUB_HOME")
    assert paths.hub_home() == Path.home() / ".hub_core"
    monkeypatch.setenv("HUB_DATA_HOME", str(tmp_path))
    assert paths.data_home() == tmp_path
    monkeypatch.setenv("HUB_DATA_HOME", "")
    assert paths.data_home() is None


def test_bundled_files_are_found_in_a_checkout_and_in_a_wheel(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert (paths.bundled("modules") / "ernie_tiny" / "module.json").is_file()
    package = tmp_path / "hub_core"
    (package / "_bundled" / "modules").mkdir(parents=True)
    monkeypatch.setattr(paths, "__file__", str(package / "paths.py"))
    assert paths.bundled("modules") == package / "_bundled" / "modules"
    with pytest.raises(NotFoundError, match=r"the bundled 'registry.json' is missing .* reinstall hub_core"):
        paths.bundled("registry.json")


def test_sha256_file(tmp_path: Path) -> None:
    content = os.urandom(3_000_000)
    (tmp_path / "file").write_bytes(content)
    assert paths.sha256_file(tmp_path / "file") == hashlib.sha256(content).hexdigest()


def test_atomic_file_replaces_or_leaves_alone(tmp_path: Path) -> None:
    target = tmp_path / "new" / "file.txt"
    paths.write_text(target, "eins\nzwei\n")
    assert target.read_bytes() == b"eins\nzwei\n"
    with pytest.raises(RuntimeError), paths.atomic_file(target) as staged:
        staged.write_text("half")
        assert target.read_text() == "eins\nzwei\n"
        raise RuntimeError
    assert target.read_text() == "eins\nzwei\n"
    assert [path.name for path in target.parent.iterdir()] == ["file.txt"]


@pytest.mark.parametrize("exchange", [True, False], ids=["renameat2", "three-renames"])
def test_atomic_folder_replaces_as_a_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, exchange: bool) -> None:
    if not exchange:
        monkeypatch.setattr(ctypes, "CDLL", lambda *_, **__: object())
    target = tmp_path / "folder"
    for version in ("one", "two", "three"):
        with paths.atomic_folder(target) as staged:
            (staged / "inner").mkdir()
            (staged / "inner" / version).write_text(version)
    assert [path.name for path in target.rglob("*") if path.is_file()] == ["three"]
    assert [path.name for path in tmp_path.iterdir() if path.name != "hub-home"] == ["folder"]


def test_atomic_folder_leaves_the_old_one_after_an_error(tmp_path: Path) -> None:
    target = tmp_path / "folder"
    with paths.atomic_folder(target) as staged:
        (staged / "file").write_text("old")
    with pytest.raises(KeyboardInterrupt), paths.atomic_folder(target) as staged:
        (staged / "file").write_text("new")
        raise KeyboardInterrupt
    assert (target / "file").read_text() == "old"
    assert list(tmp_path.glob(".*")) == []


def test_atomic_folder_leaves_a_file_alone(tmp_path: Path) -> None:
    target = tmp_path / "file"
    target.write_text("mine")
    with pytest.raises(NotADirectoryError), paths.atomic_folder(target):
        pytest.fail("nothing is staged")
    assert target.read_text() == "mine"
    assert list(tmp_path.glob(".*")) == []


def test_folders_cannot_be_synced_on_windows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[object] = []
    monkeypatch.setattr(os, "open", lambda *arguments: opened.append(arguments))
    monkeypatch.setattr(os, "name", "nt")
    paths._sync(tmp_path)
    assert opened == []


def test_leftovers_are_what_nobody_touched(tmp_path: Path) -> None:
    old, busy, kept = tmp_path / ".a.1.tmp", tmp_path / ".b.2.tmp", tmp_path / "c"
    for folder in (old, busy, kept):
        folder.mkdir()
        (folder / "file").touch()
    long_ago = time.time() - 1000
    for path in (old / "file", old, busy, kept / "file", kept):
        os.utime(path, (long_ago, long_ago))
    assert paths.leftovers(tmp_path, older_than=500) == [old]
    assert paths.leftovers(tmp_path, older_than=2000) == []
    assert paths._last_change(tmp_path / "gone") > long_ago + 500
