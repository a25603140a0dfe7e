"""A CKAN's URL and a token -> calls of its API, again where that can help, and what they return.

In: an action's name, and what it is given. Out: its result, as CKAN's own dictionaries; errors of
ckanapi, of requests and of HTTP as ours, never with the token or a web page in them. Holds one
answer of CKAN at a time.

Only this module uses ckanapi. It sends the token in two headers with every call, so no call follows
a redirect.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, TypeVar
from urllib.parse import SplitResult, urlsplit

import ckanapi  # type: ignore[import-untyped]
import requests
import urllib3
from ckanapi.errors import (  # type: ignore[import-untyped]
    CKANAPIError,
    SearchError,
    SearchIndexError,
    SearchQueryError,
    ServerIncompatibleError,
)
from typing_extensions import Self

from loader.ckan import answers
from loader.ckan.settings import CkanSettings
from loader.errors import (
    AircanError,
    CkanError,
    CkanForbidden,
    CkanNotFound,
    CkanRefused,
    CkanUnreachable,
    NotACkan,
    UsageError,
)
from loader.net.failures import PASSING_STATUSES, asked_wait_s
from loader.net.guard import DEFAULT_PORTS, Guard
from loader.net.session import new_session
from loader.net.target import Target

T = TypeVar("T")

_log = logging.getLogger(__name__)

# Of a proxy that gave up on a CKAN which may go on working.
_STATUSES_IN_DOUBT = {408, 502, 504}
_SAID_SHOWN = 300  # characters of what CKAN says that a one-line error shows
# What people copy instead of the start page's URL.
_API_PATH = re.compile(r"/api(/\d+)?(/action)?/?$")


class Calls:
    """Calls of one CKAN's API; a context manager, which closes its connections.

    Args:
        url: Of its start page; that of its API is understood too.
        token: An API token; None for what everybody may see.
        settings: Timeouts and retries.
        guard: Which addresses may be called, where the URL is not the operator's own; None where
            it is.

    Raises:
        UsageError: The URL or the token cannot be one.
    """

    def __init__(
        self,
        url: str,
        token: str | None = None,
        settings: CkanSettings = CkanSettings(),
        guard: Guard | None = None,
    ) -> None:
        self.url = checked_url(url)
        self.token = _checked_token(token)
        self.settings = settings
        self.guard = guard
        self._answered = False
        self._status = int(requests.codes.ok)  # of the last answer
        self._answers = answers.Answers(
            self.url,
            settings.longest_s if guard else None,
            answers.MAX_OTHERS_BYTES if guard else answers.MAX_BYTES,
        )
        target = Target(self.url, self.url, (0, 0), guard=guard, pace=self._answers)
        self._session = session = new_session(target)
        session.headers["Accept-Encoding"] = ", ".join(answers.ENCODINGS)
        # A password in ~/.netrc must not take the token's place.
        session.auth = _unchanged
        session.hooks["response"].append(self._check)
        self._api = ckanapi.RemoteCKAN(
            self.url, apikey=self.token, user_agent="aircan", session=session
        )

    def __repr__(self) -> str:
        """Return the URL, without the token."""
        return f"{type(self).__name__}({self.url!r})"

    def close(self) -> None:
        """Close the connections to CKAN; a call afterwards opens another."""
        # Not by RemoteCKAN.close: without a session it would make one without a guard.
        self._session.close()

    def __enter__(self) -> Self:
        """Return this object, which is closed at the end of the block."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the connections."""
        self.close()

    def call(self, action: str, data: Mapping[str, Any], *, repeat: bool = True) -> Any:  # noqa: ANN401
        """Call an action of CKAN's API.

        Args:
            action: Its name.
            data: What it is given.
            repeat: Whether it may be done twice, so that a call that failed for a passing reason
                is made again.

        Returns:
            Its result.

        Raises:
            CkanError: What went wrong, retries included.
        """
        attempts = self.settings.attempts(answered=self._answered)
        while True:
            try:
                with self._ours(action):
                    self._answers.begin()
                    return self._api.call_action(action, dict(data), requests_kwargs=self._kwargs())
            except CkanUnreachable as error:
                log = partial(_log.warning, "%s; again in %.1f s", error)
                if not (repeat and attempts.wait(error.wait_s, log)):
                    raise

    def ask(
        self,
        action: str,
        data: Mapping[str, Any],
        read: Callable[[Any], T],
        *,
        repeat: bool = True,
    ) -> T:
        """Call an action, and read its result.

        Args:
            action: Its name.
            data: What it is given.
            read: Is given the result. If it fails, that is no result of CKAN's.
            repeat: As for ``call``.

        Raises:
            NotACkan: The result has another form.
            CkanError: What else went wrong.
        """
        result = self.call(action, data, repeat=repeat)
        try:
            return read(result)
        except (AttributeError, LookupError, OverflowError, TypeError, ValueError):
            raise NotACkan(
                f"no CKAN at {self.url}: what {action} gives has another form",
                hint="name the URL of CKAN's start page",
            ) from None

    def _kwargs(self) -> dict[str, Any]:
        timeout = (self.settings.connect_timeout_s, self.settings.read_timeout_s)
        return {"timeout": timeout, "stream": True}

    def _check(self, response: requests.Response, **_: object) -> None:
        """Refuse an answer that is none of CKAN's API, before ckanapi reads it."""
        try:
            self._take(response)
        except Exception:
            response.close()  # what else comes of it is not waited for
            raise

    def _take(self, response: requests.Response) -> None:
        self._status = status = response.status_code
        if status in PASSING_STATUSES:
            raise _passing(f"CKAN at {self.url} answers HTTP {status}", response)
        if response.is_redirect:
            raise NotACkan(
                f"no CKAN at {self.url}: it redirects to another URL",
                hint="name the URL that it leads to, such as https:// instead of http://",
            )
        if "json" not in response.headers.get("Content-Type", ""):
            raise _foreign(status, self.url)
        self._answers.read(response)
        if status == requests.codes.bad_request:
            raise CkanRefused(
                f"CKAN at {self.url} answers HTTP 400: {self._quote(response.text)}",
                hint="is its DataStore extension enabled?",
            )
        self._answered = True

    @contextmanager
    def _ours(self, action: str) -> Iterator[None]:
        """Turn the exceptions of ckanapi and of requests into ours."""
        try:
            yield
        # Those of requests are OSErrors, and so is a CA bundle that is not there.
        except (OSError, urllib3.exceptions.HTTPError) as error:
            raise _not_connected(error, self.url, self.settings) from None
        except ckanapi.NotAuthorized as error:
            raise self._forbidden(action, error.args) from None
        except ckanapi.NotFound as error:
            raise CkanNotFound(
                f"{action}: {self._quote(*error.args) or 'not found'}",
                hint="check the id: is it of this CKAN, and was it deleted?",
            ) from None
        except ckanapi.ValidationError as error:
            raise self._refused(action, error.error_dict) from None
        except (SearchError, SearchQueryError, SearchIndexError) as error:
            raise CkanError(
                f"{action}: {self._quote(*error.args)}",
                hint="look at the logs of CKAN and of its Solr",
            ) from None
        # A dictionary with "success" and no "result" is a KeyError; JSON may be nested without end.
        except (CKANAPIError, ServerIncompatibleError, KeyError, RecursionError):
            raise _foreign(self._status, self.url) from None

    def _forbidden(self, action: str, details: Sequence[Mapping[str, Any]]) -> CkanForbidden:
        said = details[0].get("message")
        return CkanForbidden(
            f"{action}: {self._quote(said) or 'access denied'}",
            hint="the token may be wrong, or its user may not edit this resource"
            if self.token
            else "give a token",
            option="ckan_token",
        )

    def _refused(self, action: str, found: Mapping[str, Any]) -> CkanRefused:
        # What lies below "info" is the statement and its parameters: a batch of rows.
        faults = {k: v for k, v in found.items() if k not in ("__type", "message", "info")}
        said = "; ".join(f"{name}: {_flat(fault)}" for name, fault in faults.items())
        reason = self._quote(said or _flat(found.get("message") or ""))
        error = CkanRefused(
            f"{action}: CKAN refuses {reason or 'it'}",
            hint="mend what it names: in the dataset's metadata, or in the file",
        )
        error.fields = tuple(faults)
        error.reason = reason
        return error

    def _quote(self, said: object) -> str:
        """Return what CKAN says, short and without the token."""
        text = " ".join(str(said or "").split())
        if self.token:
            text = text.replace(self.token, "***")
        return text if len(text) <= _SAID_SHOWN else f"{text[:_SAID_SHOWN]}..."


def _unchanged(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request


def _flat(fault: object) -> str:
    """Return a text for the lists and dictionaries that CKAN says what is wrong with."""
    if isinstance(fault, Mapping):
        return ", ".join(f"{name}: {_flat(value)}" for name, value in fault.items())
    if isinstance(fault, list):
        return ", ".join(_flat(value) for value in fault if value)
    return str(fault)


def checked_url(url: str) -> str:
    """Return the URL without a final slash, nor the API's path.

    Raises:
        UsageError: It cannot be that of a CKAN.
    """
    try:
        parts = urlsplit(url.strip())
        origin(parts)
    except ValueError:
        raise _not_a_url() from None
    if parts.scheme not in DEFAULT_PORTS or not parts.hostname or parts.query or parts.fragment:
        raise _not_a_url()
    if "@" in parts.netloc:
        raise UsageError("CKAN's URL holds a user", hint="a token says who you are: leave it out")
    return f"{parts.scheme}://{parts.netloc}{_API_PATH.sub('', parts.path).rstrip('/')}"


def _not_a_url() -> UsageError:
    return UsageError("CKAN's URL is not one", hint="https://HOST, as of its start page")


def _checked_token(token: str | None) -> str | None:
    """Return the token as a header can hold it; requests would quote it in its error."""
    token = token.strip() if token else None
    if token and not (token.isascii() and token.isprintable()):
        raise UsageError("CKAN's token has characters that no token has", hint="copy it anew")
    return token or None


def origin(parts: SplitResult) -> tuple[str, str | None, int | None]:
    """Return scheme, host and port.

    Raises:
        ValueError: The port is no number.
    """
    return parts.scheme, parts.hostname, parts.port or DEFAULT_PORTS.get(parts.scheme)


def _foreign(status: int, url: str) -> AircanError:
    """Return the error for an answer that is none of CKAN's API."""
    if status in (requests.codes.unauthorized, requests.codes.forbidden):
        return CkanForbidden(
            f"HTTP {status} at {url}, from something in front of CKAN",
            hint="ask for access from this machine",
        )
    if status == requests.codes.request_entity_too_large:
        return CkanRefused(f"HTTP 413 at {url}: the call is too large", hint="send smaller batches")
    return NotACkan(
        f"no CKAN at {url}: HTTP {status}, and not an answer of its API",
        hint="name the URL of CKAN's start page",
    )


def _passing(message: str, response: requests.Response) -> CkanUnreachable:
    error = CkanUnreachable(message, hint="CKAN or its proxy is overloaded, or broken: see its log")
    error.wait_s = asked_wait_s(response.headers)
    error.in_doubt = response.status_code in _STATUSES_IN_DOUBT
    return error


def _not_connected(error: Exception, url: str, settings: CkanSettings) -> CkanError:
    """Return our error for a call without an answer; those of requests repeat whole URLs."""
    if isinstance(error, ValueError):
        return NotACkan(f"no CKAN at {url}: it cannot be an address", hint="check the URL")
    if type(error) is OSError:
        return CkanError(
            f"{url} cannot be asked: the certificates to check it by cannot be read",
            hint="REQUESTS_CA_BUNDLE or CURL_CA_BUNDLE names a file that is not there",
            of_machine=True,
        )
    reason = getattr(error.args[0], "reason", None) if error.args else None
    if isinstance(error, requests.exceptions.SSLError):
        return CkanUnreachable(f"no TLS connection to {url}", hint="check its certificate")
    if isinstance(reason, urllib3.exceptions.NewConnectionError | requests.ConnectTimeout):
        return CkanUnreachable(
            f"no connection to {url}", hint="is the URL right, and CKAN running?"
        )
    if isinstance(error, requests.ConnectTimeout):
        return CkanUnreachable(
            f"no connection to {url} in {settings.connect_timeout_s:g} s",
            hint="is the URL right, and CKAN running?",
        )
    timed_out = isinstance(error, requests.Timeout | urllib3.exceptions.ReadTimeoutError)
    lost = CkanUnreachable(
        f"{url} did not answer in {settings.read_timeout_s:g} s"
        if timed_out
        else f"the connection to {url} broke",
        hint="is CKAN overloaded? see its log",
    )
    lost.in_doubt = True
    return lost
