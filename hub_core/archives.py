"""Modules in one file, to be carried elsewhere: packed in the same bytes everywhere, unpacked without trust."""

from __future__ import annotations

import gzip
import lzma
import shutil
import tarfile
import zlib
from collections import Counter
from pathlib import Path, PurePosixPath

from hub_core.errors import InstallError, IntegrityError, NotFoundError
from hub_core.spec import safe_relative

#: What an archive of a module may be called.
SUFFIXES = (".tar", ".tar.gz", ".tgz", ".tar.xz")
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


def unpack(archive: Path, folder: Path) -> None:
    """Unpack the regular files of a tar archive into an empty folder, without the one folder that holds them all.

    Raises NotFoundError where there is no such file; IntegrityError for a damaged one, and for entries that are links
    or devices, lead out of the folder, stand there twice, or add up to more than `MAX_UNPACKED_BYTES`; InstallError
    where the disk fails.
    """
    if not archive.is_file():
        raise NotFoundError(f"there is no file {archive}")
    try:
        with tarfile.open(archive) as tar:
            entries = [(_safe_path(member, archive), member) for member in tar if not member.isdir()]
            _check_end(tar)
            _check(entries, archive)
            one_folder = len({path.parts[0] for path, _ in entries}) == 1
            depth = 1 if one_folder and all(len(path.parts) > 1 for path, _ in entries) else 0
            for path, member in entries:
                _extract(tar, member, folder.joinpath(*path.parts[depth:]))
    except (tarfile.TarError, EOFError, zlib.error, lzma.LZMAError, gzip.BadGzipFile) as error:
        raise IntegrityError(f"{archive} is not a whole tar archive: {error}") from error
    except OSError as error:
        raise InstallError(f"{archive} cannot be unpacked: {error.strerror or error}") from error


def _safe_path(member: tarfile.TarInfo, archive: Path) -> PurePosixPath:
    """Where an entry belongs, below the folder."""
    path = PurePosixPath(member.name)  # leaves out a leading "./"
    if not member.isfile():
        raise IntegrityError(f"{archive}: {member.name!r} is not a regular file")
    if not safe_relative(str(path)):
        raise IntegrityError(f"{archive}: {member.name!r} would not stay in the folder on every system")
    return path


def _check_end(tar: tarfile.TarFile) -> None:
    """Raise ReadError where the zeros that end every archive are missing: `tarfile` would take a part for the whole."""
    if tar.fileobj is not None:
        tar.fileobj.seek(tar.offset)
        if tar.fileobj.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
            raise tarfile.ReadError("it ends too early")


def _check(entries: list[tuple[PurePosixPath, tarfile.TarInfo]], archive: Path) -> None:
    names = Counter(str(path).casefold() for path, _ in entries)
    if twice := sorted(name for name, times in names.items() if times > 1):
        raise IntegrityError(f"{archive}: {twice[0]!r} stands in it twice")
    size = sum(member.size for _, member in entries)
    if size > MAX_UNPACKED_BYTES:
        raise IntegrityError(f"{archive} unpacks to {size} bytes, more than the {MAX_UNPACKED_BYTES} allowed")


def _extract(tar: tarfile.TarFile, member: tarfile.TarInfo, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    source = tar.extractfile(member)
    if source is None:
        raise tarfile.ReadError(f"{member.name!r} has no content")
    with source, target.open("xb") as stream:
        shutil.copyfileobj(source, stream)
