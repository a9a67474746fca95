"""Where a named data set is: a folder the user gives, one under ``HUB_DATA_HOME``, or a download."""

from __future__ import annotations

import json
import tempfile
from dataclasses import asdict
from pathlib import Path

from hub_core.archives import unpack
from hub_core.data.remote import is_address
from hub_core.errors import NotFoundError, SourceError
from hub_core.paths import atomic_folder, data_home, hub_home
from hub_core.sources import fetch

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
            unpack(archive, staged, name=url, limit=MAX_UNPACKED_BYTES)
            (staged / "source.json").write_text(json.dumps(receipt, indent=2) + "\n", encoding="utf-8")
