"""What an installation will do: which module it is, and where each of its files comes from.

A plan is made from a registered spec, a folder (a module's, or one in Hugging Face's layout), the address of a
module.json, or a repository at Hugging Face. Carrying it out is the same for all: see `hub_core.installation`.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal
from urllib.parse import quote

from hub_core.addresses import HF_NAME, HfAddress, redact
from hub_core.archives import SUFFIXES, unpack
from hub_core.errors import InstallError, NotFoundError, SettingsError
from hub_core.hf_layout import (
    CONFIG,
    PICKLED_WEIGHTS,
    TOKENIZER_CONFIG,
    TOKENIZER_FILES,
    hf_spec,
    read_hf_folder,
    read_object,
)
from hub_core.plugins import PLUGIN_FILE
from hub_core.registry import Registry, bundled_registry
from hub_core.sources import HfListing, fetch, list_hf
from hub_core.spec import (
    BEST,
    GRAPH_FILES,
    MANIFEST,
    RECEIPT,
    WEIGHTS,
    FileSpec,
    ModuleSpec,
    SourceSpec,
    loads_manifest,
    parse_manifest,
    read_manifest,
    safe_relative,
)

#: A manifest is some kilobytes, most of them labels; config.json and its like are no larger.
_LARGEST_JSON = 4 << 20
#: What a module folder may hold: tensors, text, SentencePiece models. Nothing that is run, nothing pickled.
_SUFFIXES = frozenset({".json", ".md", ".model", ".safetensors", ".tsv", ".txt", ".vocab"})
_PLAIN_NAMES = frozenset({"LICENSE", "NOTICE", PLUGIN_FILE, *GRAPH_FILES})
#: Pictures of a card: no module needs them, and some can hold scripts, so they are not taken along.
_PICTURES = frozenset({".gif", ".jpeg", ".jpg", ".png", ".svg", ".webp"})
#: A checkpoint's own, which no module needs.
_PASSED_OVER = frozenset({"state", "__pycache__"})
_CARDS = ("README.md", "LICENSE")

_HF_REPO = re.compile(rf"hf:(?P<repo>{HF_NAME})(?:@(?P<revision>[^@]+))?", re.ASCII)


@dataclass(frozen=True)
class Plan:
    """A module to be installed: its spec, what was asked for, and each file with absolute addresses to try."""

    spec: ModuleSpec
    origin: str
    files: tuple[FileSpec, ...]

    def renamed(self, name: str | None, version: str | None) -> Plan:
        """The same files as another module. Raises ManifestError for what is no name or no version."""
        given = {key: value for key, value in (("name", name), ("version", version)) if value is not None}
        record = {**self.spec.to_json(), **given}
        record.pop("also_versions", None)  # those were the old name's
        return Plan(parse_manifest(record, where="the new name"), self.origin, self.files)


def request_kind(wanted: str | Path) -> Literal["name", "folder", "archive", "manifest", "hf"]:
    """What is asked for. A plain word is never a folder, so that one that lies about does not pose as a module."""
    if "://" not in str(wanted) and str(wanted).lower().endswith(SUFFIXES):
        return "archive"
    if isinstance(wanted, Path):
        return "folder"
    if wanted.startswith("hf:") and not wanted.startswith("hf://"):
        return "hf"
    if "://" in wanted:
        return "manifest"
    return "folder" if wanted.startswith((".", "~")) or "/" in wanted or "\\" in wanted else "name"


def request_origin(wanted: str) -> str:
    """An address on the network as receipts have it."""
    return "hf:" + "@".join(parse_hf_repo(wanted)) if request_kind(wanted) == "hf" else redact(wanted)


def plan_registered(spec: ModuleSpec, registry: Registry) -> Plan:
    """The files of a registered module: those of its manifest, and those in the registry's own folder of it.

    Raises InstallError for a module that is registered without an address.
    """
    if spec.unavailable is not None:
        raise InstallError(
            f"{spec.title} cannot be fetched: {spec.unavailable}. If you have its files "
            "(with weights in safetensors, of torch or of Paddle), "
            f"`hub convert FOLDER OUT --name {spec.name} --version {spec.version}` makes a module of them and "
            "`hub install ./OUT` installs it"
        )
    folder = registry.folder(spec)
    own = {} if folder is None else _local_files(folder)
    listed = tuple(_absolute(file, "" if folder is None else folder.absolute().as_uri()) for file in spec.files)
    extra = tuple(file for path, file in own.items() if path not in {item.path for item in listed})
    return Plan(spec, f"registry {registry.registry_id}", listed + extra)


def plan_folder(folder: Path) -> Plan:
    """The files of a local folder; what its manifest lists and the folder lacks is fetched as the manifest says."""
    if not folder.is_dir():
        raise no_folder(folder)
    where = folder.absolute()
    if (folder / MANIFEST).is_file():
        spec, local = read_manifest(folder), _local_files(folder)
        missing = tuple(_absolute(file, where.as_uri()) for file in spec.files if file.path not in local)
        return Plan(spec, str(where), (*local.values(), *missing))
    if (folder / BEST / MANIFEST).is_file():
        raise InstallError(f"{folder} is no module folder; {folder / BEST} is one")
    spec = read_hf_folder(folder)
    chosen = _hf_files({path.name for path in folder.iterdir() if path.is_file()}, str(folder))
    files = (FileSpec(path, (SourceSpec((where / name).as_uri(), convert=how),)) for path, name, how in chosen)
    return Plan(spec, str(where), tuple(files))


def no_folder(name: str | Path) -> NotFoundError:
    """The error for a folder that is not there; others write ``owner/name`` for a module, here it is a folder."""
    known = bundled_registry().versions(str(name).replace("/", "-"))
    called = f"the registered module is called {known[0].name}" if known else None
    return NotFoundError(
        f"there is no folder {name}; {called or 'a repository at Hugging Face is written hf:org/repo'}"
    )


@contextmanager
def plan_archive(archive: Path, scratch: Path) -> Iterator[Plan]:
    """The files of a module in a tar archive, which lies unpacked in `scratch` for the length of the block."""
    scratch.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=scratch) as unpacked:
        folder = Path(unpacked)
        unpack(archive, folder)
        if not (folder / MANIFEST).is_file():
            raise InstallError(f"{archive} holds no module: it has no {MANIFEST}")
        yield replace(plan_folder(folder), origin=str(archive.absolute()))


def plan_manifest(url: str, *, offline: bool | None) -> Plan:
    """The files that a module.json at an http(s) address lists, beside it where it gives no other address."""
    with tempfile.TemporaryDirectory() as scratch:
        target = Path(scratch, MANIFEST)
        fetch(url, target, offline=offline, limit=_LARGEST_JSON)
        try:
            spec = loads_manifest(target.read_text(encoding="utf-8"), where=redact(url))
        except UnicodeDecodeError as error:
            raise InstallError(f"{redact(url)} is not a {MANIFEST}: {error}") from error
    beside = url.partition("?")[0].rpartition("/")[0]
    files = tuple(_absolute(file, beside) for file in spec.files)
    for source in (source for file in files for source in file.sources):
        if source.url.startswith("file:"):  # somebody else's manifest does not choose among the files of this machine
            raise InstallError(f"{redact(url)}: a manifest from the network may not name {source.url}")
    return Plan(spec, redact(url), files)


def parse_hf_repo(text: str) -> tuple[str, str]:
    """Read ``hf:org/repo`` or ``hf:org/repo@revision`` into repository and revision (default ``main``)."""
    match = _HF_REPO.fullmatch(text)
    if match is None:
        raise SettingsError(f"{text!r} is not a repository at Hugging Face, such as hf:org/repo or hf:org/repo@v1.0")
    return match["repo"], match["revision"] or "main"


def plan_hf(text: str, *, offline: bool | None) -> Plan:
    """The files of a repository at Hugging Face that make a module, at the commit that the revision is now."""
    repo, revision = parse_hf_repo(text)
    listing = list_hf(repo, revision, offline=offline)
    stated = {file.path: file for file in listing.files}
    if CONFIG not in stated:
        raise InstallError(f"{text} has no {CONFIG}: it is not a model that transformers loads")
    files = []
    for path, name, how in _hf_files(stated, text):
        address = HfAddress(repo, listing.commit, name)
        files.append(FileSpec(path, (SourceSpec(str(address), stated[name].size, stated[name].sha256, how),)))
    commit = re.fullmatch(r"[0-9a-f]{12,64}", listing.commit)
    spec = _hf_spec(
        listing,
        offline=offline,
        name="hf." + repo.replace("/", "."),
        version="0.0.0" + (f"+{listing.commit[:12]}" if commit else ""),
        files=[{"path": file.path, "sources": [_row(source) for source in file.sources]} for file in files],
    )
    return Plan(spec, f"hf:{repo}@{revision}", tuple(files))


def _hf_spec(listing: HfListing, *, offline: bool | None, **manifest: object) -> ModuleSpec:
    """The spec that a repository's two small configuration files amount to."""
    names = {file.path for file in listing.files}
    records = {}
    with tempfile.TemporaryDirectory() as scratch:
        for name in (CONFIG, TOKENIZER_CONFIG):
            if name in names:
                address = HfAddress(listing.repo, listing.commit, name)
                fetch(str(address), Path(scratch, name), offline=offline, limit=_LARGEST_JSON)
                records[name] = read_object(Path(scratch, name))
    return hf_spec(
        records[CONFIG],
        records.get(TOKENIZER_CONFIG, {}),
        names,
        where=f"hf:{listing.repo}@{listing.commit}",
        homepage=f"https://huggingface.co/{listing.repo}",
        **manifest,  # type: ignore[arg-type]
    )


def _hf_files(names: Collection[str], where: str) -> list[tuple[str, str, str | None]]:
    """What is taken of a repository: path in the module, name in the repository, conversion."""
    weights = next(((name, how) for name, how in ((WEIGHTS, None), (PICKLED_WEIGHTS, "torch")) if name in names), None)
    if weights is None:
        split = any(name.endswith(".index.json") for name in names)
        found = "weights in several files" if split else f"neither {WEIGHTS} nor {PICKLED_WEIGHTS}"
        raise InstallError(f"{where} has {found}; `hub convert FOLDER OUT` makes one file of a folder's")
    plain = [(name, name, None) for name in (*TOKENIZER_FILES, *_CARDS) if name in names]
    return [(WEIGHTS, *weights), *plain]


def _local_files(folder: Path) -> dict[str, FileSpec]:
    """A module folder's files by path. Raises InstallError for one that a module may not have."""
    found: dict[str, FileSpec] = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        hidden = any(part.startswith(".") or part in _PASSED_OVER for part in path.relative_to(folder).parts)
        if hidden or not path.is_file() or name in (MANIFEST, RECEIPT) or path.suffix in _PICTURES:
            continue
        if not safe_relative(name) or (path.suffix not in _SUFFIXES and name not in _PLAIN_NAMES):
            raise InstallError(
                f"{folder} holds {name}, which a module may not have: tensors, texts and one {PLUGIN_FILE}"
            )
        found[name] = FileSpec(name, (SourceSpec(path.absolute().as_uri()),))
    return found


def _absolute(file: FileSpec, beside: str) -> FileSpec:
    """A file with whole addresses: relative ones, and the file's own path where it has none, lie `beside`."""
    sources: Sequence[SourceSpec] = file.sources or (SourceSpec(file.path),)
    return FileSpec(
        file.path,
        tuple(
            source
            if "://" in source.url
            else SourceSpec(f"{beside}/{quote(source.url)}", source.size, source.sha256, source.convert)
            for source in sources
        ),
    )


def _row(source: SourceSpec) -> dict[str, object]:
    return {"url": source.url, "size": source.size, "sha256": source.sha256, "convert": source.convert}
