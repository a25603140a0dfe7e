"""http:// and https://, through smart_open and requests.

A broken answer is asked for again from its last byte, under the condition that it is still of
the same version. Holds one read of 128 KiB.
"""

from __future__ import annotations

import http.client
import re
from collections.abc import Mapping
from datetime import timedelta
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, BinaryIO

from loader.errors import SourceError
from loader.net.failures import Passing, network_errors, ours
from loader.net.target import Target
from loader.source.identity import Identity
from loader.source.transport import Connection

if TYPE_CHECKING:
    import requests

SCHEMES: tuple[str, ...] = ("http", "https")

_READ_BYTES = 128 * 1024  # what a connection that breaks within one read can lose
# Not more digits than any file needs: Python refuses to read thousands of them.
_LENGTH = re.compile(r"[0-9]{1,18}")
# What ``unpack`` cannot tell by the first bytes. It finds out all else, whether the header is right
# or not: some servers put a charset there, or the kind of the file itself.
_LOST_CODINGS = {"br", "compress", "dcb", "dcz", "deflate", "exi", "pack200-gzip"}
_CODINGS = {"gzip", "zstd", "bzip2", "xz", *_LOST_CODINGS}
_MOST_SHOWN = 40  # characters of a header
_CONTENT_RANGE = re.compile(r"bytes ([0-9]{1,18})-([0-9]{1,18})/([0-9]{1,18}|\*)")


def connect(target: Target, offset: int, known: Identity | None) -> Connection:
    """Ask for the bytes from the offset on, if they are still those of the known version."""
    import smart_open  # noqa: PLC0415  (0.3 s and more: only those who need it pay)

    from loader.net.session import new_session  # noqa: PLC0415

    headers = {**target.headers, "Accept-Encoding": "identity", "User-Agent": "AirCan"}
    if offset and known is not None:
        headers["Range"] = f"bytes={offset}-"
        if known.strong_etag:
            headers["If-Match"] = known.strong_etag
        elif known.last_modified_is_strong and known.last_modified:
            headers["If-Unmodified-Since"] = known.last_modified
    with ours(target.shown, network_errors()):
        opened: BinaryIO = smart_open.open(
            target.uri,
            "rb",
            compression="disable",
            transport_params={
                "headers": headers,
                "timeout": target.timeout,
                "session": new_session(target),
            },
        )
    try:
        return _HttpResponse(opened, target.shown, offset, known)
    except SourceError:
        opened.close()
        raise


class _HttpResponse:
    """The bytes of one response.

    smart_open's own reader is passed by: older ones undo Content-Encoding, newer ones send ranges
    of their own, and all of them lose what they had buffered when a read breaks.
    """

    tells_pace = True  # a read of 128 KiB may take its time: each byte counts as it comes

    def __init__(self, opened: BinaryIO, shown: str, offset: int, known: Identity | None) -> None:
        self._opened = opened  # closes its response when nobody holds it
        # smart_open types all its readers as BinaryIO.
        self._response: requests.Response = opened.response  # type: ignore[attr-defined]
        self._shown = shown
        self._foreign = network_errors()
        headers = self._response.headers
        codings = _codings(headers.get("Content-Encoding", ""), shown)
        chunked = _is_chunked(headers.get("Transfer-Encoding", ""), shown)
        length = "" if chunked else headers.get("Content-Length", "")  # RFC 9112, 6.3
        self._left = int(length) if _LENGTH.fullmatch(length) else None
        self.end_is_certain = chunked or self._left is not None
        self._skip = 0
        if offset and self._response.status_code == http.client.PARTIAL_CONTENT:
            self.size = self._ranged_size(headers.get("Content-Range", ""), offset)
            if self.size is None and (known is None or known.size is None):
                raise SourceError(
                    f"{shown}: asked for the bytes from {offset} on, the server does not tell how"
                    " many there are",
                    hint="download the file first and load it from there",
                )
        elif self._response.status_code in (http.client.OK, 203):
            self.size = self._left
            self._skip = offset  # no ranges here: what is known already is read again
        else:
            raise SourceError(f"{shown}: unexpected answer HTTP {self._response.status_code}")
        self.identity = _identity(headers, codings, self.size)

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
        with ours(self._shown, self._foreign):
            data: bytes = self._response.raw.read(min(size, _READ_BYTES), decode_content=False)
        if self._left is not None:
            self._left -= len(data)
        if not data and (self._left or self._skip):
            raise Passing(f"{self._shown}: the connection closed early")
        return data

    def check_unchanged(self) -> None:
        """Do nothing: one response is of one version, and each new one was compared."""

    def close(self) -> None:
        self._response.close()
        self._opened.close()


def _is_chunked(header: str, shown: str) -> bool:
    """Tell whether an answer comes in chunks; Python takes them apart under no other name."""
    named = header.strip().lower()
    if named not in ("", "identity", "chunked"):
        raise SourceError(
            f"{shown}: the server sends it in a form that is not known, {header[:_MOST_SHOWN]!r}",
            hint="have the server send it as it is, or download it first and load the file",
        )
    return named == "chunked"


def _codings(header: str, shown: str) -> tuple[str, ...]:
    """Return how the server has packed the file, if that is in a way that can be undone."""
    named = [name.strip().lower().removeprefix("x-") for name in header.split(",")]
    codings = tuple(name for name in named if name in _CODINGS)
    if len(codings) > 1 or not _LOST_CODINGS.isdisjoint(codings):
        raise SourceError(
            f"{shown}: the server sends it packed as {header[:_MOST_SHOWN]!r}, though it was asked"
            " not to pack it",
            hint="have the server send it as it is, or download it first and load the file",
        )
    return codings


def _identity(
    headers: Mapping[str, str], codings: tuple[str, ...], size: int | None
) -> Identity | None:
    etag, last_modified = headers.get("ETag"), headers.get("Last-Modified")
    if not etag and not last_modified:
        return None
    return Identity(
        etag=etag,
        last_modified=last_modified,
        last_modified_is_strong=_is_older(last_modified, headers.get("Date")),
        codings=codings,
        size=size,
    )


def _is_older(last_modified: str | None, date: str | None) -> bool:
    """Tell whether a time of HTTP is a second or more before another; if not known, it is not."""
    try:
        age = parsedate_to_datetime(date or "") - parsedate_to_datetime(last_modified or "")
    except (TypeError, ValueError, OverflowError):  # no dates, or one without a zone
        return False
    return age >= timedelta(seconds=1)
