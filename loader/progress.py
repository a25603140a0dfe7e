"""How a load tells what it is doing: nothing here knows what it is told about.

A bar with bytes, rows, rows/s and time left on a terminal, plain lines otherwise.
"""

from __future__ import annotations

import sys
import time
from typing import Protocol, TextIO

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as Bars

_LINE_EVERY_S = 10.0  # on a pipe or in a log


class Progress(Protocol):
    """What a load tells; called from one thread."""

    def begin(self, title: str) -> None:
        """Say that a step begins."""

    def expect(self, size: int | None) -> None:
        """Say how many bytes the source has, if it tells."""

    def advance(self, bytes_read: int, rows: int) -> None:
        """Say how many bytes and rows have been read so far."""


class Silent:
    """Tells nobody."""

    def begin(self, title: str) -> None:
        """Do nothing."""

    def expect(self, size: int | None) -> None:
        """Do nothing."""

    def advance(self, bytes_read: int, rows: int) -> None:
        """Do nothing."""


class Lines:
    """Plain lines: one for each step, and one every ten seconds while rows are read."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr
        self._size: int | None = None
        self._began = self._said = time.monotonic()

    def begin(self, title: str) -> None:
        """Write the step's title."""
        self._began = self._said = time.monotonic()
        self._write(title)

    def expect(self, size: int | None) -> None:
        """Remember the size for the share that is done."""
        self._size = size

    def advance(self, bytes_read: int, rows: int) -> None:
        """Write a line if the last one is some time ago."""
        now = time.monotonic()
        if now - self._said < _LINE_EVERY_S:
            return
        self._said = now
        share = f" ({bytes_read / self._size:.0%})" if self._size else ""
        self._write(
            f"  {rows:,} rows, {bytes_read / 1e6:,.0f} MB{share},"
            f" {rows / (now - self._began):,.0f} rows/s"
        )

    def _write(self, line: str) -> None:
        print(line, file=self._stream, flush=True)


class Bar:
    """A live bar on a terminal, gone when the load ends."""

    def __init__(self, console: Console) -> None:
        self._bars = Bars(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            DownloadColumn(),
            TextColumn("{task.fields[rows]}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=console,
            transient=True,
        )
        self._task: TaskID | None = None
        self._began = time.monotonic()

    def __enter__(self) -> Bar:
        """Show the bar."""
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Take it away."""
        self._bars.stop()

    def begin(self, title: str) -> None:
        """Begin a bar for the step."""
        if self._task is not None:
            self._bars.remove_task(self._task)
        self._began = time.monotonic()
        self._task = self._bars.add_task(title, total=None, rows="")

    def expect(self, size: int | None) -> None:
        """Begin anew with a known end."""
        self._size = size

    def advance(self, bytes_read: int, rows: int) -> None:
        """Move the bar."""
        if self._task is None:
            return
        speed = rows / max(time.monotonic() - self._began, 0.001)
        self._bars.update(
            self._task,
            completed=bytes_read,
            total=self._size,
            rows=f"{rows:,} rows, {speed:,.0f}/s",
        )
