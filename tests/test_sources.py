from __future__ import annotations

import errno
import hashlib
import os
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from loopback import Answer, Loopback

from hub_core import http_source, partials
from hub_core.errors import InstallError, IntegrityError, SourceError
from hub_core.mirrors import Mirror
from hub_core.paths import hub_home
from hub_core.sources import HfFile, fetch, list_hf, offline_now

CONTENT = bytes(range(256)) * 12_000  # three blocks
DIGEST = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_source, "BACKOFF", 0)
    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.setattr("huggingface_hub.get_token", lambda: None)


@pytest.fixture
def site() -> Iterator[Loopback]:
    with Loopback({"/m.bin": CONTENT}) as running:
        yield running


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "target.bin"


def kept() -> list[Path]:
    """What is left of broken transfers."""
    return sorted(hub_home().glob("partial/*")) + sorted(hub_home().glob("partial/.*"))


def test_a_file_over_http(site: Loopback, target: Path) -> None:
    told: list[tuple[str, int, int | None]] = []
    got = fetch(f"{site.url}/m.bin", target, progress=lambda *step: told.append(step), what="model")
    assert target.read_bytes() == CONTENT
    assert (got.size, got.sha256, got.url) == (len(CONTENT), DIGEST, f"{site.url}/m.bin")
    assert told[-1] == ("model", len(CONTENT), len(CONTENT)) and len(told) == 3
    assert site.seen[0].headers["accept-encoding"] == "identity"
    assert site.seen[0].headers["user-agent"].startswith("hub_core/")


def test_size_and_hash_are_checked(site: Loopback, target: Path) -> None:
    url = f"{site.url}/m.bin"
    assert fetch(url, target, size=len(CONTENT), sha256=DIGEST).sha256 == DIGEST
    for known in ({"size": len(CONTENT) - 1}, {"size": len(CONTENT) + 1}, {"sha256": "0" * 64}, {"sha256": "../../x"}):
        with pytest.raises(IntegrityError):
            fetch(url, target, **known)  # type: ignore[arg-type]
        assert not target.exists() and kept() == []


def test_a_tampered_file_names_both_hashes(site: Loopback, target: Path) -> None:
    changed = CONTENT[:-1] + b"!"
    site.files["/m.bin"] = changed
    with pytest.raises(IntegrityError) as caught:
        fetch(f"{site.url}/m.bin", target, size=len(CONTENT), sha256=DIGEST)
    assert DIGEST in str(caught.value) and hashlib.sha256(changed).hexdigest() in str(caught.value)


def test_an_endless_stream_is_cut(site: Loopback, target: Path) -> None:
    sent = 0

    def endless(request: Answer) -> None:
        nonlocal sent
        request.send_response(200)
        request.send_header("Transfer-Encoding", "chunked")
        request.end_headers()
        try:
            while sent < 1 << 30:
                request.wfile.write(b"10000\r\n" + bytes(1 << 16) + b"\r\n")
                sent += 1 << 16
        except OSError:
            request.close_connection = True

    site.hooks["/endless"] = endless
    for known, text in (({"size": 100}, "more bytes than the expected 100"), ({"limit": 1 << 20}, "more than 1048576")):
        with pytest.raises(IntegrityError, match=text):
            fetch(f"{site.url}/endless", target, **known)  # type: ignore[arg-type]
        assert not target.exists()
    assert sent < 1 << 28


def test_a_stated_length_that_is_too_large_is_refused_at_once(site: Loopback, target: Path) -> None:
    site.hooks["/m.bin"] = lambda request: request.send(200, b"x", {"Content-Length": str(1 << 40)})
    with pytest.raises(IntegrityError, match="more than"):
        fetch(f"{site.url}/m.bin", target)


@pytest.mark.parametrize("header", ["Content-Encoding", "Transfer-Encoding"])
def test_compressed_answers_are_refused(site: Loopback, target: Path, header: str) -> None:
    site.hooks["/m.bin"] = lambda request: request.send(200, b"\x1f\x8b", {header: "gzip"})
    with pytest.raises(SourceError, match="the server sends gzip-encoded bytes"):
        fetch(f"{site.url}/m.bin", target)


def test_a_broken_transfer_of_known_bytes_goes_on_where_it_stopped(site: Loopback, target: Path) -> None:
    half = 1 << 20
    site.once("/m.bin", lambda request: request.break_off(CONTENT, half))
    assert fetch(f"{site.url}/m.bin", target, sha256=DIGEST).sha256 == DIGEST
    first, second = site.seen
    assert "range" not in first.headers
    assert second.headers["range"].startswith("bytes=") and second.headers["if-range"].startswith('"')
    assert int(second.headers["range"][6:-1]) > 0
    assert target.read_bytes() == CONTENT and kept() == []


def test_a_later_call_goes_on_where_an_earlier_one_gave_up(site: Loopback, target: Path) -> None:
    site.hooks["/m.bin"] = lambda request: request.break_off(CONTENT, 1 << 20)
    with pytest.raises(SourceError, match=r"the connection broke off after .* gave up after 4 attempts"):
        fetch(f"{site.url}/m.bin", target, sha256=DIGEST)
    assert [path.name for path in kept()] == [f"{DIGEST}.json", f"{DIGEST}.partial"]
    assert not target.exists()
    del site.hooks["/m.bin"]
    site.seen.clear()
    assert fetch(f"{site.url}/m.bin", target, sha256=DIGEST).size == len(CONTENT)
    assert "range" in site.seen[0].headers and "if-range" in site.seen[0].headers
    assert target.read_bytes() == CONTENT and kept() == []


def test_a_broken_transfer_of_unknown_bytes_begins_again(site: Loopback, target: Path) -> None:
    site.once("/m.bin", lambda request: request.break_off(CONTENT, 1 << 20))
    assert fetch(f"{site.url}/m.bin", target).sha256 == DIGEST
    assert all("range" not in request.headers for request in site.seen) and len(site.seen) == 2


def leave_partial(content: bytes, *, validator: str | None = None) -> None:
    with partials.claimed(DIGEST, hub_home() / "partial") as partial:
        partial.path.write_bytes(content)
        partial.validator = validator


def test_a_server_without_ranges_is_asked_for_everything(site: Loopback, target: Path) -> None:
    leave_partial(CONTENT[:1000])
    site.hooks["/m.bin"] = lambda request: request.send_file(CONTENT, ranges=False)
    assert fetch(f"{site.url}/m.bin", target, sha256=DIGEST).size == len(CONTENT)


def test_a_file_that_changed_meanwhile_is_sent_whole(site: Loopback, target: Path) -> None:
    leave_partial(b"old" * 1000, validator='"old"')
    assert fetch(f"{site.url}/m.bin", target, sha256=DIGEST).size == len(CONTENT)
    assert len(site.seen) == 1 and site.seen[0].headers["if-range"] == '"old"'


def test_a_partial_file_of_something_else_is_given_up(site: Loopback, target: Path) -> None:
    leave_partial(b"x" * 1000)
    assert fetch(f"{site.url}/m.bin", target, sha256=DIGEST).size == len(CONTENT)
    assert [request.headers.get("range") for request in site.seen] == ["bytes=1000-", None]


def test_a_partial_file_longer_than_the_file(site: Loopback, target: Path) -> None:
    leave_partial(CONTENT + b"x")
    assert fetch(f"{site.url}/m.bin", target, sha256=DIGEST).size == len(CONTENT)


def test_a_server_that_answers_with_another_range(site: Loopback, target: Path) -> None:
    leave_partial(CONTENT[:1000])
    site.once("/m.bin", lambda request: request.send(206, CONTENT[5:], {"Content-Range": f"bytes 5-9/{len(CONTENT)}"}))
    assert fetch(f"{site.url}/m.bin", target, sha256=DIGEST).size == len(CONTENT)


def test_a_complete_partial_file_needs_no_request(site: Loopback, target: Path) -> None:
    leave_partial(CONTENT)
    assert fetch(f"{site.url}/m.bin", target, sha256=DIGEST).size == len(CONTENT)
    assert site.seen == []


def test_one_of_several_gets_a_partial_file(tmp_path: Path) -> None:
    for _ in range(10):
        leave_partial(CONTENT[:1000])
        sizes: list[int] = []
        ready = threading.Barrier(4)

        def take(ready: threading.Barrier = ready, sizes: list[int] = sizes) -> None:
            ready.wait()
            with partials.claimed(DIGEST, hub_home() / "partial") as partial:
                sizes.append(partial.path.stat().st_size)
                ready.wait()
                partial.path.unlink()

        threads = [threading.Thread(target=take) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(sizes) == [0, 0, 0, 1000] and kept() == []


def test_a_dead_process_leaves_its_partial_file_to_others() -> None:
    folder = hub_home() / "partial"
    folder.mkdir(parents=True)
    orphan, ancient = folder / f".{DIGEST}.dead.tmp", folder / f"{'0' * 64}.partial"
    for path, age in ((orphan, partials.STALE + 10), (ancient, partials.EXPIRED + 10)):
        path.write_bytes(b"x" * 500)
        os.utime(path, (time.time() - age, time.time() - age))
    (folder / f"{DIGEST}.json").write_text("not json")
    with partials.claimed(DIGEST, folder) as partial:
        assert partial.path.stat().st_size == 500 and partial.validator is None
    assert not ancient.exists()


@pytest.mark.parametrize("note", ["not json", "[]", '{"validator": 3}'])
def test_a_damaged_note_is_of_no_consequence(note: str) -> None:
    leave_partial(b"x")
    (hub_home() / "partial" / f"{DIGEST}.json").write_text(note)
    with partials.claimed(DIGEST, hub_home() / "partial") as partial:
        assert partial.validator is None and partial.path.read_bytes() == b"x"


@pytest.mark.parametrize(
    ("status", "text"),
    [
        (401, "401 Unauthorized; it needs a login: set HF_TOKEN"),
        (403, "403 Forbidden; access is refused: accept the licence"),
        (404, "404 Not Found; there is no such file, or it is private"),
        (410, "410 Gone"),
        (206, "206 Partial Content"),
    ],
)
def test_bad_statuses_are_named(site: Loopback, target: Path, status: int, text: str) -> None:
    site.hooks["/m.bin"] = lambda request: request.send(status, b"")
    with pytest.raises(SourceError, match=text):
        fetch(f"{site.url}/m.bin", target)
    assert len(site.seen) == 1


def test_a_server_in_trouble_is_asked_again(site: Loopback, target: Path) -> None:
    site.once("/m.bin", lambda request: request.send(503, b""))
    assert fetch(f"{site.url}/m.bin", target).size == len(CONTENT)
    site.hooks["/m.bin"] = lambda request: request.send(500, b"")
    with pytest.raises(SourceError, match="500 Internal Server Error; gave up after 4 attempts"):
        fetch(f"{site.url}/m.bin", target)
    assert len(site.seen) == 6


def test_a_server_may_say_when_to_ask_again(site: Loopback, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[float] = []
    monkeypatch.setattr("urllib3.util.retry.time.sleep", waited.append)
    site.once("/m.bin", lambda request: request.send(429, b"", {"Retry-After": "3600"}))
    assert fetch(f"{site.url}/m.bin", target).size == len(CONTENT)
    assert waited == [http_source.LONGEST_WAIT]


def test_nobody_there(target: Path, caplog: pytest.LogCaptureFixture) -> None:
    with Loopback() as gone:
        url = gone.url
    with pytest.raises(SourceError, match=r"/x\?\*\*\*: Connection refused") as caught:
        fetch(f"{url}/x?token=secret", target)
    assert isinstance(caught.value.__cause__, ConnectionRefusedError)
    assert "secret" not in str(caught.value) and "secret" not in caplog.text


def test_an_address_that_cannot_be_asked(target: Path) -> None:
    with pytest.raises(SourceError, match="the request failed"):
        fetch("http://:0/x", target)


def test_redirects_are_followed_within_limits(site: Loopback, target: Path) -> None:
    site.hooks["/old"] = lambda request: request.send(302, b"", {"Location": "/m.bin"})
    site.hooks["/round"] = lambda request: request.send(302, b"", {"Location": "/round"})
    site.hooks["/file"] = lambda request: request.send(302, b"", {"Location": "file:///etc/passwd"})
    assert fetch(f"{site.url}/old", target).size == len(CONTENT)
    with pytest.raises(SourceError, match="more than 10 redirects"):
        fetch(f"{site.url}/round", target)
    with pytest.raises(SourceError, match="refused the redirect from http to file:///etc/passwd"):
        fetch(f"{site.url}/file", target)


def test_no_redirect_from_https_to_http() -> None:
    with pytest.raises(SourceError, match=r"refused the redirect from https to http://b.example/x\?\*\*\*"):
        http_source._redirected("https://a.example/x", "http://b.example/x?token=secret")
    assert http_source._redirected("https://a.example/x", "//b.example/y") == "https://b.example/y"


def test_the_token_goes_to_hugging_face_alone(site: Loopback, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.get_token", lambda: "hf_secret")
    with Loopback({"/cdn": CONTENT}) as cdn:
        monkeypatch.setenv("HF_ENDPOINT", site.url)
        site.hooks["/o/r/resolve/main/m.bin"] = lambda request: request.send(302, b"", {"Location": f"{cdn.url}/cdn"})
        fetch("hf://o/r@main/m.bin", target)
        fetch(f"{cdn.url}/cdn", target)
    assert site.seen[0].headers["authorization"] == "Bearer hf_secret"
    assert all("authorization" not in request.headers for request in cdn.seen) and len(cdn.seen) == 2


def test_user_and_password_are_sent_and_not_shown(site: Loopback, target: Path) -> None:
    url = site.url.replace("http://", "http://me:secret@")
    got = fetch(f"{url}/m.bin?key=secret", target)
    assert site.seen[0].headers["authorization"].startswith("Basic ") and "secret" not in got.url
    with pytest.raises(SourceError) as caught:
        fetch(f"{url}/none?key=secret", target)
    assert "secret" not in str(caught.value)


def test_mirrors_take_the_place_of_an_address(site: Loopback, target: Path, tmp_path: Path) -> None:
    (tmp_path / "copy").mkdir()
    (tmp_path / "copy" / "m.bin").write_bytes(CONTENT)
    folder = Mirror("https://a.example/files", (tmp_path / "copy").as_uri())
    assert fetch("https://a.example/files/m.bin", target, mirrors=[folder]).sha256 == DIGEST
    http = Mirror("https://a.example/files", site.url)
    missing = Mirror("https://a.example/files", (tmp_path / "none").as_uri())
    assert fetch("https://a.example/files/m.bin", target, mirrors=[missing, http]).sha256 == DIGEST
    with pytest.raises(SourceError, match=r"no mirror of https://a.example/files/x has it:\n .*no such file.*\n .*404"):
        fetch("https://a.example/files/x", target, mirrors=[missing, http])
    with pytest.raises(IntegrityError, match="no mirror of"):
        fetch("https://a.example/files/m.bin", target, mirrors=[missing, http], sha256="0" * 64)


def test_the_variable_names_mirrors(target: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "org" / "repo").mkdir(parents=True)
    (tmp_path / "org" / "repo" / "m.bin").write_bytes(CONTENT)
    monkeypatch.delenv("HF_ENDPOINT", raising=False)
    monkeypatch.setenv("HUB_MIRRORS", f"https://huggingface.co={tmp_path.as_uri()}")
    monkeypatch.setenv("HUB_OFFLINE", "1")
    assert fetch("hf://org/repo@main/m.bin", target).sha256 == DIGEST


def test_files_of_this_machine(target: Path, tmp_path: Path) -> None:
    source = tmp_path / "a b%.bin"
    source.write_bytes(CONTENT)
    assert fetch(source.as_uri(), target, sha256=DIGEST, offline=True).size == len(CONTENT)
    with pytest.raises(IntegrityError):
        fetch(source.as_uri(), target, size=7)
    for url, text in (
        ((tmp_path / "none").as_uri(), "there is no such file"),
        (tmp_path.as_uri(), "there is no such file"),
        ("file://server/share/x", "of another machine"),
        ("ftp://a.example/x", "ftp is not known"),
    ):
        with pytest.raises(SourceError, match=text):
            fetch(url, target)
        assert not target.exists()


def test_an_unreadable_file(target: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = tmp_path / "source"
    source.touch()
    opened = Path.open

    def refuse(self: Path, *arguments: Any, **options: Any) -> Any:
        if self == source:
            raise PermissionError(errno.EACCES, "Permission denied")
        return opened(self, *arguments, **options)

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(SourceError, match="source: Permission denied"):
        fetch(source.as_uri(), target)


def test_windows_paths_in_addresses() -> None:
    from hub_core.sources import _local_path

    assert str(_local_path("file:///C:/folder/x")) == "C:/folder/x"


class FullDisk:
    """A file that takes so many bytes, then no more."""

    def __init__(self, inner: Any, room: int) -> None:
        self.inner, self.room = inner, room

    def write(self, block: bytes) -> int:
        self.room -= len(block)
        if self.room < 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        return int(self.inner.write(block))

    def close(self) -> None:
        self.inner.close()
        if self.room == 0:
            raise OSError(errno.ENOSPC, "No space left on device")

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)


@pytest.mark.parametrize("room", [1 << 20, len(CONTENT)], ids=["in the middle", "at the end"])
def test_a_full_disk(site: Loopback, target: Path, monkeypatch: pytest.MonkeyPatch, room: int) -> None:
    opened = Path.open

    def small(self: Path, mode: str = "r", *arguments: Any, **options: Any) -> Any:
        stream = opened(self, mode, *arguments, **options)
        return FullDisk(stream, room) if mode == "wb" else stream

    monkeypatch.setattr(Path, "open", small)
    with pytest.raises(InstallError, match=r"cannot write .*target.bin: No space left on device") as caught:
        fetch(f"{site.url}/m.bin", target)
    assert isinstance(caught.value.__cause__, OSError) and not target.exists()


def test_a_home_that_cannot_be_written(
    site: Loopback, target: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("HUB_HOME", str(tmp_path / "file" / "home"))
    with pytest.raises(InstallError, match=r"cannot store .*; set HUB_HOME to another folder"):
        fetch(f"{site.url}/m.bin", target, sha256=DIGEST)
    with pytest.raises(InstallError, match="cannot write"):
        fetch(f"{site.url}/m.bin", tmp_path / "nowhere" / "target")


def test_offline_opens_no_socket(target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object, **options: object) -> None:
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setenv("HUB_OFFLINE", "1")
    for url in ("https://a.example/x", "hf://org/repo@main/x"):
        with pytest.raises(SourceError, match=r"the network is forbidden .*HUB_OFFLINE"):
            fetch(url, target)
    with pytest.raises(SourceError, match="the network is forbidden"):
        list_hf("org/repo")


def test_whether_offline(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not offline_now() and offline_now(True)
    for value, expected in (("1", True), ("0", False), ("", False)):
        monkeypatch.setenv("HUB_OFFLINE", value)
        assert offline_now() is expected and not offline_now(False)


def test_an_interrupted_fetch_leaves_no_target(site: Loopback, target: Path) -> None:
    def interrupt(what: str, done: int, total: int | None) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch(f"{site.url}/m.bin", target, progress=interrupt)
    assert not target.exists()


def test_listing_a_repository(site: Loopback, monkeypatch: pytest.MonkeyPatch) -> None:
    site.serve_repository("org/repo", {"config.json": b"{}", "model.safetensors": CONTENT, "../evil": b"x"})
    monkeypatch.setenv("HF_ENDPOINT", site.url)
    monkeypatch.setattr("huggingface_hub.get_token", lambda: "hf_secret")
    listing = list_hf("org/repo")
    assert listing.commit == "c0ffee" * 6 + "c0de" and listing.repo == "org/repo"
    assert listing.files == (HfFile("config.json", 2), HfFile("model.safetensors", len(CONTENT), DIGEST))
    headers = site.seen[0].headers
    assert headers["authorization"] == "Bearer hf_secret" and headers["user-agent"].startswith("hub_core/")
    assert "torch" not in headers["user-agent"]


def test_a_repositorys_mirror_gets_no_token(site: Loopback, monkeypatch: pytest.MonkeyPatch) -> None:
    site.serve_repository("org/repo", {"config.json": b"{}"})
    monkeypatch.delenv("HF_ENDPOINT", raising=False)
    monkeypatch.setattr("huggingface_hub.get_token", lambda: "hf_secret")
    listing = list_hf("org/repo", mirrors=[Mirror("https://huggingface.co", site.url)])
    assert [file.path for file in listing.files] == ["config.json"]
    assert "authorization" not in site.seen[0].headers
    with pytest.raises(SourceError, match="must keep the repository's name at its end"):
        list_hf("org/repo", mirrors=[Mirror("https://huggingface.co/org", f"{site.url}/other")])


def test_listing_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HF_ENDPOINT", raising=False)
    (tmp_path / "org" / "repo" / "sub").mkdir(parents=True)
    (tmp_path / "org" / "repo" / "config.json").write_bytes(b"{}")
    (tmp_path / "org" / "repo" / "sub" / "x.txt").write_bytes(b"x")
    mirror = Mirror("https://huggingface.co", tmp_path.as_uri())
    listing = list_hf("org/repo", "v1", offline=True, mirrors=[mirror])
    assert listing.commit == "v1" and listing.files == (HfFile("config.json", 2), HfFile("sub/x.txt", 1))
    with pytest.raises(SourceError, match="org/none is not in the mirror"):
        list_hf("org/none", mirrors=[mirror])


def test_repositories_that_cannot_be_listed(site: Loopback, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", site.url)
    with pytest.raises(SourceError, match=r"org/none at main: "):
        list_hf("org/none")
    with pytest.raises(SourceError, match="at main: "):
        list_hf("org//none")
