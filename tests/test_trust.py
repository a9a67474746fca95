from __future__ import annotations

import json
from pathlib import Path

import pytest
from folders import module_folder, spec

from hub_core import trust
from hub_core.errors import InstallError, NotFoundError, UntrustedCodeError
from hub_core.installation import install
from hub_core.paths import bundled, hub_home, sha256_file
from hub_core.plugins import catalog
from hub_core.spec import read_manifest
from hub_core.store import Store
from hub_core.trust import module_catalog, require_trust


def code_folder(folder: Path, canary: Path, name: str = "coded", version: str = "1.0") -> Path:
    """A module whose plugin tells on itself when it runs, and registers a tokenizer called like the module."""
    module_folder(folder, name, version)
    lines = (
        "from pathlib import Path",
        "from hub_core.hookspecs import hookimpl",
        f"Path({str(canary)!r}).write_text('ran')",
        "@hookimpl",
        f"def hub_entries(kind): return {{{name!r}: {version!r}.split}} if kind == 'tokenizer' else {{}}",
    )
    (folder / "plugin.py").write_text("\n".join(lines) + "\n")
    return folder


@pytest.fixture
def canary(tmp_path: Path) -> Path:
    return tmp_path / "canary"


def test_code_of_others_does_not_run_unasked(tmp_path: Path, canary: Path) -> None:
    folder = code_folder(tmp_path / "m", canary)
    with pytest.raises(UntrustedCodeError) as caught:
        module_catalog(read_manifest(folder), folder)
    text = str(caught.value)
    assert f"`hub install {folder} --trust-code`" in text
    assert f"hub_core.Module(directory={str(folder)!r}, trust_code=True)" in text
    assert sha256_file(folder / "plugin.py") in text and "coded 1.0" in text
    assert not canary.exists() and not (hub_home() / "trust.json").exists()


def test_consent_is_remembered_and_is_to_the_bytes(tmp_path: Path, canary: Path) -> None:
    folder = code_folder(tmp_path / "m", canary)
    spec = read_manifest(folder)
    own = module_catalog(spec, folder, trust_code=True)
    assert own.entries("tokenizer")["coded"].owner == "module coded 1.0" and canary.exists()
    row = json.loads((hub_home() / "trust.json").read_text())[sha256_file(folder / "plugin.py")]
    assert (row["name"], row["version"]) == ("coded", "1.0") and row["when"].startswith("20")
    assert "coded" in module_catalog(spec, folder).entries("tokenizer")
    canary.unlink()
    with (folder / "plugin.py").open("a") as stream:
        stream.write("# changed\n")
    with pytest.raises(UntrustedCodeError):
        module_catalog(spec, folder)
    assert not canary.exists()


def test_a_name_or_a_path_is_no_reason_to_trust(tmp_path: Path, canary: Path) -> None:
    folder = code_folder(tmp_path / "modules" / "ernie_tiny", canary, "ernie_tiny", "2.0.2")
    with pytest.raises(UntrustedCodeError):
        module_catalog(read_manifest(folder), folder)
    assert not canary.exists()


def test_code_that_came_with_the_program_runs() -> None:
    folder = bundled("modules") / "ernie_tiny"
    own = module_catalog(read_manifest(folder), folder)
    assert own.entries("tokenizer")["ernie-tiny"].owner == "module ernie_tiny 2.0.2"
    assert "ernie-tiny" not in catalog().entries("tokenizer")


def test_a_module_without_code_sees_what_all_see(tmp_path: Path) -> None:
    own = module_catalog(spec(), tmp_path)
    assert own.entries("tokenizer").keys() == catalog().entries("tokenizer").keys()


@pytest.mark.parametrize("base", ["ernie_tiny==2.0.2", "ernie-tiny==2.0.1"])
def test_a_fine_tuned_module_uses_the_code_of_its_base(tmp_path: Path, base: str) -> None:
    own = module_catalog(spec(base=base), tmp_path)
    assert own.entries("tokenizer")["ernie-tiny"].owner == "module ernie_tiny 2.0.2"


@pytest.mark.parametrize("base", ["ernie_tiny==1.0", "ernie==2.0.2", "unheard-of==1.0"])
def test_a_base_without_code(tmp_path: Path, base: str) -> None:
    assert "ernie-tiny" not in module_catalog(spec(base=base), tmp_path).entries("tokenizer")


def test_a_base_that_is_no_module(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match=r"the base of small 1.0 is no module"):
        module_catalog(spec(base="../x"), tmp_path)


def test_an_installed_base_is_used_with_the_consent_given_for_it(tmp_path: Path, canary: Path) -> None:
    store = Store(bundled_modules=tmp_path / "none")
    install(code_folder(tmp_path / "m", canary), store=store, trust_code=True)
    child = spec("child", base="coded==1.0")
    assert "coded" in module_catalog(child, tmp_path / "elsewhere", store=store).entries("tokenizer")
    (hub_home() / "trust.json").unlink()
    with pytest.raises(UntrustedCodeError, match=r"coded 1.0 brings code"):
        module_catalog(child, tmp_path / "elsewhere", store=store)


def test_code_is_not_run_to_be_installed_or_listed(tmp_path: Path, canary: Path) -> None:
    store = Store(bundled_modules=tmp_path / "none")
    folder = code_folder(tmp_path / "m", canary)
    with pytest.raises(UntrustedCodeError, match=f"`hub install {folder} --trust-code`"):
        install(str(folder), store=store)
    assert store.installed() == [] and not list(store.home.glob("modules/*"))
    install(str(folder), store=store, trust_code=True)
    assert [item.spec.name for item in store.installed()] == ["coded"] and not canary.exists()
    assert install(str(folder), store=store).spec.name == "coded"


@pytest.mark.parametrize("content", ["{", "[]"])
def test_damaged_consents_are_named(tmp_path: Path, canary: Path, content: str) -> None:
    folder = code_folder(tmp_path / "m", canary)
    hub_home().mkdir()
    (hub_home() / "trust.json").write_text(content)
    with pytest.raises(InstallError, match=r"trust.json .*; mend it, or remove it"):
        require_trust(read_manifest(folder), folder)


def test_a_home_that_cannot_be_written(tmp_path: Path, canary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("HUB_HOME", str(tmp_path / "file" / "home"))
    folder = code_folder(tmp_path / "m", canary)
    with pytest.raises(InstallError, match="set HUB_HOME to another folder"):
        require_trust(read_manifest(folder), folder, trust_code=True)


def test_the_code_that_is_shipped_is_known() -> None:
    assert sha256_file(bundled("modules") / "ernie_tiny" / "plugin.py") in trust._bundled_digests()
