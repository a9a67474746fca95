"""Modules that are downloaded to be carried elsewhere, as folders and as archives, and installed there."""

from __future__ import annotations

import hashlib
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from command_line import Hub
from folders import VOCABULARY, module_folder, safetensors, spec
from loopback import Loopback

import hub_core as hub
from hub_core import http_source
from hub_core.errors import InstallError, IntegrityError, NotFoundError, SettingsError, UntrustedCodeError
from hub_core.installation import download, install
from hub_core.registry import Registry
from hub_core.store import Store

WEIGHTS = safetensors(7)


@pytest.fixture(autouse=True)
def quiet_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_source, "BACKOFF", 0)
    monkeypatch.setenv("NO_PROXY", "*")


@pytest.fixture
def site() -> Iterator[Loopback]:
    with Loopback({"/vocab.txt": VOCABULARY, "/w.safetensors": WEIGHTS}) as running:
        yield running


@pytest.fixture
def registry(site: Loopback, tmp_path: Path) -> Registry:
    """A registry with one module: weights and vocabulary on the network, a card and code in the registry itself."""
    own = tmp_path / "modules" / "small"
    own.mkdir(parents=True)
    (own / "README.md").write_text("card")
    (own / "plugin.py").write_text("raise SystemExit('never run here')\n")
    digest = hashlib.sha256(WEIGHTS).hexdigest()
    files = [
        {"path": "model.safetensors", "sources": [{"url": f"{site.url}/w.safetensors", "sha256": digest}]},
        {"path": "vocab.txt", "sources": [{"url": f"{site.url}/vocab.txt"}]},
    ]
    found = spec("small", "1.0", files=files)
    return Registry("test", {found.canonical: (found,)}, tmp_path / "modules")


def everything(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


class TestDownload:
    def test_a_registered_module_travels_without_its_network(
        self, registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, site: Loopback
    ) -> None:
        path = download("small", tmp_path / "out", registry=registry)
        assert path == tmp_path / "out" / "small-1.0"
        files = everything(path)
        assert files.keys() == {
            *("model.safetensors", "vocab.txt", "README.md", "config.json", "module.json", "plugin.py")
        }
        assert files["model.safetensors"] == WEIGHTS
        assert [item for item in Store().installed() if not item.bundled] == []
        assert [entry.name for entry in (tmp_path / "out").iterdir()] == ["small-1.0"]

        def refuse(*arguments: object, **options: object) -> None:
            raise AssertionError("a socket was opened")

        monkeypatch.setattr(socket, "socket", refuse)
        with pytest.raises(UntrustedCodeError):
            install(path)
        item = install(path, trust_code=True)
        Store().verify(item)
        assert item.spec == registry.versions("small")[0]

    def test_what_is_installed_is_verified_and_copied(self, tmp_path: Path) -> None:
        source = module_folder(tmp_path / "m")
        item = install(source)
        path = download("small==1.0", tmp_path, offline=True)
        kept = everything(item.folder)
        del kept["receipt.json"]
        assert everything(path) == kept
        assert not any(file.stat().st_nlink > 1 for file in path.iterdir())
        weights = item.folder / "model.safetensors"
        weights.unlink()
        weights.write_bytes(safetensors(1))
        with pytest.raises(IntegrityError, match="is not what was installed"):
            download("small", tmp_path / "other")
        assert not (tmp_path / "other").exists()

    def test_nothing_is_shared_with_the_store(self, registry: Registry, tmp_path: Path) -> None:
        """The bytes are there already, as a blob: whoever edits the download must not edit every module."""
        install("small", registry=registry, trust_code=True)
        Store().remove("small")
        other = module_folder(tmp_path / "m", "other", fill=7)
        install(other)
        path = download("small", tmp_path, registry=registry)
        assert {file.stat().st_nlink for file in path.iterdir()} == {1}
        (path / "model.safetensors").write_bytes(b"changed")
        found = Store().find("other")
        assert found is not None
        Store().verify(found)

    def test_a_bundled_module_is_one_like_others(self, tmp_path: Path) -> None:
        path = hub.download("bilstm-ner-zh", tmp_path)
        assert {"module.json", "model.safetensors", "vocab.txt", "README.md"} <= everything(path).keys()
        assert hub.install(path, as_name="mine").spec.name == "mine"

    def test_a_repository_at_hugging_face(
        self, site: Loopback, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("HF_ENDPOINT", site.url)
        monkeypatch.setattr("huggingface_hub.get_token", lambda: None)
        config = b'{"model_type": "bert", "vocab_size": 7, "hidden_size": 4}'
        site.serve_repository(
            "org/repo", {"config.json": config, "model.safetensors": WEIGHTS, "vocab.txt": VOCABULARY}
        )
        path = download("hf:org/repo", tmp_path, archive=True)
        assert path.name == "hf.org.repo-0.0.0+c0ffeec0ffee.tar"
        assert install(path).spec.family == "bert"

    @pytest.mark.parametrize(
        ("wanted", "kind", "said"),
        [
            ("smal", NotFoundError, "unknown module 'smal'; did you mean 'small'?"),
            ("small==3", NotFoundError, "no version of small answers 'small==3'"),
            ("./folder", SettingsError, "./folder is on this machine already; `hub install` takes it as it is"),
            ("x.tar", SettingsError, "x.tar is on this machine already"),
        ],
    )
    def test_what_cannot_be_had(
        self, registry: Registry, tmp_path: Path, wanted: str, kind: type[Exception], said: str
    ) -> None:
        with pytest.raises(kind) as caught:
            download(wanted, tmp_path / "out", registry=registry)
        assert str(caught.value).startswith(said)
        assert not (tmp_path / "out").exists()

    def test_bytes_that_are_not_the_stated_ones(self, registry: Registry, site: Loopback, tmp_path: Path) -> None:
        site.files["/w.safetensors"] = safetensors(8)
        with pytest.raises(IntegrityError, match="small 1.0 was not downloaded: no address has a usable model.safe"):
            download("small", tmp_path / "out", registry=registry)
        assert list((tmp_path / "out").iterdir()) == []

    def test_what_stands_there_is_not_overwritten(self, registry: Registry, tmp_path: Path) -> None:
        (tmp_path / "small-1.0").mkdir()
        with pytest.raises(SettingsError, match="small-1.0 exists already; remove it, or choose another place"):
            download("small", tmp_path, registry=registry)

    def test_a_place_that_cannot_be_written(self, registry: Registry, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("in the way")
        with pytest.raises(InstallError, match="small-1.0 cannot be written: Not a directory"):
            download("small", tmp_path / "file" / "folder", registry=registry)


class TestCommand:
    @pytest.fixture
    def hub(self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Hub:
        monkeypatch.chdir(tmp_path)
        return Hub(capsys)

    def test_there_and_back(self, hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        hub("install", module_folder(tmp_path / "m"))
        assert hub("download", "small").out == "downloaded small to small-1.0\n"
        assert hub("download", "small", "--archive").out == "downloaded small to small-1.0.tar\n"
        assert hub("download", "small", "--output", "stick", "--json").json == [
            {"wanted": "small", "path": "stick/small-1.0"}
        ]
        monkeypatch.setenv("HUB_HOME", str(tmp_path / "other-home"))
        assert "installed small 1.0 in " in hub("install", "small-1.0.tar").out
        assert hub("show", "small", "--verify").code == 0
        hub("uninstall", "small")
        assert "installed small 1.0 in " in hub("install", "./small-1.0").out

    def test_the_second_of_two_is_missing(self, hub: Hub) -> None:
        outcome = hub("download", "bilstm-ner-zh", "smal")
        assert (outcome.code, outcome.out) == (1, "downloaded bilstm-ner-zh to bilstm-ner-zh-1.0.0\n")
        assert outcome.err.startswith("error: unknown module 'smal'")

    def test_no_network_wanted(self, hub: Hub) -> None:
        assert "the network is forbidden" in hub.fails("download", "ernie", "--offline")
