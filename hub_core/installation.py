"""From a request to an installed module: resolve, stage, fetch, check, one rename, receipt.

The command line and Python call the same functions. Whatever goes wrong, the store is as it was before.
"""

from __future__ import annotations

import json
import logging
import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from hub_core.addresses import redact
from hub_core.errors import (
    CheckpointError,
    ConvertError,
    HubError,
    InstallError,
    IntegrityError,
    NotFoundError,
    SettingsError,
    SourceError,
)
from hub_core.hf_layout import CONFIG, adopt_hf_folder, config_json
from hub_core.install_plan import (
    Plan,
    plan_folder,
    plan_hf,
    plan_manifest,
    plan_registered,
    request_kind,
    request_origin,
)
from hub_core.pins import Pins
from hub_core.plugins import PLUGIN_FILE, catalog, manager
from hub_core.receipt import Download
from hub_core.registry import Registry, bundled_registry, parse_requirement
from hub_core.safetensors_header import check_safetensors
from hub_core.sources import fetch
from hub_core.spec import GRAPH, WEIGHTS, FileSpec, ModuleSpec, SourceSpec
from hub_core.store import Installed, Store
from hub_core.transfer import Fetched, Progress
from hub_core.trust import record_consent, require_trust

__all__ = ["adopt_hf_folder", "ensure", "install", "resolve"]

logger = logging.getLogger("hub_core")

#: Where files wait for their conversion, inside the staged folder.
_RAW = ".raw"
_RENAME = "give this one another name or version (`hub install --name NAME --version VERSION`)"
#: How the first conversions from TensorFlow named a layer norm's parts, and some repositories still do.
_OLD_NAMES = ("LayerNorm.gamma", "LayerNorm.beta")


def ensure(
    wanted: str | Path,
    *,
    version: str | None = None,
    store: Store | None = None,
    registry: Registry | None = None,
    offline: bool | None = None,
    progress: Progress | None = None,
    trust_code: bool = False,
) -> Installed:
    """The installed module that answers a request; it is installed where it is not there yet.

    No network is used where an installed module answers. Arguments and errors are those of `install`.
    """
    store = Store() if store is None else store
    present = _present(wanted, version, store)
    if present is not None:
        return present
    return install(
        wanted,
        version=version,
        store=store,
        registry=registry,
        offline=offline,
        progress=progress,
        trust_code=trust_code,
    )


def install(
    wanted: str | Path,
    *,
    version: str | None = None,
    store: Store | None = None,
    registry: Registry | None = None,
    offline: bool | None = None,
    progress: Progress | None = None,
    trust_code: bool = False,
    as_name: str | None = None,
    as_version: str | None = None,
) -> Installed:
    """Install a module. What is asked for may be

    - a registered name, with versions: ``ernie_tiny``, ``ernie_tiny>=2,<3``, ``ernie_tiny==2.0.1`` (the versions may
      be given apart in `version`); one that is installed already answers;
    - a folder, written with a ``/`` or as a Path: a module, a checkpoint, or a model in Hugging Face's layout;
    - ``hf:org/repo`` or ``hf:org/repo@revision``: a model at Hugging Face;
    - ``https://.../module.json``: a manifest, with its files beside it or where it says.

    `offline` (default ``$HUB_OFFLINE``) forbids the network. `progress` is told how far each file is. `trust_code`
    is the user's consent to run the module's plugin.py. `as_name` and `as_version` are what it is to be called here,
    so that two fine-tuned copies of one module live side by side; registered modules keep their names.

    Raises NotFoundError (an unknown name, no version that does), InstallError (files that cannot be had, a disk that
    cannot be written), IntegrityError (bytes that are not the stated ones, or not those of the first install),
    UntrustedCodeError (code that nobody has agreed to), ManifestError.
    """
    store = Store() if store is None else store
    renames = as_name is not None or as_version is not None
    if request_kind(wanted) == "name":
        if renames:
            raise SettingsError(
                f"{wanted} is a registered module, which keeps its name; folders and addresses may change"
            )
        registry = bundled_registry() if registry is None else registry
        spec = _resolve(str(wanted), version, store, registry)
        present = store.find(spec.name, spec.version)
        if present is not None:
            return present
        plan = plan_registered(spec, registry)
    else:
        plan = _plan_address(wanted, version, offline=offline)
        plan = plan.renamed(as_name, as_version) if renames else plan
    with store.lock(plan.spec.name):
        present = _same(plan, store)
        return (
            _Installation(plan, str(wanted), store, offline, progress, trust_code).run() if present is None else present
        )


def resolve(
    wanted: str | Path, version: str | None = None, *, store: Store | None = None, registry: Registry | None = None
) -> ModuleSpec:
    """The spec of the module that answers a request, without installing it: an installed one, else a registered one.

    Raises NotFoundError where there is none; an address must have been installed.
    """
    store = Store() if store is None else store
    present = _present(wanted, version, store)
    if present is not None:
        return present.spec
    if request_kind(wanted) != "name":
        raise NotFoundError(f"{wanted} is not installed; `hub install {wanted}` installs it")
    return _resolve(str(wanted), version, store, bundled_registry() if registry is None else registry)


@dataclass(frozen=True)
class _Installation:
    """A plan being carried out."""

    plan: Plan
    wanted: str
    store: Store
    offline: bool | None
    progress: Progress | None
    trust_code: bool

    def run(self) -> Installed:
        """Stage, fetch, check, rename; then remember what the bytes were."""
        spec, pins = self.plan.spec, Pins(self.store.home)
        code = [file for file in self.plan.files if file.path == PLUGIN_FILE]
        with self.store.stage(spec) as staged:
            brought = [self._bring(file, staged, pins) for file in code]
            trusted = self._consent(staged)  # before the weights, which may take an hour to arrive
            brought += [self._bring(file, staged, pins) for file in self.plan.files if file not in code]
            self._complete(staged)
            self._verify(staged)
            self.store.seal(staged, spec, origin=self.plan.origin, downloads=[download for _, download in brought])
        if trusted is not None:
            record_consent(spec, trusted)
        pins.add(
            {
                source.url: download.sha256
                for source, download in brought
                if source.sha256 is None and not source.url.startswith("file:")
            }
        )
        return self.store.load(spec)

    def _bring(self, file: FileSpec, staged: Path, pins: Pins) -> tuple[SourceSpec, Download]:
        """One file, from the first of its addresses that has it. Raises InstallError that lists what each one said."""
        problems: list[tuple[str, HubError]] = []
        for source in file.sources:
            try:
                fetched = self._bring_from(source, file, staged, pins)
            except (SourceError, IntegrityError, CheckpointError, ConvertError) as error:
                problems.append((redact(source.url), error))
                (staged / file.path).unlink(missing_ok=True)
            else:
                for _, passed_over in problems:
                    logger.warning("%s: passed over an address: %s", self.plan.spec.title, passed_over)
                return source, Download(file.path, redact(source.url), fetched.size, fetched.sha256)
        raise self._unavailable(file, problems, staged)

    def _bring_from(self, source: SourceSpec, file: FileSpec, staged: Path, pins: Pins) -> Fetched:
        target = staged / file.path
        raw = target if source.convert is None else staged / _RAW / _file_name(source.url)
        for folder in (target.parent, staged / _RAW):
            folder.mkdir(parents=True, exist_ok=True)
        pinned = pins.get(source.url) if source.sha256 is None else None
        known = source.sha256 or pinned
        if source.convert is None and known is not None and self.store.blobs.give(known, target):
            return Fetched(redact(source.url), target.stat().st_size, known)
        try:
            fetched = fetch(
                source.url,
                raw,
                size=source.size,
                sha256=known,
                offline=self.offline,
                progress=self.progress,
                what=file.path,
            )
        except IntegrityError as error:
            if pinned is None:
                raise
            raise IntegrityError(
                f"{error}, which is what the first install from there brought; if its owner has "
                f"changed it on purpose, remove that line from {pins.path}"
            ) from error
        if source.convert is not None:
            _convert(raw, target, source.convert, self.plan.spec)
            raw.unlink()
        if file.path == WEIGHTS and any(name.endswith(_OLD_NAMES) for name in check_safetensors(target)):
            old = target.replace(staged / _RAW / WEIGHTS)
            _convert(old, target, "torch", self.plan.spec)
        return fetched

    def _unavailable(self, file: FileSpec, problems: list[tuple[str, HubError]], staged: Path) -> InstallError:
        """The error for a file that no address gave."""
        title = self.plan.spec.title
        tampered = any(isinstance(error, IntegrityError) for _, error in problems)
        said = "\n".join(f"  {error}" if str(error).startswith(url) else f"  {url}: {error}" for url, error in problems)
        said = said.replace(f"{staged / _RAW}{os.sep}", "")  # nobody can look there any more
        failure = (IntegrityError if tampered else InstallError)(
            f"{title} was not installed: no address has a usable {file.path}:\n{said or '  none is known'}\n"
            "If you have the files, `hub convert FOLDER OUT` makes a module of them and `hub install ./OUT` installs "
            "it; `hub config mirrors` and HUB_MIRRORS name other places for an address"
        )
        failure.__cause__ = problems[-1][1] if problems else None
        return failure

    def _complete(self, staged: Path) -> None:
        """Make sure that there are weights, and write config.json for other libraries where there is none yet."""
        shutil.rmtree(staged / _RAW, ignore_errors=True)
        spec = self.plan.spec
        if not (staged / WEIGHTS).is_file() and not (staged / GRAPH).is_file():
            raise InstallError(f"{spec.title} was not installed: {self.plan.origin} gives no {WEIGHTS}")
        if (
            (staged / WEIGHTS).is_file()
            and not (staged / CONFIG).exists()
            and spec.family not in catalog().entries("family")
        ):
            text = json.dumps(config_json(spec), ensure_ascii=False, indent=1) + "\n"
            (staged / CONFIG).write_text(text, encoding="utf-8", newline="\n")

    def _consent(self, staged: Path) -> str | None:
        """The sha256 of the module's code, which may run; None without code. Raises UntrustedCodeError."""
        if not (staged / PLUGIN_FILE).exists():
            return None
        return require_trust(self.plan.spec, staged, trust_code=self.trust_code, wanted=self.wanted)

    def _verify(self, staged: Path) -> None:
        """Ask installed plugins for their opinion."""
        title = self.plan.spec.title
        try:
            manager().hook.hub_verify(spec=self.plan.spec, folder=staged)
        except HubError:
            raise
        except Exception as error:
            raise InstallError(f"{title} was not installed: a plugin failed while looking at it: {error}") from error


def _present(wanted: str | Path, version: str | None, store: Store) -> Installed | None:
    """The installed module that answers, if any; a folder may have changed and is always looked at again."""
    kind = request_kind(wanted)
    if kind != "name":
        _refuse_version(wanted, version)
        return None if kind == "folder" else store.find_origin(request_origin(str(wanted)))
    requirement = parse_requirement(str(wanted), version)
    installed = store.installed()
    specs = requirement.best(item.spec for item in installed)
    best = next((spec for spec in specs if requirement.objection(spec) is None), None)
    return next((item for item in installed if item.spec is best), None)


def _resolve(wanted: str, version: str | None, store: Store, registry: Registry) -> ModuleSpec:
    try:
        return registry.resolve(parse_requirement(wanted, version), [item.spec for item in store.installed()])
    except NotFoundError as error:
        if Path(wanted).is_dir():
            raise type(error)(f"{error}; for the folder of that name write ./{wanted}") from error
        raise


def _plan_address(wanted: str | Path, version: str | None, *, offline: bool | None) -> Plan:
    _refuse_version(wanted, version)
    kind = request_kind(wanted)
    if kind == "hf":
        return plan_hf(str(wanted), offline=offline)
    if kind == "manifest":
        return plan_manifest(str(wanted), offline=offline)
    return plan_folder(Path(wanted).expanduser())


def _refuse_version(wanted: str | Path, version: str | None) -> None:
    if version is not None:
        raise SettingsError(f"version={version!r} is for registered names; {wanted} says by itself which one it is")


def _same(plan: Plan, store: Store) -> Installed | None:
    """The installed module that a plan would only repeat. Raises InstallError where another one is in its place."""
    spec = plan.spec
    present = store.find(spec.name, spec.version)
    if present is None:
        return None
    if present.receipt is None:
        raise InstallError(f"{spec.title} came with hub_core; {_RENAME}")
    where, from_hub = present.receipt.origin, plan.origin.startswith("hf:")
    if where != plan.origin and not (from_hub and where.partition("@")[0] == plan.origin.partition("@")[0]):
        raise InstallError(
            f"{spec.title} is installed already, from {where}; {_RENAME}, or "
            f"`hub uninstall {spec.name}=={spec.version}` first"
        )
    # A registered version and a commit never change; a folder and a manifest's address may.
    return present if plan.origin.startswith("registry ") or (from_hub and "+" in spec.version) else None


def _convert(raw: Path, target: Path, kind: str, spec: ModuleSpec) -> None:
    from hub_core.convert import convert_file

    convert_file(raw, target, kind=kind, family=spec.family, config=spec.config)


def _file_name(url: str) -> str:
    """The last part of an address as a plain file name: converters tell formats by its ending."""
    name = re.sub(r"[^\w.-]", "_", url.partition("?")[0].rpartition("/")[2], flags=re.ASCII)
    return name.lstrip(".") or "file"
