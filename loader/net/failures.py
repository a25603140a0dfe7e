"""From exceptions of the network's packages to ours.

In: whatever requests, urllib3, Google's client or the standard library raise. Out: a
SourceError, of the kind Passing where a new connection may help. Their messages hold whole URLs,
secrets included, so ours are written anew; which it is, the type or the HTTP status decides.
"""

from __future__ import annotations

import http.client
import socket
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from loader.errors import (
    SourceChanged,
    SourceError,
    SourceForbidden,
    SourceNotFound,
    SourceUnreachable,
)

# Those after which the same request may succeed.
PASSING_STATUSES = {408, 425, 429} | set(range(500, 600)) - {501, 505}


class Passing(SourceUnreachable):
    """A failure that a new connection may get over."""

    def __init__(self, message: str, *, hint: str | None = None, wait_s: float = 0.0) -> None:
        super().__init__(message, hint=hint)
        self.wait_s = wait_s  # what the server asks for


class UnknownName(Passing):
    """The host's name does not resolve."""


class TimedOut(Passing):
    """No connection, or no byte, in the time that the settings give."""


class EndlessHead(http.client.HTTPException):
    """A server goes on with headers, and comes to no answer."""


def changed(shown: str) -> SourceChanged:
    """Return the error for a source that is another one by now."""
    return SourceChanged(
        f"{shown} changed while it was being read", hint="load it again once it is complete"
    )


def _forbidden(message: str) -> SourceForbidden:
    return SourceForbidden(message, hint="check the credentials, or make the source public")


def network_errors() -> tuple[type[Exception], ...]:
    """Return all that requests and what lies under it raise."""
    import urllib3.exceptions  # noqa: PLC0415  (a local file needs no network)

    # requests' own are OSErrors; a malformed URL or header is a ValueError in all of them.
    return (OSError, ValueError, http.client.HTTPException, urllib3.exceptions.HTTPError)


@contextmanager
def ours(shown: str, foreign: tuple[type[Exception], ...]) -> Iterator[None]:
    """Turn the foreign exceptions into ours, without their text and without them as a cause."""
    try:
        yield
    except foreign as error:
        raise _translate(error, shown) from None


def _translate(error: Exception, shown: str) -> SourceError:
    for answer in (error, error.__cause__):  # Google's RetryError has the last one as its cause
        response = getattr(answer, "response", None)
        status = getattr(response, "status_code", None) or getattr(answer, "code", None)
        if isinstance(status, int) and status >= http.client.BAD_REQUEST:
            return _of_status(status, getattr(response, "headers", None) or {}, shown)
    chain = list(_chain(error))
    for kinds, ours, message, hint in _KINDS:
        if any(isinstance(link, kinds) for link in chain):
            return ours(f"{shown}: {message}", hint=hint)
    names = {link.__name__ for kind in map(type, chain) for link in kind.__mro__}
    if names & _AUTHENTICATION:
        return _forbidden(f"{shown}: Google does not accept these credentials")
    # An OSError without a number is requests' word for a CA bundle that is not there.
    unnumbered = type(error) is OSError and error.errno is None
    if names & _HOPELESS or unnumbered or isinstance(error, ValueError):
        return SourceError(f"{shown} cannot be read ({type(error).__name__})")
    return Passing(f"{shown}: the connection failed ({type(_innermost(error)).__name__})")


def _of_status(status: int, headers: Mapping[str, str], shown: str) -> SourceError:
    reason = f"{shown}: HTTP {status} {http.client.responses.get(status, '')}".rstrip()
    if status in (401, 403):
        return _forbidden(reason)
    if status in (404, 410):
        return SourceNotFound(reason)
    if status in (412, 416):
        return changed(shown)
    if status in PASSING_STATUSES:
        return Passing(reason, wait_s=asked_wait_s(headers))
    return SourceError(reason)


def asked_wait_s(headers: Mapping[str, str]) -> float:
    """Return the seconds that a server asks to wait for; a date of ``Retry-After`` counts as 0."""
    wait = str(headers.get("Retry-After", ""))
    return float(wait) if wait.isdecimal() else 0.0


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """Give the error and all that it wraps: as cause, as context, as argument, as reason."""
    seen: set[int] = set()
    open_ends: list[object] = [error]
    while open_ends:
        link = open_ends.pop(0)
        if isinstance(link, BaseException) and id(link) not in seen:
            seen.add(id(link))
            yield link
            open_ends += [link.__cause__, link.__context__, getattr(link, "reason", None)]
            open_ends += link.args


def _innermost(error: BaseException) -> BaseException:
    """Return what others wrap, which says the most: RemoteDisconnected, not ConnectionError."""
    for inner in (error.__cause__, getattr(error, "reason", None), *error.args):
        if isinstance(inner, BaseException):
            return _innermost(inner)
    return error


# What went wrong, by the type of the error or of one that it wraps; the first row that fits.
_KINDS: tuple[tuple[tuple[type[BaseException], ...], type[SourceError], str, str | None], ...] = (
    (
        (EndlessHead,),
        SourceError,
        "the server sends headers without end, and no answer",
        "check the URL, and what stands before the server, such as a proxy",
    ),
    (
        (socket.gaierror,),
        UnknownName,
        "the host name does not resolve",
        "check the host name",
    ),
    (
        (ssl.SSLEOFError, ssl.SSLZeroReturnError, ssl.SSLSyscallError),
        Passing,
        "the TLS connection broke",
        None,
    ),
    (
        (ssl.SSLError,),
        SourceUnreachable,
        "no TLS connection",
        "check the server's certificate, and whether it should be http://",
    ),
    (
        (ConnectionRefusedError,),
        Passing,
        "connection refused",
        "check that the server is running",
    ),
    (
        (TimeoutError,),
        TimedOut,
        "timed out",
        "check the address, and whether the server is overloaded",
    ),
)

# By name, so that knowing them does not import their packages.
_AUTHENTICATION = {"RefreshError", "DefaultCredentialsError", "UserAccessTokenError"}
_HOPELESS = {"TooManyRedirects", "URLRequired", "InvalidPathError", "ClientCertError"}
