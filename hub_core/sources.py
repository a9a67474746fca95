"""Where files come from. `fetch` is the one function through which every byte of a module enters."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from hub_core.addresses import HfAddress, hf_endpoint, hf_token, origin, redact
from hub_core.errors import HubError, InstallError, IntegrityError, SourceError
from hub_core.http_source import fetch_http
from hub_core.mirrors import Mirror, redirect
from hub_core.mirrors import mirrors as configured_mirrors
from hub_core.paths import hub_home
from hub_core.spec import safe_relative
from hub_core.transfer import BLOCK, Expected, Fetched, Progress, Sink

__all__ = ["Fetched", "HfFile", "HfListing", "Progress", "fetch", "list_hf", "offline_now"]

#: The most bytes taken from an address that does not say how many it has: several times the largest encoder.
UNSTATED_LIMIT = 16 << 30

_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class HfFile:
    """One file of a repository: its path, and size in bytes and sha256 where the site states them."""

    path: str
    size: int | None = None
    sha256: str | None = None


@dataclass(frozen=True)
class HfListing:
    """The files of a repository at one commit (the revision as asked where a mirror folder knows no commits)."""

    repo: str
    commit: str
    files: tuple[HfFile, ...]


def offline_now(offline: bool | None = None) -> bool:
    """Whether the network is forbidden: what the caller says, else ``$HUB_OFFLINE`` (set, and not 0)."""
    return os.environ.get("HUB_OFFLINE", "") not in ("", "0") if offline is None else offline


def fetch(
    url: str,
    target: Path,
    *,
    size: int | None = None,
    sha256: str | None = None,
    offline: bool | None = None,
    mirrors: Sequence[Mirror] | None = None,
    progress: Progress | None = None,
    limit: int = UNSTATED_LIMIT,
    what: str | None = None,
) -> Fetched:
    """Bring the bytes of an address into the file `target`, hashed while they are copied.

    - `url`: ``file://``, ``http(s)://`` or ``hf://org/repo@revision/path``.
    - `size` (bytes) and `sha256`, where known, must fit; nothing beyond `size` (or `limit`) is ever taken.
    - `offline` (default ``$HUB_OFFLINE``): no socket is opened. `mirrors`: default those in force.
    - `progress` is told how far it is, under the name `what` (default the target's).

    Raises SourceError (unreachable, absent, refused), IntegrityError (other bytes than expected), InstallError
    (`target` cannot be written). `target` is absent after an error.
    """
    if sha256 is not None and not _SHA256.fullmatch(sha256):
        raise IntegrityError(f"{redact(url)}: expected sha256 {sha256!r} is not 64 lower-case hex digits")
    expected = Expected(what or target.name, size, sha256, limit, progress)
    problems: list[HubError] = []
    for place in _places(url, configured_mirrors() if mirrors is None else mirrors):
        try:
            return _fetch_from(place, target, expected, offline=offline_now(offline))
        except (SourceError, IntegrityError) as error:
            target.unlink(missing_ok=True)
            problems.append(error)
        except OSError as error:  # of this machine: those of the other side have become SourceErrors
            target.unlink(missing_ok=True)
            raise InstallError(f"cannot store {redact(url)}: {error}; set HUB_HOME to another folder") from error
        except BaseException:
            target.unlink(missing_ok=True)
            raise
    if len(problems) == 1:
        raise problems[0]
    kind = IntegrityError if any(isinstance(error, IntegrityError) for error in problems) else SourceError
    raise kind(f"no mirror of {redact(url)} has it:\n" + "\n".join(f"  {error}" for error in problems)) from problems[
        -1
    ]


def list_hf(
    repo: str, revision: str = "main", *, offline: bool | None = None, mirrors: Sequence[Mirror] | None = None
) -> HfListing:
    """List the files of a model repository at Hugging Face (or at ``$HF_ENDPOINT``, or at its mirror).

    Raises SourceError where it is not there, not open to the user, or the network is forbidden.
    """
    site = f"{hf_endpoint()}/{repo}"
    place = redirect(site, configured_mirrors() if mirrors is None else mirrors)[0]
    if place.startswith("file:"):
        return _list_folder(repo, revision, _local_path(place))
    if offline_now(offline):
        raise _offline(place)
    if not place.endswith(f"/{repo}"):
        raise SourceError(f"the mirror {redact(place)} of {site} must keep the repository's name at its end")
    return _list_site(repo, revision, place.removesuffix(f"/{repo}"))


def _places(url: str, mirrors: Sequence[Mirror]) -> list[str]:
    """Where to fetch an address from, in order: itself, or its mirrors."""
    if not url.startswith("hf:"):
        return redirect(url, mirrors)
    address = HfAddress.parse(url)
    return [address.under(place) for place in redirect(address.web, mirrors)]


def _fetch_from(place: str, target: Path, expected: Expected, *, offline: bool) -> Fetched:
    scheme = urlsplit(place).scheme
    if scheme == "file":
        return _copy(place, target, expected)
    if scheme not in ("http", "https"):
        raise SourceError(f"{redact(place)}: {scheme or 'no scheme'} is not known; use file://, http(s):// or hf://")
    if offline:
        raise _offline(place)
    return fetch_http(place, target, expected, partials=hub_home() / "partial")


def _copy(url: str, target: Path, expected: Expected) -> Fetched:
    path = _local_path(url)
    if not path.is_file():
        raise SourceError(f"{redact(url)}: there is no such file")
    try:
        stream = path.open("rb")
    except OSError as error:
        raise SourceError(f"{redact(url)}: {error.strerror}") from error
    with stream, Sink(target, url, expected) as sink:
        sink.announce(path.stat().st_size)
        while block := stream.read(BLOCK):
            sink.write(block)
        return sink.finish()


def _local_path(url: str) -> Path:
    """The path of a ``file:`` address on this machine."""
    parts = urlsplit(url)
    if parts.netloc not in ("", "localhost"):
        raise SourceError(f"{redact(url)}: a file:// address of another machine; mount it, and give its path")
    path = unquote(parts.path)
    return Path(path.lstrip("/") if re.match(r"/+[a-z]:", path, re.IGNORECASE) else path)  # file:///C:/folder


def _offline(place: str) -> SourceError:
    return SourceError(
        f"{redact(place)}: the network is forbidden (offline=True or HUB_OFFLINE=1); "
        "`hub list` shows what is installed, and a folder or a file:// mirror can be installed from"
    )


def _list_folder(repo: str, revision: str, folder: Path) -> HfListing:
    if not folder.is_dir():
        raise SourceError(f"{repo} is not in the mirror: there is no folder {folder}")
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    found = (HfFile(path.relative_to(folder).as_posix(), path.stat().st_size) for path in paths)
    return HfListing(repo, revision, tuple(file for file in found if safe_relative(file.path)))


def _list_site(repo: str, revision: str, endpoint: str) -> HfListing:
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, OfflineModeIsEnabled
    from huggingface_hub.utils import httpx  # type: ignore[attr-defined]

    from hub_core.version import __version__

    # The token belongs to the endpoint, not to its mirror; and the site need not learn what is installed here.
    token = hf_token() if origin(endpoint) == origin(hf_endpoint()) else None
    api = HfApi(endpoint=endpoint, token=token or False, headers={"user-agent": f"hub_core/{__version__}"})
    try:
        info = api.model_info(repo, revision=revision, files_metadata=True, timeout=30)
    except (HfHubHTTPError, HFValidationError, OfflineModeIsEnabled, httpx.HTTPError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise SourceError(f"{redact(endpoint)}/{repo} at {revision}: {reason}") from error
    files = (
        HfFile(sibling.rfilename, sibling.size, sibling.lfs.sha256 if sibling.lfs else None)
        for sibling in info.siblings or ()
        if safe_relative(sibling.rfilename)
    )
    return HfListing(repo, info.sha or revision, tuple(files))
