"""Finding code by name: installed plugins, what core ships, and a module's own plugin.py.

A pip package joins through an entry point in the group ``hub_core``. Each one is loaded guarded: a broken plugin
is recorded and reported by `plugin_report`, and nothing else suffers.
"""

from __future__ import annotations

import hashlib
import importlib
import os
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import Any

import pluggy

from hub_core import builtins, hookspecs
from hub_core.errors import HubError, IntegrityError, NotFoundError, unknown

GROUP = "hub_core"
PLUGIN_FILE = "plugin.py"
#: What is said of a family or tokenizer that is not there: its module may have been made where a plugin had it.
BROUGHT = "a plugin may bring it (`hub plugins` lists those that are installed)"


@dataclass(frozen=True)
class Entry:
    """One piece of code known by name, and who registered it."""

    kind: str
    name: str
    owner: str
    target: Any

    def load(self) -> Any:
        """The object itself, imported now if it was registered as ``"package.module:Name"``."""
        if not isinstance(self.target, str):
            return self.target
        module, _, attribute = self.target.partition(":")
        return getattr(importlib.import_module(module), attribute)


@dataclass(frozen=True)
class PluginState:
    """One installed plugin: its entry point, its distribution, and the error if it could not be loaded."""

    name: str
    distribution: str
    error: str | None


class Catalog:
    """Code by kind and name, each with its owner: a module's own entries first, then everybody's."""

    def __init__(self, manager: pluggy.PluginManager, parent: Catalog | None = None) -> None:
        self._manager = manager
        self._parent = parent

    def entries(self, kind: str) -> Mapping[str, Entry]:
        """All entries of one kind. Raises HubError that names both owners where two register the same name."""
        found: dict[str, Entry] = {}
        for owner, plugin in self._manager.list_name_plugin():
            hook = getattr(plugin, "hub_entries", None)
            for name, target in (hook(kind=kind) if hook else {}).items():
                if name in found:
                    raise HubError(f"{kind} {name!r} is registered by both {found[name].owner} and {owner}; remove one")
                found[name] = Entry(kind, name, owner, target)
        return {**self._parent.entries(kind), **found} if self._parent else found

    def get(self, kind: str, name: str, *, beside: Sequence[str] = ()) -> Any:
        """The object registered under a name. Raises NotFoundError with near matches.

        `beside` are names that the caller knows without the catalog.
        """
        known = self.entries(kind)
        if name not in known:
            remedy = BROUGHT if kind == "tokenizer" else ""
            raise NotFoundError(unknown(kind, name, [*known, *beside], remedy=remedy))
        return known[name].load()

    def with_module(self, name: str, version: str, folder: Path, *, sha256: str | None = None) -> Catalog:
        """A catalog that sees a module's own plugin.py first; this one is left as it is.

        The caller has made sure that the code may run (`hub_core.trust`), and gives the sha256 of what it looked
        at: where the file is another one by now, nothing runs and IntegrityError is raised.
        """
        child = pluggy.PluginManager(hookspecs.PROJECT)
        child.add_hookspecs(hookspecs)
        child.register(_import_plugin(name, version, folder, sha256), name=f"module {name} {version}")
        return Catalog(child, parent=self)


@cache
def manager() -> pluggy.PluginManager:
    """The global plugin manager: core's own registrations, then installed plugins (``HUB_DISABLE_PLUGINS=1``: none)."""
    return _load_manager()[0]


def plugin_report() -> list[PluginState]:
    """Every installed plugin with its state, broken ones included."""
    manager()
    return list(_load_manager()[1])


def catalog() -> Catalog:
    """The catalog that every module shares."""
    return Catalog(manager())


@cache
def _load_manager() -> tuple[pluggy.PluginManager, tuple[PluginState, ...]]:
    plugins = pluggy.PluginManager(hookspecs.PROJECT)
    plugins.add_hookspecs(hookspecs)
    plugins.register(builtins, name="hub_core")
    states = []
    disabled = os.environ.get("HUB_DISABLE_PLUGINS", "") not in ("", "0")
    for point in () if disabled else entry_points(group=GROUP):
        error = None
        try:
            plugins.register(point.load(), name=point.name)
        except Exception as problem:  # noqa: BLE001  (a plugin is other people's code: anything may come)
            error = f"{type(problem).__name__}: {problem}"
        states.append(PluginState(point.name, point.dist.name if point.dist else "?", error))
    return plugins, tuple(states)


def source_of(kind: type) -> bytes | None:
    """The plugin.py of a module that a class stands in, as it ran; None for a class of installed code."""
    return _sources.get(kind.__module__)


#: The plugin.py of modules that have run, by the name that each has as a Python module.
_sources: dict[str, bytes] = {}


def _import_plugin(name: str, version: str, folder: Path, expected: str | None) -> ModuleType:
    """Run ``folder/plugin.py`` as a Python module of its own name, so that versions live side by side.

    The bytes that were hashed are the bytes that run: no ``__pycache__`` is read (a folder could bring one that
    says something else than plugin.py) or written, and sys.path stays as it is.
    """
    path = folder / PLUGIN_FILE
    source = path.read_bytes()
    digest = hashlib.sha256(source).hexdigest()
    if expected is not None and digest != expected:
        raise IntegrityError(f"{path} has changed since it was looked at: sha256 {digest}, expected {expected}")
    qualified = re.sub(r"\W", "_", f"hub_modules.{name}__{version}__{digest[:12]}")
    if qualified in sys.modules:
        return sys.modules[qualified]
    module = ModuleType(qualified)
    module.__file__ = str(path)
    sys.modules[qualified] = module  # before it runs: dataclasses and pickle look a class's module up there
    try:
        exec(compile(source, str(path), "exec"), module.__dict__)
    except BaseException:
        del sys.modules[qualified]
        raise
    _sources[qualified] = source
    return module
