"""JSON documents as tables: what is published as ``.json`` is JSON lines, one array of objects, or SQuAD's form."""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from json.decoder import JSONObject  # type: ignore[attr-defined]
from json.scanner import py_make_scanner  # type: ignore[attr-defined]
from pathlib import Path
from typing import Any

from hub_core.data.lines import read_lines
from hub_core.data.problems import Problems, shortened
from hub_core.data.tables import Row, checked_object, jsonl_rows, refuse_header, reporting


def read_json(
    path: str | Path,
    *,
    columns: Sequence[str] | None = None,
    header: bool | None = None,
    problems: Problems | None = None,
) -> Iterator[Row]:
    """Rows of a ``.json`` file: an object per line (as CLUE publishes them), one array of objects, or SQuAD's form.

    Which of them it is, its beginning tells. A row's line is the one that its object begins on. `columns` are keys that
    every row must have. Raises DataError (``file:line``) as `read_jsonl` and `read_squad` do; of a document that is
    no JSON only the first mistake can be told.
    """
    refuse_header(path, header)
    return reporting(lambda found: _json_rows(Path(path), columns or (), found), problems)


def read_squad(
    path: str | Path,
    *,
    columns: Sequence[str] | None = None,
    header: bool | None = None,
    problems: Problems | None = None,
) -> Iterator[Row]:
    """Questions of a document in SQuAD's form, one row each: ``question``, ``context``, ``answers``, ``id``, ``title``.

    ``answers`` is the list that the file has, of ``{"text", "answer_start"}``; a question that has none (a test split)
    has no such column. What else stands with a question (``is_impossible``) is a column too. Raises DataError with the
    line of every paragraph without a context, and of every question and answer of another form.
    """
    refuse_header(path, header)

    def rows(found: Problems) -> Iterator[Row]:
        document = _Document.read(Path(path), found)
        return iter(()) if document is None else _squad_rows(document, columns or (), found)

    return reporting(rows, problems)


def _json_rows(path: Path, keys: Sequence[str], problems: Problems) -> Iterator[Row]:
    if not _is_document(path):
        yield from jsonl_rows(path, keys, problems)
        return
    document = _Document.read(path, problems)
    if document is None:
        return
    if not isinstance(document.value, list):
        yield from _squad_rows(document, keys, problems)
        return
    for number, item in enumerate(document.value, start=1):
        line = document.line(item)
        where = f"{path}:{line}" if isinstance(item, dict) else f"{path} (item {number})"
        row = checked_object(item, keys, where, problems)
        if row is not None:
            yield Row(row, str(path), line)
    if not document.value:
        problems.add(f"{path}:1", "the array is empty")


def _is_document(path: Path) -> bool:
    """Whether a file is one JSON value, and not one per line: its first line with something on it tells."""
    first = next((text for line in read_lines(path, Problems()) if (text := line.content.strip())), "")
    if first.startswith("[") or first == "{":
        return True
    try:
        value = json.loads(first)
    except (ValueError, RecursionError):
        return False
    return isinstance(value, dict) and isinstance(value.get("data"), list)


class _Document:
    """A JSON document with the line on which each of its objects begins."""

    def __init__(self, path: Path, text: str) -> None:
        self.path = path
        decoder = _Locating()
        self.value = decoder.decode(text)
        if "\\u" in text:  # half of a surrogate pair is JSON, but no text
            json.dumps(self.value, ensure_ascii=False).encode()
        self._begins = decoder.begins
        self._ends = [at for at, character in enumerate(text) if character == "\n"]

    @classmethod
    def read(cls, path: Path, problems: Problems) -> _Document | None:
        """The document of a file; None (and a problem noted) where it is none."""
        text = "".join(line.text for line in read_lines(path, problems))
        try:
            return cls(path, text)
        except json.JSONDecodeError as error:
            problems.add(f"{path}:{error.lineno}", f"not JSON ({error})")
        except (ValueError, RecursionError) as error:
            problems.add(f"{path}:1", f"not JSON ({error})")
        return None

    def line(self, item: object) -> int:
        """The line of an object of the document, 1 for anything else."""
        return 1 + bisect_right(self._ends, self._begins.get(id(item), 0))

    def where(self, item: object) -> str:
        """``file:line`` of an object of the document."""
        return f"{self.path}:{self.line(item)}"


class _Locating(json.JSONDecoder):
    """A decoder that notes where every object begins; the standard library's own scanner in Python lets it."""

    def __init__(self) -> None:
        super().__init__()
        self.begins: dict[int, int] = {}
        self.parse_object = self._object
        self.scan_once = py_make_scanner(self)

    def _object(self, text_and_place: tuple[str, int], *rest: Any) -> tuple[Any, int]:
        value, end = JSONObject(text_and_place, *rest)
        self.begins[id(value)] = text_and_place[1] - 1  # the place is that after the brace
        return value, end


def _squad_rows(document: _Document, keys: Sequence[str], problems: Problems) -> Iterator[Row]:
    articles = document.value.get("data") if isinstance(document.value, dict) else None
    if not isinstance(articles, list):
        problems.add(f"{document.path}:1", "not in SQuAD's form, an object with a list called 'data'")
        return
    count = 0
    for article in articles:
        for paragraph in _objects(article, "paragraphs", document, problems):
            context = paragraph.get("context")
            if not isinstance(context, str):
                problems.add(document.where(paragraph), "the paragraph has no 'context'")
            for question in _objects(paragraph, "qas", document, problems):
                count += 1
                row = _question(question, document, problems)
                if row is None or not isinstance(context, str):
                    continue
                title = {"title": article["title"]} if "title" in article else {}
                row = checked_object({**row, "context": context, **title}, keys, document.where(question), problems)
                if row is not None:
                    yield Row(row, str(document.path), document.line(question))
    if not count:
        problems.add(f"{document.path}:1", "the file has no questions")


def _objects(parent: Any, key: str, document: _Document, problems: Problems) -> list[dict[str, Any]]:
    """The objects in the list that `parent` has under a key; none (and a problem noted) where there is no such list."""
    items = parent.get(key) if isinstance(parent, dict) else None
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        problems.add(document.where(parent), f"there is no list of objects called {key!r}")
        return []
    return items


def _question(question: Mapping[str, Any], document: _Document, problems: Problems) -> dict[str, Any] | None:
    """A question with its answers as they stand there; None (and problems noted) where they cannot be used."""
    answers, usable = question.get("answers", []), isinstance(question.get("question"), str)
    if not usable:
        problems.add(document.where(question), "there is no 'question'")
    if not isinstance(answers, list):
        problems.add(document.where(question), f"'answers' must be a list, not {shortened(json.dumps(answers))}")
        return None
    for answer in answers:
        if not (
            isinstance(answer, dict)
            and isinstance(answer.get("text"), str)
            and isinstance(answer.get("answer_start"), int)
        ):
            fault = f"an answer must have a 'text' and an 'answer_start', not {shortened(json.dumps(answer))}"
            problems.add(document.where(answer if isinstance(answer, dict) else question), fault)
            usable = False
    return dict(question) if usable else None
