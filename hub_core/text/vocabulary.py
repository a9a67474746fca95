"""Vocabulary files: one token per line, the line's index is the id. A shifted id is a silent disaster, so: strict."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from hub_core.errors import CheckpointError, DataError
from hub_core.paths import atomic_file

#: So many problems of one file are named; the rest is counted.
_SHOWN = 20


def read_bytes(path: Path, *, what: str) -> bytes:
    """The bytes of one of a tokenizer's files. Raises CheckpointError that names it where it cannot be read."""
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise CheckpointError(f"the {what} {path} does not exist; install the module again or name the file") from error
    except OSError as error:
        raise CheckpointError(f"the {what} {path} cannot be read: {error.strerror}") from error


def write_files(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write files by name, each as a whole or not at all."""
    for name, content in files.items():
        with atomic_file(folder / name) as staged:
            staged.write_bytes(content)


def read_lines(path: Path, *, what: str) -> list[str]:
    """The lines of a UTF-8 file without their ends (LF or CRLF), in order; a byte order mark is dropped.

    Only LF ends a line: vocabularies hold tokens such as U+2028 that Python's own line splitting would break.
    Raises CheckpointError where the file cannot be read, DataError with every line that is not UTF-8.
    """
    parts = read_bytes(path, what=what).removeprefix(b"\xef\xbb\xbf").split(b"\n")
    if not parts[-1]:
        parts.pop()
    lines, problems = [], []
    for number, part in enumerate(parts, start=1):
        try:
            lines.append(part.removesuffix(b"\r").decode("utf-8"))
        except UnicodeDecodeError as error:
            problems.append(f"{path}:{number}: not UTF-8 at byte {error.start} of the line")
    _refuse(problems)
    return lines


def read_vocabulary(path: Path, *, required: Sequence[str] = ("[PAD]", "[UNK]")) -> dict[str, int]:
    """Token to id from a file with one token per line, or with ``token<TAB>id`` per line (ERNIE's form).

    Where ids are stated a token may stand twice, and the later line counts (ERNIE 3.0's vocabulary has ``$`` twice).

    Raises DataError with file:line for a token that stands twice without a stated id, an empty line, or a stated id
    that is not the line's index; and where one of the `required` tokens is missing.
    """
    lines = read_lines(path, what="vocabulary")
    numbered = bool(lines) and _stated_id(lines[0]) is not None
    vocabulary: dict[str, int] = {}
    problems = []
    for index, line in enumerate(lines):
        token = line.rpartition("\t")[0] if numbered else line
        if numbered and _stated_id(line) != index:
            problems.append(f"{path}:{index + 1}: {line!r} should end in a tab and the line's index {index}")
        elif not token:
            problems.append(f"{path}:{index + 1}: an empty line; every line must hold a token")
        elif token in vocabulary and not numbered:
            problems.append(
                f"{path}:{index + 1}: token {token!r} stands in line {vocabulary[token] + 1} already, which may have "
                "shifted ids; state them (token, tab, id) if this is meant"
            )
        vocabulary[token] = index
    problems += [f"{path}: the token {token} is missing" for token in required if token not in vocabulary]
    _refuse(problems)
    return vocabulary


def vocabulary_bytes(vocabulary: Mapping[str, int]) -> bytes:
    """The content of a vocabulary file that `read_vocabulary` reads back: one token per line in the order of ids.

    Where an id has no token, ids are stated; its line names the last token, whose own line comes later and counts.
    """
    tokens = {index: token for token, index in vocabulary.items()}
    last = max(tokens, default=-1)
    if len(tokens) == last + 1:
        return lines_bytes(tokens[index] for index in range(last + 1))
    return lines_bytes(f"{tokens.get(index, tokens[last])}\t{index}" for index in range(last + 1))


def lines_bytes(lines: Iterable[str]) -> bytes:
    """Lines as UTF-8, each ended by a line feed."""
    return "".join(f"{line}\n" for line in lines).encode("utf-8")


def _stated_id(line: str) -> int | None:
    """The number behind the last tab of a line, or None."""
    _, tab, number = line.rpartition("\t")
    return int(number) if tab and number.isascii() and number.isdecimal() else None


def _refuse(problems: Sequence[str]) -> None:
    if problems:
        raise DataError(problems[:_SHOWN], more=max(0, len(problems) - _SHOWN))
