"""What a caller and the portal allow a file to be -> the tighter of both.

In: values as people write them, ``10GB`` say, or nothing. Out: one of the two, as it is written.
The factory reads it, and refuses what is none: this only compares.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable

# Of each limit, which of two is the tighter one.
TIGHTER: dict[str, Callable[[float, float], float]] = {
    "max_bytes": min,
    "max_ratio": min,
    "min_rate": max,
}
# Only these have a unit.
_SIZES = ("max_bytes", "min_rate")
_SIZE = re.compile(r"([0-9]{1,15}(?:\.[0-9]{1,9})?) ?(?:(?:([KMGTP])(I?))?B)?")
_NUMBER = re.compile(r"[0-9]{1,15}(?:\.[0-9]{1,9})?")
_MOST_BYTES = 1 << 62


def tighter(name: str, wished: object, allowed: object) -> object:
    """Return the tighter one of two limits.

    Args:
        name: One of ``TIGHTER``.
        wished: What a caller asks for; None if nothing. What is no limit is returned as it is:
            the factory refuses it.
        allowed: What the portal allows; None or empty if it leaves that to the factory.
    """
    if allowed in (None, ""):
        return wished
    if wished is None:
        return allowed
    wish, most = read(name, wished), read(name, allowed)
    if wish is None:
        return wished
    return wished if most is not None and TIGHTER[name](wish, most) == wish else allowed


def read(name: str, value: object) -> float | None:
    """Return what a limit means as a number, or None if it is none."""
    if isinstance(value, str):
        return _read(name, value.strip())
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    # A whole number may be too great to become a float; NaN is not less than anything.
    return value if is_number and 0 <= value <= sys.float_info.max else None


def _read(name: str, text: str) -> float | None:
    if name not in _SIZES:
        return float(text) if _NUMBER.fullmatch(text) else None
    match = _SIZE.fullmatch(text.upper())
    if match is None:
        return None
    number, power, binary = match.groups(default="")
    size = float(number) * (1024 if binary else 1000) ** " KMGTP".index(power or " ")
    return min(size, _MOST_BYTES)  # as the factory does
