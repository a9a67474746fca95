"""What works on this machine and what does not, with a remedy for each: `hub doctor`, and `examine` from Python."""

from __future__ import annotations

import importlib.util
import json
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

from packaging.requirements import Requirement

from hub_core.caches import caches, in_bytes, size_of
from hub_core.errors import HubError
from hub_core.hookspecs import KINDS
from hub_core.paths import bundled, data_home, hub_home, read_json_object
from hub_core.plugins import catalog, manager, plugin_report
from hub_core.preferences import PREFERENCES, in_force
from hub_core.sources import offline_now
from hub_core.store import Store
from hub_core.version import __version__

_DISTRIBUTION = "hub_core"
#: Extras for those who work on the hub itself.
_OWN_EXTRAS = frozenset({"dev"})
#: Engines: name -> the package it needs, whether the hub cannot do without it, how it comes.
_ENGINES = {
    "torch": ("torch", True, "pip install --force-reinstall torch"),
    "transformers": ("transformers", True, "pip install --force-reinstall transformers"),
    "onnx": ("onnxruntime", True, "pip install --force-reinstall onnxruntime"),
    "openvino": ("openvino", False, "pip install 'hub_core[openvino]'"),
}
#: Seconds after which an engine that has not answered does not work.
PATIENCE = 180
#: With less room than this a module of common size may not be installed.
_ROOM = 2 << 30

State = Literal["ok", "absent", "warning", "broken"]


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    `state`: ``ok``; ``absent``: it is optional, and not there; ``warning``: it does not work, and is not needed by
    everything; ``broken``: it is needed. `remedy` says what to do about the last two.
    """

    group: str
    name: str
    state: State
    found: str
    remedy: str = ""


def examine() -> list[Finding]:
    """Look at packages, engines, devices, places, settings and plugins. Takes some seconds; changes nothing."""
    with ThreadPoolExecutor(len(_ENGINES)) as pool:
        answers = dict(zip(_ENGINES, pool.map(_probe, _ENGINES), strict=True))
        found = [*_packages(), *_places(), *_settings(), *_plugins()]
    engines = [finding for finding, _ in answers.values()]
    at = sum(finding.group == "packages" for finding in found)
    return [*found[:at], *engines, *_devices(answers["torch"][1]), *found[at:]]


def _packages() -> Iterator[Finding]:
    """What is installed, compared with what the hub's own package asks for."""
    yield Finding("packages", "python", "ok", f"{platform.python_version()} on {platform.platform()}")
    try:
        wanted = [Requirement(text) for text in metadata.requires(_DISTRIBUTION) or ()]
    except metadata.PackageNotFoundError:
        found = f"{__version__}, not installed as a package, so that no versions are compared"
        yield Finding("packages", "hub_core", "ok", found)
        for package, *_ in _ENGINES.values():
            yield Finding("packages", package, "ok", _version(package) or "not installed")
        return
    yield Finding("packages", "hub_core", "ok", __version__)
    for requirement in sorted(wanted, key=lambda each: each.name.lower()):
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            yield _package(requirement)
    for extra in metadata.metadata(_DISTRIBUTION).get_all("Provides-Extra") or ():
        if extra not in _OWN_EXTRAS:
            yield from _extra(extra, wanted)


def _package(requirement: Requirement) -> Finding:
    """A package that the hub cannot do without."""
    version, remedy = _version(requirement.name), f"pip install '{requirement.name}{requirement.specifier}'"
    if version is None:
        return Finding("packages", requirement.name, "broken", "not installed", remedy)
    if not requirement.specifier.contains(version, prereleases=True):
        found = f"{version}, which is not {requirement.specifier}"
        return Finding("packages", requirement.name, "broken", found, remedy)
    return Finding("packages", requirement.name, "ok", version)


def _extra(extra: str, wanted: list[Requirement]) -> Iterator[Finding]:
    """The packages of an extra, one line for all of them."""
    mine = [
        requirement
        for requirement in wanted
        if requirement.marker is not None
        and not requirement.marker.evaluate({"extra": ""})
        and requirement.marker.evaluate({"extra": extra})
        and re.sub(r"[-_.]+", "_", requirement.name) != _DISTRIBUTION  # an extra that brings another one
    ]
    versions = {requirement.name: _version(requirement.name) for requirement in mine}
    unfit = [r for r in mine if not r.specifier.contains(versions[r.name] or "0", prereleases=True)]
    shown = ", ".join(f"{name} {version or 'not installed'}" for name, version in versions.items())
    remedy = f"pip install 'hub_core[{extra}]'"
    if not mine or not unfit:
        yield Finding("packages", f"[{extra}]", "ok", shown)
    elif all(versions[requirement.name] is None for requirement in unfit):
        yield Finding("packages", f"[{extra}]", "absent", shown, remedy)
    else:
        asked = ", ".join(f"{requirement.name}{requirement.specifier}" for requirement in unfit)
        yield Finding("packages", f"[{extra}]", "warning", f"{shown}; asked for: {asked}", remedy)


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _probe(engine: str) -> tuple[Finding, dict[str, Any]]:
    """Let an engine compute something in a process of its own; the finding, and what the process told."""
    package, needed, remedy = _ENGINES[engine]
    state: State = "broken" if needed else "warning"
    if importlib.util.find_spec(package) is None:
        return Finding("engines", engine, "broken" if needed else "absent", "not installed", remedy), {}
    paths = [str(Path(__file__).parent.parent), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}
    try:
        done = subprocess.run(
            [sys.executable, "-m", "hub_core.probes", engine],
            env=environment,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=PATIENCE,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Finding("engines", engine, state, f"has not answered within {PATIENCE} s", remedy), {}
    if done.returncode == 0:
        told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return Finding("engines", engine, "ok", told["found"]), told
    if done.returncode < 0:
        name = signal.Signals(-done.returncode).name
        found = f"its process was ended by {name}: this build does not fit the machine, or memory ran out"
    else:
        found = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
    return Finding("engines", engine, state, found, remedy), {}


def _devices(told: dict[str, Any]) -> Iterator[Finding]:
    """The devices that torch computed on, and what ``dtype="auto"`` means there."""
    for row in told.get("devices", ()):
        native = "auto computes in bfloat16" if row["bfloat16"] else "auto computes in float32"
        yield Finding("devices", row["name"], "ok", f"{row['about']}; {native}")
    if told and len(told["devices"]) == 1:
        remedy = "for a GPU: its driver (`nvidia-smi` shows it), and a torch that is built for CUDA"
        yield Finding("devices", "cuda", "absent", "torch sees no GPU", remedy)


def _places() -> Iterator[Finding]:
    """HOME, the data sets' folder, the modules and caches in HOME."""
    home = hub_home()
    yield _home(home)
    data = data_home()
    if data is not None and not data.is_dir():
        yield Finding("places", "HUB_DATA_HOME", "warning", f"there is no folder {data}", "make it, or set another")
    elif data is not None:
        yield Finding("places", "HUB_DATA_HOME", "ok", str(data))
    try:
        bundled("modules"), bundled("registry.json")
    except HubError as error:
        yield Finding("places", "bundled modules", "broken", str(error), "pip install --force-reinstall hub_core")
        return
    store = Store()
    own = [item for item in store.installed() if not item.bundled]
    size = size_of(item.folder for item in own)
    yield Finding("places", "modules", "ok", f"{len(own)} installed, {in_bytes(size)}")
    for broken in store.broken():
        remedy = f"remove {broken.folder}, and install the module again"
        yield Finding("places", str(broken.folder), "warning", broken.problem, remedy)
    for cache in caches(store):
        if cache.size:
            found = f"{in_bytes(cache.size)}: {cache.what}"
            yield Finding("places", f"cache {cache.name}", "ok", found, f"hub clear {cache.name}")


def _home(home: Path) -> Finding:
    """Whether HOME can be written, and how much room there is."""
    place = home
    while not place.exists() and place != place.parent:
        place = place.parent
    try:
        with tempfile.NamedTemporaryFile(dir=place, prefix=".hub-doctor-"):
            free = shutil.disk_usage(place).free
    except OSError as error:
        remedy = "set HUB_HOME to a folder that you can write to"
        return Finding("places", "HUB_HOME", "broken", f"{home} cannot be written: {error.strerror}", remedy)
    found = f"{home}, {in_bytes(free)} free" + ("" if home.exists() else ", made when it is needed")
    if free < _ROOM:
        return Finding(
            "places", "HUB_HOME", "warning", found, "make room (`hub clear --all`), or set HUB_HOME elsewhere"
        )
    return Finding("places", "HUB_HOME", "ok", found)


def _settings() -> Iterator[Finding]:
    """What is kept, and what environment variables say."""
    for name in PREFERENCES:
        try:
            now = in_force(name)
        except HubError as error:
            yield Finding("settings", name, "broken", str(error), "`hub config reset` forgets all settings")
        else:
            yield Finding("settings", name, "ok", f"{now.value or 'none'} ({now.source})")
    for file, what in (("trust.json", "consents to code"), ("pins.json", "hashes of what was fetched")):
        try:
            kept = read_json_object(hub_home() / file, error=HubError, remedy="mend or remove it")
        except HubError as error:
            yield Finding("settings", file, "broken", str(error), f"mend or remove {hub_home() / file}")
        else:
            yield Finding("settings", file, "ok", f"{len(kept)} {what}")
    said = "HUB_OFFLINE is set: nothing is fetched" if offline_now() else "the network may be used"
    yield Finding("settings", "network", "ok", said)


def _plugins() -> Iterator[Finding]:
    """Installed plugins, and whether what they register can be used."""
    states = plugin_report()
    if not states:
        yield Finding("plugins", "-", "ok", "none installed")
    for plugin in states:
        remedy = f"bring {plugin.distribution} up to date, or `pip uninstall {plugin.distribution}`"
        problem = plugin.error or _command_problem(plugin.name)
        yield Finding(
            "plugins", plugin.name, "warning" if problem else "ok", problem or "works", remedy * bool(problem)
        )
    for kind in KINDS:
        try:
            entries = catalog().entries(kind).values()
        except HubError as error:
            yield Finding("plugins", kind, "broken", str(error), "pip uninstall one of the two")
            continue
        for entry in entries:
            if entry.owner != "hub_core" and (problem := _load_problem(entry.load)):
                remedy = f"bring {entry.owner} up to date, or remove it"
                yield Finding("plugins", f"{kind} {entry.name}", "warning", problem, remedy)


def _command_problem(plugin: str) -> str | None:
    """What goes wrong when a plugin adds its commands, None where nothing does."""
    import click

    for implementation in manager().hook.hub_commands.get_hookimpls():
        if implementation.plugin_name == plugin:
            return _load_problem(lambda each=implementation: each.function(cli=click.Group()))
    return None


def _load_problem(load: Any) -> str | None:
    try:
        load()
    except Exception as error:  # noqa: BLE001  (a plugin is other people's code: anything may come)
        return f"{type(error).__name__}: {error}"
    return None
