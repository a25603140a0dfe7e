"""Bytes as they are stored somewhere: all that ``unpack`` knows of a source. Holds nothing."""

from __future__ import annotations

import io
from abc import abstractmethod

from loader.net.limits import Limits


class Stored(io.RawIOBase):
    """A stream of them.

    Attributes:
        uri: As it may be shown, secrets masked.
        limits: What they have to keep to; what is unpacked from them, too.
    """

    uri: str
    limits: Limits

    @abstractmethod
    def check_unchanged(self) -> None:
        """Raise SourceChanged if they are others by now, where that costs little to find out."""
