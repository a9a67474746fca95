"""One file over http(s): redirects judged one by one, raw bytes only, broken transfers taken up where they stopped."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin, urlsplit

from hub_core.addresses import hf_endpoint, hf_token, origin, redact
from hub_core.errors import IntegrityError, SourceError
from hub_core.partials import Partial, claimed
from hub_core.transfer import BLOCK, Expected, Fetched, Sink
from hub_core.version import __version__

if TYPE_CHECKING:
    import requests
    from urllib3.util.retry import Retry

#: Seconds to wait for a connection, and for the next bytes.
TIMEOUTS = (10, 30)
#: How often a file is begun or taken up again before the address is given up.
ATTEMPTS = 4
#: Seconds that the first repeated request waits; each further one waits twice as long.
BACKOFF = 0.3
#: The most seconds that a server's ``Retry-After`` is obeyed.
LONGEST_WAIT = 30
REDIRECTS = 10

_TRANSIENT = (429, 500, 502, 503, 504)
_REMEDIES = {
    401: "it needs a login: set HF_TOKEN, or put user and password into ~/.netrc",
    403: "access is refused: accept the licence on the module's page, and set HF_TOKEN",
    404: "there is no such file, or it is private and HF_TOKEN is not set",
}


class _BrokenOffError(Exception):
    """A request failed in a way that may pass. `answer` is the server's (urllib3's object), if there was one."""

    def __init__(self, reason: str, answer: Any = None) -> None:
        super().__init__(reason)
        self.answer = answer


def fetch_http(url: str, target: Path, expected: Expected, *, partials: Path) -> Fetched:
    """Fetch an address into `target`.

    Where the sha256 is known beforehand, a transfer that breaks off is kept in `partials` and continued by the
    next call. Raises SourceError (no answer, a bad status, a refused redirect) or IntegrityError (other bytes).
    """
    with _session() as session:
        if expected.sha256 is None:
            return _transfer(session, url, Partial(target), expected)
        with claimed(expected.sha256, partials) as partial:
            fetched = _transfer(session, url, partial, expected)
            shutil.move(partial.path, target)
            return fetched


def _transfer(session: requests.Session, url: str, partial: Partial, expected: Expected) -> Fetched:
    """Let the bytes come in, over several connections if need be, until they are all there and the right ones."""
    from urllib3.exceptions import MaxRetryError

    retries = _retries()
    with Sink(partial.path, url, expected, keep=expected.sha256 is not None) as sink:
        while True:
            begun = sink.size
            try:
                if not sink.complete:
                    _receive(session, url, sink, partial)
                return sink.finish()
            except _BrokenOffError as broken:
                try:
                    retries = retries.increment("GET", redact(url), error=broken)
                except MaxRetryError:
                    problem = f"{redact(url)}: {broken}; gave up after {ATTEMPTS} attempts"
                    raise SourceError(problem) from broken.__cause__
                retries.sleep(broken.answer)
                if expected.sha256 is None:  # nothing could tell whether two halves belong together
                    sink.restart()
            except IntegrityError:
                sink.restart()
                if not begun:
                    raise  # else an earlier transfer had left something that did not belong here


def _receive(session: requests.Session, url: str, sink: Sink, partial: Partial) -> None:
    """One request: append what is missing, or begin again where the server sends the whole file."""
    from urllib3.exceptions import HTTPError

    headers = {}
    if sink.size:
        headers["Range"] = f"bytes={sink.size}-"
        if partial.validator is not None:
            headers["If-Range"] = partial.validator
    with _get(session, url, headers) as response:
        if response.status_code in _TRANSIENT:
            raise _BrokenOffError(_status(response), response.raw)
        continued = response.status_code == 206 and bool(sink.size)
        if response.status_code == 416 or (continued and not _starts_at(response, sink.size)):
            sink.restart()
            raise _BrokenOffError("the server does not have the rest of the file")
        if not continued and response.status_code != 200:
            remedy = _REMEDIES.get(response.status_code)
            raise SourceError(f"{redact(url)}: {_status(response)}" + (f"; {remedy}" if remedy else ""))
        _require_plain(url, response)
        if not continued:
            sink.restart()
        tag = response.headers.get("ETag", "")
        partial.validator = tag if tag.startswith('"') else None  # weak ones do not promise equal bytes
        length = response.headers.get("Content-Length", "")
        if length.isdecimal():
            sink.announce(int(length))
        try:
            for block in response.raw.stream(BLOCK, decode_content=False):
                sink.write(block)
        except HTTPError as error:
            raise _BrokenOffError(f"the connection broke off after {sink.size} bytes") from error


def _get(session: requests.Session, url: str, headers: dict[str, str]) -> requests.Response:
    """Send a request and follow redirects by hand: none to plain http, and the token stays with its host."""
    from requests import RequestException
    from requests.exceptions import ConnectionError, SSLError, Timeout

    asked = url
    for _ in range(REDIRECTS):
        try:
            response = session.get(
                url, headers=headers, stream=True, allow_redirects=False, timeout=TIMEOUTS, auth=_authorisation(url)
            )
        except RequestException as error:
            cause = _innermost(error)
            if isinstance(error, (ConnectionError, Timeout)) and not isinstance(error, SSLError):
                raise _BrokenOffError(_reason(cause)) from cause
            raise SourceError(f"{redact(url)}: {_reason(cause)}") from cause
        if not response.is_redirect:
            return response
        response.close()
        url = _redirected(url, response.headers["Location"])
    raise SourceError(f"{redact(asked)}: more than {REDIRECTS} redirects")


def _session() -> requests.Session:
    import requests

    session = requests.Session()
    session.headers.update({"User-Agent": f"hub_core/{__version__}", "Accept-Encoding": "identity"})
    return session


def _retries() -> Retry:
    """How often and when to ask again, ``Retry-After`` included.

    It is applied here and not inside the connection pool, which would write whole addresses, with the secrets in
    them, to the log.
    """
    from urllib3.util.retry import Retry

    return Retry(total=ATTEMPTS - 1, backoff_factor=BACKOFF, retry_after_max=LONGEST_WAIT)


def _authorisation(url: str) -> Callable[[Any], Any] | None:
    """The user's Hugging Face token for that site's own scheme, host and port; nothing for any other address."""
    if origin(url) != origin(hf_endpoint()):
        return None
    token = hf_token()

    def sign(request: Any) -> Any:
        request.headers["Authorization"] = f"Bearer {token}"
        return request

    return sign if token else None


def _redirected(url: str, location: str) -> str:
    target = urljoin(url, location)
    schemes = urlsplit(url).scheme, urlsplit(target).scheme
    if schemes[1] not in ("http", "https") or schemes == ("https", "http"):
        raise SourceError(f"{redact(url)}: refused the redirect from {schemes[0]} to {redact(target)}")
    return target


def _status(response: requests.Response) -> str:
    return f"{response.status_code} {response.reason or ''}".strip()


def _require_plain(url: str, response: requests.Response) -> None:
    """Compressed answers are refused: a few bytes of them can be a full disk, and the hash is of the plain ones."""
    content = response.headers.get("Content-Encoding", "identity").lower()
    transfer = response.headers.get("Transfer-Encoding", "chunked").lower()
    if content != "identity" or transfer != "chunked":
        encoding = content if content != "identity" else transfer
        raise SourceError(
            f"{redact(url)}: the server sends {encoding}-encoded bytes although plain ones were asked for"
        )


def _starts_at(response: requests.Response, start: int) -> bool:
    return response.headers.get("Content-Range", "").startswith(f"bytes {start}-")


def _innermost(error: BaseException) -> BaseException:
    """What happened, without the layers around it, whose texts repeat the whole address with its secrets."""
    while (inner := error.__cause__ or error.__context__) is not None:
        error = inner
    return error


def _reason(cause: BaseException) -> str:
    from requests import RequestException

    if isinstance(cause, OSError) and not isinstance(cause, RequestException):
        return cause.strerror or str(cause) or type(cause).__name__
    return f"the request failed ({type(cause).__name__})"
