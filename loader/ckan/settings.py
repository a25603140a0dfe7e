"""What a caller may choose of a load through CKAN's API."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from loader.choices import Mode, OnConcurrentWrites
from loader.errors import UsageError
from loader.net.retry import Attempts, Backoff


@dataclass(frozen=True)
class BatchSettings:
    """How much one call takes, and how long a lost one is waited for.

    Attributes:
        rows: In one call.
        bytes: In one call, of JSON; a single row may be larger.
        settle_s: How long CKAN may go on with a call whose answer was lost.

    Raises:
        UsageError: A batch of nothing.
    """

    rows: int = 5000
    bytes: int = 8 << 20
    settle_s: float = 60.0

    def __post_init__(self) -> None:
        """Refuse early what would never end."""
        if self.rows < 1 or self.bytes < 1:
            raise UsageError("a batch cannot be empty", hint="at least one row, and one byte")


@dataclass(frozen=True)
class SendSettings:
    """How rows become those of a table; ``loader.Options`` explains each."""

    mode: Mode = "replace"
    key: Sequence[str] = ()
    on_concurrent_writes: OnConcurrentWrites = "warn"
    batches: BatchSettings = field(default_factory=BatchSettings)


@dataclass(frozen=True)
class CkanSettings:
    """How patient to be with CKAN.

    Attributes:
        read_timeout_s: Longer than the 60 s after which the DataStore ends its statements, so that
            its answer comes first.
        retries: Of a call that failed for a passing reason.
        opening_retries: As long as CKAN never answered: a wrong address is to be told soon.
        backoff_s: Before the first retry; doubled for every other.
        max_backoff_s: Also the longest ``Retry-After`` that is obeyed.
        longest_s: How long a call may take, retries apart, to a CKAN that is called with a guard:
            whoever named it could otherwise hold a worker with a byte a minute.
    """

    connect_timeout_s: float = 10.0
    read_timeout_s: float = 100.0
    retries: int = 6
    opening_retries: int = 2
    backoff_s: float = 1.0
    max_backoff_s: float = 30.0
    longest_s: float = 300.0

    def attempts(self, *, answered: bool = True) -> Attempts:
        """Return the tries of one call.

        Args:
            answered: Whether this CKAN has answered before.
        """
        return Attempts(
            Backoff(self.backoff_s, self.max_backoff_s),
            retries=self.retries if answered else self.opening_retries,
        )
