"""module.json: its form, and the frozen object it becomes.

A manifest says everything about a module without any code being run: name, version, architecture, tokenizer,
tasks, and where its files come from. A fine-tuned checkpoint is the same file with ``heads`` filled in.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from typing import Any

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.version import InvalidVersion, Version

from hub_core.errors import HubError, ManifestError, unknown

MANIFEST = "module.json"
WEIGHTS = "model.safetensors"
#: Where in its folder a training run keeps its best checkpoint, a module folder.
BEST = "best_model"
#: What `hub export` writes beside the manifest: what the graph is, and its files. (A graph in torch's own format holds
#: pickles: it is loaded from a folder, and never installed.)
GRAPH = "graph.json"
GRAPH_FILES = (GRAPH, "graph.onnx", "graph.onnx.data", "graph.xml", "graph.bin")
GRAPHS = (*GRAPH_FILES, "graph.pt2")
SCHEMA = 1

_EMPTY: Mapping[str, Any] = MappingProxyType({})
#: Long enough for ``hf.`` and the 96 characters of a repository at Hugging Face.
_NAME = re.compile(r"[a-z0-9](?:[a-z0-9._-]{0,126}[a-z0-9])?", re.IGNORECASE)
_SHA256 = re.compile(r"[0-9a-f]{64}")
_CONVERTERS = ("paddle", "torch", "paddle-words")
#: What the store itself writes into a module's folder; no manifest may send such a file.
RECEIPT = "receipt.json"
_OWN_FILES = (MANIFEST, RECEIPT)
#: Names that Windows gives to devices, whatever their extension.
_DEVICES = frozenset({"con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in range(10))})


def canonical(name: str) -> str:
    """One spelling for a module's name: lower case, with ``-`` for ``_`` and ``.`` (as PEP 503 does for packages).

    >>> canonical("bert_base_chinese")
    'bert-base-chinese'
    """
    return re.sub(r"[-_.]+", "-", name).lower()


@dataclass(frozen=True)
class SourceSpec:
    """One address of a file. `size` in bytes and `sha256` are of the bytes at the address, None where not known.

    `url` is a whole address, or a plain relative path: a file beside the manifest. `convert` names what turns those
    bytes into the module's file (``paddle``: ``.pdparams`` to safetensors; ``torch``: ``pytorch_model.bin`` or
    another naming of tensors to safetensors; ``paddle-words``: a pickled word set to a text list).
    """

    url: str
    size: int | None = None
    sha256: str | None = None
    convert: str | None = None


@dataclass(frozen=True)
class FileSpec:
    """One file of a module and its addresses in the order in which they are tried."""

    path: str
    sources: tuple[SourceSpec, ...] = ()


@dataclass(frozen=True)
class HeadSpec:
    """A task head: which task, its labels in target order (none of a task without), and its own options."""

    task: str
    labels: tuple[str, ...]
    name: str = "default"
    options: Mapping[str, Any] = field(default_factory=lambda: _EMPTY)

    @property
    def unnamed(self) -> bool:
        """Whether the labels are only Hugging Face's placeholders ``LABEL_0``, ``LABEL_1``, ..."""
        return self.labels == tuple(f"LABEL_{target}" for target in range(len(self.labels)))


@dataclass(frozen=True)
class ModuleSpec:
    """A valid manifest. The attribute names are the keys of module.json.

    `parameters` is how many numbers the network has without a head. `unavailable` says why there is no address that
    the module could be installed from; whoever has its files makes a module of them with `hub convert`.
    """

    name: str
    version: str
    family: str
    config: Mapping[str, Any]
    tokenizer: Mapping[str, Any]
    summary: str = ""
    license: str | None = None
    languages: tuple[str, ...] = ()
    homepage: str | None = None
    requires: Mapping[str, str] = field(default_factory=lambda: _EMPTY)
    supports: tuple[str, ...] = ()
    parameters: int | None = None
    also_versions: tuple[str, ...] = ()
    loads_in: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: _EMPTY)
    files: tuple[FileSpec, ...] = ()
    heads: tuple[HeadSpec, ...] = ()
    base: str | None = None
    metrics: Mapping[str, Any] = field(default_factory=lambda: _EMPTY)
    yanked: str | None = None
    unavailable: str | None = None
    schema: int = SCHEMA

    @property
    def canonical(self) -> str:
        """The name in the spelling by which modules are found."""
        return canonical(self.name)

    @property
    def parsed_version(self) -> Version:
        """The version for comparison."""
        return Version(self.version)

    @property
    def title(self) -> str:
        """``name version``, as messages print it."""
        return f"{self.name} {self.version}"

    @property
    def metrics_in_words(self) -> dict[str, object]:
        """The scores for people, numbers with four decimals."""
        return {name: f"{value:.4f}" if isinstance(value, float) else value for name, value in self.metrics.items()}

    def head(self, name: str = "default") -> HeadSpec | None:
        """The head of that name, or None."""
        return next((head for head in self.heads if head.name == name), None)

    def to_json(self) -> dict[str, Any]:
        """The manifest as plain data: keys in a fixed order, keys at their default left out (except ``schema``)."""
        record: dict[str, Any] = {"schema": self.schema}
        for item in fields(self):
            value = getattr(self, item.name)
            if item.name == "schema" or value is None or (item.name not in _REQUIRED and not value):
                continue
            record[item.name] = _plain(value)
        return record

    def dumps(self) -> str:
        """The text of module.json."""
        return json.dumps(self.to_json(), ensure_ascii=False, indent=1) + "\n"


_REQUIRED = ("name", "version", "family", "config", "tokenizer")
#: Keys that later versions of the hub fill in; a manifest that has one needs a newer hub, and the message says so.
_RESERVED = ("inputs", "shapes", "adapter")


def read_manifest(folder: Path) -> ModuleSpec:
    """Read ``folder/module.json``. Raises ManifestError with every problem, HubError where there is no such file."""
    path = folder / MANIFEST
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise HubError(f"{folder} is not a module folder: it has no {MANIFEST}") from error
    except (OSError, UnicodeDecodeError) as error:
        raise ManifestError(str(path), [f"cannot be read: {error}"]) from error
    return loads_manifest(text, where=str(path))


def loads_manifest(text: str, *, where: str = MANIFEST) -> ModuleSpec:
    """Parse the text of a module.json. Raises ManifestError with every problem."""
    try:
        record = json.loads(text, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        raise ManifestError(where, [f"line {error.lineno}: {error.msg}"]) from error
    except RecursionError as error:
        raise ManifestError(where, ["nested too deeply"]) from error
    except ValueError as error:
        raise ManifestError(where, [str(error)]) from error
    return parse_manifest(record, where=where)


def parse_manifest(record: object, *, where: str = MANIFEST) -> ModuleSpec:
    """Turn plain data into a ModuleSpec. Raises ManifestError that lists every problem, not only the first."""
    if not isinstance(record, dict):
        raise ManifestError(where, ["must be a JSON object"])
    problems: list[str] = []
    known = {item.name for item in fields(ModuleSpec)}
    for key in record.keys() - known:
        problems.append(f"key {key!r} needs a newer hub_core" if key in _RESERVED else unknown("key", key, known))
    problems += [f"key {key!r} is missing" for key in _REQUIRED if key not in record]
    read = _Reader(record, problems)
    values: dict[str, Any] = {
        "schema": read.number("schema", SCHEMA),
        "name": read.name("name"),
        "version": read.version("version"),
        "family": read.text("family") or "",
        "config": read.mapping("config"),
        "tokenizer": read.mapping("tokenizer"),
        "summary": read.text("summary") or "",
        "license": read.text("license"),
        "languages": read.texts("languages"),
        "homepage": read.text("homepage"),
        "requires": read.specifiers("requires"),
        "supports": read.texts("supports"),
        "parameters": read.count("parameters"),
        "also_versions": tuple(v for v in read.texts("also_versions") if read.valid_version("also_versions", v)),
        "loads_in": {k: tuple(v) for k, v in read.mapping("loads_in").items() if read.text_list("loads_in", v)},
        "files": read.files("files"),
        "heads": read.heads("heads"),
        "base": read.text("base"),
        "metrics": read.mapping("metrics"),
        "yanked": read.text("yanked"),
        "unavailable": read.text("unavailable"),
    }
    if isinstance(values["schema"], int) and values["schema"] > SCHEMA:
        problems.append(f"schema {values['schema']} needs a newer hub_core; this one reads up to {SCHEMA}")
    if problems:
        raise ManifestError(where, problems)
    return ModuleSpec(**values)


def safe_relative(path: str) -> bool:
    """Whether a path stays inside its folder and names the same file on every system.

    No ``..``, no drive, no backslash or control character, no part that Windows would change (``CON``, a dot or a
    space at the end).
    """
    parts = PurePosixPath(path).parts
    if not parts or path.startswith("/") or ".." in parts or path != "/".join(parts):
        return False
    if any(char in '\\:*?"<>|' or ord(char) < 32 for char in path):
        return False
    return all(
        part == part.strip() and not part.endswith(".") and part.partition(".")[0].lower() not in _DEVICES
        for part in parts
    )


def _no_constant(name: str) -> None:
    """Refuse what Python's reader takes and JSON does not have."""
    raise ValueError(f"{name} is not a JSON number")


class _Reader:
    """Reads keys of one JSON object with their types, collecting what is wrong in `problems`."""

    def __init__(self, record: Mapping[str, Any], problems: list[str]) -> None:
        self._record = record
        self._problems = problems

    def _get(self, key: str, kind: type, what: str) -> Any:
        value = self._record.get(key)
        if value is not None and (not isinstance(value, kind) or isinstance(value, bool)):
            self._problems.append(f"key {key!r} must be {what}, not {value!r}")
            return None
        return value

    def number(self, key: str, default: int) -> int:
        value: int | None = self._get(key, int, "a whole number")
        return default if value is None else value

    def count(self, key: str) -> int | None:
        value: int | None = self._get(key, int, "a whole number")
        if value is not None and value < 1:
            self._problems.append(f"key {key!r} must be above 0, not {value}")
        return value

    def text(self, key: str) -> str | None:
        value: str | None = self._get(key, str, "a string")
        return value

    def name(self, key: str) -> str:
        value = self.text(key)
        if value is not None and not _NAME.fullmatch(value):
            self._problems.append(f"key {key!r}: {value!r} may hold letters, digits, '.', '_' and '-' only")
        return value or ""

    def version(self, key: str) -> str:
        value = self.text(key)
        return value if value is not None and self.valid_version(key, value) else "0"

    def valid_version(self, key: str, value: str) -> bool:
        try:
            Version(value)
        except InvalidVersion:
            good = False
        else:
            good = value == value.strip()  # packaging takes blanks around it; a folder's name must not have them
        if not good:
            self._problems.append(f"key {key!r}: {value!r} is not a version (PEP 440), such as 2.0.1")
        return good

    def mapping(self, key: str) -> Mapping[str, Any]:
        return self._get(key, dict, "an object") or {}

    def text_list(self, key: str, value: object) -> bool:
        good = isinstance(value, list) and all(isinstance(item, str) for item in value)
        if not good:
            self._problems.append(f"key {key!r} must hold a list of strings, not {value!r}")
        return good

    def texts(self, key: str) -> tuple[str, ...]:
        value = self._record.get(key)
        return tuple(value) if value is not None and self.text_list(key, value) else ()

    def specifiers(self, key: str) -> Mapping[str, str]:
        value = self.mapping(key)
        for package, specifier in value.items():
            try:
                SpecifierSet(specifier)
            except (InvalidSpecifier, TypeError, AttributeError):
                self._problems.append(f"key {key!r}: {package} {specifier!r} is not a version range, such as >=1,<2")
        return value

    def objects(self, key: str) -> list[Mapping[str, Any]]:
        value = self._get(key, list, "a list of objects") or []
        if not all(isinstance(item, dict) for item in value):
            self._problems.append(f"key {key!r} must be a list of objects")
            return []
        return list(value)

    def files(self, key: str) -> tuple[FileSpec, ...]:
        found = []
        for item in self.objects(key):
            path = item.get("path")
            if not isinstance(path, str) or not safe_relative(path):
                self._problems.append(f"key {key!r}: {path!r} is not a plain relative path")
                continue
            if path.casefold() in _OWN_FILES:
                self._problems.append(f"key {key!r}: {path} is written by the hub itself and cannot be listed")
                continue
            sources = item.get("sources", [])
            if not isinstance(sources, list) or not all(isinstance(s, dict) for s in sources):
                self._problems.append(f"key {key!r}: {path}: sources must be a list of objects")
                continue
            found.append(FileSpec(path, tuple(self._source(f"{key}: {path}", s) for s in sources)))
        # Two names that differ in case are one file on Windows and macOS.
        paths = [item.path.casefold() for item in found]
        self._problems += [
            f"key {key!r}: {p} is listed twice" for p in sorted({p for p in paths if paths.count(p) > 1})
        ]
        return tuple(found)

    def _source(self, where: str, item: Mapping[str, Any]) -> SourceSpec:
        source = SourceSpec(item.get("url", ""), item.get("size"), item.get("sha256"), item.get("convert"))
        if not isinstance(source.url, str) or not ("://" in source.url or safe_relative(source.url)):
            self._problems.append(f"{where}: url {source.url!r} is neither an address nor a plain relative path")
        if source.size is not None and (type(source.size) is not int or source.size < 0):
            self._problems.append(f"{where}: size {source.size!r} is not a number of bytes")
        if source.sha256 is not None and not _SHA256.fullmatch(str(source.sha256)):
            self._problems.append(f"{where}: sha256 {source.sha256!r} is not 64 lower-case hex digits")
        if source.convert is not None and source.convert not in _CONVERTERS:
            self._problems.append(f"{where}: " + unknown("converter", source.convert, _CONVERTERS))
        return source

    def heads(self, key: str) -> tuple[HeadSpec, ...]:
        found: list[HeadSpec] = []
        for item in self.objects(key):
            task, labels, name = item.get("task"), item.get("labels", []), item.get("name", "default")
            options = item.get("options", {})
            if not isinstance(task, str) or not isinstance(name, str) or not isinstance(options, dict):
                self._problems.append(f"key {key!r}: a head needs a task and a name (strings) and options (an object)")
            elif not isinstance(labels, list) or not all(isinstance(i, str) for i in labels):
                self._problems.append(f"key {key!r}: head {name!r} needs a list of labels")
            elif len(set(labels)) != len(labels):
                self._problems.append(f"key {key!r}: head {name!r} has a label twice")
            elif name in [head.name for head in found]:
                self._problems.append(f"key {key!r}: there are two heads {name!r}")
            else:
                found.append(HeadSpec(task, tuple(labels), name, options))
        return tuple(found)


def _plain(value: Any) -> Any:
    """Frozen values as JSON data."""
    if isinstance(value, (FileSpec, SourceSpec, HeadSpec)):
        pairs = ((item.name, getattr(value, item.name)) for item in fields(value))
        return {k: _plain(v) for k, v in pairs if v is not None and (v or not isinstance(v, Mapping))}
    if isinstance(value, Mapping):
        return {k: _plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    return value
