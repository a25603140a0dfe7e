"""A URI -> its content as a stream, whatever it is packed in, beside the source that it comes from.

In: a URI. Out: an open Content. Holds what ``stream`` and ``unpack`` hold.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import BinaryIO

from loader.net.settings import SourceSettings
from loader.source.identity import Identity
from loader.source.stream import Source, open_source
from loader.source.unpack import unpack


@dataclass(frozen=True)
class Content:
    """An open source.

    Attributes:
        source: Its bytes as they are stored: how many were read, their hash, which version it is.
        stream: The same unpacked, if they are packed; this is what is read.
    """

    source: Source
    stream: BinaryIO

    @property
    def tells_its_end(self) -> bool:
        """Whether a connection that was cut could not pass for the end of the content."""
        is_packed = getattr(self.stream, "raw", None) is not self.source
        return self.source.end_is_certain or is_packed


@contextmanager
def open_content(
    uri: str, settings: SourceSettings, expected: Identity | None = None, *, hashed: bool = False
) -> Iterator[Content]:
    """Open a source and unpack it.

    Args:
        uri: As ``open_source`` takes it.
        settings: Timeouts and retries, and where it may be.
        expected: The identity that an earlier opening of it had.
        hashed: Whether the source shall be hashed as it is read. It is, too, if its identity is
            not certain.

    Raises:
        SourceError, NotATable, UsageError: As ``open_source`` and ``unpack``.
    """
    with open_source(uri, settings, expected) as source:
        if hashed or not source.is_certain:
            source.hash_as_read()
        with unpack(source) as stream:
            yield Content(source, stream)
