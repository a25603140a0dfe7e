"""What a caller says of columns whose values allow more than one reading. Imports the words only."""

from __future__ import annotations

from dataclasses import dataclass

from loader.choices import Dates, Decimal


@dataclass(frozen=True)
class Deciding:
    """What decides between readings.

    Attributes:
        dates: The order of day and month.
        decimal: The decimal sign.
    """

    dates: Dates = "auto"
    decimal: Decimal = "auto"


AUTO = Deciding()
