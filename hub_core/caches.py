"""What lies in HOME and can be made or fetched again, how large it is, and how it is cleared.

Whatever is under ``HOME/cache`` may go at any time; what a plugin keeps there needs no entry here.
Installed modules, settings and consents are no caches.
"""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from hub_core.errors import InstallError, NotFoundError, unknown
from hub_core.partials import STALE as BROKEN_OFF
from hub_core.paths import leftovers
from hub_core.store import STALE, Store

#: What the hub keeps in ``HOME/cache``, and those of these folders that need the network to come back.
_KEPT = {
    "archives": "archives of modules, unpacked to be installed",
    "encodings": "rows of data sets, encoded",
    "jieba": "jieba's dictionary, quick to read",
    "remote": "files that were fetched from addresses",
}
_FETCHED = ("remote",)
#: What `hub_core.data.location` writes into a data set that it has downloaded; others were put there by the user.
_DOWNLOADED = "source.json"


@dataclass(frozen=True)
class Cache:
    """One cache: the files and folders that would go, the bytes that would be free, and what brings them back.

    `fetched`: whether that needs the network; then it is cleared only where it is named, or everything is.
    """

    name: str
    what: str
    paths: tuple[Path, ...]
    size: int
    fetched: bool = False


def caches(store: Store | None = None) -> list[Cache]:
    """The caches of a HOME, empty ones included."""
    store = Store() if store is None else store
    home = store.home
    rows = [
        ("downloads", "transfers that broke off", _partials(home / "partial"), False),
        ("staging", "what installations that were killed left behind", _staged(home / "modules"), False),
        ("blobs", "files that no installed module refers to", store.unused_blobs(), False),
        ("datasets", "data sets that were downloaded", _data_sets(home / "datasets"), True),
    ]
    kept = home / "cache"
    for name in sorted({*_KEPT, *(path.name for path in kept.glob("[!.]*"))}):
        rows.append((name, _KEPT.get(name, f"kept by something else in {kept}"), [kept / name], name in _FETCHED))
    return [Cache(name, what, tuple(found), _freed(found), fetched) for name, what, found, fetched in rows]


def clear(names: Sequence[str] = (), *, every: bool = False, store: Store | None = None) -> list[Cache]:
    """Clear the caches of these names; without names those that need no network to come back, or `every` one.

    Returns what was cleared. Raises NotFoundError for an unknown name, InstallError where something cannot be removed.
    """
    chosen = choose(caches(store), names, every=every)
    for cache in chosen:
        for path in cache.paths:
            _remove(path)
    return chosen


def choose(found: Iterable[Cache], names: Sequence[str], *, every: bool) -> list[Cache]:
    """The caches that `clear` would clear. Raises NotFoundError for an unknown name."""
    known = {cache.name: cache for cache in found}
    for name in names:
        if name not in known:
            raise NotFoundError(unknown("cache", name, known))
    if names:
        return [known[name] for name in dict.fromkeys(names)]
    return [cache for cache in known.values() if every or not cache.fetched]


def size_of(paths: Iterable[Path]) -> int:
    """The bytes of files, and of all files in folders; one with several names counts once."""
    files = {(found.st_dev, found.st_ino): found.st_size for found in _stats(paths)}
    return sum(files.values())


def in_bytes(size: int) -> str:
    """A number of bytes for people.

    >>> in_bytes(999), in_bytes(1024), in_bytes(34_567_890)
    ('999 bytes', '1.0 KiB', '33.0 MiB')
    """
    power = min(max(size.bit_length() - 1, 0) // 10, 4)
    return f"{size / 1024**power:.1f} {'KMGT'[power - 1]}iB" if power else f"{size} bytes"


def _partials(folder: Path) -> list[Path]:
    """Broken-off transfers, but for those that another process has taken up and still writes."""
    free = [path for path in folder.glob("[!.]*") if path.is_file()]
    return free + leftovers(folder, older_than=BROKEN_OFF)


def _staged(modules: Path) -> list[Path]:
    return [path for folder in modules.glob("[!.]*") if folder.is_dir() for path in leftovers(folder, older_than=STALE)]


def _data_sets(folder: Path) -> list[Path]:
    return sorted(path.parent for path in folder.glob(f"[!.]*/{_DOWNLOADED}"))


def _freed(paths: Iterable[Path]) -> int:
    """The bytes that removing the paths would free: a file with another name elsewhere stays on the disk."""
    inside: dict[tuple[int, int], list[int]] = {}
    for found in _stats(paths):
        inside.setdefault((found.st_dev, found.st_ino), [found.st_nlink, found.st_size, 0])[2] += 1
    return sum(size for links, size, here in inside.values() if here >= links)


def _stats(paths: Iterable[Path]) -> Iterator[os.stat_result]:
    for path in paths:
        for file in [path, *path.rglob("*")] if path.is_dir() and not path.is_symlink() else [path]:
            try:
                found = file.lstat()
            except (FileNotFoundError, NotADirectoryError):  # another process was quicker; HOME is a file
                continue
            if not stat.S_ISDIR(found.st_mode):
                yield found


def _remove(path: Path) -> None:
    try:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    except FileNotFoundError:  # another process was quicker
        return
    except OSError as error:
        raise InstallError(f"{path} cannot be removed: {error.strerror or error}") from error
