"""Files by their sha256, so that what several modules have in common lies on the disk once.

A module's file and its blob are two names (hard links) of the same bytes. Where the file system knows no links,
modules keep files of their own and there are no blobs.
"""

from __future__ import annotations

import os
import re
import uuid
from collections.abc import Collection
from pathlib import Path

from hub_core.errors import IntegrityError
from hub_core.paths import sha256_file

_SHA256 = re.compile(r"[0-9a-f]{64}")


class Blobs:
    """The folder ``HOME/blobs/sha256``. What it gives out has been hashed again on the spot."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def path(self, sha256: str) -> Path:
        """Where a blob lies, or would. Raises IntegrityError for anything but 64 lower-case hex digits."""
        if not _SHA256.fullmatch(sha256):
            raise IntegrityError(f"{sha256!r} is not a sha256 of 64 lower-case hex digits")
        return self._folder / sha256[:2] / sha256

    def give(self, sha256: str, target: Path) -> bool:
        """Put a blob in `target`'s place, which may exist. False where there is no good blob of that hash."""
        blob = self.path(sha256)
        try:
            if sha256_file(blob) != sha256:
                blob.unlink(missing_ok=True)  # damaged on the disk; the next good copy takes its place
                return False
        except FileNotFoundError:
            return False
        return _link(blob, target)

    def share(self, path: Path, sha256: str) -> None:
        """Let a module's file, whose hash the caller has just taken, and the blob of that hash be the same bytes."""
        if self.give(sha256, path):
            return
        blob = self.path(sha256)
        blob.parent.mkdir(parents=True, exist_ok=True)
        if _link(path, blob) and os.name != "nt":  # Windows does not remove read-only files
            blob.chmod(0o444)

    def others(self, wanted: Collection[str]) -> list[Path]:
        """The blobs whose hashes are not among these."""
        return [blob for blob in self._folder.glob("??/[!.]*") if blob.name not in wanted]

    def keep_only(self, wanted: Collection[str]) -> list[str]:
        """Drop every blob whose hash is not wanted any more. Modules that hold a link lose nothing."""
        dropped = self.others(wanted)
        for blob in dropped:
            blob.unlink(missing_ok=True)
        return [blob.name for blob in dropped]


def _link(existing: Path, new: Path) -> bool:
    """Give a file another name, in the place of what was there. False where the file system cannot."""
    staged = new.with_name(f".{new.name}.{uuid.uuid4().hex}.tmp")
    try:
        os.link(existing, staged)
    except OSError:
        return False
    # rename(2) does nothing, and leaves the first name, where both names are already the same file.
    if new.exists() and new.samefile(staged):
        staged.unlink()
    else:
        staged.replace(new)
    return True
