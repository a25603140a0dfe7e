"""From a URI to bytes: local files, http(s):// and gs://.

In: a URI. Out: a `Source`, a binary stream of the bytes exactly as they are stored. A dropped
connection is taken up again where it broke, as long as the server can show that the content is
still the same. Memory: one read of 128 KiB over HTTP, three chunks of 4 MiB for Google Cloud
Storage, nothing for a local file.

This is the one place where exceptions of smart_open, requests, urllib3 and Google's client
become ours. Their messages hold whole URLs, secrets included, so ours are written anew.
"""

from __future__ import annotations

import http.client
import io
import logging
import os
import random
import re
import socket
import ssl
import stat
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path, PurePath, PurePosixPath
from types import ModuleType
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol, TypeVar
from urllib.parse import unquote, unquote_plus

from loader.errors import (
    SourceChanged,
    SourceError,
    SourceForbidden,
    SourceNotFound,
    SourceUnreachable,
    UsageError,
)

if TYPE_CHECKING:
    import requests
    from _typeshed import WriteableBuffer
    from google.cloud import storage

logger = logging.getLogger(__name__)

T = TypeVar("T")

_SUPPORTED = "a local path, file://, http://, https:// or gs://"
_READ_BYTES = 128 * 1024  # what a connection that breaks within one read can lose
_CHUNK_BYTES = 4 * 1024 * 1024  # of one GCS request; the client holds about three of them
_PROGRESS_BYTES = 1024 * 1024  # received since the last refill: the retries count from 0 again
_NAME_RETRIES = 2  # a host name that does not resolve is more often a typo than a passing fault
_PASSING_STATUSES = {408, 425, 429} | set(range(500, 600)) - {501, 505}

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_CONTENT_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+|\*)")
_AUTHORITY = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*://)([^/?#]*)(.*)", re.DOTALL)
_SECRET_PARAMETER = re.compile(
    r"token|secret|passw|pwd|signature|credential|auth|key(?!word)|^sig$|^x-(goog|amz)-",
    re.IGNORECASE,
)
_MASK = "***"


@dataclass(frozen=True)
class SourceSettings:
    """How patient to be with a server."""

    connect_timeout_s: float = 10.0
    read_timeout_s: float = 60.0
    retries: int = 8  # in a row, without progress of a megabyte between them
    backoff_s: float = 0.5
    max_backoff_s: float = 15.0


@dataclass(frozen=True)
class Identity:
    """What tells one version of a source from the next."""

    etag: str | None = None
    last_modified: str | None = None
    generation: int | None = None
    inode: int | None = None
    mtime_ns: int | None = None
    size: int | None = None

    @property
    def strong_etag(self) -> str | None:
        """Return the ETag if it promises the same bytes, not only the same meaning."""
        return None if self.etag is None or self.etag.startswith("W/") else self.etag

    def matches(self, other: Identity | None) -> bool:
        """Tell whether both are of the same bytes; a size that is not known fits any."""
        if other is None or (self.size != other.size and None not in (self.size, other.size)):
            return False
        if self.strong_etag and other.strong_etag:
            # Mirrors behind one name agree on the ETag, not always on the time.
            return self.etag == other.etag
        return replace(self, size=None) == replace(other, size=None)


def open_source(
    uri: str,
    settings: SourceSettings = SourceSettings(),
    expected: Identity | None = None,
) -> Source:
    """Open a source for reading from its first byte.

    Args:
        uri: A local path, or a file://, http://, https:// or gs:// URL. A user and password in
            an http(s) URL are sent as basic authentication.
        settings: Timeouts and retries.
        expected: The identity that an earlier opening of the same URI had.

    Returns:
        The open stream.

    Raises:
        UsageError: Another kind of URI, or a package that it needs is missing.
        SourceNotFound: Nothing is there.
        SourceForbidden: It may not be read.
        SourceUnreachable: No answer, after the retries.
        SourceChanged: It is not the expected one.
        SourceError: It cannot be read for another reason.
    """
    match = _SCHEME.match(uri)
    scheme = match[1].lower() if match else "file"
    if scheme not in _OPENERS:
        raise UsageError(
            f"cannot load from {mask_uri(uri)}: {scheme}:// is not supported",
            hint=f"give {_SUPPORTED}",
        )
    place = f"{scheme}://{uri[match.end() :]}" if match else uri
    return Source(place, _OPENERS[scheme], settings, expected)


def mask_uri(uri: str) -> str:
    """Return the URI as it may be shown: no password, no token, no signature."""
    match = _AUTHORITY.fullmatch(uri)
    if match is None:
        return uri
    scheme, authority, rest = match.groups()
    port = authority.rpartition(":")[2]
    if "@" not in authority and ":" in authority and not port.isdecimal() and "@" in rest:
        # A password with a bare / ? or #: the URL is broken, and still not to be shown.
        tail, rest = rest.rpartition("@")[0], rest.rpartition("@")[2]
        return mask_uri(f"{scheme}{authority.partition(':')[0]}:{len(tail)}@{rest}")
    userinfo, at, host = authority.rpartition("@")
    if at:
        user, colon, _ = userinfo.partition(":")
        authority = f"{user}:{_MASK}@{host}" if colon else f"{_MASK}@{host}"
    path, mark, query = rest.partition("?")
    query, sharp, fragment = query.partition("#")
    shown = "".join(_mask_parameter(part) for part in re.split("([&;])", query))
    return f"{scheme}{authority}{path}{mark}{shown}{sharp}{fragment}"


def _mask_parameter(parameter: str) -> str:
    name, equals, _ = parameter.partition("=")
    secret = equals and _SECRET_PARAMETER.search(unquote_plus(name))
    return f"{name}={_MASK}" if secret else parameter


class Source(io.RawIOBase):
    """The bytes of a URI, read once from the first to the last.

    Attributes:
        uri: As it may be shown, secrets masked.
        name: The file's name, without path and query.
        size: Bytes in all, if the server tells.
        identity: Which version this is, if the server tells.
        bytes_read: Bytes given out so far.
    """

    def __init__(
        self,
        uri: str,
        opener: _Opener,
        settings: SourceSettings,
        expected: Identity | None,
    ) -> None:
        super().__init__()
        self.uri = mask_uri(uri)
        self.name = _file_name(uri)
        self.bytes_read = 0
        self.size: int | None = None
        self.identity: Identity | None = None
        self._target = _Target(uri, self.uri, settings)
        self._opener = opener
        self._expected = expected
        self._patience = _Patience(settings)
        self._connection: _Connection | None = None
        self._ended = False
        first = self._persist(lambda connection: connection)
        self.size, self.identity = first.size, first.identity

    def __repr__(self) -> str:
        """Return the kind and the masked URI."""
        return f"<{type(self).__name__} {self.uri}>"

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return whether this is a local file."""
        return isinstance(self._connection, _LocalFile)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move within a local file; anything else raises io.UnsupportedOperation."""
        self._ended = False
        return self._local().seek(offset, whence)

    def tell(self) -> int:
        """Return the place of the next byte."""
        return self._local().tell() if self.seekable() else self.bytes_read

    def readinto(self, buffer: WriteableBuffer) -> int:
        """Read the next bytes into a buffer.

        Returns:
            How many; fewer than fit is no sign of the end, 0 is.

        Raises:
            SourceUnreachable: The connection broke and could not be taken up again.
            SourceChanged: The source is not the one that was opened.
        """
        if self.closed:
            raise ValueError("I/O operation on a closed source")
        view = memoryview(buffer).cast("B")
        if self._ended or not view:
            return 0
        count = self._persist(lambda connection: connection.readinto(view))
        if count == 0:
            self.check_unchanged()
            self._ended = True
        self.bytes_read += count
        return count

    def check_unchanged(self) -> None:
        """Ask once more for the source's identity, where that costs next to nothing.

        Raises:
            SourceChanged: It is not the one that was opened.
        """
        self._persist(lambda connection: connection.check_unchanged())

    def close(self) -> None:
        """Close the connection; the source cannot be read any more."""
        if not self.closed:
            super().close()
            self._disconnect()

    def _persist(self, action: Callable[[_Connection], T]) -> T:
        """Do it, and do it again on a new connection as long as that can help."""
        while True:
            try:
                if self._connection is None:
                    self._connection = self._connect()
                return action(self._connection)
            except _Passing as error:
                self._disconnect()
                self._check_resumable(error)
                self._patience.bear(error, self.bytes_read)

    def _connect(self) -> _Connection:
        connection = self._opener(self._target, self.bytes_read, self.identity)
        known = self.identity or self._expected
        if known is not None and not known.matches(connection.identity):
            connection.close()
            raise _changed(self.uri)
        return connection

    def _check_resumable(self, error: _Passing) -> None:
        if self.bytes_read and self.identity is None:
            raise SourceUnreachable(
                f"{error.message}, and the server gives no ETag or Last-Modified, "
                "so it cannot be resumed safely",
                hint="download the file first and load it from there",
            ) from None

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _local(self) -> _LocalFile:
        if not isinstance(self._connection, _LocalFile):
            raise io.UnsupportedOperation("only a local file can be read out of order")
        return self._connection


class _Passing(SourceUnreachable):
    """A failure that a new connection may get over."""

    def __init__(self, message: str, *, hint: str | None = None, wait_s: float = 0.0) -> None:
        super().__init__(message, hint=hint)
        self.wait_s = wait_s  # what the server asks for


class _UnknownName(_Passing):
    """The host's name does not resolve."""


class _Patience:
    """How many more failures are borne: at most `retries` for each megabyte received."""

    def __init__(self, settings: SourceSettings) -> None:
        self._settings = settings
        self._failures = 0
        self._refilled_at = 0

    def bear(self, error: _Passing, position: int) -> None:
        """Wait before the next try, or give up with what stands in the way."""
        if position - self._refilled_at >= _PROGRESS_BYTES:
            self._failures, self._refilled_at = 0, position
        self._failures += 1
        if self._failures > self._allowed(error, position):
            raise SourceUnreachable(
                f"{error.message} (tried {self._failures} times)", hint=error.hint
            ) from None
        settings = self._settings
        wait_s = min(settings.backoff_s * 2 ** (self._failures - 1), settings.max_backoff_s)
        wait_s *= random.uniform(0.5, 1.0)  # noqa: S311  (spreads many loads of one server)
        wait_s = max(wait_s, min(error.wait_s, settings.max_backoff_s))
        logger.warning("%s; again from byte %d in %.1f s", error.message, position, wait_s)
        time.sleep(wait_s)

    def _allowed(self, error: _Passing, position: int) -> int:
        unknown = isinstance(error, _UnknownName) and position == 0
        return min(self._settings.retries, _NAME_RETRIES) if unknown else self._settings.retries


@dataclass(frozen=True)
class _Target:
    """What to open; only `shown` may be seen by anyone."""

    uri: str
    shown: str
    settings: SourceSettings

    @property
    def timeout(self) -> tuple[float, float]:
        return (self.settings.connect_timeout_s, self.settings.read_timeout_s)


class _Connection(Protocol):
    """An open source, standing at the byte that was asked for."""

    @property
    def identity(self) -> Identity | None:
        """Which version this is."""

    @property
    def size(self) -> int | None:
        """Bytes in all."""

    def readinto(self, view: memoryview) -> int:
        """Read on; 0 only at the true end. Raises _Passing if the connection broke."""

    def check_unchanged(self) -> None:
        """Raise SourceChanged if the source is another one by now."""

    def close(self) -> None:
        """Let go."""


_Opener = Callable[[_Target, int, "Identity | None"], _Connection]


# Local files. smart_open would only call open() too, after 0.3 s of imports.


class _LocalFile:
    def __init__(self, path: str, shown: str) -> None:
        self._path, self._shown = Path(path), shown
        with _local_seam(shown):
            self._check_kind()
            self._file = io.FileIO(path)
            self.identity = _file_identity(os.fstat(self._file.fileno()))
        self.size = self.identity.size

    def _check_kind(self) -> None:
        mode = self._path.stat().st_mode
        if stat.S_ISDIR(mode):
            raise SourceError(
                f"{self._shown} is a directory", hint="name the file in it that is to be loaded"
            )
        if not stat.S_ISREG(mode):
            # A load may have to read its source a second time.
            raise SourceError(
                f"{self._shown} is not a regular file", hint="write it to a file first"
            )

    def readinto(self, view: memoryview) -> int:
        with _local_seam(self._shown):
            return self._file.readinto(view) or 0

    def check_unchanged(self) -> None:
        with _local_seam(self._shown):
            written = _file_identity(os.fstat(self._file.fileno()))
            try:
                named = _file_identity(self._path.stat())
            except FileNotFoundError:
                raise _changed(self._shown) from None
        if not self.identity == written == named:
            raise _changed(self._shown)

    def seek(self, offset: int, whence: int) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def close(self) -> None:
        self._file.close()


def _open_local(target: _Target, _offset: int, _known: Identity | None) -> _Connection:
    path = target.uri
    if _SCHEME.match(path):
        host, slash, rest = path.partition("://")[2].partition("/")
        if host not in ("", "localhost"):
            raise UsageError(
                f"cannot load from {target.shown}: it names another host",
                hint="a file:// URL begins with three slashes",
            )
        path = unquote(slash + rest)
    return _LocalFile(path, target.shown)


def _file_identity(status: os.stat_result) -> Identity:
    return Identity(inode=status.st_ino, mtime_ns=status.st_mtime_ns, size=status.st_size)


# HTTP


class _HttpResponse:
    """The bytes of one response.

    smart_open's own reader is passed by: older ones undo Content-Encoding, newer ones send ranges
    of their own, and all of them lose what they had buffered when a read breaks.
    """

    def __init__(self, opened: BinaryIO, shown: str, offset: int) -> None:
        self._opened = opened  # closes its response when nobody holds it
        # smart_open types all its readers as BinaryIO.
        self._response: requests.Response = opened.response  # type: ignore[attr-defined]
        self._shown = shown
        self._foreign = _http_errors()
        headers = self._response.headers
        length = headers.get("Content-Length", "")
        self._left = int(length) if length.isdecimal() else None
        self._skip = 0
        if offset and self._response.status_code == http.client.PARTIAL_CONTENT:
            self.size = self._ranged_size(headers.get("Content-Range", ""), offset)
        elif self._response.status_code in (http.client.OK, 203):
            self.size = self._left
            self._skip = offset  # no ranges here: what is known already is read again
        else:
            raise SourceError(f"{shown}: unexpected answer HTTP {self._response.status_code}")
        self.identity = _http_identity(headers, self.size)

    def _ranged_size(self, content_range: str, offset: int) -> int | None:
        match = _CONTENT_RANGE.fullmatch(content_range.strip())
        if match is None or int(match[1]) != offset:
            raise SourceError(
                f"{self._shown}: asked for the bytes from {offset} on, the server sent others"
            )
        return None if match[3] == "*" else int(match[3])

    def readinto(self, view: memoryview) -> int:
        while self._skip:
            self._skip -= len(self._read(self._skip))
        data = self._read(len(view))
        view[: len(data)] = data
        return len(data)

    def _read(self, size: int) -> bytes:
        with _seam(self._shown, self._foreign):
            data: bytes = self._response.raw.read(min(size, _READ_BYTES), decode_content=False)
        if self._left is not None:
            self._left -= len(data)
        if not data and (self._left or self._skip):
            raise _Passing(f"{self._shown}: the connection closed early")
        return data

    def check_unchanged(self) -> None:
        """Do nothing: one response is of one version, and each new one was compared."""

    def close(self) -> None:
        self._response.close()
        self._opened.close()


def _open_http(target: _Target, offset: int, known: Identity | None) -> _Connection:
    import smart_open  # noqa: PLC0415  (0.3 s and more: only those who need it pay)

    headers = {"Accept-Encoding": "identity", "User-Agent": "AirCan"}
    if offset and known is not None:
        headers["Range"] = f"bytes={offset}-"
        if known.strong_etag:
            headers["If-Match"] = known.strong_etag
        elif known.last_modified:
            headers["If-Unmodified-Since"] = known.last_modified
    with _seam(target.shown, _http_errors()):
        opened: BinaryIO = smart_open.open(
            target.uri,
            "rb",
            compression="disable",
            transport_params={"headers": headers, "timeout": target.timeout},
        )
    try:
        return _HttpResponse(opened, target.shown, offset)
    except SourceError:
        opened.close()
        raise


def _http_identity(headers: Mapping[str, str], size: int | None) -> Identity | None:
    etag, last_modified = headers.get("ETag"), headers.get("Last-Modified")
    if not etag and not last_modified:
        return None
    return Identity(etag=etag, last_modified=last_modified, size=size)


# Google Cloud Storage


class _GcsObject:
    """One generation of an object, fetched in chunks."""

    def __init__(
        self, client: storage.Client, target: _Target, offset: int, known: Identity | None
    ) -> None:
        self._client: Any = client
        self._shown = target.shown
        self._uri = target.uri
        # Retries are ours to count, and Google's own would go on for two minutes.
        self._once = {"timeout": target.timeout, "retry": None}
        self._foreign = _gcs_errors()
        blob = self._blob()
        if blob is None:
            raise SourceNotFound(f"{self._shown}: no such object")
        self.size = int(blob.size)
        self.identity = Identity(generation=int(blob.generation), size=self.size)
        if known is not None and not known.matches(self.identity):
            raise _changed(self._shown)
        self._reader = self._open()
        self._left = self.size - self._reader.seek(offset)

    def _open(self) -> BinaryIO:
        import smart_open  # noqa: PLC0415

        generation = self.identity.generation
        fixed = {"if_generation_match": generation, "chunk_size": _CHUNK_BYTES}
        with _seam(self._shown, self._foreign):
            opened: BinaryIO = smart_open.open(
                self._uri,
                "rb",
                compression="disable",
                transport_params={
                    "client": self._client,
                    "get_blob_kwargs": {"generation": generation, **self._once},
                    "blob_open_kwargs": {"raw_download": True, **fixed, **self._once},
                },
            )
        return opened

    def _blob(self) -> storage.Blob | None:
        bucket, _, key = self._uri.partition("://")[2].partition("/")
        with _seam(self._shown, self._foreign):
            return self._client.bucket(bucket).get_blob(key, **self._once)

    def readinto(self, view: memoryview) -> int:
        if not self._left:
            return 0
        try:
            with _seam(self._shown, self._foreign):
                data: bytes = self._reader.read(min(len(view), self._left))
        except SourceNotFound:  # the generation that was opened is gone
            raise _changed(self._shown) from None
        if not data:
            raise _Passing(f"{self._shown}: the object ended early")
        view[: len(data)] = data
        self._left -= len(data)
        return len(data)

    def check_unchanged(self) -> None:
        """Compare the generation: not every server of this API heeds the one asked for."""
        blob = self._blob()
        if blob is None or int(blob.generation) != self.identity.generation:
            raise _changed(self._shown)

    def close(self) -> None:
        self._client.close()


def _open_gcs(target: _Target, offset: int, known: Identity | None) -> _Connection:
    bucket, _, key = target.uri.partition("://")[2].partition("/")
    if not bucket or not key:
        raise UsageError(
            f"{target.shown} does not name an object", hint="give gs://BUCKET/PATH/TO/FILE.csv"
        )
    client = _gcs_client(target.shown)
    try:
        return _GcsObject(client, target, offset, known)
    except (SourceError, UsageError):
        client.close()
        raise


def _gcs_client(shown: str) -> storage.Client:
    try:
        import google.auth.exceptions  # noqa: PLC0415
        from google.cloud import storage  # noqa: PLC0415
    except ImportError:
        raise UsageError(
            f"loading {shown} needs Google's client", hint="pip install 'aircan[gcs]'"
        ) from None
    if os.environ.get("STORAGE_EMULATOR_HOST"):
        return storage.Client.create_anonymous_client()
    with _seam(shown, _gcs_errors()):
        try:
            # Reading needs no project, but the client will not start without one.
            return storage.Client(project=os.environ.get("GOOGLE_CLOUD_PROJECT", "none"))
        except google.auth.exceptions.DefaultCredentialsError:
            logger.info("no Google credentials found: reading %s anonymously", shown)
            return storage.Client.create_anonymous_client()


_OPENERS: dict[str, _Opener] = {
    "file": _open_local,
    "http": _open_http,
    "https": _open_http,
    "gs": _open_gcs,
}


# The seam


@contextmanager
def _local_seam(shown: str) -> Iterator[None]:
    try:
        yield
    except (FileNotFoundError, NotADirectoryError):
        raise SourceNotFound(f"{shown}: no such file") from None
    except PermissionError:
        raise SourceForbidden(
            f"{shown} may not be read", hint="check the file's permissions"
        ) from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        reason = getattr(error, "strerror", None) or type(error).__name__
        raise SourceError(f"{shown} cannot be read ({reason})") from error


def _http_errors() -> tuple[type[Exception], ...]:
    import urllib3.exceptions  # noqa: PLC0415

    # requests' own are OSErrors; a malformed URL or header is a ValueError in all of them.
    return (OSError, ValueError, http.client.HTTPException, urllib3.exceptions.HTTPError)


def _gcs_errors() -> tuple[type[Exception], ...]:
    import google.api_core.exceptions  # noqa: PLC0415
    import google.auth.exceptions  # noqa: PLC0415
    from google.cloud.storage import exceptions  # noqa: PLC0415

    # Releases differ in how many there are.
    own = [kind for kind in vars(exceptions).values() if _is_defined_in(exceptions, kind)]
    return (
        *_http_errors(),
        google.api_core.exceptions.GoogleAPIError,
        NotImplementedError,  # of a transport that lacks an option
        google.auth.exceptions.GoogleAuthError,
        *own,
    )


def _is_defined_in(module: ModuleType, thing: object) -> bool:
    return isinstance(thing, type) and thing.__module__ == module.__name__


@contextmanager
def _seam(shown: str, foreign: tuple[type[Exception], ...]) -> Iterator[None]:
    """Turn the foreign exceptions into ours, without their text and without them as a cause."""
    try:
        yield
    except foreign as error:
        raise _ours(error, shown) from None


def _ours(error: Exception, shown: str) -> SourceError:
    response = getattr(error, "response", None)
    status = getattr(response, "status_code", None) or getattr(error, "code", None)
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
    return _Passing(f"{shown}: the connection failed ({type(error).__name__})")


def _of_status(status: int, headers: Mapping[str, str], shown: str) -> SourceError:
    reason = f"{shown}: HTTP {status} {http.client.responses.get(status, '')}".rstrip()
    if status in (401, 403):
        return _forbidden(reason)
    if status in (404, 410):
        return SourceNotFound(reason)
    if status in (412, 416):
        return _changed(shown)
    if status in _PASSING_STATUSES:
        wait = str(headers.get("Retry-After", ""))
        return _Passing(reason, wait_s=float(wait) if wait.isdecimal() else 0.0)
    return SourceError(reason)


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


def _changed(shown: str) -> SourceChanged:
    return SourceChanged(
        f"{shown} changed while it was being read", hint="load it again once it is complete"
    )


def _forbidden(message: str) -> SourceForbidden:
    return SourceForbidden(message, hint="check the credentials, or make the source public")


# What went wrong, told by the type of the error or of one that it wraps; the first that fits.
_KINDS: tuple[tuple[tuple[type[BaseException], ...], type[SourceError], str, str | None], ...] = (
    (
        (socket.gaierror,),
        _UnknownName,
        "the host name does not resolve",
        "check the host name",
    ),
    (
        (ssl.SSLEOFError, ssl.SSLZeroReturnError, ssl.SSLSyscallError),
        _Passing,
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
        _Passing,
        "connection refused",
        "check that the server is running",
    ),
    ((TimeoutError, socket.timeout), _Passing, "timed out", None),
)

# By name, so that knowing them does not import their packages.
_AUTHENTICATION = {"RefreshError", "DefaultCredentialsError", "UserAccessTokenError"}
_HOPELESS = {"TooManyRedirects", "URLRequired", "InvalidPathError", "ClientCertError"}


def _file_name(uri: str) -> str:
    match = _AUTHORITY.fullmatch(uri)
    if match is None:
        return PurePath(uri).name
    scheme, authority, path = match.groups()
    if scheme != "gs://":
        path = unquote(re.split("[?#]", path)[0])
    return PurePosixPath(path).name or authority.rpartition("@")[2]
