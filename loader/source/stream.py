"""A Source: the bytes of a URI exactly as they are stored, whatever happens to the connection.

In: a URI. Out: a binary stream. A dropped connection is taken up again where it broke, as long as
the server can show that the content is still the same. Holds nothing beside what the transport
does.
"""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from loader.errors import SourceError, SourceUnreachable, UsageError
from loader.net.failures import Passing, changed
from loader.net.guard import WEB
from loader.net.pace import Pace
from loader.net.settings import SourceSettings
from loader.net.target import Target
from loader.net.uri import file_name, has_one_reading, mask_uri, split_scheme
from loader.source import gcs, http, local
from loader.source.identity import Identity
from loader.source.local import LocalFile
from loader.source.resuming import Resuming
from loader.source.stored import Stored
from loader.source.transport import Connection, Transport

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

T = TypeVar("T")

_SUPPORTED = "a local path, file://, http://, https:// or gs://"
_OURS: tuple[Transport, ...] = (local, http, gcs)
TRANSPORTS = {scheme: transport for transport in _OURS for scheme in transport.SCHEMES}
_DEFAULTS = SourceSettings()
_HASH_BYTES = 1 << 20  # of one read, where the rest is read for its hash only


def open_source(
    uri: str,
    settings: SourceSettings = _DEFAULTS,
    expected: Identity | None = None,
) -> Source:
    """Open a source for reading from its first byte.

    Args:
        uri: A local path, or a file://, http://, https:// or gs:// URL. A user and password in
            an http(s) URL are sent as basic authentication.
        settings: Timeouts and retries, and where it may be.
        expected: The identity that an earlier opening of the same URI had.

    Returns:
        The open stream.

    Raises:
        UsageError: Another kind of URI, or a package that it needs is missing.
        AddressRefused: The settings' guard does not let it be fetched.
        SourceNotFound: Nothing is there.
        SourceForbidden: It may not be read.
        SourceUnreachable: No answer, after the retries.
        SourceTooLarge: It has more bytes than the settings' limits allow.
        SourceTooSlow: What came of an answer came too slowly.
        SourceChanged: It is not the expected one.
        SourceError: It cannot be read for another reason.
    """
    scheme, rest = split_scheme(uri)
    if settings.guard is not None:
        settings.guard.require_open(uri)
    if scheme not in TRANSPORTS:
        raise UsageError(
            f"cannot load from {mask_uri(uri)}: {scheme}:// is not supported",
            hint=f"give {_SUPPORTED}",
        )
    if scheme in WEB and not has_one_reading(uri):
        raise UsageError(
            f"{mask_uri(uri)}: programs differ in which host that is",
            hint="write it without backslashes, spaces and what cannot be seen before the path",
        )
    place = f"{scheme}://{rest}" if scheme else uri
    return Source(place, TRANSPORTS[scheme], settings, expected)


class Source(Stored):
    """The bytes of a URI, read once from the first to the last.

    Attributes:
        uri: As it may be shown, secrets masked.
        scheme: Of the URI, in lower case; none of a plain path.
        name: The file's name, without path and query.
        size: Bytes in all, if the server tells.
        identity: Which version this is, if the server tells.
        bytes_read: Bytes given out so far.
        end_is_certain: Whether the end can be told from a connection that was cut.
        limits: What it has to keep to; what is unpacked from it, too.
    """

    def __init__(
        self,
        uri: str,
        transport: Transport,
        settings: SourceSettings,
        expected: Identity | None,
    ) -> None:
        super().__init__()
        self.uri = mask_uri(uri)
        self.scheme, _ = split_scheme(uri)
        self.name = file_name(uri)
        self.bytes_read = 0
        self.size: int | None = None
        self.identity: Identity | None = None
        self.end_is_certain = True
        timeout = (settings.connect_timeout_s, settings.read_timeout_s)
        self.limits = settings.limits
        self._pace = Pace(settings.limits, self.uri)
        self._target = Target(
            uri,
            self.uri,
            timeout,
            settings.headers,
            settings.token_stays,
            settings.guard,
            self._pace,
        )
        self._transport = transport
        self._expected = expected
        self._resuming = Resuming(settings, opening=expected is None)
        self._connection: Connection | None = None
        self._ended = False
        self._hash: hashlib._Hash | None = None
        first = self._persist(lambda connection: connection)
        self.size, self.identity = first.size, first.identity
        try:
            self.limits.check_bytes(self.uri, self.size or 0, announced=True)
        except SourceError:
            self.close()
            raise
        self._resuming = Resuming(settings, opening=False)

    def __repr__(self) -> str:
        """Return the kind and the masked URI."""
        return f"<{type(self).__name__} {self.uri}>"

    @property
    def is_certain(self) -> bool:
        """Whether its identity tells which bytes it has."""
        return self.identity is not None and self.identity.is_certain

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return whether this is a local file."""
        return isinstance(self._connection, LocalFile)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move within a local file; anything else raises io.UnsupportedOperation."""
        self._ended = False
        self._hash = None
        return self._local().seek(offset, whence)

    def tell(self) -> int:
        """Return the place of the next byte."""
        return self._local().tell() if self.seekable() else self.bytes_read

    def readinto(self, buffer: WriteableBuffer) -> int:
        """Read the next bytes into a buffer.

        Returns:
            How many, which may be fewer than fit; 0 only at the end.

        Raises:
            SourceUnreachable: The connection broke and could not be taken up again.
            SourceChanged: The source is not the one that was opened.
            SourceTooLarge: These are more bytes than are allowed.
            SourceTooSlow: They come too slowly.
        """
        if self.closed:
            raise ValueError("I/O operation on a closed source")
        view = memoryview(buffer).cast("B")
        if self._ended or not view:
            return 0
        count = self._persist(lambda connection: self._read(connection, view))
        if count == 0:
            self.check_unchanged()
            self._ended = True
        self.bytes_read += count
        if not self.seekable():  # the places of a local file may be read more than once
            self.limits.check_bytes(self.uri, self.bytes_read)
        if self._hash is not None:
            self._hash.update(view[:count])
        return count

    def hash_as_read(self) -> None:
        """Hash the bytes as they are read, for ``md5``; called before the first one is read."""
        self._hash = _md5()

    def md5(self) -> str:
        """Return the MD5 of the source in hex, which is what CKAN's loaders call a file's hash.

        What was not read yet is read now; a local file that was read out of order, once more.

        Raises:
            SourceError: As ``readinto``.
        """
        given_out = self.bytes_read
        if self._hash is None:
            self.seek(0)
            self._hash = _md5()
        rest = bytearray(_HASH_BYTES)
        while self.readinto(rest):
            pass
        self.bytes_read = given_out
        return self._hash.hexdigest()

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

    def _persist(self, action: Callable[[Connection], T]) -> T:
        """Return what the action returns; after a passing failure, on a new connection."""
        while True:
            try:
                with self._pace.waiting():
                    if self._connection is None:
                        self._connection = self._connect()
                    return action(self._connection)
            except Passing as error:
                self._disconnect()
                self._check_resumable(error)
                self._resuming.wait(error, self.bytes_read)

    def _read(self, connection: Connection, view: memoryview) -> int:
        count = connection.readinto(view)
        is_short = self.size is not None and self.bytes_read < self.size
        if not count and is_short and not self.seekable():
            # A server may answer a request for the rest with a part of it.
            raise Passing(f"{self.uri}: the answer ended early")
        if not connection.tells_pace:
            self._pace.arrived(count)
        return count

    def _connect(self) -> Connection:
        connection = self._transport.connect(self._target, self.bytes_read, self.identity)
        known = self.identity or self._expected
        if known is not None and not known.matches(connection.identity):
            connection.close()
            raise changed(self.uri)
        if self.size is None:  # a range of what came in chunks tells it
            self.size = connection.size
        self.end_is_certain = connection.end_is_certain
        return connection

    def _check_resumable(self, error: Passing) -> None:
        if self.bytes_read and not (self.identity and self.identity.is_strong):
            gives = "no ETag or Last-Modified"
            if self.identity is not None:
                gives = "no ETag or Last-Modified that tells every byte (a weak ETag does not)"
            raise SourceUnreachable(
                f"{error.message}, and the server gives {gives}, so it cannot be resumed safely",
                hint="download the file first and load it from there",
            ) from None

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _local(self) -> LocalFile:
        if not isinstance(self._connection, LocalFile):
            raise io.UnsupportedOperation("only a local file can be read out of order")
        return self._connection


def _md5() -> hashlib._Hash:
    return hashlib.md5(usedforsecurity=False)
