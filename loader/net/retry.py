"""How often, and after what wait, a connection that failed is tried again.

In: each failure, and the byte it happened at. Out: a wait, or SourceUnreachable.
"""

from __future__ import annotations

import logging
import math
import random
import time

from loader.errors import SourceUnreachable
from loader.net.failures import Passing, TimedOut, UnknownName
from loader.net.settings import SourceSettings

_log = logging.getLogger(__name__)
# A generator of its own: the caller may have seeded that of the process.
_random = random.Random()  # noqa: S311  (no secret)

_PROGRESS_BYTES = 1024 * 1024  # received since the last refill: the retries count from 0 again

# Before the first answer. A host name that does not resolve is more often a typo than a passing
# fault; and within a timeout of 5 s TCP itself has knocked three times.
_OPENING_RETRIES: dict[type[Passing], int] = {UnknownName: 2, TimedOut: 0}


def backoff_s(failures: int, first_s: float, most_s: float, asked_s: float = 0.0) -> float:
    """Return the seconds to wait after a failure: doubled with each, and spread by chance.

    Args:
        failures: In a row, this one included.
        first_s: The longest wait after the first.
        most_s: The longest wait of all, also of one that is asked for.
        asked_s: What the server asks for (Retry-After); it is waited at least.
    """
    wait_s = min(first_s * 2.0 ** (failures - 1), most_s)
    wait_s *= _random.uniform(0.5, 1.0)  # spreads many loads of one server
    return max(wait_s, min(asked_s, most_s))


class Retry:
    """How many more failures are borne: `retries` for each megabyte, `all_retries` for all.

    Args:
        settings: How many, and how long to wait.
        opening: Whether the source never answered yet, so that its address may be wrong.
    """

    def __init__(self, settings: SourceSettings, *, opening: bool) -> None:
        self._settings = settings
        self._opening = opening
        self._left_s = settings.opening_wait_s if opening else math.inf
        self._failures = self._all_failures = 0
        self._refilled_at = 0

    def wait(self, error: Passing, position: int) -> None:
        """Wait before the next try, or give up with what stands in the way."""
        if position - self._refilled_at >= _PROGRESS_BYTES:
            self._failures, self._refilled_at = 0, position
        self._failures += 1
        self._all_failures += 1
        is_last = self._all_failures > self._settings.all_retries
        if is_last or self._failures > self._allowed(error) or self._left_s <= 0:
            failures = self._all_failures if is_last else self._failures
            tries = "once" if failures == 1 else f"{failures} times"
            raise SourceUnreachable(f"{error.message} (tried {tries})", hint=error.hint) from None
        wait_s = self._next_wait_s(error)
        self._left_s -= wait_s
        _log.warning("%s; again from byte %d in %.1f s", error.message, position, wait_s)
        time.sleep(wait_s)

    def _allowed(self, error: Passing) -> int:
        settings = self._settings
        if not self._opening:
            return settings.retries
        most = _OPENING_RETRIES.get(type(error), settings.opening_retries)
        return min(settings.retries, settings.opening_retries, most)

    def _next_wait_s(self, error: Passing) -> float:
        settings = self._settings
        first_s, most_s = settings.backoff_s, settings.max_backoff_s
        return min(backoff_s(self._failures, first_s, most_s, error.wait_s), self._left_s)
