"""What every transport gives, and what it is given.

Each is a module of its own, and the one place where the exceptions of the package that it uses
become ours: Passing where a new connection may help, another SourceError where none does.
"""

from __future__ import annotations

from typing import Protocol

from loader.net.target import Target
from loader.source.identity import Identity


class Connection(Protocol):
    """An open source, standing at the byte that was asked for."""

    @property
    def identity(self) -> Identity | None:
        """Which version this is."""

    @property
    def size(self) -> int | None:
        """Bytes in all."""

    @property
    def end_is_certain(self) -> bool:
        """Whether the end of the bytes can be told from a connection that was cut."""

    @property
    def tells_pace(self) -> bool:
        """Whether it tells the target's pace of its bytes; else the reader does."""

    def readinto(self, view: memoryview) -> int:
        """Read on; 0 only at the true end. Raises Passing if the connection broke."""

    def check_unchanged(self) -> None:
        """Raise SourceChanged if the source is another one by now."""

    def close(self) -> None:
        """Let go."""


class Transport(Protocol):
    """A module that knows one way to reach a source."""

    SCHEMES: tuple[str, ...]  # of the URIs that it opens; "" is of a plain path

    def connect(self, target: Target, offset: int, known: Identity | None, /) -> Connection:
        """Open the target at a byte, in the version that is known if there is one."""
