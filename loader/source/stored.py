"""Bytes as they are stored somewhere: all that ``unpack`` knows of a source. Holds nothing."""

from __future__ import annotations

import io
from abc import abstractmethod

from loader.net.limits import Limits


class Stored(io.RawIOBase):
    """A stream of stored bytes.

    Attributes:
        uri: As it may be shown, secrets masked.
        limits: For them, and for what is unpacked from them.
    """

    uri: str
    limits: Limits

    @abstractmethod
    def check_unchanged(self) -> None:
        """Raise SourceChanged if the source has changed since; done only where it costs little."""
