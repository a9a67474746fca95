"""Bytes of files, packed or plain, and what is said of bytes that are not UTF-8."""

from __future__ import annotations

import codecs
import gzip
import io
import lzma
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, Any, cast

from hub_core.errors import SettingsError

#: Suffixes of packed files, which stand after the format's own (``train.tsv.xz``).
PACKED = (".gz", ".xz", ".zst")
#: What UTF-16 begins with.
UTF16_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
UTF16 = "the file is UTF-16; save it as UTF-8 (such as with `iconv -f UTF-16 -t UTF-8`)"
SAVE_AS_UTF8 = "save the file as UTF-8 (such as with `iconv -f GB18030 -t UTF-8`)"


def plain_name(name: str | Path) -> PurePosixPath:
    """The name of a file without the suffix of its packing."""
    path = PurePosixPath(name)
    return path.with_suffix("") if path.suffix.lower() in PACKED else path


@contextmanager
def opened(path: Path, member: str | None = None) -> Iterator[IO[bytes]]:
    """The bytes of a file, or of a member of a zip archive, unpacked as its name says.

    Raises OSError where the disk or the packing fails, in the block too, SettingsError where a package is missing.
    """
    with ExitStack() as stack:
        try:
            if member is None:
                plain: IO[bytes] = stack.enter_context(path.open("rb"))
            else:
                plain = stack.enter_context(_member(stack.enter_context(zipfile.ZipFile(path)), member))
            yield stack.enter_context(_unpacked(plain, PurePosixPath(member or path.name).suffix.lower()))
        except (EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile) as error:
            raise OSError(str(error)) from error


def _member(archive: zipfile.ZipFile, name: str) -> IO[bytes]:
    try:
        return archive.open(name)
    except (RuntimeError, NotImplementedError) as error:  # it has a password, or is packed in a way of its own
        raise OSError(str(error)) from error


def _unpacked(plain: IO[bytes], suffix: str) -> IO[bytes]:
    match suffix:
        case ".gz":
            return cast("IO[bytes]", gzip.GzipFile(fileobj=plain))
        case ".xz":
            return cast("IO[bytes]", lzma.LZMAFile(plain))
        case ".zst":
            return io.BufferedReader(_Zstandard(plain))
    return plain


def zstandard_package() -> Any:
    """The package for ``.zst``. Raises SettingsError where it is not installed."""
    try:
        import zstandard
    except ImportError as error:
        raise SettingsError(".zst needs the package zstandard: pip install 'hub_core[corpus]'") from error
    return zstandard


class _Zstandard(io.RawIOBase):
    """A stream of Zstandard frames, whose faults are OSErrors as those of a file are; an end within a frame is one."""

    def __init__(self, plain: IO[bytes]) -> None:
        package = zstandard_package()
        self._plain, self._fault = plain, package.ZstdError
        self._decompressor = package.ZstdDecompressor()
        self._frame: Any = None
        self._packed, self._ready = b"", memoryview(b"")

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Bytes put into `buffer`; 0 at the end."""
        while not self._ready:
            # Few at a time: of what repeats itself they may be thirty thousand times as many.
            self._packed = self._packed or self._plain.read(1 << 10)
            if not self._packed:
                if self._frame is not None:
                    raise OSError("Compressed file ended before the end of its last frame")
                return 0
            self._unpack()
        size = min(len(buffer), len(self._ready))
        buffer[:size], self._ready = self._ready[:size], self._ready[size:]
        return size

    def _unpack(self) -> None:
        """Some of the packed bytes: all, or those up to the end of a frame."""
        try:
            self._frame = self._frame or self._decompressor.decompressobj()
            # A view: what is cut from its front copies nothing of the rest.
            self._ready, self._packed = memoryview(self._frame.decompress(self._packed)), b""
            if self._frame.eof:
                self._packed, self._frame = self._frame.unused_data, None
        except self._fault as error:
            raise OSError(str(error)) from error


def decoded(raw: bytes, *, first: bool) -> tuple[str, str | None]:
    """A line of a file as text, and why it is none (such as ``byte 0xff, number 3``; None where it is UTF-8).

    `first`: it may begin with a byte order mark. What cannot be decoded stands as U+FFFD.
    """
    if first:
        raw = raw.removeprefix(codecs.BOM_UTF8)
    try:
        return raw.decode("utf-8"), None
    except UnicodeDecodeError as error:
        return raw.decode("utf-8", errors="replace"), f"byte 0x{raw[error.start]:02x}, number {error.start + 1}"
