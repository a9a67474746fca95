"""From a request to an installed module: resolve, stage, fetch, check, one rename, receipt.

The command line and Python call the same functions. Whatever goes wrong, the store is as it was before.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from hub_core.archives import pack
from hub_core.bringing import Bringing
from hub_core.errors import InstallError, NotFoundError, SettingsError
from hub_core.hf_layout import adopt_hf_folder
from hub_core.install_plan import (
    Plan,
    plan_archive,
    plan_folder,
    plan_hf,
    plan_manifest,
    plan_registered,
    request_kind,
    request_origin,
)
from hub_core.paths import atomic_file
from hub_core.plugins import PLUGIN_FILE
from hub_core.registry import Registry, bundled_registry, parse_requirement
from hub_core.spec import BEST, MANIFEST, RECEIPT, ModuleSpec
from hub_core.store import Installed, Store
from hub_core.transfer import Progress
from hub_core.trust import record_consent, require_trust

__all__ = ["adopt_hf_folder", "download", "ensure", "install", "resolve"]

_RENAME = "give this one another name or version (`hub install --name NAME --version VERSION`)"


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
    - an archive of a module, as `download` makes it (``.tar``, also ``.tar.gz``, ``.tgz``, ``.tar.xz``, ``.zip``);
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
        planned: AbstractContextManager[Plan] = nullcontext(plan_registered(spec, registry))
    else:
        planned = _plan_address(wanted, version, store, offline=offline)
    with planned as plan:
        plan = plan.renamed(as_name, as_version) if renames else plan
        with store.lock(plan.spec.name):
            present = _same(plan, store)
            return present or _install(Bringing(plan, store, offline, progress, "installed"), str(wanted), trust_code)


def download(
    wanted: str,
    output: str | Path = ".",
    *,
    version: str | None = None,
    archive: bool = False,
    store: Store | None = None,
    registry: Registry | None = None,
    offline: bool | None = None,
    progress: Progress | None = None,
) -> Path:
    """Fetch a module into a folder, to be carried elsewhere; nothing is installed. Returns ``output/NAME-VERSION``.

    With `archive` it becomes one file, ``NAME-VERSION.tar``. `install` takes both, without a network. What may be
    asked for, and how it is fetched and checked, is as for `install`; a module that is installed here is verified and
    copied. Its code does not run, and so needs no consent.

    Raises SettingsError where something stands in that place already, and what `install` raises.
    """
    store = Store() if store is None else store
    if request_kind(wanted) in ("folder", "archive"):
        raise SettingsError(f"{wanted} is on this machine already; `hub install` takes it as it is")
    present = _present(wanted, version, store)
    if present is not None:
        store.verify(present)
        return _placed(present.spec, Path(output), archive, lambda folder: _copy(present.folder, folder))
    if request_kind(wanted) == "name":
        registry = bundled_registry() if registry is None else registry
        planned: AbstractContextManager[Plan] = nullcontext(
            plan_registered(_resolve(wanted, version, store, registry), registry)
        )
    else:
        planned = _plan_address(wanted, version, store, offline=offline)
    with planned as plan:
        work = Bringing(plan, store, offline, progress, "downloaded")
        return _placed(plan.spec, Path(output), archive, lambda folder: _bring(work, folder))


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


def _install(work: Bringing, wanted: str, trust_code: bool) -> Installed:
    """Stage, fetch, check, rename; then remember what the bytes were."""
    plan, store = work.plan, work.store
    code = [file for file in plan.files if file.path == PLUGIN_FILE]
    trusted = None
    with store.stage(plan.spec) as staged:
        brought = work.bring(code, staged)
        if (staged / PLUGIN_FILE).exists():  # before the weights, which may take an hour to arrive
            trusted = require_trust(plan.spec, staged, trust_code=trust_code, wanted=wanted)
        brought += work.bring((file for file in plan.files if file not in code), staged)
        work.complete(staged)
        store.seal(staged, plan.spec, origin=plan.origin, downloads=[download for _, download in brought])
    if trusted is not None:
        record_consent(plan.spec, trusted)
    work.remember(brought)
    return store.load(plan.spec)


def _placed(spec: ModuleSpec, output: Path, archive: bool, fill: Callable[[Path], None]) -> Path:
    """Let a folder be filled, and put it, or an archive of it, in its place."""
    target = output / f"{spec.name}-{spec.version}{'.tar' if archive else ''}"
    if target.exists():
        raise SettingsError(f"{target} exists already; remove it, or choose another place (`--output DIR`)")
    try:
        output.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=output, prefix=".hub-", ignore_cleanup_errors=True) as scratch:
            staged = Path(scratch, f"{spec.name}-{spec.version}")
            staged.mkdir()
            fill(staged)
            if archive:
                with atomic_file(target) as packed:
                    pack(staged, packed)
            else:
                staged.rename(target)
    except OSError as error:
        raise InstallError(f"{target} cannot be written: {error.strerror or error}") from error
    return target


def _bring(work: Bringing, folder: Path) -> None:
    """All files of a plan and its manifest, none of them shared with the store."""
    brought = work.bring(work.plan.files, folder)
    work.complete(folder)
    for path in folder.rglob("*"):
        if path.is_file() and path.stat().st_nlink > 1:  # a blob: whoever changes this file must not change that
            copied = path.with_name(f".{path.name}.copy")
            shutil.copyfile(path, copied)
            copied.replace(path)
    (folder / MANIFEST).write_text(work.plan.spec.dumps(), encoding="utf-8", newline="\n")
    work.remember(brought)


def _copy(module: Path, folder: Path) -> None:
    """The files of an installed module, but for what the store keeps there for itself."""
    for path in sorted(module.rglob("*")):
        name = path.relative_to(module)
        if path.is_file() and name != Path(RECEIPT) and "__pycache__" not in name.parts:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, folder / name)


def _present(wanted: str | Path, version: str | None, store: Store) -> Installed | None:
    """The installed module that answers, if any; a folder or archive may have changed and is always looked at again."""
    kind = request_kind(wanted)
    if kind != "name":
        _refuse_version(wanted, version)
        return None if kind in ("folder", "archive") else store.find_origin(request_origin(str(wanted)))
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
            best = Path(wanted, BEST)
            place = best if (best / MANIFEST).is_file() else wanted
            raise type(error)(f"for the folder of that name write ./{place}; {error}") from error
        raise


def _plan_address(
    wanted: str | Path, version: str | None, store: Store, *, offline: bool | None
) -> AbstractContextManager[Plan]:
    """The plan for what is no name, for the length of a block."""
    _refuse_version(wanted, version)
    kind = request_kind(wanted)
    if kind == "archive":
        return plan_archive(Path(wanted).expanduser(), store.home / "cache" / "archives")
    if kind == "hf":
        return nullcontext(plan_hf(str(wanted), offline=offline))
    if kind == "manifest":
        return nullcontext(plan_manifest(str(wanted), offline=offline))
    return nullcontext(plan_folder(Path(wanted).expanduser()))


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
        if Path(plan.origin).resolve() == present.folder.resolve():
            return present
        raise InstallError(f"{spec.title} came with hub_core; {_RENAME}")
    where, from_hub = present.receipt.origin, plan.origin.startswith("hf:")
    if where != plan.origin and not (from_hub and where.partition("@")[0] == plan.origin.partition("@")[0]):
        raise InstallError(
            f"{spec.title} is installed already, from {where}; {_RENAME}, or "
            f"`hub uninstall {spec.name}=={spec.version}` first"
        )
    # A registered version and a commit never change; a folder and a manifest's address may.
    return present if plan.origin.startswith("registry ") or (from_hub and "+" in spec.version) else None
