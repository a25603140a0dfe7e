"""An answer of CKAN's API as it arrives -> its body, if that is small enough and comes in time.

In: each piece that a connection receives, and the answer whose body is still to be read. Out: the
same answer with its body, or NotACkan. Holds that body, as far as it may be that long.

requests alone would take in whatever comes, however long that is and however slowly it does, and
unpack it: what a few megabytes unpack to fills the memory of a worker.
"""

from __future__ import annotations

import io
import math
import time

import requests

from loader.errors import NotACkan

# A dataset with 10,000 resources has 20 MB, a resource 2 kB. What we ask the DataStore for is
# limited to some thousand ids, and a batch of rows that it refuses to a few megabytes.
MAX_BYTES = 64 * 1024 * 1024
# Of a CKAN that somebody else has named: as lists without anything in them, 64 MiB of JSON take
# 1.6 GB.
MAX_OTHERS_BYTES = 8 * 1024 * 1024

# Others unpack a hundred times more from each byte, and several may be named, one in the other.
ENCODINGS = ("gzip", "deflate")
_PIECE_BYTES = 16 * 1024  # packed; gzip makes 16 MB of them at most


class Answers:
    """What the answers of a CKAN have to keep to.

    Args:
        url: Of the CKAN.
        longest_s: How long a call may take as long as something still arrives; None for as long
            as it does.
        most_bytes: Of one of them, unpacked.
    """

    def __init__(self, url: str, longest_s: float | None, most_bytes: int) -> None:
        self._url = url
        self._longest_s = longest_s
        self._most_bytes = most_bytes
        self._end = math.inf
        self._bytes = 0

    def begin(self) -> None:
        """Begin with another call."""
        self._bytes = 0
        self._end = math.inf if self._longest_s is None else time.monotonic() + self._longest_s

    def arrived(self, count: int) -> None:
        """Note that something came.

        Args:
            count: Bytes of the body as it was sent; 0 for what only precedes it. Nothing is taken
                back: what frames a body takes time and room too.

        Raises:
            NotACkan: It is too much, or too late.
        """
        self._bytes += max(count, 0)
        self._check_size(self._bytes)
        if time.monotonic() >= self._end:
            raise NotACkan(
                f"no CKAN at {self._url}: its answer was not complete after {self._longest_s:g} s",
                hint="check the URL; load again when that CKAN is faster",
            )

    def read(self, response: requests.Response) -> None:
        """Read the body of an answer, so that requests finds it in memory.

        Raises:
            NotACkan: It is too much, or comes too late.
        """
        encoding = response.headers.get("Content-Encoding", "").strip().lower()
        if encoding not in ("", "identity", "x-gzip", *ENCODINGS):
            raise NotACkan(
                f"no CKAN at {self._url}: it packs its answer in a way that was not asked for",
                hint=f"have it send {' or '.join(ENCODINGS)}, or nothing packed",
            )
        body = bytearray()
        for piece in response.raw.stream(_PIECE_BYTES, decode_content=True):
            self._check_size(len(body) + len(piece))
            body += piece
        response.raw = io.BytesIO(body)

    def _check_size(self, count: int) -> None:
        if count > self._most_bytes:
            raise NotACkan(
                f"no CKAN at {self._url}: its answer has more than {self._most_bytes:,} bytes",
                hint="check the URL: no answer of CKAN's API is as large, but for a dataset with"
                " thousands of resources",
            )
