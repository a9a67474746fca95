"""Other places for the same addresses: a company's copy of a site, or a folder on a disk.

A mirror says *whatever starts with this, fetch from there*. It takes the original's place: where a mirror is set,
the original address is not asked. What comes from a mirror is checked against the same hashes.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from hub_core.addresses import redact
from hub_core.errors import SettingsError, SourceError
from hub_core.user_config import read_setting, write_setting

VARIABLE = "HUB_MIRRORS"
SETTING = "mirrors"

_PAIR = re.compile(r"(?P<prefix>[a-z]+://[^=]*)=(?P<target>[a-z]+://.*)", re.IGNORECASE)
_PREFIX_SCHEMES = ("http", "https")
_TARGET_SCHEMES = ("http", "https", "file")


@dataclass(frozen=True)
class Mirror:
    """Addresses that start with `prefix` are fetched from `target` instead, the rest of the address kept."""

    prefix: str
    target: str

    def __str__(self) -> str:
        return f"{self.prefix}={self.target}"

    def covers(self, url: str) -> bool:
        """Whether an address lies under the prefix: ``https://a.example`` covers no ``https://a.example.org/x``."""
        stem = self.prefix.rstrip("/")
        return url == stem or url.startswith((f"{stem}/", f"{stem}?"))

    def moved(self, url: str) -> str:
        """The address under the target. Raises SourceError where it would climb out of a folder."""
        rest = url[len(self.prefix.rstrip("/")) :]
        if self.target.startswith("file:"):
            rest = rest.partition("?")[0]
            if ".." in re.split(r"[/\\]", unquote(rest)):
                raise SourceError(f"{redact(url)} climbs out of the mirror {self.target}")
        return self.target.rstrip("/") + rest


def parse_mirrors(text: str) -> tuple[Mirror, ...]:
    """Read ``https://a.example=file:///mnt/a,https://b.example=https://c.example/b``.

    Raises SettingsError that names the piece which is not of that form.
    """
    return tuple(_checked(piece) for piece in text.split(",") if piece.strip())


def mirrors() -> list[Mirror]:
    """The mirrors in force: those of ``$HUB_MIRRORS`` where it is set, else those kept by `set_mirrors`."""
    configured = os.environ.get(VARIABLE)
    if configured is not None:
        return list(parse_mirrors(configured))
    kept = read_setting(SETTING) or []
    if not isinstance(kept, list) or not all(isinstance(pair, str) for pair in kept):
        raise SettingsError(f"setting {SETTING!r} must be a list of PREFIX=ADDRESS, not {kept!r}")
    return [_checked(pair) for pair in kept]


def set_mirrors(wanted: Iterable[Mirror]) -> None:
    """Keep mirrors in ``HOME/config.json`` for all later runs, in place of those kept before."""
    kept = [str(_checked(str(mirror))) for mirror in wanted]
    write_setting(SETTING, kept or None)


def redirect(url: str, among: Sequence[Mirror]) -> list[str]:
    """Where an address is to be fetched: from the mirrors with the longest prefix, in order, else from itself."""
    covering = [mirror for mirror in among if mirror.covers(url)]
    longest = max((len(mirror.prefix) for mirror in covering), default=0)
    return [mirror.moved(url) for mirror in covering if len(mirror.prefix) == longest] or [url]


def _checked(piece: str) -> Mirror:
    pair = _PAIR.fullmatch(piece.strip())
    if pair is None:
        raise SettingsError(f"mirror {piece.strip()!r} is not PREFIX=ADDRESS, such as https://a.example=file:///mnt/a")
    prefix, target = pair["prefix"], pair["target"]
    for address, known in ((prefix, _PREFIX_SCHEMES), (target, _TARGET_SCHEMES)):
        if urlsplit(address).scheme not in known:
            raise SettingsError(f"mirror {piece.strip()!r}: {address!r} must start with {' or '.join(known)}")
    return Mirror(prefix, target)
