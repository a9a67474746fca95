from __future__ import annotations

import importlib.util
import marshal
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pluggy
import pytest

from hub_core import hookspecs, plugins
from hub_core.errors import HubError, IntegrityError, NotFoundError
from hub_core.hookspecs import KINDS, hookimpl
from hub_core.paths import sha256_file
from hub_core.plugins import Catalog, catalog, plugin_report

PLUGIN = """
from dataclasses import dataclass
from hub_core.hookspecs import hookimpl

@dataclass
class Mine:
    version: str = "{version}"

@hookimpl
def hub_entries(kind):
    return {{"mine": Mine}} if kind == "tokenizer" else {{}}
"""


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No plugin of this machine is seen, and none of a test stays."""
    monkeypatch.setattr(plugins, "entry_points", lambda group: ())
    forget()
    yield
    forget()


def forget() -> None:
    plugins._load_manager.cache_clear()
    plugins.manager.cache_clear()


def plugin_folder(folder: Path, version: str = "1") -> Path:
    folder.mkdir()
    (folder / "plugin.py").write_text(PLUGIN.format(version=version))
    return folder


class Extra:
    """A plugin as a pip package would have it."""

    @hookimpl
    def hub_entries(self, kind: str) -> dict[str, Any]:
        return {"extra": "hub_core.errors:HubError"} if kind == "task" else {}


def pretend_installed(monkeypatch: pytest.MonkeyPatch, **loaded: Any) -> None:
    def load(value: Any) -> Any:
        if isinstance(value, Exception):
            raise value
        return value

    points = [
        SimpleNamespace(name=name, dist=SimpleNamespace(name=f"dist-{name}"), load=lambda value=value: load(value))
        for name, value in loaded.items()
    ]
    monkeypatch.setattr(plugins, "entry_points", lambda group: points if group == "hub_core" else ())
    forget()


def test_core_registers_through_the_same_hook() -> None:
    assert {"seq-cls", "token-cls"} <= catalog().entries("task").keys()
    assert all(entry.owner == "hub_core" for kind in KINDS for entry in catalog().entries(kind).values())


def test_entries_are_loaded_when_they_are_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend_installed(monkeypatch, more=Extra())
    assert catalog().get("task", "extra") is HubError
    assert catalog().entries("task")["extra"].owner == "more"


def test_unknown_names_have_near_matches() -> None:
    with pytest.raises(NotFoundError, match="unknown task 'seq_cls'; did you mean 'seq-cls'"):
        catalog().get("task", "seq_cls")
    with pytest.raises(NotFoundError, match=r"unknown tokenizer 'bigram'; .*; a plugin may bring it \(`hub plugins`"):
        catalog().get("tokenizer", "bigram")


def test_a_name_with_two_owners_names_both(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend_installed(monkeypatch, one=Extra(), two=Extra())
    with pytest.raises(HubError, match="task 'extra' is registered by both one and two; remove one"):
        catalog().entries("task")


def test_a_broken_plugin_is_reported_and_harms_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend_installed(monkeypatch, bad=ImportError("no module named x"), good=Extra())
    assert catalog().get("task", "extra") is HubError
    bad, good = plugin_report()
    assert (bad.name, bad.distribution, bad.error) == ("bad", "dist-bad", "ImportError: no module named x")
    assert good.error is None


def test_plugins_can_be_switched_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HUB_DISABLE_PLUGINS", "1")
    pretend_installed(monkeypatch, more=Extra())
    assert "extra" not in catalog().entries("task")
    assert plugin_report() == []


def test_a_modules_own_plugin_is_seen_by_it_alone(tmp_path: Path) -> None:
    folder = plugin_folder(tmp_path / "m")
    path = list(sys.path)
    own = catalog().with_module("my_module", "1.0", folder, sha256=sha256_file(folder / "plugin.py"))
    assert own.get("tokenizer", "mine")().version == "1"
    assert own.entries("tokenizer")["mine"].owner == "module my_module 1.0"
    assert "wordpiece" in own.entries("tokenizer") and "mine" not in catalog().entries("tokenizer")
    assert sys.path == path and not (folder / "__pycache__").exists()


def test_versions_live_side_by_side(tmp_path: Path) -> None:
    kinds = [
        catalog().with_module("m", version, plugin_folder(tmp_path / version, version)).get("tokenizer", "mine")
        for version in ("1", "2")
    ]
    assert [kind().version for kind in kinds] == ["1", "2"]
    assert all(sys.modules[kind.__module__].Mine is kind for kind in kinds)


def test_a_plugin_is_run_once(tmp_path: Path) -> None:
    folder = plugin_folder(tmp_path / "m")
    first, second = (catalog().with_module("once", "1", folder).get("tokenizer", "mine") for _ in range(2))
    assert first is second


def test_a_plugin_that_has_changed_is_not_run(tmp_path: Path) -> None:
    folder = plugin_folder(tmp_path / "m")
    digest = sha256_file(folder / "plugin.py")
    canary = tmp_path / "canary"
    (folder / "plugin.py").write_text(f"open({str(canary)!r}, 'w')")
    with pytest.raises(IntegrityError, match="has changed since it was looked at"):
        catalog().with_module("m", "1", folder, sha256=digest)
    assert not canary.exists()


def test_prepared_bytecode_is_not_read(tmp_path: Path) -> None:
    """A ``.pyc`` that claims to be unchecked would run in plugin.py's place if Python's importer were used."""
    folder = plugin_folder(tmp_path / "m")
    canary = tmp_path / "canary"
    cached = Path(importlib.util.cache_from_source(str(folder / "plugin.py")))
    cached.parent.mkdir()
    code = marshal.dumps(compile(f"open({str(canary)!r}, 'w')", "plugin.py", "exec"))
    cached.write_bytes(importlib.util.MAGIC_NUMBER + (1).to_bytes(4, "little") + bytes(8) + code)
    catalog().with_module("cached", "1", folder)
    assert not canary.exists()


def test_a_plugin_that_fails_leaves_no_module_behind(tmp_path: Path) -> None:
    folder = tmp_path / "m"
    folder.mkdir()
    (folder / "plugin.py").write_text("raise RuntimeError('broken')")
    before = set(sys.modules)
    with pytest.raises(RuntimeError, match="broken"):
        catalog().with_module("broken", "1", folder)
    assert set(sys.modules) == before


def test_every_hook_can_be_implemented_and_is_documented(tmp_path: Path) -> None:
    class Everything:
        @hookimpl
        def hub_entries(self, kind: str) -> dict[str, Any]:
            return {}

        @hookimpl
        def hub_verify(self, spec: Any, folder: Path) -> None:
            return None

        @hookimpl
        def hub_commands(self, cli: Any) -> None:
            return None

    manager = pluggy.PluginManager(hookspecs.PROJECT)
    manager.add_hookspecs(hookspecs)
    manager.register(Everything())
    manager.check_pending()
    names = {name for name in vars(manager.hook) if name.startswith("hub_")}
    assert names == {name for name in vars(Everything) if name.startswith("hub_")}
    assert all((getattr(hookspecs, name).__doc__ or "").strip() for name in names)
    assert Catalog(manager).entries("task") == {}
