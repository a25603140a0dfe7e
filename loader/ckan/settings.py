"""What a caller may choose of a load through CKAN's API."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from loader.choices import Mode, OnConcurrentWrites
from loader.errors import UsageError


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
