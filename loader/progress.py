"""Shows what a load is doing; knows nothing of loads itself.

A bar with bytes, rows, rows/s and time left on a terminal, plain lines otherwise.
"""

from __future__ import annotations

import sys
import time
from contextlib import suppress
from typing import Protocol, TextIO

from rich.console import Console
from rich.progress import BarColumn, ProgressColumn, Task, TaskID, TextColumn
from rich.progress import Progress as Bars
from rich.table import Column
from rich.text import Text

_BRIEF_BELOW = 72  # columns of a terminal, beside which the bar has no room for all numbers


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
    """Plain lines, for a pipe or a log: one for each step, and some while rows are read.

    Args:
        stream: Where to write them; by default stderr.
        every_s: Seconds between two lines while rows are read.
    """

    def __init__(self, stream: TextIO | None = None, *, every_s: float = 10.0) -> None:
        self._stream: TextIO | None = stream or sys.stderr
        self._every_s = every_s
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
        if now - self._said < self._every_s:
            return
        self._said = now
        share = f" ({bytes_read / self._size:.0%})" if self._size else ""
        self._write(
            f"  {rows:,} rows, {bytes_read / 1e6:,.0f} MB{share},"
            f" {rows / (now - self._began):,.0f} rows/s"
        )

    def _write(self, line: str) -> None:
        if self._stream is None:  # a process without stderr
            return
        # A load is worth more than a line about it: the stream is full, or closed by now.
        with suppress(OSError, ValueError):
            print(line, file=self._stream, flush=True)


class Bar:
    """A live bar on a terminal, gone when the load ends."""

    def __init__(self, console: Console) -> None:
        self._bars = Bars(
            TextColumn("{task.description}", markup=False, table_column=Column(no_wrap=True)),
            BarColumn(bar_width=None),
            _Numbers(brief=console.width < _BRIEF_BELOW),
            console=console,
            transient=True,
            expand=True,
        )
        self._task: TaskID | None = None
        self._size: int | None = None

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
        self._task = self._bars.add_task(title, total=None, rows=0)

    def expect(self, size: int | None) -> None:
        """Remember the size for the share that is done."""
        self._size = size

    def advance(self, bytes_read: int, rows: int) -> None:
        """Move the bar."""
        if self._task is not None:
            self._bars.update(self._task, completed=bytes_read, total=self._size, rows=rows)


class _Numbers(ProgressColumn):
    """Bytes, rows, rows/s and the time left; for a step that reads no rows the time it takes."""

    def __init__(self, *, brief: bool) -> None:
        super().__init__(table_column=Column(no_wrap=True, justify="right"))
        self._brief = brief

    def render(self, task: Task) -> Text:
        """Return the numbers of a moment."""
        seconds = task.elapsed or 0.0
        if not task.completed or not seconds:
            return Text(_clock(seconds))
        read, rows = task.completed, task.fields["rows"]
        left, of = "", ""
        if task.total:
            # What is read whole is not yet stored: how long that takes cannot be told.
            if read < task.total:
                left = f"{_clock((task.total - read) * seconds / read)} left"
            of = f"/{task.total / 1e6:,.0f}"
        if self._brief:
            return Text(left or f"{rows:,} rows")
        numbers = [f"{read / 1e6:,.0f}{of} MB", f"{rows:,} rows", f"{rows / seconds:,.0f}/s", left]
        return Text("  ".join(filter(None, numbers)))


def _clock(seconds: float) -> str:
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"
