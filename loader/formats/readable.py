"""Streams of bytes as formats read them: from the first byte on, in pieces of any size.

Holds what was read ahead to see what a stream begins with.
"""

from __future__ import annotations

from typing import Protocol


class Readable(Protocol):
    """A stream whose ``read`` may give less than was asked for, and ``b""`` only at the end."""

    def read(self, size: int, /) -> bytes:
        """Return at most ``size`` bytes."""


def read_fully(stream: Readable, size: int) -> bytes:
    """Return the next ``size`` bytes; fewer only at the end."""
    pieces: list[bytes] = []
    while size > 0 and (piece := stream.read(size)):
        pieces.append(piece)
        size -= len(piece)
    return b"".join(pieces)


class Rejoined:
    """A stream with the head that was read of it put back.

    Args:
        head: What was read.
        stream: What comes behind it.
    """

    def __init__(self, head: bytes, stream: Readable) -> None:
        self._head = head
        self._stream = stream

    def read(self, size: int, /) -> bytes:
        """Return at most ``size`` bytes."""
        if self._head:
            piece, self._head = self._head[:size], self._head[size:]
            return piece
        return self._stream.read(size)
