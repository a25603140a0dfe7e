"""Whether a source sends fast enough for a load to wait for it.

In: each time that something arrived. Out: nothing, or SourceTooSlow. What the load itself takes,
the database above all, does not count, nor a wait that ends without a byte: that is a timeout,
after which ``source.resuming`` tries again.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from loader.errors import SourceTooSlow
from loader.net.limits import Limits


class Pace:
    """Counts the seconds spent waiting for a source, and the bytes of it that came meanwhile.

    Args:
        limits: How slow it may be.
        shown: The source, as it may be shown.
    """

    def __init__(self, limits: Limits, shown: str) -> None:
        self._limits = limits
        self._shown = shown
        self._since: float | None = None  # when the current wait began, or something came last
        self._waited_s = 0.0
        self._bytes = 0

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Count the time of the block, as far as something arrives in it."""
        self._since = time.monotonic()
        try:
            yield
        finally:
            self._since = None

    def arrived(self, count: int) -> None:
        """Note that something came.

        Args:
            count: Bytes of the source itself: 0 for what only precedes them, such as headers;
                less for some that turned out to be none.

        Raises:
            SourceTooSlow: It was too little for the time it took.
        """
        if self._since is None:
            return
        now = time.monotonic()
        self._waited_s += now - self._since
        self._since = now
        self._bytes += count
        if self._waited_s >= self._limits.window_s:
            self._judge()

    def _judge(self) -> None:
        rate = max(self._bytes, 0) / self._waited_s if self._waited_s else self._limits.min_rate
        if rate < self._limits.min_rate:
            raise SourceTooSlow(
                f"{self._shown} sent {rate:,.3g} bytes a second over {self._waited_s:,.0f} s,"
                f" and {self._limits.min_rate:,.10g} are the least",
                hint="load it when the server is faster, or ask less of it",
                option="min_rate",
            )
        self._waited_s, self._bytes = 0.0, 0
