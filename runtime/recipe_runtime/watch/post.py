"""One HTTP request to a webhook. The standard library does it: nothing to pin, and nothing that changes between versions."""

import contextlib
import http.client
import ssl
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import Any, Protocol


_TIMEOUT_SECONDS = 10.0
"""How long the other side may be silent."""

_LONGEST_WAIT_SECONDS = 300.0
"""Of what another side asks for in ``Retry-After``, this much is given."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What is sent."""

    body: bytes
    content_type: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """Why a request was not taken.

    Attributes:
        kind: What sort of problem it is. People are told once of each.
        text: The problem in words, without the address.
        again: Whether it is worth trying again.
        wait_seconds: How long the other side asks to wait.
    """

    kind: str
    text: str
    again: bool
    wait_seconds: float | None = None


class Post(Protocol):
    """Sends one request."""

    def __call__(self, request: Request) -> Problem | None:
        """Return what went wrong; None if it was taken."""


class HttpPost:
    """Sends requests to one address. Redirects are not followed: they would carry the token elsewhere.

    Args:
        url: Where to; ``http`` or ``https``.
        token: Sent as ``X-API-Key``.
        ssl_verify: Whether the certificate is checked.
    """

    def __init__(self, url: str, *, token: str | None, ssl_verify: bool) -> None:
        context = ssl.create_default_context()
        if not ssl_verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        self._url = url
        self._headers = {"User-Agent": "sana-recipes"} | ({} if token is None else {"X-API-Key": token})
        self._opener = urllib.request.build_opener(urllib.request.HTTPSHandler(context=context), _NoRedirect())

    def __call__(self, request: Request) -> Problem | None:
        """Send a request, and return what went wrong."""
        headers = {**self._headers, "Content-Type": request.content_type}
        # The address was checked to be http or https when the run began.
        message = urllib.request.Request(self._url, request.body, headers, method="POST")  # noqa: S310
        try:
            with self._opener.open(message, timeout=_TIMEOUT_SECONDS):
                return None
        except urllib.error.HTTPError as error:
            with contextlib.closing(error):
                return _answered(error.code, error.headers["Retry-After"])
        except (OSError, http.client.HTTPException) as error:
            return _unreachable(error)


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_arguments: Any, **_names: Any) -> None:
        """Follow none."""


def _answered(status: int, retry_after: str | None) -> Problem:
    """Judge an answer that is no success."""
    if status == http.HTTPStatus.TOO_MANY_REQUESTS:
        text = "asks for fewer messages (429)"
        return Problem(kind="429", text=text, again=True, wait_seconds=_seconds(retry_after))
    if status >= http.HTTPStatus.INTERNAL_SERVER_ERROR:
        text = f"has trouble of its own ({status})"
        return Problem(kind="5xx", text=text, again=True, wait_seconds=_seconds(retry_after))
    return Problem(kind=str(status), text=f"refuses messages ({status}); check address and token", again=False)


def _seconds(retry_after: str | None) -> float | None:
    """Return the seconds that are asked for. A date, which is the header's other form, counts as nothing."""
    try:
        seconds = float(retry_after or "")
    except ValueError:
        return None
    return min(max(seconds, 0.0), _LONGEST_WAIT_SECONDS)


def _unreachable(error: OSError | http.client.HTTPException) -> Problem:
    """Judge a connection that failed. Only the cause's kind is told: its text may hold the address."""
    cause = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(cause, ssl.SSLCertVerificationError):
        text = "has a certificate that is not trusted; correct it, or set `ssl_verify: false`"
        return Problem(kind="certificate", text=text, again=False)
    if isinstance(cause, TimeoutError):
        return Problem(kind="timeout", text=f"was silent for {_TIMEOUT_SECONDS:.0f} s", again=True)
    return Problem(kind="connection", text=f"can't be reached ({type(cause).__name__})", again=True)
