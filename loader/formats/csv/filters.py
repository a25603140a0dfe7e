"""A text -> the same without what is in it and is none: marks, NULs, and what ends a file of DOS.

In: a stream of UTF-8. Out: the same stream, and how much was left out. Holds the piece asked for,
and the few bytes that may begin something to leave out.
"""

from __future__ import annotations

import codecs
import io
import re
from abc import ABC, abstractmethod

from loader.formats.readable import Readable

_MARK_RUN = re.compile(b"(?:" + codecs.BOM_UTF8 + b")+")
_DOS_END = re.compile(rb"(?:\A|(?<=[\r\n]))\x1a[\x1a\r\n\0]*\Z|\x1a[\x1a\0]*\Z")
_DOS_PADDING = b"\x1a\r\n\0"
_MOST_PADDING = 4096  # CP/M fills 128 bytes, XMODEM 1024


class _Filter(ABC):
    """A text that is read through what leaves a part of it out."""

    def __init__(self, text: Readable) -> None:
        self._text = text
        self._ready = io.BytesIO()

    def read(self, size: int, /) -> bytes:
        """Return the next bytes, as `TextStream.read` does."""
        while not (piece := self._ready.read(size)):
            data = self._text.read(size)
            given = self._kept(data) if data else self._last()
            if not given and not data:
                return b""
            if len(given) <= size:
                if given:
                    return given
            else:
                self._ready = io.BytesIO(given)
        return piece

    @abstractmethod
    def _kept(self, data: bytes) -> bytes:
        """Return what stays of the next bytes; what is not decided yet comes with later ones."""

    def _last(self) -> bytes:
        """Return what was not decided yet, at the end; then nothing."""
        return b""


class WithoutDosEnd(_Filter):
    """A text without the Ctrl-Z that ends a file of DOS, and what pads it behind.

    It stands at the very end, or on a line of its own: before a line end it may be a cell, such as
    what another program has put for a character that it did not know.

    Attributes:
        found: Whether there was one; known at the end of the text.
    """

    def __init__(self, text: Readable) -> None:
        super().__init__(text)
        self.found = False
        self._before = b""  # the last byte given out
        self._held = b""  # behind it: a Ctrl-Z, and nothing but padding so far
        self._is_long = False  # there was more of it than pads a file

    def _kept(self, data: bytes) -> bytes:
        data = self._held + data if self._held else data
        self._held = b""
        text_bytes = len(data.rstrip(_DOS_PADDING))
        self._is_long = self._is_long and not text_bytes
        mark = -1 if self._is_long else data.find(b"\x1a", text_bytes)
        if mark >= 0 and len(data) - mark > _MOST_PADDING:
            self._is_long = True
            mark = -1
        if mark >= 0:
            data, self._held = data[:mark], data[mark:]
        self._before = data[-1:] or self._before
        return data

    def _last(self) -> bytes:
        if not self._held:
            return b""
        held, self._held = self._before + self._held, b""
        end = _DOS_END.search(held)
        self.found = end is not None
        return held[len(self._before) : end.start() if end else len(held)]


class WithoutMarks(_Filter):
    """A text without byte order marks where its lines begin: files put together have them there.

    The first one, at the very beginning, is not among them: `TextStream` has left it out.

    Attributes:
        count: How many were left out so far.
    """

    def __init__(self, text: Readable) -> None:
        super().__init__(text)
        self.count = 0
        self._held = b""  # what may be the begin of a mark
        self._begins_line = True

    def _kept(self, data: bytes) -> bytes:
        data = self._held + data if self._held else data
        partial = next((n for n in (2, 1) if data.endswith(codecs.BOM_UTF8[:n])), 0)
        data, self._held = data[: len(data) - partial], data[len(data) - partial :]
        if codecs.BOM_UTF8 in data:
            data = _MARK_RUN.sub(self._left_out, data)
        if data:
            self._begins_line = data.endswith((b"\n", b"\r"))
        return data

    def _left_out(self, run: re.Match[bytes]) -> bytes:
        before = run.string[max(0, run.start() - 1) : run.start()]
        if before not in {b"\n", b"\r"} and (before or not self._begins_line):
            return run[0]
        self.count += len(run[0]) // len(codecs.BOM_UTF8)
        return b""

    def _last(self) -> bytes:
        held, self._held = self._held, b""
        return held


class WithoutNuls(_Filter):
    """A text without its NULs, which Postgres cannot store and nobody reads.

    Attributes:
        count: How many were left out so far.
    """

    def __init__(self, text: Readable) -> None:
        super().__init__(text)
        self.count = 0

    def _kept(self, data: bytes) -> bytes:
        if b"\0" not in data:
            return data
        self.count += data.count(b"\0")
        return data.replace(b"\0", b"")
