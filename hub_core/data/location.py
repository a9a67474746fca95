"""Where a named data set is: a folder the user gives, one under ``HUB_DATA_HOME``, or a download."""

from __future__ import annotations

import gzip
import json
import lzma
import shutil
import stat
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from hub_core.data.remote import is_address
from hub_core.errors import InstallError, IntegrityError, NotFoundError, SourceError
from hub_core.paths import atomic_folder, data_home, hub_home
from hub_core.sources import fetch
from hub_core.spec import safe_relative

#: An archive of text that unpacks to more than this is refused (a small one can unpack to terabytes).
MAX_UNPACKED_BYTES = 8 * 2**30


def locate(name: str, *, data_dir: str | Path | None = None, url: str | None = None) -> str | Path:
    """The folder that holds the files of the data set `name`.

    `data_dir` (that folder, or the one above it; an address: that folder) is taken where given. Otherwise the first
    that exists of ``$HUB_DATA_HOME/<name>`` and ``HUB_HOME/datasets/<name>``; otherwise the archive at `url`
    (``.tar.gz`` or ``.zip``) is downloaded and unpacked to the latter. Raises NotFoundError that says where to put the
    files where there is no address, SourceError where the download fails.
    """
    if data_dir is not None and is_address(data_dir):
        return data_dir
    if data_dir is not None:
        given = Path(data_dir).expanduser()
        if not given.is_dir():
            raise NotFoundError(f"no folder {given}; data_dir is the folder that holds the files of {name}")
        return given / name if (given / name).is_dir() else given
    shared, own = data_home(), hub_home() / "datasets" / name
    for place in (shared / name if shared else own, own):
        if place.is_dir():
            return place
    remedy = f"put its files in {own}, or set HUB_DATA_HOME to the folder that holds a folder {name!r}" + (
        f" (now {shared})" if shared else ""
    )
    if url is None:
        raise NotFoundError(f"no data set {name!r} on this machine, and no address to fetch it from; {remedy}")
    try:
        download(url, own)
    except SourceError as error:
        raise SourceError(f"{error}; {remedy}") from error
    return own


def download(url: str, folder: Path) -> None:
    """Fetch a ``.tar.gz`` or ``.zip`` and unpack it as `folder`, which appears whole or not at all.

    The archive's address, size and sha256 are written into the folder as ``source.json``.
    """
    with tempfile.TemporaryDirectory(prefix="hub-data-") as temporary:
        archive = Path(temporary) / "archive"
        receipt = asdict(fetch(url, archive, what=folder.name))
        with atomic_folder(folder) as staged:
            unpack(archive, staged, name=url)
            (staged / "source.json").write_text(json.dumps(receipt, indent=2) + "\n", encoding="utf-8")


def unpack(archive: Path, folder: Path, *, name: str | None = None) -> None:
    """Unpack the regular files of a tar or zip archive into an empty folder, without the one that holds them all.

    Raises IntegrityError, with `name` for the archive, for a damaged one, and for entries that are links or devices,
    lead out of the folder, or add up to more than `MAX_UNPACKED_BYTES`; InstallError where the disk fails.
    """
    shown = name or str(archive)
    try:
        if zipfile.is_zipfile(archive):
            with zipfile.ZipFile(archive) as packed:
                _unpack(
                    [_zip_entry(packed, info, shown) for info in packed.infolist() if not _beside(info)], folder, shown
                )
        else:
            with tarfile.open(archive) as tar:
                _unpack([_tar_entry(tar, member, shown) for member in tar if not member.isdir()], folder, shown)
    except (tarfile.TarError, zipfile.BadZipFile, EOFError, zlib.error, lzma.LZMAError, gzip.BadGzipFile) as error:
        raise IntegrityError(f"{shown} is not a whole archive: {error}") from error
    except (NotImplementedError, RuntimeError) as error:  # zip: an unknown packing, a password
        raise IntegrityError(f"{shown} cannot be unpacked: {error}") from error
    except OSError as error:
        raise InstallError(f"{shown} cannot be unpacked into {folder.parent}: {error}") from error


@dataclass(frozen=True)
class _Entry:
    """A regular file of an archive: where it belongs, its size in bytes, and how it is opened."""

    path: PurePosixPath
    size: int
    open: Callable[[], AbstractContextManager[IO[bytes]]]


def _tar_entry(tar: tarfile.TarFile, member: tarfile.TarInfo, archive: str) -> _Entry:
    def opened() -> IO[bytes]:
        source = tar.extractfile(member)
        if source is None:
            raise tarfile.ReadError(f"{member.name!r} has no content")
        return source

    return _Entry(_safe_path(member.name, archive, regular=member.isfile()), member.size, opened)


def _zip_entry(packed: zipfile.ZipFile, info: zipfile.ZipInfo, archive: str) -> _Entry:
    kind = stat.S_IFMT(info.external_attr >> 16)  # what Unix calls the file's kind; 0 from other systems
    regular = kind in (0, stat.S_IFREG)
    return _Entry(_safe_path(info.filename, archive, regular=regular), info.file_size, lambda: packed.open(info))


def _beside(info: zipfile.ZipInfo) -> bool:
    """Folders, and what macOS puts beside the files."""
    return info.is_dir() or info.filename.startswith("__MACOSX/") or info.filename.endswith(".DS_Store")


def _unpack(found: Sequence[_Entry], folder: Path, archive: str) -> None:
    entries = list({entry.path: entry for entry in found}.values())  # of several with one name the last counts
    size = sum(entry.size for entry in entries)
    if size > MAX_UNPACKED_BYTES:
        raise IntegrityError(f"{archive} unpacks to {size} bytes, more than the {MAX_UNPACKED_BYTES} allowed")
    one_folder = len({entry.path.parts[0] for entry in entries}) == 1
    depth = 1 if one_folder and all(len(entry.path.parts) > 1 for entry in entries) else 0
    for entry in entries:
        _extract(entry, folder.joinpath(*entry.path.parts[depth:]))


def _safe_path(name: str, archive: str, *, regular: bool) -> PurePosixPath:
    """Where an entry belongs, below the folder; links, devices and ways out of it are refused."""
    path = PurePosixPath(name)  # leaves out a leading "./"
    if not regular:
        raise IntegrityError(f"{archive}: {name!r} is not a regular file")
    if not safe_relative(str(path)):
        raise IntegrityError(f"{archive}: {name!r} would not stay in the folder on every system")
    return path


def _extract(entry: _Entry, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with entry.open() as source, target.open("xb") as stream:
        shutil.copyfileobj(source, stream)
