"""Addresses: what they mean, how they are printed, and where Hugging Face's files really are."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from urllib.parse import quote, unquote, urlsplit, urlunsplit

from hub_core.errors import SourceError
from hub_core.spec import safe_relative
from hub_core.user_config import read_setting

HUGGING_FACE = "https://huggingface.co"
#: The setting that keeps another site for it (PaddleHub's name for such), and the variable that wins over it.
ENDPOINT, ENDPOINT_VARIABLE = "server", "HF_ENDPOINT"

#: A repository, as a regular expression: ``org/name``, or ``name`` alone for the oldest.
HF_NAME = r"[a-zA-Z0-9][\w.-]*(?:/[a-zA-Z0-9][\w.-]*)?"
_HF = re.compile(rf"hf://(?P<repo>{HF_NAME})@(?P<revision>[^/@]+)/(?P<path>.+)", re.ASCII)
_DEFAULT_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True)
class HfAddress:
    """One file of a model repository at Hugging Face: ``hf://org/repo@revision/path/in/repo``.

    `revision` is a commit, a branch or a tag; in the written form its slashes are ``%2F``.
    """

    repo: str
    revision: str
    path: str

    @classmethod
    def parse(cls, url: str) -> HfAddress:
        """Raises SourceError where `url` is not of that form."""
        match = _HF.fullmatch(url)
        path = unquote(match["path"]) if match else ""
        if match is None or not safe_relative(path):
            raise SourceError(f"{url!r} is not an address such as hf://org/repo@main/vocab.txt")
        return cls(match["repo"], unquote(match["revision"]), path)

    def __str__(self) -> str:
        return f"hf://{self.repo}@{quote(self.revision, safe='')}/{quote(self.path)}"

    @property
    def web(self) -> str:
        """The http(s) address at the endpoint in force."""
        return f"{hf_endpoint()}/{self.repo}{self._tail}"

    def under(self, place: str) -> str:
        """The address under a mirror's `place` for `web`: a folder holds ``org/repo/path``, without the revision."""
        return f"{place.removesuffix(self._tail)}/{quote(self.path)}" if place.startswith("file:") else place

    @property
    def _tail(self) -> str:
        return f"/resolve/{quote(self.revision, safe='')}/{quote(self.path)}"


def hf_endpoint() -> str:
    """Where Hugging Face's site is: ``$HF_ENDPOINT``, else what `hub config` keeps, else https://huggingface.co."""
    kept = os.environ.get(ENDPOINT_VARIABLE) or read_setting(ENDPOINT) or HUGGING_FACE
    return str(kept).rstrip("/")


def hf_token() -> str | None:
    """The user's token for Hugging Face (``$HF_TOKEN``, or the one kept by ``hf auth login``), None without one."""
    from huggingface_hub import constants, get_token

    return None if constants.HF_HUB_DISABLE_IMPLICIT_TOKEN else get_token()


def origin(url: str) -> tuple[str, str, int | None]:
    """Scheme, host and port: what a token is bound to."""
    parts = urlsplit(url)
    return parts.scheme.lower(), (parts.hostname or "").lower(), parts.port or _DEFAULT_PORTS.get(parts.scheme.lower())


def redact(url: str) -> str:
    """An address as messages and receipts may show it: without user, password, query and fragment.

    >>> redact("https://me:secret@a.example/m.bin?token=abc")
    'https://***@a.example/m.bin?***'
    """
    parts = urlsplit(url)
    _, at, host = parts.netloc.rpartition("@")
    return urlunsplit((parts.scheme, f"***@{host}" if at else host, parts.path, "***" if parts.query else "", ""))
