"""Folders in one file: a module packed to be carried elsewhere, and other people's archives unpacked without trust."""

from __future__ import annotations

import gzip
import lzma
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from hub_core.errors import InstallError, IntegrityError, NotFoundError
from hub_core.spec import safe_relative

#: What an archive of a module may be called.
SUFFIXES = (".tar", ".tar.gz", ".tgz", ".tar.xz", ".zip")
#: An archive that unpacks to more than this is refused (a small one can unpack to terabytes).
MAX_UNPACKED_BYTES = 64 << 30


def pack(folder: Path, archive: Path) -> None:
    """Put the files of a folder into a ``.tar``, under the folder's own name.

    Not compressed, since weights hardly shrink. Order, times, owners and permissions are always the same, so that the
    same files make the same bytes.
    """
    with tarfile.open(archive, "w", format=tarfile.PAX_FORMAT) as tar:
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            member = tarfile.TarInfo(f"{folder.name}/{path.relative_to(folder).as_posix()}")
            member.size, member.mode = path.stat().st_size, 0o644
            with path.open("rb") as stream:
                tar.addfile(member, stream)


def unpack(archive: Path, folder: Path, *, name: str | None = None, limit: int | None = None) -> None:
    """Unpack the regular files of a tar or zip archive into an empty folder, without the one that holds them all.

    Raises NotFoundError where there is no such file; IntegrityError, with `name` for the archive, for a damaged one,
    and for entries that are links or devices, lead out of the folder, have the same name, or add up to more than
    `limit` bytes (default `MAX_UNPACKED_BYTES`); InstallError where the disk fails.
    """
    shown = name or str(archive)
    if not archive.is_file():
        raise NotFoundError(f"there is no file {shown}")
    try:
        if zipfile.is_zipfile(archive):
            with zipfile.ZipFile(archive) as packed:
                entries = [_zip_entry(packed, info, shown) for info in packed.infolist() if not _beside(info)]
                _unpack(entries, folder, shown, limit)
        else:
            with tarfile.open(archive) as tar:
                entries = [_tar_entry(tar, member, shown) for member in tar if not member.isdir()]
                _check_end(tar)
                _unpack(entries, folder, shown, limit)
    except (tarfile.TarError, zipfile.BadZipFile, EOFError, zlib.error, lzma.LZMAError, gzip.BadGzipFile) as error:
        raise IntegrityError(f"{shown} is not a whole archive: {error}") from error
    except (NotImplementedError, RuntimeError) as error:  # zip: an unknown packing, a password
        raise IntegrityError(f"{shown} cannot be unpacked: {error}") from error
    except OSError as error:
        raise InstallError(f"{shown} cannot be unpacked into {folder.parent}: {error.strerror or error}") from error


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


def _safe_path(name: str, archive: str, *, regular: bool) -> PurePosixPath:
    """Where an entry belongs, below the folder; links, devices and ways out of it are refused."""
    path = PurePosixPath(name)  # leaves out a leading "./"
    if not regular:
        raise IntegrityError(f"{archive}: {name!r} is not a regular file")
    if not safe_relative(str(path)):
        raise IntegrityError(f"{archive}: {name!r} would not stay in the folder on every system")
    return path


def _check_end(tar: tarfile.TarFile) -> None:
    """Raise ReadError where the zeros that end every archive are missing: `tarfile` would take a part for the whole."""
    if tar.fileobj is not None:
        tar.fileobj.seek(tar.offset)
        if tar.fileobj.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
            raise tarfile.ReadError("it ends too early")


def _unpack(entries: Sequence[_Entry], folder: Path, archive: str, limit: int | None) -> None:
    names = Counter(str(entry.path).casefold() for entry in entries)
    if twice := sorted(name for name, times in names.items() if times > 1):
        raise IntegrityError(f"{archive}: {twice[0]!r} stands in it twice")
    size, most = sum(entry.size for entry in entries), MAX_UNPACKED_BYTES if limit is None else limit
    if size > most:
        raise IntegrityError(f"{archive} unpacks to {size} bytes, more than the {most} allowed")
    one_folder = len({entry.path.parts[0] for entry in entries}) == 1
    depth = 1 if one_folder and all(len(entry.path.parts) > 1 for entry in entries) else 0
    for entry in entries:
        target = folder.joinpath(*entry.path.parts[depth:])
        target.parent.mkdir(parents=True, exist_ok=True)
        with entry.open() as source, target.open("xb") as stream:
            shutil.copyfileobj(source, stream)
