"""How often, and after what wait, a source whose connection failed is asked again.

In: each failure, and the byte it happened at. Out: a wait, or SourceUnreachable. Holds nothing.
"""

from __future__ import annotations

import logging
import math
from functools import partial

from loader.errors import SourceUnreachable
from loader.net.failures import Passing, TimedOut, UnknownName
from loader.net.retry import Attempts, Backoff
from loader.net.settings import SourceSettings

_log = logging.getLogger(__name__)

_PROGRESS_BYTES = 1024 * 1024  # after so many more, the failures count from 0 again

# Before the first answer. A host name that does not resolve is more often a typo than a passing
# fault; and within a timeout of 5 s TCP itself has tried to connect three times.
_OPENING_RETRIES: dict[type[Passing], int] = {UnknownName: 2, TimedOut: 0}


class Resuming:
    """Counts the failures of a source, of which ``settings`` allow so many, and waits after each.

    ``retries`` counts those without a megabyte in between, ``all_retries`` all of them.

    Args:
        settings: How many, and how long to wait.
        opening: Whether the source never answered yet, so that its address may be wrong.
    """

    def __init__(self, settings: SourceSettings, *, opening: bool) -> None:
        self._settings = settings
        self._opening = opening
        self._attempts = self._new_attempts()
        self._all_failures = 0
        self._counted_from = 0

    def wait(self, error: Passing, position: int) -> None:
        """Wait before the next try, or raise SourceUnreachable."""
        if position - self._counted_from >= _PROGRESS_BYTES:
            self._attempts, self._counted_from = self._new_attempts(), position
        self._all_failures += 1
        if self._all_failures > self._settings.all_retries:
            raise _given_up(error, self._all_failures) from None
        self._attempts.retries = self._allowed(error)
        log = partial(_log.warning, "%s; again from byte %d in %.1f s", error.message, position)
        if not self._attempts.wait(error.wait_s, log):
            raise _given_up(error, self._attempts.failures) from None

    def _new_attempts(self) -> Attempts:
        settings = self._settings
        return Attempts(
            Backoff(settings.backoff_s, settings.max_backoff_s),
            waits_s=settings.opening_wait_s if self._opening else math.inf,
        )

    def _allowed(self, error: Passing) -> int:
        settings = self._settings
        if not self._opening:
            return settings.retries
        most = _OPENING_RETRIES.get(type(error), settings.opening_retries)
        return min(settings.retries, settings.opening_retries, most)


def _given_up(error: Passing, failures: int) -> SourceUnreachable:
    tries = "once" if failures == 1 else f"{failures} times"
    return SourceUnreachable(f"{error.message} (tried {tries})", hint=error.hint)
