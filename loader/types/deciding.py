"""What a caller says of columns whose values allow more than one reading. Imports nothing."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Deciding:
    """What decides between readings.

    Attributes:
        dates: The order of day and month, ``dmy`` or ``mdy``; ``iso`` leaves such dates unread, and
            ``auto`` leaves them to the values.
        decimal: The decimal sign, ``comma`` or ``point``; ``auto`` leaves it to the values.
    """

    dates: str = "auto"
    decimal: str = "auto"
