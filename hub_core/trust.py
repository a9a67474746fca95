"""Consent: code that comes with a module runs only if the program brought it, or the user has agreed to that file.

Consent is to the bytes: ``HOME/trust.json`` keeps the sha256 of each plugin.py agreed to. Whether it is needed is
told by the file alone, never by a name, a path, a configuration or where it was downloaded from. Code that has
been agreed to runs with all the user's rights; Python has no cage for it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hub_core.errors import InstallError, NotFoundError, SettingsError, UntrustedCodeError
from hub_core.paths import bundled, hub_home, read_json_object, sha256_file, write_text
from hub_core.plugins import PLUGIN_FILE, Catalog, catalog
from hub_core.registry import Requirement, parse_requirement
from hub_core.spec import ModuleSpec, read_manifest
from hub_core.store import Store


def require_trust(spec: ModuleSpec, folder: Path, *, trust_code: bool = False, wanted: str | None = None) -> str:
    """Make sure that ``folder/plugin.py`` may run; its sha256.

    With `trust_code` the user agrees now, and that is remembered. Raises UntrustedCodeError, which says how to
    agree, where nobody has; `wanted` is what the user asked to install, if that is what is going on.
    """
    path = folder / PLUGIN_FILE
    digest = sha256_file(path)
    if digest in _bundled_digests() or digest in _read_consents():
        return digest
    if not trust_code:
        call = f"directory={str(folder)!r}" if wanted is None else f"name={wanted!r}"
        raise UntrustedCodeError(
            f"{spec.title} brings code that would run with all your rights: {PLUGIN_FILE} of {path.stat().st_size} "
            f"bytes, sha256 {digest}. Read it; if you trust it, agree with `hub install {wanted or folder} "
            f"--trust-code` on the command line, or with hub_core.Module({call}, trust_code=True) in Python"
        )
    record_consent(spec, digest)
    return digest


def record_consent(spec: ModuleSpec, sha256: str) -> None:
    """Remember that a plugin.py of this hash may run."""
    row = {"name": spec.name, "version": spec.version, "when": datetime.now(UTC).isoformat(timespec="seconds")}
    try:
        write_text(_file(), json.dumps({**_read_consents(), sha256: row}, indent=1) + "\n")
    except OSError as error:
        raise InstallError(f"cannot write {_file()}: {error.strerror}; set HUB_HOME to another folder") from error


def module_catalog(spec: ModuleSpec, folder: Path, *, store: Store | None = None, trust_code: bool = False) -> Catalog:
    """The catalog that a module sees: its own plugin.py first, else that of the module it was made from.

    Raises UntrustedCodeError where that code needs the user's consent and does not have it.
    """
    for owner, place in _code_places(spec, folder, store):
        if (place / PLUGIN_FILE).is_file():
            digest = require_trust(owner, place, trust_code=trust_code)
            return catalog().with_module(owner.name, owner.version, place, sha256=digest)
    return catalog()


def _code_places(spec: ModuleSpec, folder: Path, store: Store | None) -> Iterable[tuple[ModuleSpec, Path]]:
    """The module's own folder; those of its base, installed and bundled; a bundled one whose tokenizer it has."""
    yield spec, folder
    requirement = None if spec.base is None else _base(spec)
    if requirement is not None:
        for item in (Store() if store is None else store).installed():
            if _answers(requirement, item.spec):
                yield item.spec, item.folder
    bundle = [read_manifest(plugin.parent) for plugin in sorted(bundled("modules").glob(f"*/{PLUGIN_FILE}"))]
    owners = [owner for owner in bundle if requirement is not None and _answers(requirement, owner)]
    own_type = spec.tokenizer.get("type")
    if own_type not in catalog().entries("tokenizer"):  # a converted ERNIE-Tiny, say, which names no base
        owners += [owner for owner in bundle if owner.tokenizer.get("type") == own_type]
    for owner in owners:
        yield owner, bundled("modules") / owner.name


def _base(spec: ModuleSpec) -> Requirement:
    try:
        return parse_requirement(spec.base or "")
    except SettingsError as error:
        raise NotFoundError(f"the base of {spec.title} is no module: {error}") from error


def _answers(requirement: Requirement, spec: ModuleSpec) -> bool:
    return requirement.canonical == spec.canonical and requirement.objection(spec) is None


def _bundled_digests() -> set[str]:
    """The hashes of the code that came with the program: the same rights as the program's own."""
    return {sha256_file(path) for path in bundled("modules").glob(f"*/{PLUGIN_FILE}")}


def _file() -> Path:
    return hub_home() / "trust.json"


def _read_consents() -> dict[str, Any]:
    return read_json_object(_file(), error=InstallError, remedy="mend it, or remove it to agree anew")
