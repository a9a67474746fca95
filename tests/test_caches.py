"""Caches: what counts as one, how much room it takes, and what clearing leaves alone."""

from __future__ import annotations

import errno
import os
import time
from pathlib import Path

import pytest
from folders import module_folder

from hub_core.caches import caches, clear, in_bytes
from hub_core.errors import InstallError, NotFoundError
from hub_core.installation import install
from hub_core.store import Store

LONG_AGO = time.time() - 30 * 24 * 3600


def write(path: Path, size: int, *, old: bool = False) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(bytes(size))
    if old:
        os.utime(path, (LONG_AGO, LONG_AGO))
    return path


@pytest.fixture
def full(hub_home: Path, tmp_path: Path) -> Path:
    """A HOME with an installed module, and something in every cache."""
    install(module_folder(tmp_path / "m"))
    write(hub_home / "partial" / f"{'a' * 64}.partial", 100)
    write(hub_home / "partial" / f".{'b' * 64}.1.tmp", 10, old=True)
    write(hub_home / "modules" / "small" / ".2.0.x.tmp" / "model.safetensors", 1000, old=True)
    os.utime(hub_home / "modules" / "small" / ".2.0.x.tmp", (LONG_AGO, LONG_AGO))
    write(hub_home / "blobs" / "sha256" / "cc" / ("c" * 64), 2000)
    write(hub_home / "datasets" / "got" / "train.tsv", 300)
    write(hub_home / "datasets" / "got" / "source.json", 2)
    write(hub_home / "datasets" / "mine" / "train.tsv", 400)
    write(hub_home / "cache" / "jieba" / "words", 50)
    write(hub_home / "cache" / "remote" / "x" / "texts.txt", 60)
    return hub_home


def sizes() -> dict[str, int]:
    return {cache.name: cache.size for cache in caches()}


def test_what_there_is(full: Path) -> None:
    assert sizes() == {
        "downloads": 110,
        "staging": 1000,
        "blobs": 2000,
        "datasets": 302,
        "archives": 0,
        "encodings": 0,
        "jieba": 50,
        "remote": 60,
    }
    assert {cache.name for cache in caches() if cache.fetched} == {"datasets", "remote"}


def test_clearing_leaves_what_would_need_the_network(full: Path) -> None:
    assert sum(cache.size for cache in clear()) == 110 + 1000 + 2000 + 50
    assert {name: size for name, size in sizes().items() if size} == {"datasets": 302, "remote": 60}


def test_all_goes_but_what_is_installed_or_the_users_own(full: Path) -> None:
    clear(every=True)
    assert sum(sizes().values()) == 0
    assert (full / "datasets" / "mine" / "train.tsv").is_file()
    (installed,) = (item for item in Store().installed() if not item.bundled)
    Store().verify(installed)


def test_one_by_name(full: Path) -> None:
    assert [cache.name for cache in clear(["datasets", "datasets"])] == ["datasets"]
    assert sizes()["datasets"] == 0
    assert sizes()["jieba"] == 50
    with pytest.raises(NotFoundError, match="unknown cache 'dataset'; did you mean 'datasets'"):
        clear(["dataset"])


def test_what_the_hub_has_not_kept_yet_is_known_too(hub_home: Path) -> None:
    assert [(cache.name, cache.size) for cache in clear(["encodings", "archives"])] == [
        ("encodings", 0),
        ("archives", 0),
    ]
    assert not hub_home.exists()
    write(hub_home / "cache" / "plugged" / "x", 5)
    assert {cache.name: cache.what for cache in caches()}["plugged"].startswith("kept by something else in ")


def test_what_others_are_writing_stays(hub_home: Path) -> None:
    taken = write(hub_home / "partial" / f".{'b' * 64}.1.tmp", 10)
    staged = write(hub_home / "modules" / "small" / ".2.0.x.tmp" / "model.safetensors", 1000)
    clear(every=True)
    assert taken.exists() and staged.exists()


def test_a_file_with_another_name_elsewhere_frees_nothing(hub_home: Path, tmp_path: Path) -> None:
    blob = write(hub_home / "blobs" / "sha256" / "cc" / ("c" * 64), 2000)
    os.link(blob, tmp_path / "kept")
    assert sizes()["blobs"] == 0
    clear()
    assert not blob.exists() and (tmp_path / "kept").stat().st_size == 2000


def test_an_empty_home_has_nothing_to_clear(hub_home: Path) -> None:
    assert sum(cache.size for cache in clear(every=True)) == 0
    assert not hub_home.exists()


def test_what_cannot_be_removed_is_named(hub_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    write(hub_home / "cache" / "jieba" / "words", 50)
    monkeypatch.setattr("shutil.rmtree", refuse)
    with pytest.raises(InstallError, match="jieba cannot be removed: Permission denied"):
        clear()


def test_links_are_removed_and_not_followed(hub_home: Path, tmp_path: Path) -> None:
    outside = write(tmp_path / "outside" / "file", 5)
    (hub_home / "cache").mkdir(parents=True)
    (hub_home / "cache" / "linked").symlink_to(outside.parent)
    clear()
    assert outside.exists() and not (hub_home / "cache" / "linked").is_symlink()


@pytest.mark.parametrize(
    ("size", "shown"),
    [(0, "0 bytes"), (1023, "1023 bytes"), (1024, "1.0 KiB"), (3 << 29, "1.5 GiB"), (5 << 50, "5120.0 TiB")],
)
def test_bytes_for_people(size: int, shown: str) -> None:
    assert in_bytes(size) == shown
