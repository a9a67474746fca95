"""Text files to JSON lines, a document each: the form in which corpora travel."""

from __future__ import annotations

import gzip
import json
import lzma
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import IO, Any

from hub_core.corpus.reading import ReadOptions, check_outside, find_sources, read_documents
from hub_core.data.packing import zstandard_package
from hub_core.errors import DataError, SettingsError
from hub_core.paths import atomic_file


def convert_corpus(
    inputs: Sequence[str | Path],
    output: str | Path,
    *,
    read: ReadOptions | None = None,
    min_chars: int = 1,
) -> dict[str, int]:
    """Write the documents of files, folders and archives as one object ``{"text": ...}`` per line.

    The lines of a document are kept. `output` ends in ``.jsonl``, or ``.jsonl.gz`` (``.xz``, ``.zst``) where it is
    packed; it appears whole or not at all. Documents of fewer than `min_chars` characters are left out. Returns how
    many documents and characters were written. Raises what reading does, and DataError where no document is left.
    """
    target, options = Path(output), read or ReadOptions()
    documents = characters = 0
    opener, sources = _opener(target), find_sources(inputs)
    check_outside(target, inputs)
    with atomic_file(target) as staged:
        with opener(staged) as stream:
            for source in sources:
                for document in read_documents(source, options):
                    text = "\n".join(document.lines)
                    if len(text) >= min_chars:
                        stream.write(json.dumps({"text": text}, ensure_ascii=False).encode() + b"\n")
                        documents += 1
                        characters += len(text)
        if not documents:
            raise DataError([f"{', '.join(map(str, inputs))}: no document of at least {min_chars} characters"])
    return {"documents": documents, "characters": characters}


def _opener(target: Path) -> Any:
    """What opens a file for writing, packed as its name says."""

    def plain(path: Path) -> AbstractContextManager[IO[bytes]]:
        return path.open("wb")

    name = target.name.lower()
    if name.endswith(".jsonl"):
        return plain
    if name.endswith(".jsonl.gz"):
        return lambda path: gzip.GzipFile(path, "wb", mtime=0)  # no date: equal text, equal bytes
    if name.endswith(".jsonl.xz"):
        return lambda path: lzma.open(path, "wb")
    if name.endswith(".jsonl.zst"):
        zstandard = zstandard_package()
        return lambda path: zstandard.open(path, "wb")
    raise SettingsError(f"{target} must end in .jsonl, or .jsonl.gz, .jsonl.xz, .jsonl.zst")
