"""Transfers that broke off: kept by the sha256 of what they will become, and taken up again by whoever comes next.

No lock is trusted for this (on some network file systems every process gets it). A process takes a partial file by
renaming it, which exactly one of several succeeds in.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from hub_core.paths import leftovers

#: After so many seconds without a byte, the process that had taken a partial file is held to be dead.
STALE = 600
#: After so many seconds a partial file is dropped.
EXPIRED = 7 * 24 * 3600


@dataclass
class Partial:
    """One transfer in progress: its file, and the server's mark (a strong ETag) of what is being sent."""

    path: Path
    validator: str | None = None


@contextmanager
def claimed(sha256: str, folder: Path) -> Iterator[Partial]:
    """Take what is there of a file, or an empty one; whatever is left of it at the end is kept for the next.

    The caller moves the file away when it is complete.
    """
    folder.mkdir(parents=True, exist_ok=True)
    _drop_expired(folder)
    free, note = folder / f"{sha256}.partial", folder / f"{sha256}.json"
    own = Partial(folder / f".{sha256}.{uuid.uuid4().hex}.tmp")
    if _rename(free, own.path):
        own.validator = _read_note(note)
    elif not any(_rename(orphan, own.path) for orphan in leftovers(folder, older_than=STALE) if sha256 in orphan.name):
        own.path.touch()
    try:
        yield own
    finally:
        if own.path.exists():
            if own.path.stat().st_size:
                note.write_text(json.dumps({"validator": own.validator}), encoding="utf-8")
                own.path.replace(free)
            else:
                own.path.unlink()
                note.unlink(missing_ok=True)
        else:
            note.unlink(missing_ok=True)


def _rename(path: Path, new: Path) -> bool:
    """Whether this process, and no other, has got the file."""
    try:
        path.rename(new)
    except FileNotFoundError:
        return False
    return True


def _read_note(note: Path) -> str | None:
    """The mark of an earlier transfer. It only saves bytes (the sha256 decides), so a damaged note is no error."""
    try:
        record = json.loads(note.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    validator = record.get("validator") if isinstance(record, dict) else None
    return validator if isinstance(validator, str) else None


def _drop_expired(folder: Path) -> None:
    for path in leftovers(folder, older_than=EXPIRED, pattern="*"):
        path.unlink(missing_ok=True)
