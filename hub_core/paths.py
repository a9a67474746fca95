"""Where things are on disk, and how a file is written so that a reader never sees half of it."""

from __future__ import annotations

import ctypes
import errno
import hashlib
import json
import os
import shutil
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from hub_core.errors import HubError, NotFoundError, SettingsError


def hub_home() -> Path:
    """The folder for everything the hub stores: ``$HUB_HOME``, else ``~/.hub_core``. Not created here."""
    configured = os.environ.get("HUB_HOME")
    return Path(configured).expanduser().absolute() if configured else Path.home() / ".hub_core"


def data_home() -> Path | None:
    """The folder that holds data sets by name (``$HUB_DATA_HOME``), or None where it is not set."""
    configured = os.environ.get("HUB_DATA_HOME")
    return Path(configured).expanduser().absolute() if configured else None


def bundled(name: str) -> Path:
    """The path of ``modules`` or ``registry.json`` as shipped: inside the wheel, or at the top of a checkout."""
    package = Path(__file__).parent
    for candidate in (package / "_bundled" / name, package.parent / name):
        if candidate.exists():
            return candidate
    raise NotFoundError(f"the bundled {name!r} is missing beside {package}; reinstall hub_core")


def sha256_file(path: Path) -> str:
    """The sha256 of a file as 64 lower-case hex digits, read in blocks."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


@contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; flush it to disk and rename it into place if the block succeeds.

    A reader sees the old file or the new one, never a part. On an error the temporary file is removed and the
    error goes on.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    staged = _beside(path)
    try:
        yield staged
        _sync(staged)
        staged.replace(path)
        _sync(path.parent)
    finally:
        staged.unlink(missing_ok=True)


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Yield an empty folder beside `path`; flush it to disk and put it in `path`'s place if the block succeeds.

    An existing folder at `path` is replaced as a whole: on Linux the two change places in one system call, so
    that a process killed at any moment leaves the old folder or the new one. On an error nothing changes. Raises
    NotADirectoryError, before anything is written, where something else than a folder stands at `path`.
    """
    if (path.exists() or path.is_symlink()) and not path.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    staged = _beside(path)
    staged.mkdir()
    try:
        yield staged
        for entry in [*staged.rglob("*"), staged]:
            _sync(entry)
        if path.exists():
            _exchange(staged, path)
        else:
            staged.rename(path)
        _sync(path.parent)
    finally:
        if staged.exists():
            shutil.rmtree(staged)


@contextmanager
def locked(path: Path, *, busy: Exception, wait: float = 0) -> Iterator[None]:
    """Hold the lock of this path for the block; the file is removed afterwards.

    Raises `busy` where another holds it, and for `wait` seconds does not let go of it.
    """
    from filelock import FileLock, Timeout  # 20 ms that listing modules does without

    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path)
    try:
        lock.acquire(timeout=wait)
    except Timeout as error:
        raise busy from error
    try:
        yield
    finally:
        with suppress(PermissionError):  # on Windows, where it goes when it is released
            path.unlink(missing_ok=True)
        lock.release()


def write_text(path: Path, text: str) -> None:
    """Write `text` as UTF-8 with line feeds, atomically."""
    with atomic_file(path) as staged:
        staged.write_text(text, encoding="utf-8", newline="\n")


def read_given_json(path: Path) -> Any:
    """What a JSON file says that the user names. Raises NotFoundError where there is none, SettingsError for others."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise NotFoundError(f"no file {path}") from error
    except (OSError, ValueError) as error:
        raise SettingsError(f"{path} cannot be read as JSON: {getattr(error, 'strerror', None) or error}") from error


def read_json_object(path: Path, *, error: type[HubError], remedy: str) -> dict[str, Any]:
    """The JSON object in a file of ours, empty where there is no such file.

    Raises `error`, which says how to mend it, where the file cannot be read or holds something else.
    """
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (OSError, ValueError) as problem:
        raise error(f"{path} cannot be read: {problem}; {remedy}") from problem
    if not isinstance(record, dict):
        raise error(f"{path} must hold a JSON object; {remedy}")
    return record


def leftovers(folder: Path, *, older_than: float, pattern: str = ".*.tmp") -> list[Path]:
    """What killed writers left in a folder: staged files and folders that nobody touched for `older_than` seconds."""
    limit = time.time() - older_than
    return [path for path in folder.glob(pattern) if _last_change(path) < limit]


def _beside(path: Path) -> Path:
    """A name in the same folder (so that a rename stays on one file system) that nobody else has."""
    return path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")


def _last_change(path: Path) -> float:
    """When a file, or anything in a folder, last changed (seconds since 1970); now, where it has just gone."""
    try:
        return max(entry.lstat().st_mtime for entry in [path, *path.rglob("*")])
    except FileNotFoundError:
        return time.time()


def _sync(path: Path) -> None:
    """Ask the system to put a file's bytes (or a folder's entries) on the disk."""
    if os.name == "nt":  # Windows opens no folders and flushes on rename
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _exchange(first: Path, second: Path) -> None:
    """Let two folders change places: `renameat2(2)` with RENAME_EXCHANGE, or three renames where it is missing."""
    if sys.platform == "linux":
        renameat2 = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
        at_cwd, rename_exchange = -100, 2  # fcntl.h and linux/fs.h
        if (
            renameat2 is not None
            and renameat2(at_cwd, os.fsencode(first), at_cwd, os.fsencode(second), rename_exchange) == 0
        ):
            return
    aside = _beside(second)
    second.rename(aside)
    first.rename(second)
    aside.rename(first)
