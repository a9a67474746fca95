"""Addresses in place of paths: what fsspec reaches is fetched into a cache, whole or not at all.

    folder_dataset("s3://bucket/reviews", task="seq-cls")
    hub predict --module m --data https://host/texts.txt

A file lies in the cache under its address and what its file system says of its state (ETag, size, time of change), so
that it is fetched again when it has changed, and only then.
"""

from __future__ import annotations

import errno
import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from hub_core.addresses import redact
from hub_core.errors import InstallError, NotFoundError, SettingsError, SourceError
from hub_core.paths import atomic_folder, hub_home
from hub_core.sources import offline_now

#: A scheme has two letters at least (``C:/`` is a drive); a Path of an address has lost one of its slashes.
_ADDRESS = re.compile(r"(?P<scheme>[a-z][a-z0-9+.-]+(?:::[a-z0-9+.-]+)*):/", re.IGNORECASE)
#: What file systems say of the state of a file, under their several names for it.
_STATE = (
    *("etag", "contentmd5", "md5hash", "md5", "sha256", "crc32c", "digest", "generation", "blobid"),
    *("lastmodified", "mtime", "modified", "updated", "created", "size"),
)


def is_address(place: str | Path) -> bool:
    """Whether this is an address (``https://...``, ``s3://...``, ``memory://...``) rather than a path.

    >>> is_address("s3://bucket/train.tsv"), is_address("data/train.tsv"), is_address("C:/data/train.tsv")
    (True, False, False)
    """
    return _ADDRESS.match(str(place)) is not None


def shown(place: str | Path) -> str:
    """A path or an address as messages may show it: without passwords and queries."""
    return redact(_url(place)) if is_address(place) else str(place)


def local_file(place: str | Path) -> Path:
    """A file on this machine: a path as it is, an address as the copy in the cache, which is fetched where needed.

    Raises NotFoundError where there is nothing at the address, SourceError where it cannot be reached or the transfer
    breaks off (nothing is left behind), SettingsError where the package for its scheme is not installed.
    """
    return _fetched(_url(place)) if is_address(place) else Path(place)


def joined(folder: str | Path, name: str) -> str | Path:
    """The file of that name in a folder, here or at an address."""
    return f"{_url(folder).rstrip('/')}/{name}" if is_address(folder) else Path(folder) / name


def files_in(folder: str | Path) -> dict[str, str | Path]:
    """The files of a folder, by name: paths, or addresses. Raises NotFoundError where there is no such folder."""
    if not is_address(folder):
        place = Path(folder)
        if not place.is_dir():
            raise NotFoundError(f"no folder {place}")
        return {path.name: path for path in sorted(place.iterdir()) if path.is_file()}
    url = _url(folder).rstrip("/")
    files, path = _filesystem(url)
    try:
        listed = files.ls(path, detail=True)
    except Exception as error:
        raise _told(url, error, what="folder") from error
    names = sorted({_name(entry["name"]) for entry in listed if entry["type"] == "file"} - {""})
    if not names:
        raise NotFoundError(f"{redact(url)} lists no files; a folder on a web server must answer with a page of links")
    web = urlsplit(url).scheme in ("http", "https")
    return {name: f"{url}/{quote(name) if web else name}" for name in names}


def _fetched(url: str) -> Path:
    """The copy of an address in the cache; without network the last one there is."""
    name = _name(url)
    if not name:
        raise NotFoundError(f"{redact(url)} is the address of a folder; a file is needed here")
    key = hashlib.sha256(url.encode()).hexdigest()[:20]
    if offline_now():
        kept = sorted(_cache().glob(f"{key}-*/{name}"), key=lambda path: path.stat().st_mtime)
        if not kept:
            raise SourceError(
                f"{redact(url)}: the network is forbidden (HUB_OFFLINE=1), and no copy was fetched before"
            )
        return kept[-1]
    files, path = _filesystem(url)
    try:
        files.invalidate_cache()
        about = files.info(path)
    except Exception as error:
        raise _told(url, error) from error
    if about.get("type") == "directory":
        raise NotFoundError(f"{redact(url)} is a folder; a file is needed here")
    state = _state(about)
    target = _cache() / f"{key}-{state or 'unknown'}" / name
    if state is None or not target.is_file():
        _fetch(files, path, target, url=url, size=about.get("size"))
    return target


def _fetch(files: Any, path: str, target: Path, *, url: str, size: Any) -> None:
    """Bring a file into a folder of its own in the cache, which appears whole or not at all."""
    try:
        with atomic_folder(target.parent) as staged:
            copy = staged / target.name
            try:
                files.get_file(path, str(copy))
            except Exception as error:
                if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
                    raise
                done = copy.stat().st_size if copy.exists() else 0
                raise _told(url, error, done=done, size=size) from error
            done = copy.stat().st_size
            if isinstance(size, int) and done < size:
                raise SourceError(f"{redact(url)}: the transfer broke off after {done} of {size} bytes")
    except OSError as error:  # of this machine: those of the other side have become SourceErrors
        raise InstallError(f"cannot store {redact(url)}: {error}; set HUB_HOME to another folder") from error


def _filesystem(url: str) -> tuple[Any, str]:
    """The file system of an address, and the path in it."""
    from fsspec.core import url_to_fs

    try:
        files, path = url_to_fs(url)
    except ImportError as error:
        remedy = "`pip install 'hub_core[remote]'` brings http(s); other schemes have packages of their own"
        raise SettingsError(f"{redact(url)}: {error}; {remedy}") from error
    except ValueError as error:
        raise SourceError(f"{redact(url)}: {error}") from error
    return files, path


def _state(about: Mapping[str, Any]) -> str | None:
    """A short hash of what the file system says of a file's state, None where it says nothing."""
    plain = {re.sub(r"[^a-z0-9]", "", str(key).lower()): value for key, value in about.items()}
    found = {key: str(plain[key]) for key in _STATE if plain.get(key) is not None}
    return hashlib.sha256(json.dumps(found).encode()).hexdigest()[:20] if found else None


def _told(url: str, error: Exception, *, what: str = "file", done: int = 0, size: Any = None) -> Exception:
    """What a file system's error means. Its own words are left out where the address holds a secret."""
    cause = error.__cause__
    if isinstance(error, FileNotFoundError) and isinstance(cause, Exception):  # fsspec's for whatever http says
        error = error if getattr(cause, "status", None) in (404, 410) else cause
    if isinstance(error, FileNotFoundError):
        return NotFoundError(f"no {what} {redact(url)}")
    reason = type(error).__name__
    if redact(url) == url and str(error).strip():
        reason += f": {str(error).strip().splitlines()[0]}"
    if done:
        of = f" of {size}" if isinstance(size, int) else ""
        return SourceError(f"{redact(url)}: the transfer broke off after {done}{of} bytes ({reason})")
    return SourceError(f"{redact(url)}: {reason}")


def _url(place: str | Path) -> str:
    """An address with the slashes that a Path takes from it."""
    text = str(place)
    if "://" in text:
        return text
    scheme, _, rest = text.partition(":/")
    return f"{scheme}:///{rest}" if scheme.lower() == "file" else f"{scheme}://{rest}"


def _name(url: str) -> str:
    """The name of the file at an address."""
    return PurePosixPath(unquote(urlsplit(url).path or url)).name if not url.endswith("/") else ""


def _cache() -> Path:
    return hub_home() / "cache" / "remote"
