from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock
from folders import module_folder, safetensors, spec

from hub_core import store as store_file
from hub_core.errors import HubError, InstallError, IntegrityError, NotFoundError, SettingsError
from hub_core.paths import sha256_file
from hub_core.pins import Pins
from hub_core.receipt import Download, Receipt, read_receipt
from hub_core.spec import ModuleSpec
from hub_core.store import Installed, Store


@pytest.fixture
def store(hub_home: Path, tmp_path: Path) -> Store:
    """An empty store, and no module that came with the program."""
    return Store(bundled_modules=tmp_path / "no-modules")


def put(store: Store, what: ModuleSpec, *, fill: int = 0, origin: str = "test", **files: bytes) -> Installed:
    """Install a module with a weights file, in the way that `install` does it."""
    with store.lock(what.name), store.stage(what) as staged:
        (staged / "model.safetensors").write_bytes(safetensors(fill))
        for name, content in files.items():
            (staged / f"{name}.txt").write_bytes(content)
        store.seal(staged, what, origin=origin)
    return store.load(what)


def everything(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_a_module_lies_under_name_and_version(store: Store) -> None:
    item = put(store, spec("My_Module", "1.0"), vocab=b"a\n")
    assert item.folder == store.home / "modules" / "my-module" / "1.0"
    assert everything(item.folder) == ["model.safetensors", "module.json", "receipt.json", "vocab.txt"]
    assert item.spec.title == "My_Module 1.0" and not item.bundled
    assert store.installed() == [item] and store.broken() == []
    store.verify(item)


def test_the_receipt_says_what_was_stored(store: Store) -> None:
    what = spec()
    download = Download("vocab.txt", "https://a.example/v.txt", 2, "0" * 64)
    with store.stage(what) as staged:
        (staged / "vocab.txt").write_bytes(b"a\n")
        store.seal(staged, what, origin="hf:a/b@main", downloads=[download])
    receipt = read_receipt(store.load(what).folder)
    assert receipt.origin == "hf:a/b@main" and receipt.downloads == (download,)
    assert receipt.files.keys() == {"vocab.txt", "module.json"}
    for name, stored in receipt.files.items():
        path = store.load(what).folder / name
        assert (stored.size, stored.sha256) == (path.stat().st_size, sha256_file(path))


def test_versions_live_side_by_side_newest_first(store: Store) -> None:
    for version in ("1.0", "1.10", "1.9", "2.0rc1"):
        put(store, spec(version=version))
    put(store, spec("another"))
    assert [item.spec.title for item in store.installed()] == [
        "another 1.0",
        "small 2.0rc1",
        "small 1.10",
        "small 1.9",
        "small 1.0",
    ]
    for version, expected in ((None, "2.0rc1"), ("1.9", "1.9"), ("1.9.0", "1.9"), ("3", None), ("x", None)):
        found = store.find("SMALL", version)
        assert (found and found.spec.version) == expected


def test_the_last_install_from_an_address(store: Store) -> None:
    put(store, spec(version="0.0.0+bbb"), origin="hf:a/b@main")
    put(store, spec(version="0.0.0+ccc"), origin="hf:a/c@main")
    put(store, spec(version="0.0.0+aaa"), origin="hf:a/b@main")
    found = store.find_origin("hf:a/b@main")
    assert found is not None and found.spec.version == "0.0.0+aaa"
    assert store.find_origin("hf:a/d@main") is None


def test_a_failed_stage_leaves_nothing(store: Store) -> None:
    with pytest.raises(RuntimeError), store.lock("small"), store.stage(spec()) as staged:
        (staged / "half").write_bytes(b"x")
        raise RuntimeError
    assert everything(store.home / "modules") == [] and list((store.home / "modules").iterdir()) == []


def test_a_failed_stage_leaves_the_old_copy(store: Store) -> None:
    old = put(store, spec(), fill=1)
    with pytest.raises(RuntimeError), store.stage(spec()):
        raise RuntimeError
    store.verify(old)
    new = put(store, spec(), fill=2)
    assert (new.folder / "model.safetensors").read_bytes() == safetensors(2)


def test_what_killed_installs_left_is_cleared_away(store: Store) -> None:
    parent = store.home / "modules" / "small"
    stale, busy = parent / ".1.0.dead.tmp", parent / ".1.0.busy.tmp"
    for folder in (stale, busy):
        folder.mkdir(parents=True)
        (folder / "half").write_bytes(b"x")
    old = time.time() - store_file.STALE - 10
    for path in (stale / "half", stale):
        os.utime(path, (old, old))
    assert store.installed() == [] and store.broken() == []
    put(store, spec())
    assert not stale.exists() and busy.exists()


def test_equal_files_lie_on_the_disk_once(store: Store) -> None:
    first = put(store, spec("one"), vocab=b"same\n", own=b"1")
    second = put(store, spec("two"), vocab=b"same\n", own=b"2")
    assert (first.folder / "vocab.txt").samefile(second.folder / "vocab.txt")
    assert (first.folder / "model.safetensors").stat().st_nlink == 3
    assert not (first.folder / "own.txt").samefile(second.folder / "own.txt")
    assert store.blobs.path(sha256_file(first.folder / "vocab.txt")).samefile(first.folder / "vocab.txt")


def test_sharing_a_file_twice_changes_nothing(store: Store) -> None:
    item = put(store, spec())
    path = item.folder / "model.safetensors"
    store.blobs.share(path, sha256_file(path))
    assert path.stat().st_nlink == 2
    store.verify(item)


def test_removing_a_module_drops_what_nobody_shares(store: Store) -> None:
    first, second = put(store, spec("one"), own=b"1"), put(store, spec("two"), own=b"2")
    own = store.blobs.path(sha256_file(first.folder / "own.txt"))
    shared = store.blobs.path(sha256_file(first.folder / "model.safetensors"))
    assert [item.spec.name for item in store.remove("one")] == ["one"]
    assert not own.exists() and shared.exists() and not (store.home / "modules" / "one").exists()
    store.verify(second)
    store.remove("two", "1.0")
    assert everything(store.home / "blobs") == [] and store.installed() == []


def test_removing_one_version_keeps_the_others(store: Store) -> None:
    for version in ("1.0", "2.0"):
        put(store, spec(version=version))
    assert [item.spec.version for item in store.remove("small", "1.0")] == ["1.0"]
    with pytest.raises(NotFoundError, match=r"small==1.0 is not installed; installed versions of small: 2.0"):
        store.remove("small", "1.0")
    for version in ("2.1", "3.0rc1", "3.0"):
        put(store, spec(version=version))
    assert [item.spec.version for item in store.remove("small==2.1")] == ["2.1"]
    assert [item.spec.version for item in store.remove("Small", ">=3")] == ["3.0"]
    assert [item.spec.version for item in store.remove("small")] == ["3.0rc1", "2.0"]


def test_removing_what_is_not_there(store: Store) -> None:
    put(store, spec())
    with pytest.raises(NotFoundError, match=r"unknown installed module 'smal'; did you mean 'small'.*`hub list`"):
        store.remove("smal")
    for name in ("..", "../..", ".", "/etc", ""):
        with pytest.raises(SettingsError, match="is not a module's name"):
            store.remove(name)
    assert len(store.installed()) == 1


def test_modules_that_came_with_the_program(hub_home: Path, tmp_path: Path) -> None:
    module_folder(tmp_path / "modules" / "inside", "inside", "1.0")
    bare = module_folder(tmp_path / "modules" / "bare", "bare")
    (bare / "model.safetensors").unlink()
    store = Store(bundled_modules=tmp_path / "modules")
    (item,) = store.installed()
    assert item.bundled and item.folder == tmp_path / "modules" / "inside" and item.receipt is None
    store.verify(item)
    with pytest.raises(InstallError, match=r"inside 1.0 came with hub_core and cannot be uninstalled"):
        store.remove("inside")
    put(store, spec("inside", "2.0"))
    assert [item.spec.version for item in store.remove("inside")] == ["2.0"]
    assert not (hub_home / "modules" / "inside").exists()


@pytest.mark.parametrize("damage", ["manifest", "receipt", "no receipt", "another name", "empty"])
def test_a_broken_folder_is_reported_and_harms_nobody(store: Store, damage: str) -> None:
    good, bad = put(store, spec("good")), put(store, spec("bad"))
    if damage == "manifest":
        (bad.folder / "module.json").chmod(0o644)
        (bad.folder / "module.json").unlink()
        (bad.folder / "module.json").write_text("{")
    elif damage == "receipt":
        (bad.folder / "receipt.json").write_text('{"files": 3}')
    elif damage == "no receipt":
        (bad.folder / "receipt.json").unlink()
    elif damage == "another name":
        bad.folder.rename(bad.folder.with_name("7.0"))
    else:
        shutil.rmtree(bad.folder)
        bad.folder.mkdir()
    assert store.installed() == [good]
    (broken,) = store.broken()
    assert broken.folder.parent.name == "bad" and broken.problem
    with pytest.raises(HubError):
        store.load(spec("bad"))
    if damage != "another name":
        put(store, spec("bad"))
        assert store.broken() == []


def test_a_broken_bundled_module_harms_nobody(hub_home: Path, tmp_path: Path) -> None:
    folder = module_folder(tmp_path / "modules" / "inside", "inside")
    (folder / "module.json").write_text("{")
    store = Store(bundled_modules=tmp_path / "modules")
    assert store.installed() == [] and store.broken()[0].folder == folder


def test_files_that_lie_about_are_no_modules(store: Store) -> None:
    item = put(store, spec())
    (store.home / "modules" / "note.txt").touch()
    (item.folder.parent / ".DS_Store").touch()
    (item.folder.parent / "note.txt").touch()
    assert store.installed() == [item] and store.broken() == []


def test_verify_names_every_difference(store: Store) -> None:
    item = put(store, spec(), one=b"1", two=b"2")
    for name in ("one.txt", "two.txt"):
        (item.folder / name).unlink()
    (item.folder / "two.txt").write_bytes(b"changed")
    (item.folder / "new.txt").write_bytes(b"")
    with pytest.raises(IntegrityError) as caught:
        store.verify(item)
    text = str(caught.value)
    assert "one.txt is missing" in text and "new.txt was added" in text and "two.txt: its sha256 is" in text
    assert "hub uninstall small==1.0" in text


def test_a_damaged_blob_is_not_handed_on(store: Store) -> None:
    first = put(store, spec("one"), vocab=b"good\n")
    blob = store.blobs.path(sha256_file(first.folder / "vocab.txt"))
    blob.chmod(0o644)
    blob.write_bytes(b"evil\n")
    second = put(store, spec("two"), vocab=b"good\n")
    store.verify(second)
    assert blob.read_bytes() == b"good\n"
    with pytest.raises(IntegrityError):
        store.verify(first)


@pytest.mark.parametrize("digest", ["../../../etc/passwd", "A" * 64, "0" * 63, ""])
def test_a_digest_is_checked_before_it_becomes_a_path(store: Store, digest: str) -> None:
    with pytest.raises(IntegrityError, match="is not a sha256"):
        store.blobs.path(digest)


def test_a_file_system_without_links(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    first, second = put(store, spec("one"), vocab=b"same\n"), put(store, spec("two"), vocab=b"same\n")
    store.verify(first)
    store.verify(second)
    assert everything(store.home / "blobs") == []


def test_stored_files_cannot_be_changed_by_accident(store: Store) -> None:
    item = put(store, spec())
    assert (item.folder / "model.safetensors").stat().st_mode & 0o222 == 0


def test_windows_keeps_files_writable(store: Store, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"x")
    digest = sha256_file(path)
    with monkeypatch.context() as patched:
        patched.setattr("hub_core.blobs.os.name", "nt")
        store.blobs.share(path, digest)
    assert path.stat().st_mode & 0o200 and store.blobs.path(digest).samefile(path)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS])
def test_a_disk_that_takes_no_more(store: Store, monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    old = put(store, spec(), fill=1)

    def refuse(*arguments: object, **options: object) -> None:
        raise OSError(number, os.strerror(number), "somewhere")

    with (
        monkeypatch.context() as patched,
        pytest.raises(InstallError, match=f"{os.strerror(number)} .somewhere.; free"),
    ):
        patched.setattr(Path, "write_text", refuse)
        put(store, spec(), fill=2)
    store.verify(old)
    assert [path.name for path in old.folder.parent.iterdir()] == ["1.0"]


def test_a_home_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    store = Store(tmp_path / "file" / "home", bundled_modules=tmp_path)
    assert store.installed() == []
    with pytest.raises(
        InstallError, match=r"cannot write to .*home: Not a directory .*; free some space, or set HUB_HOME"
    ):
        put(store, spec())
    with pytest.raises(InstallError, match="set HUB_HOME"), store.stage(spec()):
        pass


def test_two_processes_take_turns(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_file, "LOCK_TIMEOUT", 0.05)
    (store.home / "locks").mkdir(parents=True)
    with (
        FileLock(store.home / "locks" / "my-module.lock"),
        pytest.raises(InstallError, match=r"another process holds .*my-module.lock"),
        store.lock("My_Module"),
    ):
        pass


def test_a_module_appears_at_once_or_not_at_all(store: Store, tmp_path: Path) -> None:
    """A process is killed while it stages; what is there is the old copy, and the next install works."""
    put(store, spec(), fill=1)
    program = (
        "import sys, time; from pathlib import Path\n"
        f"sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
        "from folders import spec; from hub_core.store import Store\n"
        f"store = Store(Path({str(store.home)!r}), bundled_modules=Path('/nonexistent'))\n"
        "with store.lock('small'), store.stage(spec()) as staged:\n"
        "    (staged / 'model.safetensors').write_bytes(b'half')\n"
        "    print('staged', flush=True); time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stdout.readline() == "staged\n"
        process.kill()
    (item,) = store.installed()
    store.verify(item)
    assert (item.folder / "model.safetensors").read_bytes() == safetensors(1) and store.broken() == []
    put(store, spec(), fill=2)
    assert (item.folder / "model.safetensors").read_bytes() == safetensors(2)


def test_the_store_is_where_the_variable_says(hub_home: Path) -> None:
    assert Store().home == hub_home
    assert all(item.bundled for item in Store().installed())


def test_receipts_survive_the_round_trip(tmp_path: Path) -> None:
    receipt = Receipt("x", "2026-01-01T00:00:00+00:00", {}, (Download("a", "b", 1, "c"),))
    (tmp_path / "receipt.json").write_text(receipt.dumps())
    assert read_receipt(tmp_path) == receipt


def test_pins_stay_as_they_were_first(hub_home: Path) -> None:
    pins = Pins(hub_home)
    assert pins.get("https://a.example/x") is None
    pins.add({"https://a.example/x": "1" * 64, "https://me:pw@a.example/y?file=1": "2" * 64})
    pins.add({"https://a.example/x": "3" * 64, "https://me:pw@a.example/y?file=2": "4" * 64})
    pins.add({})
    assert pins.get("https://a.example/x") == "1" * 64
    assert pins.get("https://me:pw@a.example/y?file=1") == "2" * 64
    assert pins.get("https://me:pw@a.example/y?file=2") == "4" * 64
    text = pins.path.read_text()
    assert "pw" not in text and "file=" not in text


@pytest.mark.parametrize("content", ["{", "[]", '{"a": 1}'])
def test_damaged_pins_are_named(hub_home: Path, content: str) -> None:
    pins = Pins(hub_home)
    hub_home.mkdir()
    pins.path.write_text(content)
    with pytest.raises(InstallError, match=r"pins.json .*; mend it, or remove it"):
        pins.get("https://a.example/x")


def test_json_of_the_store_is_plain(store: Store) -> None:
    item = put(store, spec())
    record: dict[str, Any] = json.loads((item.folder / "receipt.json").read_text())
    assert record.keys() == {"origin", "when", "files", "downloads"}
