"""Modules that are downloaded to be carried elsewhere, as folders and as archives, and installed there."""

from __future__ import annotations

import hashlib
import io
import socket
import subprocess
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from command_line import Hub
from folders import VOCABULARY, module_folder, safetensors, spec
from hypothesis import given
from hypothesis import strategies as st
from loopback import Loopback

import hub_core as hub
from hub_core import archives, http_source
from hub_core.archives import pack, unpack
from hub_core.errors import InstallError, IntegrityError, NotFoundError, SettingsError, UntrustedCodeError
from hub_core.installation import download, install
from hub_core.registry import Registry
from hub_core.spec import safe_relative
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


class TestArchives:
    def test_the_same_files_make_the_same_bytes(self, tmp_path: Path) -> None:
        first, second = (module_folder(tmp_path / place / "small") for place in ("one", "two"))
        (second / "vocab.txt").chmod(0o600)
        for at, folder in enumerate((first, second)):
            pack(folder, tmp_path / f"{at}.tar")
            time.sleep(0.01)
        assert (tmp_path / "0.tar").read_bytes() == (tmp_path / "1.tar").read_bytes()

    def test_other_programs_read_them(self, tmp_path: Path) -> None:
        folder = module_folder(tmp_path / "small")
        pack(folder, tmp_path / "small.tar")
        listed = subprocess.run(["tar", "-tf", tmp_path / "small.tar"], capture_output=True, text=True, check=True)
        assert listed.stdout.splitlines() == sorted(f"small/{name}" for name in everything(folder))

    @pytest.mark.parametrize("options", [["-czf", "m.tar.gz"], ["-cJf", "m.tar.xz"], ["-czf", "m.tgz"]])
    def test_archives_of_other_programs_are_installed(self, tmp_path: Path, options: list[str]) -> None:
        module_folder(tmp_path / "small")
        subprocess.run(["tar", *options, "small"], cwd=tmp_path, check=True)
        assert install(tmp_path / options[1]).spec.title == "small 1.0"

    def test_an_archive_is_looked_at_again(self, tmp_path: Path) -> None:
        """As a folder it may have changed; and it is known by its own path, not by where it was unpacked."""
        pack(module_folder(tmp_path / "one" / "small"), tmp_path / "small.tar")
        first = install(str(tmp_path / "small.tar"))
        assert first.receipt is not None
        assert first.receipt.origin == str(tmp_path / "small.tar")
        pack(module_folder(tmp_path / "two" / "small", fill=1), tmp_path / "small.tar")
        again = install(str(tmp_path / "small.tar"))
        assert (again.folder / "model.safetensors").read_bytes() == safetensors(1)
        with pytest.raises(InstallError, match=f"small 1.0 is installed already, from {tmp_path / 'small.tar'}"):
            install(module_folder(tmp_path / "three"))
        assert list((Store().home / "cache" / "archives").iterdir()) == []

    def test_what_is_no_module(self, tmp_path: Path) -> None:
        (tmp_path / "x").mkdir()
        (tmp_path / "x" / "file.txt").write_text("x")
        pack(tmp_path / "x", tmp_path / "x.tar")
        with pytest.raises(InstallError, match="x.tar holds no module: it has no module.json"):
            install(tmp_path / "x.tar")
        (tmp_path / "y.tar.gz").write_text("no archive at all")
        with pytest.raises(IntegrityError, match="y.tar.gz is not a whole tar archive"):
            install(tmp_path / "y.tar.gz")
        with pytest.raises(NotFoundError, match="there is no file .*z.tar"):
            install(tmp_path / "z.tar")

    def test_what_is_cut_off(self, tmp_path: Path) -> None:
        pack(module_folder(tmp_path / "small"), tmp_path / "small.tar")
        whole = (tmp_path / "small.tar").read_bytes()
        for length in range(0, whole.rindex(b"\n"), 100):  # after the last file there are only zeros
            (tmp_path / "small.tar").write_bytes(whole[:length])
            with pytest.raises(IntegrityError, match="small.tar is not a whole tar archive"):
                install(tmp_path / "small.tar")
        assert [item for item in Store().installed() if not item.bundled] == []

    @pytest.mark.parametrize("name", ["../x", "/x", "a/../../x", "C:/x", "a\\x", "con", "a/aux.txt", "x."])
    def test_ways_out_of_the_folder(self, tmp_path: Path, name: str) -> None:
        archive = tar_of(tmp_path / "a.tar", ("good.txt", b"x"), (name, b"x"))
        with pytest.raises(IntegrityError, match="would not stay in the folder"):
            unpack(archive, tmp_path / "out")
        assert not (tmp_path / "out").exists()
        assert {path.name for path in tmp_path.iterdir()} == {"a.tar"}

    @pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE])
    def test_what_is_no_regular_file(self, tmp_path: Path, kind: bytes) -> None:
        link = tarfile.TarInfo("model.safetensors")
        link.type, link.linkname = kind, "/etc/passwd"
        with pytest.raises(IntegrityError, match="'model.safetensors' is not a regular file"):
            unpack(tar_of(tmp_path / "a.tar", link), tmp_path / "out")

    def test_names_that_are_one_file_elsewhere(self, tmp_path: Path) -> None:
        with pytest.raises(IntegrityError, match="'readme.md' stands in it twice"):
            unpack(tar_of(tmp_path / "a.tar", ("README.md", b"x"), ("readme.md", b"y")), tmp_path / "out")

    def test_bombs(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(archives, "MAX_UNPACKED_BYTES", 10)
        with pytest.raises(IntegrityError, match="unpacks to 11 bytes, more than the 10 allowed"):
            unpack(tar_of(tmp_path / "a.tar", ("a", b"x" * 11)), tmp_path / "out")

    @given(
        st.dictionaries(
            st.text(st.characters(categories=("Ll", "Nd", "Lo")), min_size=1, max_size=8), st.binary(), min_size=1
        )
    )
    def test_what_goes_in_comes_out(self, tmp_path_factory: pytest.TempPathFactory, files: dict[str, bytes]) -> None:
        place = tmp_path_factory.mktemp("round")
        (place / "m").mkdir()
        for name, content in files.items():
            (place / "m" / f"{name}.txt").write_bytes(content)
        kept = everything(place / "m")
        if len({name.casefold() for name in kept}) == len(kept) and all(map(safe_relative, kept)):
            pack(place / "m", place / "m.tar")
            unpack(place / "m.tar", place / "out")
            assert everything(place / "out") == kept


def tar_of(path: Path, *members: tarfile.TarInfo | tuple[str, bytes]) -> Path:
    with tarfile.open(path, "w") as tar:
        for member in members:
            if isinstance(member, tarfile.TarInfo):
                tar.addfile(member)
            else:
                info = tarfile.TarInfo(member[0])
                info.size = len(member[1])
                tar.addfile(info, io.BytesIO(member[1]))
    return path


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
