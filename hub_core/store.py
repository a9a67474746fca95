"""The modules on this machine: ``HOME/modules/<name>/<version>/``, each with a receipt of what was stored.

A module appears by one rename, complete, or not at all. Modules that came with the program and carry their weights
are listed too; they stay where they are.
"""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from packaging.version import InvalidVersion, Version

from hub_core.blobs import Blobs
from hub_core.errors import HubError, InstallError, IntegrityError, NotFoundError, unknown
from hub_core.paths import atomic_folder, bundled, hub_home, leftovers, locked, sha256_file
from hub_core.receipt import Download, Receipt, StoredFile, read_receipt
from hub_core.registry import Requirement, parse_requirement
from hub_core.spec import MANIFEST, RECEIPT, WEIGHTS, ModuleSpec, canonical, read_manifest

#: Staged folders in which nothing changed for so many seconds are of processes that are no more.
STALE = 3600
#: Seconds to wait for another process that installs the same module.
LOCK_TIMEOUT = 3600


@dataclass(frozen=True)
class Installed:
    """A module that can be loaded from `folder`. `receipt` is None for those that came with the program."""

    spec: ModuleSpec
    folder: Path
    receipt: Receipt | None

    @property
    def bundled(self) -> bool:
        """Whether the module came with the program."""
        return self.receipt is None


@dataclass(frozen=True)
class Broken:
    """A folder in the store that is not a usable module, and why."""

    folder: Path
    problem: str


class Store:
    """The installed modules of one HOME (default ``$HUB_HOME``), and those bundled with the program."""

    def __init__(self, home: Path | None = None, *, bundled_modules: Path | None = None) -> None:
        self.home = hub_home() if home is None else home
        self.blobs = Blobs(self.home / "blobs" / "sha256")
        self._modules = self.home / "modules"
        self._bundled = bundled_modules

    def installed(self) -> list[Installed]:
        """All usable modules, by name, the newest version first. Broken folders are passed over: see `broken`."""
        return self._scan()[0]

    def broken(self) -> list[Broken]:
        """What lies in the store and cannot be used."""
        return self._scan()[1]

    def find(self, name: str, version: str | None = None) -> Installed | None:
        """An installed module by name, and by version or the newest; None where it is not there."""
        for item in self.installed():
            if item.spec.canonical == canonical(name) and _is_version(item.spec, version):
                return item
        return None

    def find_origin(self, origin: str) -> Installed | None:
        """What was last installed from an address."""
        mine = [item for item in self.installed() if item.receipt is not None and item.receipt.origin == origin]
        return max(mine, key=lambda item: item.receipt.when if item.receipt else "", default=None)

    @contextmanager
    def lock(self, name: str) -> Iterator[None]:
        """Keep other processes from installing or removing the same module for the length of the block."""
        path = self.home / "locks" / f"{canonical(name)}.lock"
        busy = InstallError(f"another process holds {path} for {LOCK_TIMEOUT} s; end it, or remove the file")
        try:
            with locked(path, busy=busy, wait=LOCK_TIMEOUT):
                yield
        except OSError as error:
            raise self._unusable(error) from error

    @contextmanager
    def stage(self, spec: ModuleSpec) -> Iterator[Path]:
        """Yield an empty folder that becomes the module's when the block ends well, in place of an older copy.

        The block ends with `seal`. On an error nothing is left. Call it under `lock`.
        """
        target = self._folder(spec)
        try:
            for stale in leftovers(target.parent, older_than=STALE):
                shutil.rmtree(stale)
            with atomic_folder(target) as staged:
                yield staged
        except OSError as error:
            raise self._unusable(error) from error
        finally:
            _remove_empty(target.parent)

    def seal(self, staged: Path, spec: ModuleSpec, *, origin: str, downloads: Iterable[Download] = ()) -> None:
        """Write the manifest and the receipt of a staged module, and join its files with equal ones of others."""
        (staged / MANIFEST).write_text(spec.dumps(), encoding="utf-8", newline="\n")
        files = {}
        for path in _files(staged):
            digest = sha256_file(path)
            self.blobs.share(path, digest)
            files[path.relative_to(staged).as_posix()] = StoredFile(path.stat().st_size, digest)
        when = datetime.now(UTC).isoformat(timespec="microseconds")
        receipt = Receipt(origin, when, files, tuple(downloads))
        (staged / RECEIPT).write_text(receipt.dumps(), encoding="utf-8", newline="\n")

    def load(self, spec: ModuleSpec) -> Installed:
        """The module as it lies in the store. Raises HubError where it is not there or broken."""
        return _read(self._folder(spec))

    def remove(self, name: str, version: str | None = None) -> list[Installed]:
        """Remove a module's versions, with the files that no other module shares; what was removed.

        Versions are given as for `parse_requirement` (``small==1.0``, or apart: ``1.0``, ``<2``); without, all go.
        Raises NotFoundError where there is none, InstallError where it came with the program.
        """
        requirement = parse_requirement(name, version)
        with self.lock(requirement.name):
            mine = [item for item in self.installed() if item.spec.canonical == requirement.canonical]
            meant = [i for i in mine if requirement.specifier.contains(i.spec.parsed_version, prereleases=True)]
            gone = [item for item in meant if not item.bundled]
            if not gone:
                raise self._not_removable(requirement, mine, meant)
            for item in gone:
                aside = item.folder.with_name(f".{item.folder.name}.{uuid.uuid4().hex}.tmp")
                item.folder.rename(aside)  # at once, so that nobody sees half a module
                shutil.rmtree(aside)
                _remove_empty(item.folder.parent)
            self.prune()
        return gone

    def prune(self) -> list[str]:
        """Drop blobs that no installed module refers to; their hashes."""
        return self.blobs.keep_only(self._hashes())

    def unused_blobs(self) -> list[Path]:
        """The blobs that no installed module refers to."""
        return self.blobs.others(self._hashes())

    def verify(self, item: Installed) -> None:
        """Hash every file of a module again. Raises IntegrityError that names each changed, missing or added one.

        Modules that came with the program have no receipt: their files are the package installer's to check.
        """
        if item.receipt is None:
            return
        found = {path.relative_to(item.folder).as_posix(): path for path in _files(item.folder)}
        problems = [f"{name} is missing" for name in item.receipt.files.keys() - found.keys()]
        problems += [f"{name} was added" for name in found.keys() - item.receipt.files.keys()]
        for name in item.receipt.files.keys() & found.keys():
            digest, expected = sha256_file(found[name]), item.receipt.files[name].sha256
            if digest != expected:
                problems.append(f"{name}: its sha256 is {digest}, the receipt says {expected}")
        if problems:
            remedy = f"`hub uninstall {item.spec.name}=={item.spec.version}`, then install it again"
            text = "\n".join(f"  {problem}" for problem in sorted(problems))
            raise IntegrityError(f"{item.spec.title} in {item.folder} is not what was installed; {remedy}:\n{text}")

    def _hashes(self) -> set[str]:
        """The sha256 of every file of every installed module."""
        receipts = (item.receipt for item in self.installed() if item.receipt is not None)
        return {file.sha256 for receipt in receipts for file in receipt.files.values()}

    def _folder(self, spec: ModuleSpec) -> Path:
        return self._modules / spec.canonical / str(spec.parsed_version)

    def _scan(self) -> tuple[list[Installed], list[Broken]]:
        good: list[Installed] = []
        bad: list[Broken] = []
        stored = sorted(path for path in self._modules.glob("[!.]*/[!.]*") if path.is_dir())
        for folder in (*self._bundled_folders(), *stored):
            try:
                good.append(_read(folder) if folder in stored else Installed(read_manifest(folder), folder, None))
            except HubError as error:
                bad.append(Broken(folder, str(error)))
        # Stable sorts: the bundled copy of a version comes before an installed one.
        good.sort(key=lambda item: item.spec.parsed_version, reverse=True)
        return sorted(good, key=lambda item: item.spec.canonical), bad

    def _bundled_folders(self) -> Iterable[Path]:
        """The bundled modules that carry their weights, and so need no installation."""
        modules = bundled("modules") if self._bundled is None else self._bundled
        return (path.parent for path in sorted(modules.glob(f"*/{WEIGHTS}")))

    def _not_removable(self, wanted: Requirement, mine: list[Installed], meant: list[Installed]) -> HubError:
        if meant:
            return InstallError(f"{meant[0].spec.title} came with hub_core and cannot be uninstalled on its own")
        if mine:
            versions = ", ".join(item.spec.version for item in mine)
            return NotFoundError(f"{wanted} is not installed; installed versions of {wanted.name}: {versions}")
        known = {item.spec.name for item in self.installed() if not item.bundled}
        remedy = "`hub list` shows what is installed"
        return NotFoundError(unknown("installed module", wanted.name, known, remedy=remedy))

    def _unusable(self, error: OSError) -> InstallError:
        return InstallError(
            f"cannot write to {self.home}: {error.strerror or error}"
            + (f" ({error.filename})" if error.filename else "")
            + "; free some space, or set HUB_HOME to a folder that you can write to"
        )


def _read(folder: Path) -> Installed:
    """Raises HubError where the folder is not a complete module in its own place."""
    spec, receipt = read_manifest(folder), read_receipt(folder)
    if (folder.parent.name, folder.name) != (spec.canonical, str(spec.parsed_version)):
        raise HubError(f"{folder} holds {spec.title}; remove it and install the module again")
    return Installed(spec, folder, receipt)


def _is_version(spec: ModuleSpec, version: str | None) -> bool:
    if version is None:
        return True
    try:
        return spec.parsed_version == Version(version)
    except InvalidVersion:
        return False


def _files(folder: Path) -> list[Path]:
    """All files of a module, its receipt apart."""
    return sorted(path for path in folder.rglob("*") if path.is_file() and path != folder / RECEIPT)


def _remove_empty(folder: Path) -> None:
    if folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()
