"""A web server on this machine, as well-behaved or as hostile as a test asks for."""

from __future__ import annotations

import hashlib
import json
import re
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any


@dataclass(frozen=True)
class Seen:
    """One request that arrived."""

    path: str
    headers: Mapping[str, str]


class Answer(BaseHTTPRequestHandler):
    """Serves `Loopback.files` with ranges and ETags, unless a hook of the path does something else."""

    protocol_version = "HTTP/1.1"
    site: Loopback

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        self.site.seen.append(Seen(self.path, {k.lower(): v for k, v in self.headers.items()}))
        hook = self.site.hooks.get(path)
        if hook is not None:
            hook(self)
        elif path in self.site.files:
            self.send_file(self.site.files[path])
        else:
            self.send(404, b"not here")

    def send_file(self, content: bytes, *, ranges: bool = True) -> None:
        tag = f'"{hashlib.sha256(content).hexdigest()[:16]}"'
        wanted = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        if ranges and wanted and self.headers.get("If-Range", tag) == tag:
            start = int(wanted[1])
            if start >= len(content):
                self.send(416, b"")
                return
            place = {"Content-Range": f"bytes {start}-{len(content) - 1}/{len(content)}", "ETag": tag}
            self.send(206, content[start:], place)
        else:
            self.send(200, content, {"ETag": tag})

    def send(self, status: int, content: bytes, headers: Mapping[str, str] | None = None) -> None:
        given = {"Content-Length": str(len(content)), **(headers or {})}
        self.send_response(status)
        for name, value in given.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def break_off(self, content: bytes, after: int) -> None:
        """Promise all of it, send a part, and hang up."""
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()[:16]}"')
        self.end_headers()
        self.wfile.write(content[:after])
        self.wfile.flush()
        self.close_connection = True

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients here hang up on purpose; anything else is a mistake in a test."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


@dataclass
class Loopback:
    """A context manager: `files` by path, `hooks` that answer a path themselves, and what was `seen`."""

    files: dict[str, bytes] = field(default_factory=dict)
    hooks: dict[str, Callable[[Answer], None]] = field(default_factory=dict)
    seen: list[Seen] = field(default_factory=list)

    def __enter__(self) -> Loopback:
        self._server = _Server(("127.0.0.1", 0), type("Handler", (Answer,), {"site": self}))
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def paths(self) -> list[str]:
        return [request.path for request in self.seen]

    def once(self, path: str, hook: Callable[[Answer], None]) -> None:
        """Let a hook answer the first request for a path, and the file the later ones."""

        def answer(request: Answer) -> None:
            del self.hooks[path]
            hook(request)

        self.hooks[path] = answer

    def serve_repository(self, repo: str, files: Mapping[str, bytes], *, commit: str = "c0ffee" * 6 + "c0de") -> None:
        """A model repository as Hugging Face serves it: its listing, and its files at ``main`` and at the commit."""
        siblings = []
        for name, content in files.items():
            row: dict[str, Any] = {"rfilename": name, "size": len(content), "blobId": "0" * 40}
            if name.endswith((".safetensors", ".bin")):
                digest = hashlib.sha256(content).hexdigest()
                row["lfs"] = {"size": len(content), "sha256": digest, "pointerSize": 130}
            siblings.append(row)
            for revision in ("main", commit):
                self.files[f"/{repo}/resolve/{revision}/{name}"] = content
        listing = json.dumps({"id": repo, "modelId": repo, "sha": commit, "siblings": siblings}).encode()
        for revision in ("main", commit):
            self.hooks[f"/api/models/{repo}/revision/{revision}"] = lambda request: request.send(
                200, listing, {"Content-Type": "application/json"}
            )
