"""What a caller may choose of a load through CKAN's API."""

from __future__ import annotations

from dataclasses import dataclass

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
