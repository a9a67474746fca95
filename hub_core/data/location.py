"""Where a named data set is: a folder the user gives, one under ``HUB_DATA_HOME``, or a download."""

from __future__ import annotations

import gzip
import json
import lzma
import shutil
import tarfile
import tempfile
import zlib
from dataclasses import asdict
from pathlib import Path, PurePosixPath

from hub_core.errors import InstallError, IntegrityError, NotFoundError, SourceError
from hub_core.paths import atomic_folder, data_home, hub_home
from hub_core.sources import fetch
from hub_core.spec import safe_relative

#: An archive of text that unpacks to more than this is refused (a small one can unpack to terabytes).
MAX_UNPACKED_BYTES = 8 * 2**30


def locate(name: str, *, data_dir: str | Path | None = None, url: str | None = None) -> Path:
    """The folder that holds the files of the data set `name`.

    `data_dir` (that folder, or the one above it) is taken where given. Otherwise the first that exists of
    ``$HUB_DATA_HOME/<name>`` and ``HUB_HOME/datasets/<name>``; otherwise the ``.tar.gz`` at `url` is downloaded and
    unpacked to the latter. Raises NotFoundError that says where to put the files where there is no address,
    SourceError where the download fails.
    """
    if data_dir is not None:
        given = Path(data_dir).expanduser()
        if not given.is_dir():
            raise NotFoundError(f"no folder {given}; data_dir is the folder that holds the files of {name}")
        return given / name if (given / name).is_dir() else given
    shared, own = data_home(), hub_home() / "datasets" / name
    for place in (shared / name if shared else own, own):
        if place.is_dir():
            return place
    remedy = (
        f"put its files (train.tsv, dev.tsv, test.tsv) in {own}, or set HUB_DATA_HOME to the folder that holds "
        f"a folder {name!r}" + (f" (now {shared})" if shared else "")
    )
    if url is None:
        raise NotFoundError(f"no data set {name!r} on this machine, and no address to fetch it from; {remedy}")
    try:
        download(url, own)
    except SourceError as error:
        raise SourceError(f"{error}; {remedy}") from error
    return own


def download(url: str, folder: Path) -> None:
    """Fetch a ``.tar.gz`` and unpack it as `folder`, which appears whole or not at all.

    The archive's address, size and sha256 are written into the folder as ``source.json``.
    """
    with tempfile.TemporaryDirectory(prefix="hub-data-") as temporary:
        archive = Path(temporary) / "archive.tar.gz"
        receipt = asdict(fetch(url, archive, what=folder.name))
        with atomic_folder(folder) as staged:
            unpack(archive, staged, name=url)
            (staged / "source.json").write_text(json.dumps(receipt, indent=2) + "\n", encoding="utf-8")


def unpack(archive: Path, folder: Path, *, name: str | None = None) -> None:
    """Unpack the regular files of a tar archive into an empty folder, without the one folder that holds them all.

    Raises IntegrityError, with `name` for the archive, for a damaged one, and for entries that are links or devices,
    lead out of the folder, or add up to more than `MAX_UNPACKED_BYTES`; InstallError where the disk fails.
    """
    shown = name or str(archive)
    try:
        with tarfile.open(archive) as tar:
            files = {_safe_path(member, shown): member for member in tar if not member.isdir()}
            size = sum(member.size for member in files.values())
            if size > MAX_UNPACKED_BYTES:
                raise IntegrityError(f"{shown} unpacks to {size} bytes, more than the {MAX_UNPACKED_BYTES} allowed")
            depth = (
                1 if len({path.parts[0] for path in files}) == 1 and all(len(path.parts) > 1 for path in files) else 0
            )
            for path, member in files.items():
                _extract(tar, member, folder.joinpath(*path.parts[depth:]))
    except (tarfile.TarError, EOFError, zlib.error, lzma.LZMAError, gzip.BadGzipFile) as error:
        raise IntegrityError(f"{shown} is not a whole tar archive: {error}") from error
    except OSError as error:
        raise InstallError(f"{shown} cannot be unpacked into {folder.parent}: {error}") from error


def _safe_path(member: tarfile.TarInfo, archive: str) -> PurePosixPath:
    """Where an entry belongs, below the folder; links, devices and ways out of it are refused."""
    path = PurePosixPath(member.name)  # leaves out a leading "./"
    if not member.isfile():
        raise IntegrityError(f"{archive}: {member.name!r} is not a regular file")
    if not safe_relative(str(path)):
        raise IntegrityError(f"{archive}: {member.name!r} would not stay in the folder on every system")
    return path


def _extract(tar: tarfile.TarFile, member: tarfile.TarInfo, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    source = tar.extractfile(member)
    if source is None:
        raise tarfile.ReadError(f"{member.name!r} has no content")
    with source, target.open("xb") as stream:
        shutil.copyfileobj(source, stream)
