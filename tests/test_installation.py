from __future__ import annotations

import errno
import hashlib
import json
import logging
import os
import signal
import socket
import subprocess
import sys
import time
import traceback
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from folders import CONFIG, VOCABULARY, manifest, module_folder, safetensors, spec
from loopback import Answer, Loopback

import hub_core.convert
from hub_core import http_source, install_plan, plugins
from hub_core.errors import (
    ConvertError,
    HubError,
    InstallError,
    IntegrityError,
    ManifestError,
    NotFoundError,
    ResolutionError,
    SettingsError,
    SourceError,
)
from hub_core.hookspecs import hookimpl
from hub_core.installation import ensure, install, resolve
from hub_core.paths import bundled, sha256_file
from hub_core.registry import Registry, build_registry, bundled_registry
from hub_core.spec import ModuleSpec, read_manifest
from hub_core.store import Store

WEIGHTS = safetensors(7)
DIGEST = hashlib.sha256(WEIGHTS).hexdigest()
FOREIGN = b"foreign weights"


@pytest.fixture(autouse=True)
def quiet_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_source, "BACKOFF", 0)
    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.delenv("HF_ENDPOINT", raising=False)
    monkeypatch.setattr("huggingface_hub.get_token", lambda: None)


@pytest.fixture(autouse=True)
def converter(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str | None, Mapping[str, Any] | None]]:
    """Foreign files become good ones; what was asked of the converter is returned."""
    asked: list[tuple[str, str | None, Mapping[str, Any] | None]] = []

    def convert_file(
        source: Path, out: Path, *, kind: str, family: str | None = None, config: Mapping[str, Any] | None = None
    ) -> None:
        asked.append((kind, family, config))
        if source.read_bytes() != FOREIGN:
            raise ConvertError(f"{source} is not what it should be")
        out.write_bytes(b"word\n" if kind == "paddle-words" else WEIGHTS)

    monkeypatch.setattr(hub_core.convert, "convert_file", convert_file, raising=False)
    return asked


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(bundled_modules=tmp_path / "no-modules")


@pytest.fixture
def site() -> Iterator[Loopback]:
    with Loopback({"/w.bin": FOREIGN, "/vocab.txt": VOCABULARY, "/w.safetensors": WEIGHTS}) as running:
        yield running


def file(path: str, *urls: str, **more: Any) -> dict[str, Any]:
    return {"path": path, "sources": [{"url": url, **more} for url in urls]}


def registry_of(tmp_path: Path, *specs: ModuleSpec) -> Registry:
    modules = {item.canonical: (item,) for item in specs}
    return Registry("test", modules, tmp_path / "modules" if (tmp_path / "modules").is_dir() else None)


def everything(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def nothing_installed(store: Store) -> bool:
    return not store.installed() and not store.broken() and not list(store.home.glob("modules/*"))


# registered names


def test_a_registered_module(
    site: Loopback, tmp_path: Path, store: Store, converter: list[tuple[str, str | None, Mapping[str, Any] | None]]
) -> None:
    own = tmp_path / "modules" / "My_Module"
    own.mkdir(parents=True)
    for name in ("README.md", "module.json", "words.tsv"):
        (own / name).write_text("card")
    what = spec(
        "My_Module",
        "2.0.2",
        also_versions=["2.0.1"],
        files=[
            {"path": "model.safetensors", "sources": [{"url": f"{site.url}/w.bin", "convert": "torch"}]},
            file("vocab.txt", f"{site.url}/vocab.txt"),
            {"path": "words.tsv"},
        ],
    )
    told: list[str] = []
    item = install(
        "my-module==2.0.1",
        store=store,
        registry=registry_of(tmp_path, what),
        progress=lambda name, done, total: told.append(name),
    )
    assert everything(item.folder) == {
        *("model.safetensors", "vocab.txt", "words.tsv", "README.md", "config.json", "module.json", "receipt.json")
    }
    assert item.spec == what and (item.folder / "model.safetensors").read_bytes() == WEIGHTS
    assert converter == [("torch", "bert", CONFIG)]
    assert {"model.safetensors", "vocab.txt"} <= set(told)
    assert json.loads((item.folder / "config.json").read_text()) == {"model_type": "bert", **CONFIG}
    assert item.receipt is not None and item.receipt.origin == "registry test"
    weights = item.receipt.downloads[0]
    assert (weights.url, weights.sha256) == (f"{site.url}/w.bin", hashlib.sha256(FOREIGN).hexdigest())
    assert item.receipt.files["model.safetensors"].sha256 == DIGEST
    store.verify(item)


def test_what_is_installed_answers_without_network(
    tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(module_folder(tmp_path / "m", "small", "1.0"), store=store)

    def refuse(*arguments: object, **options: object) -> None:
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket, "socket", refuse)
    newer = registry_of(tmp_path, spec("small", "2.0", files=[file("model.safetensors", "https://a.example/x")]))
    for wanted, version in (("small", None), ("Small", "1.0"), ("small>=1,<2", None)):
        for call in (install, ensure):
            assert call(wanted, version=version, store=store, registry=newer).spec.version == "1.0"
        assert resolve(wanted, version, store=store, registry=newer).version == "1.0"
    assert resolve("small>1", store=store, registry=newer).version == "2.0"
    with pytest.raises(InstallError, match="network is forbidden"):
        ensure("small>1", store=store, registry=newer, offline=True)


def test_the_first_usable_address_counts(
    site: Loopback, tmp_path: Path, store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    site.files["/bad.safetensors"] = b"<html>404 but with status 200</html>"
    what = spec(
        files=[
            {
                "path": "model.safetensors",
                "sources": [
                    {"url": f"{site.url}/none"},
                    {"url": f"{site.url}/bad.safetensors"},
                    {"url": f"{site.url}/vocab.txt", "convert": "paddle"},
                    {"url": f"{site.url}/w.safetensors", "sha256": "0" * 64},
                    {"url": f"{site.url}/w.safetensors", "size": len(WEIGHTS), "sha256": DIGEST},
                ],
            }
        ]
    )
    with caplog.at_level(logging.WARNING, logger="hub_core"):
        item = install("small", store=store, registry=registry_of(tmp_path, what))
    assert item.receipt is not None and item.receipt.downloads[0].sha256 == DIGEST
    passed_over = [record.getMessage() for record in caplog.records if record.name == "hub_core"]
    assert len(passed_over) == 4 and all("small 1.0: passed over an address" in line for line in passed_over)
    assert everything(item.folder) == {"model.safetensors", "config.json", "module.json", "receipt.json"}


def test_no_usable_address_lists_each_with_the_remedy(site: Loopback, tmp_path: Path, store: Store) -> None:
    urls = [f"{site.url}/none?token=secret", f"{site.url}/vocab.txt", "ftp://a.example/x"]
    known = registry_of(tmp_path, spec(files=[file("model.safetensors", *urls)]))
    with pytest.raises(InstallError) as caught:
        install("small", store=store, registry=known)
    text = str(caught.value)
    assert text.startswith("small 1.0 was not installed: no address has a usable model.safetensors:\n")
    assert f"  {site.url}/none?***: 404 Not Found" in text and "secret" not in text
    assert f"  {site.url}/vocab.txt: model.safetensors is no safetensors file" in text
    assert "ftp is not known" in text
    assert "`hub convert FOLDER OUT`" in text and "`hub install ./OUT`" in text and "HUB_MIRRORS" in text
    assert not isinstance(caught.value, IntegrityError) and isinstance(caught.value.__context__, HubError)
    assert "".join(traceback.format_exception(caught.value)).count("Traceback") == 1
    assert nothing_installed(store)


def test_other_bytes_than_stated(site: Loopback, tmp_path: Path, store: Store) -> None:
    known = registry_of(tmp_path, spec(files=[file("model.safetensors", f"{site.url}/w.safetensors", sha256="0" * 64)]))
    with pytest.raises(IntegrityError, match=f"its sha256 is {DIGEST}, expected {'0' * 64}"):
        install("small", store=store, registry=known)
    assert nothing_installed(store)


def test_the_first_install_pins_an_address(site: Loopback, tmp_path: Path, store: Store) -> None:
    known = registry_of(tmp_path, spec(files=[file("model.safetensors", f"{site.url}/w.safetensors")]))
    install("small", store=store, registry=known)
    store.remove("small")
    changed = safetensors(8)
    site.files["/w.safetensors"] = changed
    with pytest.raises(IntegrityError) as caught:
        install("small", store=store, registry=known)
    text = str(caught.value)
    assert DIGEST in text and hashlib.sha256(changed).hexdigest() in text
    assert "the first install from there brought" in text and str(store.home / "pins.json") in text
    assert nothing_installed(store)
    site.files["/w.safetensors"] = WEIGHTS
    install("small", store=store, registry=known)


def test_a_failed_install_pins_nothing(site: Loopback, tmp_path: Path, store: Store) -> None:
    files = [file("vocab.txt", f"{site.url}/vocab.txt"), file("model.safetensors", f"{site.url}/none")]
    with pytest.raises(InstallError):
        install("small", store=store, registry=registry_of(tmp_path, spec(files=files)))
    assert not (store.home / "pins.json").exists()


def test_a_file_that_is_here_already_is_not_fetched_again(site: Loopback, tmp_path: Path, store: Store) -> None:
    files = [file("model.safetensors", f"{site.url}/w.safetensors", sha256=DIGEST)]
    known = registry_of(tmp_path, spec("one", files=files), spec("two", files=files))
    first, second = (install(name, store=store, registry=known) for name in ("one", "two"))
    assert site.paths == ["/w.safetensors"]
    assert (first.folder / "model.safetensors").samefile(second.folder / "model.safetensors")


def test_mirrors_in_the_variable(tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mirror" / "paddle").mkdir(parents=True)
    (tmp_path / "mirror" / "paddle" / "w.pdparams").write_bytes(FOREIGN)
    (tmp_path / "hf" / "org" / "repo").mkdir(parents=True)
    (tmp_path / "hf" / "org" / "repo" / "vocab.txt").write_bytes(VOCABULARY)
    mirrors = {"https://a.example": tmp_path / "mirror", "https://huggingface.co": tmp_path / "hf"}
    monkeypatch.setenv("HUB_MIRRORS", ",".join(f"{prefix}={folder.as_uri()}" for prefix, folder in mirrors.items()))
    files = [
        file("model.safetensors", "https://a.example/paddle/w.pdparams", convert="paddle"),
        file("vocab.txt", "hf://org/repo@main/vocab.txt"),
    ]
    item = install("small", store=store, registry=registry_of(tmp_path, spec(files=files)), offline=True)
    assert (item.folder / "vocab.txt").read_bytes() == VOCABULARY
    pins = json.loads((store.home / "pins.json").read_text())
    assert set(pins) == {"https://a.example/paddle/w.pdparams", "hf://org/repo@main/vocab.txt"}


@pytest.mark.parametrize("name", sorted(bundled_registry().modules))
def test_every_registered_module_installs_from_a_mirror(
    name: str, tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    what = bundled_registry().versions(name)[0]
    if (bundled("modules") / what.name / "model.safetensors").is_file():
        assert ensure(name, store=Store(), offline=True).bundled
        return
    if what.unavailable:
        with pytest.raises(InstallError, match=rf"cannot be fetched: published .* --name {what.name} --version 1.0.0`"):
            install(name, store=store, offline=True)
        return
    for path, place in ((item.path, source) for item in what.files for source in item.sources):
        local = place.url.removeprefix("hf://").replace("@main", "").removeprefix("https://bj.bcebos.com/")
        (tmp_path / local).parent.mkdir(parents=True, exist_ok=True)
        as_it_is = path == "model.safetensors" and place.convert is None
        (tmp_path / local).write_bytes(WEIGHTS if as_it_is else FOREIGN)
    root = tmp_path.as_uri()
    monkeypatch.setenv("HUB_MIRRORS", f"https://huggingface.co={root},https://bj.bcebos.com={root}")
    item = install(name, store=store, offline=True)
    assert {path.path for path in what.files} | {"README.md", "config.json"} <= everything(item.folder)
    assert item.spec == what and ensure(name, store=store, offline=True) == item
    store.verify(item)


def test_names_that_nobody_knows(tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    known = registry_of(tmp_path, spec("ernie_tiny"))
    with pytest.raises(NotFoundError, match="unknown module 'ernie_tny'; did you mean 'ernie_tiny'"):
        install("ernie_tny", store=store, registry=known)
    with pytest.raises(ResolutionError, match=r"1.0 is not ==7"):
        ensure("ernie_tiny", version="7", store=store, registry=known)
    monkeypatch.chdir(tmp_path)
    module_folder(tmp_path / "lying-about", "other")
    with pytest.raises(NotFoundError, match=r"for the folder of that name write ./lying-about"):
        install("lying-about", store=store, registry=known)
    module_folder(tmp_path / "ckpt" / "best_model", "best")
    with pytest.raises(
        NotFoundError, match=r"^for the folder of that name write ./ckpt/best_model; unknown module 'ckpt'"
    ):
        install("ckpt", store=store, registry=known)
    with pytest.raises(InstallError, match="ckpt is no module folder; ckpt/best_model is one"):
        install("./ckpt", store=store, registry=known)
    assert install("./lying-about", store=store).spec.name == "other"


def test_a_module_without_weights(site: Loopback, tmp_path: Path, store: Store) -> None:
    known = registry_of(tmp_path, spec(files=[file("vocab.txt", f"{site.url}/vocab.txt")]))
    with pytest.raises(InstallError, match=r"registry test gives no model.safetensors"):
        install("small", store=store, registry=known)
    none = registry_of(tmp_path, spec(files=[{"path": "model.safetensors", "sources": []}]))
    with pytest.raises(InstallError, match=r"no address has a usable model.safetensors"):
        install("small", store=store, registry=none)
    assert nothing_installed(store)


# folders


def test_a_checkpoint_is_a_module(tmp_path: Path, store: Store) -> None:
    folder = module_folder(tmp_path / "best_model", "mine", "0.1.0", heads=[{"task": "seq-cls", "labels": ["a", "b"]}])
    for passed_over in ("state/optimizer.pt", ".git/config", "__pycache__/x.pyc"):
        (folder / passed_over).parent.mkdir(parents=True, exist_ok=True)
        (folder / passed_over).write_bytes(b"x")
    (folder / "receipt.json").write_text("of another store")
    item = install(folder, store=store)
    assert item.spec == read_manifest(folder)
    assert everything(item.folder) == {
        *("model.safetensors", "vocab.txt", "README.md", "config.json", "module.json", "receipt.json")
    }
    assert json.loads((item.folder / "config.json").read_text())["id2label"] == {"0": "a", "1": "b"}
    assert item.receipt is not None and item.receipt.origin == str(folder)


def test_a_folder_that_changed_is_installed_anew(tmp_path: Path, store: Store) -> None:
    folder = module_folder(tmp_path / "m", fill=1)
    install(folder, store=store)
    (folder / "model.safetensors").write_bytes(safetensors(2))
    item = ensure(str(folder), store=store)
    assert (item.folder / "model.safetensors").read_bytes() == safetensors(2)
    store.verify(item)
    assert len(store.installed()) == 1 and not (store.home / "pins.json").exists()


def test_another_module_of_the_same_name_and_version(tmp_path: Path, store: Store) -> None:
    install(module_folder(tmp_path / "one"), store=store)
    with pytest.raises(InstallError, match=r"installed already, from .*one; .* or `hub uninstall small==1.0` first"):
        install(module_folder(tmp_path / "two"), store=store)
    module_folder(tmp_path / "modules" / "inside", "inside")
    with pytest.raises(InstallError, match=r"inside 1.0 came with hub_core"):
        install(module_folder(tmp_path / "three", "inside"), store=Store(bundled_modules=tmp_path / "modules"))


def test_what_a_folder_lacks_is_fetched_as_its_manifest_says(site: Loopback, tmp_path: Path, store: Store) -> None:
    folder = module_folder(
        tmp_path / "m",
        files=[
            file("model.safetensors", f"{site.url}/w.safetensors", sha256=DIGEST),
            {"path": "vocab.txt", "sources": [{"url": f"{site.url}/none"}]},
            {"path": "sub/extra.txt", "sources": [{"url": "README.md"}]},
        ],
    )
    (folder / "model.safetensors").unlink()
    item = install(folder, store=store)
    assert sha256_file(item.folder / "model.safetensors") == DIGEST and site.paths == ["/w.safetensors"]
    assert (item.folder / "sub" / "extra.txt").read_text() == "# small\n"


@pytest.mark.parametrize(
    "name", ["evil.py", "lib.so", "model.pt", "x.pkl", "pytorch_model.bin", "sub/plugin.py", "a\\b"]
)
def test_files_that_a_module_may_not_have(tmp_path: Path, store: Store, name: str) -> None:
    folder = module_folder(tmp_path / "m")
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_bytes(b"x")
    with pytest.raises(InstallError, match="which a module may not have"):
        install(folder, store=store)
    assert nothing_installed(store)


def test_pictures_of_a_card_are_left_behind(tmp_path: Path, store: Store) -> None:
    folder = module_folder(tmp_path / "m")
    (folder / "curve.svg").write_text("<svg/>")
    item = install(folder, store=store)
    assert not (item.folder / "curve.svg").exists() and (item.folder / "model.safetensors").is_file()


def test_folders_of_the_bundled_registry_can_be_named(tmp_path: Path) -> None:
    store = Store(tmp_path / "home")
    folders = [path.parent for path in bundled("modules").glob("*/model.safetensors")]
    assert "zh_mini_wwm" in {folder.name for folder in folders}
    for folder in folders:
        assert install(folder, store=store).folder == folder
        mine = install(folder, store=store, as_name=f"my-{folder.name}")
        assert mine.folder.is_relative_to(store.home) and (mine.folder / "model.safetensors").is_file()
    assert len(list(store.home.rglob("model.safetensors"))) == len(folders)


def test_damaged_weights_of_a_folder(tmp_path: Path, store: Store) -> None:
    folder = module_folder(tmp_path / "m")
    (folder / "model.safetensors").write_bytes(safetensors()[:-3])
    with pytest.raises(InstallError, match=r"model.safetensors has 61 bytes of tensors where its header says 64"):
        install(folder, store=store)
    assert nothing_installed(store)


def test_old_names_of_tensors_are_renamed(
    tmp_path: Path, store: Store, converter: list[tuple[str, str | None, Mapping[str, Any] | None]]
) -> None:
    header = b'{"bert.embeddings.LayerNorm.gamma":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}'
    folder = module_folder(tmp_path / "m")
    (folder / "model.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + b"x")
    with pytest.raises(InstallError, match=r": model.safetensors is not what it should be"):
        install(folder, store=store)
    assert converter == [("torch", "bert", CONFIG)] and nothing_installed(store)


def test_folders_that_are_none(tmp_path: Path, store: Store) -> None:
    with pytest.raises(NotFoundError, match=r"there is no folder org/repo; .* is written hf:org/repo"):
        install("org/repo", store=store)
    (tmp_path / "empty").mkdir()
    with pytest.raises(HubError, match="neither a module folder nor in Hugging Face's layout"):
        install(tmp_path / "empty", store=store)
    (tmp_path / "empty" / "module.json").write_text('{"name": "../../evil"}')
    with pytest.raises(ManifestError):
        install(tmp_path / "empty", store=store)
    assert nothing_installed(store)


@pytest.mark.parametrize("weights", ["model.safetensors", "pytorch_model.bin"])
def test_a_folder_in_hugging_faces_layout(tmp_path: Path, store: Store, weights: str) -> None:
    folder = tmp_path / "rbt"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"model_type": "bert", **CONFIG, "_name_or_path": "/home/x"}))
    (folder / "vocab.txt").write_bytes(VOCABULARY)
    (folder / "training_args.bin").write_bytes(b"a pickle")
    (folder / weights).write_bytes(WEIGHTS if weights == "model.safetensors" else FOREIGN)
    item = install(folder, store=store)
    assert item.spec.title == "rbt 0.0.0" and (item.folder / "model.safetensors").read_bytes() == WEIGHTS
    assert everything(item.folder) == {"model.safetensors", "vocab.txt", "config.json", "module.json", "receipt.json"}
    assert "_name_or_path" not in (item.folder / "config.json").read_text()


def test_weights_in_several_files(tmp_path: Path, store: Store) -> None:
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "config.json").write_text(json.dumps({"model_type": "bert", **CONFIG}))
    (tmp_path / "m" / "vocab.txt").write_bytes(VOCABULARY)
    with pytest.raises(InstallError, match=r"has neither model.safetensors nor pytorch_model.bin"):
        install(tmp_path / "m", store=store)
    (tmp_path / "m" / "model.safetensors.index.json").write_text('{"weight_map": {"x": "../../../etc/passwd"}}')
    with pytest.raises(InstallError, match="has weights in several files; `hub convert FOLDER OUT`"):
        install(tmp_path / "m", store=store)


# manifests on the web


def publish(site: Loopback, **changes: Any) -> str:
    files = changes.pop("files", [{"path": "model.safetensors"}, {"path": "vocab.txt"}])
    site.files["/m/module.json"] = json.dumps(manifest("published", **changes, files=files)).encode()
    site.files.update({"/m/model.safetensors": WEIGHTS, "/m/vocab.txt": VOCABULARY})
    return f"{site.url}/m/module.json"


def test_a_manifest_on_the_web(site: Loopback, store: Store) -> None:
    url = publish(
        site,
        files=[
            file("model.safetensors", "model.safetensors", size=len(WEIGHTS), sha256=DIGEST),
            file("vocab.txt", f"{site.url}/vocab.txt"),
            {"path": "README.md", "sources": [{"url": "vocab.txt"}]},
        ],
    )
    item = install(url, store=store)
    assert item.spec.name == "published" and (item.folder / "README.md").read_bytes() == VOCABULARY
    assert item.receipt is not None and item.receipt.origin == url
    assert set(json.loads((store.home / "pins.json").read_text())) == {
        f"{site.url}/vocab.txt",
        f"{site.url}/m/vocab.txt",
    }
    count = len(site.seen)
    assert ensure(url, store=store) == item and resolve(url, store=store) == item.spec
    assert len(site.seen) == count


def test_a_query_stays_with_the_manifest(site: Loopback, store: Store) -> None:
    item = install(publish(site) + "?token=secret", store=store)
    assert item.receipt is not None and "secret" not in (item.folder / "receipt.json").read_text()
    assert site.paths == ["/m/module.json?token=secret", "/m/model.safetensors", "/m/vocab.txt"]
    assert install(publish(site) + "?token=secret", store=store).spec == item.spec


@pytest.mark.parametrize(
    ("content", "error", "text"),
    [
        (b"<html>", ManifestError, "line 1"),
        (b"\xff\xfe", InstallError, "is not a module.json"),
        (b" " * (5 << 20), IntegrityError, "more than"),
        (json.dumps(manifest(files=[{"path": "../../evil"}])).encode(), ManifestError, "not a plain relative path"),
        (json.dumps(manifest(files=[{"path": "/etc/cron.d/x"}])).encode(), ManifestError, "not a plain relative path"),
        (
            json.dumps(manifest(files=[file("a", "file:///etc/passwd")])).encode(),
            InstallError,
            "may not name file:///etc/passwd",
        ),
    ],
)
def test_hostile_manifests(
    site: Loopback, store: Store, content: bytes, error: type[Exception], text: str, tmp_path: Path
) -> None:
    before = everything(tmp_path)
    site.files["/m/module.json"] = content
    with pytest.raises(error, match=text):
        install(f"{site.url}/m/module.json", store=store)
    assert nothing_installed(store) and everything(tmp_path) == before


def test_a_manifest_that_is_not_there(site: Loopback, store: Store) -> None:
    with pytest.raises(SourceError, match="404"):
        install(f"{site.url}/none/module.json", store=store)
    with pytest.raises(NotFoundError, match="is not installed; `hub install http"):
        resolve(f"{site.url}/none/module.json", store=store)


# Hugging Face


REPOSITORY: Mapping[str, bytes] = {
    "config.json": json.dumps(
        {
            "model_type": "bert",
            **CONFIG,
            "architectures": ["BertForTokenClassification"],
            "id2label": {"0": "B-X", "1": "O"},
        }
    ).encode(),
    "tokenizer_config.json": b'{"do_lower_case": false}',
    "vocab.txt": VOCABULARY,
    "README.md": b"# card",
    "model.safetensors": WEIGHTS,
    "flax_model.msgpack": b"no",
    "modeling_evil.py": b"raise SystemExit",
    "sub/other.txt": b"no",
}


def test_a_repository(site: Loopback, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    site.serve_repository("org/repo", REPOSITORY)
    monkeypatch.setenv("HF_ENDPOINT", site.url)
    item = install("hf:org/repo", store=store)
    assert (item.spec.name, item.spec.version) == ("hf.org.repo", "0.0.0+c0ffeec0ffee")
    assert item.spec.tokenizer == {"type": "wordpiece", "lowercase": False, "symbols": "keep"}
    assert item.spec.heads[0].labels == ("B-X", "O")
    assert everything(item.folder) == {
        *("model.safetensors", "vocab.txt", "tokenizer_config.json", "README.md"),
        *("config.json", "module.json", "receipt.json"),
    }
    weights = item.spec.files[0].sources[0]
    assert weights.sha256 == DIGEST and weights.url.startswith("hf://org/repo@c0ffee")
    assert item.receipt is not None and item.receipt.origin == "hf:org/repo@main"
    monkeypatch.setenv("HUB_OFFLINE", "1")
    for wanted in ("hf:org/repo", "hf:org/repo@main"):
        assert ensure(wanted, store=store) == item
    with pytest.raises(SourceError, match="network is forbidden"):
        ensure("hf:org/other", store=store)


def test_a_repositorys_commits_live_side_by_side(site: Loopback, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", site.url)
    site.serve_repository("org/repo", REPOSITORY, commit="a" * 40)
    first = install("hf:org/repo", store=store)
    assert install("hf:org/repo", store=store) == first
    assert install(f"hf:org/repo@{'a' * 40}", store=store) == first
    site.serve_repository("org/repo", {**REPOSITORY, "model.safetensors": safetensors(9)}, commit="b" * 40)
    second = install("hf:org/repo", store=store)
    assert second.spec.version == "0.0.0+bbbbbbbbbbbb" and len(store.installed()) == 2
    assert ensure("hf:org/repo", store=store) == second
    assert (second.folder / "vocab.txt").samefile(first.folder / "vocab.txt")


def test_a_pickled_repository_is_converted(
    site: Loopback,
    store: Store,
    monkeypatch: pytest.MonkeyPatch,
    converter: list[tuple[str, str | None, Mapping[str, Any] | None]],
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", site.url)
    files = {name: content for name, content in REPOSITORY.items() if name != "model.safetensors"}
    site.serve_repository("gpt", {**files, "pytorch_model.bin": FOREIGN})
    item = install("hf:gpt", store=store)
    assert item.spec.name == "hf.gpt" and converter == [("torch", "bert", CONFIG)]
    assert "pytorch_model.bin" not in everything(item.folder)


def test_a_tampered_repository(site: Loopback, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """The site states the hash; a mirror in between that keeps the size is found out."""
    monkeypatch.setenv("HF_ENDPOINT", site.url)
    site.serve_repository("org/repo", REPOSITORY)
    for path in [path for path in site.files if path.endswith("repo/model.safetensors") or "resolve" in path]:
        if path.endswith("model.safetensors"):
            site.files[path] = safetensors(66)
    with pytest.raises(IntegrityError, match=DIGEST):
        install("hf:org/repo", store=store)
    assert nothing_installed(store)


def test_a_repository_in_a_mirror_folder(tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, content in REPOSITORY.items():
        path = tmp_path / "hf" / "org" / "repo" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    monkeypatch.setenv("HUB_MIRRORS", f"https://huggingface.co={(tmp_path / 'hf').as_uri()}")
    item = install("hf:org/repo", store=store, offline=True)
    assert item.spec.version == "0.0.0"
    (tmp_path / "hf" / "org" / "repo" / "model.safetensors").write_bytes(safetensors(5))
    store.remove(item.spec.name)
    with pytest.raises(IntegrityError, match="the first install from there brought"):
        install("hf:org/repo", store=store, offline=True)


@pytest.mark.parametrize(
    ("files", "error", "text"),
    [
        ({"model.safetensors": WEIGHTS}, InstallError, "has no config.json"),
        ({"config.json": b"{}", "tokenizer.json": b"{}"}, InstallError, "neither model.safetensors nor"),
        ({"config.json": b"{", "model.safetensors": WEIGHTS}, ManifestError, "cannot be read"),
        (
            {"config.json": b'{"model_type": "bert", "auto_map": {}}', "model.safetensors": WEIGHTS},
            ManifestError,
            "asks for code",
        ),
    ],
)
def test_repositories_that_are_no_modules(
    site: Loopback,
    store: Store,
    monkeypatch: pytest.MonkeyPatch,
    files: Mapping[str, bytes],
    error: type[Exception],
    text: str,
) -> None:
    monkeypatch.setenv("HF_ENDPOINT", site.url)
    site.serve_repository("org/repo", files)
    with pytest.raises(error, match=text):
        install("hf:org/repo", store=store)
    assert nothing_installed(store)


def test_requests_that_make_no_sense(tmp_path: Path, store: Store) -> None:
    for wanted in ("hf:", "hf:a/b/c", "hf:a@b@c", "hf:../x"):
        with pytest.raises(SettingsError, match="is not a repository at Hugging Face"):
            install(wanted, store=store)
    for call in (install, ensure):
        for address in ("hf:a/b", tmp_path, "https://a.example/module.json"):
            with pytest.raises(SettingsError, match="is for registered names"):
                call(address, version="1.0", store=store)


@pytest.mark.parametrize(
    ("wanted", "kind"),
    [
        ("ernie_tiny>=2", "name"),
        ("hf:org/repo", "hf"),
        ("hf://org/repo@main/module.json", "manifest"),
        ("https://a.example/module.json", "manifest"),
        ("./ernie", "folder"),
        ("ckpt/best_model", "folder"),
        ("C:\\models\\x", "folder"),
        ("~/x", "folder"),
        (Path("ernie"), "folder"),
    ],
)
def test_what_a_request_is(wanted: str | Path, kind: str) -> None:
    assert install_plan.request_kind(wanted) == kind


# what can go wrong


class Opinion:
    """A plugin that looks at modules before they are installed."""

    def __init__(self, error: Exception | None) -> None:
        self.error = error
        self.seen: list[tuple[str, set[str]]] = []

    @hookimpl
    def hub_verify(self, spec: ModuleSpec, folder: Path) -> None:
        self.seen.append((spec.title, everything(folder)))
        if self.error is not None:
            raise self.error


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (None, None),
        (InstallError("no licence"), "^no licence$"),
        (KeyError("x"), "small 1.0 was not installed: a plugin failed while looking at it: 'x'"),
    ],
)
def test_plugins_may_refuse_a_module(tmp_path: Path, store: Store, error: Exception | None, text: str | None) -> None:
    opinion = Opinion(error)
    manager = plugins.manager()
    manager.register(opinion)
    try:
        if text is None:
            install(module_folder(tmp_path / "m"), store=store)
        else:
            with pytest.raises(InstallError, match=text):
                install(module_folder(tmp_path / "m"), store=store)
            assert nothing_installed(store)
    finally:
        manager.unregister(opinion)
    ((title, files),) = opinion.seen
    assert title == "small 1.0" and {"model.safetensors", "vocab.txt"} <= files


def test_a_full_disk_leaves_nothing(tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = module_folder(tmp_path / "m")
    opened = Path.open

    class Full:
        def __init__(self, inner: Any) -> None:
            self.inner = inner

        def write(self, block: bytes) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

        def close(self) -> None:
            self.inner.close()

    def full(self: Path, mode: str = "r", *arguments: Any, **options: Any) -> Any:
        stream = opened(self, mode, *arguments, **options)
        return Full(stream) if mode == "wb" and self.name == "model.safetensors" else stream

    with monkeypatch.context() as patched, pytest.raises(InstallError, match="No space left on device") as caught:
        patched.setattr(Path, "open", full)
        install(folder, store=store)
    assert isinstance(caught.value.__cause__, OSError)
    assert nothing_installed(store)


def test_a_home_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    store = Store(tmp_path / "file" / "home", bundled_modules=tmp_path / "none")
    with pytest.raises(InstallError, match="set HUB_HOME to a folder that you can write to"):
        install(module_folder(tmp_path / "m"), store=store)


PROGRAM = """
import sys
from pathlib import Path
from hub_core import http_source
from hub_core.installation import install
from hub_core.store import Store
item = install(sys.argv[1], store=Store(bundled_modules=Path("/nonexistent")))
print(item.folder, flush=True)
"""


def start(url: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, url],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parent.parent,
    )


def slow(content: bytes, seconds: float) -> Any:
    def answer(request: Answer) -> None:
        request.send_response(200)
        request.send_header("Content-Length", str(len(content)))
        request.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()[:16]}"')
        request.end_headers()
        try:
            request.wfile.write(content[: len(content) // 2])
            request.wfile.flush()
            time.sleep(seconds)
            request.wfile.write(content[len(content) // 2 :])
        except OSError:
            request.close_connection = True

    return answer


def test_two_processes_install_the_same_module(site: Loopback, store: Store) -> None:
    url = publish(site, files=[file("model.safetensors", "model.safetensors", sha256=DIGEST), {"path": "vocab.txt"}])
    site.hooks["/m/model.safetensors"] = slow(WEIGHTS, 0.3)
    processes = [start(url) for _ in range(2)]
    outputs = [process.communicate(timeout=60) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], outputs
    assert outputs[0][0] == outputs[1][0]
    (item,) = store.installed()
    store.verify(item)
    assert {path.name for path in item.folder.parent.iterdir()} == {"1.0"}


def test_killed_in_the_middle(site: Loopback, store: Store) -> None:
    large = safetensors(3, size=1 << 20)
    digest = hashlib.sha256(large).hexdigest()
    url = publish(site, files=[file("model.safetensors", "model.safetensors", sha256=digest)])
    site.files["/m/model.safetensors"] = large
    site.hooks["/m/model.safetensors"] = slow(large, 60)
    process = start(url)
    deadline = time.monotonic() + 30
    while not any(path.stat().st_size > 1 << 20 for path in store.home.glob("partial/.*.tmp")):
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert store.installed() == [] and store.broken() == []
    del site.hooks["/m/model.safetensors"]
    for orphan in store.home.glob("partial/.*.tmp"):  # as it looks to somebody who comes ten minutes later
        os.utime(orphan, (time.time() - 700, time.time() - 700))
    site.seen.clear()
    item = install(url, store=store)
    store.verify(item)
    (weights,) = [request for request in site.seen if request.path.endswith("safetensors")]
    assert int(weights.headers["range"][6:-1]) >= 1 << 20
    assert list(store.home.glob("partial/*")) == [] and list(store.home.glob("partial/.*")) == []


def test_nothing_heavy_is_imported_before_it_is_needed() -> None:
    heavy = ("torch", "transformers", "numpy", "requests", "urllib3", "huggingface_hub", "safetensors", "tokenizers")
    program = f"import sys, hub_core.installation, hub_core.trust; print([m for m in {heavy} if m in sys.modules])"
    root = Path(__file__).parent.parent
    result = subprocess.run([sys.executable, "-c", program], cwd=root, capture_output=True, text=True, check=True)
    assert result.stdout == "[]\n"


def test_the_bundled_registry_is_used_where_none_is_given(tmp_path: Path, hub_home: Path) -> None:
    assert resolve("ernie_tiny", "2.0.1").title == "ernie_tiny 2.0.2"
    with pytest.raises(InstallError, match=r"ernie_tiny 2.0.2 was not installed(.|\n)*network is forbidden"):
        install("ernie_tiny", offline=True)
    assert not list(hub_home.glob("modules/*"))
    record = build_registry(Path(__file__).parent.parent / "modules")
    assert record["registry_id"] == bundled_registry().registry_id
