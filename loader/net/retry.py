"""Work that failed, or is not done yet -> whether to try it again, after a wait.

In: how long to wait, and how often or until when to try. Out: the waits, and then their end. What
is tried, which failures may pass, and what is told at the end, is for the caller to say:

    attempts = Attempts(Backoff(0.5, 15.0), retries=8)
    while True:
        try:
            return work()
        except Passing as error:
            if not attempts.wait(error.wait_s):
                raise

Every wait before another try is made here, so that each ends at its limit, and at a Ctrl-C at once.
Holds nothing else.
"""

from __future__ import annotations

import math
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

# Not the process's generator: its caller may have seeded it, and all clients would wait alike.
_random = random.Random()  # noqa: S311  (no secret)
_MOST_DOUBLINGS = 60  # a second doubled 60 times outlasts any load; 2.0 ** 1024 overflows


@dataclass(frozen=True)
class Backoff:
    """How long to wait after a failure: twice as long after each.

    Attributes:
        first_s: The longest wait after the first.
        most_s: The longest wait of all, also of one that a server asks for.
        spread: Which share of a wait is random, so that many clients that failed in the same
            moment do not come again in the same moment.
    """

    first_s: float
    most_s: float = math.inf
    spread: float = 0.5

    @classmethod
    def steady(cls, pause_s: float) -> Backoff:
        """Return the same wait each time, to look again and again for what others do."""
        return cls(pause_s, pause_s, spread=0.0)

    def wait_s(self, failures: int, asked_s: float = 0.0) -> float:
        """Return the seconds to wait.

        Args:
            failures: In a row, this one included.
            asked_s: What a server asks for (Retry-After); the wait is not shorter.
        """
        wait_s = min(self.first_s * 2.0 ** min(failures - 1, _MOST_DOUBLINGS), self.most_s)
        wait_s *= _random.uniform(1.0 - self.spread, 1.0)
        return max(wait_s, min(asked_s, self.most_s))


def _silent(_: float, /) -> None:
    """Take the seconds of a wait."""


class Attempts:
    """The tries of one piece of work; its time begins with this object.

    As an iterator it gives one item for each try, the first at once, and waits before the others.

    Args:
        backoff: How long to wait between them.
        retries: How many there may be after the first.
        limit_s: Seconds after which no other begins. The last wait is cut short to end then, so
            what comes true just in time is seen.
        waits_s: Seconds of all waits together, without what the tries themselves take.

    Attributes:
        failures: How many tries ``wait`` was called after.
        retries: As given; may be changed where it depends on the last failure.
    """

    def __init__(
        self,
        backoff: Backoff,
        *,
        retries: float = math.inf,
        limit_s: float = math.inf,
        waits_s: float = math.inf,
    ) -> None:
        self.failures = 0
        self._backoff = backoff
        self.retries = retries
        self._end = time.monotonic() + limit_s
        self._waits_left_s = waits_s

    def __iter__(self) -> Iterator[None]:
        """Yield once for each try."""
        yield
        while self.wait():
            yield

    @property
    def is_over(self) -> bool:
        """Whether there is no time for another."""
        return self._left_s <= 0

    def wait(self, asked_s: float = 0.0, log: Callable[[float], object] = _silent) -> bool:
        """Wait for the next try, or return False at once if there is none.

        Args:
            asked_s: As for ``Backoff.wait_s``.
            log: Is given the seconds before they are waited.
        """
        self.failures += 1
        if self.failures > self.retries or self.is_over:
            return False
        wait_s = min(self._backoff.wait_s(self.failures, asked_s), self._left_s)
        self._waits_left_s -= wait_s
        log(wait_s)
        time.sleep(max(wait_s, 0.0))
        return True

    @property
    def _left_s(self) -> float:
        return min(self._end - time.monotonic(), self._waits_left_s)
