"""Bytes on their way: counted, hashed and checked while they are copied."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Protocol

from hub_core.addresses import redact
from hub_core.errors import InstallError, IntegrityError

#: Bytes read and written at a time.
BLOCK = 1 << 20


class Progress(Protocol):
    """Called while a file is copied: its name, the bytes done so far, and all of them (None where not known)."""

    def __call__(self, what: str, done: int, total: int | None) -> None: ...


@dataclass(frozen=True)
class Fetched:
    """A file that has arrived: the address that it came from (without secrets), its size in bytes, its sha256."""

    url: str
    size: int
    sha256: str


@dataclass(frozen=True)
class Expected:
    """What is known of a file before it arrives, and who is told how it goes.

    `size` in bytes and `sha256` are None where not known; `limit` is the most bytes taken then.
    """

    what: str
    size: int | None
    sha256: str | None
    limit: int
    progress: Progress | None


class Sink:
    """A file being written, with the count and the hash of what it holds; a context manager.

    With `keep`, bytes already in the file count as arrived (a transfer that is taken up again).
    """

    def __init__(self, path: Path, url: str, expected: Expected, *, keep: bool = False) -> None:
        self.path = path
        self.size = 0
        self._url = redact(url)
        self._expected = expected
        self._total = expected.size
        self._progress = expected.progress
        self._hash = hashlib.sha256()
        try:
            self._stream = path.open("r+b" if keep else "wb")
        except OSError as error:
            raise self._unwritable(error) from error
        if keep:
            while block := self._stream.read(BLOCK):
                self._hash.update(block)
                self.size += len(block)

    def __enter__(self) -> Sink:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._stream.close()
        except OSError as problem:  # a full disk may show only here
            if error is None:
                raise self._unwritable(problem) from problem

    def announce(self, length: int) -> None:
        """Take note of how many bytes the sender says are still to come. Raises IntegrityError if too many."""
        self._total = self.size + length
        self._refuse_above(self._total)

    def write(self, block: bytes) -> None:
        """Raises IntegrityError as soon as there are more bytes than there may be, InstallError on a full disk."""
        self._refuse_above(self.size + len(block))
        try:
            self._stream.write(block)
        except OSError as error:
            raise self._unwritable(error) from error
        self._hash.update(block)
        self.size += len(block)
        if self._progress is not None:
            self._progress(self._expected.what, self.size, self._total)

    def restart(self) -> None:
        """Forget what is there."""
        self._stream.seek(0)
        self._stream.truncate()
        self._hash = hashlib.sha256()
        self.size = 0

    def finish(self) -> Fetched:
        """Check what has arrived. Raises IntegrityError where size or sha256 are not the expected ones."""
        digest = self._hash.hexdigest()
        if self._expected.size is not None and self.size != self._expected.size:
            raise IntegrityError(f"{self._url}: {self.size} bytes arrived, expected {self._expected.size}")
        if self._expected.sha256 is not None and digest != self._expected.sha256:
            raise IntegrityError(f"{self._url}: its sha256 is {digest}, expected {self._expected.sha256}")
        return Fetched(self._url, self.size, digest)

    @property
    def complete(self) -> bool:
        """Whether the file is already all that was expected (known size and hash, or known hash alone)."""
        return self.size > 0 and self._hash.hexdigest() == self._expected.sha256

    def _refuse_above(self, size: int) -> None:
        stated = self._expected.size
        if stated is not None and size > stated:
            raise IntegrityError(f"{self._url}: more bytes than the expected {stated}")
        if stated is None and size > self._expected.limit:
            raise IntegrityError(f"{self._url}: more than {self._expected.limit} bytes, the most that is taken here")

    def _unwritable(self, error: OSError) -> InstallError:
        return InstallError(f"cannot write {self.path}: {error.strerror or error}")
