"""How often, and after what wait, a connection that failed is tried again.

In: each failure, and the byte it happened at. Out: a wait, or SourceUnreachable.
"""

from __future__ import annotations

import logging
import random
import time
from dataclasses import dataclass

from loader.errors import SourceUnreachable
from loader.source.failures import Passing, UnknownName

_log = logging.getLogger(__name__)

_PROGRESS_BYTES = 1024 * 1024  # received since the last refill: the retries count from 0 again
_NAME_RETRIES = 2  # a host name that does not resolve is more often a typo than a passing fault


@dataclass(frozen=True)
class SourceSettings:
    """How patient to be with a server."""

    connect_timeout_s: float = 10.0
    read_timeout_s: float = 60.0
    retries: int = 8  # in a row, without progress of a megabyte between them
    backoff_s: float = 0.5
    max_backoff_s: float = 15.0


class Patience:
    """How many more failures are borne: at most `retries` for each megabyte received."""

    def __init__(self, settings: SourceSettings) -> None:
        self._settings = settings
        self._failures = 0
        self._refilled_at = 0

    def bear(self, error: Passing, position: int) -> None:
        """Wait before the next try, or give up with what stands in the way."""
        if position - self._refilled_at >= _PROGRESS_BYTES:
            self._failures, self._refilled_at = 0, position
        self._failures += 1
        if self._failures > self._allowed(error, position):
            raise SourceUnreachable(
                f"{error.message} (tried {self._failures} times)", hint=error.hint
            ) from None
        settings = self._settings
        wait_s = min(settings.backoff_s * 2 ** (self._failures - 1), settings.max_backoff_s)
        wait_s *= random.uniform(0.5, 1.0)  # noqa: S311  (spreads many loads of one server)
        wait_s = max(wait_s, min(error.wait_s, settings.max_backoff_s))
        _log.warning("%s; again from byte %d in %.1f s", error.message, position, wait_s)
        time.sleep(wait_s)

    def _allowed(self, error: Passing, position: int) -> int:
        unknown = isinstance(error, UnknownName) and position == 0
        return min(self._settings.retries, _NAME_RETRIES) if unknown else self._settings.retries
