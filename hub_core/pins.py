"""What the first install of an address brought: later ones must bring the same.

For addresses whose sha256 nobody states. They are kept in ``HOME/pins.json``, by address.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

from hub_core.addresses import redact
from hub_core.errors import InstallError
from hub_core.paths import read_json_object, write_text


class Pins:
    """The pinned sha256 of each address in one HOME."""

    def __init__(self, home: Path) -> None:
        self.path = home / "pins.json"
        self._lock = home / "locks" / ".pins.lock"

    def get(self, url: str) -> str | None:
        """The sha256 that an address had when it was first installed from, None where it never was."""
        return self._read().get(_key(url))

    def add(self, found: Mapping[str, str]) -> None:
        """Keep the sha256 of addresses (address to sha256); those that are pinned already stay as they are."""
        if not found:
            return
        from filelock import FileLock

        self._lock.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(self._lock):
            pins = {**{_key(url): digest for url, digest in found.items()}, **self._read()}
            write_text(self.path, json.dumps(dict(sorted(pins.items())), indent=1) + "\n")

    def _read(self) -> dict[str, str]:
        remedy = "mend it, or remove it to pin anew"
        pins = read_json_object(self.path, error=InstallError, remedy=remedy)
        if not all(isinstance(value, str) for value in pins.values()):
            raise InstallError(f"{self.path} must map addresses to sha256; {remedy}")
        return pins


def _key(url: str) -> str:
    """An address without its secrets; one with a query is told apart from others by its hash."""
    shown = redact(url)
    return f"{shown}#{hashlib.sha256(url.encode()).hexdigest()[:16]}" if "?" in url else shown
