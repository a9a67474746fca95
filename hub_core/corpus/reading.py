"""Documents out of files: plain text, JSON lines and Parquet, packed or not, one file or a tree of them or an archive.

Nothing is held in memory but the document being read, and that may only be so large.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hub_core.data.packing import PACKED, SAVE_AS_UTF8, UTF16, UTF16_MARKS, decoded, opened, plain_name
from hub_core.errors import DataError, NotFoundError, SettingsError
from hub_core.text.characters import well_formed

#: What a file may be, by the end of its name (before that of its packing).
_TEXT, _LINES, _PARQUET = (".txt", ".text", ".md"), (".jsonl", ".json"), (".parquet",)
_ARCHIVE = ".zip"
#: The most bytes that a character takes in UTF-8, and in JSON of ASCII alone (two halves of six); and what a line of
#: JSON may have beside its text.
_IN_UTF8, _IN_JSON, _BESIDE_TEXT = 4, 12, 1 << 20


@dataclass(frozen=True)
class ReadOptions:
    """How files are cut into documents.

    - `separator`: the line that ends a document of a text file; blank lines count as one where it is empty.
    - `key`: under which JSON lines, and Parquet, have the text.
    - `max_document_chars`: a document (or a line) that is longer is an error: it is held in memory, and encoding it
      takes some 120 bytes a character.
    """

    separator: str = ""
    key: str = "text"
    max_document_chars: int = 5_000_000


@dataclass(frozen=True)
class Document:
    """Lines of text that belong together, none of them blank, and where they stand (``file:line``)."""

    lines: tuple[str, ...]
    where: str


@dataclass(frozen=True)
class Source:
    """A file with text: its path, and where it lies in an archive its name there."""

    path: Path
    member: str | None = None

    @property
    def name(self) -> str:
        """What messages call it."""
        return str(self.path) if self.member is None else f"{self.path}!{self.member}"


def find_sources(paths: str | Path | Iterable[str | Path]) -> list[Source]:
    """The files with text under paths (or under one), in the order of their names; folders and zip archives are
    searched.

    Raises NotFoundError for a path that is not there, SettingsError for a file of no known kind that is named itself,
    DataError where a folder or an archive has none of a known kind.
    """
    found: dict[tuple[Path, str | None], Source] = {}
    for given in _several(paths):
        if not given.exists():
            raise NotFoundError(f"no file or folder {given}")
        inside = list(_inside(given))
        if not inside:
            raise DataError([f"{given} holds no text: files {', '.join((*_TEXT, *_LINES, *_PARQUET))}, also packed"])
        for source in inside:
            found.setdefault((source.path.resolve(), source.member), source)
    return list(found.values())


def check_outside(target: Path, paths: str | Path | Iterable[str | Path]) -> None:
    """Raise SettingsError where a file to be written is, or lies in, what is read: the same command would read it."""
    for given in _several(paths):
        if target.resolve().is_relative_to(given.resolve()):
            where = f"lies in {given}, which is read" if given.is_dir() else "is among what is read"
            raise SettingsError(f"{target} {where}; name an --output outside of the inputs")


def _several(paths: str | Path | Iterable[str | Path]) -> list[Path]:
    return [Path(path) for path in ([paths] if isinstance(paths, (str, Path)) else paths)]


def passed_over(paths: Iterable[str | Path]) -> list[str]:
    """The names of the files under folders and in archives that `find_sources` does not take for text.

    Raises DataError for an archive that is none.
    """
    inside = [one for path in map(Path, paths) for one in _files(path) if one.path != path or one.member]
    return [one.name for one in inside if _kind(_name(one)) is None]


def _inside(path: Path) -> Iterator[Source]:
    if path.is_file() and not _is_archive(path) and _kind(path.name) is None:
        known = ", ".join((*_TEXT, *_LINES, *_PARQUET, _ARCHIVE))
        raise SettingsError(f"{path}: a file of an unknown kind; known are {known}, also packed ({', '.join(PACKED)})")
    yield from (one for one in _files(path) if _kind(_name(one)) is not None)


def _files(path: Path) -> Iterator[Source]:
    """All files under a path, of any kind, in the order of their names; what a system hides beside them is not."""
    if path.is_dir():
        for file in sorted(file for file in path.rglob("*") if file.is_file()):
            if not _is_hidden(file.relative_to(path).parts):
                yield from _files(file)
    elif _is_archive(path):
        try:
            with zipfile.ZipFile(path) as archive:
                names = sorted(info.filename for info in archive.infolist() if not info.is_dir())
        except zipfile.BadZipFile as error:
            raise DataError([f"{path}: {error}"]) from error
        yield from (Source(path, name) for name in names if not _is_hidden(name.split("/")))
    else:
        yield Source(path)


def _is_hidden(parts: Sequence[str]) -> bool:
    return any(part.startswith(".") for part in parts)


def _is_archive(path: Path) -> bool:
    return path.suffix.lower() == _ARCHIVE


def _name(source: Source) -> str:
    return source.member or source.path.name


def reading(name: str) -> tuple[str | None, str]:
    """How a file of this name is read: as ``text``, ``lines`` or ``parquet`` (None: not at all), and how it is packed
    (``.gz``, ..., or nothing)."""
    path = Path(name)
    return _kind(path.name), path.suffix.lower() if path.suffix.lower() in PACKED else ""


def _kind(name: str) -> str | None:
    """``text``, ``lines`` or ``parquet``; None for another file."""
    suffix = plain_name(name).suffix.lower()
    kinds = {"text": _TEXT, "lines": _LINES, "parquet": _PARQUET}
    return next((kind for kind, ends in kinds.items() if suffix in ends), None)


def read_documents(source: Source, options: ReadOptions) -> Iterator[Document]:
    """The documents of one file. Raises DataError (``file:line``) for what cannot be read, or is too long."""
    limit = options.max_document_chars
    match _kind(_name(source)):
        case "parquet":
            yield from _parquet_documents(source, options)
        case "text":
            yield from _text_documents(source, _lines(source, _IN_UTF8 * limit), options)
        case _:
            yield from _json_documents(source, _lines(source, _IN_JSON * limit + _BESIDE_TEXT), options)


def _text_documents(source: Source, lines: Iterator[tuple[int, str]], options: ReadOptions) -> Iterator[Document]:
    kept: list[str] = []
    first = size = 0
    for number, line in lines:
        text = line.strip()
        if text == options.separator:
            if kept:
                yield Document(tuple(kept), f"{source.name}:{first}")
            kept, size = [], 0
        elif text:
            first = first if kept else number
            size += len(text)
            if size > options.max_document_chars:
                raise _too_long(f"{source.name}:{first}", options)
            kept.append(text)
    if kept:
        yield Document(tuple(kept), f"{source.name}:{first}")


def _too_long(where: str, options: ReadOptions) -> DataError:
    return DataError(
        [
            f"{where}: a document of more than {options.max_document_chars:,} characters; is the separator "
            f"{options.separator or 'blank line'!r} right? --max-document-chars allows more"
        ]
    )


def _json_documents(source: Source, lines: Iterator[tuple[int, str]], options: ReadOptions) -> Iterator[Document]:
    for number, line in lines:
        if not line.strip():
            continue
        where = f"{source.name}:{number}"
        try:
            record = json.loads(line)
        except ValueError as error:
            raise DataError([f"{where}: not JSON ({error}); one object per line is wanted"]) from error
        text = record.get(options.key) if isinstance(record, dict) else None
        if not isinstance(text, str):
            if isinstance(record, dict) and options.key in record:
                told = f"{record[options.key]!r:.40} under {options.key!r} is no text"
            else:
                known = f"; it has {', '.join(map(str, record))}" if isinstance(record, dict) else ""
                told = f"no text under {options.key!r}{known or '; one object per line is wanted'}"
            raise DataError([f"{where}: {told}"])
        yield from _document(text, where, options)


def _document(text: str, where: str, options: ReadOptions) -> Iterator[Document]:
    if len(text) > options.max_document_chars:
        raise _too_long(where, options)
    kept = tuple(line for line in map(str.strip, well_formed(text).split("\n")) if line)
    if kept:
        yield Document(kept, where)


def _parquet_documents(source: Source, options: ReadOptions) -> Iterator[Document]:
    try:
        import pyarrow.parquet as parquet
    except ImportError as error:
        raise SettingsError("Parquet needs the package pyarrow: pip install 'hub_core[parquet]'") from error
    with opened(source.path, source.member) as stream:
        try:
            table: Any = parquet.ParquetFile(stream)
            if options.key not in table.schema_arrow.names:
                known = ", ".join(table.schema_arrow.names)
                raise DataError([f"{source.name}: no column {options.key!r}; it has {known}"])
            number = 0
            for batch in table.iter_batches(columns=[options.key], batch_size=256):
                for text in batch.column(0).to_pylist():
                    number += 1
                    if not isinstance(text, str):
                        raise DataError([f"{source.name}: row {number}: {text!r:.40} is no text"])
                    yield from _document(text, f"{source.name}: row {number}", options)
        except (OSError, ValueError) as error:  # pyarrow's errors are ValueErrors
            raise DataError([f"{source.name}: {error}"]) from error


def _lines(source: Source, limit: int) -> Iterator[tuple[int, str]]:
    """The lines of a UTF-8 file with their numbers; `limit` bounds the bytes of one."""
    number = 0
    try:
        with opened(source.path, source.member) as stream:
            while raw := stream.readline(limit + 2):  # and how it ends
                number += 1
                if len(raw.rstrip(b"\r\n")) > limit:
                    raise DataError(
                        [
                            f"{source.name}:{number}: a line of more than {limit:,} bytes, the most that a document "
                            "may take; --max-document-chars allows more"
                        ]
                    )
                text, why = decoded(raw, first=number == 1)
                if why is not None:
                    wide = number == 1 and raw.startswith(UTF16_MARKS)
                    told = UTF16 if wide else f"not UTF-8 ({why}); {SAVE_AS_UTF8}"
                    raise DataError([f"{source.name}:{number}: {told}"])
                yield number, text
    except OSError as error:
        raise DataError([f"{source.name}:{number + 1}: cannot be read ({error})"]) from error


def digests(sources: Sequence[Source]) -> dict[str, str]:
    """The sha256 of every file by name; of an archive once."""
    from hub_core.paths import sha256_file

    return {str(path): sha256_file(path) for path in dict.fromkeys(source.path for source in sources)}
