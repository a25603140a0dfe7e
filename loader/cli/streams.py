"""The command's standard streams, when they are closed, full, or read by nobody any more.

In: the descriptors that the command was started with. Out: streams to which everything can be
written: what a full disk or a closed pipe does not take is dropped, and known afterwards. A load is
not to end because one of its lines cannot be shown. Holds nothing.
"""

from __future__ import annotations

import io
import os
import select
import sys
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

_IN, _OUT, _ERR = range(3)


class Writer(io.FileIO):
    """A descriptor that takes whatever is written to it.

    Attributes:
        error: Why the first thing that was lost could not be written; None if nothing was.
    """

    def __init__(self, descriptor: int) -> None:
        super().__init__(descriptor, "w", closefd=False)
        self.error: OSError | None = None

    def write(self, data: ReadableBuffer, /) -> int:
        """Write, or drop all that comes from the first failure on: no half of a report follows."""
        size = memoryview(data).nbytes
        if self.error is not None:
            return size
        try:
            while (written := super().write(data)) is None:  # a pipe that does not wait is full
                select.select((), (self,), ())
        except OSError as error:
            self.error = error
            return size
        return written


def take() -> Writer:
    """Put streams that do not fail into the place of the standard ones; return that of stdout."""
    for descriptor in (_IN, _OUT, _ERR):
        _fill(descriptor)
    output, errors = Writer(_OUT), Writer(_ERR)
    # A file's name may be no text.
    sys.stdout = _text(output, sys.stdout)
    sys.stderr = _text(errors, sys.stderr, line_buffering=True)
    return output


def _fill(descriptor: int) -> None:
    """Open /dev/null under a closed descriptor: a connection could get its number otherwise."""
    try:
        os.fstat(descriptor)
    except OSError:
        # A write to stdout has to fail, so that the command can say on stderr that its output is
        # lost. There is nowhere to say it of stderr, so that takes all.
        flags = os.O_WRONLY if descriptor == _ERR else os.O_RDONLY
        opened = os.open(os.devnull, flags)
        if opened != descriptor:  # a lower one is free
            os.dup2(opened, descriptor)
            os.close(opened)
        os.set_inheritable(descriptor, True)  # noqa: FBT003  (it takes no name)


def _text(writer: Writer, given: TextIO | None, *, line_buffering: bool = False) -> TextIO:
    encoding = given.encoding if given is not None else "utf-8"
    is_at_once = line_buffering or writer.isatty()
    return io.TextIOWrapper(
        io.BufferedWriter(writer), encoding, "backslashreplace", line_buffering=is_at_once
    )
